/* SPDX-License-Identifier: MIT */
/*
 * test_notify.c - what systemd is told, when its watchdog is due, and which
 * sockets are taken over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "notify.h"
#include "scratch.h"

static int listener = -1;

static void bind_to(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (listener >= 0)
        assert_int_equal(close(listener), 0);
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0 && len < sizeof(at.sun_path));
    memcpy(at.sun_path, path, len);
    if (path[0] == '@')
        at.sun_path[0] = '\0';
    assert_int_equal(
        bind(listener, (struct sockaddr *)&at,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
}

static const char *heard(void)
{
    static char text[100];
    ssize_t n = recv(listener, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void set_number(const char *name, long long value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld", value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static int clear(void **state)
{
    static const char *const names[] = {
        "NOTIFY_SOCKET", "INVOCATION_ID", "WATCHDOG_USEC", "WATCHDOG_PID",
        "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
    return 0;
}

static void test_send(void **state)
{
    (void)state;
    assert_false(notify_is_supervised());
    notify_send("READY=1"); /* to nobody */
    bind_to(in_scratch("notify"));
    assert_true(notify_is_supervised());
    notify_send("READY=1");
    assert_string_equal(heard(), "READY=1");
    bind_to("@justalock-test-notify");
    notify_send("STOPPING=1");
    assert_string_equal(heard(), "STOPPING=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1", 1), 0);
    notify_send("READY=1"); /* not of this kind: nothing, no crash */
    assert_int_equal(setenv("NOTIFY_SOCKET", in_scratch("gone"), 1), 0);
    notify_send("READY=1");
    assert_string_equal(heard(), "");
    clear(NULL);
    assert_int_equal(setenv("INVOCATION_ID", "x", 1), 0);
    assert_true(notify_is_supervised());
}

static void test_watchdog(void **state)
{
    struct notify_watchdog w;

    (void)state;
    bind_to(in_scratch("dog"));
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 0);
    assert_true(notify_watchdog(&w) == INT64_MAX);
    set_number("WATCHDOG_USEC", 60000000);
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 30000); /* half of it */
    assert_int_equal(notify_watchdog(&w), 30000);
    assert_string_equal(heard(), "WATCHDOG=1");
    assert_in_range(notify_watchdog(&w), 1, 30000);
    assert_string_equal(heard(), ""); /* not due */
    w.next = clock_now();
    assert_int_equal(notify_watchdog(&w), 30000);
    assert_string_equal(heard(), "WATCHDOG=1");
    set_number("WATCHDOG_PID", getpid());
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 30000);
    set_number("WATCHDOG_PID", getpid() + 1); /* meant for another */
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 0);
    (void)unsetenv("WATCHDOG_PID");
    set_number("WATCHDOG_USEC", 1);
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 1);
    set_number("WATCHDOG_USEC", 0);
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "1m", 1), 0);
    notify_watchdog_init(&w);
    assert_int_equal(w.every_ms, 0);
}

/* In a child: its descriptors 3 and 4 are to be taken over. */
static int take(long long pid_offset, const char *count, size_t max)
{
    struct justalock_error err = {.text = ""};
    size_t len = 9;
    int first = -1;

    set_number("LISTEN_PID", getpid() + pid_offset);
    if (setenv("LISTEN_FDS", count, 1) != 0)
        return 100;
    if (notify_sockets(max, &first, &len, &err) != JUSTALOCK_OK)
        return err.text[0] != '\0' ? 50 : 101;
    if (len > 0 && (first != 3 || getenv("LISTEN_FDS") != NULL ||
                    getenv("LISTEN_PID") != NULL))
        return 102;
    for (size_t i = 0; i < len; i++)
        if (fcntl(first + (int)i, F_GETFD) != FD_CLOEXEC)
            return 103;
    return (int)len;
}

static void test_sockets(void **state)
{
    static const struct {
        long long pid_offset;
        const char *count;
        size_t max;
        int want; /* how many; 50: refused */
    } cases[] = {
        {0, "1", 1, 1},
        {0, "2", 2, 2},
        {0, "2", 8, 2},
        {1, "2", 2, 0},
        {0, "2", 1, 50},
        {0, "0", 2, 50},
        {0, "", 2, 50},
        {0, "x", 2, 50},
        {0, "3", 8, 50},
        {0, "-1", 2, 50},
        {0, "99999999999999999999", 2, 50},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            int fd = open("/dev/null", O_RDONLY);

            if (dup2(fd, 13) < 0 || dup2(13, 3) < 0 || dup2(13, 4) < 0 ||
                dup2(13, 2) < 0 || close(13) != 0)
                _exit(99);
            for (fd = 5; fd < 64; fd++)
                (void)close(fd); /* 5 is not there */
            _exit(take(cases[i].pid_offset, cases[i].count, cases[i].max));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) != cases[i].want)
            fail_msg("case %zu: %d", i, WEXITSTATUS(status));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_send, clear),
        cmocka_unit_test_teardown(test_watchdog, clear),
        cmocka_unit_test_teardown(test_sockets, clear),
    };

    (void)clear(NULL);
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_cli_cmd_release.c - `justalock release` at servers that the test plays:
 * what it asks for, each answer and its status, answers that stop half way or
 * are none, a server that is gone or stuck, the next of several, and the
 * question on a terminal.
 */
#include "cli_no_memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"

#define SERVERS 2

static struct {
    char path[100];
    pid_t pid;
} servers[SERVERS];

/* One connection: the request, which goes into a file, and the answer; NULL:
 * it is closed unread. */
static void serve(int listener, const char *answer)
{
    char request[2048];
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int out = call_file("request");
    size_t len = 0;

    (void)alarm(CALL_MAX_S);
    while (answer != NULL && memmem(request, len, "\r\n\r\n", 4) == NULL) {
        ssize_t n = recv(fd, request + len, sizeof(request) - len, 0);

        if (n <= 0)
            _exit(1);
        len += (size_t)n;
    }
    if (write(out, request, len) != (ssize_t)len)
        _exit(1);
    if (answer == NULL) { /* what is not read resets the connection */
        struct pollfd p = {.fd = fd, .events = POLLIN};

        (void)poll(&p, 1, -1);
    } else {
        (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    }
    _exit(0);
}

static int listen_at(int i)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(servers[i].path, sizeof(servers[i].path), "%s/server%d",
                   scratch, i);
    (void)unlink(servers[i].path);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", servers[i].path);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 0), 0);
    return listener;
}

static void server_up(int i, const char *answer)
{
    int listener = listen_at(i);

    servers[i].pid = fork();
    if (servers[i].pid == 0)
        serve(listener, answer);
    assert_true(servers[i].pid > 0);
    (void)close(listener);
}

static int down(void **state)
{
    (void)state;
    call_before = call_after = NULL;
    for (int i = 0; i < SERVERS; i++) {
        if (servers[i].pid > 0) {
            (void)kill(servers[i].pid, SIGKILL); /* our child, not reaped */
            (void)waitpid(servers[i].pid, NULL, 0);
        }
        servers[i].pid = 0;
    }
    return 0;
}

/* At the first server, or at both. */
static void releases(int want, bool both, const char *option)
{
    char url[256];

    (void)snprintf(url, sizeof(url),
                   both ? "--url=unix:%s,unix:%s" : "--url=unix:%s",
                   servers[0].path, servers[1].path);
    assert_call(want, cmd_release, "release", "--yes", url, "lock", option);
}

static void answers(const char *answer, int want, const char *text)
{
    server_up(0, answer);
    releases(want, false, NULL);
    if (want == CLI_OK)
        assert_string_equal(said, text);
    else
        assert_has(said_err, text);
    (void)down(NULL);
}

static const char *request(void)
{
    static char text[2048];

    call_read(open(in_scratch("request"), O_RDONLY | O_CLOEXEC), text,
              sizeof(text));
    return text;
}

static void what_it_asks_for(void **state)
{
    struct justalock_error err;
    struct lock_id id;
    char line[128];

    (void)state;
    assert_ok(id_from_name("lock", &id, &err), err);
    server_up(0, OK_HEAD "broken\n");
    releases(CLI_OK, false, NULL);
    assert_string_equal(said, "lock: broken\n");
    (void)snprintf(line, sizeof(line),
                   "POST /v1/locks/%s/break HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Length: 0\r\n",
                   id_format(&id).s);
    assert_memory_equal(request(), line, strlen(line));
    (void)down(NULL);
    server_up(0, OK_HEAD "broken\n");
    releases(CLI_OK, false, "--slot=1023");
    assert_has(request(), "/break?slot=1023 HTTP/1.1\r\n");
    assert_call(CLI_USAGE, cmd_release, "release", "--slot=1024", "lock");
    assert_has(said_err, "1024");
    assert_has(said_err, "1023");
}

static void each_answer_has_its_status(void **state)
{
    (void)state;
    answers("HTTP/1.1 403 No\r\n\r\nonly root\n", CLI_DENIED,
            "lock: only root\n");
    answers("HTTP/1.1 404 No\r\n\r\nnobody holds it\n", CLI_DENIED,
            "lock: nobody holds it\n");
    answers("HTTP/1.1 503 No\r\n\r\nnot active\n", CLI_NET,
            "lock: not active\n");
    answers("HTTP/1.1 500 No\r\n\r\n", CLI_DENIED,
            "lock: the server answers with status 500\n");
    answers("HTTP/1.1 200 OK\r\n\r\n", CLI_OK,
            "lock: the server answers with status 200\n");
}

static void of_its_text_the_first_line(void **state)
{
    char answer[1024] = OK_HEAD, want[512] = "lock: ";

    (void)state;
    answers(OK_HEAD "a\nb\n", CLI_OK, "lock: a\n");
    answers(OK_HEAD "a\033[2Jb\302\233c\377", CLI_OK, "lock: a?[2Jb??c?\n");
    answers("HTTP/1.1 403 No\r\n\r\na\033[2J", CLI_DENIED, "lock: a?[2J\n");
    /* 199 bytes and a character of two: half of it is none. */
    memset(answer + strlen(answer), 'x', 199);
    (void)strncat(answer, "\303\244\303\244", 5);
    memset(want + strlen(want), 'x', 199);
    (void)strncat(want, "?\n", 3);
    answers(answer, CLI_OK, want);
}

static void what_is_no_answer(void **state)
{
    static char endless[5000] = OK_HEAD;

    (void)state;
    answers("", CLI_NET, "stops half way");
    answers("HTTP/", CLI_NET, "stops half way");
    answers("HTTP/1.1 200 OK\r\nContent", CLI_NET, "stops half way");
    answers("HTTP/1.1 200 OK\r\n", CLI_NET, "stops half way");
    answers("SSH-2.0\r\n\r\n", CLI_NET, "not a justalock-server");
    answers("HTTP/1.0 200 OK\r\n\r\nx", CLI_NET, "not a justalock-server");
    memset(endless + strlen(endless), 'x', 4500);
    answers(endless, CLI_NET, "exceeds 4096 bytes");
    answers(NULL, CLI_NET, "Connection reset");
}

static void nobody_is_there(void **state)
{
    char url[200];

    (void)state;
    (void)close(listen_at(0));
    releases(CLI_NET, false, NULL);
    assert_has(said_err, "server0: Connection refused");
    (void)snprintf(url, sizeof(url), "--url=unix:%s/none", scratch);
    assert_call(CLI_NET, cmd_release, "release", "-y", url, "lock");
    assert_has(said_err, "/none: No such file");
    (void)snprintf(url, sizeof(url), "--url=unix:/%0150d", 0);
    assert_call(CLI_USAGE, cmd_release, "release", "-y", url, "lock");
    assert_has(said_err, "2 to 107 printable bytes");
}

static void as_nobody(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(98);
}

static void not_ours_to_connect_to(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    server_up(0, OK_HEAD);
    call_before = as_nobody;
    releases(CLI_DENIED, false, NULL);
    assert_has(said_err, "Permission denied");
}

/* Its queue is full, and it accepts none. */
static void a_server_that_is_stuck(void **state)
{
    int listener = listen_at(0), fds[8], n = 0;
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)state;
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", servers[0].path);
    while (n < (int)LENGTH(fds)) {
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[n++], (struct sockaddr *)&at, sizeof(at)) != 0)
            break;
    }
    assert_int_equal(errno, EAGAIN);
    releases(CLI_NET, false, NULL);
    assert_has(said_err, "server0: Resource temporarily unavailable");
    while (n > 0)
        (void)close(fds[--n]);
    (void)close(listener);
}

static void the_next_of_several(void **state)
{
    static const char *const first[] = {"HTTP/1.1 503 No\r\n\r\nno\n", "",
                                        NULL};

    (void)state;
    for (size_t i = 0; i < LENGTH(first); i++) {
        server_up(0, first[i]);
        server_up(1, OK_HEAD "broken\n");
        releases(CLI_OK, true, NULL);
        assert_string_equal(said, "lock: broken\n");
        (void)down(NULL);
    }
    (void)close(listen_at(0));
    server_up(1, OK_HEAD "broken\n");
    releases(CLI_OK, true, NULL);
    (void)down(NULL);
    /* What an active one decides is no other's to decide. */
    server_up(0, "HTTP/1.1 404 No\r\n\r\nnobody\n");
    server_up(1, OK_HEAD "broken\n");
    releases(CLI_DENIED, true, NULL);
    (void)down(NULL);
    server_up(0, "HTTP/1.1 503 No\r\n\r\none\n");
    server_up(1, "HTTP/1.1 503 No\r\n\r\ntwo\n");
    releases(CLI_NET, true, NULL);
    assert_has(said_err, "two");
}

/* ---- the question ---- */

static const char *typed;
static int pty;

static void on_a_terminal(void)
{
    int fd = open(ptsname(pty), O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || dup2(fd, 0) < 0 ||
        write(pty, typed, strlen(typed)) != (ssize_t)strlen(typed))
        _exit(97);
}

static void asks(const char *keys, int want)
{
    char url[160];

    typed = keys;
    (void)snprintf(url, sizeof(url), "--url=unix:%s", servers[0].path);
    assert_call(want, cmd_release, "release", url, "lock");
    assert_has(said_err, "Break lock? ");
}

static void it_asks_on_a_terminal(void **state)
{
    (void)state;
    pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(grantpt(pty) + unlockpt(pty), 0);
    call_before = on_a_terminal;
    server_up(0, OK_HEAD "broken\n");
    asks("n\n", CLI_DENIED);
    asks("\n", CLI_DENIED);
    asks(" y\n", CLI_DENIED);
    asks("\004", CLI_DENIED); /* the end of the input */
    asks("yes, with more words than a line has\n", CLI_OK);
    assert_string_equal(said, "lock: broken\n");
    (void)close(pty);
}

static void it_must_be_said_elsewhere(void **state)
{
    char url[160];

    (void)state;
    server_up(0, OK_HEAD "broken\n");
    (void)snprintf(url, sizeof(url), "--url=unix:%s", servers[0].path);
    assert_call(CLI_DENIED, cmd_release, "release", url, "lock");
    assert_has(said_err, "say --yes");
}

static void a_name_that_nobody_can_have(void **state)
{
    char name[2000] = "";

    (void)state;
    (void)close(listen_at(0));
    releases(CLI_USAGE, false, "a\033[2J"); /* two names */
    assert_call(CLI_USAGE, cmd_release, "release", "-y", "--url=unix:/x",
                "a\033[2J");
    assert_null(strchr(said_err, '\033'));
    memset(name, 'x', sizeof(name) - 1);
    assert_call(CLI_USAGE, cmd_release, "release", "-y", "--url=unix:/x", name);
    assert_has(said_err, "1999 bytes");
}

static void wrong_calls(void **state)
{
    (void)state;
    assert_call(CLI_USAGE, cmd_release, "release");
    assert_call(CLI_USAGE, cmd_release, "release", "a", "b");
    assert_call(CLI_USAGE, cmd_release, "release", "--nope", "a");
    assert_call(CLI_USAGE, cmd_release, "release", "--url=ftp://x/", "a");
    assert_call(CLI_DENIED, cmd_release, "release", "-y",
                "--url=http://127.0.0.1:9/", "a");
    assert_has(said_err, "--url unix:PATH");
    assert_call(CLI_CONFIG, cmd_release, "release", "-y", "--config=/nope",
                "--url=unix:/x", "a");
}

/* No request is sent then that is none, or waited for. */
static void no_memory_is_said(void **state)
{
    char url[160];
    int code = CLI_LOCAL;

    (void)state;
    for (no_memory_begin(); no_memory_next();) {
        server_up(0, OK_HEAD "broken\n");
        (void)snprintf(url, sizeof(url), "--url=unix:%s", servers[0].path);
        code = call(cmd_release, "release", "-y", url, "lock", (char *)NULL);
        if (code != CLI_OK && code != CLI_LOCAL)
            fail_msg("status %d at %ld: %s", code, no_memory_at, said_err);
        (void)down(NULL);
    }
    assert_int_equal(code, CLI_OK);
    assert_true(no_memory_at > 2);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, down)

static int begin(void **state)
{
    int fd;

    if (scratch_make(state) != 0)
        return -1;
    fd = call_file("conf.json");
    return write(fd, "{}", 2) == 2 && close(fd) == 0 &&
                   chmod(scratch, 0711) == 0 &&
                   chmod(in_scratch("conf.json"), 0644) == 0 &&
                   setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1) == 0
               ? unsetenv("JUSTALOCK_URL")
               : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_asks_for),
        TEST(each_answer_has_its_status),
        TEST(of_its_text_the_first_line),
        TEST(what_is_no_answer),
        TEST(nobody_is_there),
        TEST(not_ours_to_connect_to),
        TEST(a_server_that_is_stuck),
        TEST(the_next_of_several),
        TEST(it_asks_on_a_terminal),
        TEST(it_must_be_said_elsewhere),
        TEST(a_name_that_nobody_can_have),
        TEST(wrong_calls),
        TEST(no_memory_is_said),
    };

    return cmocka_run_group_tests(tests, begin, scratch_remove);
}

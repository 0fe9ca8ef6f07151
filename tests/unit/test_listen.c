/* SPDX-License-Identifier: MIT */
/*
 * test_listen.c - what a server listens on: each form of an address, what is
 * refused without TLS, sockets that a dead server left, and inherited ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "../../modules/server/listen.h"
#include "../lib/server_rig.h"
#include "scratch.h"
#include "test.h"

static char bound[160];

static enum justalock_status try(const char *address, bool has_tls,
                                 struct listener *l,
                                 struct justalock_error *err)
{
    *l = (struct listener){.fd = -7};
    return listen_open(address, has_tls, l, bound, sizeof(bound), err);
}

static void takes(const char *address, bool has_tls, bool is_tls,
                  const char *begins)
{
    struct justalock_error err;
    struct listener l;

    assert_ok(try(address, has_tls, &l, &err), err);
    assert_int_equal(l.is_tls, is_tls);
    if (strncmp(bound, begins, strlen(begins)) != 0)
        fail_msg("%s is bound as %s", address, bound);
    assert_true((fcntl(l.fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(l.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(close(l.fd), 0);
}

static void test_addresses(void **state)
{
    (void)state;
    takes("127.0.0.1:0", false, false, "127.0.0.1:");
    takes("127.9.9.9:0", false, false, "127.9.9.9:");
    takes("localhost:0", false, false, "127.0.0.1:");
    takes("[::1]:0", false, false, "[::1]:");
    takes("127.0.0.1:0", true, false, "127.0.0.1:");
    takes("tls:127.0.0.1:0", true, true, "tls:127.0.0.1:");
    takes("tls:[::1]:0", true, true, "tls:[::1]:");
    takes("0.0.0.0:0", true, true, "tls:0.0.0.0:");
    takes("[::]:0", true, true, "tls:[::]:");
}

static void test_refused(void **state)
{
    static const struct {
        const char *address;
        enum justalock_status st;
        const char *says;
    } cases[] = {
        {"0.0.0.0:7171", JUSTALOCK_DENIED, "not a loopback address; TLS"},
        {"[::]:7171", JUSTALOCK_DENIED, "not a loopback address"},
        {"192.0.2.1:7171", JUSTALOCK_DENIED, "--tls-cert"},
        {"128.0.0.1:7171", JUSTALOCK_DENIED, "not a loopback address"},
        /* An IPv4 address in IPv6 is none that is known to stay here. */
        {"[::ffff:127.0.0.1]:0", JUSTALOCK_DENIED, "not a loopback"},
        {"tls:127.0.0.1:0", JUSTALOCK_DENIED, "TLS and a list of clients"},
        {"", JUSTALOCK_ARG, "not ADDRESS:PORT"},
        {"7171", JUSTALOCK_ARG, "not ADDRESS:PORT"},
        {":7171", JUSTALOCK_ARG, "not ADDRESS:PORT"},
        {"127.0.0.1:", JUSTALOCK_ARG, "port"},
        {"127.0.0.1:x", JUSTALOCK_ARG, "port"},
        {"127.0.0.1:65536", JUSTALOCK_ARG, "65536"},
        {"127.0.0.1:-1", JUSTALOCK_ARG, "port"},
        {"127.1:0", JUSTALOCK_ARG, "127.1 is not an address"},
        {"example.org:0", JUSTALOCK_ARG, "example.org is not an address"},
        {"::1:0", JUSTALOCK_ARG, "is not an address"},
        {"[::1:0", JUSTALOCK_ARG, "is not an address"},
        {"[127.0.0.1]:0", JUSTALOCK_ARG, "is not an address"},
        {"[]:0", JUSTALOCK_ARG, "is not an address"},
        {"11111111111111111111111111111111111111111111111111:0", JUSTALOCK_ARG,
         "not ADDRESS:PORT"},
        {"unix:x", JUSTALOCK_ARG, "must begin with /"},
        {"unix:", JUSTALOCK_ARG, "must begin with /"},
    };
    struct justalock_error err;
    struct listener l;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum justalock_status st = try(cases[i].address, false, &l, &err);

        if (st != cases[i].st || strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: %d %s", cases[i].address, (int)st, err.text);
        assert_int_equal(l.fd, -7); /* untouched */
    }
}

static void test_in_use(void **state)
{
    struct justalock_error err;
    struct listener l, other;

    (void)state;
    assert_ok(try("127.0.0.1:0", false, &l, &err), err);
    assert_fails(try(bound, false, &other, &err), JUSTALOCK_SYS, err,
                 "cannot bind");
    assert_int_equal(err.sys_errno, EADDRINUSE);
    assert_int_equal(other.fd, -7);
    (void)close(l.fd);
}

/* ---- unix sockets ---- */

static const char *at(const char *name)
{
    static char address[300];

    (void)snprintf(address, sizeof(address), "unix:%s", in_scratch(name));
    return address;
}

static void test_unix(void **state)
{
    char longest[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    struct justalock_error err;
    struct listener l, other;
    struct stat sb;
    FILE *f;
    int fd;

    (void)state;
    takes(at("sock"), false, false, "unix:/");
    assert_int_equal(stat(in_scratch("sock"), &sb), 0);
    assert_true(S_ISSOCK(sb.st_mode));
    assert_int_equal(sb.st_mode & 0777, 0666); /* for all users of the host */
    takes(at("sock"), true, false, "unix:/");  /* a dead one's is replaced */
    assert_ok(try(at("sock"), false, &l, &err), err);
    assert_fails(try(at("sock"), false, &other, &err), JUSTALOCK_SYS, err,
                 "cannot bind");
    fd = rig_connect(in_scratch("sock")); /* the first one still serves */
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(l.fd);
    /* What is no socket is nobody's to remove. */
    f = fopen(in_scratch("file"), "we");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(try(at("file"), false, &l, &err), JUSTALOCK_SYS);
    assert_int_equal(stat(in_scratch("file"), &sb), 0);
    assert_int_equal(symlink(in_scratch("sock"), in_scratch("link")), 0);
    assert_int_equal(try(at("link"), false, &l, &err), JUSTALOCK_SYS);
    assert_int_equal(try(at("no/where"), false, &l, &err), JUSTALOCK_SYS);
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0'; /* one too many, with its NUL */
    {
        char address[sizeof(longest) + 8];

        (void)snprintf(address, sizeof(address), "unix:%s", longest);
        assert_fails(try(address, false, &l, &err), JUSTALOCK_ARG, err,
                     "at most 107 bytes");
    }
}

/* ---- inherited ---- */

/* As systemd does: sockets from 3 on, in the environment of this process. So
 * it takes one of its own, whose exit status is the word. */
static int inherit(const int *fds, size_t len, bool has_tls, size_t max,
                   struct listener *ret, size_t *ret_len)
{
    char text[32];
    struct justalock_error err = {.text = ""};

    for (size_t i = 0; i < len; i++)
        if (dup2(fds[i], 3 + (int)i) < 0)
            return -1;
    (void)snprintf(text, sizeof(text), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", text, 1);
    (void)snprintf(text, sizeof(text), "%zu", len);
    (void)setenv("LISTEN_FDS", text, 1);
    return (int)listen_inherited(has_tls, ret, max, ret_len, &err);
}

static int bound_socket(int family, const char *address)
{
    struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
    struct sockaddr_un *sun = (struct sockaddr_un *)&ss;
    int fd = socket(family, SOCK_STREAM, 0);
    socklen_t len = sizeof(*v4);

    if (family == AF_UNIX) {
        (void)snprintf(sun->sun_path, sizeof(sun->sun_path), "%s", address);
        len = sizeof(*sun);
    } else {
        v4->sin_addr.s_addr = htonl((in_addr_t)strtoul(address, NULL, 16));
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) != 0 ||
        listen(fd, 5) != 0 || fcntl(fd, F_DUPFD, 40) < 0)
        return -1;
    return fcntl(fd, F_DUPFD, 40);
}

static int in_child(const int *fds, size_t len, bool has_tls, size_t max,
                    const char *want_tls)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        struct listener l[8];
        size_t n = 99;
        int st = inherit(fds, len, has_tls, max, l, &n);

        if (st == JUSTALOCK_OK && n != strlen(want_tls))
            st = 200;
        for (size_t i = 0; st == JUSTALOCK_OK && i < n; i++)
            if (l[i].is_tls != (want_tls[i] == 't') ||
                (fcntl(l[i].fd, F_GETFL) & O_NONBLOCK) == 0)
                st = 201;
        _exit(st);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_inherited(void **state)
{
    int none[2], fds[3], one;

    (void)state;
    fds[0] = bound_socket(AF_UNIX, in_scratch("inherited"));
    fds[1] = bound_socket(AF_INET, "7f000001");
    fds[2] = bound_socket(AF_INET, "00000000");
    assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
    assert_int_equal(in_child(fds, 2, false, 8, "pp"), JUSTALOCK_OK);
    assert_int_equal(in_child(fds, 3, true, 8, "ppt"), JUSTALOCK_OK);
    assert_int_equal(in_child(fds, 3, false, 8, ""), JUSTALOCK_DENIED);
    assert_int_equal(in_child(fds, 0, false, 8, ""), JUSTALOCK_ARG);
    assert_int_equal(in_child(fds, 3, true, 2, ""), JUSTALOCK_ARG);
    assert_int_equal(pipe(none), 0);
    one = fcntl(none[0], F_DUPFD, 40);
    assert_int_equal(in_child(&one, 1, false, 8, ""), JUSTALOCK_SYS);
    one = fcntl(socket(AF_NETLINK, SOCK_RAW, 0), F_DUPFD, 40);
    assert_int_equal(in_child(&one, 1, false, 8, ""), JUSTALOCK_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_in_use),    cmocka_unit_test(test_unix),
        cmocka_unit_test(test_inherited),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

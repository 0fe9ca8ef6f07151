/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_jail.c - what is left to the keeper once it has given up its
 * privileges and has its filter; each tried in a child of its own, which the
 * kernel may kill.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/agent/keeper_jail.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_FILTER 0 /* see keeper_jail.c */
#else
#define HAS_FILTER 1
#endif

#define YES 42 /* the exit status of a call that worked */
#define NO  43 /* ENOSYS, EPERM, EACCES */

static int answer(bool works)
{
    return works                                                  ? YES
           : errno == ENOSYS || errno == EPERM || errno == EACCES ? NO
                                                                  : 99;
}

/* In the jail; its exit status, or 256 + the signal. */
static int in_jail(int (*fn)(void))
{
    struct justalock_error err;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (jail_drop("nobody", &err) != JUSTALOCK_OK ||
            jail_shut(&err) != JUSTALOCK_OK) {
            (void)fprintf(stderr, "%s\n", err.text);
            _exit(98);
        }
        _exit(fn());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- what it needs ---- */

static int reads_files(void)
{
    return answer(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
}

static int has_sockets(void)
{
    return answer(socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
                  socket(AF_INET6, SOCK_DGRAM, 0) >= 0 &&
                  socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0);
}

static void *nothing(void *arg)
{
    return arg;
}

static int has_threads(void)
{
    pthread_t t;

    return answer((errno = pthread_create(&t, NULL, nothing, NULL)) == 0 &&
                  pthread_join(t, NULL) == 0);
}

/* ---- what it must not ---- */

static int writes_files(void)
{
    return answer(open("/dev/null", O_WRONLY) >= 0);
}

static int makes_files(void)
{
    return answer(open("/tmp/justalock-jail", O_RDONLY | O_CREAT, 0600) >= 0);
}

static int has_raw_sockets(void)
{
    return answer(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}

static int has_other_families(void)
{
    return answer(socket(AF_VSOCK, SOCK_STREAM, 0) >= 0);
}

static int kills(void)
{
    return answer(kill(getppid(), 0) == 0);
}

static int changes_limits(void)
{
    struct rlimit r = {.rlim_cur = 10, .rlim_max = 10};

    return answer(setrlimit(RLIMIT_NOFILE, &r) == 0);
}

static int becomes_root(void)
{
    return answer(setuid(0) == 0);
}

/* ---- what only an attacker asks for ---- */

static int execs(void)
{
    return answer(execl("/bin/true", "true", (char *)NULL) == 0);
}

static int traces(void)
{
    return answer(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
}

static int forks(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return answer(pid > 0);
}

static void what_it_needs(void **state)
{
    (void)state;
    assert_int_equal(in_jail(reads_files), YES);
    assert_int_equal(in_jail(has_sockets), YES);
    assert_int_equal(in_jail(has_threads), YES);
}

static void what_it_must_not(void **state)
{
    (void)state;
    assert_int_equal(in_jail(becomes_root), NO);
    if (!HAS_FILTER)
        return;
    assert_int_equal(in_jail(writes_files), NO);
    assert_int_equal(in_jail(makes_files), NO);
    assert_int_equal(access("/tmp/justalock-jail", F_OK), -1);
    assert_int_equal(in_jail(has_raw_sockets), NO);
    assert_int_equal(in_jail(has_other_families), NO);
    assert_int_equal(in_jail(kills), NO);
    assert_int_equal(in_jail(changes_limits), NO);
    assert_int_equal(in_jail(forks), NO);
}

static void what_only_an_attacker_asks_for(void **state)
{
    (void)state;
    if (!HAS_FILTER)
        return;
    assert_int_equal(in_jail(execs), 256 + SIGSYS);
    assert_int_equal(in_jail(traces), 256 + SIGSYS);
}

static int is_as_it_should_be(void)
{
    struct rlimit core, files;

    (void)getrlimit(RLIMIT_CORE, &core);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    return answer(getuid() == 65534 && geteuid() == 65534 &&
                  getgid() == 65534 && getgroups(0, NULL) == 0 &&
                  prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  prctl(PR_GET_DUMPABLE) == 0 && core.rlim_cur == 0 &&
                  core.rlim_max == 0 && files.rlim_cur <= 8192);
}

static int as_dropped(const char *user)
{
    static const gid_t groups[] = {0, 4};
    struct justalock_error err;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        enum justalock_status st;

        if (setgroups(LENGTH(groups), groups) < 0)
            _exit(97);
        st = jail_drop(user, &err);
        if (st != JUSTALOCK_OK)
            _exit(strstr(err.text, "must not be") ? 77 : 98);
        _exit(is_as_it_should_be());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void never_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(as_dropped("root"), 77);
    assert_int_equal(as_dropped("nobody"), YES);
    assert_int_equal(as_dropped("no-such-user-here"), YES); /* nobody */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_needs),
        cmocka_unit_test(what_it_must_not),
        cmocka_unit_test(what_only_an_attacker_asks_for),
        cmocka_unit_test(never_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

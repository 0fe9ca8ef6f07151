/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_spawn.c - what justalock-keeper gets of who starts it: one
 * descriptor and nothing else. The program beside ours is a script here that
 * says what it sees; who starts it is this program, run anew from a folder
 * with such a neighbour.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "keeper_wire.h"
#include "scratch.h"
#include "test.h"

static const char script[] =
    "#!/bin/sh\n"
    "ls -l /proc/$$/fd >&0\n" /* lines end in "NUMBER -> WHAT" */
    "{\n"
    "echo \"args:$*\"\n"
    "echo \"cwd:$(pwd)\"\n"
    "tr '\\0' '\\n' </proc/$$/environ | sed 's/^/env:/'\n"
    /* By itself: around a fork the shell blocks them all. */
    "while read -r l; do case $l in Sig*) echo \"$l\" ;; esac; done "
    "</proc/$$/status\n"
    "read -r pid comm state ppid pgrp sid rest </proc/$$/stat\n"
    "echo \"session:$((sid == pid))\"\n"
    "} >&0 2>/dev/null\n";

/* ---- who starts it: this program, by another name ---- */

static void no_close_range(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (filter == NULL ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), 436, 0) != 0 ||
        seccomp_load(filter) != 0)
        _exit(90);
    seccomp_release(filter);
}

/* The socket is 0 here; what to do beforehand is said by letters. */
static int spawn(const char *how)
{
    struct justalock_error err = {.text = ""};
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 50);
    sigset_t all;
    pid_t pid = -1;
    enum justalock_status st;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)setenv("LD_PRELOAD_OF_OURS", "x", 1);
    for (int i = 60; i < 300; i++) /* more than one reading lists */
        (void)fcntl(2, F_DUPFD, i);
    if (strchr(how, 'r') != NULL)
        no_close_range();
    for (int i = 0; i < 3; i++)
        if (strchr(how, '0' + i) != NULL)
            (void)close(i);
    if (strchr(how, 'j') != NULL)
        (void)setenv("JOURNAL_STREAM", "8:12345", 1);
    if (strchr(how, 'J') != NULL)
        (void)setenv("JOURNAL_STREAM",
                     "1234567890123456789012345678901234567890123456789", 1);
    st = keeper_wire_spawn(fd, "--connected",
                           strchr(how, 'u') != NULL ? "nobody" : NULL, &pid,
                           &err);
    if (st != JUSTALOCK_OK) {
        dprintf(fd, "error:%d %s", (int)st, err.text);
        return 80;
    }
    if (pid <= 0 || waitpid(pid, NULL, 0) != pid)
        return 81;
    return 0;
}

/* ---- the tests ---- */

static char said[65536];

static int run(const char *folder, const char *how)
{
    char path[300];
    int sv[2], status = 0;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/bin/starter", in_scratch(folder));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(sv[1], 0);
        (void)execl(path, path, "spawn", how, (char *)NULL);
        _exit(99);
    }
    assert_true(pid > 0);
    (void)close(sv[1]);
    while (len < sizeof(said) - 1 &&
           (n = read(sv[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    (void)close(sv[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool copy(const char *to)
{
    char chunk[65536];
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ssize_t n;
    bool ok = in >= 0 && out >= 0;

    while (ok && (n = read(in, chunk, sizeof(chunk))) > 0)
        ok = write(out, chunk, (size_t)n) == n;
    return ok && close(in) == 0 && close(out) == 0;
}

static void make_folder(const char *folder, const char *text, mode_t mode)
{
    static const char *const parts[] = {"", "/bin", "/libexec",
                                        "/libexec/justalock"};
    char path[400];
    int fd;

    for (size_t i = 0; i < LENGTH(parts); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", in_scratch(folder),
                       parts[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    (void)snprintf(path, sizeof(path), "%s/bin/starter", in_scratch(folder));
    assert_true(copy(path));
    if (text == NULL)
        return;
    (void)snprintf(path, sizeof(path), "%s/libexec/justalock/justalock-keeper",
                   in_scratch(folder));
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

/* Descriptors 0 to 2, and what the shell has itself: 10 and some. */
static void only_ours(void)
{
    assert_has(said, " 0 -> socket:");
    assert_has(said, "1 -> /dev/null"); /* 1, or 11 while ls has it */
    assert_has(said, " 2 -> ");
    for (char *at = strstr(said, " -> "); at != NULL;
         at = strstr(at + 1, " -> ")) {
        long fd;

        *at = '\0';
        fd = strtol(strrchr(said, ' ') + 1, NULL, 10);
        *at = ' ';
        if ((fd > 2 && fd < 10) || fd >= 20)
            fail_msg("it has %ld%.40s", fd, at);
    }
}

static void test_nothing_else(void **state)
{
    static const char *const hows[] = {"", "r", "1", "2", "12", "0", "012r"};

    (void)state;
    for (size_t i = 0; i < LENGTH(hows); i++) {
        assert_int_equal(run("good", hows[i]), 0);
        assert_has(said, "args:--connected\n");
        assert_has(said, "cwd:/\n");
        assert_has(said, "session:1\n");
        assert_has(said, "SigBlk:\t0000000000000000\n");
        assert_has(said, "SigIgn:\t");
        /* 32 and 33 are the C library's own, which nobody can set. */
        assert_int_equal(strtoull(strstr(said, "SigIgn:\t") + 8, NULL, 16) &
                             ~0x180000000ULL,
                         0);
        only_ours();
        assert_has(said, "env:PATH=/usr/bin:/bin\n");
        assert_null(strstr(said, "LD_PRELOAD_OF_OURS"));
        assert_null(strstr(said, "env:HOME"));
    }
}

static void test_user_and_journal(void **state)
{
    (void)state;
    assert_int_equal(run("good", "uj"), 0);
    assert_has(said, "args:--connected --user nobody\n");
    assert_has(said, "env:JOURNAL_STREAM=8:12345\n");
    assert_int_equal(run("good", "J"), 0); /* too long: not half of it */
    assert_null(strstr(said, "JOURNAL_STREAM"));
}

/* Why it does not run is known to the caller, not only to the child. */
static void test_cannot(void **state)
{
    (void)state;
    make_folder("none", NULL, 0);
    assert_int_equal(run("none", ""), 80);
    assert_has(said, "error:5 ");
    assert_has(said, "/none/bin/../libexec/justalock/justalock-keeper");
    assert_has(said, strerror(ENOENT));
    make_folder("plain", "x", 0644);
    assert_int_equal(run("plain", "r"), 80);
    assert_has(said, strerror(EACCES));
    make_folder("rubbish", "no program", 0755);
    assert_int_equal(run("rubbish", ""), 80);
    assert_has(said, strerror(ENOEXEC));
}

/* After an upgrade the running program's file is gone; its place is not. */
static void test_upgraded(void **state)
{
    char path[300], other[300];

    (void)state;
    make_folder("new", script, 0755);
    (void)snprintf(path, sizeof(path), "%s/bin/starter", in_scratch("new"));
    (void)snprintf(other, sizeof(other), "%s/bin/starter (deleted)",
                   in_scratch("new"));
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink("starter (deleted)", path), 0);
    assert_int_equal(run("new", ""), 0);
    assert_has(said, "args:--connected\n");
}

static int make(void **state)
{
    if (scratch_make(state) != 0 || chmod(scratch, 0755) != 0)
        return -1;
    make_folder("good", script, 0755);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_user_and_journal),
        cmocka_unit_test(test_cannot),
        cmocka_unit_test(test_upgraded),
    };

    if (argc == 3 && strcmp(argv[1], "spawn") == 0)
        return spawn(argv[2]);
    return cmocka_run_group_tests(tests, make, scratch_remove);
}

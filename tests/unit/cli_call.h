/* SPDX-License-Identifier: MIT */
/*
 * cli_call.h - one subcommand in a process of its own, as main() calls it: its
 * exit status, and what it wrote.
 */
#ifndef TESTS_UNIT_CLI_CALL_H
#define TESTS_UNIT_CLI_CALL_H

#include "test.h"

#include <fcntl.h>
#include <getopt.h>
#include <json.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/cli.h"
#include "scratch.h"

#define CALL_MAX_S 60

static char said[65536];    /* on stdout, by the last call */
static char said_err[8192]; /* on stderr */

static void call_read(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);

    assert_true(n >= 0 && (size_t)n < size - 1);
    text[n] = '\0';
    assert_int_equal(strlen(text), n); /* no NUL reaches anybody */
    (void)close(fd);
}

static int call_file(const char *name)
{
    int fd =
        open(in_scratch(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* What happens in the new process around the command; NULL: nothing. */
static void (*call_before)(void);
static void (*call_after)(void);

static int call_end(int (*cmd)(int argc, char **argv), int argc, char **argv)
{
    int code;

    (void)alarm(CALL_MAX_S);
    if (call_before != NULL)
        call_before();
    optind = 1;
    code = cmd(argc, argv);
    if (call_after != NULL)
        call_after();
    return fflush(stdout) != 0 && code == CLI_OK ? CLI_LOCAL : code;
}

/* The arguments end with NULL; stdin is /dev/null. */
static int call(int (*cmd)(int argc, char **argv), ...)
{
    int out = call_file("stdout"), err = call_file("stderr");
    char *argv[16];
    int argc = 0, status;
    va_list ap;
    pid_t pid;

    va_start(ap, cmd);
    while (argc < (int)LENGTH(argv) - 1 &&
           (argv[argc] = va_arg(ap, char *)) != NULL)
        argc++;
    va_end(ap);
    argv[argc] = NULL;
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
            dup2(err, 2) < 0)
            _exit(99);
        _exit(call_end(cmd, argc, argv));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    call_read(out, said, sizeof(said));
    call_read(err, said_err, sizeof(said_err));
    if (!WIFEXITED(status))
        fail_msg("it ended by signal %d: %s", WTERMSIG(status), said_err);
    return WEXITSTATUS(status);
}

#define assert_call(want, ...)                                                 \
    do {                                                                       \
        int code_ = call(__VA_ARGS__, (char *)NULL);                           \
        if (code_ != (want))                                                   \
            fail_msg("status %d, not %d: %s%s", code_, (want), said,           \
                     said_err);                                                \
    } while (0)

/* Each line of `said` is an object of JSON; returns how many there are, and
 * the last one. To be put by the caller. */
static inline size_t call_json(struct json_object **ret_last)
{
    size_t n = 0;

    *ret_last = NULL;
    for (char *at = said, *end; *at != '\0'; at = end + 1, n++) {
        end = strchr(at, '\n');
        assert_non_null(end);
        *end = '\0';
        (void)json_object_put(*ret_last);
        *ret_last = json_tokener_parse(at);
        if (*ret_last == NULL ||
            !json_object_is_type(*ret_last, json_type_object))
            fail_msg("no object: %s", at);
    }
    return n;
}

static inline const char *json_text(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v)
                                                 : "(none)";
}

#endif

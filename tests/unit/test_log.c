/* SPDX-License-Identifier: MIT */
/*
 * test_log.c - log.c: what reaches stderr, seen through a pipe in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "test.h"

static int pipe_fds[2];
static int saved_stderr;

static int setup(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    if (saved_stderr < 0 || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    return dup2(pipe_fds[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return 0;
}

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[8192];
    ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_plain(void **state)
{
    (void)state;
    log_open("justalock-agent", LOG_LEVEL_DEBUG);
    errno = EXDEV;
    log_error("a %s", "b");
    assert_int_equal(errno, EXDEV);
    assert_string_equal(logged(), "justalock-agent: error: a b\n");
    log_warn("w");
    assert_string_equal(logged(), "justalock-agent: warning: w\n");
    log_info("i");
    assert_string_equal(logged(), "justalock-agent: info: i\n");
    log_debug("d");
    assert_string_equal(logged(), "justalock-agent: debug: d\n");
}

static void test_levels(void **state)
{
    (void)state;
    for (int most = LOG_LEVEL_ERROR; most <= LOG_LEVEL_DEBUG; most++) {
        int lines = 0;

        log_open("x", (enum log_level)most);
        log_error("e");
        log_warn("w");
        log_info("i");
        log_debug("d");
        for (const char *p = logged(); *p != '\0'; p++)
            lines += *p == '\n';
        assert_int_equal(lines, most + 1);
    }
}

static void test_one_clean_line(void **state)
{
    (void)state;
    log_open("x", LOG_LEVEL_INFO);
    log_info("a\nx: error: forged\r\033[2Jb\xc2\x9b"
             "c");
    assert_string_equal(logged(), "x: info: a?x: error: forged??[2Jb??c\n");
    errno = ENOENT;
    log_info("%m");
    assert_string_equal(logged(), "x: info: No such file or directory\n");
}

static void test_long(void **state)
{
    static char text[3000];
    const char *line;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    log_open("a-program-name-that-is-longer-than-what-is-kept", LOG_LEVEL_INFO);
    log_info("%s", text);
    line = logged();
    assert_true(strlen(line) <= 1024);
    assert_true(strlen(line) > 1000);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void set_journal(int fd)
{
    struct stat st;
    char text[64];

    assert_int_equal(fstat(fd, &st), 0);
    (void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static void test_journal(void **state)
{
    (void)state;
    set_journal(STDERR_FILENO);
    log_open("x", LOG_LEVEL_DEBUG);
    log_error("e");
    log_warn("w");
    log_info("i");
    log_debug("d");
    assert_string_equal(logged(), "<3>e\n<4>w\n<6>i\n<7>d\n");
    /* JOURNAL_STREAM is inherited by those whose stderr is elsewhere. */
    set_journal(saved_stderr);
    log_open("x", LOG_LEVEL_DEBUG);
    log_error("e");
    assert_string_equal(logged(), "x: error: e\n");
}

/* A full pipe that nobody reads: lines are dropped, nobody waits long. */
static void test_slow_reader(void **state)
{
    struct clock_time start = clock_now();
    int flags = fcntl(pipe_fds[1], F_GETFL);

    (void)state;
    assert_true(flags >= 0);
    assert_int_equal(fcntl(pipe_fds[1], F_SETFL, flags & ~O_NONBLOCK), 0);
    log_open("x", LOG_LEVEL_INFO);
    for (int i = 0; i < 5000; i++)
        log_info("a line that nobody reads, again and again");
    assert_true(clock_elapsed_ms(start, clock_now()) < 5000);
    assert_has(logged(), "x: info: a line");
    while (logged()[0] != '\0')
        ;
    log_info("read again");
    assert_string_equal(logged(), "x: info: read again\n");
}

/* A reader that is gone: no SIGPIPE, which would end this test. */
static void test_no_reader(void **state)
{
    (void)state;
    (void)close(pipe_fds[0]);
    log_open("x", LOG_LEVEL_INFO);
    errno = EXDEV;
    log_info("into the void");
    assert_int_equal(errno, EXDEV);
}

static void test_no_stderr(void **state)
{
    (void)state;
    (void)close(STDERR_FILENO);
    log_info("nowhere");
    assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
    assert_string_equal(logged(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_clean_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_stderr, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * log.c - one line to stderr for the programs: one write, no stdio stream, no
 * allocation, errno kept. Never used by the library or the modules.
 *
 * A reader that does not read (a stopped journal) must not hold up one who
 * has deadlines to keep: a line waits a tenth of a second at most, and the
 * lines after one that was dropped do not wait at all.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parse.h"

#define LINE_MAX_LEN 1024 /* bytes of a line with its newline; cut there */
#define WAIT_MS      100  /* for a reader that is slow */

static char log_program[32] = "justalock";
static enum log_level log_most = LOG_LEVEL_INFO;
static bool log_journal;
static bool log_stuck; /* the last line was dropped */

static const struct {
    const char *name;
    int priority; /* syslog's, for the journal */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARN] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/*
 * systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream to the
 * journal; only if it is our stderr does the prefix make sense.
 */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char want[48];

    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    (void)snprintf(want, sizeof(want), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    return strcmp(stream, want) == 0;
}

void log_open(const char *program, enum log_level most)
{
    (void)snprintf(log_program, sizeof(log_program), "%s", program);
    log_most = most;
    log_journal = is_journal();
}

/*
 * A line is shorter than PIPE_BUF, so it does not block where POLLOUT is said.
 * Not written where the reader is gone (POLLERR): that would be a SIGPIPE. A
 * log that cannot be written has nowhere to be reported.
 */
static void write_line(const char *line, size_t len)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int n;

    do
        n = poll(&p, 1, log_stuck ? 0 : WAIT_MS);
    while (n < 0 && errno == EINTR && !log_stuck);
    log_stuck = n <= 0;
    if (log_stuck || (p.revents & (POLLERR | POLLNVAL)) != 0)
        return;
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
        ;
}

PRINTF_LIKE(2, 0)
static void log_line(enum log_level level, const char *fmt, va_list ap)
{
    int saved = errno;
    char line[LINE_MAX_LEN];
    size_t len, start;
    int n;

    if (level > log_most)
        return;
    if (log_journal)
        n = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
    else
        n = snprintf(line, sizeof(line), "%s: %s: ", log_program,
                     levels[level].name);
    if (n < 0)
        return;
    start = (size_t)n;
    errno = saved; /* for %m */
    n = vsnprintf(line + start, sizeof(line) - start, fmt, ap);
    if (n < 0)
        return;
    len = strlen(line);
    parse_mask_unclean(line + start);
    if (len == sizeof(line) - 1)
        len--;
    line[len++] = '\n';
    write_line(line, len);
    errno = saved;
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line(LOG_LEVEL_ERROR, fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line(LOG_LEVEL_WARN, fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line(LOG_LEVEL_INFO, fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line(LOG_LEVEL_DEBUG, fmt, ap);
    va_end(ap);
}

/* SPDX-License-Identifier: MIT */
/*
 * words.c - how the command line speaks on stderr: plain lines, refusals of
 * its own calls, and the line that shows a wait. One write per line, no stdio
 * stream, so that lines of several processes do not mix. And the names of
 * locks, on stdout.
 */
#include "words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "parse.h"
#include "wire.h"

#define LINE_LEN       1024
#define NAME           "justalock: "
#define CLEAR_LINE     "\r\033[K"
#define EVERY_TTY_MS   1000
#define EVERY_PLAIN_MS 60000

static void put(const char *text, size_t len)
{
    /* There is nowhere else to complain to. */
    while (write(STDERR_FILENO, text, len) < 0 && errno == EINTR)
        ;
}

PRINTF_LIKE(1, 0)
static void say_line(const char *fmt, va_list ap)
{
    char line[LINE_LEN] = NAME;
    size_t start = strlen(NAME);
    size_t len;

    if (vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap) < 0)
        return;
    parse_mask_unclean(line + start);
    len = strlen(line);
    line[len++] = '\n';
    put(line, len);
}

void cli_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say_line(fmt, ap);
    va_end(ap);
}

int cli_usage(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say_line(fmt, ap);
    va_end(ap);
    cli_say("see \"justalock %s%s--help\"", command,
            command[0] != '\0' ? " " : "");
    return CLI_USAGE;
}

int cli_exit_code(enum justalock_status status)
{
    switch (status) {
    case JUSTALOCK_OK:
        return CLI_OK;
    case JUSTALOCK_HELD:
        return CLI_BUSY;
    case JUSTALOCK_LOST:
        return CLI_LOST;
    case JUSTALOCK_ARG:
        return CLI_USAGE;
    case JUSTALOCK_NET:
    case JUSTALOCK_PROTO:
        return CLI_NET;
    case JUSTALOCK_DENIED:
        return CLI_DENIED;
    case JUSTALOCK_CONFIG:
        return CLI_CONFIG;
    default:
        return CLI_LOCAL;
    }
}

int cli_fail(const struct justalock_error *err, enum justalock_status status)
{
    cli_say("%s", err->text);
    return cli_exit_code(status);
}

enum justalock_status cli_verdict_status(unsigned verdict)
{
    switch (verdict) {
    case WIRE_GO:
        return JUSTALOCK_OK;
    case WIRE_REFUSED_BUSY:
        return JUSTALOCK_HELD;
    case WIRE_REFUSED_NET:
        return JUSTALOCK_NET;
    case WIRE_REFUSED_DENIED:
        return JUSTALOCK_DENIED;
    case WIRE_REFUSED_CONFIG:
        return JUSTALOCK_CONFIG;
    case WIRE_REFUSED_BAD:
        return JUSTALOCK_ARG;
    case WIRE_REFUSED_LOST:
        return JUSTALOCK_LOST;
    default:
        return JUSTALOCK_SYS;
    }
}

enum justalock_status cli_put_json(struct buf *b, struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    if (b->failed)
        st = error_nomem(err);
    else
        (void)puts(b->data);
    buf_done(b);
    return st;
}

enum justalock_status cli_put_name(const char *name, bool json,
                                   struct justalock_error *err)
{
    struct buf b;

    if (!json) {
        (void)puts(name);
        return JUSTALOCK_OK;
    }
    buf_init(&b, 4096);
    buf_str(&b, "{\"lock\":");
    buf_json(&b, name);
    buf_str(&b, "}");
    return cli_put_json(&b, err);
}

static bool is_smart_terminal(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) == 1 && term != NULL &&
           strcmp(term, "dumb") != 0;
}

void waiting_init(struct waiting *w)
{
    memset(w, 0, sizeof(*w));
    w->in_place = is_smart_terminal();
    w->begun = clock_now();
}

/*
 * Cut to the terminal's width: a wrapped line cannot be taken back. Characters
 * of three bytes and more may be two columns wide (the first is U+1100), and
 * are counted so: which are depends on the terminal.
 */
static void cut_to_width(char *line)
{
    struct winsize size;
    size_t width = 80;
    size_t at = 0, shown = 0, n;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    while (line[at] != '\0') {
        n = parse_utf8_char(line + at, strlen(line + at));
        shown += n < 3 ? 1 : 2;
        if (shown > width - 1)
            break;
        at += n > 0 ? n : 1;
    }
    line[at] = '\0';
}

static void show_in_place(struct waiting *w, struct clock_time now)
{
    char line[LINE_LEN];
    char out[LINE_LEN + sizeof(CLEAR_LINE)];
    int n;

    (void)snprintf(line, sizeof(line), NAME "%s (%lld s)", w->text,
                   (long long)(clock_elapsed_ms(w->begun, now) / 1000));
    parse_mask_unclean(line);
    cut_to_width(line);
    n = snprintf(out, sizeof(out), CLEAR_LINE "%s", line);
    if (n > 0)
        put(out, strlen(out));
}

void waiting_show(struct waiting *w, const char *text)
{
    struct clock_time now = clock_now();

    (void)snprintf(w->text, sizeof(w->text), "%s", text);
    if (w->in_place)
        show_in_place(w, now);
    else if (!w->shown)
        cli_say("%s", w->text);
    if (w->in_place || !w->shown)
        w->due = clock_add(now, w->in_place ? EVERY_TTY_MS : EVERY_PLAIN_MS);
    w->shown = true;
}

void waiting_tick(struct waiting *w)
{
    struct clock_time now = clock_now();

    if (!w->shown || clock_left_ms(w->due, now) > 0)
        return;
    if (w->in_place)
        show_in_place(w, now);
    else
        cli_say("%s (%lld s)", w->text,
                (long long)(clock_elapsed_ms(w->begun, now) / 1000));
    w->due = clock_add(now, w->in_place ? EVERY_TTY_MS : EVERY_PLAIN_MS);
}

struct clock_time waiting_due(const struct waiting *w)
{
    return w->shown ? w->due : clock_never();
}

void waiting_done(struct waiting *w)
{
    if (w->shown && w->in_place)
        put(CLEAR_LINE, strlen(CLEAR_LINE));
    w->shown = false;
}

/* SPDX-License-Identifier: MIT */
/*
 * parse.c - the one strict parser for numbers and times from outside, and
 * checks of outside text. Knows no option and no key.
 */
#include "parse.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define MS_PER_S 1000
#define MS_PER_M (60 * MS_PER_S)
#define MS_PER_H (60 * MS_PER_M)

/* Digits at text; false where there is none or they exceed 64 bits. */
static bool read_digits(const char *text, uint64_t *ret_value, size_t *ret_len)
{
    uint64_t v = 0;
    size_t len = 0;

    for (; text[len] >= '0' && text[len] <= '9'; len++)
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[len] - '0'), &v))
            return false;
    *ret_value = v;
    *ret_len = len;
    return len > 0;
}

static bool is_all_digits(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

enum justalock_status parse_u64(const char *text, uint64_t min, uint64_t max,
                                const char *what, uint64_t *ret_value,
                                struct justalock_error *err)
{
    uint64_t v = 0;
    size_t len = 0;

    if (!is_all_digits(text))
        return error_set(err, JUSTALOCK_ARG, "%s: \"%s\" is not a number", what,
                         text);
    if (!read_digits(text, &v, &len) || v < min || v > max)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: %s is not within %" PRIu64 " and %" PRIu64, what,
                         text, min, max);
    *ret_value = v;
    return JUSTALOCK_OK;
}

/* Milliseconds of a unit; 0: no such unit. */
static uint64_t unit_ms(const char *unit)
{
    if (unit[0] == '\0' || strcmp(unit, "s") == 0)
        return MS_PER_S;
    if (strcmp(unit, "ms") == 0)
        return 1;
    if (strcmp(unit, "m") == 0)
        return MS_PER_M;
    return strcmp(unit, "h") == 0 ? MS_PER_H : 0;
}

enum justalock_status parse_time_ms(const char *text, int64_t max_ms,
                                    const char *what, int64_t *ret_ms,
                                    struct justalock_error *err)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t unit = unit_ms(text + digits);
    uint64_t v = 0;
    size_t len = 0;

    if (digits == 0 || unit == 0)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: \"%s\" is not a time such as 90, 90s, 5m, 2h, "
                         "250ms",
                         what, text);
    if (!read_digits(text, &v, &len) || __builtin_mul_overflow(v, unit, &v) ||
        max_ms < 0 || v > (uint64_t)max_ms)
        return error_set(err, JUSTALOCK_ARG, "%s: %s is above %" PRId64 "%s",
                         what, text,
                         max_ms % MS_PER_S == 0 ? max_ms / MS_PER_S : max_ms,
                         max_ms % MS_PER_S == 0 ? "s" : "ms");
    *ret_ms = (int64_t)v;
    return JUSTALOCK_OK;
}

enum justalock_status parse_life_s(const char *text, const char *what,
                                   unsigned *ret_s, struct justalock_error *err)
{
    struct justalock_error shape;
    int64_t ms = 0;

    /* A shape error and a range error read differently; try the shape with
     * no limit first. */
    if (parse_time_ms(text, INT64_MAX, what, &ms, &shape) != JUSTALOCK_OK) {
        size_t digits = strspn(text, "0123456789");

        if (digits == 0 || unit_ms(text + digits) == 0)
            return error_set(err, JUSTALOCK_ARG, "%s", shape.text);
        ms = INT64_MAX - INT64_MAX % MS_PER_S;
    }
    if (ms % MS_PER_S != 0)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: %s is not a whole number of seconds", what, text);
    if (ms < (int64_t)JUSTALOCK_LIFE_MIN_S * MS_PER_S ||
        ms > (int64_t)JUSTALOCK_LIFE_MAX_S * MS_PER_S)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: %s is not within %d and %d seconds", what, text,
                         JUSTALOCK_LIFE_MIN_S, JUSTALOCK_LIFE_MAX_S);
    *ret_s = (unsigned)(ms / MS_PER_S);
    return JUSTALOCK_OK;
}

enum justalock_status parse_name(const char *text, const char *what,
                                 struct justalock_error *err)
{
    size_t len = strlen(text);

    if (len == 0)
        return error_set(err, JUSTALOCK_ARG, "%s: the name is empty", what);
    if (len > PARSE_NAME_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: the name has %zu bytes, at most %d are allowed",
                         what, len, PARSE_NAME_MAX);
    if (!parse_is_clean_text(text, len))
        return error_set(err, JUSTALOCK_ARG,
                         "%s: the name has control characters or is not UTF-8",
                         what);
    if (text[0] == ' ' || text[len - 1] == ' ')
        return error_set(err, JUSTALOCK_ARG,
                         "%s: the name \"%s\" begins or ends with a space",
                         what, text);
    return JUSTALOCK_OK;
}

/* RFC 3629; the bounds of the second byte are those of Unicode table 3-7. */
size_t parse_utf8_char(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t need;

    if (len == 0 || s[0] < 0x80)
        return len == 0 ? 0 : 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0; /* overlong below */
    else if (s[0] == 0xed)
        high = 0x9f; /* surrogates above */
    else if (s[0] == 0xf0)
        low = 0x90; /* overlong below */
    else if (s[0] == 0xf4)
        high = 0x8f; /* beyond U+10FFFF above */
    if (need > len || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

/* Length of the character at s if it is one that may be shown, else 0. */
static size_t clean_char(const char *s, size_t left)
{
    size_t n = parse_utf8_char(s, left);
    unsigned char c = (unsigned char)s[0];

    if (n == 1 && (c < 0x20 || c == 0x7f))
        return 0;
    if (n == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
        return 0; /* C1 controls, U+0080..U+009F */
    return n;
}

bool parse_is_clean_text(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t n = clean_char(text + at, len - at);

        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

void parse_mask_unclean(char *text)
{
    size_t len = strlen(text);
    size_t at = 0;

    while (at < len) {
        size_t n = clean_char(text + at, len - at);

        if (n == 0)
            text[at] = '?';
        at += n == 0 ? 1 : n;
    }
}

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
    {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ},     {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM},
    {"WINCH", SIGWINCH},   {"IO", SIGIO},     {"PWR", SIGPWR},
    {"SYS", SIGSYS},
};

#define SIGNALS_LEN (sizeof(signals) / sizeof(signals[0]))

int parse_signal(const char *text)
{
    uint64_t v = 0;
    size_t len = 0;

    if (is_all_digits(text)) {
        if (!read_digits(text, &v, &len) || v < 1 || v > (uint64_t)SIGRTMAX)
            return 0;
        return (int)v;
    }
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    for (size_t i = 0; i < SIGNALS_LEN; i++)
        if (strcmp(text, signals[i].name) == 0)
            return signals[i].number;
    return 0;
}

const char *parse_signal_name(int signo)
{
    for (size_t i = 0; i < SIGNALS_LEN; i++)
        if (signals[i].number == signo)
            return signals[i].name;
    return "?";
}

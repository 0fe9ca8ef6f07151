/* SPDX-License-Identifier: MIT */
/*
 * error.c - fill and wrap struct justalock_error. Never allocates, never
 * prints, leaves errno as it was.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"

/* Bytes of the UTF-8 character that starts with this byte; 1 for a stray. */
static size_t lead_len(unsigned char c)
{
    if (c >= 0xf0 && c <= 0xf4)
        return 4;
    if (c >= 0xe0)
        return c <= 0xef ? 3 : 1;
    return c >= 0xc2 && c <= 0xdf ? 2 : 1;
}

/* Take off a character that vsnprintf cut in its middle. */
static void trim_cut_char(char *text)
{
    size_t len = strlen(text);
    size_t back = 0;

    while (back < 3 && back < len &&
           ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == len)
        return;
    if (lead_len((unsigned char)text[len - 1 - back]) > back + 1)
        text[len - 1 - back] = '\0';
}

/* Format into err->text, which may also be read by the arguments. */
PRINTF_LIKE(2, 0)
static void format_text(struct justalock_error *err, const char *fmt,
                        va_list ap)
{
    char text[sizeof(err->text)];
    int n = vsnprintf(text, sizeof(text), fmt, ap);

    if (n < 0)
        (void)snprintf(text, sizeof(text), "(this message has no text)");
    else if ((size_t)n >= sizeof(text))
        trim_cut_char(text);
    parse_mask_unclean(text);
    memcpy(err->text, text, strlen(text) + 1);
}

/* Append what fits of the two parts to err->text. */
static void append(struct justalock_error *err, const char *sep,
                   const char *more)
{
    size_t len = strlen(err->text);
    size_t room = sizeof(err->text) - len;
    int n = snprintf(err->text + len, room, "%s%s", sep, more);

    if (n >= 0 && (size_t)n >= room)
        trim_cut_char(err->text);
    parse_mask_unclean(err->text);
}

enum justalock_status error_set(struct justalock_error *err,
                                enum justalock_status status, const char *fmt,
                                ...)
{
    int saved = errno;
    va_list ap;

    if (err == NULL)
        return status;
    va_start(ap, fmt);
    format_text(err, fmt, ap);
    va_end(ap);
    err->status = status;
    err->sys_errno = 0;
    err->http_status = 0;
    errno = saved;
    return status;
}

enum justalock_status error_sys(struct justalock_error *err, int errnum,
                                const char *fmt, ...)
{
    int saved = errno;
    char reason[128] = "";
    va_list ap;

    if (err == NULL)
        return JUSTALOCK_SYS;
    va_start(ap, fmt);
    format_text(err, fmt, ap);
    va_end(ap);
    /* The GNU form: may return a static text and leave the buffer alone. */
    append(err, ": ", strerror_r(errnum, reason, sizeof(reason)));
    err->status = JUSTALOCK_SYS;
    err->sys_errno = errnum;
    err->http_status = 0;
    errno = saved;
    return JUSTALOCK_SYS;
}

enum justalock_status error_wrap(struct justalock_error *err,
                                 enum justalock_status status, const char *fmt,
                                 ...)
{
    int saved = errno;
    char inner[sizeof(err->text)];
    va_list ap;

    if (err == NULL)
        return status;
    memcpy(inner, err->text, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    va_start(ap, fmt);
    format_text(err, fmt, ap);
    va_end(ap);
    if (inner[0] != '\0')
        append(err, ": ", inner);
    err->status = status;
    errno = saved;
    return status;
}

enum justalock_status error_nomem(struct justalock_error *err)
{
    error_set(err, JUSTALOCK_NOMEM, "no memory");
    if (err != NULL)
        err->sys_errno = ENOMEM;
    return JUSTALOCK_NOMEM;
}

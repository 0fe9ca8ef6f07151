/* SPDX-License-Identifier: MIT */
/*
 * config_report.c - says what is wrong where: file:line:col: error: text,
 * then the line with a caret, as compilers do; and what may have been meant
 * by an unknown key.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"
#include "parse.h"

#define SHOWN_MAX  160 /* characters of a line */
#define BEFORE_MAX 100 /* characters before the caret in a longer one */
#define WORD_MAX   32  /* longer words are not compared */
#define FAR        3   /* changes from which two words are not alike */

static bool is_char_start(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* Start of a line, or the end of the text. */
static const char *find_line(const struct config_text *t, unsigned line)
{
    const char *p = t->data, *end = t->data + t->len;

    for (unsigned i = 1; i < line && p < end; i++) {
        const char *next = memchr(p, '\n', (size_t)(end - p));

        p = next == NULL ? end : next + 1;
    }
    return p;
}

/* One character; what may not be shown is a '?'. Returns its length. */
static size_t show_char(FILE *out, const char *p, size_t left)
{
    size_t n = parse_utf8_char(p, left);

    if (*p == '\t')
        (void)fputc('\t', out);
    else if (n == 0 || !parse_is_clean_text(p, n))
        (void)fputc('?', out);
    else
        (void)fwrite(p, 1, n, out);
    return n == 0 ? 1 : n;
}

/* The line from character `from` on, then a caret under `column`. */
static void show_line(FILE *out, const struct config_text *t, unsigned line,
                      unsigned column)
{
    const char *p = find_line(t, line);
    const char *end = t->data + t->len;
    unsigned from = column > BEFORE_MAX ? column - BEFORE_MAX : 1;
    char pad[BEFORE_MAX + 1];
    size_t pad_len = 0;

    for (unsigned at = 1; p < end && *p != '\n' && *p != '\r'; at++) {
        size_t n = 1;

        if (at == from)
            (void)fputs(from > 1 ? "  ..." : "  ", out);
        if (at >= from) {
            if (at < column && pad_len < sizeof(pad))
                pad[pad_len++] = *p == '\t' ? '\t' : ' ';
            n = show_char(out, p, (size_t)(end - p));
        } else {
            while (p + n < end && !is_char_start(p[n]))
                n++;
        }
        p += n;
        if (at - from + 1 == SHOWN_MAX && at >= from) {
            (void)fputs("...", out);
            break;
        }
    }
    (void)fprintf(out, "\n%s%.*s^\n", from > 1 ? "     " : "  ", (int)pad_len,
                  pad);
}

static const struct config_text *text_of(const struct config_loader *l,
                                         const char *file)
{
    for (size_t i = 0; i < l->texts_len; i++)
        if (l->texts[i].file == file && l->texts[i].data != NULL)
            return &l->texts[i];
    return NULL;
}

/* err's text has little room: of a long path, its end. */
static void keep_first(struct config_loader *l, const char *file, unsigned line,
                       unsigned column, const char *text)
{
    size_t len = strlen(file);
    const char *dots = len > 100 ? "..." : "";
    const char *tail = len > 100 ? file + len - 97 : file;

    while (!is_char_start(*tail))
        tail++;
    if (line == 0)
        (void)error_set(l->err, JUSTALOCK_CONFIG, "%s%s: %s", dots, tail, text);
    else
        (void)error_set(l->err, JUSTALOCK_CONFIG, "%s%s:%u:%u: %s", dots, tail,
                        line, column, text);
}

static void report(struct config_loader *l, const char *file, unsigned line,
                   unsigned column, const char *text)
{
    const struct config_text *t = text_of(l, file);

    if (l->errors++ == 0)
        keep_first(l, file, line, column, text);
    if (l->report == NULL)
        return;
    if (line == 0) {
        (void)fprintf(l->report, "%s: error: %s\n", file, text);
        return;
    }
    (void)fprintf(l->report, "%s:%u:%u: error: %s\n", file, line, column, text);
    if (t != NULL)
        show_line(l->report, t, line, column);
}

/* 240 bytes are enough for what is said, but not behind a path of 255: the
 * parts are cut by those who make them. */
PRINTF_LIKE(5, 0)
static void vreport(struct config_loader *l, const char *file, unsigned line,
                    unsigned column, const char *fmt, va_list ap)
{
    char text[800];

    if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
        text[0] = '\0';
    parse_mask_unclean(text);
    report(l, file, line, column, text);
}

void config_fault(struct config_loader *l, const char *file, unsigned line,
                  unsigned column, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vreport(l, file, line, column, fmt, ap);
    va_end(ap);
}

void config_fault_at(struct config_loader *l, const struct config_place *place,
                     const char *fmt, ...)
{
    const char *file = place->file != NULL ? place->file : "(built in)";
    va_list ap;

    va_start(ap, fmt);
    vreport(l, file, place->line, place->column, fmt, ap);
    va_end(ap);
}

void config_text_fault(void *ctx, const struct config_text *t, unsigned line,
                       unsigned column, const char *text)
{
    report(ctx, t->file, line, column, text);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein's distance: characters to change, add or take away. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return FAR;
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned above = row[j];

            row[j] = least(row[j - 1] + 1, above + 1,
                           diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *config_nearest(const char *text, const char *const *names)
{
    const char *nearest = NULL;
    /* Of a short word, half may not be another. */
    unsigned best = strlen(text) < 4 ? 2 : FAR;

    for (; *names != NULL; names++) {
        unsigned d = distance(text, *names);

        if (d < best) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}

/* SPDX-License-Identifier: MIT */
/*
 * config_name.c - templates of lock names: %u %h %s %R stand for the user,
 * our host name, the PAM service and the invoking user, "%%" for '%'. Values
 * are percent-encoded, and between two of them stands a character that no
 * value has: so two sets of values never make one name.
 */
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "config_parts.h"
#include "parse.h"

#define PLACEHOLDERS "uhsR"

/* Characters that values keep: RFC 3986's unreserved ones but '~'. */
static bool is_kept(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool is_placeholder(const char *p)
{
    return p[0] == '%' && p[1] != '\0' && strchr(PLACEHOLDERS, p[1]) != NULL;
}

/* Bytes of the template that make one of the name: 2 for "%%". */
static size_t literal_len(const char *p)
{
    return p[0] == '%' && p[1] == '%' ? 2 : 1;
}

enum justalock_status config_template_check(const char *name,
                                            struct justalock_error *err)
{
    const char *last = NULL; /* a placeholder with nothing certain behind it */

    for (const char *p = name; *p != '\0';) {
        if (is_placeholder(p)) {
            if (last != NULL)
                return error_set(err, JUSTALOCK_ARG,
                                 "nothing keeps the values of %.2s and %.2s "
                                 "apart: put / or : between them",
                                 last, p);
            last = p;
            p += 2;
            continue;
        }
        if (p[0] == '%' && p[1] != '%')
            return error_set(err, JUSTALOCK_ARG,
                             "%% stands for nothing here: use %%u, %%h, %%s, "
                             "%%R, or %%%% for %% itself");
        /* Values have '%' too. */
        if (!is_kept(*p) && *p != '%')
            last = NULL;
        p += literal_len(p);
    }
    return JUSTALOCK_OK;
}

bool config_is_template(const char *name)
{
    for (const char *p = name; *p != '\0'; p += literal_len(p))
        if (is_placeholder(p))
            return true;
    return false;
}

size_t config_template_weight(const char *template_text)
{
    size_t weight = 0;

    for (const char *p = template_text; *p != '\0';) {
        bool placeholder = is_placeholder(p);

        weight += !placeholder;
        p += placeholder ? 2 : literal_len(p);
    }
    return weight;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Length of the encoded character at p as config_expand() makes it; 0: none. */
static size_t value_char(const char *p)
{
    int high, low;

    if (is_kept(*p))
        return 1;
    if (*p != '%')
        return 0;
    high = hex_value(p[1]);
    low = high < 0 ? -1 : hex_value(p[2]);
    if (low < 0 || is_kept((char)(high * 16 + low)))
        return 0;
    return 3;
}

/* A value is as long as it can be first; backs off where that fits nothing.
 * Between two placeholders stands what ends the first: no deep search. */
bool config_template_match(const char *template_text, const char *name)
{
    const char *p = template_text;
    size_t ends[PARSE_NAME_MAX + 1];
    size_t len = 0, at = 0;

    while (*p != '\0' && !is_placeholder(p)) {
        if (*p != *name++)
            return false;
        p += literal_len(p);
    }
    if (*p == '\0')
        return *name == '\0';
    while (len < PARSE_NAME_MAX) {
        size_t n = value_char(name + at);

        if (n == 0)
            break;
        at += n;
        ends[len++] = at;
    }
    while (len > 0)
        if (config_template_match(p + 2, name + ends[--len]))
            return true;
    return false;
}

static const char *value_of(const struct config_names *names, char letter)
{
    switch (letter) {
    case 'u':
        return names->user;
    case 'h':
        return names->host;
    case 's':
        return names->service;
    default:
        return names->ruser;
    }
}

static void add_encoded(struct buf *b, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        char text[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (is_kept(*value))
            buf_add(b, value, 1);
        else
            buf_add(b, text, sizeof(text));
    }
}

static enum justalock_status expand(const char *template_text,
                                    const struct config_names *names,
                                    struct buf *b, struct justalock_error *err)
{
    for (const char *p = template_text; *p != '\0';) {
        const char *value;

        if (!is_placeholder(p)) {
            buf_add(b, p, 1);
            p += literal_len(p);
            continue;
        }
        value = value_of(names, p[1]);
        if (value == NULL || *value == '\0')
            return error_set(err, JUSTALOCK_ARG,
                             "lock name \"%.100s\": there is no value for %.2s "
                             "here",
                             template_text, p);
        add_encoded(b, value);
        p += 2;
    }
    return JUSTALOCK_OK;
}

enum justalock_status config_expand(const char *template_text,
                                    const struct config_names *names,
                                    char *ret_name, size_t size,
                                    struct justalock_error *err)
{
    enum justalock_status st = config_template_check(template_text, err);
    struct buf b;

    if (st != JUSTALOCK_OK)
        return error_wrap(err, st, "lock name \"%.100s\"", template_text);
    buf_init(&b, PARSE_NAME_MAX);
    st = expand(template_text, names, &b, err);
    if (st == JUSTALOCK_OK && (b.failed || b.len >= size))
        st = error_set(err, JUSTALOCK_ARG,
                       "lock name \"%.80s\" with its values has more than %zu "
                       "bytes",
                       template_text,
                       size <= PARSE_NAME_MAX ? size - 1 : PARSE_NAME_MAX);
    if (st == JUSTALOCK_OK)
        st = parse_name(b.data == NULL ? "" : b.data, "lock name", err);
    if (st == JUSTALOCK_OK)
        memcpy(ret_name, b.data, b.len + 1);
    buf_done(&b);
    return st;
}

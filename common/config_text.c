/* SPDX-License-Identifier: MIT */
/*
 * config_text.c - JSON (RFC 8259) with // and block comments, strictly: UTF-8
 * without control characters, no doubled key, no lone surrogate, bounded
 * depth. Every node knows its line and column. Knows no key and no file.
 */
#include "config_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

struct scan {
    struct config_text *t;
    size_t at;
    char *out; /* where the next decoded string goes */
    /* The place of `mark`, which only moves on. */
    size_t mark;
    unsigned line, column;
    config_fault_fn *fault;
    void *ctx;
    enum justalock_status status;
};

/* '\0' at the end; no NUL is within: scan_bytes has looked. */
static char here(const struct scan *s)
{
    return s->t->data[s->at];
}

static bool starts(const struct scan *s, const char *text)
{
    return strncmp(s->t->data + s->at, text, strlen(text)) == 0;
}

static void move_to(struct scan *s, size_t at)
{
    for (; s->mark < at; s->mark++) {
        unsigned char c = (unsigned char)s->t->data[s->mark];

        if (c == '\n') {
            s->line++;
            s->column = 1;
        } else if ((c & 0xc0) != 0x80) {
            s->column++;
        }
    }
}

/* Always false: nothing can be read from there on. */
static bool fail(struct scan *s, size_t at, const char *text)
{
    move_to(s, at);
    s->fault(s->ctx, s->t, s->line, s->column, text);
    s->status = JUSTALOCK_CONFIG;
    return false;
}

static bool scan_bytes(struct scan *s)
{
    const char *data = s->t->data;
    size_t len = s->t->len;

    for (size_t at = 0; at < len;) {
        size_t n = parse_utf8_char(data + at, len - at);
        bool space = data[at] == '\n' || data[at] == '\r' || data[at] == '\t';

        if (n == 0)
            return fail(s, at, "this byte is not UTF-8");
        if (!space && !parse_is_clean_text(data + at, n))
            return fail(s, at, "a control character");
        at += n;
    }
    return true;
}

static bool skip_blank(struct scan *s)
{
    for (;;) {
        s->at += strspn(s->t->data + s->at, " \t\r\n");
        if (starts(s, "//")) {
            s->at += strcspn(s->t->data + s->at, "\n");
        } else if (starts(s, "/*")) {
            const char *end = strstr(s->t->data + s->at + 2, "*/");

            if (end == NULL)
                return fail(s, s->at, "this comment does not end");
            s->at = (size_t)(end - s->t->data) + 2;
        } else {
            return true;
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind "\u" at `at`, or -1. */
static int32_t hex4(const struct scan *s, size_t at)
{
    int32_t v = 0;

    if (s->t->data[at] != '\\' || s->t->data[at + 1] != 'u')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        int digit = hex_digit(s->t->data[at + i]);

        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static void put_utf8(struct scan *s, uint32_t c)
{
    if (c < 0x80) {
        *s->out++ = (char)c;
        return;
    }
    if (c < 0x800) {
        *s->out++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *s->out++ = (char)(0xe0 | c >> 12);
        *s->out++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *s->out++ = (char)(0xf0 | c >> 18);
        *s->out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *s->out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *s->out++ = (char)(0x80 | (c & 0x3f));
}

static bool scan_unicode(struct scan *s)
{
    int32_t high = hex4(s, s->at);
    int32_t low;

    if (high < 0)
        return fail(s, s->at, "\\u needs four hex digits");
    if (high == 0)
        return fail(s, s->at, "\\u0000 is not allowed");
    if (high < 0xd800 || high > 0xdfff) {
        put_utf8(s, (uint32_t)high);
        s->at += 6;
        return true;
    }
    low = high < 0xdc00 ? hex4(s, s->at + 6) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, s->at, "half of a surrogate pair");
    put_utf8(s, 0x10000 + (((uint32_t)high - 0xd800) << 10) +
                    ((uint32_t)low - 0xdc00));
    s->at += 12;
    return true;
}

static bool scan_escape(struct scan *s)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    char c = s->t->data[s->at + 1];
    const char *letter = c == '\0' ? NULL : strchr(letters, c);

    if (c == 'u')
        return scan_unicode(s);
    if (letter == NULL)
        return fail(s, s->at, "JSON has no such escape");
    *s->out++ = meanings[letter - letters];
    s->at += 2;
    return true;
}

/* Decoded, a string with its NUL is never longer than with its quotes. */
static bool scan_string(struct scan *s, const char **ret_text)
{
    size_t start = s->at;
    const char *text = s->out;

    for (s->at++; here(s) != '"';) {
        if (here(s) == '\0' || here(s) == '\n' || here(s) == '\r')
            return fail(s, start, "this string does not end in its line");
        if (here(s) == '\t')
            return fail(s, s->at, "a control character");
        if (here(s) != '\\')
            *s->out++ = s->t->data[s->at++];
        else if (!scan_escape(s))
            return false;
    }
    s->at++;
    *s->out++ = '\0';
    *ret_text = text;
    return true;
}

/* RFC 8259 section 6. What it means is the reader's to say. */
static bool scan_number(struct scan *s, const char **ret_text)
{
    const char *start = s->t->data + s->at;
    const char *p = start + (*start == '-');
    size_t digits = strspn(p, "0123456789");
    size_t len;

    if (digits == 0 || (digits > 1 && *p == '0'))
        return fail(s, s->at, "this is not a JSON number");
    p += digits;
    if (*p == '.') {
        digits = strspn(++p, "0123456789");
        if (digits == 0)
            return fail(s, s->at, "this is not a JSON number");
        p += digits;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        digits = strspn(p, "0123456789");
        if (digits == 0)
            return fail(s, s->at, "this is not a JSON number");
        p += digits;
    }
    len = (size_t)(p - start);
    /* What follows a number is no part of it, so there is room for NUL. */
    *ret_text = s->out;
    memcpy(s->out, start, len);
    s->out += len;
    *s->out++ = '\0';
    s->at += len;
    return true;
}

static bool scan_word(struct scan *s, struct config_node *n)
{
    static const struct {
        const char *word;
        enum config_kind kind;
    } words[] = {{"true", CONFIG_KIND_TRUE},
                 {"false", CONFIG_KIND_FALSE},
                 {"null", CONFIG_KIND_NULL}};
    size_t len = strspn(s->t->data + s->at, "abcdefghijklmnopqrstuvwxyz"
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].word) == len && starts(s, words[i].word)) {
            n->kind = words[i].kind;
            s->at += len;
            return true;
        }
    if (here(s) == '\'')
        return fail(s, s->at, "strings stand in double quotes");
    if (here(s) == '#')
        return fail(s, s->at, "comments begin with // or /*");
    if (here(s) == '\0')
        return fail(s, s->at, "the file ends too early");
    return fail(s, s->at, "a value is expected here");
}

/* A new node behind `last` (0: as first) of `parent`; its index, 0: none. */
static size_t add_node(struct scan *s, size_t parent, size_t last)
{
    struct config_text *t = s->t;
    size_t index = t->nodes_len;

    if (t->nodes_len == t->nodes_cap) {
        size_t cap = t->nodes_cap * 2 + 32;
        struct config_node *nodes = realloc(t->nodes, cap * sizeof(*nodes));

        if (nodes == NULL) {
            s->status = JUSTALOCK_NOMEM;
            return 0;
        }
        t->nodes = nodes;
        t->nodes_cap = cap;
    }
    move_to(s, s->at);
    t->nodes[index] = (struct config_node){
        .parent = parent, .key_line = s->line, .key_column = s->column};
    t->nodes_len++;
    if (last != 0)
        t->nodes[last].next = index;
    else if (index != 0)
        t->nodes[parent].first = index;
    return index;
}

static bool scan_value(struct scan *s, size_t index, unsigned depth);

static bool scan_key(struct scan *s, size_t index)
{
    const char *key;

    if (here(s) == '}')
        return fail(s, s->at, "a comma stands before this brace");
    if (here(s) == '\'')
        return fail(s, s->at, "strings stand in double quotes");
    if (here(s) != '"')
        return fail(s, s->at, "a key in double quotes is expected here");
    if (!scan_string(s, &key) || !skip_blank(s))
        return false;
    s->t->nodes[index].key = key;
    if (here(s) != ':')
        return fail(s, s->at, "a colon is expected here");
    s->at++;
    return skip_blank(s);
}

/* An object or array; s->at is behind its bracket. */
static bool scan_children(struct scan *s, size_t index, char end,
                          unsigned depth)
{
    size_t last = 0;

    if (depth >= CONFIG_TEXT_DEPTH)
        return fail(s, s->at - 1, "nested more than 32 deep");
    if (!skip_blank(s))
        return false;
    while (last != 0 || here(s) != end) {
        size_t child = add_node(s, index, last);

        if (child == 0)
            return false;
        if (end == '}' && !scan_key(s, child))
            return false;
        if (end == ']' && here(s) == ']')
            return fail(s, s->at, "a comma stands before this bracket");
        if (!scan_value(s, child, depth + 1) || !skip_blank(s))
            return false;
        last = child;
        if (here(s) == end)
            break;
        if (here(s) == '\0')
            return fail(s, s->at, "the file ends too early");
        if (here(s) != ',')
            return fail(s, s->at, "a comma is expected here");
        s->at++;
        if (!skip_blank(s))
            return false;
    }
    s->at++;
    return true;
}

static bool scan_value(struct scan *s, size_t index, unsigned depth)
{
    struct config_node *n = &s->t->nodes[index];
    char c = here(s);

    move_to(s, s->at);
    n->line = s->line;
    n->column = s->column;
    if (c == '{' || c == '[') {
        n->kind = c == '{' ? CONFIG_KIND_OBJECT : CONFIG_KIND_ARRAY;
        s->at++;
        return scan_children(s, index, c == '{' ? '}' : ']', depth);
    }
    if (c == '"') {
        n->kind = CONFIG_KIND_STRING;
        return scan_string(s, &n->text);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        n->kind = CONFIG_KIND_NUMBER;
        return scan_number(s, &n->text);
    }
    return scan_word(s, n);
}

/* By parent, then key, then place. */
static int compare_members(const void *a, const void *b)
{
    const struct config_node *x = *(const struct config_node *const *)a;
    const struct config_node *y = *(const struct config_node *const *)b;
    int by_key;

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    by_key = strcmp(x->key, y->key);
    return by_key != 0 ? by_key : (x > y) - (x < y);
}

static void report_doubles(struct scan *s)
{
    const struct config_node **members;
    size_t len = 0;

    members = calloc(s->t->nodes_len, sizeof(*members));
    if (members == NULL) {
        s->status = JUSTALOCK_NOMEM;
        return;
    }
    for (size_t i = 0; i < s->t->nodes_len; i++)
        if (s->t->nodes[i].key != NULL)
            members[len++] = &s->t->nodes[i];
    qsort(members, len, sizeof(*members), compare_members);
    for (size_t i = 1; i < len; i++) {
        const struct config_node *a = members[i - 1], *b = members[i];
        struct justalock_error text;

        if (a->parent != b->parent || strcmp(a->key, b->key) != 0)
            continue;
        s->status = error_set(
            &text, JUSTALOCK_CONFIG,
            "the key \"%.100s\" stands here twice, first in line %u column %u",
            b->key, a->key_line, a->key_column);
        s->fault(s->ctx, s->t, b->key_line, b->key_column, text.text);
    }
    free(members);
}

static bool scan_whole(struct scan *s)
{
    if (!scan_bytes(s) || !skip_blank(s))
        return false;
    if (here(s) != '{')
        return fail(s, s->at, "an object in braces is expected here");
    add_node(s, 0, 0);
    if (s->status != JUSTALOCK_OK || !scan_value(s, 0, 0) || !skip_blank(s))
        return false;
    if (here(s) != '\0')
        return fail(s, s->at, "something stands behind the object's end");
    return true;
}

enum justalock_status config_text_parse(struct config_text *t, const char *file,
                                        const char *data, size_t len,
                                        config_fault_fn *fault, void *ctx)
{
    struct scan s = {
        .t = t, .line = 1, .column = 1, .fault = fault, .ctx = ctx};

    *t = (struct config_text){.file = file, .len = len};
    t->data = malloc(len + 1);
    t->strings = malloc(len + 1);
    if (t->data == NULL || t->strings == NULL)
        return JUSTALOCK_NOMEM;
    if (len > 0)
        memcpy(t->data, data, len);
    t->data[len] = '\0';
    s.out = t->strings;
    if (scan_whole(&s))
        report_doubles(&s);
    return s.status;
}

void config_text_done(struct config_text *t)
{
    free(t->data);
    free(t->strings);
    free(t->nodes);
    *t = (struct config_text){.file = NULL};
}

/* SPDX-License-Identifier: MIT */
/*
 * buf.c - a growing byte buffer with a hard limit, and the fixed-width
 * little-endian fields of our wire formats. Knows no message.
 */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

/* Room for `more` bytes and a NUL. */
static bool reserve(struct buf *b, size_t more)
{
    size_t cap = b->cap;
    char *data;

    if (b->failed)
        return false;
    if (b->max >= SIZE_MAX / 2 || more > b->max - b->len) {
        b->failed = true;
        return false;
    }
    if (b->len + more < cap)
        return true;
    if (cap < FIRST_CAP)
        cap = FIRST_CAP;
    while (cap <= b->len + more)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    if (b->data == NULL)
        data[0] = '\0';
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    if (n < 0 || !reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    n = vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->data[b->len] = '\0';
        b->failed = true;
        return;
    }
    b->len += (size_t)n;
}

/* Escape the one byte c; 0 stands for "not UTF-8". */
static void json_escape(struct buf *b, unsigned char c)
{
    static const char shorts[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";
    const char *at = c == 0 ? NULL : strchr(shorts, c);

    if (at != NULL)
        buf_printf(b, "\\%c", letters[at - shorts]);
    else
        buf_printf(b, "\\u%04x", c == 0 ? 0xfffd : c);
}

/*
 * RFC 8259 section 7: quote, backslash and control characters are escaped.
 * JSON is UTF-8, so a byte that is not becomes U+FFFD.
 */
void buf_json(struct buf *b, const char *text)
{
    size_t len = strlen(text);
    size_t at = 0;

    buf_str(b, "\"");
    while (at < len) {
        unsigned char c = (unsigned char)text[at];
        size_t n = parse_utf8_char(text + at, len - at);

        if (n == 0)
            json_escape(b, 0);
        else if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            json_escape(b, c);
        else
            buf_add(b, text + at, n);
        at += n == 0 ? 1 : n;
    }
    buf_str(b, "\"");
}

static void add_le(struct buf *b, uint64_t v, size_t len)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    buf_add(b, bytes, len);
}

void buf_u8(struct buf *b, uint8_t v)
{
    add_le(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void buf_text(struct buf *b, const char *text)
{
    buf_bytes(b, text, strlen(text));
}

void buf_bytes(struct buf *b, const void *data, size_t len)
{
    if (len > UINT16_MAX) {
        b->failed = true;
        return;
    }
    buf_u16(b, (uint16_t)len);
    buf_add(b, data, len);
}

void reader_init(struct reader *r, const void *data, size_t len)
{
    *r = (struct reader){.data = data, .len = len};
}

/* The next len bytes, or NULL and failed. */
static const uint8_t *take(struct reader *r, size_t len)
{
    const uint8_t *p;

    if (r->failed || len > r->len - r->at) {
        r->failed = true;
        return NULL;
    }
    p = r->data + r->at;
    r->at += len;
    return p;
}

static uint64_t get_le(struct reader *r, size_t len)
{
    const uint8_t *p = take(r, len);
    uint64_t v = 0;

    if (p == NULL)
        return 0;
    for (size_t i = len; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

uint8_t get_u8(struct reader *r)
{
    return (uint8_t)get_le(r, 1);
}

bool get_flag(struct reader *r)
{
    uint8_t v = get_u8(r);

    r->failed |= v > 1;
    return v == 1;
}

uint16_t get_u16(struct reader *r)
{
    return (uint16_t)get_le(r, 2);
}

uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_le(r, 4);
}

uint64_t get_u64(struct reader *r)
{
    return get_le(r, 8);
}

void get_text(struct reader *r, char *dst, size_t size)
{
    size_t len = get_u16(r);
    const uint8_t *p = take(r, len);

    if (size > 0)
        dst[0] = '\0';
    if (p == NULL)
        return;
    /* A NUL inside is a control character. */
    if (len >= size || !parse_is_clean_text((const char *)p, len)) {
        r->failed = true;
        return;
    }
    memcpy(dst, p, len);
    dst[len] = '\0';
}

size_t get_bytes(struct reader *r, void *dst, size_t max)
{
    size_t len = get_u16(r);
    const uint8_t *p = take(r, len);

    if (p == NULL)
        return 0;
    if (len > max) {
        r->failed = true;
        return 0;
    }
    if (len > 0)
        memcpy(dst, p, len);
    return len;
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->len;
}

/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growing byte buffer with a hard limit that is named when it is
 * made, and the fixed-width little-endian fields of our wire formats.
 *
 * A failed append (limit reached or no memory) sets `failed`; later appends do
 * nothing, so that a sequence needs one check at its end.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct buf {
    char *data; /* NUL-terminated whenever not NULL */
    size_t len;
    size_t cap;
    size_t max; /* len never exceeds it */
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; b may be used again after buf_init */
void buf_reset(struct buf *b); /* length 0, failed cleared, memory kept */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_json(struct buf *b, const char *text); /* quoted and escaped */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
/* A text field: u16 length, then the bytes; longer than 65535: failed. */
void buf_text(struct buf *b, const char *text);
/* A bytes field: u16 length, then the bytes. */
void buf_bytes(struct buf *b, const void *data, size_t len);

/* Reading. Every get_ past the end sets failed and yields 0. */
struct reader {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool failed;
};

void reader_init(struct reader *r, const void *data, size_t len);
uint8_t get_u8(struct reader *r);
bool get_flag(struct reader *r); /* 0 or 1, or failed */
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
/*
 * Copy a text field into dst (size bytes with NUL). Too long for dst, a NUL
 * inside or not UTF-8 free of control characters: failed, dst "".
 */
void get_text(struct reader *r, char *dst, size_t size);
/* Copy a bytes field of at most `max` bytes; returns its length. */
size_t get_bytes(struct reader *r, void *dst, size_t max);
/* All read, nothing left over, nothing failed. */
bool reader_done(const struct reader *r);

#endif

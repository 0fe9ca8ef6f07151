/* SPDX-License-Identifier: MIT */
/*
 * id.h - what names a lock on the wire: 128 bits, by the Python client's
 * rules bit for bit, or strictly, or hashed with the site secret.
 */
#ifndef COMMON_ID_H
#define COMMON_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct lock_id {
    uint8_t bytes[JUSTALOCK_ID_LEN];
};

struct lock_id_text {
    char s[JUSTALOCK_ID_TEXT_LEN + 1];
};

/* base64url without padding. */
struct lock_id_text id_format(const struct lock_id *id);

/*
 * The Python client's rules for a str (facts: 36 characters with '-' are hex,
 * 32 hex digits are bytes, 22 or 24 characters are lax base64, 16 are
 * themselves, all else is SHA-256 cut to 16; lengths count characters, not
 * bytes). ARG, with the reason, where those rules raise or do not yield 16
 * bytes, or text is not UTF-8.
 */
enum justalock_status id_from_name(const char *text, struct lock_id *ret_id,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/* The rules for bytes: 16 as they are, shorter padded with zeros, else hash. */
void id_from_bytes(const void *data, size_t len, struct lock_id *ret_id);

/* The rules for int: decimal text of 0..2^128-1, big-endian. */
enum justalock_status id_from_decimal(const char *text, struct lock_id *ret_id,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * Strictly an id: a UUID (8-4-4-4-12), 32 hex digits, or base64url of 16
 * bytes (22 characters, or 24 with "=="; unused bits zero; '+' and '/' are
 * taken for '-' and '_' as servers do). For "id" in definitions and for the
 * server's paths.
 */
enum justalock_status id_parse_strict(const char *text, size_t len,
                                      struct lock_id *ret_id,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * The lock that stands for a slot of a pool where a service knows no pools:
 * slot 0 is the pool's own id, the others are hashed from it and their number.
 */
void id_of_slot(const struct lock_id *pool, unsigned slot,
                struct lock_id *ret_id);

/* Time (8 bytes, big-endian ns) and 8 bytes of getrandom. */
enum justalock_status id_random(struct lock_id *ret_id,
                                struct justalock_error *err) JUSTALOCK_MUST;

/* true where the Python rules read the name as base64 (22 or 24 chars). */
bool id_name_is_base64_shaped(const char *text);

/* Lower-case hex of len random bytes; out holds 2 * len + 1. */
enum justalock_status id_random_hex(char *out, size_t len,
                                    struct justalock_error *err) JUSTALOCK_MUST;

#endif

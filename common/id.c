/* SPDX-License-Identifier: MIT */
/*
 * id.c - names, bytes and numbers to the 128 bits of a lock, and back to its
 * text. The rules for names are those of justalock_client 0.1.0 (Python),
 * normalize_lock_id(), odd corners included: they decide which programs
 * exclude each other. Knows no secret and no policy.
 */
#include "id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "parse.h"

#define UUID_LEN         36
#define HEX_LEN          32
#define BASE64_LEN       JUSTALOCK_ID_TEXT_LEN /* without padding */
#define BASE64_PADDED    24
#define UTF8_CHAR_MAX    4
#define NS_PER_S         1000000000u
#define RANDOM_CHUNK_LEN 64

/* nettle's is the padded standard form: 24 characters for 16 bytes. */
struct lock_id_text id_format(const struct lock_id *id)
{
    char padded[BASE64_ENCODE_RAW_LENGTH(JUSTALOCK_ID_LEN)];
    struct lock_id_text text;

    base64_encode_raw(padded, sizeof(id->bytes), id->bytes);
    for (size_t i = 0; i < JUSTALOCK_ID_TEXT_LEN; i++)
        text.s[i] = padded[i] == '+' ? '-' : padded[i] == '/' ? '_' : padded[i];
    text.s[JUSTALOCK_ID_TEXT_LEN] = '\0';
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The standard alphabet: '-' and '_' are outside of it. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Characters (code points) of valid UTF-8; false where it is not. */
static bool count_chars(const char *text, size_t *ret_chars, bool *ret_ascii)
{
    size_t len = strlen(text);
    size_t chars = 0;
    bool ascii = true;

    for (size_t at = 0; at < len; chars++) {
        size_t n = parse_utf8_char(text + at, len - at);

        if (n == 0)
            return false;
        if (n > 1)
            ascii = false;
        at += n;
    }
    *ret_chars = chars;
    *ret_ascii = ascii;
    return true;
}

static void hash(const void *data, size_t len, struct lock_id *ret_id)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx ctx;

    sha256_init(&ctx);
    sha256_update(&ctx, len, data);
    sha256_digest(&ctx, sizeof(digest), digest);
    memcpy(ret_id->bytes, digest, sizeof(ret_id->bytes));
}

void id_of_slot(const struct lock_id *pool, unsigned slot,
                struct lock_id *ret_id)
{
    static const char prefix[] = "justalock-slot:";
    uint8_t data[sizeof(prefix) - 1 + sizeof(pool->bytes) + 2];
    uint8_t *at = data;

    if (slot == 0) {
        *ret_id = *pool;
        return;
    }
    memcpy(at, prefix, sizeof(prefix) - 1);
    at += sizeof(prefix) - 1;
    memcpy(at, pool->bytes, sizeof(pool->bytes));
    at += sizeof(pool->bytes);
    at[0] = (uint8_t)(slot >> 8);
    at[1] = (uint8_t)slot;
    hash(data, sizeof(data), ret_id);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * bytes.fromhex() of the text without its '-': pairs of digits, with ASCII
 * white space between pairs. Returns the number of bytes, of which at most
 * 16 are stored, or -1 where it raises.
 */
static int hex_of_python(const char *text, uint8_t out[JUSTALOCK_ID_LEN])
{
    char digits[UUID_LEN * UTF8_CHAR_MAX + 1];
    size_t len = 0;
    int n = 0;

    for (const char *p = text; *p != '\0'; p++)
        if (*p != '-')
            digits[len++] = *p;
    digits[len] = '\0';
    for (size_t at = 0; at < len; at++) {
        int high, low;

        if (is_space(digits[at]))
            continue;
        high = hex_value(digits[at++]);
        low = hex_value(digits[at]); /* the NUL is no digit */
        if (high < 0 || low < 0)
            return -1;
        if (n < JUSTALOCK_ID_LEN)
            out[n] = (uint8_t)(high << 4 | low);
        n++;
    }
    return n;
}

/*
 * base64.b64decode(text + "==") of CPython 3.11 (binascii.a2b_base64, not
 * strict): characters outside the alphabet are passed over, a '=' counts only
 * from the third place of a quad on, and a quad filled by them is the end.
 * Returns the number of bytes, of which at most 16 are stored, or -1 where it
 * raises: one character too many. ASCII only.
 */
static int base64_of_python(const char *text, uint8_t out[JUSTALOCK_ID_LEN])
{
    static const char padding[] = "==";
    unsigned place = 0, pads = 0, bits = 0;
    int n = 0;

    for (const char *p = text; p != padding + 2; p++) {
        int v;

        if (*p == '\0')
            p = padding;
        if (*p == '=') {
            if (place >= 2 && place + ++pads >= 4)
                return n;
            continue;
        }
        v = base64_value(*p);
        if (v < 0)
            continue;
        pads = 0;
        bits = bits << 6 | (unsigned)v;
        if (place > 0 && n < JUSTALOCK_ID_LEN)
            out[n] = (uint8_t)(bits >> (6 - 2 * place));
        if (place > 0)
            n++;
        place = (place + 1) % 4;
    }
    return place == 0 ? n : -1;
}

static enum justalock_status refuse(struct justalock_error *err,
                                    const char *text, const char *reason,
                                    int len)
{
    return error_set(err, JUSTALOCK_ARG,
                     "\"%s\" cannot name a lock: %s %d bytes, not %d; take a "
                     "longer or shorter name",
                     text, reason, len, JUSTALOCK_ID_LEN);
}

static enum justalock_status from_uuid_shaped(const char *text,
                                              struct lock_id *ret_id,
                                              struct justalock_error *err)
{
    struct lock_id id;
    int n = hex_of_python(text, id.bytes);

    if (n < 0)
        return error_set(err, JUSTALOCK_ARG,
                         "\"%s\" cannot name a lock: %d characters with '-' "
                         "are read as hexadecimal, which this is not; take a "
                         "longer or shorter name",
                         text, UUID_LEN);
    if (n != JUSTALOCK_ID_LEN)
        return refuse(err, text,
                      "36 characters with '-' are read as hexadecimal, this "
                      "gives",
                      n);
    *ret_id = id;
    return JUSTALOCK_OK;
}

static enum justalock_status from_16_chars(const char *text,
                                           struct lock_id *ret_id,
                                           struct justalock_error *err)
{
    size_t len = strlen(text);

    if (len != JUSTALOCK_ID_LEN)
        return refuse(err, text,
                      "16 characters stand for themselves, these are",
                      (int)len);
    memcpy(ret_id->bytes, text, JUSTALOCK_ID_LEN);
    return JUSTALOCK_OK;
}

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

enum justalock_status id_from_name(const char *text, struct lock_id *ret_id,
                                   struct justalock_error *err)
{
    struct lock_id id;
    size_t chars = 0;
    bool ascii = false;
    int n;

    if (!count_chars(text, &chars, &ascii))
        return error_set(err, JUSTALOCK_ARG,
                         "\"%s\" cannot name a lock: it is not UTF-8", text);
    if (chars == UUID_LEN && strchr(text, '-') != NULL)
        return from_uuid_shaped(text, ret_id, err);
    if (chars == HEX_LEN && is_hex(text)) {
        (void)hex_of_python(text, ret_id->bytes); /* 32 digits: 16 bytes */
        return JUSTALOCK_OK;
    }
    /* What is not ASCII raises before it is decoded, and is hashed. */
    if ((chars == BASE64_LEN || chars == BASE64_PADDED) && ascii) {
        n = base64_of_python(text, id.bytes);
        if (n >= 0 && n < JUSTALOCK_ID_LEN)
            return refuse(err, text,
                          "22 or 24 characters are read as base64, this gives",
                          n);
        if (n >= 0) { /* more than 16 are cut */
            *ret_id = id;
            return JUSTALOCK_OK;
        }
    }
    if (chars == JUSTALOCK_ID_LEN)
        return from_16_chars(text, ret_id, err);
    hash(text, strlen(text), ret_id);
    return JUSTALOCK_OK;
}

bool id_name_is_base64_shaped(const char *text)
{
    size_t chars = 0;
    bool ascii = false;

    return count_chars(text, &chars, &ascii) && ascii &&
           (chars == BASE64_LEN || chars == BASE64_PADDED);
}

void id_from_bytes(const void *data, size_t len, struct lock_id *ret_id)
{
    if (len > sizeof(ret_id->bytes)) {
        hash(data, len, ret_id);
        return;
    }
    memset(ret_id->bytes, 0, sizeof(ret_id->bytes));
    if (len > 0)
        memcpy(ret_id->bytes, data, len);
}

/* id = id * 10 + digit; false on overflow. */
static bool append_digit(struct lock_id *id, unsigned digit)
{
    for (size_t i = sizeof(id->bytes); i > 0; i--) {
        digit += id->bytes[i - 1] * 10u;
        id->bytes[i - 1] = (uint8_t)digit;
        digit >>= 8;
    }
    return digit == 0;
}

enum justalock_status id_from_decimal(const char *text, struct lock_id *ret_id,
                                      struct justalock_error *err)
{
    struct lock_id id = {{0}};

    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return error_set(err, JUSTALOCK_ARG,
                         "\"%s\" is not a decimal number of 0 or more", text);
    for (const char *p = text; *p != '\0'; p++)
        if (!append_digit(&id, (unsigned)(*p - '0')))
            return error_set(err, JUSTALOCK_ARG,
                             "%s is above 2^128 - 1, the largest lock id",
                             text);
    *ret_id = id;
    return JUSTALOCK_OK;
}

/* Two digits a byte, '-' where a UUID has them if `uuid`. */
static bool strict_hex(const char *text, bool uuid, struct lock_id *ret_id)
{
    size_t at = 0;

    for (size_t i = 0; i < sizeof(ret_id->bytes); i++) {
        int high, low;

        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            if (text[at++] != '-')
                return false;
        high = hex_value(text[at++]);
        if (high < 0)
            return false;
        low = hex_value(text[at++]);
        if (low < 0)
            return false;
        ret_id->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* 22 characters; the low 4 bits of the last one are unused. */
static bool strict_base64(const char *text, struct lock_id *ret_id)
{
    uint32_t bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < BASE64_LEN; i++) {
        char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        int v = base64_value(c);

        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 != 0)
            ret_id->bytes[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return (bits & 0xf) == 0;
}

enum justalock_status id_parse_strict(const char *text, size_t len,
                                      struct lock_id *ret_id,
                                      struct justalock_error *err)
{
    struct lock_id id;
    bool ok = false;

    if (len == UUID_LEN || len == HEX_LEN)
        ok = strict_hex(text, len == UUID_LEN, &id);
    else if (len == BASE64_LEN)
        ok = strict_base64(text, &id);
    else if (len == BASE64_PADDED)
        ok =
            memcmp(text + BASE64_LEN, "==", 2) == 0 && strict_base64(text, &id);
    if (!ok)
        return error_set(err, JUSTALOCK_ARG,
                         "\"%.*s\" is not a lock id: a UUID, 32 hex digits, or "
                         "16 bytes in base64url",
                         (int)(len < 64 ? len : 64), text);
    *ret_id = id;
    return JUSTALOCK_OK;
}

static enum justalock_status fill_random(uint8_t *out, size_t len,
                                         struct justalock_error *err)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = getrandom(out + at, len - at, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, errno, "random bytes");
        at += (size_t)n;
    }
    return JUSTALOCK_OK;
}

enum justalock_status id_random(struct lock_id *ret_id,
                                struct justalock_error *err)
{
    struct lock_id id;
    struct timespec ts;
    enum justalock_status st;
    uint64_t ns;

    st = fill_random(id.bytes + 8, sizeof(id.bytes) - 8, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return error_sys(err, errno, "the time of day");
    ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
    for (size_t i = 0; i < 8; i++)
        id.bytes[i] = (uint8_t)(ns >> (56 - 8 * i));
    *ret_id = id;
    return JUSTALOCK_OK;
}

enum justalock_status id_random_hex(char *out, size_t len,
                                    struct justalock_error *err)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[RANDOM_CHUNK_LEN];
    enum justalock_status st;

    for (size_t at = 0; at < len; at++) {
        size_t i = at % sizeof(bytes);

        if (i == 0) {
            st = fill_random(bytes, sizeof(bytes), err);
            if (st != JUSTALOCK_OK)
                return st;
        }
        out[2 * at] = digits[bytes[i] >> 4];
        out[2 * at + 1] = digits[bytes[i] & 0xf];
    }
    out[2 * len] = '\0';
    return JUSTALOCK_OK;
}

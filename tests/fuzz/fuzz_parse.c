/* SPDX-License-Identifier: MIT */
/*
 * fuzz_parse.c - any text as a number, a time, a name, a signal, a token's
 * file, as JSON text and as a text field of a message: what gets through is
 * what was promised.
 */
#include <stdlib.h>
#include <string.h>

#include "bearer.h"
#include "buf.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_numbers(const char *text)
{
    struct justalock_error err = {.text = ""};
    uint64_t v = 0;
    int64_t ms = 0;
    unsigned s = 0;
    bool is_time;

    if (parse_u64(text, 3, 70000, "n", &v, &err) == JUSTALOCK_OK)
        require(v >= 3 && v <= 70000);
    else
        require(parse_is_clean_text(err.text, strlen(err.text)));
    is_time = parse_time_ms(text, INT64_MAX, "t", &ms, NULL) == JUSTALOCK_OK;
    require(!is_time || ms >= 0);
    if (parse_life_s(text, "l", &s, &err) == JUSTALOCK_OK)
        require(is_time && ms == (int64_t)s * 1000 && s >= 1 && s <= 65535);
    else
        require(parse_is_clean_text(err.text, strlen(err.text)));
}

static void check_texts(char *text)
{
    struct justalock_error err = {.text = ""};
    bool is_clean = parse_is_clean_text(text, strlen(text));
    int signo = parse_signal(text);

    require(signo >= 0 && signo <= 64);
    if (parse_name(text, "n", &err) == JUSTALOCK_OK)
        require(is_clean && strlen(text) <= PARSE_NAME_MAX);
    else
        require(parse_is_clean_text(err.text, strlen(err.text)));
    parse_mask_unclean(text);
    require(parse_is_clean_text(text, strlen(text)));
}

static void check_json(const char *text)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_json(&b, text);
    if (!b.failed) {
        require(b.len >= 2 && b.data[0] == '"' && b.data[b.len - 1] == '"');
        require(parse_is_clean_text(b.data, b.len) ||
                strstr(text, "\xc2") != NULL); /* C1 controls may stay */
    }
    buf_done(&b);
}

static void check_fields(const uint8_t *data, size_t size)
{
    struct reader r;
    char text[32];
    uint8_t bytes[32];

    reader_init(&r, data, size);
    while (!r.failed) {
        (void)get_u8(&r);
        get_text(&r, text, sizeof(text));
        require(parse_is_clean_text(text, strlen(text)));
        require(get_bytes(&r, bytes, sizeof(bytes)) <= sizeof(bytes));
        require(r.at <= r.len);
    }
    require(!reader_done(&r));
}

static void check_bearer(const uint8_t *data, size_t size)
{
    char token[BEARER_MAX + 1] = "as it was";

    if (!bearer_parse((const char *)data, size, token)) {
        require(strcmp(token, "as it was") == 0);
        return;
    }
    require(strlen(token) >= 1 && strlen(token) + 2 >= size);
    require(parse_is_clean_text(token, strlen(token)));
    require(strchr(token, ' ') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_numbers(text);
    check_json(text);
    check_texts(text);
    free(text);
    check_fields(data, size);
    check_bearer(data, size);
    return 0;
}

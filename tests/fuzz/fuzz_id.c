/* SPDX-License-Identifier: MIT */
/*
 * fuzz_id.c - any text and bytes as a lock's name, number or id. Names come
 * from every user of a cluster, ids from the path of every request.
 */
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What is an id comes back as the same one through its text. */
static void check_id(const struct lock_id *id)
{
    struct lock_id_text text = id_format(id);
    struct lock_id back;

    require(strlen(text.s) == JUSTALOCK_ID_TEXT_LEN);
    require(id_parse_strict(text.s, strlen(text.s), &back, NULL) ==
            JUSTALOCK_OK);
    require(memcmp(&back, id, sizeof(back)) == 0);
}

static void check(enum justalock_status st, const struct lock_id *id,
                  const struct justalock_error *err)
{
    if (st == JUSTALOCK_OK) {
        check_id(id);
        return;
    }
    require(st == JUSTALOCK_ARG && err->status == st);
    require(err->text[0] != '\0');
    require(parse_is_clean_text(err->text, strlen(err->text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    struct lock_id id, strict;
    enum justalock_status st;
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    st = id_from_name(text, &id, &err);
    check(st, &id, &err);
    /* A UUID and 32 digits mean the same by both rules. */
    if (id_parse_strict(text, strlen(text), &strict, NULL) == JUSTALOCK_OK &&
        strlen(text) >= 32)
        require(st == JUSTALOCK_OK && memcmp(&id, &strict, sizeof(id)) == 0);
    check(id_from_decimal(text, &id, &err), &id, &err);
    (void)id_name_is_base64_shaped(text);
    free(text);
    /* From the middle of a request: no NUL behind. */
    check(id_parse_strict((const char *)data, size, &id, &err), &id, &err);
    id_from_bytes(data, size, &id);
    check_id(&id);
    return 0;
}

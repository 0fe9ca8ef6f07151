/* SPDX-License-Identifier: MIT */
/*
 * fuzz_wire.c - any packet as a message to the agent: every user of a host may
 * send one. What is taken packs to the same bytes, so nothing is read that was
 * not said, and nothing said is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    struct wire_msg m;
    struct buf b;

    if (wire_unpack(data, size, &m, &err) != JUSTALOCK_OK) {
        require(err.status == JUSTALOCK_PROTO && err.text[0] != '\0');
        return 0;
    }
    require(parse_is_clean_text(m.locks, strlen(m.locks)));
    require(parse_is_clean_text(m.text, strlen(m.text)));
    buf_init(&b, WIRE_MAX);
    require(wire_pack(&m, &b, &err) == JUSTALOCK_OK);
    require(b.len == size && memcmp(b.data, data, size) == 0);
    buf_done(&b);
    return 0;
}

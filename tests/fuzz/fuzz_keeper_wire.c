/* SPDX-License-Identifier: MIT */
/*
 * fuzz_keeper_wire.c - what a keeper that was taken over may send to the
 * agent's guard, which is root. What is taken must be packed to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "keeper_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct justalock_error err;
    struct keeper_msg m;
    struct buf b;

    if (len > KEEPER_WIRE_MAX ||
        keeper_wire_unpack(data, len, &m, &err) != JUSTALOCK_OK)
        return 0;
    buf_init(&b, KEEPER_WIRE_MAX);
    if (keeper_wire_pack(&m, &b, &err) != JUSTALOCK_OK || b.len != len ||
        memcmp(b.data, data, len) != 0)
        abort();
    buf_done(&b);
    return 0;
}

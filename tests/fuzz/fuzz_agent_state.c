/* SPDX-License-Identifier: MIT */
/*
 * fuzz_agent_state.c - records of the agent's state folder. The checksum is
 * put right first, else nothing would get behind it. What is read is packed
 * again and must come back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../modules/agent/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record r, again;
    static uint8_t copy[RECORD_MAX + 8];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    struct justalock_error err;
    struct buf b;

    if (size > RECORD_MAX - 8)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ copy[i]) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 8; i++)
        copy[size + (size_t)i] = (uint8_t)(sum >> (8 * i));
    if (record_unpack(copy, size + 8, &r, &err) != JUSTALOCK_OK)
        return 0;
    buf_init(&b, RECORD_MAX);
    if (record_pack(&r, &b, &err) != JUSTALOCK_OK ||
        record_unpack(b.data, b.len, &again, &err) != JUSTALOCK_OK)
        abort();
    buf_done(&b);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * cli_no_memory.h - a subcommand called again and again, each time with the
 * next of its allocations failing, until none does.
 */
#ifndef TESTS_UNIT_CLI_NO_MEMORY_H
#define TESTS_UNIT_CLI_NO_MEMORY_H

#include "cli_call.h"

#include "../lib/failing.h"

static long no_memory_at; /* -1: before the first */

static void no_memory_before(void)
{
    failing_memory(no_memory_at);
}

static void no_memory_after(void)
{
    if (failing_came())
        (void)close(open(in_scratch("came"), O_WRONLY | O_CREAT, 0600));
}

static void no_memory_begin(void)
{
    no_memory_at = -1;
}

/* false: in the last call none failed. */
static bool no_memory_next(void)
{
    bool more = no_memory_at < 0 || unlink(in_scratch("came")) == 0;

    assert_true(no_memory_at < 1000);
    no_memory_at++;
    call_before = more ? no_memory_before : NULL;
    call_after = more ? no_memory_after : NULL;
    return more;
}

#endif

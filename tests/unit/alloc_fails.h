/* SPDX-License-Identifier: MIT */
/*
 * alloc_fails.h - one allocation of this thread that fails, for tests linked
 * with --wrap=malloc,--wrap=calloc,--wrap=realloc.
 */
#ifndef TESTS_UNIT_ALLOC_FAILS_H
#define TESTS_UNIT_ALLOC_FAILS_H

#include <stdbool.h>
#include <stddef.h>

/* The allocation that fails, counted in this thread; 0: none. */
static __thread unsigned fail_at;
static __thread bool failed;

static bool is_to_fail(void)
{
    if (fail_at == 0 || --fail_at > 0)
        return false;
    failed = true;
    return true;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(n, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : __real_malloc(size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(p, size);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fail_alloc.c - see fail_alloc.h. What a program defines by the name malloc
 * is what every shared library calls, too; the C library's own has a second
 * name. Under a sanitizer the linker's --wrap puts ours before its.
 */
#include "fail_alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef FAIL_ALLOC_WRAPS
#define OURS(name)  __wrap_##name
#define REAL(name)  __real_##name
#define LIVE(delta) (void)(delta)
#else
#define OURS(name)  name
#define REAL(name)  __libc_##name
#define LIVE(delta) (void)(live += (delta))
#endif

static __thread long live, left, rest; /* 0: none fails */
static __thread bool has_failed;
static bool only_ours;
static long anywhere; /* of all threads; 0: none fails */

#pragma GCC visibility push(default) /* or no library would find them */

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *old, size_t size);
void *OURS(malloc)(size_t size);
void *OURS(calloc)(size_t n, size_t size);
void *OURS(realloc)(void *old, size_t size);

/* Where the program's own code is, that of libraries not. */
extern const char __executable_start, etext;

static bool is_to_fail(const void *caller)
{
    const char *at = caller;

    if (only_ours && (at < &__executable_start || at >= &etext))
        return false;
    if (__atomic_load_n(&anywhere, __ATOMIC_RELAXED) > 0 &&
        __atomic_sub_fetch(&anywhere, 1, __ATOMIC_SEQ_CST) == 0) {
        errno = ENOMEM;
        return true;
    }
    if (left == 0)
        return false;
    if (left > 1) {
        left--;
        return false;
    }
    if (--rest == 0)
        left = 0;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    if (p != NULL)
        LIVE(1L);
    return p;
}

void *OURS(malloc)(size_t size)
{
    return is_to_fail(__builtin_return_address(0))
               ? NULL
               : counted(REAL(malloc)(size));
}

void *OURS(calloc)(size_t n, size_t size)
{
    return is_to_fail(__builtin_return_address(0))
               ? NULL
               : counted(REAL(calloc)(n, size));
}

void *OURS(realloc)(void *old, size_t size)
{
    void *p;

    if (size > 0 && is_to_fail(__builtin_return_address(0)))
        return NULL;
    p = REAL(realloc)(old, size);
    if (old == NULL)
        return counted(p);
    if (size == 0)
        LIVE(-1L);
    return p;
}

#ifdef FAIL_ALLOC_WRAPS
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *p =
        is_to_fail(__builtin_return_address(0)) ? NULL : REAL(malloc)(size);

    return p == NULL ? NULL : memcpy(p, text, size);
}
#else
void __libc_free(void *p);
void *__libc_memalign(size_t align, size_t size);

void free(void *p)
{
    int saved = errno;

    if (p != NULL)
        LIVE(-1L);
    __libc_free(p);
    errno = saved;
}

static void *aligned(size_t align, size_t size)
{
    return is_to_fail(NULL) ? NULL : counted(__libc_memalign(align, size));
}

void *memalign(size_t align, size_t size);
void *memalign(size_t align, size_t size)
{
    return aligned(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return aligned(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    void *p = aligned(align, size);

    if (p == NULL)
        return ENOMEM;
    *ret = p;
    return 0;
}
#endif

#pragma GCC visibility pop

void fail_alloc_only_ours(bool is_so)
{
    only_ours = is_so;
}

void fail_alloc_at(long n, long times)
{
    left = n;
    rest = times;
    has_failed = false;
}

bool fail_alloc_off(void)
{
    left = 0;
    return has_failed;
}

void fail_alloc_anywhere(long n)
{
    __atomic_store_n(&anywhere, n, __ATOMIC_SEQ_CST);
}

bool fail_alloc_anywhere_off(void)
{
    return __atomic_exchange_n(&anywhere, 0, __ATOMIC_SEQ_CST) <= 0;
}

long fail_alloc_live(void)
{
    return live;
}

long fail_alloc_least(long n)
{
#ifdef FAIL_ALLOC_WRAPS
    return n > 0;
#else
    return n;
#endif
}

long fail_alloc_each(fail_alloc_fn *fn, void *arg)
{
    bool hit = true;

    fail_alloc_off();
    assert_true(fn(arg));
    for (long n = 1;; n++) {
        long before = fail_alloc_live();
        bool good;

        fail_alloc_at(n, 1);
        good = fn(arg);
        hit = fail_alloc_off();
        if (!hit && !good)
            fail_msg("no memory, it says, and there was");
        if (fail_alloc_live() > before)
            fail_msg("%ld blocks are left behind after the failure of %ld",
                     fail_alloc_live() - before, n);
        if (!hit)
            return n - 1;
    }
}

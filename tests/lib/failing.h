/* SPDX-License-Identifier: MIT */
/*
 * failing.h - calls of our own code that fail when a test says so, for test
 * programs that are linked with the Makefile's $(FAILING).
 */
#ifndef TESTS_LIB_FAILING_H
#define TESTS_LIB_FAILING_H

#include <stdbool.h>

/* malloc, calloc, realloc, strdup; what libraries allocate does not count. */
void failing_memory(long nth); /* the nth from now on, 0 the next; -1: none */
bool failing_came(void);       /* it has failed since; said once */
long failing_live(void);       /* allocated and not freed */
void failing_pause(bool is_paused); /* no memory fails meanwhile */

/* The next call of this name fails with this errno, once; NULL: none. */
void failing_call(const char *name, int errnum);

#endif

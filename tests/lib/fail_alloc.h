/* SPDX-License-Identifier: MIT */
/*
 * fail_alloc.h - memory that runs out when a test says so: for our code and
 * for every library beneath it, in the thread that asked for it only. A
 * program has it by being linked with fail_alloc.o.
 *
 * Under a sanitizer, whose memory it must be, it is our code's calls that
 * fail, and fail_alloc_live is always 0: the sanitizer looks for leaks.
 */
#ifndef TESTS_FAIL_ALLOC_H
#define TESTS_FAIL_ALLOC_H

#include <stdbool.h>

/* From now on in this thread: allocation n (1 is the next) fails, and the
 * `times` - 1 after it. */
void fail_alloc_at(long n, long times);
#define FAIL_ALLOC_ON 1000000000L /* all after it, too */
/* Where a library is known to crash or to lose memory itself: what the
 * program's own code asks for directly. For all threads. */
void fail_alloc_only_ours(bool is_so);
/* None fails from now on. Returns whether one has. */
bool fail_alloc_off(void);
/* The same for whichever thread comes to allocation n of them all. */
void fail_alloc_anywhere(long n);
bool fail_alloc_anywhere_off(void);
/* Allocated by this thread less freed by it, in blocks. */
long fail_alloc_live(void);

/*
 * Call fn with the first allocation failing, the second, and so on, until none
 * does: then fn has run without a failure, and its word counts. fn says false
 * where it noticed that there was no memory; before that it has checked what
 * it left. Where nothing fails it must say true. Returns how many points there
 * were. A first call, of which nothing is asked, lets libraries allocate what
 * they keep.
 */
/* Of how many points there are at least: where only our own calls fail, 1. */
long fail_alloc_least(long n);
typedef bool fail_alloc_fn(void *arg);
long fail_alloc_each(fail_alloc_fn *fn, void *arg);

#endif

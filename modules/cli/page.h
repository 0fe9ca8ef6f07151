/* SPDX-License-Identifier: MIT */
/*
 * page.h - the page that front and back of `justalock run` share: until when
 * the lock is ours, and what has been done about its end. Both enforce the
 * same deadline, so that either may be killed or stopped.
 */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "lease.h"

enum page_state {
    PAGE_ASKING, /* no work yet */
    PAGE_HELD,   /* the deadline counts; work may run */
    PAGE_DONE    /* no work is left and none will be started */
};

struct page {
    /* Each word is whole; both only ever move forward, so that a reader who
     * sees one old word errs to the safe side. */
    _Atomic int64_t deadline_boot_ms;
    _Atomic int64_t deadline_raw_ms;
    _Atomic int64_t grace_ms; /* TERM to KILL */
    _Atomic int64_t kill_ms;  /* KILL to seen dead */
    _Atomic int state;        /* enum page_state */
    _Atomic int warned;       /* the work has got its TERM or signal */
    _Atomic int child;        /* pid and group of the command, 0: none */
    _Atomic int keeper;       /* pid of the present keeper */
    _Atomic int goes_on;      /* the command, which had stopped */
};

enum justalock_status page_new(struct page **ret_page,
                               struct justalock_error *err) JUSTALOCK_MUST;
void page_set_deadline(struct page *p, const struct lease_times *times,
                       struct clock_time deadline);
struct clock_time page_deadline(const struct page *p);
struct clock_time page_term_at(const struct page *p);
struct clock_time page_kill_at(const struct page *p);
/* true for the first one who asks: he sends the TERM or the signal. */
bool page_claim_warning(struct page *p);

/* A timer that also counts suspend; -1 with err. */
enum justalock_status timer_open(int *ret_fd, struct justalock_error *err)
    JUSTALOCK_MUST;
/*
 * Ring when `due` may be reached. It rings early rather than late, since the
 * two clocks run apart: who asked looks at the time again and sets it anew.
 */
void timer_set(int fd, struct clock_time due);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * page.c - the deadline shared between the two supervisors of a command, and
 * the timer that wakes them. Kills nothing.
 */
#include "page.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TIMER_MAX_MS 60000 /* look again at least so often */
#define MS_PER_S     1000
#define NS_PER_MS    1000000

enum justalock_status page_new(struct page **ret_page,
                               struct justalock_error *err)
{
    struct page *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return error_sys(err, errno, "no shared page");
    *ret_page = p; /* zeroed: asking, nobody warned */
    return JUSTALOCK_OK;
}

void page_set_deadline(struct page *p, const struct lease_times *times,
                       struct clock_time deadline)
{
    atomic_store(&p->grace_ms, times->grace_ms);
    atomic_store(&p->kill_ms, times->kill_ms);
    atomic_store(&p->deadline_boot_ms, deadline.boot_ms);
    atomic_store(&p->deadline_raw_ms, deadline.raw_ms);
    if (atomic_load(&p->state) == PAGE_ASKING)
        atomic_store(&p->state, PAGE_HELD);
}

struct clock_time page_deadline(const struct page *p)
{
    return (struct clock_time){.boot_ms = atomic_load(&p->deadline_boot_ms),
                               .raw_ms = atomic_load(&p->deadline_raw_ms)};
}

struct clock_time page_kill_at(const struct page *p)
{
    return clock_add(page_deadline(p), -atomic_load(&p->kill_ms));
}

struct clock_time page_term_at(const struct page *p)
{
    return clock_add(page_kill_at(p), -atomic_load(&p->grace_ms));
}

bool page_claim_warning(struct page *p)
{
    return atomic_exchange(&p->warned, 1) == 0;
}

enum justalock_status timer_open(int *ret_fd, struct justalock_error *err)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd < 0)
        return error_sys(err, errno, "timerfd");
    *ret_fd = fd;
    return JUSTALOCK_OK;
}

/*
 * Seven eighths of the way each time: the timer's clock may be slewed by up
 * to 8 % against the other one.
 */
static int64_t step_ms(int64_t left)
{
    if (left <= 0)
        return 0;
    if (left > TIMER_MAX_MS)
        return TIMER_MAX_MS;
    return left > 16 ? left - left / 8 : left;
}

void timer_set(int fd, struct clock_time due)
{
    int64_t ms = step_ms(clock_left_ms(due, clock_now()));
    struct itimerspec spec;

    memset(&spec, 0, sizeof(spec));
    spec.it_value.tv_sec = (time_t)(ms / MS_PER_S);
    spec.it_value.tv_nsec = (long)(ms % MS_PER_S * NS_PER_MS);
    if (ms == 0)
        spec.it_value.tv_nsec = 1;             /* 0 would disarm it */
    (void)timerfd_settime(fd, 0, &spec, NULL); /* the values are in range */
}

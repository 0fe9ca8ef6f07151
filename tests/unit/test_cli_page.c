/* SPDX-License-Identifier: MIT */
/*
 * test_cli_page.c - what front and back share: one page for both, its
 * deadlines by both clocks, one warning; and the timer that never rings late,
 * whichever clock is ahead.
 */
#include "fake_clock.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/page.h"

static int mmap_errno; /* of the next one; 0: it works */

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    if (mmap_errno == 0)
        return __real_mmap(at, len, prot, flags, fd, off);
    errno = mmap_errno;
    mmap_errno = 0;
    return MAP_FAILED;
}

static const struct lease_times times = {.grace_ms = 5000, .kill_ms = 2000};

static struct page *new_page(void)
{
    struct justalock_error err;
    struct page *p = NULL;

    assert_ok(page_new(&p, &err), err);
    return p;
}

static void a_new_one(void **state)
{
    struct page *p = new_page();

    (void)state;
    assert_int_equal(p->state, PAGE_ASKING);
    assert_int_equal(p->warned, 0);
    assert_int_equal(p->child, 0);
    assert_int_equal(p->keeper, 0);
    (void)munmap(p, sizeof(*p));
}

static void none_to_be_had(void **state)
{
    struct justalock_error err;
    struct page *p = NULL;

    (void)state;
    mmap_errno = ENOMEM;
    assert_fails(page_new(&p, &err), JUSTALOCK_SYS, err, "no shared page");
    assert_null(p);
    assert_int_equal(err.sys_errno, ENOMEM);
}

/* Each word of one is seen by the other, and only one may warn. */
static void two_processes_share_it(void **state)
{
    struct page *p = new_page();
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        page_set_deadline(p, &times,
                          (struct clock_time){.boot_ms = 77, .raw_ms = 88});
        _exit(page_claim_warning(p) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(p->state, PAGE_HELD);
    assert_int_equal(page_deadline(p).boot_ms, 77);
    assert_int_equal(page_deadline(p).raw_ms, 88);
    assert_false(page_claim_warning(p));
    (void)munmap(p, sizeof(*p));
}

static void one_claims_the_warning(void **state)
{
    struct page *p = new_page();

    (void)state;
    assert_true(page_claim_warning(p));
    assert_false(page_claim_warning(p));
    assert_false(page_claim_warning(p));
    (void)munmap(p, sizeof(*p));
}

static void time_is(struct clock_time t, int64_t boot_ms, int64_t raw_ms)
{
    assert_int_equal(t.boot_ms, boot_ms);
    assert_int_equal(t.raw_ms, raw_ms);
}

/* TERM, grace, KILL, time to die, the end of the lease. */
static void what_is_due_when(void **state)
{
    struct page *p = new_page();
    struct lease_times other = {.grace_ms = 100, .kill_ms = 30};

    (void)state;
    page_set_deadline(p, &times,
                      (struct clock_time){.boot_ms = 60000, .raw_ms = 61000});
    time_is(page_deadline(p), 60000, 61000);
    time_is(page_kill_at(p), 58000, 59000);
    time_is(page_term_at(p), 53000, 54000);
    page_set_deadline(p, &other,
                      (struct clock_time){.boot_ms = 90000, .raw_ms = 92000});
    time_is(page_kill_at(p), 89970, 91970);
    time_is(page_term_at(p), 89870, 91870);
    (void)munmap(p, sizeof(*p));
}

/* What is done stays done, whatever comes late. */
static void a_late_refresh_starts_nothing(void **state)
{
    struct page *p = new_page();

    (void)state;
    p->state = PAGE_DONE;
    page_set_deadline(p, &times, clock_add(clock_now(), 1000));
    assert_int_equal(p->state, PAGE_DONE);
    (void)munmap(p, sizeof(*p));
}

/* ---- the timer ---- */

static int timer;

static int open_timer(void **state)
{
    struct justalock_error err;

    (void)state;
    memset(&fake_clock, 0, sizeof(fake_clock));
    return timer_open(&timer, &err) == JUSTALOCK_OK ? 0 : -1;
}

static int close_timer(void **state)
{
    (void)state;
    return close(timer);
}

/* Until it rings, in ms. */
static long rings_in(struct clock_time due)
{
    struct itimerspec left;

    timer_set(timer, due);
    assert_int_equal(timerfd_gettime(timer, &left), 0);
    assert_int_equal(left.it_interval.tv_sec, 0);
    assert_int_equal(left.it_interval.tv_nsec, 0);
    return (long)left.it_value.tv_sec * 1000 + left.it_value.tv_nsec / 1000000;
}

static bool has_rung(int ms)
{
    struct pollfd p = {.fd = timer, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static struct clock_time in_ms(int64_t ms)
{
    return clock_add(clock_now(), ms);
}

static void a_timer_of_its_own(void **state)
{
    struct justalock_error err;
    struct rlimit all, none;
    int fd = -7;

    (void)state;
    assert_true((fcntl(timer, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(timer, F_GETFL) & O_NONBLOCK) != 0);
    assert_false(has_rung(0));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_fails(timer_open(&fd, &err), JUSTALOCK_SYS, err, "timerfd");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(err.sys_errno, EMFILE);
    assert_int_equal(fd, -7);
}

static void what_is_past_rings_at_once(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms >= -100000000; ms = ms * 10 - 1) {
        timer_set(timer, in_ms(ms));
        assert_true(has_rung(10000));
        timer_set(timer, in_ms(60000)); /* and is set anew */
        assert_false(has_rung(0));
    }
}

/* Seven eighths of the way, at most a minute: the rest is looked at anew. */
static void it_rings_early(void **state)
{
    (void)state;
    assert_in_range(rings_in(in_ms(8000)), 6000, 7000);
    assert_in_range(rings_in(in_ms(40000)), 34000, 35000);
    assert_in_range(rings_in(in_ms(60000)), 50000, 52500);
    assert_in_range(rings_in(in_ms(60100)), 51000, 60000);
    assert_in_range(rings_in(in_ms(3600000)), 59000, 60000);
    assert_in_range(rings_in(clock_never()), 59000, 60000);
    assert_in_range(rings_in(in_ms(400)), 0, 350);
    assert_in_range(rings_in(in_ms(16)), 0, 16);
}

/* A short rest is slept whole, so that the steps come to an end. */
static void the_steps_come_to_an_end(void **state)
{
    struct clock_time due = in_ms(300);
    int steps = 0;

    (void)state;
    for (; clock_left_ms(due, clock_now()) > 0; steps++) {
        timer_set(timer, due);
        assert_true(has_rung(10000));
    }
    assert_in_range(steps, 1, 100);
}

/* The clock by which the deadline is nearer decides. */
static void the_earlier_clock_decides(void **state)
{
    struct clock_time due = in_ms(40000);

    (void)state;
    fake_clock.slewed_ms = 20000; /* BOOTTIME is ahead */
    assert_in_range(rings_in(due), 16000, 17500);
    fake_clock.slewed_ms = -20000;
    assert_in_range(rings_in(due), 34000, 35000);
    fake_clock.slewed_ms = 0;
    fake_clock.asleep_ms = 39000; /* it slept meanwhile */
    assert_in_range(rings_in(due), 0, 875);
    fake_clock.asleep_ms = 40001;
    timer_set(timer, due);
    assert_true(has_rung(10000));
}

#define TIMER(fn) cmocka_unit_test_setup_teardown(fn, open_timer, close_timer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one),
        cmocka_unit_test(none_to_be_had),
        cmocka_unit_test(two_processes_share_it),
        cmocka_unit_test(one_claims_the_warning),
        cmocka_unit_test(what_is_due_when),
        cmocka_unit_test(a_late_refresh_starts_nothing),
        TIMER(a_timer_of_its_own),
        TIMER(what_is_past_rings_at_once),
        TIMER(it_rings_early),
        TIMER(the_steps_come_to_an_end),
        TIMER(the_earlier_clock_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

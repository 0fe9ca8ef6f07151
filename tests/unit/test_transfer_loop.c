/* SPDX-License-Identifier: MIT */
/*
 * test_transfer_loop.c - one pass of a hub: how long it waits, by either
 * clock, what a signal does, and what the owner may do while it is told of an
 * end.
 */
#include "test.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "transfer_inner.h"

#define LONG_MS 10000

/* ".test" names: hang.test is found once `gate` is open, none.test never. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

    if (!real)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(node, "hang.test") == 0) {
        (void)pthread_mutex_lock(&gate);
        (void)pthread_mutex_unlock(&gate);
    }
    if (strcmp(node, "none.test") == 0)
        return EAI_NONAME;
    return real("127.0.0.1", service, hints, res);
}

static struct transfer_hub *hub;
static struct fake_service *service;
static char url[64];

static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    (void)arg;
    (void)snprintf(s->body, sizeof(s->body), "%s", q->target);
    if (strcmp(q->target, "/silent") == 0)
        s->way = FAKE_SILENT;
}

static int up(void **state)
{
    struct justalock_error err;

    (void)state;
    service = fake_start(serve, NULL);
    assert_non_null(service);
    assert_ok(transfer_hub_new(&hub, &err), err);
    return 0;
}

static int down(void **state)
{
    (void)state;
    transfer_hub_free(hub);
    fake_stop(service);
    return 0;
}

static unsigned over;
static struct transfer_answer last;

static void on_over(void *arg, const struct transfer_answer *a)
{
    (void)arg;
    over++;
    last = *a;
}

static struct transfer *begin(const char *host, const char *path,
                              int64_t limit_ms, transfer_fn *fn, void *arg)
{
    struct transfer_request q = {
        .method = "POST", .url = url, .limit_ms = limit_ms};
    struct justalock_error err;
    struct transfer *t = NULL;

    (void)snprintf(url, sizeof(url), "http://%s:%d%s", host, fake_port(service),
                   path);
    assert_ok(transfer_start(hub, &q, fn, arg, &t, &err), err);
    return t;
}

static void await(unsigned n)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    while (over < n) {
        assert_true(clock_left_ms(end, clock_now()) > 0);
        (void)transfer_run(hub, -1, end);
    }
}

/* How long a pass takes until then; it serves nothing. */
static int64_t pass_ms(struct clock_time until)
{
    int64_t start = clock_raw_ms();

    assert_false(transfer_run(hub, -1, until));
    return clock_raw_ms() - start;
}

/* ---- how long ---- */

static void until_either_clock_says_so(void **state)
{
    struct clock_time now = clock_now(), until;

    (void)state;
    assert_true(pass_ms(now) < LONG_MS / 2);
    assert_true(pass_ms((struct clock_time){0, 0}) < LONG_MS / 2);
    assert_true(pass_ms((struct clock_time){INT64_MIN, INT64_MIN}) <
                LONG_MS / 2);
    assert_true(pass_ms((struct clock_time){INT64_MAX, now.raw_ms}) <
                LONG_MS / 2);
    assert_true(pass_ms((struct clock_time){now.boot_ms, INT64_MAX}) <
                LONG_MS / 2);
    assert_in_range(pass_ms(clock_add(clock_now(), 60)), 55, LONG_MS / 2);
    until = clock_add(clock_now(), 60);
    until.boot_ms += LONG_MS; /* it has jumped */
    assert_in_range(pass_ms(until), 55, LONG_MS / 2);
    until = clock_add(clock_now(), 60);
    until.raw_ms = INT64_MAX;
    assert_in_range(pass_ms(until), 55, LONG_MS / 2);
}

/* What the timer is set to, ms; 0: to nothing. */
static int64_t timer_ms(void)
{
    struct itimerspec left;

    assert_int_equal(timerfd_gettime(hub->timer, &left), 0);
    return left.it_value.tv_sec * 1000 + left.it_value.tv_nsec / 1000000 +
           (left.it_value.tv_nsec % 1000000 > 0);
}

/* A pass that a descriptor ends at once. */
static void pass_now(int fd, struct clock_time until)
{
    assert_true(transfer_run(hub, fd, until));
}

static void the_timer_is_never_too_late(void **state)
{
    static const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};
    uint64_t one = 1;
    int fd = eventfd(0, EFD_CLOEXEC);
    struct clock_time until = clock_add(clock_now(), 3600000), sooner;
    int64_t left;

    (void)state;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    pass_now(fd, clock_never());
    assert_int_equal(timer_ms(), 0);
    pass_now(fd, until); /* in an hour: looked at again before that */
    assert_in_range(timer_ms(), 1, LONG_MS);
    sooner = clock_add(clock_now(), 5000);
    pass_now(fd, sooner);
    left = timer_ms();
    assert_in_range(left, 1, 5000);
    (void)usleep(20000);
    pass_now(fd, sooner); /* it runs on */
    assert_in_range(timer_ms(), 1, left - 10);
    /* The same time is nearer by a clock that jumps. */
    sooner.raw_ms -= 4000;
    pass_now(fd, sooner);
    assert_in_range(timer_ms(), 1, 1000);
    /* It has fired before that time, as far off as it is: once more. */
    sooner = clock_add(clock_now(), LONG_MS);
    pass_now(fd, sooner);
    assert_int_equal(timerfd_settime(hub->timer, 0, &at_once, NULL), 0);
    assert_true(pass_ms(sooner) < LONG_MS / 2);
    pass_now(fd, sooner);
    assert_in_range(timer_ms(), 1, LONG_MS);
    /* It has fired unseen, and is set again for what is asked then. */
    assert_true(pass_ms(clock_add(clock_now(), 20)) < LONG_MS / 2);
    for (int i = 0; i < 100 && !clock_is_never(hub->armed); i++)
        (void)pass_ms(clock_add(clock_now(), 20));
    sooner = clock_add(clock_now(), 300);
    assert_in_range(pass_ms(sooner), 290, LONG_MS / 2);
    assert_int_equal(close(fd), 0);
}

/* ---- signals ---- */

static unsigned alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static void a_signal_ends_the_wait(void **state)
{
    struct sigaction sa = {.sa_handler = on_alarm}, before;
    struct itimerval soon = {.it_value = {.tv_usec = 30000}};
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)state;
    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &sa, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    while (alarms == 0)
        assert_false(transfer_run(hub, fd, clock_add(clock_now(), LONG_MS)));
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_int_equal(close(fd), 0);
}

static void on_over_with_pipe(void *arg, const struct transfer_answer *a)
{
    (void)pthread_kill(pthread_self(), SIGPIPE);
    on_over(arg, a);
}

static bool is_pipe_pending(void)
{
    sigset_t set;

    assert_int_equal(sigpending(&set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

static void sigpipe_of_a_pass_and_of_others(void **state)
{
    static const struct timespec none = {0};
    sigset_t pipe_set, before, now;

    (void)state;
    over = 0;
    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    /* One that a pass raises does not come, and the mask is as it was. */
    (void)begin("127.0.0.1", "/a", LONG_MS, on_over_with_pipe, NULL);
    await(1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGPIPE), 0);
    assert_false(is_pipe_pending());
    /* Whose owner blocks it keeps his own. */
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe_set, &before), 0);
    assert_int_equal(pthread_kill(pthread_self(), SIGPIPE), 0);
    (void)transfer_run(hub, -1, clock_now());
    assert_true(is_pipe_pending());
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGPIPE), 1);
    assert_int_equal(sigtimedwait(&pipe_set, NULL, &none), SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* ---- what the owner does meanwhile ---- */

static void on_over_begins(void *arg, const struct transfer_answer *a)
{
    const char *next = arg;

    /* That one gets the handle of this one, whose answer stays. */
    (void)begin("127.0.0.1", next, LONG_MS, on_over, NULL);
    assert_int_equal(a->status, JUSTALOCK_OK);
    assert_string_equal(a->body, "/first");
    assert_memory_equal(a->head, "HTTP/1.1 200", 12);
    over++;
}

static void one_that_begins_another(void **state)
{
    static char next[] = "/second";

    (void)state;
    over = 0;
    (void)begin("127.0.0.1", "/first", LONG_MS, on_over_begins, next);
    await(2);
    assert_int_equal(last.status, JUSTALOCK_OK);
    assert_int_equal(fake_count(service), 2);
}

static struct transfer *others[8];

static void on_over_ends_others(void *arg, const struct transfer_answer *a)
{
    (void)arg;
    on_over(NULL, a);
    for (size_t i = 0; i < LENGTH(others); i++) {
        if (others[i] && (struct transfer **)arg != &others[i])
            transfer_cancel(others[i]);
        others[i] = NULL;
    }
}

/* All of one name that cannot be found: the first to hear of it ends the
 * others, of which nothing is heard. */
static void one_that_ends_the_others(void **state)
{
    (void)state;
    over = 0;
    for (size_t i = 0; i < LENGTH(others); i++)
        others[i] =
            begin("none.test", "/", LONG_MS, on_over_ends_others, &others[i]);
    await(1);
    assert_int_equal(last.status, JUSTALOCK_NET);
    assert_has(last.text, "name lookup of none.test: ");
    assert_null(hub->naming);
    for (int i = 0; i < 5; i++)
        (void)pass_ms(clock_add(clock_now(), 5));
    assert_int_equal(over, 1);
    /* The same where libcurl has them. */
    for (size_t i = 0; i < LENGTH(others); i++)
        others[i] =
            begin("127.0.0.1", "/", LONG_MS, on_over_ends_others, &others[i]);
    await(2);
    assert_int_equal(last.status, JUSTALOCK_OK);
    for (int i = 0; i < 5; i++)
        (void)pass_ms(clock_add(clock_now(), 5));
    assert_int_equal(over, 2);
    assert_null(hub->pools[false].first);
}

/* ---- names ---- */

static void a_name_that_comes_late(void **state)
{
    int64_t start = clock_raw_ms();
    struct transfer *gone;

    (void)state;
    over = 0;
    (void)pthread_mutex_lock(&gate);
    gone = begin("hang.test", "/gone", LONG_MS, on_over, NULL);
    (void)begin("hang.test", "/short", 50, on_over, NULL);
    (void)begin("hang.test", "/long", LONG_MS, on_over, NULL);
    await(1);
    assert_in_range(clock_raw_ms() - start, 45, LONG_MS / 2);
    assert_int_equal(last.status, JUSTALOCK_NET);
    assert_string_equal(last.text,
                        "name lookup of hang.test: no answer in time");
    transfer_cancel(gone); /* the answer is for the others alone */
    (void)pthread_mutex_unlock(&gate);
    await(2);
    assert_int_equal(last.status, JUSTALOCK_OK);
    assert_int_equal(fake_count(service), 1);
    assert_null(hub->naming);
}

/* It is known, but there is no memory to say so to libcurl: that is what is
 * said, not that no answer came. */
static void no_memory_for_a_name(void **state)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);
    struct transfer *t;

    (void)state;
    if (fail_alloc_least(2) < 2)
        skip(); /* it is libcurl's memory */
    over = 0;
    (void)pthread_mutex_lock(&gate);
    t = begin("hang.test", "/", LONG_MS, on_over, NULL);
    (void)pthread_mutex_unlock(&gate);
    while (t->name->addrs[0] == '\0') {
        assert_true(clock_left_ms(end, clock_now()) > 0);
        (void)usleep(1000);
        names_collect(hub->names);
    }
    fail_alloc_at(1, FAIL_ALLOC_ON);
    (void)transfer_run(hub, -1, clock_now());
    assert_true(fail_alloc_off());
    assert_int_equal(over, 1);
    assert_int_equal(last.status, JUSTALOCK_NOMEM);
    assert_string_equal(last.text, "no memory");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(until_either_clock_says_so), TEST(the_timer_is_never_too_late),
        TEST(a_signal_ends_the_wait),     TEST(sigpipe_of_a_pass_and_of_others),
        TEST(one_that_begins_another),    TEST(one_that_ends_the_others),
        TEST(a_name_that_comes_late),     TEST(no_memory_for_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

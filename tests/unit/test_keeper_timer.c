/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_timer.c - the timers against a plain list, under two clocks that
 * go at different speeds.
 */
#include "test.h"

#include <stdlib.h>

#include "keeper_timer.h"

#define COUNT 300
#define STEPS 20000

static struct timer timers[COUNT];
static bool set[COUNT];

static bool is_due(size_t i, struct clock_time now)
{
    return set[i] && clock_left_ms(timers[i].due, now) <= 0;
}

static void test_against_list(void **state)
{
    struct timers ts = {.len = 0};
    struct clock_time now = {1000, 900};

    (void)state;
    srandom(7);
    assert_true(timers_reserve(&ts, COUNT));
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)random() % COUNT;
        struct clock_time next;
        struct timer *t;

        timer_set(&ts, &timers[i],
                  random() % 4 == 0
                      ? clock_never()
                      : (struct clock_time){now.boot_ms + random() % 500,
                                            now.raw_ms + random() % 500});
        set[i] = timers[i].at[0] != 0;
        now.boot_ms += random() % 5;
        now.raw_ms += random() % 3;
        next = timers_next(&ts);
        while ((t = timers_due(&ts, now))) {
            assert_true(clock_left_ms(next, now) <= 0);
            assert_true(is_due((size_t)(t - timers), now));
            set[t - timers] = false;
        }
        for (size_t j = 0; j < COUNT; j++)
            assert_false(is_due(j, now));
    }
    timers_done(&ts);
}

static void test_empty(void **state)
{
    struct timers ts = {.len = 0};
    struct timer t = {.at = {0, 0}};

    (void)state;
    assert_true(clock_is_never(timers_next(&ts)));
    assert_null(timers_due(&ts, clock_never()));
    assert_true(timers_reserve(&ts, 1));
    timer_set(&ts, &t, clock_never());
    assert_true(clock_is_never(timers_next(&ts)));
    timers_done(&ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_list),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

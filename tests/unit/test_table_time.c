/* SPDX-License-Identifier: MIT */
/*
 * test_table_time.c - what is due when: a lease ends in its very millisecond,
 * in whatever order thousands were taken, refreshed and given back.
 */
#include <stdlib.h>

#include "table_help.h"

#define MANY 3000

/* A lock's and its lease's number. */
static struct lock_request numbered(unsigned n, unsigned life_s)
{
    struct lock_request q = request('x', "one", "s", life_s);

    memcpy(q.id.bytes, &n, sizeof(n));
    return q;
}

static bool has(struct fixture *f, unsigned n)
{
    struct lock_request q = numbered(n, 1);
    struct lock_view v;

    return lock_look(f->t, &q.id, f->now, &v) && v.is_held;
}

static void test_order(void **state)
{
    static int64_t ends[MANY]; /* 0: given back */
    struct lock_answer a;
    struct fixture f;
    size_t held = 0;

    (void)state;
    begin(&f);
    assert_true(lock_run(f.t, f.now) == INT64_MAX);
    srandom(7);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        unsigned n = (unsigned)random() % MANY;
        unsigned life_s = 1 + (unsigned)random() % 100;
        struct lock_request q = numbered(n, life_s);

        if (ends[n] > 0 && random() % 3 == 0) {
            lock_give(f.t, &q, f.now, &a);
            assert_int_equal(a.result, LOCK_RELEASED);
            ends[n] = -1; /* remembered: not this share again */
            continue;
        }
        if (ends[n] < 0)
            continue;
        lock_take(f.t, &q, f.now, WALL, &a);
        assert_true(a.result == LOCK_NEW || a.result == LOCK_RENEWED);
        /* A refresh never shortens what was promised. */
        ends[n] =
            f.now + life_s * 1000 > ends[n] ? f.now + life_s * 1000 : ends[n];
    }
    lock_changes_clear(f.t);
    for (unsigned n = 0; n < MANY; n++)
        held += ends[n] > 0;
    assert_int_equal(lock_counts(f.t).held, held);
    while (held > 0) {
        int64_t next = lock_run(f.t, f.now), least = INT64_MAX;
        size_t now_held = 0;

        for (unsigned n = 0; n < MANY; n++) {
            if (ends[n] > f.now && ends[n] < least)
                least = ends[n];
            now_held += ends[n] > f.now;
        }
        /* Not later than the first that ends; earlier is no harm. */
        assert_true(next <= least);
        assert_int_equal(lock_counts(f.t).held, now_held);
        held = now_held;
        if (held == 0)
            break;
        assert_true(next > f.now);
        f.now = next;
    }
    for (unsigned n = 0; n < MANY; n++)
        assert_false(has(&f, n));
    end(&f);
}

static void test_edge(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_NEW);
    assert_true(lock_run(f.t, f.now) == f.now + 10000);
    f.now += 9999;
    (void)lock_run(f.t, f.now);
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_CONFLICT);
    f.now += 1; /* not even lock_run is needed for it */
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_NEW);
    end(&f);
}

/* Refreshed to the end of the day: looked at when the old time comes, and
 * left alone. */
static void test_refreshed(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_NEW);
    for (int i = 0; i < 1000; i++) {
        f.now += 5000;
        assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_RENEWED);
        (void)lock_run(f.t, f.now);
        assert_true(is_held(&f, 'a'));
    }
    assert_int_equal(changes(&f), 1); /* and only the grant was written */
    f.now += 10000;
    assert_true(lock_run(f.t, f.now) == INT64_MAX);
    assert_int_equal(changes(&f), 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_refreshed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_table_payer.c - how much of the lock table one may use, and all: each
 * limit at its edge, and what gives room again.
 */
#include <stdio.h>

#include "table_help.h"

static const struct lock_limits few = {.all = {[LOCK_LIMIT_WAITERS] = 3,
                                               [LOCK_LIMIT_HELD] = 3,
                                               [LOCK_LIMIT_RELEASED] = 3},
                                       .each = {[LOCK_LIMIT_WAITERS] = 2,
                                                [LOCK_LIMIT_HELD] = 2,
                                                [LOCK_LIMIT_RELEASED] = 2}};

static void begin_few(struct fixture *f, const char *payer)
{
    begin(f);
    lock_set_limits(f->t, &few);
    assert_true(lock_charge(f->t, payer));
}

static void refused(const struct fixture *f, enum lock_limit limit, bool is_own)
{
    struct lock_refusal why = lock_refusal(f->t);

    assert_int_equal(why.limit, limit);
    assert_int_equal(why.is_own, is_own);
}

static void test_held(void **state)
{
    struct fixture f;

    (void)state;
    begin_few(&f, "one");
    assert_int_equal(take(&f, 'a', "c", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'b', "c", "s", 10).result, LOCK_NEW);
    assert_int_equal(lock_refusal(f.t).limit, LOCK_LIMITS);
    assert_int_equal(take(&f, 'c', "c", "s", 10).result, LOCK_BUSY);
    refused(&f, LOCK_LIMIT_HELD, true);
    /* Another share is one more; a refresh is not. */
    assert_int_equal(take(&f, 'a', "c", "t", 10).result, LOCK_BUSY);
    assert_int_equal(take(&f, 'a', "c", "s", 20).result, LOCK_RENEWED);
    assert_true(lock_charge(f.t, "two"));
    assert_int_equal(take(&f, 'c', "d", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'd', "d", "s", 10).result, LOCK_BUSY);
    refused(&f, LOCK_LIMIT_HELD, false);
    assert_int_equal(take(&f, 'c', "d", "s", 10).result, LOCK_RENEWED);
    assert_int_equal(lock_counts(f.t).held, 3);
    end(&f);
}

static void test_held_gives_room(void **state)
{
    struct fixture f;

    (void)state;
    begin_few(&f, "one");
    (void)take(&f, 'a', "c", "s", 10);
    (void)take(&f, 'b', "c", "s", 100);
    assert_int_equal(give(&f, 'b', "c", "s"), LOCK_RELEASED);
    assert_int_equal(take(&f, 'b', "c", "t", 100).result, LOCK_NEW);
    assert_int_equal(take(&f, 'c', "c", "s", 10).result, LOCK_BUSY);
    f.now += 10000; /* the first one's lease is over */
    (void)lock_run(f.t, f.now);
    assert_int_equal(take(&f, 'c', "c", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'd', "c", "s", 10).result, LOCK_BUSY);
    end(&f);
}

/* What was loaded is nobody's, and there is no less of it for a limit; who
 * refreshes it has it. */
static void test_loaded(void **state)
{
    struct lock_row row = {
        .client = "c", .client_len = 1, .share = "s", .life_s = 60, .slots = 1};
    struct fixture f;

    (void)state;
    begin(&f);
    lock_set_limits(f.t, &few);
    for (char c = 'a'; c < 'f'; c++) {
        memset(row.id.bytes, c, sizeof(row.id.bytes));
        row.token = (uint64_t)c;
        assert_int_equal(lock_load(f.t, &row, false, f.now), JUSTALOCK_OK);
    }
    assert_true(lock_charge(f.t, "one"));
    assert_int_equal(take(&f, 'x', "c", "s", 60).result, LOCK_BUSY);
    refused(&f, LOCK_LIMIT_HELD, false);
    for (char c = 'a'; c < 'f'; c++)
        assert_int_equal(take(&f, c, "c", "s", 60).result, LOCK_RENEWED);
    for (char c = 'c'; c < 'f'; c++)
        assert_int_equal(give(&f, c, "c", "s"),
                         c < 'e' ? LOCK_RELEASED : LOCK_BUSY);
    refused(&f, LOCK_LIMIT_RELEASED, true);
    assert_int_equal(take(&f, 'x', "c", "s", 60).result, LOCK_BUSY);
    refused(&f, LOCK_LIMIT_HELD, true);
    end(&f);
}

static void test_waiters(void **state)
{
    static struct place places[5];
    struct fixture f;

    (void)state;
    begin_few(&f, "one");
    (void)take(&f, 'a', "c", "s", 60);
    assert_int_equal(wait_as(&f, 'a', "d", "1", 30, &places[0]), LOCK_WAITING);
    assert_int_equal(wait_as(&f, 'a', "d", "2", 30, &places[1]), LOCK_WAITING);
    assert_int_equal(wait_as(&f, 'a', "d", "3", 30, &places[2]), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_WAITERS, true);
    /* Back at its own place. */
    assert_int_equal(wait_as(&f, 'a', "d", "2", 30, &places[1]), LOCK_WAITING);
    assert_true(lock_charge(f.t, "two"));
    assert_int_equal(wait_as(&f, 'a', "e", "1", 30, &places[3]), LOCK_WAITING);
    assert_int_equal(wait_as(&f, 'a', "e", "2", 30, &places[4]), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_WAITERS, false);
    /* Who only asks again is refused as ever, and costs nothing. */
    assert_int_equal(take(&f, 'a', "e", "9", 60).result, LOCK_CONFLICT);
    /* A place that is given up is one for others. */
    assert_true(lock_charge(f.t, "one"));
    (void)give(&f, 'a', "d", "1");
    assert_int_equal(wait_as(&f, 'a', "d", "3", 30, &places[2]), LOCK_WAITING);
    assert_int_equal(wait_as(&f, 'a', "d", "4", 30, &places[0]), LOCK_BUSY);
    end(&f);
}

static void test_released(void **state)
{
    struct fixture f;

    (void)state;
    begin_few(&f, "one");
    assert_int_equal(give(&f, 'a', "c", "1"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "c", "2"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "c", "2"), LOCK_CONFLICT); /* the same */
    assert_int_equal(give(&f, 'a', "c", "3"), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_RELEASED, true);
    assert_true(lock_charge(f.t, "two"));
    assert_int_equal(give(&f, 'a', "c", "3"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "c", "4"), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_RELEASED, false);
    f.now += (LOCK_TOMB_EXTRA_S + 100) * INT64_C(1000);
    (void)lock_run(f.t, f.now);
    assert_int_equal(give(&f, 'a', "c", "4"), LOCK_CONFLICT);
    end(&f);
}

/* A limit below what the store remembers is no reason not to start. */
static void test_released_loaded(void **state)
{
    struct lock_row row = {.client = "c", .client_len = 1, .life_s = 60};
    struct fixture f;

    (void)state;
    begin_few(&f, NULL);
    for (int i = 0; i < 4; i++) {
        row.share[0] = (char)('1' + i);
        assert_int_equal(lock_load(f.t, &row, true, f.now), JUSTALOCK_OK);
    }
    assert_int_equal(lock_counts(f.t).tombs, 4);
    assert_true(lock_charge(f.t, "one"));
    assert_int_equal(give(&f, 'a', "c", "5"), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_RELEASED, false);
    end(&f);
}

/* Who asks is not known for want of memory: what all may is the limit. */
static void test_nobodys(void **state)
{
    struct fixture f;

    (void)state;
    begin_few(&f, NULL);
    for (char id = 'a'; id < 'd'; id++)
        assert_int_equal(take(&f, id, "c", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'd', "c", "s", 10).result, LOCK_BUSY);
    refused(&f, LOCK_LIMIT_HELD, false);
    assert_int_equal(take(&f, 'a', "c", "s", 20).result, LOCK_RENEWED);
    for (char id = 'a'; id < 'd'; id++)
        assert_int_equal(give(&f, id, "c", "s"), LOCK_RELEASED);
    assert_int_equal(give(&f, 'e', "c", "s"), LOCK_BUSY);
    refused(&f, LOCK_LIMIT_RELEASED, false);
    end(&f);
}

/* Payers come and go by thousands; what they have used is their own. */
static void test_many_payers(void **state)
{
    static struct place place;
    struct fixture f;
    char name[32];

    (void)state;
    begin(&f);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "client %d", i);
        assert_true(lock_charge(f.t, name));
        (void)take(&f, 'a', "c", "s", 60);
        if (i % 3 == 1)
            (void)wait_as(&f, 'a', name, "w", 30, &place);
        if (i % 3 == 2)
            (void)give(&f, 'b', "c", name + 7);
    }
    assert_int_equal(lock_counts(f.t).waiters, 1000);
    assert_int_equal(lock_counts(f.t).tombs, 1000);
    f.now += 4000 * INT64_C(1000);
    f.woken_len = 0;
    assert_true(lock_charge(f.t, NULL));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),     cmocka_unit_test(test_held_gives_room),
        cmocka_unit_test(test_loaded),   cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_released), cmocka_unit_test(test_released_loaded),
        cmocka_unit_test(test_nobodys),  cmocka_unit_test(test_many_payers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

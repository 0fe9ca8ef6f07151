/* SPDX-License-Identifier: MIT */
/*
 * test_table_load.c - what a store brings back: rows that contradict each other
 * are none, every share has its full lease again, or the rest of it after a
 * failed commit; and which requests would change what is on disk.
 */
#include <stdlib.h>

#include "../lib/failing.h"
#include "table_help.h"

static struct lock_row row_of(const struct lock_request *q, uint64_t token)
{
    struct lock_row row = {.id = q->id,
                           .client_len = q->client_len,
                           .life_s = q->life_s,
                           .slots = 1,
                           .token = token,
                           .since_s = WALL};

    memcpy(row.client, q->client, q->client_len);
    memcpy(row.share, q->share, sizeof(row.share));
    memcpy(row.label, q->label, sizeof(row.label));
    return row;
}

static void test_load(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_row row = row_of(&q, 41);
    struct lock_answer a;

    (void)state;
    begin(&f);
    row.is_broken = true;
    assert_int_equal(lock_load(f.t, &row, false, f.now), JUSTALOCK_OK);
    assert_int_equal(lock_load(f.t, &row, false, f.now),
                     JUSTALOCK_PROTO); /* twice the same */
    q = request('a', "two", "s", 20);
    row = row_of(&q, 41);
    assert_int_equal(lock_load(f.t, &row, false, f.now),
                     JUSTALOCK_PROTO); /* a second holder */
    q = request('a', "one", "t", 20);
    row = row_of(&q, 40);
    assert_int_equal(lock_load(f.t, &row, false, f.now),
                     JUSTALOCK_PROTO); /* another holding's */
    assert_int_equal(changes(&f), 0);
    assert_int_equal(lock_counts(f.t).held, 1);
    assert_int_equal(take(&f, 'a', "one", "s", 9).result, LOCK_CONFLICT);
    pass_ms(&f, 19999); /* the full lease again */
    a = take(&f, 'a', "two", "s", 20);
    assert_int_equal(a.result, LOCK_CONFLICT);
    assert_string_equal(a.holder, "label of one");
    pass_ms(&f, 1);
    a = take(&f, 'a', "two", "s", 20);
    assert_int_equal(a.result, LOCK_NEW);
    assert_int_equal(a.token, 42);
    end(&f);
}

static void test_writes(void **state)
{
    struct fixture f;
    struct lock_request q;

    (void)state;
    begin(&f);
    q = request('a', "one", "s", 10);
    assert_true(lock_writes(f.t, &q, false, f.now)); /* a new holding */
    assert_true(lock_writes(f.t, &q, true, f.now));  /* remembered */
    (void)take(&f, 'a', "one", "s", 10);
    assert_false(lock_writes(f.t, &q, false, f.now));
    assert_true(lock_writes(f.t, &q, true, f.now));
    q.life_s = 11;
    assert_true(lock_writes(f.t, &q, false, f.now));
    q = request('a', "one", "t", 10);
    assert_true(lock_writes(f.t, &q, false, f.now));
    q = request('a', "two", "s", 10);
    assert_false(lock_writes(f.t, &q, false, f.now)); /* refused */
    assert_true(lock_writes(f.t, &q, false, f.now + 10000));
    (void)give(&f, 'a', "one", "s");
    q = request('a', "one", "s", 10);
    assert_false(lock_writes(f.t, &q, false, f.now)); /* it was given back */
    (void)take(&f, 'b', "one", "s", 10);
    q = request('b', "one", "s", 11);
    assert_true(lock_writes(f.t, &q, false, f.now));
    assert_true(lock_break(f.t, &q.id, LOCK_ALL_SLOTS));
    assert_false(lock_writes(f.t, &q, false, f.now)); /* refused */
    end(&f);
}

static void test_carry_over(void **state)
{
    struct fixture f, g;
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_row row = row_of(&q, 1);

    (void)state;
    begin(&f);
    begin(&g);
    (void)take(&f, 'a', "one", "s", 20);
    pass_ms(&f, 15000);
    (void)take(&f, 'b', "two", "s", 20); /* was not written */
    g.now = f.now;
    assert_int_equal(lock_load(g.t, &row, false, g.now), JUSTALOCK_OK);
    lock_carry_over(g.t, f.t);
    assert_int_equal(lock_counts(g.t).grants, 2);
    assert_false(is_held(&g, 'b'));
    pass_ms(&g, 4999);
    assert_true(is_held(&g, 'a'));
    pass_ms(&g, 1);
    assert_false(is_held(&g, 'a'));
    assert_int_equal(lock_counts(g.t).held, 0);
    end(&f);
    end(&g);
}

/* ---- pools ---- */

static void load_row(struct fixture *f, const char *client, unsigned slot,
                     unsigned slots, enum justalock_status expected)
{
    struct lock_request q = request('a', client, "s", 10);
    struct lock_row row = row_of(&q, 40 + slot);

    row.slot = slot;
    row.slots = slots;
    assert_int_equal(lock_load(f->t, &row, false, f->now), expected);
}

static struct lock_answer take_of(struct fixture *f, const char *client,
                                  unsigned slots)
{
    struct lock_request q = request('a', client, "s", 10);
    struct lock_answer a;

    q.slots = slots;
    lock_take(f->t, &q, f->now, WALL, &a);
    return a;
}

/* The slot that it got; -1: refused. */
static int slot_of(struct fixture *f, const char *client, unsigned slots)
{
    struct lock_answer a = take_of(f, client, slots);

    if (a.result == LOCK_CONFLICT)
        return -1;
    assert_int_equal(a.result, LOCK_NEW);
    return (int)a.slot;
}

static void test_load_pool(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    load_row(&f, "two", 2, 3, JUSTALOCK_OK);
    load_row(&f, "one", 0, 3, JUSTALOCK_OK);
    load_row(&f, "one", 0, 3, JUSTALOCK_PROTO); /* twice the same */
    load_row(&f, "one", 1, 3, JUSTALOCK_PROTO); /* one in two */
    load_row(&f, "new", 0, 3, JUSTALOCK_PROTO); /* two in one */
    load_row(&f, "new", 3, 3, JUSTALOCK_PROTO);
    load_row(&f, "new", 3, LOCK_SLOTS_MAX + 1, JUSTALOCK_PROTO);
    load_row(&f, "new", 1, 2, JUSTALOCK_PROTO); /* it would not be in */
    load_row(&f, "new", 0, 0, JUSTALOCK_PROTO);
    assert_int_equal(lock_counts(f.t).held, 2);
    assert_int_equal(take_of(&f, "two", 3).slot, 2);
    assert_int_equal(slot_of(&f, "new", 4), 1);
    assert_int_equal(slot_of(&f, "more", 4), -1);
    end(&f);
}

static void test_carry_over_pool(void **state)
{
    struct fixture f, g;

    (void)state;
    begin(&f);
    begin(&g);
    g.now = f.now;
    (void)slot_of(&f, "one", 2);
    f.now += 4000;
    (void)slot_of(&f, "two", 2);
    g.now = f.now;
    load_row(&g, "one", 0, 2, JUSTALOCK_OK);
    load_row(&g, "two", 1, 2, JUSTALOCK_OK);
    lock_carry_over(g.t, f.t); /* other tokens: nothing in common */
    pass_ms(&g, 9999);
    assert_int_equal(lock_counts(g.t).held, 2);
    end(&g);
    end(&f);
}

static void test_writes_pool(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "new", "s", 10);

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 2);
    assert_false(lock_writes(f.t, &q, false, f.now)); /* refused */
    q.slots = 2;
    assert_true(lock_writes(f.t, &q, false, f.now));
    (void)slot_of(&f, "two", 2);
    assert_false(lock_writes(f.t, &q, false, f.now));
    end(&f);
}

/* ---- what was given back ---- */

/* A tomb is remembered from now on for its share's life and a while more; and
 * it is no holding. */
static void test_tomb(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_row row = row_of(&q, 41);

    (void)state;
    begin(&f);
    assert_int_equal(lock_load(f.t, &row, true, f.now), JUSTALOCK_OK);
    assert_int_equal(lock_load(f.t, &row, true, f.now), JUSTALOCK_OK);
    assert_int_equal(changes(&f), 0);
    assert_int_equal(lock_counts(f.t).held, 0);
    assert_false(lock_writes(f.t, &q, false, f.now));
    f.now += (20 + LOCK_TOMB_EXTRA_S) * 1000 - 1;
    assert_int_equal(take(&f, 'a', "one", "s", 20).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "one", "t", 20).result, LOCK_NEW);
    f.now += 1;
    assert_int_equal(take(&f, 'a', "one", "s", 20).result, LOCK_RENEWED);
    end(&f);
}

/* ---- several shares; memory ---- */

static void test_shares(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_request p = request('a', "one", "t", 5);
    struct lock_row s = row_of(&q, 7), t = row_of(&p, 7);

    (void)state;
    begin(&f);
    assert_int_equal(lock_load(f.t, &s, false, f.now), JUSTALOCK_OK);
    assert_int_equal(lock_load(f.t, &t, false, f.now), JUSTALOCK_OK);
    assert_int_equal(lock_counts(f.t).held, 1);
    pass_ms(&f, 5000); /* each its own */
    assert_int_equal(changes(&f), 1);
    assert_true(is_held(&f, 'a'));
    pass_ms(&f, 15000);
    assert_false(is_held(&f, 'a'));
    assert_int_equal(take(&f, 'a', "two", "s", 5).token, 8);
    end(&f);
}

/* Of both tables, with the same token: as it was, not from now on; what ended
 * later there than it would here is not made longer. */
static void test_carry_over_same_holding(void **state)
{
    struct fixture f, g;
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_row row = row_of(&q, 1);

    (void)state;
    begin(&f);
    begin(&g);
    g.now = f.now;
    assert_int_equal(lock_load(g.t, &row, false, g.now), JUSTALOCK_OK);
    f.now += 3000;
    assert_int_equal(take(&f, 'a', "one", "s", 20).token, 1);
    lock_carry_over(g.t, f.t);
    pass_ms(&g, 19999);
    assert_true(is_held(&g, 'a'));
    pass_ms(&g, 1);
    assert_false(is_held(&g, 'a'));
    end(&f);
    end(&g);
}

/* What was granted before the limits were lower is not lost by them. */
static void test_beyond_limits(void **state)
{
    static const struct lock_limits one = {.all = {[LOCK_LIMIT_WAITERS] = 1,
                                                   [LOCK_LIMIT_HELD] = 1,
                                                   [LOCK_LIMIT_RELEASED] = 1},
                                           .each = {[LOCK_LIMIT_WAITERS] = 1,
                                                    [LOCK_LIMIT_HELD] = 1,
                                                    [LOCK_LIMIT_RELEASED] = 1}};
    struct fixture f;

    (void)state;
    begin(&f);
    lock_set_limits(f.t, &one);
    for (char lock = 'a'; lock < 'd'; lock++) {
        struct lock_request q = request(lock, "one", "s", 20);
        struct lock_request gone = request(lock, "one", "t", 20);
        struct lock_row row = row_of(&q, 7), tomb = row_of(&gone, 7);

        assert_int_equal(lock_load(f.t, &row, false, f.now), JUSTALOCK_OK);
        assert_int_equal(lock_load(f.t, &tomb, true, f.now), JUSTALOCK_OK);
    }
    assert_int_equal(lock_counts(f.t).held, 3);
    assert_int_equal(take(&f, 'd', "two", "s", 20).result, LOCK_BUSY);
    assert_int_equal(take(&f, 'c', "one", "s", 20).result, LOCK_RENEWED);
    end(&f);
}

static void test_no_memory(void **state)
{
    struct lock_request q = request('a', "one", "s", 20);
    struct lock_row row = row_of(&q, 41);
    struct fixture f;

    (void)state;
    for (int is_tomb = 0; is_tomb < 2; is_tomb++) {
        enum justalock_status st = JUSTALOCK_NOMEM;
        long n;

        for (n = 0; st == JUSTALOCK_NOMEM && n < 64; n++) {
            long live = failing_live(), begun;

            begin(&f);
            /* What is made with the first lock and the first tomb is there. */
            (void)take(&f, 'y', "one", "s", 60);
            (void)take(&f, 'z', "one", "s", 60);
            (void)give(&f, 'z', "one", "s");
            begun = failing_live();
            failing_memory(n);
            st = lock_load(f.t, &row, is_tomb, f.now);
            failing_memory(-1);
            if (st == JUSTALOCK_NOMEM) { /* nothing half done is left */
                assert_int_equal(lock_counts(f.t).held, 1);
                assert_int_equal(lock_last_token(f.t), 2);
                assert_false(is_held(&f, 'a'));
                assert_int_equal(failing_live(), begun);
                assert_int_equal(lock_load(f.t, &row, is_tomb, f.now),
                                 JUSTALOCK_OK);
            }
            end(&f);
            assert_int_equal(failing_live(), live);
        }
        assert_int_equal(st, JUSTALOCK_OK);
        assert_true(n > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_carry_over),
        cmocka_unit_test(test_load_pool),
        cmocka_unit_test(test_carry_over_pool),
        cmocka_unit_test(test_writes_pool),
        cmocka_unit_test(test_tomb),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_carry_over_same_holding),
        cmocka_unit_test(test_beyond_limits),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

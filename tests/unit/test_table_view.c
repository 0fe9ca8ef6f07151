/* SPDX-License-Identifier: MIT */
/*
 * test_table_view.c - what may be seen of the lock table: what is over is not
 * seen as held, even where nothing has looked at it since.
 */
#include "table_help.h"

static struct lock_view view(struct fixture *f, char lock, int64_t at_ms,
                             bool *ret_found)
{
    struct lock_request q = request(lock, "x", "", 60);
    struct lock_view v;

    memset(&v, 0xff, sizeof(v));
    *ret_found = lock_look(f->t, &q.id, at_ms, &v);
    return v;
}

static void test_held(void **state)
{
    struct lock_view v;
    struct fixture f;
    bool found;

    (void)state;
    begin(&f);
    v = view(&f, 'a', f.now, &found);
    assert_false(found);
    assert_int_equal(take(&f, 'a', "one", "s", 60).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "one", "t", 90).result, LOCK_RENEWED);
    v = view(&f, 'a', f.now + 1000, &found);
    assert_true(found && v.is_held && !v.first.is_broken);
    assert_int_equal(v.first.shares, 2);
    assert_int_equal(v.first.expires_ms,
                     89000); /* of the share that lasts longest */
    assert_int_equal(v.first.since_s, WALL + f.now / 1000);
    assert_true(v.first.token > 0);
    assert_string_equal(v.first.label, "label of one");
    v = view(&f, 'a', f.now + 89999, &found);
    assert_true(found && v.is_held);
    v = view(&f, 'a', f.now + 90000, &found); /* to the millisecond */
    assert_false(found);
    end(&f);
}

static void test_waited_for(void **state)
{
    struct lock_view v;
    struct fixture f;
    struct place p;
    bool found;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "s", 60).result, LOCK_NEW);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 20, &p), LOCK_WAITING);
    v = view(&f, 'a', f.now, &found);
    assert_int_equal(v.waiters, 1);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    v = view(&f, 'a', f.now, &found);
    assert_true(found); /* somebody's turn, nobody's lock */
    assert_false(v.is_held);
    assert_string_equal(v.first.label, "");
    assert_int_equal(v.first.token, 0);
    end(&f);
}

struct seen {
    char locks[8];
    size_t len, most;
};

static bool add(void *arg, const struct lock_view *v)
{
    struct seen *s = arg;

    assert_true(s->len < sizeof(s->locks));
    s->locks[s->len++] = (char)v->id.bytes[0];
    return s->len < s->most;
}

static void test_each(void **state)
{
    struct seen s = {.most = 8};
    struct fixture f;

    (void)state;
    begin(&f);
    for (char c = 'a'; c < 'f'; c++)
        assert_int_equal(take(&f, c, "one", "s", c == 'c' ? 10 : 60).result,
                         LOCK_NEW);
    lock_each(f.t, f.now, add, &s);
    assert_int_equal(s.len, 5);
    s.len = 0;
    lock_each(f.t, f.now + 10000, add, &s); /* c is over */
    assert_int_equal(s.len, 4);
    assert_null(memchr(s.locks, 'c', s.len));
    s = (struct seen){.most = 2};
    lock_each(f.t, f.now, add, &s); /* who has enough says so */
    assert_int_equal(s.len, 2);
    end(&f);
}

static void test_counts(void **state)
{
    struct lock_counts c;
    struct fixture f;
    struct place p;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)take(&f, 'a', "one", "s", 60);
    (void)take(&f, 'a', "two", "s", 60);
    (void)take(&f, 'b', "one", "s", 1);
    (void)wait_as(&f, 'a', "three", "s", 20, &p);
    c = lock_counts(f.t);
    assert_int_equal(c.held, 2);
    assert_int_equal(c.waiters, 1);
    assert_int_equal(c.grants, 2);
    assert_int_equal(c.refreshes, 1);
    assert_int_equal(c.conflicts, 1);
    assert_int_equal(c.tombs, 0);
    (void)give(&f, 'a', "one", "s");
    pass_ms(&f, 1000);
    c = lock_counts(f.t);
    assert_int_equal(c.held, 0);
    assert_int_equal(c.releases, 1);
    assert_int_equal(c.expired, 1);
    assert_int_equal(c.tombs, 1);
    assert_int_equal(c.offers, 1);
    assert_int_equal(c.offers_open, 1);
    pass_ms(&f, LOCK_OFFER_MS);
    c = lock_counts(f.t);
    assert_int_equal(c.offers_open, 0);
    assert_int_equal(c.lapsed_offers, 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_waited_for),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

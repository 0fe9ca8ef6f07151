/* SPDX-License-Identifier: MIT */
/*
 * test_table_hold.c - pools: as many holders as each of them allows, each in a
 * slot of its own that it keeps; the queue over all slots.
 */
#include "table_help.h"

static struct lock_answer take_of(struct fixture *f, const char *client,
                                  const char *share, unsigned slots)
{
    struct lock_request q = request('a', client, share, 10);
    struct lock_answer a;

    q.slots = slots;
    lock_take(f->t, &q, f->now, WALL, &a);
    return a;
}

/* The slot that it got; -1: refused. */
static int slot_of(struct fixture *f, const char *client, unsigned slots)
{
    struct lock_answer a = take_of(f, client, "s", slots);

    if (a.result == LOCK_CONFLICT)
        return -1;
    assert_int_equal(a.result, LOCK_NEW);
    return (int)a.slot;
}

static enum lock_result wait_of(struct fixture *f, const char *client,
                                unsigned slots, struct place *place)
{
    struct lock_request q = request('a', client, "s", 10);
    struct lock_answer a;

    q.slots = slots;
    q.wait_s = 30;
    q.conn = place;
    lock_take(f->t, &q, f->now, WALL, &a);
    return a.result;
}

static void test_fills_lowest_first(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(slot_of(&f, "one", 3), 0);
    assert_int_equal(slot_of(&f, "two", 3), 1);
    assert_int_equal(slot_of(&f, "three", 3), 2);
    assert_int_equal(slot_of(&f, "four", 3), -1);
    assert_int_equal(lock_counts(f.t).held, 3);
    assert_int_equal(give(&f, 'a', "two", "s"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "four", 3), 1);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    assert_int_equal(give(&f, 'a', "three", "s"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "five", 3), 0);
    end(&f);
}

/* A refresh, and another share, stay where the holding is. */
static void test_keeps_its_slot(void **state)
{
    struct fixture f;
    struct lock_answer a;
    uint64_t token;

    (void)state;
    begin(&f);
    assert_int_equal(slot_of(&f, "one", 3), 0);
    assert_int_equal(slot_of(&f, "two", 3), 1);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    a = take_of(&f, "two", "s", 3);
    assert_int_equal(a.result, LOCK_RENEWED);
    assert_int_equal(a.slot, 1);
    token = a.token;
    a = take_of(&f, "two", "t", 1); /* with how many: as it came in */
    assert_int_equal(a.result, LOCK_RENEWED);
    assert_int_equal(a.slot, 1);
    assert_true(a.token == token);
    assert_int_equal(slot_of(&f, "three", 3), 0);
    /* Its slot is free with its last share. */
    assert_int_equal(give(&f, 'a', "two", "s"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "four", 3), 2);
    assert_int_equal(slot_of(&f, "five", 3), -1);
    assert_int_equal(give(&f, 'a', "two", "t"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "five", 3), 1);
    end(&f);
}

/* Each is in with no more than it and all others allow. */
static void test_disagree(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(slot_of(&f, "one", 0), 0); /* no header: alone */
    assert_int_equal(slot_of(&f, "two", 3), -1);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "two", 3), 0);
    assert_int_equal(slot_of(&f, "one", 1), -1);
    assert_int_equal(slot_of(&f, "three", 2), 1);
    assert_int_equal(slot_of(&f, "four", 1024), -1); /* for three's sake */
    assert_int_equal(give(&f, 'a', "three", "t"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "three", "s"), LOCK_RELEASED);
    assert_int_equal(slot_of(&f, "four", 1024), 1);
    assert_int_equal(slot_of(&f, "five", 3), 2);
    assert_int_equal(slot_of(&f, "six", 1024), -1);
    end(&f);
}

static void test_most(void **state)
{
    struct fixture f;
    char name[16];

    (void)state;
    begin(&f);
    for (int i = 0; i < LOCK_SLOTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(slot_of(&f, name, LOCK_SLOTS_MAX), i);
    }
    assert_int_equal(slot_of(&f, "more", LOCK_SLOTS_MAX), -1);
    pass_ms(&f, 10000);
    assert_int_equal(lock_counts(f.t).held, 0);
    end(&f);
}

/* Clients without a share's name are not one another's. */
static void test_without_shares(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(take_of(&f, "one", "", 2).result, LOCK_NEW);
    assert_int_equal(take_of(&f, "two", "", 2).result, LOCK_NEW);
    assert_int_equal(take_of(&f, "one", "", 2).result, LOCK_RENEWED);
    assert_int_equal(give(&f, 'a', "one", ""), LOCK_RELEASED);
    assert_int_equal(take_of(&f, "two", "", 2).result, LOCK_RENEWED);
    assert_int_equal(take_of(&f, "two", "", 2).slot, 1);
    end(&f);
}

/* ---- the queue ---- */

/* What becomes free at once is offered at once, in the order of coming. */
static void test_queue_over_all(void **state)
{
    struct fixture f;
    struct place p[4];
    static const char *const names[] = {"w0", "w1", "w2", "w3"};

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 3);
    (void)slot_of(&f, "two", 3);
    (void)slot_of(&f, "three", 3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(wait_of(&f, names[i], 3, &p[i]), LOCK_WAITING);
    (void)give(&f, 'a', "two", "s");
    assert_int_equal(answer_of(&f, &p[0]), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &p[1]), -1);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &p[1]), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &p[2]), -1);
    assert_int_equal(lock_counts(f.t).offers_open, 2);
    assert_int_equal(slot_of(&f, "w2", 3), -1); /* both are promised */
    assert_int_equal(slot_of(&f, "w1", 3), 0);
    assert_int_equal(slot_of(&f, "w0", 3), 1);
    assert_int_equal(lock_counts(f.t).offers_open, 0);
    pass_ms(&f, 10000); /* all leases end */
    assert_int_equal(answer_of(&f, &p[2]), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &p[3]), LOCK_OFFERED);
    end(&f);
}

/* One that nobody confirms holds up its own slot only. */
static void test_offer_lapses(void **state)
{
    struct fixture f;
    struct place p[3];

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 2);
    (void)slot_of(&f, "two", 2);
    assert_int_equal(wait_of(&f, "dead", 2, &p[0]), LOCK_WAITING);
    assert_int_equal(wait_of(&f, "next", 2, &p[1]), LOCK_WAITING);
    assert_int_equal(wait_of(&f, "last", 2, &p[2]), LOCK_WAITING);
    (void)give(&f, 'a', "one", "s");
    (void)give(&f, 'a', "two", "s");
    assert_int_equal(answer_of(&f, &p[0]), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &p[1]), LOCK_OFFERED);
    assert_int_equal(slot_of(&f, "next", 2), 0);
    pass_ms(&f, LOCK_OFFER_MS - 1);
    assert_int_equal(answer_of(&f, &p[2]), -1);
    pass_ms(&f, 1);
    assert_int_equal(answer_of(&f, &p[2]), LOCK_OFFERED);
    assert_int_equal(lock_counts(f.t).lapsed_offers, 1);
    assert_int_equal(slot_of(&f, "last", 2), 1);
    end(&f);
}

/* Who wants to be alone is not passed over by those who do not. */
static void test_alone_in_a_queue(void **state)
{
    struct fixture f;
    struct place p[2];

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 2);
    (void)slot_of(&f, "two", 2);
    assert_int_equal(wait_of(&f, "alone", 1, &p[0]), LOCK_WAITING);
    assert_int_equal(wait_of(&f, "more", 2, &p[1]), LOCK_WAITING);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &p[0]), -1);
    assert_int_equal(answer_of(&f, &p[1]), -1);
    assert_int_equal(slot_of(&f, "late", 2), -1);
    (void)give(&f, 'a', "two", "s");
    assert_int_equal(answer_of(&f, &p[0]), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &p[1]), -1);
    assert_int_equal(slot_of(&f, "alone", 1), 0);
    (void)give(&f, 'a', "alone", "s");
    assert_int_equal(answer_of(&f, &p[1]), LOCK_OFFERED);
    end(&f);
}

/* The first gives up, or is in by another share: on to those behind it. */
static void test_first_leaves(void **state)
{
    struct fixture f;
    struct place p[3];

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 2);
    assert_int_equal(wait_of(&f, "alone", 1, &p[0]), LOCK_WAITING);
    assert_int_equal(wait_of(&f, "more", 2, &p[1]), LOCK_WAITING);
    assert_int_equal(give(&f, 'a', "alone", "s"), LOCK_CONFLICT);
    assert_int_equal(answer_of(&f, &p[0]), LOCK_CONFLICT);
    assert_int_equal(answer_of(&f, &p[1]), LOCK_OFFERED);
    assert_int_equal(take_of(&f, "more", "u", 2).slot, 1);
    assert_int_equal(wait_of(&f, "third", 2, &p[2]), LOCK_WAITING);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &p[2]), LOCK_OFFERED);
    end(&f);
}

/* ---- the rest ---- */

static void test_break(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "x", "", 60);
    struct lock_answer a;

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 3);
    (void)slot_of(&f, "two", 3);
    (void)changes(&f);
    assert_false(lock_break(f.t, &q.id, 2));
    assert_true(lock_break(f.t, &q.id, 1));
    assert_int_equal(changes(&f), 1);
    a = take_of(&f, "two", "s", 3);
    assert_int_equal(a.result, LOCK_CONFLICT);
    assert_string_equal(a.holder, "label of two");
    assert_int_equal(take_of(&f, "one", "s", 3).result, LOCK_RENEWED);
    assert_true(lock_break(f.t, &q.id, LOCK_ALL_SLOTS));
    assert_int_equal(take_of(&f, "one", "s", 3).result, LOCK_CONFLICT);
    /* Broken ones are in until they let go. */
    assert_int_equal(slot_of(&f, "three", 3), 2);
    assert_int_equal(slot_of(&f, "four", 3), -1);
    end(&f);
}

struct seen {
    unsigned slots[4];
    char labels[4][32];
    size_t len, most;
};

static bool see(void *arg, const struct lock_holder *h)
{
    struct seen *s = arg;

    s->slots[s->len] = h->slot;
    (void)snprintf(s->labels[s->len++], 32, "%.31s", h->label);
    return s->len < s->most;
}

static void test_view(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "x", "", 60);
    struct lock_view v;
    struct seen seen = {.most = 4};

    (void)state;
    begin(&f);
    (void)slot_of(&f, "one", 3);
    (void)slot_of(&f, "two", 4);
    (void)slot_of(&f, "three", 3);
    (void)give(&f, 'a', "one", "s");
    assert_true(lock_look(f.t, &q.id, f.now, &v));
    assert_int_equal(v.holders, 2);
    assert_int_equal(v.slots, 3);
    assert_int_equal(v.first.slot, 1);
    lock_holders(f.t, &q.id, f.now, see, &seen);
    assert_int_equal(seen.len, 2);
    assert_int_equal(seen.slots[1], 2);
    assert_string_equal(seen.labels[0], "label of two");
    assert_string_equal(seen.labels[1], "label of three");
    seen = (struct seen){.most = 1};
    lock_holders(f.t, &q.id, f.now, see, &seen);
    assert_int_equal(seen.len, 1);
    /* What has ended is not shown, though nobody has taken it away yet. */
    seen = (struct seen){.most = 4};
    lock_holders(f.t, &q.id, f.now + 10000, see, &seen);
    assert_int_equal(seen.len, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_lowest_first),
        cmocka_unit_test(test_keeps_its_slot),
        cmocka_unit_test(test_disagree),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_without_shares),
        cmocka_unit_test(test_queue_over_all),
        cmocka_unit_test(test_offer_lapses),
        cmocka_unit_test(test_alone_in_a_queue),
        cmocka_unit_test(test_first_leaves),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_view),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

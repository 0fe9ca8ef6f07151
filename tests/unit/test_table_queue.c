/* SPDX-License-Identifier: MIT */
/*
 * test_table_queue.c - waiting: the order, offers and their confirmation,
 * places between polls, waiters that are gone, and clients that only poll.
 */
#include "table_help.h"

static void test_offer_and_confirm(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 30, &b), LOCK_WAITING);
    assert_int_equal(wait_as(&f, 'a', "three", "s", 30, &c), LOCK_WAITING);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &c), -1);
    assert_false(is_held(&f, 'a')); /* an offer is no holding */
    assert_int_equal(lock_counts(f.t).offers_open, 1);
    assert_int_equal(take(&f, 'a', "rival", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "three", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_NEW);
    assert_int_equal(lock_counts(f.t).offers_open, 0);
    assert_int_equal(answer_of(&f, &c), -1);
    (void)give(&f, 'a', "two", "s");
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    end(&f);
}

static void test_free_is_offered_at_once(void **state)
{
    struct fixture f;
    struct place b;

    (void)state;
    begin(&f);
    /* Nobody is before it: granted, not offered. */
    assert_int_equal(wait_as(&f, 'a', "two", "s", 30, &b), LOCK_NEW);
    /* At the end of a lease, too. */
    (void)take(&f, 'b', "one", "s", 10);
    assert_int_equal(wait_as(&f, 'b', "two", "s", 30, &b), LOCK_WAITING);
    pass_ms(&f, 9999);
    assert_int_equal(answer_of(&f, &b), -1);
    pass_ms(&f, 1);
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    end(&f);
}

/* It must be granted to a rival never, and to the next after exactly 5 s. */
static void test_unconfirmed_offer_passes_on(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    pass_ms(&f, 4999);
    assert_int_equal(answer_of(&f, &c), -1);
    assert_int_equal(take(&f, 'a', "rival", "s", 60).result, LOCK_CONFLICT);
    pass_ms(&f, 1);
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(lock_counts(f.t).lapsed_offers, 1);
    assert_int_equal(lock_counts(f.t).offers_open, 1);
    pass_ms(&f, 5000);
    assert_int_equal(lock_counts(f.t).offers_open, 0);
    assert_int_equal(lock_counts(f.t).waiters, 0);
    assert_int_equal(take(&f, 'a', "rival", "s", 60).result, LOCK_NEW);
    end(&f);
}

/* node A (job 1), job 2, node B (job 1): B must not stand behind job 2 for
 * the lock of its own job. */
static void test_offer_wakes_the_whole_client(void **state)
{
    struct fixture f;
    struct place a, b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "other", "s", 60);
    (void)wait_as(&f, 'a', "job1", "nodeA", 30, &a);
    (void)wait_as(&f, 'a', "job2", "nodeA", 30, &b);
    (void)wait_as(&f, 'a', "job1", "nodeB", 30, &c);
    (void)give(&f, 'a', "other", "s");
    assert_int_equal(answer_of(&f, &a), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &b), -1);
    /* Any share of it confirms. */
    assert_int_equal(take(&f, 'a', "job1", "nodeB", 60).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "job1", "nodeA", 60).result, LOCK_RENEWED);
    assert_int_equal(answer_of(&f, &b), -1);
    end(&f);
}

/* A share that asks without waiting takes the lock for all of its client. */
static void test_grant_wakes_the_whole_client(void **state)
{
    struct fixture f;
    struct place a, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "other", "s", 60);
    (void)wait_as(&f, 'a', "job1", "nodeA", 30, &a);
    (void)wait_as(&f, 'a', "job1", "nodeB", 30, &c);
    f.now += 60000; /* the lease is over, and the loop has not run yet */
    assert_int_equal(take(&f, 'a', "job1", "nodeC", 60).result, LOCK_NEW);
    assert_int_equal(answer_of(&f, &a), LOCK_OFFERED);
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    assert_int_equal(take(&f, 'a', "job1", "nodeA", 60).result, LOCK_RENEWED);
    end(&f);
}

static void test_wait_ends(void **state)
{
    struct fixture f;
    struct place b, b2;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    pass_ms(&f, 29999);
    assert_int_equal(answer_of(&f, &b), -1);
    pass_ms(&f, 1);
    assert_int_equal(f.woken_len, 1);
    assert_string_equal(f.woken[0].answer.holder, "label of one");
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    /* One request of a share: the older is answered. */
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    (void)wait_as(&f, 'a', "two", "s", 30, &b2);
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    assert_int_equal(answer_of(&f, &b2), -1);
    assert_int_equal(lock_counts(f.t).waiters, 1);
    end(&f);
}

static void test_place_between_polls(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 600);
    (void)wait_as(&f, 'a', "two", "s", 1, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    pass_ms(&f, 1000);
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    pass_ms(&f, 4999);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 1, &b), LOCK_WAITING);
    pass_ms(&f, 1000);
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    /* Free while the first is between two polls: kept for it. */
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &c), -1);
    pass_ms(&f, 4000);
    assert_int_equal(take(&f, 'a', "rival", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(answer_of(&f, &c), -1);
    pass_ms(&f, 1000); /* it did not come back: 5 s are over */
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    assert_int_equal(lock_counts(f.t).waiters, 1);
    end(&f);
}

static void test_back_in_time(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 600);
    (void)wait_as(&f, 'a', "two", "s", 1, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    pass_ms(&f, 1000);
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    (void)give(&f, 'a', "one", "s");
    pass_ms(&f, 1000);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 1, &b), LOCK_NEW);
    assert_int_equal(answer_of(&f, &c), -1);
    end(&f);
}

static void test_gone_is_never_offered(void **state)
{
    struct fixture f;
    struct place b, c, b2;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    gone(&f, 'a', &b);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &b), -1);
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    /* Its place is kept: reconnected in time, it is before who came later. */
    pass_ms(&f, 4000);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 30, &b2), LOCK_WAITING);
    pass_ms(&f, 1000);
    assert_int_equal(answer_of(&f, &b2), LOCK_OFFERED);
    /* And is lost after 5 s. */
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_NEW);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    gone(&f, 'a', &c);
    pass_ms(&f, 5000);
    assert_int_equal(lock_counts(f.t).waiters, 0);
    end(&f);
}

static void test_give_cancels_the_wait(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    assert_int_equal(give(&f, 'a', "two", "s"), LOCK_CONFLICT);
    assert_int_equal(answer_of(&f, &b), LOCK_CONFLICT);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    /* An offer that is declined passes on at once. */
    (void)wait_as(&f, 'a', "four", "s", 30, &b);
    (void)give(&f, 'a', "three", "s");
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    assert_int_equal(lock_counts(f.t).offers_open, 1);
    (void)give(&f, 'a', "four", "s");
    assert_int_equal(lock_counts(f.t).offers_open, 0);
    end(&f);
}

/* But not while another share of the client may still confirm. */
static void test_one_share_declines(void **state)
{
    struct fixture f;
    struct place a, b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "other", "s", 60);
    (void)wait_as(&f, 'a', "job1", "nodeA", 30, &a);
    (void)wait_as(&f, 'a', "job1", "nodeB", 30, &b);
    (void)wait_as(&f, 'a', "job2", "nodeA", 30, &c);
    (void)give(&f, 'a', "other", "s");
    (void)give(&f, 'a', "job1", "nodeA");
    assert_int_equal(answer_of(&f, &c), -1);
    assert_int_equal(take(&f, 'a', "job1", "nodeB", 60).result, LOCK_NEW);
    end(&f);
}

/* The first gives its place up between two polls, with the lock free: the
 * next must not be left waiting. */
static void test_given_up_place_hands_on(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 60);
    (void)wait_as(&f, 'a', "two", "s", 1, &b);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    pass_ms(&f, 1000);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &c), -1);
    (void)give(&f, 'a', "two", "s");
    assert_int_equal(answer_of(&f, &c), LOCK_OFFERED);
    end(&f);
}

/* ---- clients that poll ---- */

static void test_poller_gets_a_place(void **state)
{
    struct fixture f;
    struct place b, c;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 600);
    (void)wait_as(&f, 'a', "two", "s", 30, &b);
    /* It polls for 30 s, while a queue is there. */
    for (int i = 0; i < 30; i++) {
        assert_int_equal(take(&f, 'a', "poll", "", 60).result, LOCK_CONFLICT);
        pass_ms(&f, 1000);
        if (answer_of(&f, &b) == LOCK_CONFLICT)
            (void)wait_as(&f, 'a', "two", "s", 30, &b);
    }
    assert_int_equal(lock_counts(f.t).waiters, 1);
    assert_int_equal(take(&f, 'a', "poll", "", 60).result, LOCK_CONFLICT);
    assert_int_equal(lock_counts(f.t).waiters, 2);
    (void)wait_as(&f, 'a', "three", "s", 30, &c);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_NEW);
    pass_ms(&f, 4000);
    assert_int_equal(take(&f, 'a', "poll", "", 60).result, LOCK_CONFLICT);
    /* Its turn, before who came later; kept for 5 s from its last poll. */
    (void)give(&f, 'a', "two", "s");
    pass_ms(&f, 4000);
    assert_int_equal(answer_of(&f, &c), -1);
    assert_int_equal(take(&f, 'a', "poll", "", 60).result, LOCK_NEW);
    assert_int_equal(lock_counts(f.t).waiters, 1);
    end(&f);
}

static void test_poller_that_pauses(void **state)
{
    struct fixture f;
    struct place b;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 600);
    for (int i = 0; i < 20; i++) {
        (void)wait_as(&f, 'a', "two", "s", 30, &b);
        (void)take(&f, 'a', "poll", "", 60);
        pass_ms(&f, 5000);
        f.woken_len = 0;
    }
    assert_int_equal(lock_counts(f.t).waiters, 1);
    /* One that asks once is in nobody's way. */
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(answer_of(&f, &b), LOCK_OFFERED);
    end(&f);
}

static void test_pollers_without_a_queue(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 600);
    for (int i = 0; i < 100; i++) {
        (void)take(&f, 'a', "poll", "", 60);
        (void)take(&f, 'a', "poll2", "", 60);
        pass_ms(&f, 1000);
    }
    assert_int_equal(lock_counts(f.t).waiters, 0);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(take(&f, 'a', "poll2", "", 60).result, LOCK_NEW);
    end(&f);
}

static void test_most_waiters(void **state)
{
    static struct place places[LOCK_WAITERS_MAX + 1];
    struct fixture f;
    char lock[2] = "a", share[16];

    (void)state;
    begin(&f);
    for (int i = 0; i <= LOCK_WAITERS_MAX; i++) {
        lock[0] = (char)('a' + i % 26);
        (void)snprintf(share, sizeof(share), "n%d", i);
        if (i < 26)
            (void)take(&f, lock[0], "one", "s", 600);
        assert_int_equal(wait_as(&f, lock[0], "two", share, 30, &places[i]),
                         i < LOCK_WAITERS_MAX ? LOCK_WAITING : LOCK_BUSY);
    }
    assert_int_equal(lock_counts(f.t).waiters, LOCK_WAITERS_MAX);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offer_and_confirm),
        cmocka_unit_test(test_free_is_offered_at_once),
        cmocka_unit_test(test_unconfirmed_offer_passes_on),
        cmocka_unit_test(test_offer_wakes_the_whole_client),
        cmocka_unit_test(test_grant_wakes_the_whole_client),
        cmocka_unit_test(test_wait_ends),
        cmocka_unit_test(test_place_between_polls),
        cmocka_unit_test(test_back_in_time),
        cmocka_unit_test(test_gone_is_never_offered),
        cmocka_unit_test(test_give_cancels_the_wait),
        cmocka_unit_test(test_one_share_declines),
        cmocka_unit_test(test_given_up_place_hands_on),
        cmocka_unit_test(test_poller_gets_a_place),
        cmocka_unit_test(test_poller_that_pauses),
        cmocka_unit_test(test_pollers_without_a_queue),
        cmocka_unit_test(test_most_waiters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_lock.c - the public interface, call by call, with every event of the
 * keeper at every moment. The real keeper and a real server are
 * tests/examples/api.c.
 */
#include <errno.h>
#include <string.h>

#include "played_keeper.h"

static void test_holds_and_releases(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    int64_t left_ms;

    (void)state;
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_false(readable(lock, 0));
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(played.wait_ms, -1);
    left_ms = justalock_remaining_ms(lock);
    /* D = t0 + 60 s * 0.999 - 250 ms */
    assert_in_range(left_ms, 59690 - 2000, 59690);
    assert_false(readable(lock, 0));
    assert_int_equal(justalock_wait_lost(lock, 1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_acquire(lock, 0, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_is_held(lock), 1);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_wait_lost(lock, 0, &err), JUSTALOCK_STATE);
    justalock_free(lock);
    justalock_free(NULL);
}

static void test_new_share_and_client_for_each_holding(void **state)
{
    struct justalock *lock = hold(60);
    struct keeper_lock first = played.lock;

    (void)state;
    assert_int_equal(first.client_len, 32);
    assert_false(first.reusable_client);
    assert_int_equal(strlen(first.share), KEEPER_SHARE_LEN);
    assert_int_equal(first.times.life_s, 60);
    assert_string_equal(played.service.url, "https://justalock.dev/");
    assert_int_equal(justalock_release(lock, NULL), JUSTALOCK_OK);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_int_equal(played.wait_ms, 0);
    assert_string_not_equal(first.share, played.lock.share);
    assert_memory_not_equal(first.client, played.lock.client, 32);
    justalock_free(lock);
    assert_int_equal(played.released, 2); /* free gives back */
}

static void test_options_reach_the_keeper(void **state)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;
    char path[] = "/tmp/justalock-token.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "s3cret\n", 7), 7);
    assert_int_equal(justalock_options_new(&o, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_options_client_id(o, "worker-1", 8, &err), 0);
    assert_int_equal(justalock_options_lifetime_s(o, 300, &err), 0);
    assert_int_equal(justalock_options_refresh_ms(o, 50000, &err), 0);
    assert_int_equal(justalock_options_slots(o, 7, &err), 0);
    assert_int_equal(justalock_options_url(o, "http://head:7171/", &err), 0);
    assert_int_equal(justalock_options_label(o, "me", &err), 0);
    assert_int_equal(justalock_options_tls_files(o, "/ca", "/c", "/k", &err),
                     0);
    assert_int_equal(justalock_options_token_file(o, path, &err), 0);
    assert_int_equal(justalock_new("a name", o, &lock, &err), 0);
    justalock_options_free(o);
    assert_int_equal(justalock_acquire(lock, 70, &err), 0);
    assert_int_equal(played.lock.client_len, 8);
    assert_memory_equal(played.lock.client, "worker-1", 8);
    assert_true(played.lock.reusable_client);
    assert_int_equal(played.lock.times.life_s, 300);
    assert_int_equal(played.lock.times.refresh_ms, 50000);
    /* Nothing is ended here: refreshes are tried for to the end. */
    assert_in_range(played.lock.times.grace_ms, 1, 10);
    assert_in_range(played.lock.times.kill_ms, 1, 10);
    assert_int_equal(played.lock.slots, 7);
    assert_string_equal(played.lock.label, "me");
    assert_string_equal(played.service.url, "http://head:7171/");
    assert_string_equal(played.service.ca_file, "/ca");
    assert_string_equal(played.service.cert_file, "/c");
    assert_string_equal(played.service.key_file, "/k");
    assert_string_equal(played.service.token, "s3cret");
    assert_int_equal(played.wait_ms, 70);
    justalock_free(lock);
    close(fd);
    unlink(path);
}

static void test_options_refuse(void **state)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;
    char text[600];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(justalock_options_new(&o, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_options_lifetime_s(o, 0, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text,
                        "lifetime: 0 is not within 1 and 65535 seconds");
    assert_int_equal(justalock_options_lifetime_s(o, 65536, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_lifetime_s(o, 65535, &err), 0);
    assert_int_equal(justalock_options_lifetime_s(o, 1, &err), 0);
    assert_int_equal(justalock_options_client_id(o, text, 0, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_client_id(o, text, 65, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_client_id(o, text, 64, &err), 0);
    assert_int_equal(justalock_options_client_id(o, NULL, 0, &err), 0);
    assert_int_equal(justalock_options_refresh_ms(o, -1, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_slots(o, 0, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text, "slots: 0 is not within 1 and 1024");
    assert_int_equal(justalock_options_slots(o, 1025, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_slots(o, 1024, &err), 0);
    assert_int_equal(justalock_options_slots(o, 1, &err), 0);
    assert_int_equal(justalock_options_url(o, "ftp://x/", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://x y\n", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,ftp://b", &err),
                     JUSTALOCK_ARG);
    assert_non_null(strstr(err.text, "\"ftp://b\""));
    assert_int_equal(justalock_options_url(o, "http://a,https://b", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,http://a", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,http://b", &err), 0);
    memcpy(text, "http://", 7);
    text[512] = '\0';
    assert_int_equal(justalock_options_url(o, text, &err), JUSTALOCK_ARG);
    text[511] = '\0';
    assert_int_equal(justalock_options_url(o, text, &err), 0);
    text[121] = '\0';
    assert_int_equal(justalock_options_label(o, text, &err), JUSTALOCK_ARG);
    text[120] = '\0';
    assert_int_equal(justalock_options_label(o, text, &err), 0);
    assert_int_equal(justalock_options_label(o, "a\nb", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_tls_files(o, NULL, "/c", NULL, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_token_file(o, "/nowhere/x", &err),
                     JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(justalock_options_token_file(o, "/dev/null", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_token_file(o, "/dev/zero", &err),
                     JUSTALOCK_ARG);
    /* A refresh that comes after the lease's end. */
    assert_int_equal(justalock_options_refresh_ms(o, 5000, &err), 0);
    assert_int_equal(justalock_new("a name", o, &lock, &err), JUSTALOCK_ARG);
    assert_null(lock);
    justalock_options_free(o);
}

static void test_busy(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_holder who = {.label = "untouched"};
    struct justalock_error err;

    (void)state;
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_STATE);
    assert_string_equal(who.label, "untouched");
    PLAY(play, BUSY);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_HELD);
    assert_string_equal(err.text, "held by job 7 since 2026-11-23T07:46:09Z");
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_OK);
    assert_string_equal(who.label, "job 7");
    assert_string_equal(who.since, "2026-11-23T07:46:09Z");
    assert_int_equal(justalock_acquire(lock, 5, &err), JUSTALOCK_HELD);
    assert_int_equal(justalock_is_lost(lock), 0);
    /* The rest of a time that has run out is not for ever. */
    assert_fails(justalock_acquire(lock, -2, &err), JUSTALOCK_ARG, err,
                 "timeout_ms: -2 is below -1");
    assert_fails(justalock_with(lock, INT64_MIN, NULL, NULL, &err),
                 JUSTALOCK_ARG, err, "timeout_ms: ");
    PLAY(play, GRANT);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_fails(justalock_wait_lost(lock, -2, &err), JUSTALOCK_ARG, err,
                 "timeout_ms: -2 is below -1");
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_STATE);
    justalock_free(lock);
}

static void test_unreachable_and_refused(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;

    (void)state;
    PLAY(play, UNREACHABLE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_NET);
    assert_string_equal(err.text, "nobody listens");
    /* No attempt goes on. */
    assert_int_equal(justalock_trouble(lock, &err), JUSTALOCK_OK);
    PLAY(play, REFUSE);
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text, "refused by the keeper");
    PLAY(play, GRANT);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_trouble(lock, &err), JUSTALOCK_OK);
    PLAY(release_as, JUSTALOCK_NET);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_NET);
    assert_string_equal(err.text, "the release was not confirmed: no answer");
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    justalock_free(lock);
}

static void test_lost_by_event(void **state)
{
    struct justalock *lock = hold(60);
    struct justalock_error err;
    unsigned before;

    (void)state;
    emit(KEEPER_LOST, JUSTALOCK_LOST, "another client holds it");
    assert_int_equal(justalock_wait_lost(lock, LONG_MS, &err), JUSTALOCK_LOST);
    assert_string_equal(err.text, "the lock was lost: another client holds it");
    assert_int_equal(justalock_is_lost(lock), 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_true(readable(lock, LONG_MS));
    before = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    await_delivered(before);
    assert_int_equal(justalock_is_held(lock), 0); /* nothing revives it */
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_LOST);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_false(readable(lock, 0));
    justalock_free(lock);
    assert_int_equal(played.released, 1);
}

static void test_acquire_after_loss(void **state)
{
    struct justalock *lock = hold(60);
    struct keeper_lock first = played.lock;
    struct justalock_error err;

    (void)state;
    emit(KEEPER_LOST, JUSTALOCK_LOST, "gone");
    assert_int_equal(justalock_wait_lost(lock, -1, &err), JUSTALOCK_LOST);
    assert_int_equal(justalock_acquire(lock, LONG_MS, &err), JUSTALOCK_OK);
    assert_string_not_equal(first.share, played.lock.share);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_false(readable(lock, 0));
    justalock_free(lock);
    assert_int_equal(played.released, 2); /* the lost one's share too */
}

/* The thread stands still: the deadline holds all the same. */
static void test_stuck_thread_never_extends(void **state)
{
    struct justalock *lock = make(1);
    struct justalock_error err;
    struct clock_time before;
    unsigned seen;

    (void)state;
    PLAY(grant_age_ms, 549); /* D is 749 ms after t0 */
    before = clock_now();
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    set_stuck(true);
    assert_true(readable(lock, LONG_MS));
    /* The first to look, whatever it asks, sees the loss. */
    assert_int_equal(justalock_is_lost(lock), 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_in_range(clock_elapsed_ms(before, clock_now()), 200, 2000);
    assert_int_equal(justalock_wait_lost(lock, -1, &err), JUSTALOCK_LOST);
    /* An answer that the thread has only now does not bring it back. */
    PLAY(grant_age_ms, 0);
    seen = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    set_stuck(false);
    await_delivered(seen);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_LOST);
    justalock_free(lock);
}

/* Nobody looked between the deadline and the answer: lost all the same. */
static void test_late_extension(void **state)
{
    struct justalock *lock = make(1);
    unsigned seen;

    (void)state;
    PLAY(grant_age_ms, 649);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_true(readable(lock, LONG_MS)); /* the kernel's word, not a look */
    PLAY(grant_age_ms, 0);
    seen = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    await_delivered(seen);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 1);
    justalock_free(lock);
}

static void test_answer_too_old(void **state)
{
    struct justalock *lock = make(1);
    struct justalock_error err;

    (void)state;
    PLAY(grant_age_ms, 800); /* D has passed when the grant comes */
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 1);
    justalock_free(lock);
}

static void test_base_service_has_more_margin(void **state)
{
    struct justalock *lock = make(60);

    (void)state;
    PLAY(has_features, false);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    /* margin 1250 ms */
    assert_in_range(justalock_remaining_ms(lock), 50000, 58690);
    justalock_free(lock);
}

static void test_extended(void **state)
{
    struct justalock *lock = make(60);
    int tries = 0;

    (void)state;
    PLAY(grant_age_ms, 30000);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_in_range(justalock_remaining_ms(lock), 1, 29690);
    PLAY(grant_age_ms, 0);
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    while (justalock_remaining_ms(lock) <= 29690 && tries++ < LONG_MS)
        usleep(1000);
    assert_in_range(justalock_remaining_ms(lock), 40000, 59690);
    justalock_free(lock);
}

static void test_token(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    uint64_t token = 5;

    (void)state;
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_STATE);
    assert_int_equal(token, 5);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    PLAY(token, 4711);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_OK);
    assert_int_equal(token, 4711);
    justalock_free(lock);
}

static void test_slot(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    unsigned slot = 5;

    (void)state;
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    assert_non_null(strstr(err.text, "no pool"));
    assert_int_equal(slot, 5);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    PLAY(slot, 1023);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_OK);
    assert_int_equal(slot, 1023);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    PLAY(slot, -1);
    justalock_free(lock);
}

static void test_query(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_view view = {.held = -1}, views[3];
    struct justalock_error err;
    size_t len = 9;

    (void)state;
    assert_int_equal(justalock_query(lock, 0, &view, &err), JUSTALOCK_ARG);
    PLAY(play, UNREACHABLE);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_NET);
    PLAY(play, SILENT);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_STATE);
    PLAY(play, REFUSE);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_ARG);
    assert_int_equal(view.held, -1);
    PLAY(play, GRANT);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_OK);
    assert_int_equal(view.held, 1);
    assert_int_equal(played.query_limit_ms, 9);
    assert_ok(justalock_query(lock, INT64_MAX, &view, &err), err);
    assert_int_equal(played.query_limit_ms, 3600000);
    assert_int_equal(view.token, 9);
    assert_int_equal(view.shares, 2);
    assert_int_equal(view.waiters, 3);
    assert_int_equal(view.expires_ms, 500);
    assert_string_equal(view.holder.label, "job 7");
    PLAY(slot, 0); /* of a pool: the first of two */
    view.token = 0;
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_OK);
    assert_int_equal(view.token, 9);
    views[1].token = 1;
    assert_ok(justalock_query_slots(lock, 9, views, 1, &len, &err), err);
    assert_int_equal(len, 2); /* there are more than there was room for */
    assert_int_equal(views[0].token, 9);
    assert_int_equal(views[1].token, 1);
    assert_ok(justalock_query_slots(lock, 9, views, 3, &len, &err), err);
    assert_int_equal(len, 2);
    assert_int_equal(views[1].token, 10);
    assert_fails(justalock_query_slots(lock, 9, views, 0, &len, &err),
                 JUSTALOCK_ARG, err, "max: 0 is not within 1 and 1024");
    assert_fails(justalock_query_slots(lock, 9, views, 1025, &len, &err),
                 JUSTALOCK_ARG, err, "max: 1025 is not within 1 and 1024");
    justalock_free(lock);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_holds_and_releases),
        TEST(test_new_share_and_client_for_each_holding),
        TEST(test_options_reach_the_keeper),
        TEST(test_options_refuse),
        TEST(test_busy),
        TEST(test_unreachable_and_refused),
        TEST(test_lost_by_event),
        TEST(test_acquire_after_loss),
        TEST(test_stuck_thread_never_extends),
        TEST(test_late_extension),
        TEST(test_answer_too_old),
        TEST(test_base_service_has_more_margin),
        TEST(test_extended),
        TEST(test_token),
        TEST(test_slot),
        TEST(test_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

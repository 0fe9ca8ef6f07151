/* SPDX-License-Identifier: MIT */
/*
 * test_lock_view.c - what a handle says of itself and what the service shows
 * of a lock, with a real server in this process.
 */
#include <poll.h>

#include "http_help.h"
#include "justalock.h"

static struct rig server;

static int start(void **state)
{
    struct justalock_error err;

    return scratch_make(state) == 0 && rig_up(&server, in_scratch("state"),
                                              NULL, &err) == JUSTALOCK_OK
               ? 0
               : -1;
}

static int stop(void **state)
{
    rig_down(&server);
    return scratch_remove(state);
}

static struct justalock *make(const char *name, unsigned life_s)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;
    char url[160];

    (void)snprintf(url, sizeof(url), "unix:%s", server.socket);
    assert_ok(justalock_options_new(&o, &err), err);
    assert_ok(justalock_options_url(o, url, &err), err);
    assert_ok(justalock_options_label(o, "job 7", &err), err);
    assert_ok(justalock_options_lifetime_s(o, life_s, &err), err);
    assert_ok(justalock_new(name, o, &lock, &err), err);
    justalock_options_free(o);
    return lock;
}

static void test_held(void **state)
{
    struct justalock *lock = make("held", 60), *other = make("held", 60);
    struct justalock_holder who;
    struct justalock_error err;
    struct justalock_view v;
    uint64_t token = 0;

    (void)state;
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_fails(justalock_token(lock, &token, &err), JUSTALOCK_STATE, err,
                 "is not held");
    assert_fails(justalock_wait_lost(lock, 0, &err), JUSTALOCK_STATE, err,
                 "is not held");
    assert_ok(justalock_acquire(lock, 5000, &err), err);
    assert_in_range(justalock_remaining_ms(lock), 40000, 60000);
    assert_ok(justalock_token(lock, &token, &err), err);
    assert_ok(justalock_query(other, 5000, &v, &err), err);
    assert_true(v.held && v.has_token && v.token == token);
    assert_int_equal(v.shares, 1);
    assert_string_equal(v.holder.label, "job 7");
    assert_int_equal(strlen(v.holder.since), 20);
    assert_int_equal(justalock_try(other, &err), JUSTALOCK_HELD);
    assert_ok(justalock_holder(other, &who, &err), err);
    assert_string_equal(who.label, "job 7");
    assert_int_equal(justalock_is_lost(other), 0);
    assert_int_equal(justalock_wait_lost(lock, 20, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    assert_ok(justalock_query(other, 5000, &v, &err), err);
    assert_false(v.held);
    assert_fails(justalock_query(other, 0, &v, &err), JUSTALOCK_ARG, err,
                 "0 is below 1");
    justalock_free(lock);
    justalock_free(other);
}

/* A pool of three, two of them taken: who has which. */
static void test_slots(void **state)
{
    struct justalock *lock[2];
    static struct justalock_view v[JUSTALOCK_SLOTS_MAX];
    struct justalock_options *o;
    struct justalock_error err;
    uint64_t token;
    size_t len = 9;
    char url[160];

    (void)state;
    (void)snprintf(url, sizeof(url), "unix:%s", server.socket);
    assert_ok(justalock_options_new(&o, &err), err);
    assert_ok(justalock_options_url(o, url, &err), err);
    assert_ok(justalock_options_slots(o, 3, &err), err);
    for (int i = 0; i < 2; i++) {
        assert_ok(justalock_options_label(o, i ? "two" : "one", &err), err);
        assert_ok(justalock_new("pool", o, &lock[i], &err), err);
    }
    assert_ok(justalock_query_slots(lock[0], 5000, v, 1, &len, &err), err);
    assert_int_equal(len, 0);
    assert_false(v[0].held);
    for (int i = 0; i < 2; i++)
        assert_ok(justalock_acquire(lock[i], 5000, &err), err);
    assert_ok(justalock_query_slots(lock[0], 5000, v, JUSTALOCK_SLOTS_MAX, &len,
                                    &err),
              err);
    assert_int_equal(len, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_ok(justalock_token(lock[i], &token, &err), err);
        assert_true(v[i].held && v[i].token == token);
        assert_string_equal(v[i].holder.label, i ? "two" : "one");
        assert_int_equal(v[i].slots, 3);
        assert_int_equal(v[i].slot, i);
        assert_ok(justalock_release(lock[i], &err), err);
        justalock_free(lock[i]);
    }
    justalock_options_free(o);
}

/* The admin breaks it: refreshes are refused, and every way of asking says
 * that it is lost, each by itself. */
static void test_lost(void **state)
{
    struct justalock *lock = make("broken", 3);
    struct pollfd p = {.fd = justalock_fd(lock), .events = POLLIN};
    struct justalock_id_text {
        char s[JUSTALOCK_ID_TEXT_LEN + 1];
    } id;
    struct justalock_error err;
    uint8_t bytes[JUSTALOCK_ID_LEN];
    struct rig_answer a;
    char target[64];
    uint64_t token;
    int fd;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_ok(justalock_id_from_text("broken", bytes, &err), err);
    justalock_id_format(bytes, id.s);
    assert_ok(justalock_acquire(lock, 5000, &err), err);
    assert_int_equal(poll(&p, 1, 0), 0);
    (void)snprintf(target, sizeof(target), "/v1/locks/%s/break", id.s);
    fd = dial(&server);
    assert_true(rig_ask(fd, "POST", target, "", ""));
    a = rig_read(fd);
    (void)close(fd);
    assert_int_equal(a.status, 200);
    assert_int_equal(justalock_wait_lost(lock, 10000, &err), JUSTALOCK_LOST);
    assert_has(err.text, "the lock was lost: ");
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(justalock_is_lost(lock), 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_LOST);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    justalock_free(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_lost),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

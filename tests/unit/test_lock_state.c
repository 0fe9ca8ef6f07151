/* SPDX-License-Identifier: MIT */
/*
 * test_lock_state.c - what the keeper's events make of a handle, each in each
 * state: nothing but a grant makes it held, nothing but an extension in time
 * keeps it so, and what comes too late changes nothing.
 */
#include <poll.h>
#include <stdlib.h>

#include "lock.h"
#include "test.h"

struct rig {
    struct justalock *lock;
    struct holding h;
    struct outcome acquirer, releaser;
};

static void begin(struct rig *r, unsigned life_s)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    assert_ok(justalock_options_new(&o, &err), err);
    assert_ok(justalock_options_lifetime_s(o, life_s, &err), err);
    assert_ok(justalock_new("state", o, &r->lock, &err), err);
    justalock_options_free(o);
    r->h.lock = r->lock;
    r->h.acquirer = &r->acquirer;
    pthread_mutex_lock(&library.mutex);
    r->lock->holding = &r->h;
    lock_set(r->lock, LOCK_ASKING);
    pthread_mutex_unlock(&library.mutex);
}

static void end(struct rig *r)
{
    pthread_mutex_lock(&library.mutex);
    r->lock->holding = NULL; /* ours, not the library's to give back */
    lock_set(r->lock, LOCK_IDLE);
    pthread_mutex_unlock(&library.mutex);
    justalock_free(r->lock);
}

static bool send(struct rig *r, const struct keeper_event *e)
{
    bool is_over;

    pthread_mutex_lock(&library.mutex);
    is_over = lock_event(&r->h, e);
    pthread_mutex_unlock(&library.mutex);
    return is_over;
}

static struct keeper_event event(enum keeper_event_kind kind,
                                 enum justalock_status status, const char *text)
{
    struct keeper_event e = {.kind = kind,
                             .status = status,
                             .t0 = clock_now(),
                             .has_features = true,
                             .has_token = true,
                             .token = 42};

    (void)snprintf(e.text, sizeof(e.text), "%s", text);
    return e;
}

static bool send_kind(struct rig *r, enum keeper_event_kind kind,
                      const char *text)
{
    struct keeper_event e = event(kind, JUSTALOCK_NET, text);

    return send(r, &e);
}

static bool is_readable(const struct justalock *lock)
{
    struct pollfd p = {.fd = justalock_fd(lock), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void is_held(const struct rig *r, bool held)
{
    struct justalock_error err;
    uint64_t token = 0;

    assert_int_equal(justalock_is_held(r->lock), held);
    assert_int_equal(justalock_remaining_ms(r->lock) > 0, held);
    assert_int_equal(justalock_token(r->lock, &token, &err),
                     held ? JUSTALOCK_OK : JUSTALOCK_STATE);
    assert_int_equal(token, held ? 42 : 0);
}

static void is_lost(const struct rig *r, const char *why)
{
    struct justalock_error err;

    is_held(r, false);
    assert_true(justalock_is_lost(r->lock));
    assert_true(is_readable(r->lock));
    assert_fails(justalock_wait_lost(r->lock, 0, &err), JUSTALOCK_LOST, err,
                 why);
}

/* ---- tests ---- */

static void test_granted(void **state)
{
    struct justalock_error err;
    struct rig r;

    (void)state;
    begin(&r, 60);
    is_held(&r, false);
    /* None of these makes it held. */
    assert_false(send_kind(&r, KEEPER_EXTENDED, ""));
    assert_false(send_kind(&r, KEEPER_BUSY, ""));
    assert_false(send_kind(&r, KEEPER_TROUBLE, "no answer"));
    assert_false(send_kind(&r, KEEPER_LOST, "gone"));
    is_held(&r, false);
    assert_false(justalock_is_lost(r.lock));
    assert_false(r.acquirer.done);
    assert_false(send_kind(&r, KEEPER_GRANTED, ""));
    is_held(&r, true);
    assert_true(r.acquirer.done);
    assert_int_equal(r.acquirer.error.status, JUSTALOCK_OK);
    assert_in_range(justalock_remaining_ms(r.lock), 50000, 59750);
    assert_false(is_readable(r.lock));
    assert_int_equal(justalock_trouble(r.lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_wait_lost(r.lock, 0, &err), JUSTALOCK_OK);
    end(&r);
}

static void test_lost(void **state)
{
    struct justalock_error err;
    struct keeper_event e;
    struct rig r;

    (void)state;
    begin(&r, 60);
    assert_false(send_kind(&r, KEEPER_GRANTED, ""));
    assert_false(send_kind(&r, KEEPER_TROUBLE, "no answer"));
    assert_false(send_kind(&r, KEEPER_LOST, "another holds it"));
    is_lost(&r, "the lock was lost: another holds it");
    assert_ok(justalock_trouble(r.lock, &err), err); /* no attempt goes on */
    /* A late answer does not bring it back. */
    e = event(KEEPER_EXTENDED, JUSTALOCK_OK, "");
    assert_false(send(&r, &e));
    e = event(KEEPER_GRANTED, JUSTALOCK_OK, "");
    assert_false(send(&r, &e));
    is_lost(&r, "another holds it");
    end(&r);
    /* A keeper that says so has given it back. */
    begin(&r, 60);
    assert_false(send_kind(&r, KEEPER_GRANTED, ""));
    assert_true(send_kind(&r, KEEPER_TIMEOUT, "status 404"));
    is_lost(&r, "status 404");
    end(&r);
}

/* By the clock alone, whatever the thread does. */
static void test_too_late(void **state)
{
    struct keeper_event e = event(KEEPER_GRANTED, JUSTALOCK_OK, "");
    struct rig r;

    (void)state;
    begin(&r, 2);
    e.t0 = clock_add(clock_now(), -3000);
    assert_false(send(&r, &e));
    is_lost(&r, "no refresh was answered in time");
    end(&r);
    begin(&r, 2);
    e.t0 = clock_add(clock_now(), -1500);
    assert_false(send(&r, &e));
    is_held(&r, true);
    assert_false(send_kind(&r, KEEPER_TROUBLE, "no answer from there"));
    while (justalock_is_held(r.lock)) {
        struct pollfd p = {.fd = justalock_fd(r.lock), .events = POLLIN};

        assert_true(poll(&p, 1, 5000) == 1); /* it says so by itself */
    }
    is_lost(&r, "no answer from there");
    e.t0 = clock_now();
    e.kind = KEEPER_EXTENDED;
    assert_false(send(&r, &e));
    is_lost(&r, "no answer from there");
    end(&r);
}

/* An answer counts from when its question was asked. */
static void test_extended(void **state)
{
    struct keeper_event e = event(KEEPER_GRANTED, JUSTALOCK_OK, "");
    struct justalock_error err;
    struct rig r;
    int64_t before;

    (void)state;
    begin(&r, 60);
    e.t0 = clock_add(clock_now(), -30000);
    assert_false(send(&r, &e));
    before = justalock_remaining_ms(r.lock);
    assert_in_range(before, 25000, 30000);
    {
        struct keeper_event trouble =
            event(KEEPER_TROUBLE, JUSTALOCK_NET, "no answer");

        trouble.http_status = 503;
        assert_false(send(&r, &trouble));
    }
    assert_fails(justalock_trouble(r.lock, &err), JUSTALOCK_NET, err,
                 "no answer");
    assert_int_equal(err.http_status, 503);
    e.kind = KEEPER_EXTENDED;
    e.t0 = clock_add(clock_now(), -10000);
    assert_false(send(&r, &e));
    assert_in_range(justalock_remaining_ms(r.lock), before + 15000, 50000);
    assert_int_equal(justalock_trouble(r.lock, &err), JUSTALOCK_OK);
    /* A service without features has a larger margin. */
    before = justalock_remaining_ms(r.lock);
    e.has_features = false;
    e.t0 = clock_add(clock_now(), -10000);
    assert_false(send(&r, &e));
    assert_true(justalock_remaining_ms(r.lock) < before);
    is_held(&r, true);
    end(&r);
}

static void test_refused(void **state)
{
    struct keeper_event e = event(KEEPER_BUSY, JUSTALOCK_HELD, "");
    struct justalock_holder who;
    struct justalock_error err;
    struct rig r;

    (void)state;
    begin(&r, 60);
    assert_fails(justalock_holder(r.lock, &who, &err), JUSTALOCK_STATE, err,
                 "has not been refused");
    (void)snprintf(e.holder, sizeof(e.holder), "job 7");
    (void)snprintf(e.since, sizeof(e.since), "2026-11-23T07:46:09Z");
    assert_false(send(&r, &e)); /* it waits on */
    assert_ok(justalock_holder(r.lock, &who, &err), err);
    assert_string_equal(who.label, "job 7");
    e = event(KEEPER_TIMEOUT, JUSTALOCK_HELD, "");
    assert_true(send(&r, &e));
    assert_true(r.acquirer.done);
    assert_int_equal(r.acquirer.error.status, JUSTALOCK_HELD);
    assert_has(r.acquirer.error.text,
               "held by job 7 since 2026-11-23T07:46:09Z");
    is_held(&r, false);
    assert_false(justalock_is_lost(r.lock)); /* it never was ours */
    end(&r);
    begin(&r, 60);
    r.h.once = true; /* asked once: the first refusal ends it */
    e = event(KEEPER_BUSY, JUSTALOCK_HELD, "");
    assert_true(send(&r, &e));
    assert_has(r.acquirer.error.text, "held by another client");
    end(&r);
    begin(&r, 60);
    e = event(KEEPER_TIMEOUT, JUSTALOCK_DENIED, "a token is needed");
    e.http_status = 401;
    assert_true(send(&r, &e));
    assert_int_equal(r.acquirer.error.status, JUSTALOCK_DENIED);
    assert_has(r.acquirer.error.text, "a token is needed");
    assert_int_equal(r.acquirer.error.http_status, 401);
    end(&r);
}

static void test_released(void **state)
{
    struct keeper_event e;
    struct rig r;

    (void)state;
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        begin(&r, 60);
        assert_false(send_kind(&r, KEEPER_GRANTED, ""));
        r.h.release = true;
        r.h.releaser = &r.releaser;
        /* What was under way before it matters no longer. */
        assert_false(send_kind(&r, KEEPER_LOST, "gone"));
        assert_false(send_kind(&r, KEEPER_EXTENDED, ""));
        e = event(KEEPER_RELEASED, confirmed ? JUSTALOCK_OK : JUSTALOCK_NET,
                  "it hangs");
        assert_true(send(&r, &e));
        assert_true(r.releaser.done);
        assert_int_equal(r.releaser.error.status,
                         confirmed ? JUSTALOCK_OK : JUSTALOCK_NET);
        if (!confirmed)
            assert_has(r.releaser.error.text, "was not confirmed: it hangs");
        assert_null(r.lock->holding);
        is_held(&r, false);
        end(&r);
    }
    /* A wait that a release ends. */
    begin(&r, 60);
    r.h.release = true;
    e = event(KEEPER_RELEASED, JUSTALOCK_OK, "");
    assert_true(send(&r, &e));
    assert_int_equal(r.acquirer.error.status, JUSTALOCK_CANCELED);
    end(&r);
}

/* Given up by its handle: only its end is waited for. */
static void test_nobody(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, 60);
    r.h.lock = NULL;
    assert_false(send_kind(&r, KEEPER_GRANTED, ""));
    is_held(&r, false);
    assert_true(send_kind(&r, KEEPER_TIMEOUT, ""));
    assert_false(send_kind(&r, KEEPER_BUSY, ""));
    r.h.once = true;
    assert_true(send_kind(&r, KEEPER_BUSY, ""));
    assert_true(send_kind(&r, KEEPER_RELEASED, ""));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_granted),  cmocka_unit_test(test_lost),
        cmocka_unit_test(test_too_late), cmocka_unit_test(test_extended),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_released),
        cmocka_unit_test(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

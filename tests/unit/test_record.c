/* SPDX-License-Identifier: MIT */
/*
 * test_record.c - a record comes back as it was; cut, changed or out of range
 * it is no record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../modules/agent/record.h"

static void fill(struct record *r)
{
    memset(r, 0, sizeof(*r));
    memcpy(r->boot, "boot", 5);
    r->state = WORK_HELD;
    r->row = 3;
    r->who.kind = IDENTITY_SESSION; /* the last one */
    memcpy(r->who.path, "/cg/x", 6);
    r->f.number = 99;
    r->f.kind = WORK_SESSION;
    memcpy(r->f.login, "sshd", 5);
    memcpy(r->f.ruser, "alice", 6);
    memcpy(r->f.rhost, "192.0.2.7", 10);
    memset(r->f.cookie, 'a', WIRE_COOKIE_LEN);
    r->f.is_shared = true;
    r->f.job.job_id = 812;
    r->f.job.restart = 2;
    memcpy(r->option, "a,b", 4);
    r->f.wait_ms = WIRE_WAIT_DEFAULT;
    r->f.on_lost = CONFIG_LOST_SIGNAL;
    r->f.lost_signal = 10;
    r->f.helds_len = 2;
    for (int i = 0; i < 2; i++) {
        struct held *h = &r->helds[i];

        memcpy(h->name, i ? "b" : "a", 2);
        memset(h->lock.id.bytes, i + 1, sizeof(h->lock.id.bytes));
        h->lock.client_len = 32;
        memset(h->lock.client, 'c', 32);
        memcpy(h->lock.share, "0123456789abcdef", 17);
        h->lock.times.life_s = 300;
        h->state = HELD_OURS;
        h->has_token = true;
        h->token = 1234567890123;
    }
}

static void pack(const struct record *r, struct buf *b)
{
    struct justalock_error err;

    buf_init(b, RECORD_MAX);
    assert_int_equal(record_pack(r, b, &err), JUSTALOCK_OK);
}

static void comes_back(void **state)
{
    static struct record r, back;
    struct justalock_error err;
    struct buf b;

    (void)state;
    fill(&r);
    pack(&r, &b);
    assert_int_equal(record_unpack(b.data, b.len, &back, &err), JUSTALOCK_OK);
    assert_memory_equal(&r, &back, sizeof(r));
    buf_done(&b);
}

/* Behind all else, and only where there is one: what a guard of before there
 * were pools wrote is read, and reads what is none. */
static void pools_come_back(void **state)
{
    static struct record r, back;
    struct justalock_error err;
    struct buf b;
    size_t len;

    (void)state;
    fill(&r);
    pack(&r, &b);
    len = b.len;
    buf_done(&b);
    r.helds[0].lock.slots = r.helds[1].lock.slots = 1; /* as taken now */
    pack(&r, &b);
    assert_int_equal(b.len, len);
    buf_done(&b);
    r.helds[1].lock.slots = JUSTALOCK_SLOTS_MAX;
    r.helds[1].lock.slot = JUSTALOCK_SLOTS_MAX - 1;
    r.helds[1].lock.slot_has_id = true;
    pack(&r, &b);
    assert_int_equal(b.len, len + 2 * 9);
    assert_int_equal(record_unpack(b.data, b.len, &back, &err), JUSTALOCK_OK);
    assert_memory_equal(&r, &back, sizeof(r));
    buf_done(&b);
}

static void damage(const struct record *whole)
{
    static struct record r, back;
    struct justalock_error err;
    struct buf b;

    r = *whole;
    pack(&r, &b);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(record_unpack(b.data, len, &back, &err),
                         JUSTALOCK_PROTO);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x40;
        assert_int_equal(record_unpack(b.data, b.len, &back, &err),
                         JUSTALOCK_PROTO);
        b.data[i] ^= 0x40;
    }
    buf_done(&b);
}

static void damaged_is_none(void **state)
{
    static struct record r;

    (void)state;
    fill(&r);
    damage(&r);
    r.helds[0].lock.slots = 3;
    damage(&r);
}

/* Whole, and yet not what we would ever write. */
static void out_of_range_is_none(void **state)
{
    static struct record r, back;
    struct lease_times *t = &r.helds[1].lock.times;
    int64_t *const ms[] = {&r.f.wait_ms, &t->refresh_ms, &t->margin_ms,
                           &t->grace_ms, &t->kill_ms,    &t->attempt_ms};
    struct justalock_error err;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < 7 + sizeof(ms) / sizeof(ms[0]); i++) {
        fill(&r);
        switch (i) {
        case 0:
            r.row = TABLE_ROWS;
            break;
        case 1:
            r.who.kind = IDENTITY_SESSION + 1;
            break;
        case 2:
            r.f.number = 0;
            break;
        case 3:
            r.helds[1].lock.times.life_s = 65536;
            break;
        case 4:
            r.helds[0].lock.client_len = 0;
            break;
        case 5:
            r.helds[0].lock.slots = JUSTALOCK_SLOTS_MAX + 1;
            break;
        case 6:
            r.helds[0].lock.slots = 2;
            r.helds[1].lock.slot = JUSTALOCK_SLOTS_MAX;
            break;
        default:
            *ms[i - 7] = -3;
            break;
        }
        pack(&r, &b);
        assert_int_equal(record_unpack(b.data, b.len, &back, &err),
                         JUSTALOCK_PROTO);
        buf_done(&b);
    }
    fill(&r);
    r.row = RECORD_NO_ROW;
    pack(&r, &b);
    assert_int_equal(record_unpack(b.data, b.len, &back, &err), JUSTALOCK_OK);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(pools_come_back),
        cmocka_unit_test(damaged_is_none),
        cmocka_unit_test(out_of_range_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

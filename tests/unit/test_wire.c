/* SPDX-License-Identifier: MIT */
/*
 * test_wire.c - wire.c: every type there and back, the bytes of version 1 as
 * they are frozen, every cut and every longer packet refused.
 */
#include "test.h"
#include "wire.h"

static const enum wire_type types[] = {
    WIRE_JOB_BEGIN,   WIRE_JOB_END,      WIRE_JOB_TASK,      WIRE_COMMAND,
    WIRE_COMMAND_PID, WIRE_COMMAND_END,  WIRE_LIST,          WIRE_PING,
    WIRE_RELOAD,      WIRE_NOTE,         WIRE_VERDICT,       WIRE_ITEM,
    WIRE_LOST,        WIRE_SESSION_OPEN, WIRE_SESSION_CLOSE,
};

static void fill(char *text, size_t size, char c)
{
    memset(text, c, size - 1);
    text[size - 1] = '\0';
}

/* Every field has a value of its own; texts are as long as they may be. */
static void fill_all(struct wire_msg *m, enum wire_type type)
{
    memset(m, 0, sizeof(*m));
    m->type = type;
    m->job = (struct wire_job){.job_id = 0xfffffffd,
                               .leader_id = 2,
                               .array_id = WIRE_NO_ARRAY,
                               .array_task = 4,
                               .restart = 5,
                               .uid = 6,
                               .gid = 7,
                               .node_count = 8};
    fill(m->job.cluster, sizeof(m->job.cluster), 'c');
    fill(m->job.partition, sizeof(m->job.partition), 'p');
    fill(m->job.reservation, sizeof(m->job.reservation), 'r');
    fill(m->job.account, sizeof(m->job.account), 'a');
    fill(m->job.name, sizeof(m->job.name), 'n');
    m->session = (struct wire_session){
        .uid = 12, .timeout_ms = 13, .on_end = 3, .share = 1};
    fill(m->session.user, sizeof(m->session.user), 'u');
    fill(m->session.ruser, sizeof(m->session.ruser), 'R');
    fill(m->session.rhost, sizeof(m->session.rhost), 'h');
    fill(m->session.service, sizeof(m->session.service), 's');
    fill(m->cookie, sizeof(m->cookie), 'k');
    fill(m->place, sizeof(m->place), 'P');
    m->step_id = 9;
    m->local_task = 10;
    fill(m->locks, sizeof(m->locks), 'l');
    m->wait_ms = WIRE_WAIT_DEFAULT;
    m->on_busy = WIRE_BUSY_REQUEUE;
    m->on_lost = WIRE_LOST_SIGNAL;
    m->signo = 15;
    m->life_s = 65535;
    fill(m->label, sizeof(m->label), 'L');
    fill(m->client, sizeof(m->client), 'C');
    m->pid = 4711;
    m->verdict = WIRE_REFUSED_LOCAL;
    m->has_token = 1;
    m->token = UINT64_MAX;
    fill(m->ids, sizeof(m->ids), 'i');
    fill(m->text, sizeof(m->text), 't');
    m->item_state = WIRE_ITEM_LOST;
    m->item_pids = 11;
    m->item_since_s = INT64_MIN;
    m->item_left_ms = -1;
    fill(m->item_work, sizeof(m->item_work), 'w');
    fill(m->item_holder, sizeof(m->item_holder), 'h');
}

static void pack(const struct wire_msg *m, struct buf *b)
{
    struct justalock_error err;

    buf_init(b, WIRE_MAX);
    assert_ok(wire_pack(m, b, &err), err);
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(types); i++) {
        struct wire_msg m, got;
        struct justalock_error err;
        struct buf b, again;

        fill_all(&m, types[i]);
        pack(&m, &b);
        assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
        assert_int_equal(got.type, types[i]);
        /* What came back packs to the same bytes: no field is lost. */
        pack(&got, &again);
        assert_int_equal(b.len, again.len);
        assert_memory_equal(b.data, again.data, b.len);
        buf_done(&b);
        buf_done(&again);
    }
}

static void test_fields(void **state)
{
    struct wire_msg m, got;
    struct justalock_error err;
    struct buf b;

    (void)state;
    fill_all(&m, WIRE_JOB_TASK);
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    buf_done(&b);
    assert_memory_equal(&got.job, &m.job, sizeof(m.job));
    assert_int_equal(got.step_id, 9);
    assert_int_equal(got.local_task, 10);
    assert_string_equal(got.locks, m.locks);
    assert_true(got.wait_ms == WIRE_WAIT_DEFAULT);
    assert_int_equal(got.on_busy, WIRE_BUSY_REQUEUE);
    assert_int_equal(got.text[0], '\0'); /* not of this type */
    fill_all(&m, WIRE_COMMAND);
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    buf_done(&b);
    assert_string_equal(got.label, m.label);
    assert_string_equal(got.client, m.client);
    assert_int_equal(got.signo, 15);
    assert_int_equal(got.on_lost, WIRE_LOST_SIGNAL);
    assert_int_equal(got.life_s, 65535);
    fill_all(&m, WIRE_SESSION_OPEN);
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    buf_done(&b);
    assert_memory_equal(&got.session, &m.session, sizeof(m.session));
    assert_int_equal(got.on_lost, WIRE_LOST_SIGNAL);
    assert_true(got.wait_ms == WIRE_WAIT_DEFAULT);
    fill_all(&m, WIRE_VERDICT);
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    buf_done(&b);
    assert_string_equal(got.place, m.place);
    assert_string_equal(got.cookie, m.cookie);
    fill_all(&m, WIRE_ITEM);
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    buf_done(&b);
    assert_true(got.item_since_s == INT64_MIN && got.item_left_ms == -1);
    assert_true(got.token == UINT64_MAX);
    assert_string_equal(got.item_work, m.item_work);
    assert_string_equal(got.item_holder, m.item_holder);
}

/* Frozen: modules of one version talk to agents of another. */
static void test_frozen(void **state)
{
    static const uint8_t ping[] = {1, 0, 8, 0};
    static const uint8_t verdict[] = {
        1,    0,    65,   0,    3, 1,   0x88, 0x77, 0x66, 0x55,
        0x44, 0x33, 0x22, 0x11, 2, 0,   'a',  ',',  1,    0,
        'i',  0,    0,    1,    0, 'p', 1,    0,    'k',
    };
    static const uint8_t command[] = {
        1,    0,    4, 0,  1,    0, 'x', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 2, 10, 0x3c, 0, 0,   0,    1,    0,    'l',  0,    0,
    };
    struct wire_msg m = {.type = WIRE_PING};
    struct buf b;

    (void)state;
    pack(&m, &b);
    assert_int_equal(b.len, sizeof(ping));
    assert_memory_equal(b.data, ping, sizeof(ping));
    buf_done(&b);
    m = (struct wire_msg){.type = WIRE_VERDICT,
                          .verdict = 3,
                          .has_token = 1,
                          .token = 0x1122334455667788,
                          .locks = "a,",
                          .ids = "i",
                          .place = "p",
                          .cookie = "k"};
    pack(&m, &b);
    assert_int_equal(b.len, sizeof(verdict));
    assert_memory_equal(b.data, verdict, sizeof(verdict));
    buf_done(&b);
    m = (struct wire_msg){.type = WIRE_COMMAND,
                          .locks = "x",
                          .wait_ms = -1,
                          .on_lost = WIRE_LOST_SIGNAL,
                          .signo = 10,
                          .life_s = 60,
                          .label = "l"};
    pack(&m, &b);
    assert_int_equal(b.len, sizeof(command));
    assert_memory_equal(b.data, command, sizeof(command));
    buf_done(&b);
}

static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(types); i++) {
        struct wire_msg m, got;
        struct justalock_error err;
        struct buf b;

        fill_all(&m, types[i]);
        pack(&m, &b);
        for (size_t len = 0; len < b.len; len++) {
            uint8_t exact[WIRE_MAX];

            memcpy(exact, b.data, len);
            assert_fails(wire_unpack(exact, len, &got, &err), JUSTALOCK_PROTO,
                         err, "bytes");
            assert_int_equal(got.type, 0);
            assert_int_equal(got.locks[0], '\0');
        }
        buf_u8(&b, 0);
        assert_fails(wire_unpack(b.data, b.len, &got, &err), JUSTALOCK_PROTO,
                     err, "wrong fields");
        buf_done(&b);
    }
}

static void test_bad(void **state)
{
    static const uint8_t later[] = {2, 0, 8, 0}, none[] = {0, 0, 8, 0},
                         session[] = {1, 0, 32, 0}, unknown[] = {1, 0, 99, 0},
                         nul[] = {1, 0, 64, 0, 1, 0, 0},
                         control[] = {1, 0, 64, 0, 1, 0, '\n'},
                         latin[] = {1, 0, 64, 0, 1, 0, 0xfc};
    struct wire_msg m = {.type = (enum wire_type)99}, got;
    struct justalock_error err;
    uint8_t longer[4 + 2 + WIRE_TEXT_MAX + 1] = {1, 0, 64, 0};
    struct buf b;

    (void)state;
    assert_fails(wire_unpack(later, 4, &got, &err), JUSTALOCK_PROTO, err,
                 "version 2: this side speaks version 1");
    assert_fails(wire_unpack(none, 4, &got, &err), JUSTALOCK_PROTO, err,
                 "version 0");
    assert_fails(wire_unpack(session, 4, &got, &err), JUSTALOCK_PROTO, err,
                 "type 32");
    assert_fails(wire_unpack(unknown, 4, &got, &err), JUSTALOCK_PROTO, err,
                 "type 99");
    assert_fails(wire_unpack(nul, 7, &got, &err), JUSTALOCK_PROTO, err,
                 "wrong fields");
    assert_fails(wire_unpack(control, 7, &got, &err), JUSTALOCK_PROTO, err,
                 "wrong fields");
    assert_fails(wire_unpack(latin, 7, &got, &err), JUSTALOCK_PROTO, err,
                 "wrong fields");
    memset(longer + 6, 'x', WIRE_TEXT_MAX + 1);
    longer[4] = (WIRE_TEXT_MAX + 1) & 0xff;
    longer[5] = (WIRE_TEXT_MAX + 1) >> 8;
    assert_fails(wire_unpack(longer, sizeof(longer), &got, &err),
                 JUSTALOCK_PROTO, err, "wrong fields");
    longer[4] = WIRE_TEXT_MAX & 0xff;
    longer[5] = WIRE_TEXT_MAX >> 8;
    assert_ok(wire_unpack(longer, sizeof(longer) - 1, &got, &err), err);
    assert_int_equal(strlen(got.text), WIRE_TEXT_MAX);
    buf_init(&b, WIRE_MAX);
    assert_fails(wire_pack(&m, &b, &err), JUSTALOCK_ARG, err, "type 99");
    buf_done(&b);
    m.type = WIRE_PING;
    buf_init(&b, 3);
    assert_fails(wire_pack(&m, &b, &err), JUSTALOCK_ARG, err, "3 bytes");
    buf_done(&b);
}

/* A text that fills its array without NUL is not read past it. */
static void test_unterminated(void **state)
{
    struct wire_msg m, got;
    struct justalock_error err;
    struct buf b;

    (void)state;
    memset(&m, 'x', sizeof(m));
    m.type = WIRE_NOTE;
    pack(&m, &b);
    assert_ok(wire_unpack(b.data, b.len, &got, &err), err);
    assert_int_equal(strlen(got.text), WIRE_TEXT_MAX);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_unterminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

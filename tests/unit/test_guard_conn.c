/* SPDX-License-Identifier: MIT */
/*
 * test_guard_conn.c - connections of modules: one request each, rubbish and
 * sizes at their edges, who asks by the kernel's word, no more than so many,
 * and none lost where a call or an allocation fails.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"
#include "agent_client.h"

static const struct wire_msg ping = {.type = WIRE_PING};

static bool has_ended(int fd)
{
    ssize_t n;
    char byte;

    rig_turn();
    n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET); /* it went unread */
}

static void answers_and_sees_the_end(void **state)
{
    int fd = rig_request(&ping);

    (void)state;
    rig_expect(fd, WIRE_GO, "");
    assert_int_equal(rig.g.conns_len, 1);
    (void)close(fd);
    rig_turn();
    assert_int_equal(rig.g.conns_len, 0);
    assert_null(rig.g.conns);
}

static void one_request_a_connection(void **state)
{
    int fd = rig_request(&ping);

    (void)state;
    rig_expect(fd, WIRE_GO, "");
    rig_say(fd, &ping);
    rig_expect(fd, WIRE_REFUSED_BAD, "one request a connection");
    rig_say(fd, rig_command("a"));
    rig_expect(fd, WIRE_REFUSED_BAD, "one request a connection");
    assert_null(rig_work());
}

/* What only we say. */
static void ours_are_no_requests(void **state)
{
    static const enum wire_type ours[] = {WIRE_NOTE, WIRE_VERDICT, WIRE_ITEM,
                                          WIRE_LOST};

    (void)state;
    for (size_t i = 0; i < LENGTH(ours); i++) {
        const struct wire_msg m = {.type = ours[i], .item_state = 1};

        rig_expect(rig_request(&m), WIRE_REFUSED_BAD, "not one of ours");
    }
}

static void rubbish_ends_it(void **state)
{
    static char data[WIRE_MAX + 1];
    static const size_t sizes[] = {1, 2, 100, WIRE_MAX, WIRE_MAX + 1};

    (void)state;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        int fd = rig_dial();
        char part[64] = "not a request: ";

        assert_int_equal(send(fd, data, sizes[i], 0), sizes[i]);
        if (sizes[i] > WIRE_MAX)
            (void)snprintf(part, sizeof(part), "%zu bytes, at most %d",
                           sizes[i], WIRE_MAX);
        rig_expect(fd, WIRE_REFUSED_BAD, part);
        assert_true(has_ended(fd));
        (void)close(fd);
    }
    assert_int_equal(rig.g.conns_len, 0);
}

static void reload_is_roots(void **state)
{
    const struct wire_msg m = {.type = WIRE_RELOAD};
    int fd = rig_dial_as(65534);
    FILE *f;

    (void)state;
    rig_say(fd, &m);
    rig_expect(fd, WIRE_REFUSED_DENIED, "only root");
    rig_expect(rig_request(&m), WIRE_GO, "");
    f = fopen(rig.config, "w");
    assert_true(f && fputs("{\"servise\": 1}", f) >= 0 && fclose(f) == 0);
    rig_expect(rig_request(&m), WIRE_REFUSED_CONFIG, "the last good one stays");
    assert_non_null(rig.g.config);
}

static void at_most_so_many(void **state)
{
    int waits, fd = rig_dial();

    (void)state;
    rig_turn();
    rig.g.conns_len = GUARD_CONNS_MAX; /* as if */
    waits = rig_dial();
    rig_say(waits, &ping);
    assert_true(rig_is_silent(waits));
    assert_false(rig.g.is_accepting);
    rig_say(fd, &ping); /* those who are in go on */
    rig_expect(fd, WIRE_GO, "");
    rig.g.conns_len = 1;
    (void)close(fd);
    rig_turn();
    assert_true(rig.g.is_accepting);
    rig_expect(waits, WIRE_GO, ""); /* it was in the backlog */
}

/* As if user `uid` had n connections more. */
static void crowd(struct conn *c, size_t n, uint32_t uid)
{
    for (size_t i = 0; i < n; i++) {
        memset(&c[i], 0, sizeof(c[i]));
        c[i].source.fd = -1;
        c[i].asked = WIRE_PING;
        c[i].uid = uid;
        DL_APPEND(rig.g.conns, &c[i]);
        rig.g.conns_len++;
    }
}

static void disperse(struct conn *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        DL_DELETE(rig.g.conns, &c[i]);
        rig.g.conns_len--;
    }
}

static void is_heard(uint32_t uid, bool heard)
{
    int fd = rig_dial_as(uid);

    if (heard) {
        rig_say(fd, &ping);
        rig_expect(fd, WIRE_GO, "");
    } else {
        assert_true(has_ended(fd));
    }
    (void)close(fd);
    rig_turn();
}

static void users_leave_room_for_root(void **state)
{
    static struct conn c[GUARD_CONNS_USERS];
    int fd;

    (void)state;
    crowd(c, GUARD_CONNS_USER - 1, 1000);
    is_heard(1000, true);
    fd = rig_dial_as(1000); /* the last of it */
    rig_turn();
    is_heard(1000, false);
    is_heard(1001, true);
    is_heard(0, true);
    (void)close(fd);
    rig_turn();
    is_heard(1000, true);
    disperse(c, GUARD_CONNS_USER - 1);
    for (unsigned i = 0; i < 4; i++)
        crowd(&c[i * (GUARD_CONNS_USERS / 4)], GUARD_CONNS_USERS / 4, 1000 + i);
    is_heard(1004, false);
    is_heard(0, true);
    disperse(c, 1);
    is_heard(1004, true);
    disperse(c + 1, GUARD_CONNS_USERS - 1);
}

static void who_asks_for_nothing_is_closed(void **state)
{
    int asks = rig_request(&ping), silent = rig_dial();
    struct clock_time since;

    (void)state;
    rig_expect(asks, WIRE_GO, "");
    since = rig.g.conns->next->since;
    conns_tick(&rig.g, clock_add(since, GUARD_SILENT_MS));
    assert_int_equal(rig.g.conns_len, 2);
    conns_tick(&rig.g, clock_add(since, GUARD_SILENT_MS + 1));
    assert_int_equal(rig.g.conns_len, 1);
    assert_true(has_ended(silent));
    assert_true(rig_is_silent(asks));
    {
        struct justalock_error err;
        int stopped = rig_dial();

        rig_turn(); /* accepted; asked while nobody reads */
        assert_ok(
            agent_send(stopped, &ping, clock_add(clock_now(), 1000), &err),
            err);
        conns_tick(&rig.g, clock_add(clock_now(), GUARD_SILENT_MS + 1));
        rig_expect(stopped, WIRE_GO, "");
    }
}

static void no_descriptor_is_left(void **state)
{
    static const int whys[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS};

    (void)state;
    for (size_t i = 0; i < LENGTH(whys); i++) {
        int fd = rig_dial();

        failing_call("accept4", whys[i]);
        rig_say(fd, &ping);
        assert_true(rig_is_silent(fd));
        assert_false(rig.g.is_accepting); /* no turning on the spot */
        conns_tick(&rig.g, clock_now());
        rig_expect(fd, WIRE_GO, "");
        (void)close(fd);
        rig_turn();
    }
}

/* One more than there is room for never stops the others. */
static void failing_calls_cost_one_connection(void **state)
{
    static const struct {
        const char *name;
        int why;
    } calls[] = {{"getsockopt", ENOTCONN}, {"epoll_ctl", ENOSPC}};

    (void)state;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        long live = failing_live();
        int fd = rig_dial();

        failing_call(calls[i].name, calls[i].why);
        assert_true(has_ended(fd));
        assert_int_equal(failing_live(), live);
        assert_null(rig.g.conns);
        (void)close(fd);
        fd = rig_request(&ping);
        rig_expect(fd, WIRE_GO, "");
        (void)close(fd);
        rig_turn();
    }
}

static void each_allocation_fails(void **state)
{
    bool is_done = false;
    long nth;

    (void)state;
    rig.around = failing_pause;
    failing_pause(true);
    for (nth = 0; !is_done && nth < 100; nth++) {
        long live = failing_live();
        int fd;

        failing_memory(nth);
        fd = rig_request(&ping);
        is_done = !failing_came();
        failing_memory(-1);
        if (is_done)
            rig_expect(fd, WIRE_GO, "");
        else
            assert_true(has_ended(fd)); /* and not silence */
        (void)close(fd);
        rig_turn();
        assert_null(rig.g.conns);
        assert_int_equal(failing_live(), live);
    }
    rig.around = NULL;
    failing_pause(false);
    assert_true(is_done && nth > 1);
}

static void one_that_never_reads_is_ended(void **state)
{
    struct conn *c;
    int fd = rig_dial();

    (void)state;
    rig_turn();
    c = rig.g.conns;
    for (int i = 0; i < 100000 && rig.g.conns; i++) {
        conn_note(&rig.g, c, "x\nx");
        rig_turn();
    }
    assert_null(rig.g.conns);
    (void)close(fd);
}

static void notes_are_clean_text(void **state)
{
    struct pollfd p;
    int fd = rig_dial();
    char data[600];
    ssize_t n;

    (void)state;
    rig_turn();
    conn_note(&rig.g, rig.g.conns, "by \033[31mjob\n7");
    p = (struct pollfd){.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 1);
    n = recv(fd, data, sizeof(data), 0);
    assert_true(n > 12);
    assert_null(memchr(data, '\033', (size_t)n));
    assert_non_null(memmem(data, (size_t)n, "by ?[31mjob?7", 13));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(answers_and_sees_the_end),
        RIG_TEST(one_request_a_connection),
        RIG_TEST(ours_are_no_requests),
        RIG_TEST(rubbish_ends_it),
        RIG_TEST(reload_is_roots),
        RIG_TEST(at_most_so_many),
        RIG_TEST(users_leave_room_for_root),
        RIG_TEST(who_asks_for_nothing_is_closed),
        RIG_TEST(no_descriptor_is_left),
        RIG_TEST(failing_calls_cost_one_connection),
        RIG_TEST(each_allocation_fails),
        RIG_TEST(one_that_never_reads_is_ended),
        RIG_TEST(notes_are_clean_text),
    };

    return RIG_RUN(tests);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_guard_list.c - what `justalock list` is sent: each lock once, in the
 * state it is in, as fast as the asker reads; and the sentences of guard_say.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static const struct wire_msg list = {.type = WIRE_LIST};

/* The next item; NULL: the list has ended, with a verdict. */
static const struct wire_msg *item(int fd)
{
    const struct wire_msg *m = rig_answer(fd);

    if (m->type == WIRE_ITEM)
        return m;
    assert_int_equal(m->type, WIRE_VERDICT);
    assert_int_equal(m->verdict, WIRE_GO);
    return NULL;
}

static void is_listed(enum wire_item_state state, const char *name)
{
    int fd = rig_request(&list);
    const struct wire_msg *m = item(fd);

    assert_non_null(m);
    assert_int_equal(m->item_state, state);
    assert_string_equal(m->locks, name);
    assert_null(item(fd));
    (void)close(fd);
    rig_turn();
}

static void each_state(void **state)
{
    const struct wire_msg *m;
    struct work *w;
    int fd, lister;

    (void)state;
    rig_keeper();
    assert_null(item(rig_request(&list)));
    fd = rig_request(rig_command("a"));
    w = rig_work();
    rig_event(rig_asked(KW_ACQUIRE)->handle, KEEPER_BUSY, JUSTALOCK_HELD, "");
    lister = rig_request(&list);
    m = item(lister);
    assert_int_equal(m->item_state, WIRE_ITEM_WAITING);
    assert_has(m->item_holder, "job 7 since 2026-11-2");
    assert_int_equal(m->item_left_ms, -1);
    assert_has(m->item_work, "command ");
    (void)close(lister);
    rig_event(work_handle(w, w->helds), KEEPER_GRANTED, JUSTALOCK_OK, "");
    rig_expect(fd, WIRE_GO, "");
    {
        struct wire_msg pid = {.type = WIRE_COMMAND_PID,
                               .pid = (uint32_t)rig_process(0, 0)};

        rig_say(fd, &pid);
        rig_expect(fd, WIRE_GO, "");
    }
    lister = rig_request(&list);
    m = item(lister);
    assert_int_equal(m->item_state, WIRE_ITEM_HELD);
    assert_in_range(m->item_left_ms, 50000, 60000);
    assert_int_equal(m->item_pids, 1);
    assert_string_equal(m->item_holder, "");
    assert_true(m->item_since_s > 1700000000);
    assert_int_equal(m->has_token, w->helds[0].has_token);
    (void)close(lister);
    w->helds[0].lock.slots = 3; /* of a pool, and with a token */
    w->helds[0].lock.slot = 2;
    w->helds[0].has_token = true;
    w->helds[0].token = 77;
    lister = rig_request(&list);
    m = item(lister);
    assert_string_equal(m->item_holder, "2");
    assert_true(m->has_token);
    assert_int_equal(m->token, 77);
    (void)close(lister);
    (void)close(fd);
    rig_turn();
    is_listed(WIRE_ITEM_ENDING, "a"); /* who ran it is gone: what it did ends */
    w->state = WORK_LEAVING;
    is_listed(WIRE_ITEM_KEPT, "a");
    w->state = WORK_ENDING;
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "x");
    is_listed(WIRE_ITEM_LOST, "a");
}

/* Jobs that are only known hold nothing. */
static void what_asks_for_nothing_is_not_listed(void **state)
{
    (void)state;
    rig_expect(rig_request(rig_job(WIRE_JOB_BEGIN, 5, "a")), WIRE_GO, "");
    assert_int_equal(rig_work()->state, WORK_KNOWN);
    assert_null(item(rig_request(&list)));
}

/* n works with two locks each. */
static void add(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct work *w = work_new(&rig.g, WORK_JOB, 0);

        w->f.job = rig_job(WIRE_JOB_BEGIN, (uint32_t)i, "")->job;
        w->helds = calloc(2, sizeof(*w->helds));
        w->f.helds_len = 2;
        w->state = WORK_HELD;
        for (int k = 0; k < 2; k++) {
            w->helds[k].state = HELD_OURS;
            (void)snprintf(w->helds[k].name, sizeof(w->helds[k].name),
                           "l%zu.%d", i, k);
        }
    }
}

static void as_fast_as_it_is_read(void **state)
{
    char name[32];
    int fd;

    (void)state;
    add(2000);
    fd = rig_request(&list);
    for (size_t i = 0; i < 4000; i++) {
        const struct wire_msg *m = item(fd);

        assert_non_null(m);
        (void)snprintf(name, sizeof(name), "l%zu.%zu", i / 2, i % 2);
        assert_string_equal(m->locks, name);
        if (i == 1000) /* removed while it is read: no other is left out */
            work_remove(&rig.g, rig.g.works);
    }
    assert_null(item(fd));
    /* The connection is as good as any other again. */
    rig_say(fd, &list);
    rig_expect(fd, WIRE_REFUSED_BAD, "one request");
}

static void one_that_goes_in_the_middle(void **state)
{
    int fd;

    (void)state;
    add(2000);
    fd = rig_request(&list);
    (void)item(fd);
    (void)close(fd);
    rig_turn();
    assert_null(rig.g.conns);
    /* The wait for its reading cannot be asked for. */
    fd = rig_dial();
    rig_turn();
    failing_call("epoll_ctl", ENOMEM);
    rig_say(fd, &list);
    assert_null(rig.g.conns);
}

static void no_memory_ends_it(void **state)
{
    int fd = rig_dial();

    (void)state;
    add(3);
    rig.around = failing_pause;
    failing_pause(true);
    failing_memory(1); /* after the connection itself */
    rig_say(fd, &list);
    assert_true(failing_came());
    failing_memory(-1);
    rig.around = NULL;
    failing_pause(false);
    assert_null(rig.g.conns); /* and it is not taken for the whole list */
}

/* ---- guard_say ---- */

static void what_go_says(void **state)
{
    struct lock_id_text id;
    const struct wire_msg *m;
    struct work *w;
    int fd;

    (void)state;
    rig_config("\"hashed_names\": true, \"locks\": {\"own\":"
               "{\"id\": \"6f1c2a9e-0d3b-4c55-9a7e-2b8f4d1e7c30\"}}");
    rig_keeper();
    fd = rig_request(rig_command("own,secret"));
    w = rig_work();
    (void)rig_grant(0);
    (void)rig_grant(0);
    id = id_format(
        &w->helds[strcmp(w->helds[0].name, "own") == 0 ? 0 : 1].lock.id);
    m = rig_answer(fd);
    /* A hashed one is not told: who knows it could take it elsewhere. */
    assert_string_equal(m->ids, id.s);
    assert_int_equal(strlen(m->locks), strlen("own,secret"));
    assert_string_equal(m->text, ""); /* at once: nothing to say */
    w->conns->since = clock_add(clock_now(), -65000);
    w->conns->is_noted = true;
    say_go(&rig.g, w, w->conns);
    assert_has(rig_answer(fd)->text, "after 65 s");
}

static void who_holds_it(void **state)
{
    static const struct {
        const char *holder, *since, *want;
    } all[] = {
        {"", "", "another"},
        {"job 7", "", "job 7"},
        {"", "2026-11-23T07:46:09Z", "another since 2026-11-2"},
        {"job 7", "yesterday", "job 7 since yesterday"},
        {"job 7", "2026-11-23T07:46:09Zx", "since 2026-11-23T07:46:09Zx"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        struct held h = {.state = HELD_ASKING};
        char text[200];

        (void)snprintf(h.holder, sizeof(h.holder), "%s", all[i].holder);
        (void)snprintf(h.since, sizeof(h.since), "%s", all[i].since);
        say_holder(&h, text, sizeof(text));
        assert_has(text, all[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(each_state),
        RIG_TEST(what_asks_for_nothing_is_not_listed),
        RIG_TEST(as_fast_as_it_is_read),
        RIG_TEST(one_that_goes_in_the_middle),
        RIG_TEST(no_memory_ends_it),
        RIG_TEST(what_go_says),
        RIG_TEST(who_holds_it),
    };

    return RIG_RUN(tests);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_guard_say.c - the sentences that users read, word for word, with what
 * they are made of missing, long, or odd.
 */
#include "test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/guard_rig.h"

static const struct wire_msg *heard(int fd, enum wire_type type)
{
    static char data[WIRE_MAX];
    static struct wire_msg m;
    struct justalock_error err;
    ssize_t n;

    n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    assert_true(n > 0);
    assert_ok(wire_unpack(data, (size_t)n, &m, &err), err);
    assert_int_equal(m.type, type);
    return &m;
}

/* A command that waits for "a", its note heard. */
static int waiting(struct work **ret_w)
{
    int fd;

    rig_keeper();
    fd = rig_request(rig_command("a"));
    *ret_w = rig_work();
    (void)rig_asked(KW_ACQUIRE);
    return fd;
}

static void who(const char *holder, const char *since, const char *expected)
{
    struct held h = {.state = HELD_ASKING};
    char text[200];

    (void)snprintf(h.holder, sizeof(h.holder), "%s", holder);
    (void)snprintf(h.since, sizeof(h.since), "%s", since);
    say_holder(&h, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void who_and_since_when(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "UTC-5:30", 1), 0);
    tzset();
    who("", "", "another");
    who("job 7 of n1", "", "job 7 of n1");
    who("", "2026-11-23T07:46:09Z", "another since 2026-11-23 13:16:09");
    who("x", "2026-11-23T23:46:09Z", "x since 2026-11-24 05:16:09");
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    tzset();
    who("x", "2026-02-29T07:46:09Z", "x since 2026-03-01 08:46:09");
    /* What is no time of that form is shown as it came. */
    who("x", "yesterday", "x since yesterday");
    who("x", "2026-11-23T07:46:09", "x since 2026-11-23T07:46:09");
    who("x", "2026-11-23T07:46:09Z+", "x since 2026-11-23T07:46:09Z+");
    who("x", "2026-13-23T07:46:09Z", "x since 2026-13-23T07:46:09Z");
    (void)unsetenv("TZ");
    tzset();
}

static void why_one_waits(void **state)
{
    struct work *w;
    int fd = waiting(&w);

    (void)state;
    say_waiting(&rig.g, w);
    assert_string_equal(heard(fd, WIRE_NOTE)->text, "waiting for lock \"a\"");
    memcpy(w->helds[0].holder, "job 7", 6);
    say_waiting(&rig.g, w);
    assert_string_equal(heard(fd, WIRE_NOTE)->text,
                        "waiting for lock \"a\", held by job 7");
    w->silent = clock_now();
    text_say(&w->trouble, "no route to host");
    say_waiting(&rig.g, w);
    assert_string_equal(heard(fd, WIRE_NOTE)->text,
                        "waiting for lock \"a\": the service "
                        "http://127.0.0.1:9/ does not answer (no route to "
                        "host); trying on");
    w->helds[0].state = HELD_NOT; /* nothing is asked for as yet */
    say_waiting(&rig.g, w);
    assert_string_equal(heard(fd, WIRE_NOTE)->text,
                        "asking Slurm what the job needs");
    (void)close(fd);
}

/* All of it as long as may be: cut, and each part is still there. */
static void long_ones(void **state)
{
    static struct keeper_service s;
    struct work *w;
    int fd = waiting(&w);
    const char *text;

    (void)state;
    memset(w->helds[0].name, 'n', PARSE_NAME_MAX);
    memset(w->helds[0].holder, 'h', KEEPER_HOLDER_MAX);
    memset(w->helds[0].since, 's', KEEPER_SINCE_MAX);
    say_waiting(&rig.g, w);
    text = heard(fd, WIRE_NOTE)->text;
    assert_has(text, "waiting for lock \"nnn");
    assert_has(text, "\", held by hhh");
    assert_has(text, "h since sss");
    w->silent = clock_now();
    memset(s.url, 'u', KEEPER_URL_MAX);
    service_drop(&rig.g, w->service);
    w->service = service_use(&rig.g, &s);
    text_say(&w->trouble, "%0*d", WIRE_TEXT_MAX, 0);
    say_waiting(&rig.g, w);
    text = heard(fd, WIRE_NOTE)->text;
    assert_has(text, "nn\": the service uuu");
    assert_has(text, "uu does not answer (000");
    assert_has(text, "00); trying on");
    (void)close(fd);
}

/* ---- let go ---- */

static void what_goes_with_it(void **state)
{
    const struct wire_msg *m;
    struct lock_id_text id[3];
    char ids[100];
    struct work *w;
    int fd;

    (void)state;
    rig_config("\"locks\": {\"a\": {}, \"b\": {\"slots\": 3}, \"c\": {}}");
    rig_keeper();
    fd = rig_request(rig_command("a,b,c"));
    for (int i = 0; i < 3; i++)
        (void)rig_grant(0);
    w = rig_work();
    m = rig_answer(fd); /* its note of the slots left out */
    assert_int_equal(m->verdict, WIRE_GO);
    assert_string_equal(m->locks, "c,b,a"); /* by id */
    assert_string_equal(m->text, "");       /* it was not told to wait */
    assert_true(m->has_token);
    assert_int_equal(m->token, 42);
    assert_string_equal(m->place, "");
    for (int i = 0; i < 3; i++)
        id[i] = id_format(&w->helds[i].lock.id);
    (void)snprintf(ids, sizeof(ids), "%s,%s,%s", id[0].s, id[1].s, id[2].s);
    assert_string_equal(m->ids, ids);

    /* Once more, otherwise: a hashed one is not told, nor where it is when it
     * is no user's business; and whose token it is. */
    w->helds[1].is_public_id = false;
    w->helds[1].lock.slot = 2;
    w->helds[1].token = 99;
    w->helds[0].has_token = false;
    w->who.kind = IDENTITY_CGROUP;
    memcpy(w->who.path, "/x", 3);
    w->conns->is_noted = true;
    w->conns->since = clock_add(clock_now(), -2600);
    say_go(&rig.g, w, w->conns);
    assert_string_equal(heard(fd, WIRE_NOTE)->text, "JUSTALOCK_SLOT=-,2,-");
    m = heard(fd, WIRE_VERDICT);
    (void)snprintf(ids, sizeof(ids), "%s,%s", id[0].s, id[2].s);
    assert_string_equal(m->ids, ids);
    assert_false(m->has_token);
    assert_string_equal(m->place, "/x");
    assert_string_equal(m->text, "got lock \"c,b,a\" after 2 s");
    w->f.uid = 1000;
    w->conns->since = clock_add(clock_now(), -900); /* not worth a word */
    w->helds[1].lock.slots = 1;
    say_go(&rig.g, w, w->conns);
    m = heard(fd, WIRE_VERDICT); /* no pool, no note */
    assert_string_equal(m->place, "");
    assert_string_equal(m->text, "");
    w->conns->is_noted = false; /* it never heard that it waits */
    w->conns->since = clock_add(clock_now(), -2600);
    say_go(&rig.g, w, w->conns);
    assert_string_equal(heard(fd, WIRE_VERDICT)->text, "");
    w->who.kind = IDENTITY_NONE;
    (void)close(fd);
}

/* As many as may be, each with an id: all fit. */
static void as_many_as_may_be(void **state)
{
    char list[WIRE_LIST_MAX + 1] = "", slots[WIRE_TEXT_MAX + 1];
    const struct wire_msg *m;
    struct work *w;
    size_t commas = 0;
    int fd;

    (void)state;
    for (int i = 0; i < WIRE_LOCKS_MAX; i++)
        (void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
                       "%s%060d", i > 0 ? "," : "", i);
    rig_keeper();
    fd = rig_request(rig_command(list));
    for (int i = 0; i < WIRE_LOCKS_MAX; i++)
        (void)rig_grant(0);
    m = rig_answer(fd);
    assert_int_equal(strlen(m->locks), strlen(list)); /* by id */
    for (const char *c = m->ids; *c; c++)
        commas += *c == ',';
    assert_int_equal(commas, WIRE_LOCKS_MAX - 1);
    assert_int_equal(strlen(m->ids), WIRE_LOCKS_MAX * 23 - 1);
    w = rig_work();
    (void)snprintf(slots, sizeof(slots), "%s", WIRE_NOTE_SLOT);
    for (size_t i = 0; i < WIRE_LOCKS_MAX; i++) {
        w->helds[i].lock.slots = JUSTALOCK_SLOTS_MAX;
        w->helds[i].lock.slot = JUSTALOCK_SLOTS_MAX - 1;
        (void)snprintf(slots + strlen(slots), sizeof(slots) - strlen(slots),
                       "%s%d", i > 0 ? "," : "", JUSTALOCK_SLOTS_MAX - 1);
    }
    say_slots(&rig.g, w, w->conns);
    assert_string_equal(heard(fd, WIRE_NOTE)->text, slots);
    (void)close(fd);
}

/* ---- refused; lost ---- */

static void all_who_wait_hear_it(void **state)
{
    int fd[3];

    (void)state;
    rig_keeper();
    (void)rig_request(rig_job(WIRE_JOB_BEGIN, 5, "a"));
    for (int i = 0; i < 3; i++)
        fd[i] = rig_request(rig_job(WIRE_JOB_TASK, 5, "a"));
    say_verdict(&rig.g, rig_work(), WIRE_REFUSED_NET, "no 100 %s of it");
    assert_null(rig_work()->conns);
    for (int i = 0; i < 3; i++) {
        rig_expect(fd[i], WIRE_REFUSED_NET, "no 100 %s of it");
        (void)close(fd[i]);
    }
}

/* A job's tasks have no one who would read it; the command's owner does. */
static void of_a_loss(void **state)
{
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    say_lost(&rig.g, w, "100 %s lost");
    assert_string_equal(heard(fd, WIRE_LOST)->text, "100 %s lost");
    say_unconfirmed(&rig.g, w);
    assert_has(heard(fd, WIRE_LOST)->text, "could not be confirmed");
    w->f.kind = WORK_SESSION;
    say_lost(&rig.g, w, "x");
    assert_true(rig_is_silent(fd));
    w->f.kind = WORK_COMMAND;
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(who_and_since_when), RIG_TEST(why_one_waits),
        RIG_TEST(long_ones),          RIG_TEST(what_goes_with_it),
        RIG_TEST(as_many_as_may_be),  RIG_TEST(all_who_wait_hear_it),
        RIG_TEST(of_a_loss),
    };

    return RIG_RUN(tests);
}

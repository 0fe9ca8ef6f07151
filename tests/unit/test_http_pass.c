/* SPDX-License-Identifier: MIT */
/*
 * test_http_pass.c - the end of a pass: no answer that rests on a change
 * leaves before it is on disk, one transaction takes all of a pass, and what
 * is answered where it cannot be written.
 */
#include "http_help.h"

/* ---- what the server's thread sees at a commit ---- */

struct eye {
    int fds[4];       /* these must have no answer yet */
    int before;       /* this one must have one; -1: none */
    unsigned early;   /* answers that left too soon */
    unsigned missing; /* that did not leave before */
    size_t changes;   /* of the last commit */
    unsigned shut;    /* so many commits fail from now on */
    int gate[2];      /* >= 0: the next commit waits until a byte comes */
};

static bool on_commit(struct rig *r, const struct lock_change *changes,
                      size_t len)
{
    struct eye *e = r->arg;

    (void)changes;
    e->changes = len;
    for (size_t i = 0; i < LENGTH(e->fds); i++)
        e->early += e->fds[i] >= 0 && rig_is_answered(e->fds[i]);
    e->missing += e->before >= 0 && !rig_is_answered(e->before);
    if (e->gate[0] >= 0) {
        char byte;

        (void)!read(e->gate[0], &byte, 1);
        (void)close(e->gate[0]);
        e->gate[0] = -1;
    }
    if (e->shut == 0)
        return true;
    e->shut--;
    return false;
}

static void look_at(struct eye *e, int a, int b)
{
    e->fds[0] = a;
    e->fds[1] = b;
    e->fds[2] = e->fds[3] = e->before = -1;
}

static void begin(struct rig *r, struct eye *e, const char *name)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    memset(e, 0, sizeof(*e));
    look_at(e, -1, -1);
    e->gate[0] = e->gate[1] = -1;
    r->on_commit = on_commit;
    r->arg = e;
    assert_ok(rig_new(r, in_scratch(name), NULL, &err), err);
    rig_run(r);
}

/* ---- tests ---- */

static void test_on_disk_first(void **state)
{
    struct rig_answer a;
    struct rig r;
    struct eye e;
    int fd;

    (void)state;
    begin(&r, &e, "first");
    fd = dial(&r);
    look_at(&e, fd, -1);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_int_equal(r.commits, 1);
    a = ask(fd, "POST", 'a', "one"); /* writes nothing */
    expect(&a, 200, "renewed");
    a = ask(fd, "POST", 'a', "two"); /* neither does a refusal */
    expect(&a, 409, "");
    assert_int_equal(r.commits, 1);
    a = ask(fd, "DELETE", 'a', "one");
    expect(&a, 200, "");
    assert_int_equal(r.commits, 2);
    a = ask(fd, "POST", 'b', "one");
    expect(&a, 200, "new");
    assert_int_equal(r.commits, 3);
    assert_int_equal(e.early, 0);
    (void)close(fd);
    rig_down(&r);
    assert_true(rig_is_stored(in_scratch("first"), 'b', "one"));
    assert_false(rig_is_stored(in_scratch("first"), 'a', "one"));
}

/* Whatever else is asked while a change is not on disk waits for it too. */
static void test_one_for_all(void **state)
{
    enum { MANY = 24 };
    struct rig_answer a;
    int fds[MANY];
    struct rig r;
    struct eye e;

    (void)state;
    begin(&r, &e, "all");
    for (int i = 0; i < MANY; i++)
        fds[i] = dial(&r);
    look_at(&e, fds[MANY - 1], fds[1]);
    assert_int_equal(pipe(e.gate), 0);
    /* While the first one is written, all others come. */
    assert_true(rig_ask(fds[0], "POST", rig_lock('a'), "one", ""));
    while (__atomic_load_n(&r.commits, __ATOMIC_SEQ_CST) == 0)
        (void)usleep(1000);
    for (int i = 1; i < MANY; i++)
        assert_true(
            rig_ask(fds[i], "POST", rig_lock((char)('a' + i)), "one", ""));
    assert_int_equal(write(e.gate[1], "x", 1), 1);
    (void)close(e.gate[1]);
    for (int i = 0; i < MANY; i++) {
        a = rig_read(fds[i]);
        expect(&a, 200, "new");
        (void)close(fds[i]);
    }
    assert_int_equal(e.early, 0);
    assert_int_equal(r.commits, 2);
    assert_int_equal(e.changes, MANY - 1);
    rig_down(&r);
    for (int i = 0; i < MANY; i++)
        assert_true(rig_is_stored(in_scratch("all"), (char)('a' + i), "one"));
}

/* An offer promises nothing: it goes out before the release is on disk, the
 * release's own answer does not. */
static void test_handover(void **state)
{
    struct rig_answer a;
    int one, two;
    struct rig r;
    struct eye e;

    (void)state;
    begin(&r, &e, "handover");
    one = dial(&r);
    two = dial(&r);
    a = ask(one, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_true(
        rig_ask(two, "POST", rig_lock('a'), "two", "Justalock-Wait: 10\r\n"));
    await_waiters(one, 1);
    look_at(&e, one, -1);
    e.before = two;
    a = ask(one, "DELETE", 'a', "one");
    expect(&a, 200, "");
    a = rig_read(two);
    expect(&a, 200, "offered");
    assert_int_equal(e.early, 0);
    assert_int_equal(e.missing, 0);
    look_at(&e, two, -1);
    a = ask(two, "POST", 'a', "two");
    expect(&a, 200, "new");
    assert_int_equal(e.early, 0);
    (void)close(one);
    (void)close(two);
    rig_down(&r);
    assert_true(rig_is_stored(in_scratch("handover"), 'a', "two"));
}

/* What is held is kept and refreshed, nothing is granted or taken away, until
 * the state can be written again. */
static void test_cannot_write(void **state)
{
    struct rig_answer a;
    int64_t until;
    int fd, waits;
    struct rig r;
    struct eye e;

    (void)state;
    begin(&r, &e, "shut");
    fd = dial(&r);
    waits = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_true(
        rig_ask(waits, "POST", rig_lock('a'), "two", "Justalock-Wait: 10\r\n"));
    await_waiters(fd, 1);
    e.shut = 1;
    a = ask(fd, "POST", 'b', "one");
    expect(&a, 503, "");
    assert_has(a.body, "cannot be written");
    assert_true(atoi(rig_header(&a, "Retry-After")) >= 1);
    a = rig_read(waits); /* it is not left hanging on a table that is gone */
    expect(&a, 503, "");
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    a = get(fd, "/metrics");
    assert_has(a.body, "\njustalock_commits_failed_total 1\n");
    assert_has(a.body, "\njustalock_locks_held 1\n");
    assert_has(a.body, "\njustalock_grants_total 2\n"); /* counts go on */
    until = clock_raw_ms() + 10000;
    do {
        a = ask(fd, "POST", 'b', "one");
        assert_true(a.status == 503 || a.status == 200);
    } while (a.status == 503 && clock_raw_ms() < until);
    expect(&a, 200, "new");
    a = ask(fd, "DELETE", 'a', "one");
    expect(&a, 200, "");
    (void)close(fd);
    (void)close(waits);
    rig_down(&r);
    assert_false(rig_is_stored(in_scratch("shut"), 'a', "one"));
    assert_true(rig_is_stored(in_scratch("shut"), 'b', "one"));
}

/* A release that is not on disk has not happened. */
static void test_release_not_written(void **state)
{
    struct rig_answer a;
    struct rig r;
    struct eye e;
    int fd;

    (void)state;
    begin(&r, &e, "kept");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    e.shut = 1;
    a = ask(fd, "DELETE", 'a', "one");
    expect(&a, 503, "");
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    (void)close(fd);
    rig_down(&r);
    assert_true(rig_is_stored(in_scratch("kept"), 'a', "one"));
}

/* Neither to be written nor to be read: nothing is answered from memory that
 * may be wrong, and all is there again when it can be read. */
static void test_cannot_read_again(void **state)
{
    struct rig_answer a;
    int64_t until;
    struct rig r;
    struct eye e;
    int fd;

    (void)state;
    begin(&r, &e, "dark");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    r.refuse_loads = 2;
    e.shut = 1;
    a = ask(fd, "POST", 'b', "one");
    expect(&a, 503, "");
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 503, "");
    a = get(fd, "/healthz");
    assert_int_equal(a.status, 503);
    until = clock_raw_ms() + 15000;
    do {
        a = ask(fd, "POST", 'a', "one");
        assert_true(a.status == 503 || a.status == 200);
    } while (a.status == 503 && clock_raw_ms() < until);
    expect(&a, 200, "renewed");
    assert_int_equal(r.refuse_loads, 0);
    a = ask(fd, "POST", 'b', "two");
    assert_true(a.status == 200 || a.status == 503);
    (void)close(fd);
    rig_down(&r);
}

/* No memory for two tables at once: the old one goes first, what is held is
 * held, and its lease is whole again, as after a restart. */
static void test_one_table_at_a_time(void **state)
{
    struct rig_answer a;
    struct rig r;
    struct eye e;
    int fd;

    (void)state;
    begin(&r, &e, "alone");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    r.refuse_as = JUSTALOCK_NOMEM;
    r.refuse_loads = 1;
    e.shut = 1;
    a = ask(fd, "POST", 'b', "one");
    expect(&a, 503, "");
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    assert_int_equal(r.refuse_loads, 0);
    a = get(fd, "/metrics");
    assert_has(a.body, "\njustalock_grants_total 2\n");
    assert_has(a.body, "\njustalock_locks_held 1\n");
    (void)close(fd);
    rig_down(&r);
}

/* A row that a later reader would refuse is not loaded half. */
static void test_load_is_whole(void **state)
{
    struct lock_table *before;
    struct justalock_error err;
    struct rig_answer a;
    struct rig r;
    struct eye e;
    int fd;

    (void)state;
    begin(&r, &e, "whole");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    (void)close(fd);
    assert_int_equal(rig_stop(&r), JUSTALOCK_OK);
    before = r.server->table;
    r.refuse_loads = 1;
    assert_fails(server_load(r.server, 7, &err), JUSTALOCK_SYS, err, "window");
    assert_ptr_equal(r.server->table, before);
    assert_ok(server_load(r.server, 7, &err), err);
    assert_ptr_not_equal(r.server->table, before);
    assert_int_equal(lock_counts(r.server->table).held, 1);
    assert_int_equal(lock_counts(r.server->table).grants, 1);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_disk_first),
        cmocka_unit_test(test_one_for_all),
        cmocka_unit_test(test_handover),
        cmocka_unit_test(test_cannot_write),
        cmocka_unit_test(test_release_not_written),
        cmocka_unit_test(test_cannot_read_again),
        cmocka_unit_test(test_one_table_at_a_time),
        cmocka_unit_test(test_load_is_whole),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

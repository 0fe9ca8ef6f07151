/* SPDX-License-Identifier: MIT */
/*
 * test_http_answer.c - what each answer says in its head, and that one for
 * whose head there is no memory does not leave: an offer without the word
 * "offered" would look like a grant.
 */
#include "../lib/fail_alloc.h"
#include "http_help.h"

static void has(const struct rig_answer *a, const char *name, const char *want)
{
    if (strcmp(rig_header(a, name), want) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", name, rig_header(a, name), want);
}

static void test_heads(void **state)
{
    static const char features[] = "wait release token holder share slots";
    struct rig_answer a;
    uint64_t token;
    struct rig r;
    int fd, waits;

    (void)state;
    up(&r, "heads");
    fd = dial(&r);
    assert_true(rig_ask(fd, "POST", rig_lock('a'), "one",
                        "Justalock-Label: job 7 on \"n1\"\r\n"));
    a = rig_read(fd);
    expect(&a, 200, "new");
    token = strtoull(rig_header(&a, "Justalock-Token"), NULL, 10);
    assert_true(token > 0);
    has(&a, "Justalock-Features", features);
    has(&a, "Content-Type", "");
    assert_int_equal(a.body_len, 0);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    assert_int_equal(strtoull(rig_header(&a, "Justalock-Token"), NULL, 10),
                     token);
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    has(&a, "Justalock-Holder", "job 7 on \"n1\"");
    assert_int_equal(strlen(rig_header(&a, "Justalock-Since")), 20);
    has(&a, "Justalock-Token", "");
    has(&a, "Justalock-Features", features);
    assert_has(a.body, "another client holds this lock");
    waits = dial(&r);
    assert_true(rig_ask(waits, "POST", rig_lock('a'), "three",
                        "Justalock-Wait: 10\r\n"));
    await_waiters(fd, 1);
    a = ask(fd, "DELETE", 'a', "one");
    expect(&a, 200, "");
    has(&a, "Justalock-Features", features);
    a = rig_read(waits);
    expect(&a, 200, "offered");
    has(&a, "Justalock-Token", ""); /* there is none to use yet */
    a = ask(waits, "POST", 'a', "three");
    expect(&a, 200, "new");
    assert_true(strtoull(rig_header(&a, "Justalock-Token"), NULL, 10) > token);
    a = get(fd, "/");
    has(&a, "Content-Type", "text/html; charset=utf-8");
    has(&a, "Content-Security-Policy", "default-src 'none'");
    has(&a, "Cache-Control", "no-store");
    a = get(fd, "/v1/locks");
    has(&a, "Content-Type", "application/json");
    a = get(fd, "/metrics");
    has(&a, "Content-Type", "text/plain; version=0.0.4");
    has(&a, "Content-Security-Policy", "");
    a = get(fd, "/x");
    has(&a, "Content-Type", "text/plain; charset=utf-8");
    (void)close(fd);
    (void)close(waits);
    rig_down(&r);
}

/* ---- no memory ---- */

struct shortage {
    long n;      /* the allocation that fails after the next commit; 0: none */
    bool is_hit; /* the one before was */
};

static bool on_commit(struct rig *r, const struct lock_change *changes,
                      size_t len)
{
    struct shortage *s = r->arg;

    (void)changes;
    (void)len;
    s->is_hit |= fail_alloc_off();
    if (s->n > 0)
        fail_alloc_at(s->n, 1);
    s->n = 0;
    return true;
}

/* Until it is done, or was: on new connections where one was closed. */
static void give_back(struct rig *r, const char *client)
{
    int64_t until = clock_raw_ms() + 10000;
    struct rig_answer a = {.status = 0};

    while (a.status != 200 && a.status != 409) {
        int fd = dial(r);

        a = ask(fd, "DELETE", 'a', client);
        (void)close(fd);
        if (clock_raw_ms() > until)
            fail_msg("no release of %s: %d %s", client, a.status, a.body);
    }
}

static void is_whole(const struct rig_answer *a)
{
    if (a->status != 200)
        return;
    if (rig_header(a, "Justalock-Holding")[0] == '\0' ||
        rig_header(a, "Justalock-Features")[0] == '\0')
        fail_msg("200 without all of its head: %s", a->head);
    if (strcmp(rig_header(a, "Justalock-Holding"), "offered") != 0 &&
        rig_header(a, "Justalock-Token")[0] == '\0')
        fail_msg("a grant without a token: %s", a->head);
}

static void test_no_memory(void **state)
{
    struct shortage s = {.n = 0};
    unsigned offered = 0, none = 0;
    struct justalock_error err;
    bool is_hit = true;
    struct rig r = {.on_commit = on_commit, .arg = &s};
    long n;

    (void)state;
    assert_ok(rig_new(&r, in_scratch("memory"), NULL, &err), err);
    rig_run(&r);
    for (n = 1; is_hit; n++) {
        int holds = dial(&r), waits = dial(&r);
        char holder[24], waiter[24];
        struct rig_answer a;

        (void)snprintf(holder, sizeof(holder), "h%ld", n);
        (void)snprintf(waiter, sizeof(waiter), "w%ld", n);
        a = ask(holds, "POST", 'a', holder);
        expect(&a, 200, "new");
        assert_true(rig_ask(waits, "POST", rig_lock('a'), waiter,
                            "Justalock-Wait: 10\r\n"));
        await_waiters(holds, 1);
        s.is_hit = false;
        s.n = n;
        a = ask(holds, "POST", 'b', holder); /* a commit */
        is_whole(&a);
        none += a.status == 0;
        if (a.status != 0)
            (void)ask(holds, "DELETE", 'a', holder);
        (void)close(holds);
        give_back(&r, holder);
        a = rig_read(waits);
        is_whole(&a);
        offered += a.status == 200;
        none += a.status == 0;
        if (a.status == 200) {
            a = ask(waits, "POST", 'a', waiter);
            is_whole(&a);
        }
        (void)close(waits);
        give_back(&r, waiter);
        holds = dial(&r);
        (void)ask(holds, "DELETE", 'b', holder);
        /* One more commit tells whether it was hit. */
        a = ask(holds, "POST", 'c', holder);
        expect(&a, 200, "new");
        a = ask(holds, "DELETE", 'c', holder);
        expect(&a, 200, "");
        (void)close(holds);
        is_hit = s.is_hit;
    }
    rig_down(&r);
    assert_in_range(n, fail_alloc_least(8), 400);
    assert_true(offered > 0 && (none > 0 || fail_alloc_least(2) == 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

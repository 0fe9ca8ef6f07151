/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_query.c - asking who holds a lock: a real server, one that does
 * not answer, one that has no views, and no memory. Every query has one answer,
 * but none after its keeper is gone.
 */
#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "http_help.h"
#include "keeper.h"

struct seen {
    unsigned answers;
    uint64_t handle;
    enum justalock_status status;
    char text[240];
    struct keeper_view view;
};

static void on_event(void *arg, const struct keeper_event *e)
{
    (void)arg;
    (void)e;
}

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct seen *s = arg;

    s->answers++;
    s->handle = handle;
    s->status = status;
    (void)snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
    if (view != NULL)
        s->view = *view;
}

static struct keeper *make(void)
{
    struct justalock_error err;
    struct keeper *k = NULL;

    assert_ok(keeper_new(on_event, NULL, &k, &err), err);
    return k;
}

static void await(struct keeper *k, const struct seen *s, unsigned answers)
{
    int64_t until = clock_raw_ms() + 10000;

    while (s->answers < answers) {
        assert_true(clock_raw_ms() < until);
        (void)keeper_run(k, -1, 100);
    }
    (void)keeper_run(k, -1, 0);
    assert_int_equal(s->answers, answers);
}

static void test_real_server(void **state)
{
    struct keeper_service service = {.url = ""};
    struct lock_id id = rig_lock_id('a');
    struct justalock_error err;
    struct seen s = {.answers = 0};
    struct keeper *k = make();
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "real");
    (void)snprintf(service.url, sizeof(service.url), "unix:%s", r.socket);
    assert_ok(keeper_query(k, 5, &service, &id, 5000, on_view, &s, &err), err);
    await(k, &s, 1);
    assert_int_equal(s.handle, 5);
    assert_int_equal(s.status, JUSTALOCK_OK);
    assert_true(s.view.known);
    assert_false(s.view.held);
    fd = dial(&r);
    assert_true(rig_ask(fd, "POST", rig_lock('a'), "one",
                        "Justalock-Label: job 7\r\n"));
    a = rig_read(fd);
    expect(&a, 200, "new");
    (void)close(fd);
    assert_ok(keeper_query(k, 6, &service, &id, 5000, on_view, &s, &err), err);
    await(k, &s, 2);
    assert_true(s.view.held);
    assert_string_equal(s.view.holder, "job 7");
    assert_true(s.view.has_token);
    assert_in_range(s.view.expires_ms, 50000, 60000);
    keeper_free(k);
    rig_down(&r);
}

/* ---- others ---- */

static void answer(void *arg, const struct fake_request *q, struct fake_step *s)
{
    const int *status = arg;

    (void)q;
    s->status = *status;
    if (*status == 0)
        s->way = FAKE_SILENT;
    (void)snprintf(s->headers, sizeof(s->headers),
                   "Justalock-Features: wait\r\n");
    (void)snprintf(s->body, sizeof(s->body), "{\"held\":true}");
}

static void test_answers(void **state)
{
    static const struct {
        int status;
        enum justalock_status want;
        bool known;
    } cases[] = {{200, JUSTALOCK_OK, true},      {404, JUSTALOCK_OK, false},
                 {405, JUSTALOCK_OK, false},     {409, JUSTALOCK_PROTO, false},
                 {401, JUSTALOCK_DENIED, false}, {403, JUSTALOCK_DENIED, false},
                 {503, JUSTALOCK_NET, false},    {0, JUSTALOCK_NET, false}};
    struct keeper_service service = {.url = ""};
    struct lock_id id = rig_lock_id('a');
    struct seen s = {.answers = 0};
    struct keeper *k = make();
    struct justalock_error err;
    struct fake_service *f;
    struct fake_request q;
    int status = 200;

    (void)state;
    f = fake_start(answer, &status);
    assert_non_null(f);
    (void)snprintf(service.url, sizeof(service.url), "http://127.0.0.1:%d/",
                   fake_port(f));
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        status = cases[i].status;
        s.view.known = false;
        assert_ok(keeper_query(k, i, &service, &id, 1000, on_view, &s, &err),
                  err);
        await(k, &s, i + 1);
        if (s.status != cases[i].want || s.view.known != cases[i].known)
            fail_msg("%d: %d %s", cases[i].status, (int)s.status, s.text);
        if (s.status != JUSTALOCK_OK)
            assert_string_not_equal(s.text, "");
        assert_int_equal(s.handle, i);
    }
    assert_true(fake_get(f, 0, &q));
    assert_string_equal(q.method, "GET");
    assert_string_equal(q.target, "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA");
    assert_int_equal(q.body_len, 0);
    /* What is under way when the keeper goes has no answer any more. */
    status = 0;
    for (unsigned i = 0; i < 3; i++)
        assert_ok(keeper_query(k, i, &service, &id, 9000, on_view, &s, &err),
                  err);
    (void)keeper_run(k, -1, 50);
    keeper_free(k);
    assert_int_equal(s.answers, LENGTH(cases));
    fake_stop(f);
}

/* ---- no memory ---- */

static bool one_query(void *arg)
{
    struct keeper_service service = {.url = ""};
    struct lock_id id = rig_lock_id('a');
    struct seen s = {.answers = 0};
    struct justalock_error err;
    struct keeper *k = NULL;
    int64_t until = clock_raw_ms() + 8000;
    bool good = false;

    (void)snprintf(service.url, sizeof(service.url), "unix:%s",
                   (const char *)arg);
    if (keeper_new(on_event, NULL, &k, &err) != JUSTALOCK_OK)
        return false;
    if (keeper_query(k, 5, &service, &id, 5000, on_view, &s, &err) ==
        JUSTALOCK_OK) {
        while (s.answers == 0 && clock_raw_ms() < until)
            (void)keeper_run(k, -1, 100);
        assert_int_equal(s.answers, 1);
        good = s.status == JUSTALOCK_OK && s.view.known;
    }
    keeper_free(k);
    return good;
}

static void test_no_memory(void **state)
{
    struct rig r;

    (void)state;
    up(&r, "memory");
    fail_alloc_only_ours(true); /* json-c crashes without memory */
    assert_in_range(fail_alloc_each(one_query, r.socket), 5, 200);
    fail_alloc_only_ours(false);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_server),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

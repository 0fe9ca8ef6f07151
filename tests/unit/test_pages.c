/* SPDX-License-Identifier: MIT */
/*
 * test_pages.c - what anyone may see: never a client id nor a whole lock id,
 * nothing of a label that a browser or a reader of JSON takes for more than
 * text, and what there is no memory for is marked as such.
 */
#include <json-c/json.h>
#include <stdlib.h>

#include "../../modules/server/pages.h"
#include "../lib/fail_alloc.h"
#include "table_help.h"

static void label(struct fixture *f, char lock, const char *client,
                  const char *text)
{
    struct lock_request q = request(lock, client, "s", 60);
    struct lock_answer a;

    (void)snprintf(q.label, sizeof(q.label), "%s", text);
    lock_take(f->t, &q, f->now, WALL, &a);
    assert_int_equal(a.result, LOCK_NEW);
}

static struct lock_id id_of(char lock)
{
    return request(lock, "", "", 1).id;
}

static void fill(struct fixture *f)
{
    static struct place p;
    struct lock_id b = id_of('b');

    begin(f);
    label(f, 'a', "secret-client", "<b>\"job\" & 'x'</b>");
    label(f, 'b', "other-client", "");
    assert_int_equal(wait_as(f, 'a', "third-client", "w", 20, &p),
                     LOCK_WAITING);
    assert_true(lock_break(f->t, &b, LOCK_ALL_SLOTS));
}

/* No page tells more than it may. */
static void is_discreet(const struct buf *b)
{
    struct lock_id a = id_of('a');
    struct lock_id_text id = id_format(&a);

    assert_false(b->failed);
    assert_null(strstr(b->data, "secret-client"));
    assert_null(strstr(b->data, "other-client"));
    assert_null(strstr(b->data, "third-client"));
    assert_null(strstr(b->data, id.s));
}

static struct json_object *parsed(const struct buf *b)
{
    struct json_object *o = json_tokener_parse(b->data);

    if (o == NULL)
        fail_msg("not JSON: %s", b->data);
    return o;
}

static void test_locks(void **state)
{
    struct json_object *o, *list, *l, *v;
    struct fixture f;
    struct buf b;
    bool seen[2] = {false, false};

    (void)state;
    fill(&f);
    buf_init(&b, PAGES_MAX);
    pages_locks(&b, f.t, f.now + 1000);
    is_discreet(&b);
    o = parsed(&b);
    assert_true(json_object_object_get_ex(o, "locks", &list));
    assert_int_equal(json_object_array_length(list), 2);
    for (size_t i = 0; i < 2; i++) {
        const char *id;

        l = json_object_array_get_idx(list, i);
        assert_true(json_object_object_get_ex(l, "lock", &v));
        id = json_object_get_string(v);
        assert_int_equal(strlen(id), 8 + 3); /* its beginning, "..." */
        assert_true(json_object_object_get_ex(l, "waiters", &v));
        if (json_object_get_int(v) == 1) {
            seen[0] = true;
            assert_true(json_object_object_get_ex(l, "holder", &v));
            assert_string_equal(json_object_get_string(v),
                                "<b>\"job\" & 'x'</b>");
            assert_true(json_object_object_get_ex(l, "expires_ms", &v));
            assert_int_equal(json_object_get_int(v), 59000);
            assert_true(json_object_object_get_ex(l, "broken", &v));
            assert_false(json_object_get_boolean(v));
        } else {
            seen[1] = true;
            assert_true(json_object_object_get_ex(l, "broken", &v));
            assert_true(json_object_get_boolean(v));
        }
    }
    assert_true(seen[0] && seen[1]);
    json_object_put(o);
    buf_done(&b);
    end(&f);
}

static void test_one(void **state)
{
    struct json_object *o, *v;
    struct fixture f;
    struct lock_id id = id_of('a');
    struct buf b;

    (void)state;
    fill(&f);
    buf_init(&b, PAGES_MAX);
    pages_lock(&b, f.t, &id, f.now);
    is_discreet(&b);
    o = parsed(&b);
    assert_true(json_object_object_get_ex(o, "held", &v));
    assert_true(json_object_get_boolean(v));
    json_object_put(o);
    buf_done(&b);
    id = id_of('z'); /* nobody ever asked for it */
    buf_init(&b, PAGES_MAX);
    pages_lock(&b, f.t, &id, f.now);
    o = parsed(&b);
    assert_true(json_object_object_get_ex(o, "held", &v));
    assert_false(json_object_get_boolean(v));
    assert_false(json_object_object_get_ex(o, "holder", &v));
    json_object_put(o);
    buf_done(&b);
    end(&f);
}

static void test_home(void **state)
{
    struct page_figures figures = {.start_wall_s = WALL};
    struct fixture f;
    struct buf b;

    (void)state;
    fill(&f);
    buf_init(&b, PAGES_MAX);
    pages_home(&b, f.t, &figures, f.now);
    is_discreet(&b);
    assert_has(b.data, "&lt;b&gt;&quot;job&quot; &amp; 'x'&lt;/b&gt;");
    assert_null(strstr(b.data, "<b>"));
    assert_has(b.data, " (broken)");
    assert_has(b.data, "2 held, 1 waiting. Up since 2023-11-14T22:13:20Z.");
    assert_null(strstr(b.data, "damaged"));
    buf_done(&b);
    figures.is_quiet = true;
    assert_int_equal(give(&f, 'b', "other-client", "s"), LOCK_RELEASED);
    pass_ms(&f, 70000); /* a's lease is over, its place was offered */
    buf_init(&b, PAGES_MAX);
    pages_home(&b, f.t, &figures, f.now);
    assert_has(b.data, "Its state was damaged");
    assert_has(b.data, "0 held");
    buf_done(&b);
    end(&f);
}

static void test_waited_for_only(void **state)
{
    struct page_figures figures = {.start_wall_s = WALL};
    struct fixture f;
    struct place p;
    struct buf b;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "s", 60).result, LOCK_NEW);
    assert_int_equal(wait_as(&f, 'a', "two", "s", 20, &p), LOCK_WAITING);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    buf_init(&b, PAGES_MAX);
    pages_home(&b, f.t, &figures, f.now);
    assert_has(b.data, "(free)<td><td><td><td>1<td>");
    buf_done(&b);
    end(&f);
}

static void test_metrics(void **state)
{
    struct page_figures figures = {.commits = 3,
                                   .commits_failed = 1,
                                   .commit_us = 2500000,
                                   .commit_max_us = 1500000,
                                   .changes = 9,
                                   .is_quiet = true};
    struct fixture f;
    struct buf b;

    (void)state;
    fill(&f);
    figures.requests[0][pages_code(200)] = 5;
    figures.requests[3][pages_code(418)] = 2;
    buf_init(&b, PAGES_MAX);
    pages_metrics(&b, f.t, &figures, f.now, WALL + 77);
    is_discreet(&b);
    assert_has(b.data, "\njustalock_requests_total{method=\"POST\","
                       "code=\"200\"} 5\n");
    assert_has(b.data, "\njustalock_requests_total{method=\"other\","
                       "code=\"500\"} 2\n");
    assert_null(strstr(b.data, "method=\"GET\""));
    assert_has(b.data, "\njustalock_locks_held 2\n");
    assert_has(b.data, "\njustalock_waiters 1\n");
    assert_has(b.data, "\njustalock_oldest_hold_seconds 77\n");
    assert_has(b.data, "\njustalock_commit_seconds_sum 2.500000\n");
    assert_has(b.data, "\njustalock_commit_seconds_count 3\n");
    assert_has(b.data, "\njustalock_commit_max_seconds 1.500000\n");
    assert_has(b.data, "\njustalock_commits_failed_total 1\n");
    assert_has(b.data, "\njustalock_quiet 1\n");
    buf_done(&b);
    /* A clock that was set back makes no age of 2^64. */
    buf_init(&b, PAGES_MAX);
    pages_metrics(&b, f.t, &figures, f.now, WALL - 10);
    assert_has(b.data, "\njustalock_oldest_hold_seconds 0\n");
    buf_done(&b);
    end(&f);
}

static void test_codes(void **state)
{
    static const unsigned codes[] = {200, 400, 401, 403, 404, 405,
                                     409, 413, 429, 503, 500};

    (void)state;
    for (unsigned i = 0; i < LENGTH(codes); i++)
        assert_int_equal(pages_code(codes[i]), i);
    assert_int_equal(pages_code(0), PAGES_CODES - 1);
    assert_int_equal(pages_code(999), PAGES_CODES - 1);
}

static void test_time(void **state)
{
    (void)state;
    assert_string_equal(pages_time(0).s, "");
    assert_string_equal(pages_time(1).s, "1970-01-01T00:00:01Z");
    assert_string_equal(pages_time(1700000000).s, "2023-11-14T22:13:20Z");
    assert_string_equal(pages_time(INT64_MAX).s, ""); /* no year for it */
}

/* ---- no memory, no room ---- */

static bool all_pages(void *arg)
{
    struct fixture *f = arg;
    struct page_figures figures = {.start_wall_s = WALL};
    struct lock_id id = id_of('a');
    bool good = true;

    for (int i = 0; i < 4; i++) {
        struct buf b;

        buf_init(&b, PAGES_MAX);
        if (i == 0)
            pages_home(&b, f->t, &figures, f->now);
        else if (i == 1)
            pages_locks(&b, f->t, f->now);
        else if (i == 2)
            pages_lock(&b, f->t, &id, f->now);
        else
            pages_metrics(&b, f->t, &figures, f->now, WALL);
        good &= !b.failed;
        buf_done(&b);
    }
    return good;
}

static void test_no_memory(void **state)
{
    struct fixture f;

    (void)state;
    fill(&f);
    assert_in_range(fail_alloc_each(all_pages, &f), 4, 200);
    end(&f);
}

static void test_no_room(void **state)
{
    struct page_figures figures = {.start_wall_s = WALL};
    struct fixture f;

    (void)state;
    fill(&f);
    for (size_t size = 1; size < 900; size += 7) {
        struct buf b;

        buf_init(&b, size);
        pages_home(&b, f.t, &figures, f.now);
        assert_true(b.failed || b.len <= size);
        buf_done(&b);
        buf_init(&b, size);
        pages_locks(&b, f.t, f.now);
        assert_true(b.failed || b.len <= size);
        buf_done(&b);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locks),   cmocka_unit_test(test_one),
        cmocka_unit_test(test_home),    cmocka_unit_test(test_waited_for_only),
        cmocka_unit_test(test_metrics), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_time),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

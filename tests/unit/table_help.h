/* SPDX-License-Identifier: MIT */
/*
 * table_help.h - for the tests of the lock table: a table with a clock of its
 * own, requests in one line, and the answers to requests that waited.
 */
#ifndef TESTS_UNIT_TABLE_HELP_H
#define TESTS_UNIT_TABLE_HELP_H

#include "../../modules/server/table.h"
#include "test.h"

#define WALL      1700000000
#define WOKEN_MAX 64

struct woken {
    const void *conn;
    struct lock_answer answer;
};

struct fixture {
    struct lock_table *t;
    int64_t now;
    struct woken woken[WOKEN_MAX];
    size_t woken_len;
};

/* What a request of `client` with `share` for the lock named by one letter
 * waits as: any address that is its own will do. */
struct place {
    char unused;
};

static inline void on_wake(void *arg, void *conn, const struct lock_answer *a)
{
    struct fixture *f = arg;

    assert_true(f->woken_len < WOKEN_MAX);
    f->woken[f->woken_len].conn = conn;
    f->woken[f->woken_len++].answer = *a;
}

static inline void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->now = 1000000;
    f->t = lock_table_new(on_wake, f, 0);
    assert_non_null(f->t);
}

static inline void end(struct fixture *f)
{
    lock_table_free(f->t);
    f->t = NULL;
}

static inline struct lock_request request(char lock, const char *client,
                                          const char *share, unsigned life_s)
{
    struct lock_request q = {.life_s = life_s, .client_len = strlen(client)};

    memset(q.id.bytes, lock, sizeof(q.id.bytes));
    memcpy(q.client, client, q.client_len);
    memcpy(q.share, share, strlen(share) + 1);
    (void)snprintf(q.label, sizeof(q.label), "label of %s", client);
    return q;
}

static inline struct lock_answer take(struct fixture *f, char lock,
                                      const char *client, const char *share,
                                      unsigned life_s)
{
    struct lock_request q = request(lock, client, share, life_s);
    struct lock_answer a;

    lock_take(f->t, &q, f->now, WALL + f->now / 1000, &a);
    return a;
}

static inline enum lock_result wait_as(struct fixture *f, char lock,
                                       const char *client, const char *share,
                                       unsigned wait_s, struct place *place)
{
    struct lock_request q = request(lock, client, share, 60);
    struct lock_answer a;

    q.wait_s = wait_s;
    q.conn = place;
    lock_take(f->t, &q, f->now, WALL, &a);
    return a.result;
}

static inline enum lock_result give(struct fixture *f, char lock,
                                    const char *client, const char *share)
{
    struct lock_request q = request(lock, client, share, 60);
    struct lock_answer a;

    lock_give(f->t, &q, f->now, &a);
    return a.result;
}

static inline void gone(struct fixture *f, char lock, struct place *place)
{
    struct lock_request q = request(lock, "x", "", 60);

    lock_gone(f->t, &q.id, place, f->now);
}

/* Time goes by in steps to what is due next, as in the server's loop. */
static inline void pass_ms(struct fixture *f, int64_t ms)
{
    int64_t until = f->now + ms, next;

    for (;;) {
        next = lock_run(f->t, f->now);
        assert_true(next > f->now);
        if (next > until)
            break;
        f->now = next;
    }
    f->now = until;
    (void)lock_run(f->t, f->now);
}

/* The answer to that place, once: -1 where there is none. */
static inline int answer_of(struct fixture *f, const struct place *place)
{
    int result = -1;

    for (size_t i = 0; i < f->woken_len; i++) {
        if (f->woken[i].conn != place)
            continue;
        assert_int_equal(result, -1); /* answered twice */
        result = (int)f->woken[i].answer.result;
        f->woken[i].conn = NULL;
    }
    return result;
}

static inline size_t changes(struct fixture *f)
{
    size_t len;
    bool is_whole;

    (void)lock_changes(f->t, &len, &is_whole);
    assert_true(is_whole);
    lock_changes_clear(f->t);
    return len;
}

static inline bool is_held(struct fixture *f, char lock)
{
    struct lock_request q = request(lock, "x", "", 60);
    struct lock_view v;

    return lock_look(f->t, &q.id, f->now, &v) && v.is_held;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * http_pass.c - the end of a pass: all its changes to disk in one transaction,
 * then its answers; and what happens where that fails.
 */
#include <time.h>

#include <utlist.h>

#include "clock.h"
#include "http_inner.h"
#include "log.h"

#define CONFIRM_MS 2 /* a commit waits for offers to be confirmed */
#define GATHER     8 /* one for more requests, that part of its own time */

/* ---- state ---- */

struct loading {
    struct lock_table *table;
    int64_t extra_ms; /* see store_shared */
};

static enum justalock_status load_row(void *arg, const struct lock_row *row,
                                      bool is_tomb)
{
    const struct loading *l = arg;

    return lock_load(l->table, row, is_tomb, clock_raw_ms() + l->extra_ms);
}

struct lock_table *server_new_table(struct server *s, uint64_t last_token)
{
    struct lock_table *t = lock_table_new(request_woken, s, last_token);
    struct lock_limits l = limits_of_table(&s->limits);

    if (t != NULL)
        lock_set_limits(t, &l);
    return t;
}

enum justalock_status server_load(struct server *s, uint64_t last_token,
                                  struct justalock_error *err)
{
    const struct store_shared *shared = store_shared(s->store);
    struct lock_table *t = server_new_table(s, last_token);
    struct loading l = {.table = t};
    enum justalock_status st;

    if (t == NULL)
        return error_nomem(err);
    if (shared != NULL)
        l.extra_ms = shared->extra_s * 1000LL;
    st = store_load(s->store, load_row, &l, err);
    if (st != JUSTALOCK_OK) {
        lock_table_free(t);
        return st;
    }
    if (s->table != NULL)
        lock_carry_over(t, s->table);
    lock_table_free(s->table);
    s->table = t;
    return JUSTALOCK_OK;
}

void server_fail_pass(struct server *s)
{
    struct request *r, *tmp;

    DL_FOREACH_SAFE(s->suspended, r, tmp)
    {
        if (r->state == REQUEST_WAITING)
            request_decided(r);
        r->reason = "the state cannot be written; ask again later\n";
        r->status = 503;
        buf_done(&r->page);
        r->page = (struct buf){0};
    }
}

/* Not both tables at once, then: leases are whole, as after a restart. */
static enum justalock_status load_alone(struct server *s,
                                        struct justalock_error *err)
{
    uint64_t last_token = lock_last_token(s->table);
    struct lock_table *t = server_new_table(s, last_token);

    if (t == NULL)
        return error_nomem(err);
    lock_carry_over(t, s->table); /* its counts */
    lock_table_free(s->table);
    s->table = t;
    return server_load(s, last_token, err);
}

void server_reload(struct server *s)
{
    struct justalock_error err;
    enum justalock_status st = server_load(s, lock_last_token(s->table), &err);

    s->retry_ms = clock_raw_ms() + RETRY_MS;
    if (st == JUSTALOCK_NOMEM)
        st = load_alone(s, &err);
    s->is_failed = st != JUSTALOCK_OK;
    if (s->is_failed)
        log_error("cannot read the state again: %s", err.text);
}

bool server_may_write(const struct server *s, int64_t now_ms)
{
    return now_ms >= s->retry_ms;
}

static void commit_failed(struct server *s, const struct justalock_error *err)
{
    s->figures.commits_failed++;
    if (store_shared(s->store) != NULL) {
        store_step_down(s->store, err->text);
        server_lose_lead(s);
        return;
    }
    if (s->retry_ms == 0)
        log_error("%s: until it can be, what is held is kept, and nothing is "
                  "granted",
                  err->text);
    server_fail_pass(s);
    server_reload(s);
}

static void commit(struct server *s)
{
    struct justalock_error err;
    struct timespec a, b;
    uint64_t us;
    size_t len;
    bool is_whole;
    const struct lock_change *c = lock_changes(s->table, &len, &is_whole);
    enum justalock_status st = JUSTALOCK_OK;

    /* Of a shared store, an answer without a change takes a proof, too. */
    if (len == 0 && is_whole && !(s->is_leading && s->pass != NULL))
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    if (!is_whole)
        st = error_nomem(&err);
    else
        st = store_commit(s->store, c, len, lock_last_token(s->table), &err);
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    us = (uint64_t)((b.tv_sec - a.tv_sec) * 1000000 +
                    (b.tv_nsec - a.tv_nsec) / 1000);
    s->figures.commits++;
    s->figures.changes += len;
    s->figures.commit_us += us;
    s->commit_us = us;
    if (us > s->figures.commit_max_us)
        s->figures.commit_max_us = us;
    lock_changes_clear(s->table);
    if (st == JUSTALOCK_OK) {
        if (s->retry_ms != 0)
            log_info("the state can be written again");
        s->retry_ms = 0;
        return;
    }
    commit_failed(s, &err);
}

/* Returns whether there was any. */
static bool let_go(struct server *s, bool only_offers)
{
    struct request *r, *tmp;
    bool any = false;

    DL_FOREACH_SAFE2(s->pass, r, tmp, pass_next)
    {
        if (only_offers &&
            (r->status != 200 || r->answer.result != LOCK_OFFERED))
            continue;
        DL_DELETE2(s->pass, r, pass_prev, pass_next);
        DL_DELETE(s->suspended, r);
        r->state = REQUEST_ANSWERING;
        MHD_resume_connection(r->conn);
        any = true;
    }
    return any;
}

/*
 * A release has just offered its lock to the next: its confirmation is on its
 * way, and one transaction for both hands the lock over in half the time. So
 * the commit waits for it, a moment at most, and with it all answers that
 * rest on it.
 */
static bool is_worth_waiting(struct server *s, int64_t now_ms)
{
    size_t len;
    bool is_whole;

    (void)lock_changes(s->table, &len, &is_whole);
    if (len == 0 || !is_whole || s->is_stopping ||
        lock_counts(s->table).offers_open <= s->offers_before)
        return false;
    if (s->commit_ms == 0)
        s->commit_ms = now_ms + CONFIRM_MS;
    return now_ms < s->commit_ms;
}

/*
 * A commit to a shared store takes as long for one request as for hundred. Who
 * is answered asks again while the next commit is under way, so that two halves
 * of the clients would take turns, each commit for one: it waits for the other
 * half, a part of its own time at most.
 */
static bool is_worth_gathering(struct server *s, size_t n, int64_t now_ms)
{
    if (!s->is_leading || s->is_stopping)
        return false;
    if (s->answers_wanted == 0)
        s->answers_wanted = s->answers_before + n;
    if (n == 0 || n >= s->answers_wanted)
        return false;
    if (s->gather_ms == 0)
        s->gather_ms =
            now_ms + ((int64_t)s->commit_us / 1000 + GATHER / 2) / GATHER;
    return now_ms < s->gather_ms;
}

int64_t server_end_pass(struct server *s, int64_t now_ms, int64_t next_ms,
                        bool *ret_resumed)
{
    const struct request *r;
    size_t n;

    /* An offer promises nothing that a crash could break. */
    *ret_resumed = let_go(s, true);
    if (is_worth_waiting(s, now_ms))
        return s->commit_ms < next_ms ? s->commit_ms : next_ms;
    DL_COUNT2(s->pass, r, n, pass_next);
    if (is_worth_gathering(s, n, now_ms))
        return s->gather_ms < next_ms ? s->gather_ms : next_ms;
    commit(s);
    if (n > 0) {
        s->answers_before = n;
        s->answers_wanted = 0;
        s->gather_ms = 0;
    }
    s->commit_ms = 0;
    s->offers_before = lock_counts(s->table).offers_open;
    if (let_go(s, false))
        *ret_resumed = true;
    return next_ms;
}

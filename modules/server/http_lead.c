/* SPDX-License-Identifier: MIT */
/*
 * http_lead.c - where several servers share a store: whether this one answers,
 * and what it knows then.
 */
#include "clock.h"
#include "http_inner.h"
#include "log.h"

void server_lose_lead(struct server *s)
{
    struct lock_table *t = server_new_table(s, 0);

    s->is_leading = false;
    server_fail_pass(s);
    /* Without memory the old one stays: it is not asked. */
    if (t == NULL)
        return;
    lock_table_free(s->table);
    s->table = t;
}

static void take_lead(struct server *s)
{
    struct lock_table *before = s->table;
    struct justalock_error err;
    enum justalock_status st;

    /* Nothing of an earlier time counts: others may have led in between. */
    s->table = NULL;
    st = server_load(s, store_shared(s->store)->last_token, &err);
    if (st != JUSTALOCK_OK) {
        s->table = before;
        log_error("cannot answer: %s", err.text);
        store_step_down(s->store, "its state cannot be read");
        return;
    }
    lock_table_free(before);
    s->is_leading = true;
    log_info("this server answers now, %zu locks held",
             lock_counts(s->table).held);
}

void server_follow_store(struct server *s)
{
    const struct store_shared *shared = store_shared(s->store);

    s->tick_ms = INT64_MAX;
    if (shared == NULL)
        return;
    s->tick_ms = store_tick(s->store, clock_raw_ms());
    if (s->is_leading && !shared->is_active)
        server_lose_lead(s);
    else if (!s->is_leading && shared->is_active)
        take_lead(s);
}

/* SPDX-License-Identifier: MIT */
/*
 * guard_say.c - the sentences that users read: who holds a lock and since
 * when, why something was refused and what to do about it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guard.h"
#include "log.h"

/* "2026-11-23T07:46:09Z" to "2026-11-23 08:46:09" of this machine. */
static void local_since(const char *since, char *ret_text, size_t size)
{
    struct tm tm = {0};
    struct tm local;
    const char *end = strptime(since, "%Y-%m-%dT%H:%M:%SZ", &tm);
    time_t t = end && *end == '\0' ? timegm(&tm) : (time_t)-1;

    if (t == (time_t)-1 || !localtime_r(&t, &local) ||
        strftime(ret_text, size, "%Y-%m-%d %H:%M:%S", &local) == 0)
        (void)snprintf(ret_text, size, "%s", since);
}

void say_holder(const struct held *h, char *ret_text, size_t size)
{
    char since[64] = "";

    if (h->since[0] != '\0')
        local_since(h->since, since, sizeof(since));
    (void)snprintf(ret_text, size, "%s%s%s",
                   h->holder[0] != '\0' ? h->holder : "another",
                   since[0] != '\0' ? " since " : "", since);
}

static const struct held *asked(const struct work *w)
{
    for (size_t i = 0; i < w->f.helds_len; i++)
        if (w->helds[i].state == HELD_ASKING)
            return &w->helds[i];
    return NULL;
}

/* What is going on, to one who waits. */
static void waiting_text(const struct work *w, char *ret_text, size_t size)
{
    const struct held *h = asked(w);
    char who[200];

    if (!h) {
        (void)snprintf(ret_text, size, "asking Slurm what the job needs");
        return;
    }
    if (!clock_is_never(w->silent)) {
        (void)snprintf(ret_text, size,
                       "waiting for lock \"%.150s\": the service %.150s does "
                       "not answer (%.120s); trying on",
                       h->name, w->service->url, w->trouble);
        return;
    }
    say_holder(h, who, sizeof(who));
    if (h->holder[0] == '\0' && h->since[0] == '\0')
        (void)snprintf(ret_text, size, "waiting for lock \"%s\"", h->name);
    else
        (void)snprintf(ret_text, size, "waiting for lock \"%s\", held by %s",
                       h->name, who);
}

void say_waiting(struct guard *g, struct work *w)
{
    bool is_busy = w->is_busy_seen && clock_is_never(w->silent);
    char text[WIRE_TEXT_MAX + 1];
    struct conn *next;

    waiting_text(w, text, sizeof(text));
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        if (w->f.kind == WORK_SESSION)
            conn_note(g, c, is_busy ? WIRE_NOTE_BUSY "1" : WIRE_NOTE_BUSY "0");
        conn_note(g, c, text);
    }
}

void say_verdict(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text)
{
    while (w->conns) {
        struct conn *c = w->conns;

        conn_detach(c);
        conn_verdict(g, c, verdict, "%s", text);
    }
}

static void fill_ids(const struct work *w, char *ret_ids, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < w->f.helds_len; i++) {
        struct lock_id_text id = id_format(&w->helds[i].lock.id);

        if (!w->helds[i].is_public_id || size - at < sizeof(id.s) + 1)
            continue;
        at += (size_t)snprintf(ret_ids + at, size - at, "%s%s",
                               at > 0 ? "," : "", id.s);
    }
}

void say_fill_go(struct work *w, struct conn *c, struct wire_msg *ret_m)
{
    int64_t waited = clock_elapsed_ms(c->since, clock_now());

    memset(ret_m, 0, sizeof(*ret_m));
    ret_m->type = WIRE_VERDICT;
    ret_m->verdict = WIRE_GO;
    locks_names(w, ret_m->locks, sizeof(ret_m->locks));
    fill_ids(w, ret_m->ids, sizeof(ret_m->ids));
    /* With several locks the first one's: the greatest would be no one's. */
    ret_m->has_token = w->helds[0].has_token;
    ret_m->token = w->helds[0].token;
    if (w->f.kind == WORK_COMMAND && w->f.uid == 0 &&
        w->who.kind == IDENTITY_CGROUP)
        memcpy(ret_m->place, w->who.path, sizeof(w->who.path));
    if (c->is_noted && waited >= 1000)
        (void)snprintf(ret_m->text, sizeof(ret_m->text),
                       "got lock \"%.400s\" after %lld s", ret_m->locks,
                       (long long)(waited / 1000));
}

void say_slots(struct guard *g, const struct work *w, struct conn *c)
{
    static struct wire_msg m;
    bool has_pool = false;
    size_t at;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_NOTE;
    at = (size_t)snprintf(m.text, sizeof(m.text), WIRE_NOTE_SLOT);
    for (size_t i = 0; i < w->f.helds_len; i++) {
        const struct keeper_lock *l = &w->helds[i].lock;
        char slot[16] = "-";

        if (l->slots > 1)
            (void)snprintf(slot, sizeof(slot), "%u", l->slot);
        has_pool |= l->slots > 1;
        at += (size_t)snprintf(m.text + at, sizeof(m.text) - at, "%s%s",
                               i > 0 ? "," : "", slot);
    }
    if (has_pool)
        conn_send(g, c, &m);
}

void say_go(struct guard *g, struct work *w, struct conn *c)
{
    static struct wire_msg m; /* 6 kB */

    say_slots(g, w, c);
    say_fill_go(w, c, &m);
    conn_send(g, c, &m);
}

void say_unconfirmed(struct guard *g, struct work *w)
{
    /* run_agent.c knows it by these words. */
    say_lost(g, w,
             "the death of the work could not be confirmed by the end of the "
             "lease");
}

void say_lost(struct guard *g, struct work *w, const char *text)
{
    static struct wire_msg m;
    struct conn *next;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_LOST;
    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        if (w->f.kind == WORK_COMMAND)
            conn_send(g, c, &m);
    }
}

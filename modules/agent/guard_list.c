/* SPDX-License-Identifier: MIT */
/*
 * guard_list.c - what is held and waited for, item by item, as fast as the
 * asker reads.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "guard.h"
#include "log.h"

static enum wire_item_state item_state(const struct work *w,
                                       const struct held *h)
{
    if (w->loss[0] != '\0' || h->state == HELD_LOST || w->state == WORK_LAPSED)
        return WIRE_ITEM_LOST;
    if (w->state == WORK_LEAVING)
        return WIRE_ITEM_KEPT;
    if (w->state == WORK_ENDING || w->state == WORK_RELEASING)
        return WIRE_ITEM_ENDING;
    return h->state == HELD_OURS ? WIRE_ITEM_HELD : WIRE_ITEM_WAITING;
}

static void fill(struct work *w, const struct held *h, struct wire_msg *m)
{
    int pids = work_count(&w->who);

    memset(m, 0, sizeof(*m));
    m->type = WIRE_ITEM;
    m->item_state = (uint8_t)item_state(w, h);
    m->item_pids = pids > 0 ? (uint32_t)pids : 0;
    m->item_since_s = w->f.since_s;
    m->item_left_ms = -1;
    if (w->row && h->state == HELD_OURS) {
        struct row_plan plan;

        (void)row_look(w->row, &plan, NULL);
        m->item_left_ms = clock_left_ms(plan.deadline, clock_now());
    }
    (void)snprintf(m->locks, sizeof(m->locks), "%s", h->name);
    work_text(w, m->item_work, sizeof(m->item_work));
    if (h->state == HELD_ASKING && (h->holder[0] || h->since[0]))
        say_holder(h, m->item_holder, sizeof(m->item_holder));
    if (h->state != HELD_OURS)
        return;
    m->has_token = h->has_token;
    m->token = h->token;
    if (h->lock.slots > 1)
        (void)snprintf(m->item_holder, sizeof(m->item_holder), "%u",
                       h->lock.slot);
}

/* false: the asker does not read as fast, or is gone. */
static bool send_item(struct conn *c, const struct wire_msg *m)
{
    struct justalock_error err;
    struct buf b;
    ssize_t n = -1;

    buf_init(&b, WIRE_MAX);
    errno = ENOMEM;
    if (wire_pack(m, &b, &err) == JUSTALOCK_OK)
        n = send(c->source.fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    else
        log_error("an item of the list: %s", err.text);
    buf_done(&b);
    return n >= 0;
}

static bool is_shown(const struct work *w)
{
    return w->f.helds_len > 0 && w->state != WORK_KNOWN &&
           w->state != WORK_GONE;
}

static void wait_until(struct guard *g, struct conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = &c->source};

    if (epoll_ctl(g->epoll, EPOLL_CTL_MOD, c->source.fd, &e) < 0)
        conn_close(g, c);
}

void list_go_on(struct guard *g, struct conn *c)
{
    static struct wire_msg m;

    for (struct work *w = g->works; w; w = w->next) {
        uint64_t first = w->f.number << GUARD_HANDLE_BITS;

        if (!is_shown(w))
            continue;
        for (size_t i = 0; i < w->f.helds_len; i++) {
            if (first + i < c->list_next)
                continue;
            fill(w, &w->helds[i], &m);
            if (!send_item(c, &m)) {
                if (errno == EAGAIN || errno == EWOULDBLOCK)
                    wait_until(g, c, EPOLLOUT);
                else
                    conn_close(g, c);
                return;
            }
            c->list_next = first + i + 1;
        }
    }
    wait_until(g, c, EPOLLIN);
    conn_verdict(g, c, WIRE_GO, "%s", "");
}

void list_begin(struct guard *g, struct conn *c)
{
    c->list_next = 0;
    list_go_on(g, c);
}

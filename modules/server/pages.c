/* SPDX-License-Identifier: MIT */
/*
 * pages.c - what the server shows, see pages.h.
 */
#include "pages.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define ID_SHOWN 8 /* characters: the whole id lets anyone take the lock */

struct page_time pages_time(int64_t wall_s)
{
    struct page_time p = {""};
    time_t t = (time_t)wall_s;
    struct tm tm;

    if (wall_s != 0 && gmtime_r(&t, &tm) != NULL)
        (void)strftime(p.s, sizeof(p.s), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return p;
}

static const unsigned codes[PAGES_CODES] = {200, 400, 401, 403, 404, 405,
                                            409, 413, 429, 503, 500};

unsigned pages_code(unsigned http_status)
{
    unsigned i = 0;

    while (i < PAGES_CODES - 1 && codes[i] != http_status)
        i++;
    return i;
}

static void add_holder(struct buf *b, const struct lock_holder *h)
{
    buf_str(b, "\"holder\":");
    buf_json(b, h->label);
    buf_printf(b,
               ",\"since\":\"%s\",\"expires_ms\":%" PRId64
               ",\"shares\":%u,\"token\":%" PRIu64 ",\"broken\":%s",
               pages_time(h->since_s).s, h->expires_ms, h->shares, h->token,
               h->is_broken ? "true" : "false");
}

struct list {
    struct buf *b;
    const struct lock_table *t;
    int64_t now_ms;
    const struct lock_view *view; /* whose holders are listed */
    bool any;
};

static bool add_slot(void *arg, const struct lock_holder *h)
{
    struct list *l = arg;

    buf_printf(l->b, "%s{\"slot\":%u,", l->any ? ",\n " : "\n ", h->slot);
    l->any = true;
    add_holder(l->b, h);
    buf_str(l->b, "}");
    return !l->b->failed;
}

/* Of a pool all holders too, behind what there is of every lock. */
static void add_view(struct buf *b, const struct lock_table *t, int64_t now_ms,
                     const struct lock_view *v)
{
    struct lock_id_text id = id_format(&v->id);
    struct list l = {.b = b};

    id.s[ID_SHOWN] = '\0';
    buf_printf(b, "{\"lock\":\"%s...\",\"held\":%s", id.s,
               v->is_held ? "true" : "false");
    if (v->is_held) {
        buf_str(b, ",");
        add_holder(b, &v->first);
    }
    buf_printf(b, ",\"waiters\":%u", v->waiters);
    if (v->slots > 1 || v->holders > 1) {
        buf_printf(b, ",\"slots\":%u,\"holders\":[", v->slots);
        lock_holders(t, &v->id, now_ms, add_slot, &l);
        buf_str(b, "]");
    }
    buf_str(b, "}");
}

void pages_lock(struct buf *b, const struct lock_table *t,
                const struct lock_id *id, int64_t now_ms)
{
    struct lock_view v = {.id = *id};

    if (!lock_look(t, id, now_ms, &v))
        v = (struct lock_view){.id = *id};
    add_view(b, t, now_ms, &v);
    buf_str(b, "\n");
}

static bool add_to_list(void *arg, const struct lock_view *v)
{
    struct list *l = arg;

    buf_str(l->b, l->any ? ",\n" : "\n");
    l->any = true;
    add_view(l->b, l->t, l->now_ms, v);
    return !l->b->failed;
}

void pages_locks(struct buf *b, const struct lock_table *t, int64_t now_ms)
{
    struct list l = {.b = b, .t = t, .now_ms = now_ms};

    buf_str(b, "{\"locks\":[");
    lock_each(t, now_ms, add_to_list, &l);
    buf_str(b, "\n]}\n");
}

static bool find_oldest(void *arg, const struct lock_view *v)
{
    int64_t *oldest_s = arg;

    if (v->is_held && (*oldest_s == 0 || v->oldest_s < *oldest_s))
        *oldest_s = v->oldest_s;
    return true;
}

static void metric(struct buf *b, const char *name, const char *type,
                   const char *help, uint64_t value)
{
    buf_printf(b, "# HELP justalock_%s %s\n# TYPE justalock_%s %s\n", name,
               help, name, type);
    buf_printf(b, "justalock_%s %" PRIu64 "\n", name, value);
}

static void add_requests(struct buf *b, const struct page_figures *f)
{
    static const char *const methods[PAGES_METHODS] = {"POST", "DELETE", "GET",
                                                       "other"};

    buf_str(b, "# HELP justalock_requests_total Requests answered.\n"
               "# TYPE justalock_requests_total counter\n");
    for (size_t m = 0; m < PAGES_METHODS; m++)
        for (size_t c = 0; c < PAGES_CODES; c++)
            if (f->requests[m][c] != 0)
                buf_printf(b,
                           "justalock_requests_total{method=\"%s\",code=\"%u\"}"
                           " %" PRIu64 "\n",
                           methods[m], codes[c], f->requests[m][c]);
}

void pages_metrics(struct buf *b, const struct lock_table *t,
                   const struct page_figures *f, int64_t now_ms, int64_t wall_s)
{
    struct lock_counts c = lock_counts(t);
    int64_t oldest_s = 0;

    lock_each(t, now_ms, find_oldest, &oldest_s);
    add_requests(b, f);
    metric(b, "locks_held", "gauge",
           "Locks that are held, each slot of one counted.", c.held);
    metric(b, "waiters", "gauge", "Places in queues.", c.waiters);
    metric(b, "released_remembered", "gauge",
           "Released shares that are remembered.", c.tombs);
    metric(b, "oldest_hold_seconds", "gauge", "Age of the oldest holding.",
           oldest_s == 0 || wall_s < oldest_s ? 0
                                              : (uint64_t)(wall_s - oldest_s));
    metric(b, "grants_total", "counter", "New holdings.", c.grants);
    metric(b, "refreshes_total", "counter", "Refreshes and added shares.",
           c.refreshes);
    metric(b, "denials_total", "counter", "Answers that another holds it.",
           c.conflicts);
    metric(b, "releases_total", "counter", "Shares given back.", c.releases);
    metric(b, "expired_total", "counter",
           "Shares whose lease ended without a release.", c.expired);
    metric(b, "offers_total", "counter", "Offers to waiters.", c.offers);
    metric(b, "offers_lapsed_total", "counter", "Offers nobody confirmed.",
           c.lapsed_offers);
    buf_printf(b,
               "# HELP justalock_commit_seconds Time of a transaction.\n"
               "# TYPE justalock_commit_seconds summary\n"
               "justalock_commit_seconds_sum %.6f\n"
               "justalock_commit_seconds_count %" PRIu64 "\n"
               "# HELP justalock_commit_max_seconds The longest since start.\n"
               "# TYPE justalock_commit_max_seconds gauge\n"
               "justalock_commit_max_seconds %.6f\n",
               (double)f->commit_us / 1e6, f->commits,
               (double)f->commit_max_us / 1e6);
    metric(b, "commits_failed_total", "counter",
           "Transactions that could not be written.", f->commits_failed);
    metric(b, "changes_total", "counter", "Changes in transactions.",
           f->changes);
    buf_str(b, "# HELP justalock_refused_total Refused at a limit.\n"
               "# TYPE justalock_refused_total counter\n");
    for (int i = 0; i < LIMITS; i++)
        buf_printf(b,
                   "justalock_refused_total{limit=\"%s\"} %" PRIu64 "\n"
                   "justalock_refused_total{limit=\"%s-each\"} %" PRIu64 "\n",
                   limits_name(i), f->refused[i][0], limits_name(i),
                   f->refused[i][1]);
    metric(b, "quiet", "gauge",
           "1: no grants until every lease from before damage is over.",
           f->is_quiet);
}

/* Text in HTML. */
static void add_text(struct buf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '<':
            buf_str(b, "&lt;");
            break;
        case '>':
            buf_str(b, "&gt;");
            break;
        case '&':
            buf_str(b, "&amp;");
            break;
        case '"':
            buf_str(b, "&quot;");
            break;
        default:
            buf_add(b, s, 1);
        }
    }
}

static bool add_html_holder(void *arg, const struct lock_holder *h)
{
    struct list *l = arg;
    struct lock_id_text id = id_format(&l->view->id);

    id.s[ID_SHOWN] = '\0';
    buf_printf(l->b, "<tr><td><code>%s...</code>", id.s);
    if (l->view->slots > 1)
        buf_printf(l->b, " slot %u of %u", h->slot, l->view->slots);
    buf_str(l->b, "<td>");
    add_text(l->b, h->label);
    buf_printf(l->b, "%s<td>%s<td>%" PRId64 " s<td>%u<td>%u<td>%" PRIu64 "\n",
               h->is_broken ? " (broken)" : "", pages_time(h->since_s).s,
               h->expires_ms / 1000, h->shares, l->view->waiters, h->token);
    return !l->b->failed;
}

static bool add_html_row(void *arg, const struct lock_view *v)
{
    struct list *l = arg;
    struct lock_id_text id = id_format(&v->id);

    l->view = v;
    if (v->is_held) {
        lock_holders(l->t, &v->id, l->now_ms, add_html_holder, l);
        return !l->b->failed;
    }
    id.s[ID_SHOWN] = '\0';
    buf_printf(l->b,
               "<tr><td><code>%s...</code><td>(free)<td><td><td><td>%u<td>\n",
               id.s, v->waiters);
    return !l->b->failed;
}

void pages_home(struct buf *b, const struct lock_table *t,
                const struct page_figures *f, int64_t now_ms)
{
    struct lock_counts c = lock_counts(t);
    struct list l = {.b = b, .t = t, .now_ms = now_ms};

    buf_str(b,
            "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
            "<title>justalock</title>\n<h1>justalock-server " JUSTALOCK_VERSION
            "</h1>\n");
    if (f->is_quiet)
        buf_str(b, "<p><strong>Its state was damaged: no grants until every "
                   "lease it may have given is over.</strong>\n");
    buf_printf(b, "<p>%zu held, %zu waiting. Up since %s. ", c.held, c.waiters,
               pages_time(f->start_wall_s).s);
    buf_str(b, "<a href=\"/v1/locks\">JSON</a> <a href=\"/metrics\">metrics"
               "</a>\n<table border=\"1\"><tr><th>lock<th>holder<th>since"
               "<th>expires in<th>shares<th>waiting<th>token\n");
    lock_each(t, now_ms, add_html_row, &l);
    buf_str(b, "</table></html>\n");
}

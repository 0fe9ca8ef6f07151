/* SPDX-License-Identifier: MIT */
/*
 * watch_rows.c - ends the work whose deadline comes near: TERM in time, KILL
 * so that all is dead by the deadline, again and again until a look shows
 * nothing alive. Knows only the table and what /proc and cgroups say.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "watch.h"
#include "work.h"

#define IDLE_MS   500 /* between looks when nothing is near */
#define STUCK_MS  250 /* something does not die */
#define ENDING_MS 30  /* something is being ended */

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void tell_guard(const struct watch *w)
{
    uint64_t one = 1;

    /* Full only if the guard is behind by 2^64 of them. */
    if (write(w->news_fd, &one, sizeof(one)) < 0)
        log_debug("news for the guard: %s", strerror(errno));
}

static void change(const struct watch *w, struct row *r, uint64_t word,
                   enum row_state state, const char *what)
{
    if (!row_advance(r, word, state))
        return; /* seen again in the next pass */
    log_info("%s: %s", r->label, what);
    tell_guard(w);
}

/* TERM is due. The change comes first: from it on nobody joins or extends. */
static void begin_end(const struct watch *w, struct row *r, uint64_t word,
                      const struct row_plan *plan, int64_t left)
{
    if (plan->policy != ROW_KILL) {
        if (!row_advance(r, word, ROW_LAPSED))
            return;
        if (plan->policy == ROW_SIGNAL)
            (void)work_signal(&r->who, plan->signo);
        log_warn("%s: its lock is lost; it is %s, as configured", r->label,
                 plan->policy == ROW_SIGNAL ? "told by a signal"
                                            : "left running");
        tell_guard(w);
        return;
    }
    if (!row_advance(r, word, ROW_ENDING))
        return;
    log_warn("%s: being ended, %" PRId64 " ms before its deadline", r->label,
             left);
    if (left > plan->kill_lead_ms)
        (void)work_signal(&r->who, SIGTERM);
    tell_guard(w);
}

static void go_on_ending(const struct watch *w, struct row *r, uint64_t word,
                         enum row_state state, const struct row_plan *plan,
                         int64_t left)
{
    if (left <= plan->kill_lead_ms)
        (void)work_signal(&r->who, SIGKILL);
    /* A fork between two passes is seen by the second look at the latest. */
    if (work_count(&r->who) == 0 && work_count(&r->who) == 0) {
        change(w, r, word, ROW_DEAD, "nothing of it is alive");
        return;
    }
    if (left <= 0 && state == ROW_ENDING)
        change(w, r, word, ROW_UNCONFIRMED,
               "its deadline has come and its death is not confirmed");
}

int64_t watch_rows(struct watch *w, struct clock_time *ret_next)
{
    uint32_t used = atomic_load(&w->table.header->used);
    int64_t again = IDLE_MS;

    *ret_next = clock_never();
    for (uint32_t i = 0; i < used && i < TABLE_ROWS; i++) {
        struct row *r = &w->table.rows[i];
        struct row_plan plan;
        uint64_t word;
        enum row_state state = row_state(r);
        int64_t left;

        if (state != ROW_ARMED && state != ROW_ENDING &&
            state != ROW_UNCONFIRMED)
            continue;
        state = row_look(r, &plan, &word);
        left = clock_left_ms(plan.deadline, clock_now());
        if (state == ROW_ARMED && left <= plan.term_lead_ms) {
            begin_end(w, r, word, &plan, left);
            state = row_look(r, &plan, &word);
        }
        if (state == ROW_ENDING || state == ROW_UNCONFIRMED) {
            go_on_ending(w, r, word, state, &plan, left);
            again = min_ms(again, state == ROW_ENDING ? ENDING_MS : STUCK_MS);
        } else if (state == ROW_ARMED) {
            struct clock_time term =
                clock_add(plan.deadline, -plan.term_lead_ms);
            int64_t to_term = left - plan.term_lead_ms;

            *ret_next = clock_min(*ret_next, term);
            again = min_ms(again, to_term > 0 ? to_term : 0);
        }
    }
    return again;
}

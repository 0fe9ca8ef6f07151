/* SPDX-License-Identifier: MIT */
/*
 * lease.h - the arithmetic of a lease, pure: state and clock in, decision out.
 * No clock is read here, nothing is sent, nothing allocated.
 *
 * The rules are those of a lease client (see lease.c): t0 is read before an
 * attempt begins; the lock is ours until D = t0 + L*(1 - 0.001) - margin;
 * refresh at L/3 with jitter; a failed refresh is retried fast and bounded;
 * an answer after D, or "new" where "renewed" was due, is a loss.
 */
#ifndef COMMON_LEASE_H
#define COMMON_LEASE_H

#include <stdbool.h>

#include "clock.h"
#include "error.h"

/* The times of one lease, milliseconds. 0 in a field: the default for life_s.
 */
struct lease_times {
    unsigned life_s;    /* 1..65535 */
    int64_t refresh_ms; /* from t0 to the next attempt; L/3 */
    int64_t margin_ms;  /* see lease_times_fill; base services need more */
    int64_t grace_ms;   /* from TERM to KILL; min(5 s, L/6) */
    int64_t kill_ms;    /* from KILL to seen dead; min(1 s, L/10) */
    int64_t attempt_ms; /* one attempt, DNS included; min(2 s, L/6) */
};

/*
 * Put defaults into the zero fields and check that all of them fit: an
 * attempt made at the refresh time (with its jitter) must end, with one retry,
 * before TERM is due. ARG with the numbers otherwise, `times` untouched. Where
 * the defaults of refresh and attempt do not fit (below 14 s), they shrink.
 * margin: 250 ms for services that name their features (millisecond expiry);
 * else min(1250, max(250, L/4)) ms.
 */
enum justalock_status lease_times_fill(struct lease_times *times,
                                       bool has_features,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

/* D for a successful attempt that began at t0. */
struct clock_time lease_deadline(const struct lease_times *times,
                                 struct clock_time t0);
/* When TERM (D - kill - grace) and KILL (D - kill) are due. */
struct clock_time lease_term_at(const struct lease_times *times,
                                struct clock_time deadline);
struct clock_time lease_kill_at(const struct lease_times *times,
                                struct clock_time deadline);

enum lease_state {
    LEASE_IDLE,   /* not asked for */
    LEASE_ASKING, /* trying to get it; never held yet */
    LEASE_HELD,   /* ours until `deadline` */
    LEASE_LOST,   /* was ours; final */
};

struct lease {
    enum lease_state state;
    struct lease_times times;
    struct clock_time deadline; /* HELD: D */
    struct clock_time next;     /* when the next attempt is due */
    struct clock_time attempt;  /* t0 of the attempt under way */
    bool in_flight;
    unsigned failures; /* attempts that failed since the last success */
    unsigned polls;    /* conflicts in a row while asking */
    bool ambiguous;    /* an attempt may have been applied unheard */
    const char *loss;  /* LOST: why; static */
};

/* What one answer said, reduced to what the lease needs. */
enum lease_answer {
    LEASE_ANSWER_HELD,     /* 200; base service: new or renewed is unsaid */
    LEASE_ANSWER_NEW,      /* 200 "new" */
    LEASE_ANSWER_RENEWED,  /* 200 "renewed" */
    LEASE_ANSWER_CONFLICT, /* 409 */
    LEASE_ANSWER_RETRY,    /* no usable answer: network, 5xx, 429, rubbish */
    LEASE_ANSWER_REJECT    /* 400 401 403 404: known wrong, may be mended */
};

enum lease_verdict {
    LEASE_VERDICT_WAIT,     /* nothing new: go by lease.next */
    LEASE_VERDICT_GRANTED,  /* now held; deadline set */
    LEASE_VERDICT_EXTENDED, /* still held; deadline moved */
    LEASE_VERDICT_BUSY,     /* someone else holds it; not held before */
    LEASE_VERDICT_LOST      /* was held, is lost; why: lease_loss */
};

void lease_init(struct lease *l, const struct lease_times *filled);
/* Resume a lease held since an attempt at t0 (restart of a keeper). */
void lease_adopt(struct lease *l, const struct lease_times *filled,
                 struct clock_time t0, struct clock_time now);

/*
 * An attempt begins: t0 = now, read before DNS and connect. Call lease_tick
 * with the same now before, and begin only if `next` is still due: from TERM
 * on no attempt begins (`next` is the deadline then), and one that did all the
 * same proves no continuity.
 */
void lease_attempt(struct lease *l, struct clock_time now);

/*
 * The attempt's answer arrived at `now`. retry_after_ms: from Retry-After, or
 * -1. jitter: a random number 0..65535, from outside so that this is pure.
 *
 * A 200 that comes so late that TERM would be due already is no grant: the
 * lease stays ASKING, `ambiguous`, and the next attempt decides.
 */
enum lease_verdict lease_answered(struct lease *l, enum lease_answer answer,
                                  struct clock_time now, int64_t retry_after_ms,
                                  uint16_t jitter);

/* The attempt that just failed is one of several that are made one after the
 * other, each at another server: the next one begins at once, before TERM. */
void lease_elsewhere(struct lease *l, struct clock_time now);

/*
 * Call whenever time may have passed: LOST once D is reached, else WAIT. LOST
 * is final: from then on tick and answered say nothing else.
 */
enum lease_verdict lease_tick(struct lease *l, struct clock_time now);

/* The most time the attempt that starts now may take, DNS included, ms;
 * 1 at least. */
int64_t lease_attempt_limit_ms(const struct lease *l, struct clock_time now);

/* One sentence fragment saying why the last verdict was LOST; static text. */
const char *lease_loss(const struct lease *l);

#endif

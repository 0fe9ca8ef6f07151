/* SPDX-License-Identifier: MIT */
/*
 * lease.c - the arithmetic of a lease, pure: reads no clock, sends nothing,
 * allocates nothing.
 *
 * A lease of L on a time line that starts at t0, read before the attempt:
 *
 *   t0 ... refresh L/3 +-10 % ... TERM ... KILL ... D ... t0+L
 *                                   | grace | kill | margin + L/1000 |
 *
 * L/1000 covers two clocks that are each 500 ppm off, the margin what a
 * service rounds and the network adds. The service counts its own L from a
 * later moment than t0, so the lock is ours until D whatever it does.
 *
 * Continuity is proven by an attempt that began before TERM, was answered
 * before D and was not granted anew. Everything else is a loss: the work is
 * ended, never "refreshed" into a holding that may have been another's in
 * between. From TERM on no attempt begins; `next` is D then.
 */
#include "lease.h"

#include <inttypes.h>
#include <stddef.h>

#define MS_PER_S        1000
#define MARGIN_MIN_MS   250  /* millisecond expiry: scheduling, rounding */
#define MARGIN_MAX_MS   1250 /* expiry in whole seconds: one more second */
#define GRACE_MAX_MS    5000
#define KILL_MAX_MS     1000
#define ATTEMPT_MAX_MS  2000
#define ATTEMPT_MIN_MS  50 /* what is left by shrinking must be of use */
#define RETRY_FIRST_MS  100
#define RETRY_ASKING_MS 2000 /* the most while nothing is held */
#define POLL_FIRST_MS   250  /* after a 409 */
#define POLL_MAX_MS     2000
#define ASKING_DEFER_MS 60000 /* the most that Retry-After may defer */
#define JITTER_MAX      65535

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_ms(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool is_reached(struct clock_time t, struct clock_time now)
{
    return clock_left_ms(t, now) <= 0;
}

static int64_t life_ms(const struct lease_times *times)
{
    return (int64_t)times->life_s * MS_PER_S;
}

/* L * 0.001 in milliseconds is L in seconds. */
static int64_t valid_ms(const struct lease_times *times)
{
    return life_ms(times) - times->life_s - times->margin_ms;
}

static int64_t term_ms(const struct lease_times *times)
{
    return valid_ms(times) - times->kill_ms - times->grace_ms;
}

/* The pause before the first retry. */
static int64_t first_pause_ms(const struct lease_times *times)
{
    return min_ms(RETRY_FIRST_MS, life_ms(times) / 12);
}

/* The refresh at its latest, two attempts that time out, and the pause. */
static int64_t needed_ms(const struct lease_times *times)
{
    return times->refresh_ms + (times->refresh_ms + 9) / 10 +
           2 * times->attempt_ms + first_pause_ms(times);
}

static bool is_fit(const struct lease_times *times)
{
    return times->refresh_ms > 0 && times->attempt_ms > 0 &&
           needed_ms(times) <= term_ms(times);
}

/*
 * Lifetimes of a few seconds leave little before TERM: there L/3 and L/6 do
 * not fit, and the fields that nobody set shrink. False, and `times`
 * untouched, where that does not help.
 */
static bool shrink(struct lease_times *times, bool refresh_free,
                   bool attempt_free)
{
    struct lease_times t = *times;
    int64_t room = term_ms(&t) - first_pause_ms(&t);

    if (refresh_free && attempt_free)
        t.refresh_ms = min_ms(t.refresh_ms, term_ms(&t) * 2 / 5);
    else if (refresh_free)
        t.refresh_ms = (room - 2 * t.attempt_ms) * 10 / 11 - 1;
    room -= t.refresh_ms + (t.refresh_ms + 9) / 10;
    if (attempt_free)
        t.attempt_ms = min_ms(t.attempt_ms, room / 2);
    if (!is_fit(&t) || (attempt_free && t.attempt_ms < ATTEMPT_MIN_MS))
        return false;
    *times = t;
    return true;
}

static enum justalock_status check_range(const struct lease_times *times,
                                         struct justalock_error *err)
{
    const struct {
        const char *name;
        int64_t ms;
    } fields[] = {
        {"refresh", times->refresh_ms}, {"margin", times->margin_ms},
        {"grace", times->grace_ms},     {"kill", times->kill_ms},
        {"attempt", times->attempt_ms},
    };

    if (times->life_s < JUSTALOCK_LIFE_MIN_S ||
        times->life_s > JUSTALOCK_LIFE_MAX_S)
        return error_set(
            err, JUSTALOCK_ARG, "lifetime: %u is not within %d and %d seconds",
            times->life_s, JUSTALOCK_LIFE_MIN_S, JUSTALOCK_LIFE_MAX_S);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].ms < 0 || fields[i].ms > life_ms(times))
            return error_set(err, JUSTALOCK_ARG,
                             "%s: %" PRId64 " ms is not within 0 and the "
                             "lifetime, %u s",
                             fields[i].name, fields[i].ms, times->life_s);
    return JUSTALOCK_OK;
}

enum justalock_status lease_times_fill(struct lease_times *times,
                                       bool has_features,
                                       struct justalock_error *err)
{
    struct lease_times t = *times;
    enum justalock_status st = check_range(&t, err);
    int64_t life;

    if (st != JUSTALOCK_OK)
        return st;
    life = life_ms(&t);
    if (t.margin_ms == 0)
        t.margin_ms = has_features ? MARGIN_MIN_MS
                                   : min_ms(MARGIN_MAX_MS,
                                            max_ms(MARGIN_MIN_MS, life / 4));
    if (t.grace_ms == 0)
        t.grace_ms = min_ms(GRACE_MAX_MS, life / 6);
    if (t.kill_ms == 0)
        t.kill_ms = min_ms(KILL_MAX_MS, life / 10);
    if (t.refresh_ms == 0)
        t.refresh_ms = life / 3;
    if (t.attempt_ms == 0)
        t.attempt_ms = min_ms(ATTEMPT_MAX_MS, life / 6);
    if (!is_fit(&t) &&
        !shrink(&t, times->refresh_ms == 0, times->attempt_ms == 0))
        return error_set(
            err, JUSTALOCK_ARG,
            "the times do not fit a lifetime of %u s: refresh %" PRId64
            " ms and two attempts of %" PRId64 " ms end at %" PRId64
            " ms, TERM is due at %" PRId64 " ms (margin %" PRId64
            ", kill %" PRId64 ", grace %" PRId64 ")",
            t.life_s, t.refresh_ms, t.attempt_ms, needed_ms(&t), term_ms(&t),
            t.margin_ms, t.kill_ms, t.grace_ms);
    *times = t;
    return JUSTALOCK_OK;
}

struct clock_time lease_deadline(const struct lease_times *times,
                                 struct clock_time t0)
{
    return clock_add(t0, valid_ms(times));
}

struct clock_time lease_term_at(const struct lease_times *times,
                                struct clock_time deadline)
{
    return clock_add(deadline, -times->kill_ms - times->grace_ms);
}

struct clock_time lease_kill_at(const struct lease_times *times,
                                struct clock_time deadline)
{
    return clock_add(deadline, -times->kill_ms);
}

void lease_init(struct lease *l, const struct lease_times *filled)
{
    *l = (struct lease){.state = LEASE_IDLE, .times = *filled};
}

static enum lease_verdict lose(struct lease *l, const char *why)
{
    l->state = LEASE_LOST;
    l->in_flight = false;
    l->next = clock_never();
    l->loss = why;
    return LEASE_VERDICT_LOST;
}

/* The next attempt, unless it would not begin before TERM. */
static void schedule(struct lease *l, struct clock_time next,
                     struct clock_time now)
{
    struct clock_time term = lease_term_at(&l->times, l->deadline);

    l->next = next;
    if (l->state == LEASE_HELD &&
        (is_reached(term, now) || is_reached(term, next)))
        l->next = l->deadline;
}

void lease_adopt(struct lease *l, const struct lease_times *filled,
                 struct clock_time t0, struct clock_time now)
{
    lease_init(l, filled);
    /* No attempt can have begun in the future: never count from there. */
    l->attempt = clock_min(t0, now);
    l->deadline = lease_deadline(filled, l->attempt);
    l->state = LEASE_HELD;
    l->ambiguous = true; /* what the last keeper had under way is not known */
    schedule(l, now, now);
    (void)lease_tick(l, now);
}

void lease_attempt(struct lease *l, struct clock_time now)
{
    if (l->state == LEASE_IDLE)
        l->state = LEASE_ASKING;
    l->attempt = now;
    l->in_flight = true;
}

/* first * 2^n, at most `most`. */
static int64_t backoff_ms(int64_t first, unsigned n, int64_t most)
{
    int64_t ms = first;

    while (n-- > 0 && ms < most)
        ms *= 2;
    return min_ms(ms, most);
}

/* From low to high, both included. */
static int64_t between_ms(int64_t low, int64_t high, uint16_t jitter)
{
    return low + (high - low) * jitter / JITTER_MAX;
}

static void schedule_refresh(struct lease *l, struct clock_time now,
                             uint16_t jitter)
{
    int64_t tenth = l->times.refresh_ms / 10;
    int64_t ms = between_ms(l->times.refresh_ms - tenth,
                            l->times.refresh_ms + tenth, jitter);

    schedule(l, clock_add(l->attempt, ms), now);
}

/*
 * 0.1 s * 2^k, at most L/12 while held; up to a quarter less, so that locks
 * that failed together do not all return together.
 */
static int64_t retry_ms(const struct lease *l, uint16_t jitter)
{
    int64_t most = life_ms(&l->times) / 12;
    int64_t ms;

    if (l->state == LEASE_ASKING)
        most = RETRY_ASKING_MS;
    ms =
        backoff_ms(RETRY_FIRST_MS, l->failures > 0 ? l->failures - 1 : 0, most);
    return between_ms(ms - ms / 4, ms, jitter);
}

/* May the service put the next attempt off for so long? */
static bool is_deferrable(const struct lease *l, struct clock_time now,
                          int64_t ms)
{
    struct clock_time term = lease_term_at(&l->times, l->deadline);

    if (ms < 0)
        return false;
    if (l->state == LEASE_ASKING)
        return true;
    return ms < clock_left_ms(term, now) - l->times.attempt_ms;
}

static enum lease_verdict failed(struct lease *l, struct clock_time now,
                                 int64_t retry_after_ms, uint16_t jitter)
{
    int64_t ms;

    if (l->failures < UINT32_MAX)
        l->failures++;
    ms = retry_ms(l, jitter);
    if (is_deferrable(l, now, retry_after_ms))
        ms = max_ms(ms, l->state == LEASE_ASKING
                            ? min_ms(retry_after_ms, ASKING_DEFER_MS)
                            : retry_after_ms);
    schedule(l, clock_add(now, ms), now);
    return LEASE_VERDICT_WAIT;
}

static void prolong(struct lease *l, struct clock_time now, uint16_t jitter)
{
    l->state = LEASE_HELD;
    l->deadline = lease_deadline(&l->times, l->attempt);
    l->failures = 0;
    l->polls = 0;
    l->ambiguous = false;
    schedule_refresh(l, now, jitter);
}

/*
 * Never held yet: any 200 is a grant, "renewed" too (an attempt before was
 * applied unheard, another share of ours, or a client id that serves again).
 */
static enum lease_verdict answered_asking(struct lease *l,
                                          enum lease_answer answer,
                                          struct clock_time now,
                                          int64_t retry_after_ms,
                                          uint16_t jitter)
{
    struct clock_time term;
    int64_t ms;

    switch (answer) {
    case LEASE_ANSWER_HELD:
    case LEASE_ANSWER_NEW:
    case LEASE_ANSWER_RENEWED:
        term = lease_term_at(&l->times, lease_deadline(&l->times, l->attempt));
        if (is_reached(term, now)) {
            /* Ours, but for no work: ask again, and count from then. */
            l->ambiguous = true;
            return failed(l, now, -1, jitter);
        }
        prolong(l, now, jitter);
        return LEASE_VERDICT_GRANTED;
    case LEASE_ANSWER_CONFLICT:
        /* `ambiguous` stays: what was sent before may still arrive. */
        ms = backoff_ms(POLL_FIRST_MS, l->polls, POLL_MAX_MS);
        if (l->polls < UINT32_MAX)
            l->polls++;
        l->failures = 0;
        l->next = clock_add(now, between_ms(ms - ms / 2, ms + ms / 2, jitter));
        return LEASE_VERDICT_BUSY;
    case LEASE_ANSWER_RETRY:
        l->ambiguous = true;
        return failed(l, now, retry_after_ms, jitter);
    case LEASE_ANSWER_REJECT:
        break;
    }
    return failed(l, now, retry_after_ms, jitter);
}

static enum lease_verdict answered_held(struct lease *l,
                                        enum lease_answer answer,
                                        struct clock_time now,
                                        int64_t retry_after_ms, uint16_t jitter)
{
    struct clock_time term = lease_term_at(&l->times, l->deadline);

    if (is_reached(l->deadline, now))
        return lose(l, "no answer came before the lease ended");
    switch (answer) {
    case LEASE_ANSWER_CONFLICT:
        return lose(l, "the service says that another holds it, or that it "
                       "was broken");
    case LEASE_ANSWER_NEW:
        return lose(l, "it had lapsed at the service and was granted anew");
    case LEASE_ANSWER_HELD:
    case LEASE_ANSWER_RENEWED:
        if (is_reached(term, l->attempt))
            return lose(l, "it was not refreshed before the work had to end");
        prolong(l, now, jitter);
        return LEASE_VERDICT_EXTENDED;
    case LEASE_ANSWER_RETRY:
        l->ambiguous = true;
        return failed(l, now, retry_after_ms, jitter);
    case LEASE_ANSWER_REJECT:
        break;
    }
    return failed(l, now, retry_after_ms, jitter);
}

enum lease_verdict lease_answered(struct lease *l, enum lease_answer answer,
                                  struct clock_time now, int64_t retry_after_ms,
                                  uint16_t jitter)
{
    bool was_in_flight = l->in_flight;

    l->in_flight = false;
    if (l->state == LEASE_LOST)
        return LEASE_VERDICT_LOST;
    if (!was_in_flight) /* an answer to nothing proves nothing */
        return lease_tick(l, now);
    if (l->state == LEASE_ASKING)
        return answered_asking(l, answer, now, retry_after_ms, jitter);
    return answered_held(l, answer, now, retry_after_ms, jitter);
}

void lease_elsewhere(struct lease *l, struct clock_time now)
{
    if (l->state == LEASE_LOST)
        return;
    if (l->failures > 0)
        l->failures--; /* the last of them counts for all */
    schedule(l, now, now);
}

enum lease_verdict lease_tick(struct lease *l, struct clock_time now)
{
    if (l->state == LEASE_LOST)
        return LEASE_VERDICT_LOST;
    if (l->state != LEASE_HELD)
        return LEASE_VERDICT_WAIT;
    if (is_reached(l->deadline, now))
        return lose(l, "it could not be refreshed before the lease ended");
    /* Late by a pause or a suspend: what was due is due no more. */
    schedule(l, l->next, now);
    return LEASE_VERDICT_WAIT;
}

int64_t lease_attempt_limit_ms(const struct lease *l, struct clock_time now)
{
    int64_t ms = l->times.attempt_ms;

    if (l->state == LEASE_HELD)
        ms = min_ms(ms, clock_left_ms(l->deadline, now));
    return max_ms(ms, 1); /* 0 would mean no limit to some */
}

const char *lease_loss(const struct lease *l)
{
    return l->loss == NULL ? "it is not lost" : l->loss;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_lease_model.c - lease.c against a model: a few clients, one lock at one
 * service, millisecond by millisecond, with requests and answers that are
 * delayed, lost and doubled, clocks that run wrong, suspends and pauses.
 *
 * What must hold at every millisecond: who believes in the lock by its own
 * clocks is the one whom the service counts as holder. Runs are the same for
 * the same seed; a failure names it.
 */
#include <stdlib.h>

#include "lease.h"
#include "test.h"

#define CLIENTS 3
#define PACKETS 64
#define RUNS    120
#define RUN_MS  120000

struct client {
    struct lease lease;
    unsigned id; /* a fresh one for each acquisition, from 1 */
    int64_t boot_us, raw_us;
    int boot_ppm, raw_ppm;   /* how wrong the clocks run */
    int64_t suspended_until; /* true time, ms */
    int64_t paused_until;    /* SIGSTOP: the clocks go on */
    struct clock_time give_up;
    int64_t release_at; /* true time, ms; when held */
    unsigned attempt;   /* number of the attempt under way */
};

struct packet {
    bool used;
    bool is_answer;
    int64_t arrives; /* true time, ms */
    size_t client;
    unsigned id;
    unsigned attempt;
    enum lease_answer answer;
};

struct world {
    uint64_t random;
    int64_t t;         /* true time, ms */
    int64_t server_us; /* the service's clock, 500 ppm fast */
    unsigned holder;   /* client id, 0: free */
    int64_t expires_us;
    bool features;
    bool is_down;
    struct lease_times times;
    struct client clients[CLIENTS];
    struct packet packets[PACKETS];
    unsigned ids;
    unsigned granted, extended, lost, busy;
};

/* splitmix64 */
static uint64_t draw(struct world *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int64_t draw_in(struct world *w, int64_t low, int64_t high)
{
    return low + (int64_t)(draw(w) % (uint64_t)(high - low + 1));
}

static bool chance(struct world *w, unsigned of_1000)
{
    return draw(w) % 1000 < of_1000;
}

static struct clock_time now_of(const struct client *c)
{
    return (struct clock_time){.boot_ms = c->boot_us / 1000,
                               .raw_ms = c->raw_us / 1000};
}

/* Mostly quick, sometimes slower than the lease is long. */
static int64_t delay(struct world *w)
{
    if (chance(w, 900))
        return draw_in(w, 0, 20);
    return draw_in(w, 0,
                   (int64_t)w->times.life_s * (chance(w, 200) ? 2000 : 300));
}

static void put(struct world *w, struct packet p)
{
    if (chance(w, 50)) /* lost */
        return;
    for (size_t i = 0; i < PACKETS; i++)
        if (!w->packets[i].used) {
            w->packets[i] = p;
            w->packets[i].used = true;
            w->packets[i].arrives = w->t + delay(w);
            return;
        }
}

static void renew_client(struct world *w, struct client *c)
{
    lease_init(&c->lease, &w->times);
    c->id = ++w->ids;
    c->release_at = INT64_MAX;
}

static void begin_attempt(struct world *w, size_t i)
{
    struct client *c = &w->clients[i];
    struct clock_time now = now_of(c);
    struct packet p = {.client = i, .id = c->id, .attempt = ++c->attempt};

    lease_attempt(&c->lease, now);
    c->give_up = clock_add(now, lease_attempt_limit_ms(&c->lease, now));
    put(w, p);
    if (chance(w, 100)) /* a library or proxy sends it again */
        put(w, p);
}

static void heed(struct world *w, struct client *c, enum lease_verdict v)
{
    if (v == LEASE_VERDICT_GRANTED) {
        w->granted++;
        c->release_at = w->t + draw_in(w, 0, 4000 * w->times.life_s);
    }
    w->extended += v == LEASE_VERDICT_EXTENDED;
    w->busy += v == LEASE_VERDICT_BUSY;
    if (v != LEASE_VERDICT_LOST)
        return;
    w->lost++;
    renew_client(w, c);
}

static void answer_client(struct world *w, size_t i, enum lease_answer a)
{
    struct client *c = &w->clients[i];

    heed(w, c,
         lease_answered(&c->lease, a, now_of(c),
                        chance(w, 100) ? draw_in(w, 0, 20000) : -1,
                        (uint16_t)draw(w)));
}

/* The service: base ones expire on whole seconds and do not tell new from
 * renewed. */
static enum lease_answer serve(struct world *w, unsigned id)
{
    bool is_free = w->holder == 0 || w->server_us >= w->expires_us;
    bool is_renewed = !is_free && w->holder == id;
    int64_t expires = w->server_us + (int64_t)w->times.life_s * 1000000;

    if (!is_free && !is_renewed)
        return LEASE_ANSWER_CONFLICT;
    if (!w->features)
        expires -= expires % 1000000;
    w->holder = id;
    w->expires_us = expires;
    if (!w->features)
        return LEASE_ANSWER_HELD;
    return is_renewed ? LEASE_ANSWER_RENEWED : LEASE_ANSWER_NEW;
}

static void arrive(struct world *w, struct packet p)
{
    struct client *c = &w->clients[p.client];

    if (!p.is_answer) {
        if (w->is_down)
            return;
        p.answer = serve(w, p.id);
        p.is_answer = true;
        put(w, p);
    } else if (w->t >= c->paused_until && w->t >= c->suspended_until &&
               p.id == c->id && p.attempt == c->attempt && c->lease.in_flight) {
        answer_client(w, p.client, p.answer);
    }
}

static void act(struct world *w, size_t i)
{
    struct client *c = &w->clients[i];
    struct clock_time now = now_of(c);

    if (w->t < c->paused_until || w->t < c->suspended_until)
        return;
    if (w->t >= c->release_at) {
        renew_client(w, c); /* it just lets the lease lapse */
        return;
    }
    heed(w, c, lease_tick(&c->lease, now));
    if (c->lease.in_flight && clock_left_ms(c->give_up, now) <= 0)
        answer_client(w, i, LEASE_ANSWER_RETRY);
    if (!c->lease.in_flight && clock_left_ms(c->lease.next, now) <= 0)
        begin_attempt(w, i);
    if (chance(w, 1) && chance(w, 100))
        c->paused_until = w->t + draw_in(w, 0, 2000 * w->times.life_s);
    else if (chance(w, 1) && chance(w, 50))
        c->suspended_until = w->t + draw_in(w, 0, 2000 * w->times.life_s);
}

/* Asleep or not, both clocks go on (clock.h); only BOOTTIME is slewed, and
 * only while awake. */
static void pass_ms(struct world *w)
{
    w->t++;
    w->server_us += 1000;
    if (w->t % 2 == 0)
        w->server_us++; /* 500 ppm */
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        bool asleep = w->t < c->suspended_until;

        c->boot_us += 1000 + (asleep ? 0 : c->boot_ppm / 1000);
        c->raw_us += 1000 - (c->raw_ppm != 0 && w->t % 2 == 0);
    }
    if (chance(w, 1) && chance(w, 100))
        w->is_down = !w->is_down;
}

static void check(const struct world *w, unsigned seed)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];

        if (c->lease.state != LEASE_HELD ||
            clock_left_ms(c->lease.deadline, now_of(c)) <= 0)
            continue;
        if (w->holder != c->id || w->server_us >= w->expires_us)
            fail_msg("seed %u, %lld ms: client %zu believes in a lock that "
                     "the service does not count as its own",
                     seed, (long long)w->t, i);
    }
}

static void init(struct world *w, unsigned seed)
{
    static const unsigned lives[] = {1, 2, 5, 10, 30};
    struct justalock_error err;

    memset(w, 0, sizeof(*w));
    w->random = seed;
    w->features = seed % 2 == 0;
    /* Whole seconds cost up to one: no base service serves so short ones. */
    w->times.life_s = lives[w->features ? seed % 5 : 2 + seed % 3];
    assert_ok(lease_times_fill(&w->times, w->features, &err), err);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];

        c->boot_us = draw_in(w, 0, INT64_C(1) << 50);
        c->raw_us = draw_in(w, 0, INT64_C(1) << 50);
        c->boot_ppm = (int)draw_in(w, -80000, 80000);
        c->raw_ppm = i == 0 ? -500 : 0;
        renew_client(w, c);
    }
}

static void test_model(void **state)
{
    static struct world w;
    unsigned granted = 0, extended = 0, lost = 0, busy = 0;

    (void)state;
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        init(&w, seed);
        while (w.t < RUN_MS) {
            pass_ms(&w);
            for (size_t i = 0; i < PACKETS; i++)
                if (w.packets[i].used && w.packets[i].arrives <= w.t) {
                    w.packets[i].used = false;
                    arrive(&w, w.packets[i]);
                }
            for (size_t i = 0; i < CLIENTS; i++)
                act(&w, i);
            check(&w, seed);
        }
        granted += w.granted;
        extended += w.extended;
        lost += w.lost;
        busy += w.busy;
    }
    print_message("# granted %u, extended %u, lost %u, busy %u\n", granted,
                  extended, lost, busy);
    /* The runs went everywhere, or they prove nothing. */
    assert_true(granted > 500);
    assert_true(extended > 1000);
    assert_true(lost > 100);
    assert_true(busy > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

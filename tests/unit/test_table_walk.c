/* SPDX-License-Identifier: MIT */
/*
 * test_table_walk.c - a random walk through the lock table beside a model that
 * knows only what the clients were answered: one holder, or as many as each of
 * them allows and each in a slot of its own, tokens that grow, no share that
 * comes back, first come first served, each wait answered once and in time.
 * Passes end in a commit to a played disk, in a commit put off or in a crash
 * before it; what was answered by then must hold after the restart. Offers are
 * heard at once, and may be of a release that a crash takes back. Then: every
 * allocation fails in turn.
 */
#include <stdlib.h>

#include "../lib/fail_alloc.h"
#include "table_help.h"

#define LOCKS   3
#define CLIENTS 4
#define SHARES  4 /* the first has no name, as in the base protocol */
#define DISK    256
#define WAITS   64
#define SEEDS   40
#define STEPS   6000

struct held { /* what a client knows of one share of its */
    int64_t until, tomb_until;
    unsigned life_s;
    int64_t place_until;   /* INT64_MAX: it waits */
    unsigned place_number; /* in the order in which they came */
    unsigned place_slots;
};

struct wait {
    bool is_open;
    int lock, client, share;
    int64_t deadline;
};

struct said { /* an answer that leaves with the commit */
    int lock, client, share;
    unsigned life_s, wait_s, slots;
    bool is_give;
    size_t before; /* is_give: what was said then */
    int64_t at;
    bool is_free; /* there was room, and nobody waited, when it was decided */
    struct lock_answer answer;
    struct wait *woken; /* NULL: answered at once */
};

struct walk {
    struct lock_table *t;
    int64_t now;
    unsigned long long random;
    struct held held[LOCKS][CLIENTS][SHARES];
    uint64_t last_token;
    struct holder { /* what a client knows of its holding, and its offer */
        uint64_t token;
        unsigned slot, slots;
        unsigned slot_there; /* not heard yet, perhaps */
        bool is_broken;
        int64_t offer_until; /* 0: none open */
        unsigned offer_slots;
    } holder[LOCKS][CLIENTS];
    unsigned places;
    const struct said *taking; /* what lock_take is about; NULL */
    struct wait waits[WAITS];
    struct lock_row shares[DISK], tombs[DISK * 8];
    size_t shares_len, tombs_len;
    uint64_t disk_token;
    struct said said[64];
    size_t said_len;
    unsigned long grants, renewals, offers, refusals, crashes, revivals;
    unsigned long together[4]; /* grants with so many others in */
};

static const char *const client_names[CLIENTS] = {"c0", "c1", "c11", "d"};
static const char *const share_names[SHARES] = {"", "n1", "n2", "n22"};

static unsigned pick(struct walk *w, unsigned n)
{
    w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(w->random >> 33) % n;
}

/* ---- the disk ---- */

static bool same_row(const struct lock_row *a, const struct lock_row *b,
                     bool client)
{
    return memcmp(&a->id, &b->id, sizeof(a->id)) == 0 &&
           strcmp(a->share, b->share) == 0 && a->slot == b->slot &&
           (!client || (a->client_len == b->client_len &&
                        memcmp(a->client, b->client, a->client_len) == 0));
}

static void put(struct lock_row *rows, size_t *len, size_t max,
                const struct lock_row *row, bool is_put, bool client)
{
    size_t i = 0;

    while (i < *len && !same_row(&rows[i], row, client))
        i++;
    if (is_put) {
        assert_true(i < max);
        rows[i] = *row;
        *len += i == *len;
    } else {
        assert_true(i < *len); /* what is dropped was there */
        rows[i] = rows[--*len];
    }
}

static void commit_to_disk(struct walk *w)
{
    size_t len;
    bool is_whole;
    const struct lock_change *c = lock_changes(w->t, &len, &is_whole);

    assert_true(is_whole);
    for (size_t i = 0; i < len; i++) {
        bool is_put = c[i].kind == LOCK_PUT || c[i].kind == LOCK_PUT_TOMB;

        if (c[i].kind == LOCK_PUT || c[i].kind == LOCK_DROP)
            put(w->shares, &w->shares_len, DISK, &c[i].row, is_put, false);
        else
            put(w->tombs, &w->tombs_len, DISK * 8, &c[i].row, is_put, true);
    }
    if (len > 0)
        w->disk_token = lock_last_token(w->t);
    lock_changes_clear(w->t);
}

/* ---- what clients may rely on ---- */

static bool holds(const struct walk *w, int lock, int client, int64_t at)
{
    for (int s = 0; s < SHARES; s++)
        if (w->held[lock][client][s].until > at)
            return true;
    return false;
}

/* No more are in than any of them allows, and each in a slot of its own. */
static void check_company(struct walk *w, const struct said *a)
{
    const struct holder *my = &w->holder[a->lock][a->client];
    unsigned in = 1, most = my->slots;

    for (int c = 0; c < CLIENTS; c++) {
        const struct holder *o = &w->holder[a->lock][c];

        if (c == a->client || !holds(w, a->lock, c, a->at))
            continue;
        in++;
        if (o->slots < most)
            most = o->slots;
        if (o->slot == my->slot)
            fail_msg("two holders of slot %u of lock %d: %d and %d", o->slot,
                     a->lock, a->client, c);
    }
    if (in > most)
        fail_msg("%u holders of lock %d, at most %u", in, a->lock, most);
    if (a->answer.result == LOCK_NEW)
        w->together[in - 1]++;
}

static void check_taken(struct walk *w, const struct said *a)
{
    struct held *h = &w->held[a->lock][a->client][a->share];
    int64_t until = a->at + (int64_t)a->life_s * 1000;

    struct holder *my = &w->holder[a->lock][a->client];

    if (h->tomb_until > a->at)
        fail_msg("share %d of %d came back", a->share, a->client);
    if (a->answer.result == LOCK_NEW) {
        w->grants++;
        assert_true(a->answer.token > w->last_token);
        w->last_token = my->token = a->answer.token;
        my->slot = a->answer.slot;
        my->slots = a->slots == 0 ? 1 : a->slots;
        assert_true(my->slot < my->slots);
    } else {
        w->renewals++;
        assert_int_equal(a->answer.token, my->token);
        if (a->answer.slot != my->slot)
            fail_msg("%d was moved from slot %u to %u", a->client, my->slot,
                     a->answer.slot);
    }
    check_company(w, a);
    if (until > h->until)
        h->until = until;
    if (a->life_s > h->life_s)
        h->life_s = a->life_s;
    h->place_until = 0;
    my->offer_until = 0;
}

/* We are within its request: what it has then is not known yet. */
static bool is_taking(const struct walk *w, int lock, int client)
{
    return w->taking != NULL && w->taking->lock == lock &&
           w->taking->client == client;
}

static void check_woken(struct walk *w, const struct said *a)
{
    const struct held *h = &w->held[a->lock][a->client][a->share];
    struct holder *my = &w->holder[a->lock][a->client];
    unsigned in = 0, most = 0;

    if (a->answer.result == LOCK_CONFLICT)
        return;
    assert_int_equal(a->answer.result, LOCK_OFFERED);
    w->offers++;
    if (my->offer_until != 0 || holds(w, a->lock, a->client, a->at))
        return; /* all of that client are woken */
    if (is_taking(w, a->lock, a->client))
        return; /* by what it gets just now, or by the place that it takes */
    /* One of its shares was the first: the one that allows most, perhaps. */
    for (int s = 0; s < SHARES; s++) {
        const struct held *o = &w->held[a->lock][a->client][s];

        if (o->place_until > a->at && o->place_slots > most)
            most = o->place_slots;
    }
    my->offer_slots = most;
    for (int c = 0; c < CLIENTS; c++) {
        const struct holder *other = &w->holder[a->lock][c];
        bool is_in = c != a->client && holds(w, a->lock, c, a->at);
        unsigned allows = is_in ? other->slots : other->offer_slots;

        if (is_in || (c != a->client && other->offer_until > a->at &&
                      !is_taking(w, a->lock, c))) {
            in++;
            most = allows < most ? allows : most;
        }
        for (int s = 0; s < SHARES && c != a->client; s++) {
            const struct held *o = &w->held[a->lock][c][s];

            if (o->place_until == INT64_MAX &&
                o->place_number < h->place_number)
                fail_msg("%d was passed over for %d", c, a->client);
        }
    }
    if (in >= most)
        fail_msg("offered to %d, with %u in of %u", a->client, in, most);
    my->offer_until = a->at + LOCK_OFFER_MS;
}

static void check_given(struct walk *w, const struct said *a)
{
    struct held *h = &w->held[a->lock][a->client][a->share];
    unsigned life_s = h->life_s > a->life_s ? h->life_s : a->life_s;

    if (a->answer.result == LOCK_RELEASED)
        h->until = 0;
    if (a->share != 0) /* what we know of its life is at most the server's */
        h->tomb_until = a->at + ((int64_t)a->life_s + LOCK_TOMB_EXTRA_S) * 1000;
    (void)life_s;
    h->place_until = 0;
    h->life_s = 0;
}

static void hear(struct walk *w, const struct said *a)
{
    struct held *h = &w->held[a->lock][a->client][a->share];

    if (a->woken != NULL) {
        check_woken(w, a);
    } else if (a->is_give) {
        check_given(w, a);
    } else if (a->answer.result == LOCK_NEW ||
               a->answer.result == LOCK_RENEWED) {
        check_taken(w, a);
    } else {
        assert_int_equal(a->answer.result, LOCK_CONFLICT);
        w->refusals++;
        /* Nobody holds it or is before us: then there is no refusal, but for
         * what was given back. */
        if (a->is_free && (a->share == 0 || h->tomb_until == 0))
            fail_msg("a lock with room was refused");
        w->revivals += h->tomb_until > a->at;
    }
}

/* ---- what happens ---- */

static void say(struct walk *w, const struct said *a)
{
    size_t len;
    bool is_whole;

    (void)lock_changes(w->t, &len, &is_whole);
    if (len == 0 && w->said_len == 0) {
        hear(w, a);
        return;
    }
    assert_true(w->said_len < LENGTH(w->said));
    /* What a release has woken was said from within it: it comes first. */
    if (a->is_give && a->before < w->said_len) {
        memmove(&w->said[a->before + 1], &w->said[a->before],
                (w->said_len - a->before) * sizeof(w->said[0]));
        w->said[a->before] = *a;
        w->said_len++;
        return;
    }
    w->said[w->said_len++] = *a;
}

static void on_walk_wake(void *arg, void *conn, const struct lock_answer *a)
{
    struct walk *w = arg;
    struct wait *p = conn;
    struct said said = {.lock = p->lock,
                        .client = p->client,
                        .share = p->share,
                        .at = w->now,
                        .answer = *a,
                        .woken = p};

    assert_true(p->is_open);
    p->is_open = false;
    w->held[p->lock][p->client][p->share].place_until = w->now + LOCK_PLACE_MS;
    if (a->result == LOCK_OFFERED) {
        hear(w, &said);
        return;
    }
    assert_true(w->said_len < LENGTH(w->said));
    w->said[w->said_len++] = said;
}

static struct lock_request walk_request(int lock, int client, int share,
                                        unsigned life_s)
{
    return request((char)('a' + lock), client_names[client], share_names[share],
                   life_s);
}

static struct wait *free_wait(struct walk *w)
{
    for (size_t i = 0; i < WAITS; i++)
        if (!w->waits[i].is_open)
            return &w->waits[i];
    return NULL;
}

static void walk_take(struct walk *w, struct said *a, struct wait *p)
{
    struct lock_request q =
        walk_request(a->lock, a->client, a->share, a->life_s);
    struct held *h = &w->held[a->lock][a->client][a->share];
    struct holder *my = &w->holder[a->lock][a->client];
    struct lock_view v;

    (void)lock_run(w->t, w->now);
    q.slots = a->slots;
    a->is_free = !lock_look(w->t, &q.id, w->now, &v) ||
                 (v.waiters == 0 && v.holders < v.slots &&
                  v.holders < a->slots && !my->is_broken);
    q.wait_s = p == NULL ? 0 : a->wait_s;
    q.conn = p;
    if (p != NULL) /* it may be woken from within */
        h->place_slots = a->slots == 0 ? 1 : a->slots;
    if (p != NULL)
        *p = (struct wait){.is_open = true,
                           .lock = a->lock,
                           .client = a->client,
                           .share = a->share,
                           .deadline = w->now + (int64_t)a->wait_s * 1000};
    w->taking = a;
    lock_take(w->t, &q, w->now, WALL, &a->answer);
    w->taking = NULL;
    /* Now, not when it is heard: a break may come in between. */
    if (a->answer.result == LOCK_NEW) {
        my->is_broken = false;
        my->offer_until = 0;
        my->slot_there = a->answer.slot;
    }
    assert_false(a->answer.result == LOCK_RENEWED && my->is_broken);
    assert_false(a->answer.is_broken && !my->is_broken);
    if (a->answer.result == LOCK_WAITING) {
        if (h->place_until <= w->now)
            h->place_number = ++w->places;
        if (p->is_open)
            h->place_until = INT64_MAX;
        return;
    }
    if (p != NULL)
        p->is_open = false;
    say(w, a);
}

/* The holder of a slot, or all; a stale slot of a client that is gone only
 * makes the model forgive more. */
static void break_some(struct walk *w, int lock, const struct lock_id *id)
{
    unsigned slot = pick(w, 3);

    if (pick(w, 3) == 0)
        slot = LOCK_ALL_SLOTS;
    if (!lock_break(w->t, id, slot))
        return;
    for (int c = 0; c < CLIENTS; c++)
        if (slot == LOCK_ALL_SLOTS || w->holder[lock][c].slot_there == slot)
            w->holder[lock][c].is_broken = true;
}

/* The first lock is held by one, the second by two; of the third each wants
 * something else now and then. */
static unsigned pick_slots(struct walk *w, int lock)
{
    if (lock == 0)
        return pick(w, 2);
    if (lock == 1)
        return 2;
    return pick(w, 8) == 0 ? 1 + pick(w, 3) : 4;
}

static void ask(struct walk *w)
{
    static const unsigned lives[] = {1, 3, 10, 60};
    struct said a = {.lock = (int)pick(w, LOCKS),
                     .client = (int)pick(w, CLIENTS),
                     .share = (int)pick(w, SHARES),
                     .life_s = lives[pick(w, 4)],
                     .at = w->now};
    struct lock_request q = walk_request(a.lock, a.client, a.share, a.life_s);
    struct wait *p;

    a.slots = pick_slots(w, a.lock);
    switch (pick(w, 10)) {
    case 0:
    case 1:
        a.is_give = true;
        a.before = w->said_len;
        /* Who sends this relies on nothing, whatever is answered. */
        w->held[a.lock][a.client][a.share].until = 0;
        w->holder[a.lock][a.client].offer_until = 0; /* or another share's */
        lock_give(w->t, &q, w->now, &a.answer);
        say(w, &a);
        break;
    case 2:
    case 3:
    case 4:
        p = free_wait(w);
        a.wait_s = 1 + pick(w, 8);
        walk_take(w, &a, p);
        break;
    case 5:
        if (pick(w, 10) == 0)
            break_some(w, a.lock, &q.id);
        break;
    default:
        walk_take(w, &a, NULL);
    }
}

static void lose_a_connection(struct walk *w)
{
    struct wait *p = &w->waits[pick(w, WAITS)];
    struct lock_request q;

    if (!p->is_open)
        return;
    q = walk_request(p->lock, p->client, p->share, 1);
    p->is_open = false;
    lock_gone(w->t, &q.id, p, w->now);
    w->held[p->lock][p->client][p->share].place_until = w->now + LOCK_PLACE_MS;
}

/* A holding whose answer was lost may be there, or be gone. */
static void remember(struct walk *w, int lock, int client)
{
    struct holder *my = &w->holder[lock][client];
    const char *name = client_names[client];

    my->offer_until = 0;
    my->is_broken = false;
    for (size_t i = 0; i < w->shares_len; i++) {
        const struct lock_row *r = &w->shares[i];

        if (r->id.bytes[0] != 'a' + lock || r->client_len != strlen(name) ||
            memcmp(r->client, name, r->client_len) != 0)
            continue;
        my->token = r->token;
        my->slot = my->slot_there = r->slot;
        my->slots = r->slots;
        my->is_broken = r->is_broken;
    }
    for (int s = 0; s < SHARES; s++)
        w->held[lock][client][s].place_until = 0;
}

static void restart(struct walk *w)
{
    lock_table_free(w->t);
    w->t = lock_table_new(on_walk_wake, w, w->disk_token);
    assert_non_null(w->t);
    w->said_len = 0;
    for (size_t i = 0; i < w->shares_len; i++)
        assert_int_equal(lock_load(w->t, &w->shares[i], false, w->now),
                         JUSTALOCK_OK);
    for (size_t i = 0; i < w->tombs_len; i++)
        assert_int_equal(lock_load(w->t, &w->tombs[i], true, w->now),
                         JUSTALOCK_OK);
    memset(w->waits, 0, sizeof(w->waits));
    for (int l = 0; l < LOCKS; l++) {
        for (int c = 0; c < CLIENTS; c++)
            remember(w, l, c);
    }
    w->crashes++;
}

static void end_pass(struct walk *w)
{
    (void)lock_run(w->t, w->now);
    if (pick(w, 60) == 0) {
        restart(w);
        return;
    }
    if (w->said_len > LENGTH(w->said) / 4 || pick(w, 4) > 0) {
        commit_to_disk(w);
        for (size_t i = 0; i < w->said_len; i++)
            hear(w, &w->said[i]);
        w->said_len = 0;
    }
    for (size_t i = 0; i < WAITS; i++)
        assert_false(w->waits[i].is_open && w->waits[i].deadline <= w->now);
    for (int l = 0; l < LOCKS; l++)
        for (int c = 0; c < CLIENTS; c++) {
            struct holder *my = &w->holder[l][c];

            if (my->offer_until == 0 || my->offer_until > w->now)
                continue;
            for (int s = 0; s < SHARES; s++)
                if (w->held[l][c][s].place_until != INT64_MAX)
                    w->held[l][c][s].place_until = 0;
            my->offer_until = 0;
        }
}

/* On to the next thing that is due, or a part of the way there: an offer or
 * a place that ends is then seen at its own time. */
static void time_goes_by(struct walk *w)
{
    int64_t next = lock_run(w->t, w->now), step;

    step = pick(w, 8) == 0 ? 4000 : pick(w, 700);
    w->now = next - w->now <= step ? next : w->now + step;
}

static void test_walk(void **state)
{
    unsigned long grants = 0, renewals = 0, offers = 0, crashes = 0,
                  revivals = 0, together[4] = {0};
    static struct walk w;

    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        memset(&w, 0, sizeof(w));
        w.random = seed * 2654435761U;
        w.now = 5000;
        restart(&w);
        for (int i = 0; i < STEPS; i++) {
            for (unsigned n = pick(&w, 4); n > 0; n--)
                ask(&w);
            if (pick(&w, 20) == 0)
                lose_a_connection(&w);
            end_pass(&w);
            time_goes_by(&w);
            end_pass(&w);
        }
        grants += w.grants;
        renewals += w.renewals;
        offers += w.offers;
        crashes += w.crashes;
        revivals += w.revivals;
        for (int i = 0; i < 4; i++)
            together[i] += w.together[i];
        for (int i = 0; i < 100; i++)
            (void)lock_run(w.t, w.now += 100000);
        assert_int_equal(lock_counts(w.t).offers_open, 0);
        assert_int_equal(lock_counts(w.t).waiters, 0);
        lock_table_free(w.t);
    }
    /* The walk has been where it should. */
    assert_true(grants > 5000 && renewals > 1000 && offers > 1000 &&
                crashes > 500 && revivals > 1000);
    assert_true(together[1] > 1000 && together[2] > 100 && together[3] > 20);
}

/* ---- no memory ---- */

/* Whether each was answered, or refused for want of memory. */
static bool story(struct fixture *f)
{
    struct place b;
    size_t len;
    bool is_whole, busy = false;
    struct lock_answer a = take(f, 'a', "one", "s", 10);
    struct lock_request q = request('c', "one", "s", 10);

    busy |= a.result == LOCK_BUSY;
    busy |= take(f, 'a', "one", "t", 10).result == LOCK_BUSY;
    busy |= wait_as(f, 'a', "two", "s", 3, &b) == LOCK_BUSY;
    busy |= give(f, 'a', "one", "s") == LOCK_BUSY;
    busy |= take(f, 'b', "two", "s", 10).result == LOCK_BUSY;
    (void)take(f, 'a', "poll", "", 10);
    q.slots = 2;
    for (const char *c = "12"; *c != '\0'; c++) {
        q.client[0] = (uint8_t)*c;
        lock_take(f->t, &q, f->now, WALL, &a);
        busy |= a.result == LOCK_BUSY;
    }
    pass_ms(f, 20000);
    (void)lock_changes(f->t, &len, &is_whole);
    return !busy && is_whole;
}

static void test_no_memory(void **state)
{
    bool ok = false;
    long n = 1;

    (void)state;
    while (!ok) {
        struct fixture f;

        memset(&f, 0, sizeof(f));
        f.now = 1000000;
        fail_alloc_at(n++, 1);
        f.t = lock_table_new(on_wake, &f, 0);
        ok = f.t != NULL && story(&f);
        /* The poller is watched or not: that is no matter. */
        ok = !fail_alloc_off() && ok;
        if (f.t != NULL) {
            pass_ms(&f, 60000);
            assert_false(is_held(&f, 'a'));
            lock_changes_clear(f.t);
            assert_int_equal(take(&f, 'a', "end", "s", 10).result, LOCK_NEW);
            assert_int_equal(changes(&f), 1);
        }
        lock_table_free(f.t);
    }
    assert_in_range(n, 12, 100);
}

/* A row that there is no memory for is no damage. */
static void test_no_memory_to_load(void **state)
{
    long n = 1;
    bool ok = false;

    (void)state;
    while (!ok) {
        struct lock_row row = {
            .client_len = 3, .life_s = 10, .slots = 1, .token = 7};
        struct fixture f;

        memset(&f, 0, sizeof(f));
        f.t = lock_table_new(on_wake, &f, 0);
        assert_non_null(f.t);
        memcpy(row.client, "one", 3);
        memcpy(row.share, "s", 2);
        fail_alloc_at(n++, 1);
        for (int tomb = 0; tomb < 2; tomb++) {
            enum justalock_status st = lock_load(f.t, &row, tomb, 1000);

            ok = st == JUSTALOCK_OK;
            if (!ok)
                assert_int_equal(st, JUSTALOCK_NOMEM);
            if (!ok)
                break;
        }
        ok = !fail_alloc_off() && ok;
        lock_table_free(f.t);
    }
    assert_in_range(n, 3, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_to_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

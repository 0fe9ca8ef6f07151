/* SPDX-License-Identifier: MIT */
/*
 * keeper_slots.c - pools: a lock that several hold, each in a slot. A service
 * with pools picks the slot. Else each slot is a lock of its own, and they are
 * tried in a random order, on to the next one only by a 409: an attempt whose
 * answer is not known may have been granted and is repeated.
 */
#include "keeper_inner.h"

bool slots_by_ids(const struct keep *c)
{
    return c->lock.slots > 1 && c->place->is_known &&
           !(c->place->features & SERVICE_HAS_SLOTS);
}

static unsigned below(struct keeper *k, unsigned n)
{
    return (unsigned)((uint32_t)keeper_jitter(k) * n / 65536);
}

static unsigned common_divisor(unsigned a, unsigned b)
{
    while (b != 0) {
        unsigned rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* All slots once, from the present one, by a step that meets each of them. */
static void begin_sweep(struct keep *c)
{
    unsigned n = c->lock.slots;

    do
        c->sweep_step = 1 + below(c->keeper, n);
    while (common_divisor(c->sweep_step, n) != 1);
    c->sweep_left = n - 1;
    c->is_sweeping = true;
}

void slots_choose(struct keep *c)
{
    if (!slots_by_ids(c)) {
        /* Not known yet: a service without pools takes it for slot 0. */
        c->lock.slot = 0;
        c->lock.slot_has_id = false;
        c->is_sweeping = false;
    } else if (!c->is_sweeping) {
        c->lock.slot = below(c->keeper, c->lock.slots);
        c->lock.slot_has_id = true;
        begin_sweep(c);
    }
}

bool slots_next(struct keep *c)
{
    if (!slots_by_ids(c))
        return false;
    if (!c->is_sweeping)
        begin_sweep(c); /* what it was asked before it was known, was slot 0 */
    if (c->sweep_left == 0) {
        c->is_sweeping = false;
        return false;
    }
    c->sweep_left--;
    c->lock.slot = (c->lock.slot + c->sweep_step) % c->lock.slots;
    c->lock.slot_has_id = true;
    return true;
}

static void no_answer(struct service_answer *a, const char *text)
{
    service_refuse(a, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO, text);
}

void slots_settle(struct keep *c, struct service_answer *a)
{
    bool is_asking = c->state != KEEP_HELD;

    if (c->lock.slots < 2 || !a->usable || a->offered ||
        a->answer == LEASE_ANSWER_CONFLICT)
        return;
    if (c->lock.slot_has_id) {
        /* It has learned of pools since: this lock is no slot of one. */
        if (is_asking && (a->features & SERVICE_HAS_SLOTS))
            no_answer(a, "the service has begun to know pools");
    } else if (!(a->features & SERVICE_HAS_SLOTS)) {
        if (is_asking)
            c->lock.slot_has_id = true; /* slot 0's */
        else
            a->answer = LEASE_ANSWER_NEW; /* of a lock that is no pool */
    } else if (!a->has_slot) {
        no_answer(a, "the service does not say which slot is held");
    } else if (is_asking) {
        c->lock.slot = a->slot;
    } else if (a->slot != c->lock.slot) {
        a->answer = LEASE_ANSWER_NEW; /* another may have had ours */
    }
}

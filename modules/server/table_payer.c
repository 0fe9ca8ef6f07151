/* SPDX-License-Identifier: MIT */
/*
 * table_payer.c - how much of the table one client may use, and all of them
 * together: shares that are held, places in queues, released shares that are
 * remembered. Each is charged to who asked for it. A refresh is never refused:
 * nothing is added by it.
 *
 * Whose a share is, is in no store: after a restart it is nobody's until its
 * next refresh.
 */
#include <string.h>

#include "table_inner.h"

void lock_set_limits(struct lock_table *t, const struct lock_limits *limits)
{
    t->limits = *limits;
}

struct lock_limits lock_limits_default(void)
{
    struct lock_limits l = {.all = {[LOCK_LIMIT_WAITERS] = LOCK_WAITERS_MAX,
                                    [LOCK_LIMIT_HELD] = LOCK_HELD_MAX,
                                    [LOCK_LIMIT_RELEASED] = LOCK_TOMBS_MAX}};

    for (int i = 0; i < LOCK_LIMITS; i++)
        l.each[i] = l.all[i] / 2;
    return l;
}

static void forget_idle(struct lock_table *t, struct payer *p)
{
    for (int i = 0; i < LOCK_LIMITS; i++)
        if (p->used[i] > 0)
            return;
    if (p == t->payer)
        return;
    HASH_DEL(t->payers, p);
    free(p);
}

bool lock_charge(struct lock_table *t, const char *payer)
{
    struct payer *p = NULL, *before = t->payer;

    t->refusal = (struct lock_refusal){.limit = LOCK_LIMITS};
    t->payer = NULL;
    if (payer != NULL) {
        HASH_FIND_STR(t->payers, payer, p);
        if (p == NULL) {
            p = calloc(1, sizeof(*p));
            if (p == NULL)
                return false;
            (void)strncpy(p->name, payer, sizeof(p->name) - 1);
            HASH_ADD_STR(t->payers, name, p);
            if (p->hh.tbl == NULL) {
                free(p);
                return false;
            }
        }
    }
    t->payer = p;
    if (before != NULL && before != p)
        forget_idle(t, before);
    return true;
}

struct lock_refusal lock_refusal(const struct lock_table *t)
{
    return t->refusal;
}

bool payer_may(struct lock_table *t, enum lock_limit limit)
{
    size_t own = t->payer != NULL ? t->payer->used[limit] : 0;

    /* What is loaded from the store was answered: it stays. */
    if (t->is_loading)
        return true;
    if (own < t->limits.each[limit] && t->used[limit] < t->limits.all[limit])
        return true;
    t->refusal.limit = limit;
    t->refusal.is_own = own >= t->limits.each[limit];
    return false;
}

struct payer *payer_charge(struct lock_table *t, enum lock_limit limit)
{
    t->used[limit]++;
    if (t->payer != NULL)
        t->payer->used[limit]++;
    return t->payer;
}

void payer_release(struct lock_table *t, enum lock_limit limit, struct payer *p)
{
    t->used[limit]--;
    if (p == NULL)
        return;
    p->used[limit]--;
    forget_idle(t, p);
}

void payer_adopt(struct lock_table *t, struct share *s)
{
    if (s->payer != NULL || t->payer == NULL)
        return;
    s->payer = t->payer;
    t->payer->used[LOCK_LIMIT_HELD]++;
}

void payers_free(struct lock_table *t)
{
    struct payer *p, *tmp;

    HASH_ITER (hh, t->payers, p, tmp) {
        HASH_DEL(t->payers, p);
        free(p);
    }
}

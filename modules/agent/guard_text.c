/* SPDX-License-Identifier: MIT */
/*
 * guard_text.c - what is large, and the same or absent for most work: its
 * texts, and the service that its locks are at.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "guard.h"

const char text_none[] = "";
static const char no_memory[] = "(no memory for the reason)";

void text_clear(const char **text)
{
    union {
        const char *seen;
        char *ours;
    } old = {.seen = *text};

    if (*text != text_none && *text != no_memory)
        free(old.ours);
    *text = text_none;
}

bool text_set(const char **text, const char *to)
{
    char *copy = to[0] != '\0' ? strdup(to) : NULL;

    if (to[0] != '\0' && !copy)
        return false;
    text_clear(text);
    if (copy)
        *text = copy;
    return true;
}

void text_say(const char **text, const char *fmt, ...)
{
    char said[WIRE_TEXT_MAX + 1];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
    if (text_set(text, said))
        return;
    text_clear(text);
    *text = no_memory;
}

/* ---- services ---- */

struct service {
    struct service *prev, *next;
    size_t users;
    struct keeper_service s;
};

static bool is_same(const struct keeper_service *a,
                    const struct keeper_service *b)
{
    return strcmp(a->url, b->url) == 0 && strcmp(a->ca_file, b->ca_file) == 0 &&
           strcmp(a->cert_file, b->cert_file) == 0 &&
           strcmp(a->key_file, b->key_file) == 0 &&
           strcmp(a->token, b->token) == 0 && strcmp(a->proxy, b->proxy) == 0;
}

const struct keeper_service *service_use(struct guard *g,
                                         const struct keeper_service *s)
{
    struct service *v;

    DL_FOREACH (g->services, v)
        if (is_same(&v->s, s))
            break;
    if (!v) {
        v = calloc(1, sizeof(*v));
        if (!v)
            return NULL;
        v->s = *s;
        DL_APPEND(g->services, v);
    }
    v->users++;
    return &v->s;
}

void service_drop(struct guard *g, const struct keeper_service *s)
{
    struct service *v;

    DL_FOREACH (g->services, v)
        if (&v->s == s)
            break;
    if (!v || --v->users > 0)
        return;
    DL_DELETE(g->services, v);
    explicit_bzero(v, sizeof(*v)); /* its token */
    free(v);
}

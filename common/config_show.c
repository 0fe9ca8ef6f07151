/* SPDX-License-Identifier: MIT */
/*
 * config_show.c - writes the configuration in effect, by the tables of keys:
 * JSON with comments that say where a value is from and what stands where
 * nothing is set, or plain JSON on one line. Both parse back.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config_parts.h"
#include "parse.h"

#define STRING_MAX (8 * 1024 * 1024)

struct shower {
    const struct config *c;
    FILE *out;
    bool json;  /* one line, no comments */
    bool first; /* nothing stands before in this object */
    unsigned depth;
};

static void new_line(struct shower *s)
{
    if (!s->json)
        (void)fprintf(s->out, "\n%*s", (int)s->depth * 4, "");
}

/* A file's name may hold what would end the comment. */
static void comment(struct shower *s, const char *text)
{
    char clean[600];

    if (s->json)
        return;
    new_line(s);
    (void)snprintf(clean, sizeof(clean), "%s", text);
    parse_mask_unclean(clean);
    (void)fprintf(s->out, "// %s", clean);
}

static void string(struct shower *s, const char *text)
{
    struct buf b;

    buf_init(&b, STRING_MAX);
    buf_json(&b, text);
    /* Without memory: cut, so that it does not parse. */
    (void)fputs(b.failed || b.data == NULL ? "\"" : b.data, s->out);
    buf_done(&b);
}

/* Before a member (key) or an element (NULL). */
static void next(struct shower *s, const char *key)
{
    if (!s->first)
        (void)fputc(',', s->out);
    s->first = false;
    new_line(s);
    if (key == NULL)
        return;
    string(s, key);
    (void)fputs(s->json ? ":" : ": ", s->out);
}

static void open_bracket(struct shower *s, char bracket)
{
    (void)fputc(bracket, s->out);
    s->first = true;
    s->depth++;
}

static void close_bracket(struct shower *s, char bracket)
{
    s->depth--;
    new_line(s);
    (void)fputc(bracket, s->out);
    s->first = false;
}

static void text_of_time(char *text, size_t size, int64_t ms)
{
    if (ms == -1)
        (void)snprintf(text, size, "forever");
    else if (ms % 1000 == 0)
        (void)snprintf(text, size, "%" PRId64 "s", ms / 1000);
    else
        (void)snprintf(text, size, "%" PRId64 "ms", ms);
}

static void text_of_lost(char *text, size_t size,
                         const struct config_lock *lock)
{
    const char *name = parse_signal_name(lock->lost_signal);

    if (lock->on_lost != CONFIG_LOST_SIGNAL)
        (void)snprintf(text, size, "%s",
                       lock->on_lost == CONFIG_LOST_KILL ? "kill" : "log");
    else if (strcmp(name, "?") != 0)
        (void)snprintf(text, size, "signal:%s", name);
    else
        (void)snprintf(text, size, "signal:%d", lock->lost_signal);
}

static void show_list(struct shower *s, char *const *list)
{
    const char *comma = "";

    (void)fputc('[', s->out);
    for (; *list != NULL; list++) {
        (void)fputs(comma, s->out);
        string(s, *list);
        comma = s->json ? "," : ", ";
    }
    (void)fputc(']', s->out);
}

static void show_for(struct shower *s, unsigned mask)
{
    const char *comma = "";

    (void)fputc('[', s->out);
    for (unsigned i = 0; config_for_words[i] != NULL; i++)
        if ((mask & 1U << i) != 0) {
            (void)fprintf(s->out, "%s\"%s\"", comma, config_for_words[i]);
            comma = s->json ? "," : ", ";
        }
    (void)fputc(']', s->out);
}

/* Is there something to show? Unset is what config_new() and lock_init() say.
 */
static bool is_set(const struct config_key *key, const char *base)
{
    const struct config_lock *lock = (const void *)base;
    const void *at = base + key->offset;

    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_WORD:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_URL:
    case CONFIG_TYPE_PROXY:
        return *(char *const *)at != NULL;
    case CONFIG_TYPE_LIST:
        return *(char **const *)at != NULL;
    case CONFIG_TYPE_BOOL:
        return true;
    case CONFIG_TYPE_COUNT:
        return *(const unsigned *)at >= key->min;
    case CONFIG_TYPE_LIFETIME:
    case CONFIG_TYPE_FOR:
        return *(const unsigned *)at != 0;
    case CONFIG_TYPE_TIME:
        return *(const int64_t *)at > 0;
    case CONFIG_TYPE_WAIT:
        return *(const int64_t *)at != -2;
    case CONFIG_TYPE_CHOICE:
        return *(const int *)at != 0;
    case CONFIG_TYPE_LOST:
        return lock->on_lost != CONFIG_LOST_UNSET;
    case CONFIG_TYPE_ID:
        return lock->has_id;
    default:
        return false;
    }
}

static void show_value(struct shower *s, const struct config_key *key,
                       const char *base)
{
    const struct config_lock *lock = (const void *)base;
    const void *at = base + key->offset;
    char text[40];

    switch (key->type) {
    case CONFIG_TYPE_LIST:
        show_list(s, *(char **const *)at);
        return;
    case CONFIG_TYPE_BOOL:
        (void)fputs(*(const bool *)at ? "true" : "false", s->out);
        return;
    case CONFIG_TYPE_COUNT:
    case CONFIG_TYPE_LIFETIME:
        (void)fprintf(s->out, "%u", *(const unsigned *)at);
        return;
    case CONFIG_TYPE_FOR:
        show_for(s, *(const unsigned *)at);
        return;
    case CONFIG_TYPE_TIME:
    case CONFIG_TYPE_WAIT:
        text_of_time(text, sizeof(text), *(const int64_t *)at);
        string(s, text);
        return;
    case CONFIG_TYPE_CHOICE:
        string(s, key->words[*(const int *)at]);
        return;
    case CONFIG_TYPE_LOST:
        text_of_lost(text, sizeof(text), lock);
        string(s, text);
        return;
    case CONFIG_TYPE_ID:
        string(s, id_format(&lock->id).s);
        return;
    default:
        string(s, *(char *const *)at);
    }
}

/* One line for each kind of work that may take it. */
static void show_effect(struct shower *s, const struct config_lock *lock,
                        unsigned mask)
{
    for (unsigned i = 0; config_for_words[i] != NULL && !s->json; i++) {
        struct config_lock p;
        char wait[24], lost[24], text[240];

        if ((mask & 1U << i) == 0)
            continue;
        config_merge(s->c, lock, (enum config_for)(1U << i), &p);
        text_of_time(wait, sizeof(wait), p.wait_ms);
        text_of_lost(lost, sizeof(lost), &p);
        (void)snprintf(
            text, sizeof(text),
            "%s: lifetime %us, wait %s, busy %s, unreachable %s, lost %s, end "
            "%s",
            config_for_words[i], p.lifetime_s, wait,
            p.on_busy == CONFIG_BUSY_FAIL      ? "fail"
            : p.on_busy == CONFIG_BUSY_REQUEUE ? "requeue"
                                               : "wait",
            p.on_unreachable == CONFIG_UNREACHABLE_OPEN ? "open" : "closed",
            lost,
            p.on_end == CONFIG_END_KILL   ? "kill"
            : p.on_end == CONFIG_END_KEEP ? "keep"
                                          : "release");
        comment(s, text);
    }
}

static void show_members(struct shower *s, const struct config_key *keys,
                         const void *base);

static void show_place(struct shower *s, const struct config_place *place)
{
    char text[500];

    (void)snprintf(text, sizeof(text), "%.450s:%u",
                   place->file == NULL ? "built in" : place->file, place->line);
    comment(s, text);
}

static void show_locks(struct shower *s)
{
    open_bracket(s, '{');
    for (size_t i = 0; i < s->c->locks_len; i++) {
        const struct config_lock *lock = &s->c->locks[i];

        next(s, lock->name);
        open_bracket(s, '{');
        show_place(s, &lock->place);
        show_effect(s, lock, config_kinds(s->c, lock));
        show_members(s, config_lock_keys, lock);
        close_bracket(s, '}');
    }
    close_bracket(s, '}');
}

static void show_rules(struct shower *s)
{
    open_bracket(s, '[');
    for (size_t i = 0; i < s->c->slurm.rules_len; i++) {
        next(s, NULL);
        open_bracket(s, '{');
        show_members(s, config_rule_keys, &s->c->slurm.rules[i]);
        close_bracket(s, '}');
    }
    close_bracket(s, ']');
}

static void show_member(struct shower *s, const struct config_key *key,
                        const void *base)
{
    switch (key->type) {
    case CONFIG_TYPE_IGNORED:
        return;
    case CONFIG_TYPE_OBJECT:
    case CONFIG_TYPE_LOCK:
        next(s, key->name);
        open_bracket(s, '{');
        if (key->type == CONFIG_TYPE_LOCK) {
            comment(s, "in effect for locks without a definition:");
            show_effect(s, NULL, 7);
        }
        show_members(s, key->members, (const char *)base + key->offset);
        close_bracket(s, '}');
        return;
    case CONFIG_TYPE_LOCKS:
        next(s, key->name);
        show_locks(s);
        return;
    case CONFIG_TYPE_RULES:
        next(s, key->name);
        show_rules(s);
        return;
    default:
        if (!is_set(key, base))
            return;
        next(s, key->name);
        show_value(s, key, base);
    }
}

static void show_members(struct shower *s, const struct config_key *keys,
                         const void *base)
{
    char unset[240] = "";

    for (; keys->name != NULL; keys++) {
        size_t len = strlen(unset);

        show_member(s, keys, base);
        if (keys->type < CONFIG_TYPE_OBJECT &&
            keys->type != CONFIG_TYPE_IGNORED && !is_set(keys, base))
            (void)snprintf(unset + len, sizeof(unset) - len, "%s%s",
                           len == 0 ? "not set: " : ", ", keys->name);
    }
    if (unset[0] != '\0')
        comment(s, unset);
}

void config_show(const struct config *c, FILE *out, bool json)
{
    struct shower s = {.c = c, .out = out, .json = json};

    if (!json && c->files[0] == NULL)
        (void)fputs("// no file: all is built in\n", out);
    for (size_t i = 0; !json && c->files[i] != NULL; i++) {
        char text[4200];

        (void)snprintf(text, sizeof(text), "read: %s", c->files[i]);
        parse_mask_unclean(text);
        (void)fprintf(out, "// %s\n", text);
    }
    open_bracket(&s, '{');
    show_members(&s, config_top_keys, c);
    close_bracket(&s, '}');
    (void)fputc('\n', out);
}

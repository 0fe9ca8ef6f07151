/* SPDX-License-Identifier: MIT */
/*
 * config_value.c - reads single values into the configuration: each type
 * with its range, each fault with the key, the value and what is allowed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "parse.h"

static const struct config_node *node(const struct config_loader *l,
                                      size_t index)
{
    return &l->text->nodes[index];
}

/* The texts of the parsers begin with the key: l->path is their `what`. */
static void fault(struct config_loader *l, size_t index,
                  const struct justalock_error *e)
{
    const struct config_node *n = node(l, index);

    config_fault(l, l->text->file, n->line, n->column, "%s", e->text);
}

void config_want(struct config_loader *l, size_t index, const char *what)
{
    const struct config_node *n = node(l, index);

    config_fault(l, l->text->file, n->line, n->column, "%s: must be %s",
                 l->path, what);
}

const char *config_clean_text(struct config_loader *l, size_t index, size_t max,
                              const char *what)
{
    const struct config_node *n = node(l, index);
    size_t len;

    if (n->kind != CONFIG_KIND_STRING) {
        config_want(l, index, what);
        return NULL;
    }
    len = strlen(n->text);
    if (len == 0 || len > max) {
        config_fault(l, l->text->file, n->line, n->column,
                     "%s: %zu bytes are not within 1 and %zu", l->path, len,
                     max);
        return NULL;
    }
    if (!parse_is_clean_text(n->text, len)) {
        config_want(l, index, "free of control characters");
        return NULL;
    }
    return n->text;
}

void config_set_text(struct config_loader *l, char **field, const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        l->no_memory = true;
        return;
    }
    free(*field);
    *field = copy;
}

static void read_word(struct config_loader *l, size_t index, char **field)
{
    const char *text = config_clean_text(l, index, 64, "a text");

    if (text == NULL)
        return;
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0')
        config_want(l, index, "made of letters, digits, '.', '_' and '-'");
    else
        config_set_text(l, field, text);
}

static void read_path(struct config_loader *l, size_t index, char **field)
{
    const char *text = config_clean_text(l, index, CONFIG_PATH_MAX,
                                         "a path that begins with /");

    if (text == NULL)
        return;
    if (text[0] != '/')
        config_want(l, index, "a path that begins with /");
    else
        config_set_text(l, field, text);
}

static void read_bool(struct config_loader *l, size_t index, bool *field)
{
    enum config_kind kind = node(l, index)->kind;

    if (kind != CONFIG_KIND_TRUE && kind != CONFIG_KIND_FALSE)
        config_want(l, index, "true or false");
    else
        *field = kind == CONFIG_KIND_TRUE;
}

static void read_count(struct config_loader *l, size_t index,
                       const struct config_key *key, unsigned *field)
{
    const struct config_node *n = node(l, index);
    struct justalock_error e;
    uint64_t v;

    if (n->kind != CONFIG_KIND_NUMBER)
        config_want(l, index, "a whole number");
    else if (parse_u64(n->text, (uint64_t)key->min, (uint64_t)key->max, l->path,
                       &v, &e) != JUSTALOCK_OK)
        fault(l, index, &e);
    else
        *field = (unsigned)v;
}

/* The text of a time: "90s" or a number of seconds; NULL after a fault. */
static const char *time_text(struct config_loader *l, size_t index,
                             const char *what)
{
    const struct config_node *n = node(l, index);

    if (n->kind == CONFIG_KIND_NUMBER)
        return n->text;
    return config_clean_text(l, index, 32, what);
}

static void read_lifetime(struct config_loader *l, size_t index,
                          unsigned *field)
{
    const char *text =
        time_text(l, index, "a number of seconds or a text such as \"5m\"");
    struct justalock_error e;

    if (text != NULL && parse_life_s(text, l->path, field, &e) != JUSTALOCK_OK)
        fault(l, index, &e);
}

static void read_time(struct config_loader *l, size_t index,
                      const struct config_key *key, int64_t *field)
{
    bool is_wait = key->type == CONFIG_TYPE_WAIT;
    const char *text =
        time_text(l, index,
                  is_wait ? "a number of seconds, a text such as \"90s\", or "
                            "\"forever\""
                          : "a number of seconds or a text such as \"90s\"");
    struct justalock_error e;
    int64_t ms;

    if (text == NULL)
        return;
    if (is_wait && strcmp(text, "forever") == 0)
        *field = -1;
    else if (parse_time_ms(text, key->max, l->path, &ms, &e) != JUSTALOCK_OK)
        fault(l, index, &e);
    else if (ms < key->min)
        config_fault(l, l->text->file, node(l, index)->line,
                     node(l, index)->column,
                     "%s: %s is not within %" PRId64 "ms and %" PRId64 "s",
                     l->path, text, key->min, key->max / 1000);
    else
        *field = ms;
}

/* Its place among the words, from 1; 0 after a fault. */
static int read_choice(struct config_loader *l, size_t index,
                       const char *const *words)
{
    const struct config_node *n = node(l, index);
    const char *text = n->kind == CONFIG_KIND_STRING ? n->text : NULL;
    char list[160] = "";
    const char *near;

    for (int i = 1; text != NULL && words[i] != NULL; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    for (int i = 1; words[i] != NULL; i++) {
        size_t len = strlen(list);

        (void)snprintf(list + len, sizeof(list) - len, "%s\"%s\"",
                       i == 1                 ? ""
                       : words[i + 1] == NULL ? " or "
                                              : ", ",
                       words[i]);
    }
    near = text == NULL ? NULL : config_nearest(text, words + 1);
    if (near != NULL)
        config_fault(l, l->text->file, n->line, n->column,
                     "%s: \"%.40s\" is not %s; did you mean \"%s\"?", l->path,
                     text, list, near);
    else if (text != NULL)
        config_fault(l, l->text->file, n->line, n->column,
                     "%s: \"%.40s\" is not %s", l->path, text, list);
    else
        config_want(l, index, list);
    return 0;
}

const char *const config_for_words[4] = {"slurm", "pam", "command", NULL};

static void read_for(struct config_loader *l, size_t index, unsigned *field)
{
    static const char *const words[] = {"", "slurm", "pam", "command", NULL};
    const struct config_node *n = node(l, index);
    size_t child = n->kind == CONFIG_KIND_ARRAY ? n->first : index;
    unsigned mask = 0;

    if (child == 0) {
        config_want(l, index,
                    "at least one of \"slurm\", \"pam\", \"command\"");
        return;
    }
    for (; child != 0; child = child == index ? 0 : node(l, child)->next) {
        int word = read_choice(l, child, words);

        if (word == 0)
            return;
        mask |= 1U << (word - 1);
    }
    *field = mask;
}

static void read_lost(struct config_loader *l, size_t index,
                      struct config_lock *lock)
{
    static const char *const words[] = {"", "kill", "signal:NAME", "log", NULL};
    const struct config_node *n = node(l, index);
    int signo;

    if (n->kind == CONFIG_KIND_STRING && strncmp(n->text, "signal:", 7) == 0) {
        signo = parse_signal(n->text + 7);
        if (signo <= 0 || signo > 64) {
            config_fault(l, l->text->file, n->line, n->column,
                         "%s: \"%.40s\" names no signal", l->path, n->text);
            return;
        }
        lock->on_lost = CONFIG_LOST_SIGNAL;
        lock->lost_signal = signo;
        return;
    }
    signo = read_choice(l, index, words);
    if (signo == 0)
        return;
    lock->on_lost = signo == 1 ? CONFIG_LOST_KILL : CONFIG_LOST_LOG;
    lock->lost_signal = 0;
}

static void read_id(struct config_loader *l, size_t index,
                    struct config_lock *lock)
{
    const char *text = config_clean_text(
        l, index, 64, "a UUID, 32 hex digits or 22 characters of base64url");
    struct justalock_error e;

    if (text == NULL)
        return;
    if (id_parse_strict(text, strlen(text), &lock->id, &e) != JUSTALOCK_OK)
        config_fault(l, l->text->file, node(l, index)->line,
                     node(l, index)->column, "%s: %s", l->path, e.text);
    else
        lock->has_id = true;
}

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

static void read_list(struct config_loader *l, size_t index, char ***field)
{
    const struct config_node *n = node(l, index);
    bool is_array = n->kind == CONFIG_KIND_ARRAY;
    size_t child = is_array ? n->first : index;
    unsigned errors = l->errors;
    size_t len = 0, i = 0;
    char **list;

    for (size_t c = child; c != 0; c = is_array ? node(l, c)->next : 0)
        len++;
    if (len == 0 || len > CONFIG_LIST_MAX) {
        config_fault(l, l->text->file, n->line, n->column,
                     "%s: %zu entries are not within 1 and %d", l->path, len,
                     CONFIG_LIST_MAX);
        return;
    }
    list = calloc(len + 1, sizeof(*list));
    if (list == NULL) {
        l->no_memory = true;
        return;
    }
    for (size_t c = child; c != 0; c = is_array ? node(l, c)->next : 0) {
        const char *text = config_clean_text(l, c, PARSE_NAME_MAX,
                                             "a text or a list of texts");

        if (text != NULL)
            config_set_text(l, &list[i], text);
        i += list[i] != NULL;
    }
    if (l->errors != errors || l->no_memory) {
        free_list(list);
        return;
    }
    free_list(*field);
    *field = list;
}

void config_read_value(struct config_loader *l, const struct config_key *key,
                       size_t index, void *base)
{
    void *at = (char *)base + key->offset;
    const char *text;
    int word;

    switch (key->type) {
    case CONFIG_TYPE_IGNORED:
        (void)config_clean_text(l, index, CONFIG_URL_MAX, "a text");
        return;
    case CONFIG_TYPE_TEXT:
        text = config_clean_text(l, index, CONFIG_PATH_MAX, "a text");
        if (text != NULL)
            config_set_text(l, at, text);
        return;
    case CONFIG_TYPE_WORD:
        read_word(l, index, at);
        return;
    case CONFIG_TYPE_PATH:
        read_path(l, index, at);
        return;
    case CONFIG_TYPE_URL:
        config_read_url(l, index, at);
        return;
    case CONFIG_TYPE_PROXY:
        config_read_proxy(l, index, at);
        return;
    case CONFIG_TYPE_BOOL:
        read_bool(l, index, at);
        return;
    case CONFIG_TYPE_COUNT:
        read_count(l, index, key, at);
        return;
    case CONFIG_TYPE_LIFETIME:
        read_lifetime(l, index, at);
        return;
    case CONFIG_TYPE_TIME:
    case CONFIG_TYPE_WAIT:
        read_time(l, index, key, at);
        return;
    case CONFIG_TYPE_CHOICE:
        word = read_choice(l, index, key->words);
        if (word != 0)
            memcpy(at, &word, sizeof(word)); /* an enum of ours is an int */
        return;
    case CONFIG_TYPE_FOR:
        read_for(l, index, at);
        return;
    case CONFIG_TYPE_LOST:
        read_lost(l, index, base);
        return;
    case CONFIG_TYPE_ID:
        read_id(l, index, base);
        return;
    case CONFIG_TYPE_LIST:
        read_list(l, index, at);
        return;
    default:
        return; /* objects: config_schema.c */
    }
}

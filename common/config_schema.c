/* SPDX-License-Identifier: MIT */
/*
 * config_schema.c - the tables of all keys, and the walk through a file by
 * them. What single values must be is in config_value.c, what must fit
 * together in config_check.c. config/justalock.schema.json, the commented
 * config/justalock.json and the manual name the same keys: a test compares.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "parse.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char *const busy_words[] = {"", "wait", "fail", "requeue", NULL};
static const char *const unreachable_words[] = {"", "closed", "open", NULL};
static const char *const end_words[] = {"", "keep", "kill", "release", NULL};
static const char *const share_words[] = {"", "none", "host", NULL};

/* The place of a word is the number of its enum. */
_Static_assert(CONFIG_BUSY_WAIT == 1 && CONFIG_BUSY_REQUEUE == 3, "words");
_Static_assert(CONFIG_UNREACHABLE_CLOSED == 1 && CONFIG_UNREACHABLE_OPEN == 2,
               "words");
_Static_assert(CONFIG_END_KEEP == 1 && CONFIG_END_RELEASE == 3, "words");
_Static_assert(CONFIG_SHARE_NONE == 1 && CONFIG_SHARE_HOST == 2, "words");
_Static_assert(sizeof(enum config_busy) == sizeof(int), "enums are ints");

#define LOCK(m)    offsetof(struct config_lock, m)
#define RULE(m)    offsetof(struct config_rule, m)
#define CONF(m)    offsetof(struct config, m)
#define K(n, t, o) .name = n, .type = CONFIG_TYPE_##t, .offset = o

/* "id" and "slots" come first: "defaults" takes all the others. */
const struct config_key config_lock_keys[] = {
    {K("id", ID, 0)},
    {K("slots", COUNT, LOCK(slots)), .min = 1, .max = JUSTALOCK_SLOTS_MAX},
    {K("for", FOR, LOCK(for_mask))},
    {K("users", LIST, LOCK(users))},
    {K("lifetime", LIFETIME, LOCK(lifetime_s))},
    {K("wait", WAIT, LOCK(wait_ms)), .max = CONFIG_WAIT_MAX_MS},
    {K("on_busy", CHOICE, LOCK(on_busy)), .words = busy_words},
    {K("on_unreachable", CHOICE, LOCK(on_unreachable)),
     .words = unreachable_words},
    {K("on_lost", LOST, 0)},
    {K("on_end", CHOICE, LOCK(on_end)), .words = end_words},
    {K("share", CHOICE, LOCK(share)), .words = share_words},
    {K("grace", TIME, LOCK(grace_ms)), .min = 1, .max = 3600 * 1000},
    {.name = NULL}};

const struct config_key config_rule_keys[] = {
    {K("partition", LIST, RULE(partition))},
    {K("account", LIST, RULE(account))},
    {K("user", LIST, RULE(user))},
    {K("reservation", LIST, RULE(reservation))},
    {K("name", LIST, RULE(name))},
    {K("lock", LIST, RULE(lock))},
    {.name = NULL}};

static const struct config_key service_keys[] = {
    {K("url", URL, CONF(service.url))},
    {K("ca_file", PATH, CONF(service.ca_file))},
    {K("cert_file", PATH, CONF(service.cert_file))},
    {K("key_file", PATH, CONF(service.key_file))},
    {K("token_file", PATH, CONF(service.token_file))},
    {K("proxy", PROXY, CONF(service.proxy))},
    {K("timeout", TIME, CONF(service.timeout_ms)), .min = 10,
     .max = 3600 * 1000},
    {.name = NULL}};

static const struct config_key slurm_keys[] = {
    {K("cluster", WORD, CONF(slurm.cluster))},
    {K("requeue_max", COUNT, CONF(slurm.requeue_max)), .max = INT_MAX},
    {K("rules", RULES, 0), .members = config_rule_keys},
    {.name = NULL}};

static const struct config_key agent_keys[] = {
    {K("keeper_user", WORD, CONF(agent.keeper_user))},
    {K("cgroup", PATH, CONF(agent.cgroup))},
    {.name = NULL}};

const struct config_key config_top_keys[] = {
    {K("$schema", IGNORED, 0)},
    {K("service", OBJECT, 0), .members = service_keys},
    {K("secret_file", PATH, CONF(secret_file))},
    {K("hashed_names", BOOL, CONF(hashed_names))},
    {K("adhoc", BOOL, CONF(adhoc))},
    {K("defaults", LOCK, CONF(defaults)), .members = config_lock_keys + 2},
    {K("locks", LOCKS, 0), .members = config_lock_keys},
    {K("slurm", OBJECT, 0), .members = slurm_keys},
    {K("agent", OBJECT, 0), .members = agent_keys},
    {.name = NULL}};

static const struct config_node *node(const struct config_loader *l,
                                      size_t index)
{
    return &l->text->nodes[index];
}

static struct config_place key_place(const struct config_loader *l,
                                     size_t index)
{
    return (struct config_place){.file = l->text->file,
                                 .line = node(l, index)->key_line,
                                 .column = node(l, index)->key_column};
}

/* A plain word as it is, all else in quotes; long ones cut. */
size_t config_path_add(struct config_loader *l, const char *key)
{
    size_t len = strlen(l->path);
    size_t room = sizeof(l->path) - len;
    const char *dot = len == 0 || key[0] == '[' ? "" : ".";
    bool plain =
        key[0] == '[' ||
        key[strspn(key, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")] == '\0';

    if (plain && key[0] != '\0')
        (void)snprintf(l->path + len, room, "%s%.64s", dot, key);
    else
        (void)snprintf(l->path + len, room, "%s\"%.64s\"", dot, key);
    return len;
}

static void unknown_key(struct config_loader *l, size_t index,
                        const struct config_key *keys)
{
    const struct config_node *n = node(l, index);
    const char *names[32] = {NULL};
    const char *near;

    for (size_t i = 0; keys[i].name != NULL && i + 1 < ARRAY_LEN(names); i++)
        names[i] = keys[i].name;
    near = config_nearest(n->key, names);
    if (near != NULL)
        config_fault(l, l->text->file, n->key_line, n->key_column,
                     "%s: unknown key; did you mean \"%s\"?", l->path, near);
    else
        config_fault(l, l->text->file, n->key_line, n->key_column,
                     "%s: unknown key", l->path);
}

static bool is_kind(struct config_loader *l, size_t index,
                    enum config_kind kind, const char *what)
{
    const struct config_node *n = node(l, index);

    if (n->kind == kind)
        return true;
    config_fault(l, l->text->file, n->line, n->column, "%s: must be %s",
                 l->path, what);
    return false;
}

static void read_members(struct config_loader *l, size_t index,
                         const struct config_key *keys, void *base);

static void lock_init(struct config_lock *lock)
{
    *lock = (struct config_lock){.wait_ms = -2, .grace_ms = -1};
}

/* One more element of the array, which grows; NULL: no memory. */
static void *grow(struct config_loader *l, void **array, size_t size,
                  size_t len, size_t *cap)
{
    if (len == *cap) {
        size_t more = *cap * 2 + 8;
        void *bigger = realloc(*array, more * size);

        if (bigger == NULL) {
            l->no_memory = true;
            return NULL;
        }
        *array = bigger;
        *cap = more;
    }
    return (char *)*array + len * size;
}

static void read_lock(struct config_loader *l, size_t index)
{
    struct config *c = l->config;
    const char *name = node(l, index)->key;
    struct config_place place = key_place(l, index);
    struct justalock_error e;
    struct config_lock *lock;
    void *array = c->locks;

    if (c->locks_len == CONFIG_LOCKS_MAX) {
        config_fault_at(l, &place, "%s: more than %d locks", l->path,
                        CONFIG_LOCKS_MAX);
        return;
    }
    if (parse_name(name, l->path, &e) != JUSTALOCK_OK)
        config_fault_at(l, &place, "%s", e.text);
    else if (config_template_check(name, &e) != JUSTALOCK_OK)
        config_fault_at(l, &place, "%s: %s", l->path, e.text);
    lock = grow(l, &array, sizeof(*c->locks), c->locks_len, &l->locks_cap);
    c->locks = array;
    if (lock == NULL)
        return;
    lock_init(lock);
    lock->place = place;
    lock->name = strdup(name);
    if (lock->name == NULL) {
        l->no_memory = true;
        return;
    }
    c->locks_len++;
    if (is_kind(l, index, CONFIG_KIND_OBJECT, "an object; {} for the defaults"))
        read_members(l, index, config_lock_keys, lock);
}

static void read_locks(struct config_loader *l, size_t index)
{
    if (!is_kind(l, index, CONFIG_KIND_OBJECT, "an object of locks by name"))
        return;
    for (size_t i = node(l, index)->first; i != 0 && !l->no_memory;
         i = node(l, i)->next) {
        size_t len = config_path_add(l, node(l, i)->key);

        read_lock(l, i);
        l->path[len] = '\0';
    }
}

static void read_rule(struct config_loader *l, size_t index)
{
    struct config *c = l->config;
    struct config_place place = key_place(l, index);
    struct config_rule *rule;
    void *array = c->slurm.rules;
    size_t i;

    if (c->slurm.rules_len == CONFIG_RULES_MAX) {
        config_fault_at(l, &place, "%s: more than %d rules", l->path,
                        CONFIG_RULES_MAX);
        return;
    }
    rule = grow(l, &array, sizeof(*rule), c->slurm.rules_len, &l->rules_cap);
    c->slurm.rules = array;
    if (rule == NULL)
        return;
    *rule = (struct config_rule){.place = place};
    c->slurm.rules_len++;
    if (!is_kind(l, index, CONFIG_KIND_OBJECT, "an object"))
        return;
    read_members(l, index, config_rule_keys, rule);
    for (i = node(l, index)->first; i != 0; i = node(l, i)->next)
        if (strcmp(node(l, i)->key, "lock") == 0)
            return;
    config_fault_at(l, &place, "%s: \"lock\" is missing", l->path);
}

static void read_rules(struct config_loader *l, size_t index)
{
    unsigned number = 0;

    if (!is_kind(l, index, CONFIG_KIND_ARRAY, "a list of rules"))
        return;
    for (size_t i = node(l, index)->first; i != 0 && !l->no_memory;
         i = node(l, i)->next) {
        char label[24];
        size_t len;

        (void)snprintf(label, sizeof(label), "[%u]", number++);
        len = config_path_add(l, label);
        read_rule(l, i);
        l->path[len] = '\0';
    }
}

static void read_member(struct config_loader *l, size_t index,
                        const struct config_key *key, void *base)
{
    void *at = (char *)base + key->offset;

    switch (key->type) {
    case CONFIG_TYPE_LOCK:
        ((struct config_lock *)at)->place = key_place(l, index);
        /* fall through */
    case CONFIG_TYPE_OBJECT:
        if (key->members == service_keys)
            l->service = key_place(l, index);
        if (is_kind(l, index, CONFIG_KIND_OBJECT, "an object"))
            read_members(l, index, key->members, at);
        return;
    case CONFIG_TYPE_LOCKS:
        read_locks(l, index);
        return;
    case CONFIG_TYPE_RULES:
        read_rules(l, index);
        return;
    default:
        config_read_value(l, key, index, base);
        if (base == l->config && key->offset == CONF(secret_file) &&
            key->type == CONFIG_TYPE_PATH)
            l->config->secret_file_set = true;
    }
}

static void read_members(struct config_loader *l, size_t index,
                         const struct config_key *keys, void *base)
{
    for (size_t i = node(l, index)->first; i != 0 && !l->no_memory;
         i = node(l, i)->next) {
        size_t len = config_path_add(l, node(l, i)->key);
        const struct config_key *key = keys;

        while (key->name != NULL && strcmp(key->name, node(l, i)->key) != 0)
            key++;
        if (key->name == NULL)
            unknown_key(l, i, keys);
        else
            read_member(l, i, key, base);
        l->path[len] = '\0';
    }
}

void config_read_text(struct config_loader *l)
{
    l->path[0] = '\0';
    read_members(l, 0, config_top_keys, l->config);
}

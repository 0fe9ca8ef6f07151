/* SPDX-License-Identifier: MIT */
/*
 * config_check.c - what can be told only once all files are read: locks
 * defined twice, times and keys that do not fit together, names that are no
 * ids; and what is allowed but worth a warning.
 */
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_parts.h"
#include "parse.h"
#include "urls.h"

#define RULE_LOCKS_MAX 16 /* WIRE_LOCKS_MAX: locks of one piece of work */

static const struct {
    enum config_for who;
    const char *name;
} kinds[] = {{CONFIG_FOR_SLURM, "slurm"},
             {CONFIG_FOR_PAM, "pam"},
             {CONFIG_FOR_COMMAND, "command"}};

#define KINDS_LEN (sizeof(kinds) / sizeof(kinds[0]))

static void check_lock_times(struct config_loader *l,
                             const struct config_lock *lock)
{
    const struct config *c = l->config;
    unsigned mask = config_kinds(c, lock);

    for (size_t i = 0; i < KINDS_LEN; i++) {
        struct config_lock policy;
        struct lease_times times;
        struct justalock_error e;

        if ((mask & (unsigned)kinds[i].who) == 0)
            continue;
        config_merge(c, lock, kinds[i].who, &policy);
        if (config_times(c, &policy, &times, &e) == JUSTALOCK_OK)
            continue;
        if (lock != NULL)
            config_fault_at(l, &lock->place, "%s (%s): %s", l->path,
                            kinds[i].name, e.text);
        else
            config_fault_at(l,
                            c->defaults.place.file != NULL ? &c->defaults.place
                                                           : &l->service,
                            "defaults (%s): %s", kinds[i].name, e.text);
        return;
    }
}

/* A key that says something to one kind of work, on a lock for others. */
static void check_lock_kinds(struct config_loader *l,
                             const struct config_lock *lock)
{
    unsigned mask = config_kinds(l->config, lock);

    if (lock->wait_ms == -1 && (mask & CONFIG_FOR_COMMAND) == 0)
        config_fault_at(l, &lock->place,
                        "%s.wait: \"forever\" is for commands only", l->path);
    if (lock->on_busy == CONFIG_BUSY_REQUEUE && (mask & CONFIG_FOR_SLURM) == 0)
        config_fault_at(l, &lock->place,
                        "%s.on_busy: \"requeue\" is for slurm only", l->path);
    if (lock->share == CONFIG_SHARE_HOST && (mask & CONFIG_FOR_PAM) == 0)
        config_fault_at(l, &lock->place,
                        "%s.share: \"host\" is for pam only; add \"for\"",
                        l->path);
}

static void check_lock_name(struct config_loader *l,
                            const struct config_lock *lock)
{
    const struct config *c = l->config;
    static const struct config_names none;
    char name[PARSE_NAME_MAX + 1];
    struct justalock_error e;
    struct lock_id id;

    if (config_is_template(lock->name)) {
        if (lock->has_id)
            config_fault_at(l, &lock->place,
                            "%s.id: a template makes several locks, they "
                            "cannot share one id",
                            l->path);
    } else if (!lock->has_id && !c->hashed_names &&
               config_expand(lock->name, &none, name, sizeof(name), NULL) ==
                   JUSTALOCK_OK &&
               id_from_name(name, &id, &e) != JUSTALOCK_OK) {
        config_fault_at(l, &lock->place, "%s: %s", l->path, e.text);
    }
    if ((config_kinds(c, lock) & CONFIG_FOR_PAM) != 0 && !c->hashed_names &&
        !lock->has_id && urls_has_public(c->service.url))
        config_fault_at(l, &lock->place,
                        "%s: strangers at %.100s could take a lock of login "
                        "sessions by its name: set \"hashed_names\", or use a "
                        "service of your own",
                        l->path, c->service.url);
}

static int compare_locks(const void *a, const void *b)
{
    const struct config_lock *x = a, *y = b;
    bool x_plain = strchr(x->name, '%') == NULL;
    bool y_plain = strchr(y->name, '%') == NULL;

    if (x_plain != y_plain)
        return x_plain ? 1 : -1;
    return strcmp(x->name, y->name);
}

static size_t file_number(const struct config *c, const char *file)
{
    size_t i = 0;

    while (c->files[i] != NULL && c->files[i] != file)
        i++;
    return i;
}

static void check_twice(struct config_loader *l, const struct config_lock *a,
                        const struct config_lock *b)
{
    if (file_number(l->config, a->place.file) >
        file_number(l->config, b->place.file)) {
        const struct config_lock *swap = a;

        a = b;
        b = swap;
    }
    l->path[0] = '\0';
    (void)config_path_add(l, "locks");
    (void)config_path_add(l, b->name);
    config_fault_at(l, &b->place,
                    "%s: this lock is defined twice, first at %s:%u:%u",
                    l->path, a->place.file, a->place.line, a->place.column);
}

static void check_locks(struct config_loader *l)
{
    struct config *c = l->config;

    for (size_t i = 0; i < c->locks_len; i++) {
        const struct config_lock *lock = &c->locks[i];

        l->path[0] = '\0';
        (void)config_path_add(l, "locks");
        (void)config_path_add(l, lock->name);
        check_lock_name(l, lock);
        check_lock_kinds(l, lock);
        check_lock_times(l, lock);
    }
    if (c->locks_len > 1)
        qsort(c->locks, c->locks_len, sizeof(*c->locks), compare_locks);
    for (size_t i = 0; i < c->locks_len; i++) {
        c->templates_len += strchr(c->locks[i].name, '%') != NULL;
        if (i > 0 && strcmp(c->locks[i - 1].name, c->locks[i].name) == 0)
            check_twice(l, &c->locks[i - 1], &c->locks[i]);
    }
}

static void check_rule_lock(struct config_loader *l,
                            const struct config_rule *rule, const char *name)
{
    const struct config *c = l->config;
    const struct config_lock *lock;
    struct justalock_error e;

    if (parse_name(name, "lock", &e) != JUSTALOCK_OK ||
        config_template_check(name, &e) != JUSTALOCK_OK) {
        config_fault_at(l, &rule->place, "%s.lock: %s", l->path, e.text);
        return;
    }
    if (strchr(name, ',') != NULL) {
        config_fault_at(l, &rule->place,
                        "%s.lock: \"%.100s\" has a comma; several locks are a "
                        "list: [\"a\", \"b\"]",
                        l->path, name);
        return;
    }
    if (config_is_template(name))
        return;
    lock = config_find(c, name);
    if ((config_kinds(c, lock) & CONFIG_FOR_SLURM) != 0)
        return;
    if (lock != NULL)
        config_fault_at(l, &rule->place,
                        "%s.lock: \"%.100s\" is not for slurm, by its \"for\" "
                        "at %s:%u",
                        l->path, name, lock->place.file, lock->place.line);
    else
        config_fault_at(l, &rule->place,
                        "%s.lock: \"%.100s\" has no definition that lets jobs "
                        "take it",
                        l->path, name);
}

static void check_rules(struct config_loader *l)
{
    const struct config *c = l->config;

    for (size_t i = 0; i < c->slurm.rules_len; i++) {
        const struct config_rule *rule = &c->slurm.rules[i];
        size_t len = 0;

        (void)snprintf(l->path, sizeof(l->path), "slurm.rules[%zu]", i);
        while (rule->lock != NULL && rule->lock[len] != NULL)
            check_rule_lock(l, rule, rule->lock[len++]);
        if (len > RULE_LOCKS_MAX)
            config_fault_at(l, &rule->place,
                            "%s.lock: %zu locks are more than %d", l->path, len,
                            RULE_LOCKS_MAX);
    }
}

void config_check(struct config_loader *l)
{
    const struct config *c = l->config;
    unsigned errors;

    if ((c->service.cert_file == NULL) != (c->service.key_file == NULL))
        config_fault_at(l, &l->service,
                        "service: \"cert_file\" and \"key_file\" belong "
                        "together, one of them is missing");
    errors = l->errors;
    if (c->defaults.place.file != NULL || l->service.file != NULL)
        check_lock_times(l, NULL);
    /* Were each lock told that the defaults do not fit, who would read on? */
    if (l->errors == errors)
        check_locks(l);
    check_rules(l);
}

/* ---- warnings ---- */

struct warner {
    const struct config *c;
    FILE *out;
    unsigned count;
};

PRINTF_LIKE(3, 4)
static void warn_at(struct warner *w, const struct config_place *place,
                    const char *fmt, ...)
{
    char text[600];
    va_list ap;

    w->count++;
    if (w->out == NULL)
        return;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    parse_mask_unclean(text);
    if (place != NULL && place->file != NULL)
        (void)fprintf(w->out, "%s:%u:%u: warning: %s\n", place->file,
                      place->line, place->column, text);
    else
        (void)fprintf(w->out, "warning: %s\n", text);
}

static void warn_lock(struct warner *w, const struct config_lock *lock)
{
    const struct config *c = w->c;
    unsigned mask = config_kinds(c, lock);
    bool plain = !c->hashed_names && !lock->has_id;

    if (plain && !config_is_template(lock->name) &&
        id_name_is_base64_shaped(lock->name))
        warn_at(w, &lock->place,
                "locks.%.80s: a name of 22 or 24 characters is read as base64, "
                "not as text; another length, or \"id\", says what is meant",
                lock->name);
    if ((mask & CONFIG_FOR_SLURM) != 0 && strchr(lock->name, ',') != NULL)
        warn_at(w, &lock->place,
                "locks.%.80s: no job can ask for a name with a comma",
                lock->name);
    if ((mask & CONFIG_FOR_PAM) == 0)
        return;
    if (mask != CONFIG_FOR_PAM && lock->users == NULL &&
        c->defaults.users == NULL)
        warn_at(w, &lock->place,
                "locks.%.80s: any user's job or command may take this lock of "
                "login sessions and keep others out; see \"users\"",
                lock->name);
    if (plain && !urls_is_near(c->service.url))
        warn_at(w, &lock->place,
                "locks.%.80s: if strangers reach %.100s, they can take this "
                "lock of login sessions by its name; see \"hashed_names\"",
                lock->name, c->service.url);
}

/* Whom the keeper becomes where root starts it: keeper_jail.c. */
static const struct passwd *keeper_user(const struct config *c)
{
    const struct passwd *pw = getpwnam(c->agent.keeper_user);

    return pw != NULL ? pw : getpwnam("nobody");
}

/* By its mode; the keeper has no groups but its first. */
static bool may_read(const struct passwd *pw, const struct stat *st)
{
    if (st->st_uid == pw->pw_uid)
        return (st->st_mode & S_IRUSR) != 0;
    if (st->st_gid == pw->pw_gid)
        return (st->st_mode & S_IRGRP) != 0;
    return (st->st_mode & S_IROTH) != 0;
}

/* A file that the keeper reads. */
static void warn_file(struct warner *w, const char *key, const char *path,
                      bool is_secret)
{
    const struct passwd *pw = geteuid() == 0 ? keeper_user(w->c) : NULL;
    struct stat st;

    if (path == NULL)
        return;
    if (stat(path, &st) != 0 || (geteuid() != 0 && access(path, R_OK) != 0))
        warn_at(w, NULL, "service.%s: %s cannot be read", key, path);
    else if (pw != NULL && !may_read(pw, &st))
        warn_at(w, NULL,
                "service.%s: %s cannot be read by %s, who talks to the "
                "network; make it that user's",
                key, path, pw->pw_name);
    else if (is_secret && (st.st_mode & 07) != 0)
        warn_at(w, NULL,
                "service.%s: %s has mode %04o: others may use it; make it "
                "0400, of the user who talks to the network",
                key, path, (unsigned)(st.st_mode & 07777));
}

/* As keeper_jail.c will see it. */
static void warn_user(struct warner *w, const char *user)
{
    const struct passwd *pw = getpwnam(user);

    if (pw == NULL && strcmp(user, CONFIG_KEEPER_USER) != 0)
        warn_at(w, NULL,
                "agent.keeper_user: there is no user %s on this host; the "
                "keeper would run as nobody",
                user);
    else if (pw != NULL && (pw->pw_uid == 0 || pw->pw_gid == 0))
        warn_at(w, NULL,
                "agent.keeper_user: %s is root or of root's group, which the "
                "keeper refuses to be: no lock would be taken",
                user);
}

unsigned config_warn(const struct config *c, FILE *out)
{
    struct warner w = {.c = c, .out = out};

    for (size_t i = 0; i < c->locks_len; i++)
        warn_lock(&w, &c->locks[i]);
    warn_file(&w, "ca_file", c->service.ca_file, false);
    warn_file(&w, "cert_file", c->service.cert_file, false);
    warn_file(&w, "key_file", c->service.key_file, true);
    warn_user(&w, c->agent.keeper_user);
    if (urls_is_mixed(c->service.url))
        warn_at(&w, NULL,
                "service.url: of %.150s, this host alone reaches those at "
                "unix:, other hosts need all of them",
                c->service.url);
    if (c->service.token_file != NULL && urls_is_clear(c->service.url))
        warn_at(&w, NULL,
                "service.token_file: http:// sends the token in the clear");
    return w.count;
}

/* SPDX-License-Identifier: MIT */
/*
 * config.h - /etc/justalock/justalock.json and conf.d, strictly read. Only
 * the agent's guard and the command line read it; modules pass names.
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "id.h"
#include "lease.h"
#include "secret.h"

#define CONFIG_PATH        "/etc/justalock/justalock.json"
#define CONFIG_SECRET      "/etc/justalock/secret"
#define CONFIG_FILE_MAX    (1024 * 1024) /* bytes of one file */
#define CONFIG_FILES_MAX   1024          /* of conf.d */
#define CONFIG_LOCKS_MAX   65536
#define CONFIG_URL         "https://justalock.dev/"
#define CONFIG_KEEPER_USER "justalock"

enum config_for {
    CONFIG_FOR_SLURM = 1,
    CONFIG_FOR_PAM = 2,
    CONFIG_FOR_COMMAND = 4
};
enum config_busy {
    CONFIG_BUSY_UNSET,
    CONFIG_BUSY_WAIT,
    CONFIG_BUSY_FAIL,
    CONFIG_BUSY_REQUEUE
};
enum config_unreachable {
    CONFIG_UNREACHABLE_UNSET,
    CONFIG_UNREACHABLE_CLOSED,
    CONFIG_UNREACHABLE_OPEN
};
enum config_lost {
    CONFIG_LOST_UNSET,
    CONFIG_LOST_KILL,
    CONFIG_LOST_SIGNAL,
    CONFIG_LOST_LOG
};
enum config_end {
    CONFIG_END_UNSET,
    CONFIG_END_KEEP,
    CONFIG_END_KILL,
    CONFIG_END_RELEASE
};
enum config_share { CONFIG_SHARE_UNSET, CONFIG_SHARE_NONE, CONFIG_SHARE_HOST };

/* Where a value stands, for messages. file is owned by the config. */
struct config_place {
    const char *file;
    unsigned line;
    unsigned column;
};

/* A lock's definition, "defaults", or the merged result of both. */
struct config_lock {
    char *name; /* may contain %u %h %s %R; NULL in defaults */
    bool has_id;
    struct lock_id id;
    unsigned for_mask;   /* 0: unset (jobs and commands, never sessions) */
    char **users;        /* NULL-terminated; NULL: anyone. "@group" too */
    unsigned lifetime_s; /* 0: unset */
    int64_t wait_ms;     /* -2 unset, -1 for ever */
    int64_t grace_ms;    /* -1 unset */
    bool has_grace;      /* merged: grace_ms is configured, not made */
    enum config_busy on_busy;
    enum config_unreachable on_unreachable;
    enum config_lost on_lost;
    int lost_signal; /* on_lost signal:NAME */
    enum config_end on_end;
    enum config_share share;
    unsigned slots; /* holders at once; 0 unset; merged: 1 and up */
    struct config_place place;
};

/* Unset members NULL. All that are set must match (a list: any of it). */
struct config_rule {
    char **partition;
    char **account;
    char **user;
    char **reservation;
    char **name; /* job names */
    char **lock; /* what such a job takes */
    struct config_place place;
};

struct config {
    struct {
        char *url; /* never NULL */
        char *ca_file, *cert_file, *key_file, *token_file, *proxy;
        int64_t timeout_ms; /* one attempt; 0: by lifetime */
    } service;
    char *secret_file; /* never NULL */
    bool secret_file_set;
    bool hashed_names;
    bool adhoc; /* names without a definition may be used; default true */
    struct config_lock defaults;
    /* Sorted: the names with '%' first, then all others, each by strcmp. */
    struct config_lock *locks;
    size_t locks_len;
    size_t templates_len; /* how many have a '%' */
    struct {
        char *cluster;        /* the cluster's generated id, or NULL */
        unsigned requeue_max; /* restarts after which we do not requeue: 16 */
        struct config_rule *rules;
        size_t rules_len;
    } slurm;
    struct {
        char *keeper_user; /* default CONFIG_KEEPER_USER */
        char *cgroup;      /* folder for our own cgroups, or NULL: found */
    } agent;
    char **files; /* all that were read, in order; NULL-terminated */
};

/*
 * Read path and the conf.d folder beside it. path NULL: CONFIG_PATH, which
 * alone may be missing (defaults then). On CONFIG status every error found is
 * written to `report` (may be NULL) as file:line:col: error: key: text, with
 * the line and a caret, and err holds the first one (sys_errno: ENOENT or
 * EACCES tells absent and unreadable).
 *
 * A later file overrides what an earlier one sets; rules add up; a lock that
 * is defined twice is an error.
 */
enum justalock_status config_load(const char *path, struct config **ret_config,
                                  FILE *report, struct justalock_error *err)
    JUSTALOCK_MUST;
/* The same from memory, as one file of that name; no conf.d. */
enum justalock_status config_parse(const char *file, const char *data,
                                   size_t len, struct config **ret_config,
                                   FILE *report, struct justalock_error *err)
    JUSTALOCK_MUST;
void config_free(struct config *c);

/*
 * What is allowed but may not be meant, one line each as file:line:col:
 * warning: text (out may be NULL); returns how many. For `config check`;
 * looks at the files that the configuration names.
 */
unsigned config_warn(const struct config *c, FILE *out);

/* Values for the templates of names. Members may be NULL: then a template
 * that needs them does not match / is refused. */
struct config_names {
    const char *user;    /* %u */
    const char *host;    /* %h: our own host name */
    const char *service; /* %s */
    const char *ruser;   /* %R */
};
/*
 * Replace %u %h %s %R (%% is %) in a template; values percent-encoded (all
 * but letters, digits, '.', '_', '-') so that two values never collide.
 */
enum justalock_status config_expand(const char *template_text,
                                    const struct config_names *names,
                                    char *ret_name, size_t size,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The times of a policy that config_policy yields, for a lifetime of life_s
 * seconds (0: its own), as lease_times_fill takes them: not checked, what is
 * not configured is 0 and made from the lifetime there.
 */
struct lease_times;
void config_lease(const struct config *c, const struct config_lock *policy,
                  unsigned life_s, struct lease_times *ret_times);

/*
 * The policy for one lock and one kind of work: its definition over
 * "defaults" over what is built in for that kind (design sections 4, 5), every
 * field set. DENIED where the definition or "adhoc" does not let this kind
 * of work take it. Borrowed members live as long as c.
 */
enum justalock_status config_policy(const struct config *c, const char *name,
                                    enum config_for who,
                                    struct config_lock *ret_policy,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* DENIED unless policy.users lets uid (with its groups) in; root always. */
enum justalock_status config_user_allowed(const struct config_lock *policy,
                                          uint32_t uid,
                                          struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * The id of a lock: the definition's "id", else by hashed_names from the
 * secret (CONFIG where secret is NULL), else id_from_name.
 */
enum justalock_status config_lock_id(
    const struct config *c, const struct secret *secret, const char *name,
    const struct config_lock *policy, struct lock_id *ret_id,
    struct justalock_error *err) JUSTALOCK_MUST;

/* The kinds of work that may take it, a mask of enum config_for; where it does
 * not say: all but PAM. NULL: a name without a definition. */
unsigned config_kinds(const struct config *c, const struct config_lock *lock);

/* All keys with their values in effect, as commented or plain JSON. */
void config_show(const struct config *c, FILE *out, bool json);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * config_parts.h - what the files config_*.c share with each other and with
 * their tests: the state of a load, and the tables of all keys.
 */
#ifndef COMMON_CONFIG_PARTS_H
#define COMMON_CONFIG_PARTS_H

#include "config.h"
#include "config_text.h"

#define CONFIG_URL_MAX     511 /* bytes, as for justalock_options_url() */
#define CONFIG_PATH_MAX    255 /* bytes of a path in the configuration */
#define CONFIG_WAIT_MAX_MS (30LL * 24 * 3600 * 1000)
#define CONFIG_RULES_MAX   4096
#define CONFIG_LIST_MAX    1024

enum config_type {
    CONFIG_TYPE_IGNORED, /* any string */
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_WORD,  /* a text of letters, digits, '.', '_', '-' */
    CONFIG_TYPE_PATH,  /* absolute */
    CONFIG_TYPE_URL,   /* https://, http://, unix:/; several: urls.h */
    CONFIG_TYPE_PROXY, /* http://, https://, socks5://... */
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_COUNT,    /* unsigned, up to max */
    CONFIG_TYPE_LIFETIME, /* unsigned seconds */
    CONFIG_TYPE_TIME,     /* int64_t ms, min..max */
    CONFIG_TYPE_WAIT,     /* the same, or "forever" (-1) */
    CONFIG_TYPE_CHOICE,   /* an enum: its number is the place in words */
    CONFIG_TYPE_FOR,      /* a mask of enum config_for */
    CONFIG_TYPE_LOST,     /* struct config_lock: on_lost and lost_signal */
    CONFIG_TYPE_ID,       /* struct config_lock: has_id and id */
    CONFIG_TYPE_LIST,     /* char **: one text or a list of them */
    CONFIG_TYPE_OBJECT,   /* members, at the same base */
    CONFIG_TYPE_LOCK,     /* members, at offset */
    CONFIG_TYPE_LOCKS,    /* an object of locks by name */
    CONFIG_TYPE_RULES     /* a list of rules */
};

/* One key; a table of them ends with name NULL. Offsets: from the base. */
struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;
    int64_t min, max;
    const char *const *words;         /* CHOICE: "", "first", ..., NULL */
    const struct config_key *members; /* OBJECT, LOCK, LOCKS, RULES */
};

extern const struct config_key config_top_keys[];  /* struct config */
extern const struct config_key config_lock_keys[]; /* struct config_lock */
extern const struct config_key config_rule_keys[]; /* struct config_rule */
extern const char *const config_for_words[4];      /* by bit; NULL last */

/* The state of one load. */
struct config_loader {
    struct config *config;
    FILE *report;                /* may be NULL */
    struct justalock_error *err; /* of the first fault; may be NULL */
    unsigned errors;
    bool no_memory;
    struct config_text *texts; /* one per file, kept for messages */
    size_t texts_len;
    const struct config_text *text; /* the one being read */
    size_t locks_cap, rules_cap;
    struct config_place service; /* where it stands last; file NULL: nowhere */
    char path[256]; /* "locks.scratch.lifetime", cut where it is too long */
};

/* ---- config_report.c ---- */

/*
 * Report a fault at a place: file:line:col: error: text, the line, a caret;
 * the first one is kept in l->err. line 0: of the file as a whole.
 */
void config_fault(struct config_loader *l, const char *file, unsigned line,
                  unsigned column, const char *fmt, ...) PRINTF_LIKE(5, 6);
void config_fault_at(struct config_loader *l, const struct config_place *place,
                     const char *fmt, ...) PRINTF_LIKE(3, 4);
/* For config_text_parse(); ctx is the loader. */
void config_text_fault(void *ctx, const struct config_text *t, unsigned line,
                       unsigned column, const char *text);
/* The nearest of the names (ends with NULL) to a mistyped one, or NULL. */
const char *config_nearest(const char *text, const char *const *names);

/* ---- config_schema.c ---- */

/* Read the nodes of l->text into l->config. */
void config_read_text(struct config_loader *l);
/* Append "(.)key" to l->path, quoted where needed; what to cut it to after. */
size_t config_path_add(struct config_loader *l, const char *key);

/* ---- config_value.c ---- */

/* Read one value that is no object into base + key->offset. */
void config_read_value(struct config_loader *l, const struct config_key *key,
                       size_t index, void *base);
/* A fault: "KEY: must be WHAT". */
void config_want(struct config_loader *l, size_t index, const char *what);
/* A string of 1 to max bytes, clean; NULL after a fault. */
const char *config_clean_text(struct config_loader *l, size_t index, size_t max,
                              const char *what);
/* A copy of text into *field. */
void config_set_text(struct config_loader *l, char **field, const char *text);

/* ---- config_url.c ---- */

/* One server, or several: a text with commas, or a list of texts. */
void config_read_url(struct config_loader *l, size_t index, char **field);
void config_read_proxy(struct config_loader *l, size_t index, char **field);

/* ---- config_check.c ---- */

/* What can be told once all is read; sorts the locks. */
void config_check(struct config_loader *l);

/* ---- config_name.c ---- */

/* ARG where a name has a wrong %, or values that nothing keeps apart. */
enum justalock_status config_template_check(const char *name,
                                            struct justalock_error *err)
    JUSTALOCK_MUST;
/* true where it has %u %h %s %R. */
bool config_is_template(const char *name);
/* true where the template may have made this name; "%%" is '%'. */
bool config_template_match(const char *template_text, const char *name);
/* Characters that are not placeholders: the larger, the more exact. */
size_t config_template_weight(const char *template_text);

/* ---- config_policy.c ---- */

/* The definition that stands for this name, or NULL. */
const struct config_lock *config_find(const struct config *c, const char *name);
/* Definition (may be NULL) over defaults over what is built in; no checks. */
void config_merge(const struct config *c, const struct config_lock *lock,
                  enum config_for who, struct config_lock *ret_policy);
/* The times of a policy, filled; margin as for the stricter services. */
enum justalock_status config_times(const struct config *c,
                                   const struct config_lock *policy,
                                   struct lease_times *ret_times,
                                   struct justalock_error *err) JUSTALOCK_MUST;

#endif

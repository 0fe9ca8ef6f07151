/* SPDX-License-Identifier: MIT */
/*
 * deadlines.h - the table in /run that guard and watch share: one row per
 * piece of work, saying who it is and by when it must be dead.
 *
 * The guard extends, the watch ends what is not extended. A row's one atomic
 * word is the authority: a counter of changes, which of the row's two plans
 * is in force, and the state. Every change is a compare-and-swap of that word,
 * so a guard that comes too late learns it, and a plan is never seen half
 * written. All else in a row is written before the row is armed.
 */
#ifndef AGENT_DEADLINES_H
#define AGENT_DEADLINES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "error.h"
#include "proc.h"

#define TABLE_VERSION  1
#define TABLE_ROWS     4096
#define TABLE_PATH_MAX 255
#define TABLE_TAG_LEN  8

enum row_state {
    ROW_FREE = 0,
    ROW_ARMED = 1,       /* the guard may extend */
    ROW_ENDING = 2,      /* the watch ends it; nobody joins, nobody extends */
    ROW_UNCONFIRMED = 3, /* as ENDING, and not seen dead by the deadline */
    ROW_DEAD = 4,        /* nothing of it is alive */
    ROW_LAPSED = 5,      /* the lock is gone, the work lives on, by policy */
    ROW_CLOSED = 6       /* the guard saw it empty and is releasing */
};

enum row_policy { ROW_KILL = 0, ROW_SIGNAL = 1, ROW_LOG = 2 };

/* How and when a row's work is ended. */
struct row_plan {
    struct clock_time deadline; /* dead by then */
    int64_t term_lead_ms;       /* TERM so long before it */
    int64_t kill_lead_ms;       /* KILL so long before it */
    enum row_policy policy;
    int signo; /* ROW_SIGNAL */
};

enum identity_kind {
    IDENTITY_NONE = 0,
    IDENTITY_CGROUP = 1, /* all of a cgroup that we made */
    IDENTITY_SLURM = 2,  /* of Slurm's job directory: step_N/user only */
    IDENTITY_JOB = 3,    /* no cgroup: SLURM_JOB_ID in the environment */
    IDENTITY_TREE = 4,   /* no cgroup: a process and its descendants */
    IDENTITY_SESSION = 5 /* all with the same /proc/PID/sessionid */
};

#define IDENTITY_SPARES 2

struct identity {
    _Atomic uint32_t kind;        /* written last */
    uint32_t job_id;              /* JOB; SESSION: the session's id */
    uint32_t uid;                 /* JOB */
    _Atomic uint64_t root;        /* TREE: proc_key; 0: nothing started;
                                     CGROUP of a command: the command, which
                                     says whether it is over */
    _Atomic uint64_t born_before; /* ticks; 0: all. SLURM, JOB: what began
                                     later is of the next incarnation */
    /* Not the work, though found with it: the programs that opened and that
     * closed a session, once they have said that it is over. proc_key; 0 */
    _Atomic uint64_t spare[IDENTITY_SPARES];
    char path[TABLE_PATH_MAX + 1]; /* CGROUP, SLURM: the directory */
};

struct stored_plan {
    _Atomic int64_t boot_ms, raw_ms, term_lead_ms, kill_lead_ms;
    _Atomic int32_t policy, signo;
};

struct row {
    _Atomic uint64_t word;
    struct stored_plan plans[2];
    uint64_t work; /* the guard's number; 0: none */
    struct identity who;
    char label[64]; /* for the log */
};

struct table_header {
    uint64_t magic;
    uint32_t version;
    uint32_t rows;
    char boot[40];
    char tag[TABLE_TAG_LEN + 1];           /* names our cgroups */
    _Atomic uint64_t watch, guard, keeper; /* proc_key */
    _Atomic uint64_t ready;                /* the guard that answers */
    _Atomic uint64_t watch_beat, guard_beat;
    _Atomic uint32_t is_leftover; /* the watch gives way to a new agent: it
                                     only enforces, after a stop, or stands
                                     in for one of systemd's */
    _Atomic uint32_t used;        /* rows below this number may be in use */
};

struct table {
    int fd; /* its flock is the watch's */
    struct table_header *header;
    struct row *rows;
};

/*
 * Map STATE/table, making it anew where it is missing or of another boot.
 * CONFIG: it is of another version, SYS.
 */
enum justalock_status table_open(const char *state_dir, struct table *ret_table,
                                 struct justalock_error *err) JUSTALOCK_MUST;
void table_close(struct table *t);
/* The watch's lock on it, kept until the process ends; never blocks. */
bool table_try_lock(struct table *t);

/* Rows that the watch still has to act on (ARMED, ENDING, UNCONFIRMED). */
unsigned table_active(const struct table *t);

enum row_state row_state(const struct row *r);
/* One consistent look; *ret_word is for row_advance. */
enum row_state row_look(const struct row *r, struct row_plan *ret_plan,
                        uint64_t *ret_word);

/* ---- the guard's ---- */

/* A free row, marked as used; NULL: all taken. */
struct row *table_take(struct table *t);
/* FREE to ARMED; who, work and label are written already. */
void row_arm(struct row *r, const struct row_plan *plan);
/* A new deadline. false: no longer ARMED, the work is being ended. */
bool row_extend(struct row *r, struct clock_time deadline);
/* End it by this plan, or by the one in force where that is earlier. false:
 * neither ARMED nor ENDING. */
bool row_end(struct row *r, const struct row_plan *plan);
/* ARMED to CLOSED, the work having been seen empty. false: too late. */
bool row_close(struct row *r);
/* DEAD, LAPSED or CLOSED to FREE. */
void row_free(struct row *r);

/* ---- the watch's ---- */

/* To another state with the same plan; false: the row changed meanwhile. */
bool row_advance(struct row *r, uint64_t word, enum row_state state);

#endif

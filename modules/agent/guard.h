/* SPDX-License-Identifier: MIT */
/*
 * guard.h - what the parts of the guard share: who holds what for which work.
 *
 * guard.c is the loop; guard_conn speaks with modules; guard_job,
 * guard_command and guard_session know the kinds of work; guard_locks turns
 * names into locks; guard_hold acquires, extends, ends and releases;
 * guard_keeper is the link to the keeper; guard_state has the records;
 * guard_ask runs what may block in children; guard_watch sees to it that there
 * is a watch.
 *
 * One thread, and nothing in it blocks.
 */
#ifndef AGENT_GUARD_H
#define AGENT_GUARD_H

#include <sys/types.h>

/* uthash must not end the guard when there is no memory: it backs out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "agent.h"
#include "config.h"
#include "keeper_wire.h"
#include "wire.h"
#include "work.h"

#define GUARD_CONNS_MAX   4096
#define GUARD_CONNS_USERS 3072       /* of these, of all users but root */
#define GUARD_CONNS_USER  1024       /* and of one of them */
#define GUARD_SILENT_MS   10000      /* one that asks for nothing is closed */
#define GUARD_WORKS_MAX   TABLE_ROWS /* that hold or ask */
#define GUARD_FACTS_MAX   65536      /* jobs that we only know of */
#define GUARD_HANDLE_BITS 5          /* handle = work number << 5 | index */
#define GUARD_RELEASE_MS  4000       /* for one release at the service */
#define GUARD_NOTE_MS     2000       /* a waiting module hears of us by then */
#define GUARD_PATIENCE_MS 10000      /* service silent: refused, if closed */
#define GUARD_OPEN_MS     3000 /* the same: let go on, if open, and one server */
#define GUARD_RETURN_MS                                                        \
    10000 /* waiting modules come back after our                               \
             restart within that */

_Static_assert(WIRE_LOCKS_MAX <= 1 << GUARD_HANDLE_BITS, "handles");

struct guard;
struct conn;
struct work;

/* Something in the epoll set. */
struct source {
    int fd;
    void (*ready)(struct guard *g, struct source *s, uint32_t events);
};

/* One lock that a list of names asks for, with its policy. */
struct want {
    char name[PARSE_NAME_MAX + 1];
    struct lock_id id;
    struct lease_times times; /* zero fields: defaults */
    int64_t wait_ms;
    enum config_busy on_busy;
    enum config_unreachable on_unreachable;
    enum config_lost on_lost;
    int lost_signal;
    enum config_end on_end;
    unsigned slots;                 /* of a pool; 1: no pool */
    bool has_own_id;                /* the definition's "id": never hashed */
    bool has_grace;                 /* configured, not made from lifetime */
    bool is_shared;                 /* SESSION: "share": "host" */
    const struct config_lock *said; /* the definition itself; NULL: none */
};

struct wants {
    struct want v[WIRE_LOCKS_MAX];
    size_t len;
};

enum held_state {
    HELD_NOT,    /* not asked for yet */
    HELD_ASKING, /* the keeper tries */
    HELD_OURS,
    HELD_LOST,      /* was ours */
    HELD_RELEASING, /* KW_RELEASE was sent, or is to be */
    HELD_OVER       /* given back */
};

/* One lock of a work; its place in the list makes its handle. */
struct held {
    enum held_state state;
    char name[PARSE_NAME_MAX + 1];
    struct keeper_lock lock;
    bool is_known;     /* the keeper has it, since this connection */
    bool is_public_id; /* may be told: not hashed with the secret */
    struct clock_time t0;
    bool has_features;
    bool has_token;
    uint64_t token;
    char holder[KEEPER_HOLDER_MAX + 1]; /* ASKING: who has it */
    char since[KEEPER_SINCE_MAX + 1];
};

enum work_kind { WORK_JOB = 1, WORK_COMMAND = 2, WORK_SESSION = 3 };

enum work_state {
    WORK_KNOWN = 0,     /* facts of a job; nothing asked */
    WORK_RESOLVING = 1, /* a child finds out what we need to know */
    WORK_ASKING = 2,
    WORK_HELD = 3,
    WORK_LEAVING = 4,   /* over; keeps the lock until it is empty */
    WORK_ENDING = 5,    /* the watch ends it */
    WORK_RELEASING = 6, /* dead or never begun; locks are given back */
    WORK_LAPSED = 7,    /* lost, left alone by policy */
    WORK_GONE = 8       /* to be removed when its cgroup lets it */
};

/* What is kept in a record, see record.h; the rest is of this run. */
struct work_facts {
    uint64_t number;
    enum work_kind kind;
    struct wire_job job; /* JOB */
    char user[64];       /* name of the user, "" unknown */
    int64_t wait_ms;
    uint8_t on_busy;
    bool is_told;  /* JOB: by its prolog, or by Slurm itself */
    bool is_eager; /* JOB: asks without being waited for */
    bool is_over;  /* JOB_END or COMMAND_END has come */
    uint32_t uid;
    proc_key owner;                   /* COMMAND, SESSION: who asked */
    char login[64];                   /* SESSION: sshd, su.. */
    char ruser[64];                   /* SESSION: who called su or sudo */
    char rhost[64];                   /* SESSION: as far as its label needs */
    char cookie[WIRE_COOKIE_LEN + 1]; /* SESSION: who knows it may end it */
    bool is_shared; /* SESSION: with others of the user on this host */
    enum config_unreachable on_unreachable;
    enum config_lost on_lost;
    int lost_signal;
    enum config_end on_end;
    int64_t grace_ms; /* TERM to KILL when the work is ended at its end */
    int64_t since_s;  /* granted, or waiting since; wall clock */
    size_t helds_len;
};

struct work {
    struct work *prev, *next; /* guard.works, by number */
    UT_hash_handle hh;        /* guard.by_number */
    struct work_facts f;
    const char *option;                   /* as the user wrote it */
    const struct keeper_service *service; /* service_use's; NULL: not yet */
    enum work_state state;
    struct held *helds; /* f.helds_len of them; NULL: none asked */
    struct row *row;    /* NULL: nothing armed yet */
    struct identity who;
    bool is_old;        /* a later incarnation of the job runs here */
    bool is_again;      /* RELEASING: back to KNOWN afterwards */
    bool has_started;   /* some process was put in */
    struct conn *conns; /* askers of a job, owner of a command */
    struct child_run *child;
    bool is_checked;     /* the user is known and may take the locks */
    bool needs_slurm;    /* of the child that runs */
    bool is_asked_slurm; /* once is enough */
    bool is_asked_more;  /* RESOLVING: a list has come meanwhile */
    struct source life;  /* SESSION: read end of its life line; fd -1: none */
    bool is_undelivered; /* SESSION: after a restart nobody has its life line */
    bool is_warned;      /* SESSION: its terminals, of the trouble */
    int64_t patience_ms; /* SESSION: service silent: refused */
    unsigned life_s;     /* COMMAND: as asked for; 0: configured */
    char label[JUSTALOCK_LABEL_MAX + 1];
    char client[JUSTALOCK_CLIENT_MAX + 1];
    enum wire_verdict refused_as; /* while it is being requeued */
    const char *refusal;
    struct clock_time asked;  /* since when we ask */
    struct clock_time until;  /* the wait ends */
    struct clock_time silent; /* the service does not answer since; never() */
    struct clock_time empty;  /* last seen with processes, or begun */
    struct clock_time looked; /* see hold_is_due(); never(): not since we are */
    struct clock_time left_alone; /* without any asker since; never() */
    const char *trouble; /* what the service last failed with; "": nothing */
    const char *loss;    /* "": nothing is lost */
    bool is_unconfirmed;
    bool is_denied; /* the service's last word: we may not */
    bool is_busy_seen;
    unsigned tries;
};

struct conn {
    struct source source;
    struct conn *prev, *next;           /* guard.conns */
    struct conn *work_prev, *work_next; /* work.conns */
    struct work *work;
    pid_t pid;
    uint32_t uid;
    proc_key peer;
    enum wire_type asked; /* 0: nothing yet */
    bool is_closed;       /* to be freed after this pass */
    bool is_noted;
    bool is_put;        /* its process is in the work */
    bool is_batch;      /* the batch script's task */
    bool is_ended;      /* COMMAND_END waits for its answer */
    uint64_t list_next; /* LIST: number to go on with */
    struct clock_time since;
};

struct guard {
    const struct agent_options *o;
    struct table table;
    int epoll;
    struct source listener, keeper, signals, news, watch;
    bool is_accepting;
    struct config *config; /* NULL: the file is wrong and was so from the
                              start; what is held goes on */
    char config_error[240];
    struct secret secret;
    bool has_secret;
    char secret_error[240];
    char host[65];
    struct work_home home;
    struct work *works;
    struct work *by_number;
    size_t works_len;
    uint64_t next_number;
    struct conn *conns;
    size_t conns_len;
    struct child_run *children;
    struct service *services;
    bool is_keeper_ready; /* KW_READY has come */
    struct clock_time keeper_again;
    struct clock_time ping_sent;
    struct clock_time pong_seen;
    unsigned ping_looks;
    struct clock_time watch_again;
    uint64_t watch_beat_seen;
    struct clock_time watch_beat_at;
    unsigned watch_beat_looks;
    struct clock_time tick;
    bool has_closed;              /* a conn is to be freed */
    struct clock_time crowd_said; /* that users have too many connections */
    bool is_stopping;
};

/* ---- guard.c ---- */
enum justalock_status guard_watch_fd(struct guard *g, struct source *s,
                                     uint32_t events,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;
void guard_forget_fd(struct guard *g, struct source *s); /* and close it */
void guard_nudge(const struct guard *g);
bool guard_reload(struct guard *g, struct justalock_error *err);

/* ---- guard_conn.c ---- */
void conn_ready_listener(struct guard *g, struct source *s, uint32_t events);
void conn_send(struct guard *g, struct conn *c, const struct wire_msg *m);
/* pass: a descriptor that goes with it, and stays ours too; -1: none. */
void conn_send_fd(struct guard *g, struct conn *c, const struct wire_msg *m,
                  int pass);
void conn_verdict(struct guard *g, struct conn *c, enum wire_verdict verdict,
                  const char *fmt, ...) PRINTF_LIKE(4, 5);
void conn_note(struct guard *g, struct conn *c, const char *text);
void conn_close(struct guard *g, struct conn *c);
void conn_attach(struct conn *c, struct work *w);
void conn_detach(struct conn *c);
void conns_sweep(struct guard *g); /* frees what was closed */
/* Closes who has not asked for anything, accepts again where that is due. */
void conns_tick(struct guard *g, struct clock_time now);

/* ---- guard_list.c ---- */
void list_begin(struct guard *g, struct conn *c);
void list_go_on(struct guard *g, struct conn *c);

/* ---- guard_locks.c ---- */
/*
 * The locks that `list` means for this work: expanded, allowed, with ids,
 * sorted and each once. f->user must be known where a name needs it.
 */
enum justalock_status locks_parse(const struct guard *g, const char *list,
                                  const struct work_facts *f,
                                  struct wants *ret_wants,
                                  struct justalock_error *err) JUSTALOCK_MUST;
/* What a command asked for in place of the configured lifetime. ARG: the times
 * do not fit it. */
enum justalock_status locks_set_life(struct wants *wants, unsigned life_s,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;
/* As locks_parse, and those of the rules that match the job added. */
enum justalock_status locks_of_job(const struct guard *g, const char *list,
                                   const struct work_facts *f,
                                   struct wants *ret_wants,
                                   struct justalock_error *err) JUSTALOCK_MUST;
/* Whether a rule might match, and whether that depends on what only Slurm
 * can say. */
bool locks_rules_apply(const struct guard *g, const struct work_facts *f,
                       bool *ret_needs_slurm);
bool locks_needs_name(const char *list); /* "singleton" is in it */
/* May the user take them? Looks users up: for a child, or uid 0. */
enum justalock_status locks_allowed(const struct guard *g, const char *list,
                                    const struct work_facts *f,
                                    struct justalock_error *err) JUSTALOCK_MUST;
/* Does it depend on the user whether they may be taken? */
bool locks_have_users(const struct guard *g, const char *list,
                      const struct work_facts *f);
bool wants_equal(const struct wants *a, const struct wants *b);

/* ---- guard_text.c: what is large, and the same or absent for most work ----
 */
/* A text of a work begins as "", text_none, which takes no memory. */
extern const char text_none[];
/* A copy of `to`, which may be the text itself. false: no memory, *text is as
 * it was. */
bool text_set(const char **text, const char *to) JUSTALOCK_MUST;
/* At most WIRE_TEXT_MAX bytes; without memory the text says that. Never "". */
void text_say(const char **text, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_clear(const char **text);
/* The one copy of s that all work at this service has. NULL: no memory. */
const struct keeper_service *service_use(struct guard *g,
                                         const struct keeper_service *s);
/* A work less; NULL: nothing. The last one's takes the copy along. */
void service_drop(struct guard *g, const struct keeper_service *s);

/* ---- guard_take.c ---- */
/* Fill the work's helds (fresh shares and client ids) and policies. */
enum justalock_status locks_take(struct guard *g, struct work *w,
                                 const struct wants *wants, const char *client,
                                 const char *label, struct justalock_error *err)
    JUSTALOCK_MUST;
/* "a,b" of what the work holds or asks for. */
void locks_names(const struct work *w, char *ret_list, size_t size);

/* ---- guard_works.c ---- */
/* number 0: a new one. NULL: no memory, or too many. */
struct work *work_new(struct guard *g, enum work_kind kind, uint64_t number);
/* Take record, row, cgroup and connections away and free it. */
void work_remove(struct guard *g, struct work *w);
struct work *work_by_number(struct guard *g, uint64_t number);
struct work *work_by_handle(struct guard *g, uint64_t handle,
                            struct held **ret_held);
uint64_t work_handle(const struct work *w, const struct held *h);
struct work *work_by_job(struct guard *g, uint32_t job_id); /* the newest */
struct work *work_by_owner(struct guard *g, proc_key owner);
void work_text(const struct work *w, char *ret_text, size_t size);
/* Give it a place of its own: our cgroup, or what stands in for it. */
void work_place(struct guard *g, struct work *w, pid_t near);
/* Put the process in; false: err says why it is not in. */
enum justalock_status work_put(struct guard *g, struct work *w,
                               proc_key process, struct justalock_error *err)
    JUSTALOCK_MUST;
void work_changed_identity(struct work *w); /* to the row */

/* ---- guard_resume.c: after a restart, with records and table read ---- */
void guard_resume(struct guard *g);

/* ---- guard_hold.c, guard_event.c, guard_tick.c ---- */
bool hold_is_try(const struct work *w);
/* Whether it is time to look at it, and marks that it is looked at. At once
 * where it has not been since a restart: of guards that are killed again and
 * again each has to find who has ended meanwhile. */
bool hold_is_due(struct work *w, int64_t every_ms, struct clock_time now);
/* For the keeper: 0 a try, -1 for ever, else at least 1 ms. */
int64_t hold_wait_left(const struct work *w);
void hold_save(struct guard *g, struct work *w);
void hold_ask_next(struct guard *g, struct work *w);
/* Once all of it is given back. */
void hold_finish(struct guard *g, struct work *w);
/* Begin to acquire all of w->helds, one after the other. */
void hold_begin(struct guard *g, struct work *w);
/* Nobody waits any more, or it is refused: give back what was asked for. */
void hold_abandon(struct guard *g, struct work *w, bool is_again);
/* Its work is over: end or wait for what lives, then release. */
void hold_over(struct guard *g, struct work *w);
/* End the work because it is over: TERM now, KILL after its grace. */
void hold_end(struct guard *g, struct work *w);
/* Its lock is lost: what is configured for that, now. */
void hold_lose(struct guard *g, struct work *w, const char *why);
/* Tell all who wait, and give back what was asked for. */
void hold_refuse(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text);
/* On record as held, and no row of the table is its own: ended at once. */
void hold_without_row(struct guard *g, struct work *w);
/* Rows whose record is damaged: released when the watch has ended them. */
void hold_orphans(struct guard *g);
void hold_release(struct guard *g, struct work *w);
void hold_event(struct guard *g, struct work *w, struct held *h,
                const struct keeper_event *e);
/* A lease that was begun at t0 goes on. */
void hold_extended(struct guard *g, struct work *w, struct held *h,
                   struct clock_time t0);
/* The row says more than we know. */
void hold_look_at_row(struct guard *g, struct work *w);
/* Once in a while. */
void hold_tick(struct guard *g, struct work *w, struct clock_time now);

/* ---- guard_say.c: sentences ---- */
void say_waiting(struct guard *g, struct work *w);
/* A verdict for whoever waits on w. */
void say_verdict(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text);
void say_go(struct guard *g, struct work *w, struct conn *c);
/* Before it, the slots of pools, where there are any. */
void say_slots(struct guard *g, const struct work *w, struct conn *c);
/* The verdict that say_go sends. */
void say_fill_go(struct work *w, struct conn *c, struct wire_msg *ret_m);
void say_lost(struct guard *g, struct work *w, const char *text);
void say_unconfirmed(struct guard *g, struct work *w);
/* `lock "x" is held by A since 2026-11-23 14:02:11` */
void say_holder(const struct held *h, char *ret_text, size_t size);

/* ---- guard_job.c, guard_job_ask.c ---- */
void job_begin(struct guard *g, struct conn *c, const struct wire_msg *m);
void job_end(struct guard *g, struct conn *c, const struct wire_msg *m);
void job_task(struct guard *g, struct conn *c, const struct wire_msg *m);
/* Find out what is missing, then acquire. */
void job_resolve(struct guard *g, struct work *w);
void job_refused(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text);
void job_look_if_over(struct guard *g, struct work *w);
void job_courtesy(struct guard *g, struct work *w);
/* It may write past its lease: Slurm is asked to drain this node. */
void job_unconfirmed(struct guard *g, struct work *w);

/* ---- guard_command.c ---- */
void command_ask(struct guard *g, struct conn *c, const struct wire_msg *m);
void command_pid(struct guard *g, struct conn *c, const struct wire_msg *m);
void command_end(struct guard *g, struct conn *c);
void command_gone(struct guard *g, struct work *w);
/* Lost, and dead or not to be confirmed so: answer who waits for that. */
void command_settled(struct guard *g, struct work *w);

/* ---- guard_session.c ---- */
void session_open(struct guard *g, struct conn *c, const struct wire_msg *m);
void session_close(struct guard *g, struct conn *c, const struct wire_msg *m);
/* All its locks are ours and the row can be armed: find out what it is. */
void session_place(struct guard *g, struct work *w);
/* Tell who waits, and hand over the life line. */
void session_granted(struct guard *g, struct work *w);
/* Answer those who said that it is over. */
void session_settled(struct guard *g, struct work *w, const char *text);
void session_tick(struct guard *g, struct work *w, struct clock_time now);
/* After a restart of ours. */
void session_adopt(struct guard *g, struct work *w);
void session_forget(struct guard *g, struct work *w); /* its life line */
/* A line on its terminals; left_ms: until it is ended, -1: now. */
void session_tell(const struct work *w, const char *text, int64_t left_ms);

/* ---- guard_keeper.c ---- */
void keeper_link_tick(struct guard *g, struct clock_time now);
void keeper_ask(struct guard *g, struct work *w, struct held *h,
                int64_t wait_ms);
void keeper_adopt_held(struct guard *g, struct work *w, struct held *h);
void keeper_give_back(struct guard *g, uint64_t handle);

/* ---- guard_state.c ---- */
enum justalock_status state_save(struct guard *g, struct work *w,
                                 struct justalock_error *err) JUSTALOCK_MUST;
void state_drop(struct guard *g, const struct work *w);
/* Read all records; adopts their rows. Not OK: some could not be read for want
 * of memory or descriptors, and nothing was changed: end, and be started again
 * by the watch. */
enum justalock_status state_load(struct guard *g, struct justalock_error *err)
    JUSTALOCK_MUST;

/* ---- guard_ask.c ---- */
struct child_run {
    struct source source; /* its output; fd -1: at its end */
    struct child_run *prev, *next;
    pid_t pid;
    int pidfd;
    uint64_t work; /* number; 0: of nobody */
    struct clock_time until;
    char out[8192];
    size_t out_len;
    /* w is NULL where it is gone. status: of waitpid, -1: took too long */
    void (*done)(struct guard *g, struct work *w, struct child_run *c,
                 int status);
};
/*
 * Run fn in a child (that may block), its stdout kept; uid: whom it becomes
 * after fn returned, to exec argv (NULL: it ends instead).
 */
struct child_run *child_start(struct guard *g, struct work *w,
                              void (*fn)(struct guard *g, struct work *w),
                              uint32_t uid, uint32_t gid, char *const *argv,
                              void (*done)(struct guard *, struct work *,
                                           struct child_run *, int));
void children_tick(struct guard *g, struct clock_time now);
void children_reap(struct guard *g);

/* ---- guard_watch.c ---- */
void watch_look(struct guard *g, struct clock_time now);

#endif

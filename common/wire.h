/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the messages between modules (slurm, pam, command line) and the
 * agent, over a unix SEQPACKET socket, one message a packet. Frozen: version
 * 1 is understood by every later agent; fields are fixed width and little
 * endian, texts and lists are length prefixed, the version comes first.
 *
 * A connection carries one request and its answers. Except where said, the
 * kernel's SO_PEERCRED decides who asks: job messages only from uid 0.
 */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include "buf.h"
#include "parse.h"

#define WIRE_VERSION   1
#define WIRE_MAX       8192 /* bytes of a message, at most */
#define WIRE_LIST_MAX  1023 /* bytes of "NAME,NAME" */
#define WIRE_LOCKS_MAX 16   /* locks of one piece of work */
#define WIRE_FIELD_MAX 255
#define WIRE_TEXT_MAX  511
#define WIRE_SOCKET    "/run/justalock/agent.sock"

/*
 * A NOTE that begins so comes before the VERDICT of a work with a pool, and is
 * for its environment: behind it the slot of each of the verdict's locks,
 * separated by commas, "-" where a lock is no pool. Modules of before there
 * were pools show it as any other.
 */
#define WIRE_NOTE_SLOT "JUSTALOCK_SLOT="
/*
 * Before each note to a session that waits: "1", another holds the lock, or
 * "0", that is not known. An agent that goes away then leaves one that is
 * refused, not one that nobody has answered.
 */
#define WIRE_NOTE_BUSY "JUSTALOCK_BUSY="

enum wire_type {
    /* module to agent */
    WIRE_JOB_BEGIN = 1,     /* job_prolog: what this job is. Answer: VERDICT */
    WIRE_JOB_END = 2,       /* job_epilog: the job is over here. VERDICT */
    WIRE_JOB_TASK = 3,      /* a task is about to run; sent while root, from the
                               task itself: the peer's pid is put into the job's
                               work. NOTE*, then VERDICT */
    WIRE_COMMAND = 4,       /* `justalock run`: NOTE*, VERDICT, then at the loss
                               LOST; the connection is the command's owner */
    WIRE_COMMAND_PID = 5,   /* on a granted COMMAND connection: this child of
                               mine is the work. VERDICT */
    WIRE_COMMAND_END = 6,   /* on that connection: the command has ended; what
                               is left of the work keeps the lock. VERDICT */
    WIRE_LIST = 7,          /* ITEM*, then VERDICT */
    WIRE_PING = 8,          /* VERDICT */
    WIRE_RELOAD = 9,        /* uid 0: read the configuration again. VERDICT */
    WIRE_SESSION_OPEN = 32, /* a login session begins: NOTE*, then VERDICT;
                               with WIRE_GO comes the life line, the write end
                               of a FIFO: all copies closed, it is over */
    WIRE_SESSION_CLOSE = 33, /* it is over, says who knows its cookie: VERDICT
                                when its lock is free, or kept by processes */
    /* agent to module */
    WIRE_NOTE = 64,    /* text: e.g. waiting for whom; may come several times */
    WIRE_VERDICT = 65, /* status, text, locks, token */
    WIRE_ITEM = 66,    /* one row of LIST */
    WIRE_LOST = 67     /* text: the lock is lost, the work is being ended */
};

enum wire_on_busy {
    WIRE_BUSY_DEFAULT,
    WIRE_BUSY_WAIT,
    WIRE_BUSY_FAIL,
    WIRE_BUSY_REQUEUE
};
enum wire_on_lost {
    WIRE_LOST_DEFAULT,
    WIRE_LOST_KILL,
    WIRE_LOST_SIGNAL,
    WIRE_LOST_LOG
};

/* For a session, whatever is configured: no program waits longer for one. */
#define WIRE_SESSION_WAIT_MAX_MS (60 * 60 * 1000LL)

#define WIRE_WAIT_DEFAULT (-2) /* as configured; -1: for ever */
#define WIRE_NO_ARRAY     UINT32_MAX

/* What a verdict means to the module, beside its text. */
enum wire_verdict {
    WIRE_GO = 0, /* start the work; locks may be "" (none asked) */
    WIRE_REFUSED_BUSY = 1,
    WIRE_REFUSED_NET = 2,    /* service unreachable, policy closed */
    WIRE_REFUSED_DENIED = 3, /* not allowed */
    WIRE_REFUSED_CONFIG = 4,
    WIRE_REFUSED_BAD = 5,     /* the request itself is wrong */
    WIRE_REFUSED_LOST = 6,    /* the work's lock is lost; it is being ended */
    WIRE_REFUSED_REQUEUE = 7, /* refused, and the job has been requeued */
    WIRE_REFUSED_LOCAL = 8    /* the agent itself cannot (memory, disk) */
};

struct wire_job {
    uint32_t job_id;
    uint32_t leader_id; /* het leader, or job_id */
    uint32_t array_id;  /* WIRE_NO_ARRAY: none */
    uint32_t array_task;
    uint32_t restart;
    uint32_t uid;
    uint32_t gid;
    uint32_t node_count; /* 0: not known */
    char cluster[WIRE_FIELD_MAX + 1];
    char partition[WIRE_FIELD_MAX + 1];
    char reservation[WIRE_FIELD_MAX + 1];
    char account[WIRE_FIELD_MAX + 1];
    char name[WIRE_FIELD_MAX + 1];
};

/* A login session, as its PAM stack knows it. */
struct wire_session {
    uint32_t uid;                   /* of user */
    char user[WIRE_FIELD_MAX + 1];  /* PAM_USER: whose session it is */
    char ruser[WIRE_FIELD_MAX + 1]; /* PAM_RUSER: who called su or sudo */
    char rhost[WIRE_FIELD_MAX + 1];
    char service[WIRE_FIELD_MAX + 1];
    uint32_t timeout_ms; /* how long the module waits for the service */
    uint8_t on_end;      /* enum config_end's order; 0: as configured */
    uint8_t share;       /* 1: sessions of the user on this host share */
};

#define WIRE_COOKIE_LEN 32 /* hex digits */

struct wire_msg {
    enum wire_type type;
    struct wire_session session;   /* SESSION_OPEN */
    struct wire_job job;           /* JOB_* */
    uint32_t step_id;              /* JOB_TASK */
    uint32_t local_task;           /* JOB_TASK: rank on this node */
    char locks[WIRE_LIST_MAX + 1]; /* request: names; verdict: as granted */
    int64_t wait_ms;               /* WIRE_WAIT_DEFAULT, -1, 0.. */
    uint8_t on_busy;
    uint8_t on_lost;                       /* COMMAND, SESSION_OPEN */
    uint8_t signo;                         /* COMMAND, on_lost signal */
    uint32_t life_s;                       /* COMMAND; 0: as configured */
    char label[JUSTALOCK_LABEL_MAX + 1];   /* COMMAND */
    char client[JUSTALOCK_CLIENT_MAX + 1]; /* COMMAND --client-id, or "" */
    uint32_t pid;                          /* COMMAND_PID */
    uint8_t verdict;                       /* VERDICT: enum wire_verdict */
    uint8_t has_token;
    uint64_t token;
    char ids[WIRE_LIST_MAX + 1];  /* VERDICT: ids of the locks, 22 chars each,
                                     "" where names are hashed */
    char text[WIRE_TEXT_MAX + 1]; /* NOTE, VERDICT, LOST */
    char cookie[WIRE_COOKIE_LEN + 1]; /* VERDICT to a session, and its
                                         SESSION_CLOSE */
    char place[WIRE_FIELD_MAX + 1]; /* VERDICT to a command of root: the cgroup
                                       to start it in, a folder; or "" */
    /* ITEM */
    uint8_t item_state;                 /* enum wire_item_state */
    uint32_t item_pids;                 /* processes of the work, at the time */
    int64_t item_since_s;               /* wall clock */
    int64_t item_left_ms;               /* until the deadline; held only */
    char item_work[WIRE_FIELD_MAX + 1]; /* "job 812", "command 4711" */
    char item_holder[WIRE_FIELD_MAX + 1]; /* waiting: who has it; held, of a
                                             pool: the number of our slot */
};

enum wire_item_state {
    WIRE_ITEM_WAITING = 1,
    WIRE_ITEM_HELD = 2,
    WIRE_ITEM_ENDING = 3,
    WIRE_ITEM_LOST = 4,
    WIRE_ITEM_KEPT = 5 /* held by what is left of its work */
};

/* The fields of m.type only, in the order of this header. */
enum justalock_status wire_pack(const struct wire_msg *m, struct buf *b,
                                struct justalock_error *err) JUSTALOCK_MUST;
/* Strict; later versions: PROTO with both numbers. ret_m is zeroed first. */
enum justalock_status wire_unpack(const void *data, size_t len,
                                  struct wire_msg *ret_m,
                                  struct justalock_error *err) JUSTALOCK_MUST;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * server_rig.h - a server for tests: http.c's loop with the real store in a
 * thread of its own, on a unix socket, and requests to it. Its store is seen
 * through a window: a test sees each commit before it is done, may refuse it,
 * and may say who of several servers leads.
 */
#ifndef TESTS_SERVER_RIG_H
#define TESTS_SERVER_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../modules/server/http_inner.h"
#include "../../modules/server/store_inner.h"

struct rig;

/* In the server's thread, before the commit is done; false: it fails. */
typedef bool rig_commit_fn(struct rig *r, const struct lock_change *changes,
                           size_t len);

struct rig {
    struct store window; /* what the server has for its store */
    struct store *real;
    char folder[160], socket[108];
    struct server_options options;
    struct server *server;
    pthread_t thread;
    bool is_running;
    enum justalock_status ended; /* server_run's word */
    /* Set before what they are for begins; the server's thread reads them. */
    rig_commit_fn *on_commit;
    void *arg;
    long fail_at, fail_times; /* fail_alloc_at of its thread, if there is one */
    void (*arm)(long n, long times);
    bool is_shared;
    /* What the window saw. */
    unsigned commits, empty_commits, loads;
    unsigned refuse_loads;           /* so many loads fail from now on */
    enum justalock_status refuse_as; /* OK: SYS */
    bool is_stepped_down;
};

/* folder: of its state, made where it is missing. options may be NULL. */
enum justalock_status rig_up(struct rig *r, const char *folder,
                             const struct server_options *options,
                             struct justalock_error *err);
/* The same in steps: between them a test may change r->server. */
enum justalock_status rig_new(struct rig *r, const char *folder,
                              const struct server_options *options,
                              struct justalock_error *err);
void rig_run(struct rig *r);
/* SIGTERM, and wait for its end. Returns server_run's status. */
enum justalock_status rig_stop(struct rig *r);
/* rig_stop where it runs, then all of it is freed. */
void rig_down(struct rig *r);
/* Of a shared store: lead from now on, or no longer. */
void rig_lead(struct rig *r, bool is_active);

/* ---- requests ---- */

struct rig_answer {
    int status; /* 0: the connection ended, or no answer for 10 s */
    char head[4096];
    char body[16384];
    size_t body_len;
};

/* -1: it cannot. */
int rig_connect(const char *path);
/* false: the connection is gone. */
bool rig_send(int fd, const char *text, size_t len);
/* METHOD /lock?s=life with more header lines, each ended by \r\n. */
bool rig_ask(int fd, const char *method, const char *target, const char *body,
             const char *headers);
struct rig_answer rig_read(int fd);
/* The value of a header line in head; "" where there is none. */
const char *rig_header(const struct rig_answer *a, const char *name);
/* Is there something to read, or an end? */
bool rig_is_answered(int fd);
/* "/AAAA...": the lock named by a letter or digit. */
const char *rig_lock(char name);
struct lock_id rig_lock_id(char name);

/* ---- what is on disk ---- */

/* With no server on it: is there a share of that client and lock? */
bool rig_is_stored(const char *folder, char lock, const char *client);

#endif

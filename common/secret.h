/* SPDX-License-Identifier: MIT */
/*
 * secret.h - the site secret: a file like munge.key, the same on all hosts,
 * readable by root only. Client ids of jobs and hashed names come from it.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdint.h>

#include "id.h"

#define SECRET_MIN 32   /* bytes of the file, at least */
#define SECRET_MAX 1024 /* bytes of the file, at most */

struct secret {
    uint8_t data[SECRET_MAX];
    size_t len;
};

/*
 * Read a secret file: a regular file, not a link, owned by root (or by the
 * effective user), without access for group and others, SECRET_MIN to
 * SECRET_MAX bytes. CONFIG with path and reason otherwise; sys_errno ENOENT
 * or EACCES tells absent and unreadable.
 */
enum justalock_status secret_load(const char *path, struct secret *ret_secret,
                                  struct justalock_error *err) JUSTALOCK_MUST;
/* Make a new one of 64 random bytes, mode 0600, never over an existing one. */
enum justalock_status secret_create(const char *path,
                                    struct justalock_error *err) JUSTALOCK_MUST;
void secret_wipe(struct secret *s);

/* hashed_names: HMAC-SHA256(secret, name), first 16 bytes. */
void secret_lock_id(const struct secret *s, const char *name,
                    struct lock_id *ret_id);

/* What a job is, for its client id: the same on every node of the job. */
struct secret_job {
    const char *cluster; /* the cluster's generated id */
    uint32_t job_id;     /* het jobs: the leader's */
    uint32_t array_task; /* UINT32_MAX where it is none */
    uint32_t restart;
    uint32_t uid;
};

/*
 * The client id of a job for one lock: 32 lower-case hex digits and NUL, from
 * HMAC-SHA256 over the length-prefixed fields, with a domain label of its own
 * so that it never equals a hashed name.
 */
void secret_job_client(const struct secret *s, const struct secret_job *job,
                       const struct lock_id *id, char ret_client[33]);
/*
 * The client id of all sessions of one user on one host for one lock that
 * share it: as above, with a label of its own.
 */
void secret_session_client(const struct secret *s, const char *host,
                           uint32_t uid, const struct lock_id *id,
                           char ret_client[33]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * access.h - who may do what at a server that others reach over a network:
 * clients known by a bearer token or a certificate, each with rights for
 * some locks or for all. Read from one file, changed as a whole by a reload.
 *
 *     { "clients": {
 *         "cluster-a": { "token_sha256": "<64 hex digits>",
 *                        "locks": ["db-migration", "id:AAAAAAAAAAAAAAAAAAAAAQ"]
 * }, "monitor":   { "certificate": "monitor.example.org", "rights": "look" } }
 * }
 */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stdbool.h>

#include "id.h"

#define ACCESS_FILE_MAX    (1024 * 1024)
#define ACCESS_CLIENTS_MAX 1024
#define ACCESS_TOKENS_MAX  16   /* of one client */
#define ACCESS_LOCKS_MAX   4096 /* of one client */

enum access_right {
    ACCESS_LOOK = 1,
    ACCESS_TAKE = 2, /* take, refresh, release; and look at it */
    ACCESS_BREAK = 4
};

struct access;
struct access_client;

/*
 * CONFIG with file:line:col, the key and what is wrong. A file that others
 * than its owner may write is refused. Tokens stand in it as their SHA-256
 * only, so reading it gives nobody a right.
 */
enum justalock_status access_load(const char *path, struct access **ret_access,
                                  struct justalock_error *err) JUSTALOCK_MUST;
/* The same from memory; `file` names it in errors. */
enum justalock_status access_parse(const char *file, const char *data,
                                   size_t len, struct access **ret_access,
                                   struct justalock_error *err) JUSTALOCK_MUST;
void access_free(struct access *a);
size_t access_clients(const struct access *a);

/* Whose token is it? NULL: nobody's. Compares with all of them, in a time that
 * tells nothing of how near one came. */
const struct access_client *access_by_token(const struct access *a,
                                            const char *token, size_t len);
/* The client whose certificate has this common name, or NULL. The caller has
 * verified the certificate. */
const struct access_client *access_by_certificate(const struct access *a,
                                                  const char *common_name);

const char *access_name(const struct access_client *c);
/* id NULL: of all locks. */
bool access_may(const struct access_client *c, enum access_right right,
                const struct lock_id *id);

#endif

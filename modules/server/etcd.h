/* SPDX-License-Identifier: MIT */
/*
 * etcd.h - calls of etcd's JSON gateway (3.4 and later), one at a time, each
 * bounded in time and size. Knows nothing of locks.
 */
#ifndef SERVER_ETCD_H
#define SERVER_ETCD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

#define ETCD_ENDPOINTS_MAX 8
#define ETCD_HOST_MAX      255

/* Files in PEM and a file with "user:password"; NULL: none. */
struct etcd_files {
    const char *ca, *cert, *key, *user;
};

struct etcd;

/* places: "host:port[,host:port...]". With a file of tls, or ca, https is
 * spoken. CONFIG, ARG with the reason. files is borrowed for e's life. */
enum justalock_status etcd_new(const char *places,
                               const struct etcd_files *files,
                               struct etcd **ret_etcd,
                               struct justalock_error *err) JUSTALOCK_MUST;
void etcd_free(struct etcd *e);

/*
 * POST body to /v3/path, say "kv/txn". OK with the answer's tree, the caller's
 * to json_object_put. NET: no answer, or one that says that etcd cannot answer
 * now; what was asked may still have been done. PROTO, DENIED: refused, with
 * etcd's words. The endpoint that answered last is asked first; the next one
 * is asked only where may_repeat, or where nothing can have been received.
 * Blocks up to limit_ms in all, whatever is silent; and, to log in, five times
 * as long for each endpoint.
 */
enum justalock_status etcd_call(struct etcd *e, const char *path,
                                const struct buf *body, bool may_repeat,
                                int64_t limit_ms, struct json_object **ret_json,
                                struct justalock_error *err) JUSTALOCK_MUST;

/* Append data in base64, in quotes. */
void etcd_put_bytes(struct buf *b, const void *data, size_t len);
/* The member of an object as a text, "" where it is none or missing. */
const char *etcd_text(struct json_object *o, const char *key);
/* A member that is a number, or a number in a text, as int64 are; 0 where it
 * is missing, as etcd leaves out zeros. */
int64_t etcd_number(struct json_object *o, const char *key);
/* A member in base64, decoded into dst of size with a NUL behind it; false:
 * it is none, or too long. */
bool etcd_bytes(struct json_object *o, const char *key, char *dst, size_t size,
                size_t *ret_len);

#endif

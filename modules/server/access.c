/* SPDX-License-Identifier: MIT */
/*
 * access.c - the list of clients and their rights, see access.h.
 */
#include "access.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "access_inner.h"
#include "parse.h"

static void client_done(struct access_client *c)
{
    free(c->name);
    free(c->certificate);
    free(c->tokens);
    free(c->locks);
}

void access_free(struct access *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->clients_len; i++)
        client_done(&a->clients[i]);
    free(a->clients);
    free(a);
}

size_t access_clients(const struct access *a)
{
    return a->clients_len;
}

const char *access_name(const struct access_client *c)
{
    return c->name;
}

const struct access_client *access_by_token(const struct access *a,
                                            const char *token, size_t len)
{
    const struct access_client *found = NULL;
    struct sha256_ctx ctx;
    struct access_token t;

    sha256_init(&ctx);
    sha256_update(&ctx, len, (const uint8_t *)token);
    sha256_digest(&ctx, sizeof(t.sha256), t.sha256);
    for (size_t i = 0; i < a->clients_len; i++) {
        const struct access_client *c = &a->clients[i];

        for (size_t j = 0; j < c->tokens_len; j++)
            if (memeql_sec(c->tokens[j].sha256, t.sha256, sizeof(t.sha256)))
                found = c;
    }
    return found;
}

const struct access_client *access_by_certificate(const struct access *a,
                                                  const char *common_name)
{
    for (size_t i = 0; i < a->clients_len; i++)
        if (a->clients[i].certificate != NULL &&
            strcmp(a->clients[i].certificate, common_name) == 0)
            return &a->clients[i];
    return NULL;
}

bool access_may(const struct access_client *c, enum access_right right,
                const struct lock_id *id)
{
    unsigned rights = c->rights;

    if ((rights & ACCESS_TAKE) != 0)
        rights |= ACCESS_LOOK;
    if ((rights & right) == 0)
        return false;
    if (c->has_all_locks)
        return true;
    for (size_t i = 0; id != NULL && i < c->locks_len; i++)
        if (memcmp(c->locks[i].bytes, id->bytes, sizeof(id->bytes)) == 0)
            return true;
    return false;
}

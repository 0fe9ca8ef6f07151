/* SPDX-License-Identifier: MIT */
/*
 * fuzz_access.c - any bytes as the server's list of clients: refused with a
 * reason, or a list of which every client has a credential.
 */
#include <stdlib.h>
#include <string.h>

#include "../../modules/server/access_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    struct access *a = NULL;
    struct lock_id id = {{0}};

    if (access_parse("f", (const char *)data, size, &a, &err) != JUSTALOCK_OK) {
        if (a != NULL || err.text[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < a->clients_len; i++) {
        const struct access_client *c = &a->clients[i];

        if (c->tokens_len == 0 && c->certificate == NULL)
            abort();
        if (c->rights == 0 || (!c->has_all_locks && c->locks_len == 0))
            abort();
        (void)access_may(c, ACCESS_TAKE, &id);
    }
    if (access_by_token(a, (const char *)data, size) != NULL)
        abort(); /* SHA-256 of itself is in it */
    access_free(a);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * access_inner.h - what access.c (who may what) and access_read.c (the file)
 * share. For nobody else.
 */
#ifndef SERVER_ACCESS_INNER_H
#define SERVER_ACCESS_INNER_H

#include "access.h"

struct access_token {
    uint8_t sha256[32];
};

struct access_client {
    char *name;
    char *certificate; /* common name; NULL: none */
    struct access_token *tokens;
    size_t tokens_len;
    unsigned rights; /* enum access_right */
    bool has_all_locks;
    struct lock_id *locks;
    size_t locks_len;
};

struct access {
    struct access_client *clients;
    size_t clients_len;
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * config_text.h - JSON with comments, strictly parsed into nodes that know
 * where they stand. Only the configuration uses it; knows no key.
 *
 * Why not json-c here: strict as it may be told to be, it takes single quotes
 * and NaN, keeps the last of two equal keys, saturates numbers, forgets every
 * position, and loses members without a word when memory runs out. What has
 * to stand before it to mend that is this parser.
 */
#ifndef COMMON_CONFIG_TEXT_H
#define COMMON_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define CONFIG_TEXT_DEPTH 32 /* objects and arrays within each other */

enum config_kind {
    CONFIG_KIND_OBJECT,
    CONFIG_KIND_ARRAY,
    CONFIG_KIND_STRING,
    CONFIG_KIND_NUMBER,
    CONFIG_KIND_TRUE,
    CONFIG_KIND_FALSE,
    CONFIG_KIND_NULL
};

/* Lines and columns count from 1, columns in characters. */
struct config_node {
    enum config_kind kind;
    unsigned line, column;         /* of the value */
    unsigned key_line, key_column; /* of a member's key; else as the value */
    const char *key;               /* decoded; NULL: not a member */
    const char *text;   /* STRING: decoded; NUMBER: as it is written */
    size_t first, next; /* nodes[]: first child, next sibling; 0: none */
    size_t parent;
};

struct config_text {
    const char *file; /* borrowed: its name in messages */
    char *data;       /* as it was read, for messages */
    size_t len;
    char *strings;             /* what keys and texts point into */
    struct config_node *nodes; /* [0] is the whole, an object */
    size_t nodes_len, nodes_cap;
    bool is_read; /* for the loader: parsed without a fault */
};

/* Told of each fault; line 0: of the file as a whole. */
typedef void config_fault_fn(void *ctx, const struct config_text *t,
                             unsigned line, unsigned column, const char *text);

/*
 * Parse data (copied). CONFIG after one call of `fault` for a fault of
 * syntax, or one for each doubled key; NOMEM. t is to be given to
 * config_text_done() in any case.
 */
enum justalock_status config_text_parse(struct config_text *t, const char *file,
                                        const char *data, size_t len,
                                        config_fault_fn *fault, void *ctx)
    JUSTALOCK_MUST;
void config_text_done(struct config_text *t);

#endif

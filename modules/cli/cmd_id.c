/* SPDX-License-Identifier: MIT */
/*
 * cmd_id.c - `justalock id`: a lock's id as it goes over the wire.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "parse.h"

/*
 * The empty text and outer spaces have an id by the Python client's rules,
 * though nothing of ours takes such a name.
 */
static enum justalock_status id_of(const struct cli_context *c,
                                   const char *text, struct lock_id *ret_id,
                                   struct justalock_error *err)
{
    if (parse_name(text, "lock", err) == JUSTALOCK_OK ||
        c->config->hashed_names)
        return cli_context_id(c, text, ret_id, err);
    if (!parse_is_clean_text(text, strlen(text)) ||
        strlen(text) > PARSE_NAME_MAX)
        return err->status;
    cli_say("%s; no justalock program takes it", err->text);
    return id_from_name(text, ret_id, err);
}

int cmd_id(int argc, char **argv)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    struct justalock_error err;
    struct cli_context c;
    const char *path = NULL;
    enum justalock_status st;
    int opt;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (opt != 'c')
            return cli_usage("id", "the call is wrong");
        path = optarg;
    }
    if (optind >= argc)
        return cli_usage("id", "the name is missing");
    st = cli_context_open(&c, path, NULL, false, &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    for (; st == JUSTALOCK_OK && optind < argc; optind++) {
        struct lock_id id;

        st = id_of(&c, argv[optind], &id, &err);
        if (st == JUSTALOCK_OK)
            (void)puts(id_format(&id).s);
    }
    cli_context_close(&c);
    return st == JUSTALOCK_OK ? CLI_OK : cli_fail(&err, st);
}

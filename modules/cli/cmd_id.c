/* SPDX-License-Identifier: MIT */
/*
 * cmd_id.c - `justalock id`: a lock's id as it goes over the wire.
 */
#include <getopt.h>
#include <stdio.h>

#include "cli.h"

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

        st = cli_context_id(&c, argv[optind], &id, &err);
        if (st == JUSTALOCK_OK)
            (void)puts(id_format(&id).s);
    }
    cli_context_close(&c);
    return st == JUSTALOCK_OK ? CLI_OK : cli_fail(&err, st);
}

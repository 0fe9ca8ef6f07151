/* SPDX-License-Identifier: MIT */
/*
 * cmd_config.c - `justalock config`: show what is in effect; name the locks;
 * check it, and with doctor.c what is around it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "wire.h"

static const char *path_or_env(const char *path)
{
    const char *env = getenv("JUSTALOCK_CONFIG");

    if (path == NULL && env != NULL && env[0] != '\0')
        return env;
    return path;
}

static int show(const char *path, bool json)
{
    struct justalock_error err;
    struct config *c;
    enum justalock_status st = cli_config_load(path, &c, &err);

    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    config_show(c, stdout, json);
    config_free(c);
    return CLI_OK;
}

/* The names of the definitions, one a line, templates as they stand: for
 * shells that complete a name. */
static int locks(const char *path, unsigned kinds, bool json)
{
    struct justalock_error err;
    struct config *c;
    enum justalock_status st = cli_config_load(path, &c, &err);

    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    for (size_t i = 0; st == JUSTALOCK_OK && i < c->locks_len; i++)
        if ((config_kinds(c, &c->locks[i]) & kinds) != 0)
            st = cli_put_name(c->locks[i].name, json, &err);
    config_free(c);
    return st == JUSTALOCK_OK ? CLI_OK : cli_fail(&err, st);
}

/* What config_warn() says; as JSON an object for each line of it. */
static void warn(struct doctor *d, const struct config *c)
{
    char *text = NULL, *rest, *line;
    size_t len = 0;
    FILE *f = d->json ? open_memstream(&text, &len) : NULL;

    if (f == NULL) {
        d->warnings += config_warn(c, stderr);
        return;
    }
    (void)config_warn(c, f);
    if (fclose(f) == 0)
        for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
            if (line[0] != '\0')
                doctor_say(d, DOCTOR_WARN, "configuration", "%s", line);
    free(text);
}

static int check(const char *path, const char *socket, bool json)
{
    struct doctor d = {.json = json};
    struct justalock_error err;
    struct config *c;

    if (config_load(path, &c, stderr, &err) != JUSTALOCK_OK) {
        doctor_say(&d, DOCTOR_ERROR, "configuration", "%s", err.text);
        return CLI_CONFIG;
    }
    if (c->files[0] == NULL)
        doctor_say(&d, DOCTOR_OK, "configuration",
                   "there is no %s: what is built in counts", CONFIG_PATH);
    else
        doctor_say(&d, DOCTOR_OK, "configuration",
                   "%s is well formed, %zu lock%s",
                   path != NULL ? path : CONFIG_PATH, c->locks_len,
                   c->locks_len == 1 ? "" : "s");
    warn(&d, c);
    doctor_look(&d, c, socket);
    config_free(c);
    if (d.is_short)
        return CLI_LOCAL;
    return d.errors > 0 ? CLI_CONFIG : CLI_OK;
}

static unsigned kind_of(const char *word)
{
    static const char *const words[] = {"slurm", "pam", "command"};
    static const enum config_for kinds[] = {CONFIG_FOR_SLURM, CONFIG_FOR_PAM,
                                            CONFIG_FOR_COMMAND};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i]) == 0)
            return kinds[i];
    return 0;
}

int cmd_config(int argc, char **argv)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, 'h'}, /* after check, show or locks */
        {"json", no_argument, NULL, 'j'},
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"for", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0}};
    const char *path = NULL, *socket = WIRE_SOCKET, *what;
    unsigned kinds = ~0U;
    bool json = false;
    int opt;

    while ((opt = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        if (opt == 'h')
            return cli_help("config");
        if (opt == 'j')
            json = true;
        else if (opt == 'c')
            path = optarg;
        else if (opt == 's')
            socket = optarg;
        else if (opt != 'f')
            return cli_usage("config", "the call is wrong");
        else if ((kinds = kind_of(optarg)) == 0)
            return cli_usage("config",
                             "--for: \"%s\" is none of slurm, pam, command",
                             optarg);
    }
    what = optind == argc - 1 ? argv[optind] : "";
    if (strcmp(what, "show") == 0)
        return show(path_or_env(path), json);
    if (strcmp(what, "check") == 0)
        return check(path_or_env(path), socket, json);
    if (strcmp(what, "locks") == 0)
        return locks(path_or_env(path), kinds, json);
    return cli_usage("config", "it is \"check\", \"show\" or \"locks\"");
}

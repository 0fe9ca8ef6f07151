/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what the subcommands of justalock share: exit codes, the options
 * that all of them know, and the configuration seen from a command.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "buf.h"
#include "config.h"
#include "keeper.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_USAGE = 64,
    CLI_NET = 69,
    CLI_LOCAL = 71, /* the system refuses: memory, processes, descriptors */
    CLI_BUSY = 75,
    CLI_DENIED = 77,
    CLI_CONFIG = 78,
    CLI_LOST = 79,
    CLI_LOST_ALIVE = 80, /* lost, and the death of the work is not sure */
    CLI_NO_EXEC = 126,
    CLI_NOT_FOUND = 127
};

/* The exit code for a status that ended a command. */
int cli_exit_code(enum justalock_status status);
/* Say err's text on stderr; returns cli_exit_code(status). */
int cli_fail(const struct justalock_error *err, enum justalock_status status);
/* Say what is wrong with the call and where help is; returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One line "justalock: text" to stderr in one write, made clean. */
void cli_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What a verdict of the agent is to a command; GO is OK. */
enum justalock_status cli_verdict_status(unsigned verdict);

/* One line of JSON on stdout; b is done with. NOMEM: it has no whole line. */
enum justalock_status cli_put_json(struct buf *b, struct justalock_error *err)
    JUSTALOCK_MUST;
/* A lock's name on stdout: one line of text, or of JSON. */
enum justalock_status cli_put_name(const char *name, bool json,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/* Configuration, secret, and the service for a command. */
struct cli_context {
    struct config *config;
    struct secret secret;
    bool has_secret;
    struct keeper_service service;
};

/* config_load() that has told stderr what is wrong: err then says only that.
 * DENIED: not ours to read. */
enum justalock_status cli_config_load(const char *path, struct config **ret,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * Read the configuration from path (NULL: JUSTALOCK_CONFIG, else the default
 * one), then the secret where names are hashed, and the service's files where
 * `with_service`. url (NULL: JUSTALOCK_URL, else as configured) takes the
 * place of the configured one. Errors of the configuration go to stderr as
 * they are found. DENIED where a file is not ours to read.
 */
enum justalock_status cli_context_open(struct cli_context *c, const char *path,
                                       const char *url, bool with_service,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;
void cli_context_close(struct cli_context *c);

/* The policy and the id of a lock that this user wants for a command. */
enum justalock_status cli_context_lock(const struct cli_context *c,
                                       const char *name,
                                       struct config_lock *ret_policy,
                                       struct lock_id *ret_id,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

/* The id alone, also where policy would not let a command have the lock. */
enum justalock_status cli_context_id(const struct cli_context *c,
                                     const char *name, struct lock_id *ret_id,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;

/* The subcommands: argv[0] is the subcommand's name. */
int cmd_run(int argc, char **argv);
int cmd_id(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_release(int argc, char **argv);
int cmd_config(int argc, char **argv);

/* Print the help of one subcommand (NULL: of the program); CLI_OK, or
 * CLI_USAGE where there is no such subcommand. */
int cli_help(const char *command);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * help.c - the texts of --help. The manual page justalock(1) says more.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char general[] =
    "usage: justalock COMMAND [OPTION...] ARG...\n"
    "\n"
    "A named lock that many machines agree on, kept while a command runs.\n"
    "\n"
    "  run [OPTION...] NAME [--] COMMAND [ARG...]   run a command with a lock\n"
    "  id TEXT...           the lock's id on the wire\n"
    "  status NAME          free, or held by whom since when\n"
    "  list                 what this host's agent holds and waits for\n"
    "  release NAME         admin: break a lock at the service\n"
    "  config check|show|locks   look for faults, show what is in effect\n"
    "\n"
    "justalock COMMAND --help tells the options; --version the version.\n"
    "Environment: JUSTALOCK_URL and JUSTALOCK_CONFIG stand in for --url and\n"
    "--config.\n";

static const char run[] =
    "usage: justalock run [OPTION...] NAME [--] COMMAND [ARG...]\n"
    "\n"
    "Take the lock NAME, run COMMAND, keep the lock while any process of it\n"
    "runs, give it back. Exits with the command's status (128+n for signals).\n"
    "\n"
    "  -n, --nonblock         try once; exit 75 if another holds the lock\n"
    "  -w, --wait TIME        wait at most TIME (neither: for ever)\n"
    "  -t, --lifetime TIME    the lease, whole seconds (60)\n"
    "      --slots N          a pool: up to N hold the lock at once\n"
    "  -E, --conflict-exit-code CODE   exit code for busy instead of 75\n"
    "      --on-lost kill|signal:NAME|log   when the lock is lost (kill)\n"
    "      --client-id ID     a fixed client id instead of a random one\n"
    "      --label TEXT       how others see the holder\n"
    "      --url URL[,URL...] the service: https:, http:, unix:/path; or its\n"
    "                         servers\n"
    "      --config FILE      instead of /etc/justalock/justalock.json\n"
    "      --socket PATH      the agent's socket\n"
    "      --no-agent         do not ask the agent\n"
    "\n"
    "TIME: 90, 90s, 5m, 2h, 250ms.\n"
    "Exit codes of our own: 64 usage, 69 service unreachable, 71 the system\n"
    "refuses, 75 busy, 77 not allowed, 78 configuration, 79 lock lost and the\n"
    "command killed, 80 the same but its death could not be confirmed, "
    "126/127\n"
    "the command cannot be run.\n"
    "The command sees JUSTALOCK_LOCK, JUSTALOCK_TOKEN where there is one,\n"
    "JUSTALOCK_ID where names are not hashed, and JUSTALOCK_SLOT in a pool.\n";

static const char id[] =
    "usage: justalock id [--config FILE] TEXT...\n"
    "\n"
    "Print the id of each lock as it goes over the wire: 22 characters.\n"
    "A definition's \"id\" and hashed names are taken from the "
    "configuration.\n";

static const char status[] =
    "usage: justalock status [--json] [--url URL] [--config FILE] NAME\n"
    "\n"
    "Say whether the lock is free, or who holds it since when, where the\n"
    "service can tell. Exits 0 on any answer, 69 without one.\n";

static const char list[] =
    "usage: justalock list [--json | --names] [--socket PATH]\n"
    "\n"
    "What this host's agent holds and waits for, and for which processes.\n"
    "--names: the names of the locks alone. Exits 69 where no agent "
    "answers.\n";

static const char release[] =
    "usage: justalock release [-y | --yes] [--slot N] [--url unix:PATH]\n"
    "                         [--config FILE] NAME\n"
    "\n"
    "Break the lock at the service (root, over its unix socket): the holder\n"
    "cannot refresh it any more, ends its work, and the lock becomes free.\n"
    "Asks first on a terminal; --yes does not ask. --slot: of a pool only the\n"
    "holder of that slot, not all.\n";

static const char config[] =
    "usage: justalock config check [--json] [--config FILE] [--socket PATH]\n"
    "       justalock config show [--json] [--config FILE]\n"
    "       justalock config locks [--json] [--config FILE]\n"
    "                              [--for slurm|pam|command]\n"
    "\n"
    "check: look for faults in the configuration and around it: Slurm's\n"
    "plugstack.conf and PrologFlags, pam.d, the agent, the secret. Exits 78\n"
    "if there is an error. show: every key with the value in effect. locks:\n"
    "the names that are defined, or those that such work may take.\n";

static const struct {
    const char *name;
    const char *text;
} texts[] = {
    {"run", run},   {"id", id},           {"status", status},
    {"list", list}, {"release", release}, {"config", config},
};

int cli_help(const char *command)
{
    if (command == NULL) {
        (void)fputs(general, stdout);
        return CLI_OK;
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(command, texts[i].name) == 0) {
            (void)fputs(texts[i].text, stdout);
            return CLI_OK;
        }
    return cli_usage("", "there is no command \"%s\"", command);
}

/* SPDX-License-Identifier: MIT */
/*
 * spank_submit.c - our options: told to Slurm, checked where the user types
 * them (srun, sbatch, salloc), and found again where the job runs.
 */
#include <stdio.h>
#include <string.h>

#include "plugin.h"

static int check_value(int val, const char *value, int remote);

/*
 * Slurm's struct has no const. has_arg is 1 throughout: options without an
 * argument are broken up to 25.11.
 */
static char name_lock[] = "lock";
static char name_wait[] = "lock-wait";
static char name_on_busy[] = "lock-on-busy";
static char info_lock[] = "NAME[,NAME...]";
static char info_wait[] = "TIME";
static char info_on_busy[] = "wait|fail|requeue";
static char usage_lock[] = "hold these named locks while the job runs";
static char usage_wait[] = "wait at most TIME for --lock (90s, 5m, 2h)";
static char usage_on_busy[] = "when a lock of --lock is held by another";

static struct spank_option options[PLUGIN_OPTIONS] = {
    {name_lock, info_lock, usage_lock, 1, PLUGIN_OPTION_LOCK, check_value},
    {name_wait, info_wait, usage_wait, 1, PLUGIN_OPTION_WAIT, check_value},
    {name_on_busy, info_on_busy, usage_on_busy, 1, PLUGIN_OPTION_ON_BUSY,
     check_value},
};

/*
 * The name under which sbatch keeps an option among the job's own SPANK
 * variables. It survives --export=NONE and --export=VAR, which drop (up to
 * 23.11) the variable that carries the option to the batch step.
 */
static const char *const kept_as[PLUGIN_OPTIONS] = {
    "SLURM_SPANK__SLURM_SPANK_OPTION_justalock_lock",
    "SLURM_SPANK__SLURM_SPANK_OPTION_justalock_lock_wait",
    "SLURM_SPANK__SLURM_SPANK_OPTION_justalock_lock_on_busy",
};

static bool is_lock_asked; /* at submission */

/*
 * Called where the user types (-1 refuses the command) and again in
 * slurmstepd, where a refusal would only be logged: submit_request looks there.
 */
static int check_value(int val, const char *value, int remote)
{
    struct plugin_request request;
    struct justalock_error err;

    if (remote)
        return 0;
    request_init(&request);
    if (value == NULL || request_set(&request, (enum plugin_option)val, value,
                                     &err) != JUSTALOCK_OK) {
        slurm_error("justalock: %s", value == NULL ? "no value" : err.text);
        return -1;
    }
    is_lock_asked |= request.is_asked;
    return 0;
}

int submit_register(spank_t sp)
{
    for (int i = 0; i < PLUGIN_OPTIONS; i++) {
        spank_err_t rc = spank_option_register(sp, &options[i]);

        if (rc != ESPANK_SUCCESS)
            slurm_error("justalock: option --%s: %s", options[i].name,
                        spank_strerror(rc));
    }
    return 0;
}

int submit_check(const struct plugin_settings *settings)
{
    if (!settings->is_bad || !is_lock_asked)
        return 0;
    slurm_error("justalock: --lock: refused, since plugstack.conf is wrong: %s",
                settings->why);
    return -1;
}

/*
 * The option's value in ret_value, and whether it was given at all. A value
 * that does not fit is given, and too long for request_set to take.
 */
static bool option_value(spank_t sp, enum plugin_option option,
                         char ret_value[PLUGIN_VALUE_MAX + 2])
{
    char *value = NULL;
    spank_err_t rc;

    if (spank_option_getopt(sp, &options[option], &value) == ESPANK_SUCCESS &&
        value != NULL) {
        (void)snprintf(ret_value, PLUGIN_VALUE_MAX + 2, "%s", value);
        return true;
    }
    if (spank_context() != S_CTX_REMOTE)
        return false;
    rc = spank_getenv(sp, kept_as[option], ret_value, PLUGIN_VALUE_MAX + 2);
    if (rc == ESPANK_NOSPACE) {
        memset(ret_value, '?', PLUGIN_VALUE_MAX + 1);
        ret_value[PLUGIN_VALUE_MAX + 1] = '\0';
        return true;
    }
    return rc == ESPANK_SUCCESS;
}

enum justalock_status submit_request(spank_t sp,
                                     struct plugin_request *ret_request,
                                     struct justalock_error *err)
{
    struct plugin_request request;
    char value[PLUGIN_VALUE_MAX + 2];

    request_init(&request);
    for (int i = 0; i < PLUGIN_OPTIONS; i++) {
        enum plugin_option option = (enum plugin_option)i;
        enum justalock_status st;

        if (!option_value(sp, option, value))
            continue;
        st = request_set(&request, option, value, err);
        if (st != JUSTALOCK_OK)
            return st;
    }
    *ret_request = request;
    return JUSTALOCK_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * fake_spank.h - Slurm's side of the SPANK interface, for unit tests of
 * modules/slurm: answers come from tables that the test fills, and all that
 * the plugin says is kept in fake.said. Define once per test program.
 */
#ifndef TESTS_UNIT_FAKE_SPANK_H
#define TESTS_UNIT_FAKE_SPANK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../modules/slurm/plugin.h"

static struct {
    spank_context_t context;
    struct spank_option *option[8];
    int options;
    const char *value[8]; /* of the option with the same index; NULL: none */
    const char *kept;     /* SLURM_SPANK__..._lock of the job */
    const char *restarts; /* SLURM_RESTART_COUNT of the job */
    uint32_t job_id, step_id, node_id, array_id, array_task;
    int task_id;
    bool is_without_items;
    const spank_item_t *missing; /* this one alone */
    char said[8192];
    char env[2048]; /* "NAME=VALUE\n" or "-NAME\n", as set and unset */
} fake;

__attribute__((unused)) static void fake_reset(spank_context_t context)
{
    memset(&fake, 0, sizeof(fake));
    fake.context = context;
    fake.job_id = 812;
    fake.step_id = 0xfffffffbU;
}

__attribute__((format(printf, 3, 0))) static void
fake_add(char *to, size_t size, const char *fmt, va_list ap)
{
    size_t len = strlen(to);

    (void)vsnprintf(to + len, size - len, fmt, ap);
    len = strlen(to);
    (void)snprintf(to + len, size - len, "\n");
}

#define FAKE_LOG(name)                                                         \
    void name(const char *fmt, ...)                                            \
    {                                                                          \
        va_list ap;                                                            \
        va_start(ap, fmt);                                                     \
        fake_add(fake.said, sizeof(fake.said), fmt, ap);                       \
        va_end(ap);                                                            \
    }
FAKE_LOG(slurm_error)
FAKE_LOG(slurm_info)
FAKE_LOG(slurm_verbose)
FAKE_LOG(slurm_debug)
/* As in a task: to stderr too, where a forked task's parent can read it. */
void slurm_spank_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vdprintf(2, fmt, ap);
    va_end(ap);
    dprintf(2, "\n");
}

const char *spank_strerror(spank_err_t err)
{
    return err == ESPANK_SUCCESS ? "Success" : "Failure";
}

spank_context_t spank_context(void)
{
    return fake.context;
}

spank_err_t spank_option_register(spank_t sp, struct spank_option *opt)
{
    (void)sp;
    fake.option[fake.options++] = opt;
    return ESPANK_SUCCESS;
}

spank_err_t spank_option_getopt(spank_t sp, struct spank_option *opt,
                                char **ret_value)
{
    static char copy[4096];

    (void)sp;
    for (int i = 0; i < PLUGIN_OPTIONS; i++)
        if (opt->val == i && fake.value[i] != NULL) {
            (void)snprintf(copy, sizeof(copy), "%s", fake.value[i]);
            *ret_value = copy;
            return ESPANK_SUCCESS;
        }
    return ESPANK_ERROR;
}

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
    va_list ap;
    void *to;

    (void)sp;
    if (fake.is_without_items ||
        (fake.missing != NULL && *fake.missing == item))
        return ESPANK_NOT_AVAIL;
    va_start(ap, item);
    to = va_arg(ap, void *);
    va_end(ap);
    switch ((int)item) {
    case S_JOB_ID:
        return *(uint32_t *)to = fake.job_id, ESPANK_SUCCESS;
    case S_JOB_STEPID:
        return *(uint32_t *)to = fake.step_id, ESPANK_SUCCESS;
    case S_JOB_NODEID:
        return *(uint32_t *)to = fake.node_id, ESPANK_SUCCESS;
    case S_JOB_ARRAY_ID:
        return *(uint32_t *)to = fake.array_id, ESPANK_SUCCESS;
    case S_JOB_ARRAY_TASK_ID:
        return *(uint32_t *)to = fake.array_task, ESPANK_SUCCESS;
    case S_TASK_ID:
        return *(int *)to = fake.task_id, ESPANK_SUCCESS;
    case S_JOB_UID:
        return *(uid_t *)to = 2001, ESPANK_SUCCESS;
    case S_JOB_GID:
        return *(gid_t *)to = 2002, ESPANK_SUCCESS;
    default:
        return ESPANK_BAD_ARG;
    }
}

spank_err_t spank_getenv(spank_t sp, const char *name, char *buf, int len)
{
    const char *value = NULL;

    (void)sp;
    if (strcmp(name, "SLURM_SPANK__SLURM_SPANK_OPTION_justalock_lock") == 0)
        value = fake.kept;
    else if (strcmp(name, "SLURM_RESTART_COUNT") == 0)
        value = fake.restarts;
    if (value == NULL)
        return ESPANK_ENV_NOEXIST;
    if (snprintf(buf, (size_t)len, "%s", value) >= len)
        return ESPANK_NOSPACE;
    return ESPANK_SUCCESS;
}

spank_err_t spank_setenv(spank_t sp, const char *name, const char *value,
                         int overwrite)
{
    size_t len = strlen(fake.env);

    (void)sp, (void)overwrite;
    (void)snprintf(fake.env + len, sizeof(fake.env) - len, "%s=%s\n", name,
                   value);
    return ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t sp, const char *name)
{
    size_t len = strlen(fake.env);

    (void)sp;
    (void)snprintf(fake.env + len, sizeof(fake.env) - len, "-%s\n", name);
    return ESPANK_SUCCESS;
}

#endif

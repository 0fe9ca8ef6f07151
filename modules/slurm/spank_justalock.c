/* SPDX-License-Identifier: MIT */
/*
 * spank_justalock.c - the hooks that Slurm calls; nothing but who does what
 * where. See plugin.h for the parts.
 *
 * What a nonzero return would do decides the hooks that exist: in init_post_opt
 * and user_init of a batch step, in job_prolog and in job_epilog it drains the
 * node. So these either do not exist here or return 0 whatever happens; the
 * verdict is awaited, and work refused, in task_init, by ending that task.
 * extern steps have no tasks and are left alone.
 */
#include "plugin.h"

#pragma GCC visibility push(default)
SPANK_PLUGIN(justalock, 1)
#pragma GCC visibility pop

#define HOOK __attribute__((visibility("default")))

static struct plugin_settings settings;

HOOK int slurm_spank_init(spank_t sp, int ac, char **av)
{
    spank_context_t where = spank_context();

    if (where != S_CTX_LOCAL && where != S_CTX_ALLOCATOR &&
        where != S_CTX_REMOTE)
        return 0;
    settings_read(ac, av, &settings);
    if (settings.is_bad)
        slurm_error("justalock: plugstack.conf: %s", settings.why);
    if (where == S_CTX_REMOTE)
        task_stepd();
    return submit_register(sp);
}

HOOK int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
    spank_context_t where = spank_context();

    (void)sp, (void)ac, (void)av;
    if (where != S_CTX_LOCAL && where != S_CTX_ALLOCATOR)
        return 0;
    return submit_check(&settings);
}

/* init is not called in the process of these two. */
HOOK int slurm_spank_job_prolog(spank_t sp, int ac, char **av)
{
    settings_read(ac, av, &settings);
    script_begin(sp, &settings);
    return 0;
}

HOOK int slurm_spank_job_epilog(spank_t sp, int ac, char **av)
{
    settings_read(ac, av, &settings);
    script_end(sp, &settings);
    return 0;
}

HOOK int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av)
{
    (void)ac, (void)av;
    task_ask(sp, &settings);
    return 0;
}

HOOK int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
    (void)ac, (void)av;
    task_await(sp, &settings);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * plugin.h - what the parts of spank_justalock.so share. One file per place
 * that Slurm loads it in: spank_submit (srun, sbatch, salloc), spank_script
 * (job_prolog, job_epilog), spank_task (slurmstepd). spank_options reads the
 * plugstack line and the user's options, spank_wait waits for the agent;
 * both know nothing of Slurm.
 *
 * Rules of the house we are a guest in: libc and Slurm's own interface only;
 * no thread, no child, nothing that waits without a bound; hooks return 0,
 * or -1 where only the user's own command is refused by it (submission).
 */
#ifndef MODULES_SLURM_PLUGIN_H
#define MODULES_SLURM_PLUGIN_H

#include <slurm/spank.h>
#include <stdbool.h>
#include <sys/types.h>

#include "clock.h"
#include "wire.h"

#define PLUGIN_SOCKET_MAX     107 /* sun_path without its NUL */
#define PLUGIN_TIMEOUT_MS     5000
#define PLUGIN_TIMEOUT_MAX_MS 60000
/* A job's hooks outside of its own tasks: they hold up slurmd. */
#define PLUGIN_SCRIPT_MS      2000
/* In task_init_privileged the step cannot be signalled yet. */
#define PLUGIN_PRIVILEGED_MS  1000
#define PLUGIN_WAIT_MAX_MS    (INT64_C(30) * 24 * 3600 * 1000)
/* Longest value of an option; longer ones are refused. */
#define PLUGIN_VALUE_MAX      WIRE_LIST_MAX
/* Every refusal: EX_TEMPFAIL. Never RequeueExit's business by default. */
#define PLUGIN_EXIT_REFUSED   75

/* The words after spank_justalock.so in plugstack.conf. */
struct plugin_settings {
    char socket[PLUGIN_SOCKET_MAX + 1];
    int64_t timeout_ms; /* the agent's first answer */
    bool is_open;       /* no_agent=open */
    bool is_bad;        /* a wrong word: see why; jobs with locks refused */
    char why[240];
};

enum plugin_option {
    PLUGIN_OPTION_LOCK,
    PLUGIN_OPTION_WAIT,
    PLUGIN_OPTION_ON_BUSY,
    PLUGIN_OPTIONS
};

/* What the user asked for. */
struct plugin_request {
    bool is_asked; /* --lock was given */
    char locks[WIRE_LIST_MAX + 1];
    int64_t wait_ms; /* WIRE_WAIT_DEFAULT, or given */
    uint8_t on_busy; /* enum wire_on_busy */
};

/* ---- spank_options: no Slurm, no state ---------------------------------- */

void settings_read(int ac, char **av, struct plugin_settings *ret_settings);
void request_init(struct plugin_request *request);
/* Check one option's value and put it into request (not NULL). */
enum justalock_status request_set(struct plugin_request *request,
                                  enum plugin_option option, const char *value,
                                  struct justalock_error *err) JUSTALOCK_MUST;

/* ---- spank_submit -------------------------------------------------------- */

/* Tell Slurm our options, in every place but slurmd. */
int submit_register(spank_t sp);
int submit_check(const struct plugin_settings *settings);
/*
 * The values of the options, wherever Slurm kept them (hooks in which
 * spank_option_getopt may be called). ARG: one of them is wrong.
 */
enum justalock_status submit_request(spank_t sp,
                                     struct plugin_request *ret_request,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;

/* ---- spank_script, spank_task -------------------------------------------- */

void script_begin(spank_t sp, const struct plugin_settings *settings);
void script_end(spank_t sp, const struct plugin_settings *settings);

void task_stepd(void);
void task_ask(spank_t sp, const struct plugin_settings *settings);
void task_await(spank_t sp, const struct plugin_settings *settings);

/* ---- spank_wait: no Slurm ------------------------------------------------ */

enum wait_end {
    WAIT_VERDICT, /* ret_verdict is set */
    WAIT_SILENT,  /* nothing within the time */
    WAIT_GONE,    /* the agent closed the connection */
    WAIT_RUBBISH, /* not our protocol; err says what */
    WAIT_ORPHAN   /* slurmstepd is gone: nothing may be started */
};

struct wait_for {
    int fd;
    pid_t parent;     /* slurmstepd */
    int64_t first_ms; /* for the first answer */
    int64_t total_ms; /* for the verdict after that; -1: as long as it takes */
    void (*note)(const char *text, void *arg);
    void *arg;
};

/*
 * Wait for the verdict. TERM, INT, HUP, QUIT and XCPU end this process, by
 * the signal's default action; all other signals that could are swallowed
 * (`--signal=USR1` must not end a task that has no handler yet). Dispositions
 * and mask are as before on return.
 */
enum wait_end wait_verdict(const struct wait_for *w,
                           struct wire_msg *ret_verdict,
                           struct justalock_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * work.h - the processes that belong to a piece of work: count them, signal
 * them, put one in. Found anew at each call from the identity alone; nothing
 * outside of it is ever signalled, nor pid 1, nor the caller.
 *
 * work_count and work_signal allocate nothing: the watch kills with them.
 */
#ifndef AGENT_WORK_H
#define AGENT_WORK_H

#include "deadlines.h"

/* Live processes (a zombie is none); -1: it cannot be told. */
int work_count(const struct identity *who);
/* One pass: signo to all of them; returns how many there were before it, or
 * -1. Who wants them dead calls again: a process may fork meanwhile. */
int work_signal(const struct identity *who, int signo);
/* Call fn for each of them. */
void work_each(const struct identity *who, void (*fn)(void *arg, pid_t pid),
               void *arg);
/* The audit session of a process that is none of its parent's: a login's own.
 * UINT32_MAX: it has none, or shares it, as su and sudo do. */
uint32_t work_own_session(pid_t pid);
/* Is this process of the work? */
bool work_has(const struct identity *who, pid_t pid);

/* ---- work_cgroup.c: the guard's ---- */

/* Where our own cgroups go. */
struct work_home {
    char mount[TABLE_PATH_MAX + 1];  /* of cgroup v2; "": there is none */
    char root[TABLE_PATH_MAX + 1];   /* what of it is there; "": the whole */
    char folder[TABLE_PATH_MAX + 1]; /* MOUNT/justalock/TAG */
    bool is_usable;                  /* a cgroup could be made there */
};

/*
 * Find cgroup v2 in /proc/self/mountinfo, or take `folder` (from the
 * configuration; NULL: found), and try it. `ret_home->is_usable` false: err
 * says why.
 */
void work_home_find(const char *folder, const char *tag,
                    struct work_home *ret_home, struct justalock_error *err);
/* Remove what is empty in our folder and of nobody: a guard was killed before
 * it had put a cgroup that it made on record. */
void work_home_sweep(const struct work_home *home,
                     bool (*is_claimed)(void *arg, const char *path),
                     void *arg);
/* Take our folders away again where they are empty. */
void work_home_remove(const struct work_home *home);

/*
 * Make the cgroup `name` below `parent` (NULL: home->folder) and have it in
 * ret_path (TABLE_PATH_MAX + 1 bytes). One that is there already is used.
 */
enum justalock_status work_cgroup_make(const struct work_home *home,
                                       const char *parent, const char *name,
                                       char *ret_path,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;
/* true: it is gone. */
bool work_cgroup_remove(const char *path);
/* Move the very process in; STATE: it is gone. */
enum justalock_status work_cgroup_add(const char *path, proc_key process,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;
/* Is the process there already? */
bool work_cgroup_has(const struct work_home *home, const char *path, pid_t pid);
/*
 * The directory of the process in cgroup v2 as a path, "" where it is the
 * root or cannot be told.
 */
void work_cgroup_of(const struct work_home *home, pid_t pid, char *ret_path);
/*
 * Where Slurm itself keeps the process in a v2 cgroup of this job, the job's
 * directory; else "".
 */
void work_slurm_folder(const struct work_home *home, pid_t pid, uint32_t job_id,
                       char *ret_path);

#endif

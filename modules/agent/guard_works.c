/* SPDX-License-Identifier: MIT */
/*
 * guard_works.c - the list of all work: made, found, placed where the watch
 * can find it, and taken away.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "guard.h"
#include "log.h"

struct work *work_new(struct guard *g, enum work_kind kind, uint64_t number)
{
    struct work *w;

    if (g->works_len >= GUARD_FACTS_MAX)
        return NULL;
    w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->f.number = number != 0 ? number : g->next_number++;
    w->f.kind = kind;
    w->f.wait_ms = WIRE_WAIT_DEFAULT;
    w->silent = clock_never();
    w->left_alone = clock_never();
    w->life.fd = -1;
    w->option = w->refusal = w->trouble = w->loss = text_none;
    w->empty = clock_now();
    w->looked = w->empty;
    HASH_ADD(hh, g->by_number, f.number, sizeof(w->f.number), w);
    if (!w->hh.tbl) {
        free(w);
        return NULL;
    }
    DL_APPEND(g->works, w);
    g->works_len++;
    return w;
}

void work_remove(struct guard *g, struct work *w)
{
    while (w->conns)
        conn_detach(w->conns);
    if (w->who.kind == IDENTITY_CGROUP && w->who.path[0] != '\0' &&
        !work_cgroup_remove(w->who.path)) {
        /* What has just died may still be in it: again in a while. */
        w->state = WORK_GONE;
        if (++w->tries < 600)
            return;
        log_warn("cgroup %s cannot be removed: %s", w->who.path,
                 strerror(errno));
    }
    session_forget(g, w);
    if (w->row)
        row_free(w->row);
    state_drop(g, w);
    DL_DELETE(g->works, w);
    HASH_DEL(g->by_number, w);
    g->works_len--;
    if (w->helds)
        explicit_bzero(w->helds, w->f.helds_len * sizeof(*w->helds));
    free(w->helds);
    service_drop(g, w->service);
    text_clear(&w->option);
    text_clear(&w->refusal);
    text_clear(&w->trouble);
    text_clear(&w->loss);
    free(w);
}

struct work *work_by_number(struct guard *g, uint64_t number)
{
    struct work *w;

    HASH_FIND(hh, g->by_number, &number, sizeof(number), w);
    return w;
}

uint64_t work_handle(const struct work *w, const struct held *h)
{
    return w->f.number << GUARD_HANDLE_BITS | (uint64_t)(h - w->helds);
}

struct work *work_by_handle(struct guard *g, uint64_t handle,
                            struct held **ret_held)
{
    struct work *w = work_by_number(g, handle >> GUARD_HANDLE_BITS);
    size_t i = handle & ((1U << GUARD_HANDLE_BITS) - 1);

    if (!w || i >= w->f.helds_len)
        return NULL;
    *ret_held = &w->helds[i];
    return w;
}

struct work *work_by_job(struct guard *g, uint32_t job_id)
{
    struct work *w;

    DL_FOREACH (g->works, w)
        if (w->f.kind == WORK_JOB && w->f.job.job_id == job_id && !w->is_old &&
            !w->f.is_over)
            return w;
    return NULL;
}

struct work *work_by_owner(struct guard *g, proc_key owner)
{
    struct work *w;

    if (owner == 0)
        return NULL;
    DL_FOREACH (g->works, w)
        if (w->f.kind == WORK_COMMAND && w->f.owner == owner && !w->f.is_over)
            return w;
    return NULL;
}

void work_text(const struct work *w, char *ret_text, size_t size)
{
    if (w->f.kind == WORK_COMMAND)
        (void)snprintf(ret_text, size, "command %d",
                       (int)proc_key_pid(w->f.owner));
    else if (w->f.kind == WORK_SESSION)
        (void)snprintf(ret_text, size, "%.16s session %d of %.24s", w->f.login,
                       (int)proc_key_pid(w->f.owner), w->f.user);
    else if (w->f.job.array_id != WIRE_NO_ARRAY)
        (void)snprintf(ret_text, size, "job %u_%u", w->f.job.array_id,
                       w->f.job.array_task);
    else
        (void)snprintf(ret_text, size, "job %u", w->f.job.job_id);
}

/* ---- its place ---- */

void work_changed_identity(struct work *w)
{
    if (!w->row)
        return;
    /* Once, and its kind last: the watch reads the row while it is armed. */
    if (atomic_load(&w->row->who.kind) == IDENTITY_NONE) {
        w->row->who.job_id = w->who.job_id;
        w->row->who.uid = w->who.uid;
        memcpy(w->row->who.path, w->who.path, sizeof(w->who.path));
        if (row_state(w->row) == ROW_FREE)
            work_text(w, w->row->label, sizeof(w->row->label));
        atomic_store(&w->row->who.root, atomic_load(&w->who.root));
        atomic_store(&w->row->who.kind, w->who.kind);
    }
    for (int i = 0; i < IDENTITY_SPARES; i++)
        atomic_store(&w->row->who.spare[i], atomic_load(&w->who.spare[i]));
    atomic_store(&w->row->who.born_before, atomic_load(&w->who.born_before));
    atomic_store(&w->row->who.root, atomic_load(&w->who.root));
}

static void place_without_cgroup(struct work *w)
{
    w->who.path[0] = '\0';
    w->who.kind = w->f.kind == WORK_JOB ? IDENTITY_JOB : IDENTITY_TREE;
    w->who.job_id = w->f.job.job_id;
    w->who.uid = w->f.uid;
}

void work_place(struct guard *g, struct work *w, pid_t near)
{
    char parent[TABLE_PATH_MAX + 1] = "";
    char name[64];
    struct justalock_error err;

    if (w->who.kind != IDENTITY_NONE)
        return;
    if (w->f.kind == WORK_JOB && near > 0) {
        work_slurm_folder(&g->home, near, w->f.job.job_id, w->who.path);
        if (w->who.path[0] != '\0') {
            w->who.kind = IDENTITY_SLURM;
            return;
        }
    }
    if (w->f.kind == WORK_SESSION && work_own_session(near) != UINT32_MAX) {
        w->who.kind = IDENTITY_SESSION;
        w->who.job_id = work_own_session(near);
        return;
    }
    /* A user's command stays within the limits of where it was started, and
     * su and sudo within the login that they are of. */
    if (w->f.kind == WORK_SESSION ||
        (w->f.kind == WORK_COMMAND && w->f.uid != 0))
        work_cgroup_of(&g->home, near, parent);
    if (w->f.kind == WORK_JOB)
        (void)snprintf(name, sizeof(name), "job-%u-%u", w->f.job.job_id,
                       w->f.job.restart);
    else
        (void)snprintf(name, sizeof(name), "%s%s%llu",
                       parent[0]                   ? "justalock-"
                       : w->f.kind == WORK_SESSION ? "session-"
                                                   : "command-",
                       parent[0] ? g->table.header->tag : "",
                       (unsigned long long)w->f.number);
    if (g->home.is_usable &&
        ((parent[0] && work_cgroup_make(&g->home, parent, name, w->who.path,
                                        &err) == JUSTALOCK_OK) ||
         work_cgroup_make(&g->home, NULL, name, w->who.path, &err) ==
             JUSTALOCK_OK)) {
        w->who.kind = IDENTITY_CGROUP;
        return;
    }
    place_without_cgroup(w);
}

enum justalock_status work_put(struct guard *g, struct work *w,
                               proc_key process, struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    if (!proc_key_is_alive(process))
        return error_set(err, JUSTALOCK_STATE, "process %d is gone",
                         (int)proc_key_pid(process));
    work_place(g, w, proc_key_pid(process));
    switch ((enum identity_kind)w->who.kind) {
    case IDENTITY_CGROUP:
        /* The kernel lets a migration wait for all CPUs, milliseconds long. */
        if (!work_cgroup_has(&g->home, w->who.path, proc_key_pid(process)))
            st = work_cgroup_add(w->who.path, process, err);
        if (w->f.kind == WORK_COMMAND)
            atomic_store(&w->who.root, process);
        break;
    case IDENTITY_SLURM:
        if (!work_has(&w->who, proc_key_pid(process)))
            st = error_set(err, JUSTALOCK_STATE,
                           "process %d is not in Slurm's cgroup %s",
                           (int)proc_key_pid(process), w->who.path);
        break;
    case IDENTITY_TREE:
        atomic_store(&w->who.root, process);
        break;
    case IDENTITY_JOB:
    case IDENTITY_SESSION:
    case IDENTITY_NONE:
        break; /* found by what the kernel or Slurm has marked it with */
    }
    if (st == JUSTALOCK_OK)
        work_changed_identity(w);
    w->has_started |= st == JUSTALOCK_OK;
    w->empty = clock_now();
    return st;
}

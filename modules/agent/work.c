/* SPDX-License-Identifier: MIT */
/*
 * work.c - finds, counts and signals the processes of a piece of work: those
 * of a cgroup, of the step leaves of Slurm's own cgroups, or, where there are
 * none, those that carry the job's id in their environment, descend from a
 * process, or are of the same audit session. Nothing here allocates or blocks.
 */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parse.h"

#define DEPTH_MAX   8  /* of cgroups below a leaf */
#define PARENTS_MAX 64 /* steps up a process tree */

/* One pass over a work. */
struct pass {
    const struct identity *who;
    int signo; /* 0: count */
    int count;
    bool is_blind; /* something could not be read */
    unsigned depth;
    void (*fn)(void *arg, pid_t pid); /* NULL: none */
    void *arg;
};

static bool is_born_late(const struct identity *who, uint64_t start)
{
    uint64_t limit = atomic_load(&who->born_before);

    return limit != 0 && start >= limit;
}

static bool is_spared(const struct identity *who, pid_t pid)
{
    for (int i = 0; i < IDENTITY_SPARES; i++) {
        uint64_t key = atomic_load(&who->spare[i]);

        if (key != 0 && proc_key_pid(key) == pid && proc_key_of(pid) == key)
            return true;
    }
    return false;
}

/* All processes of the cgroup, without exception? */
static bool is_whole(const struct identity *who)
{
    return atomic_load(&who->born_before) == 0 &&
           atomic_load(&who->spare[0]) == 0 && atomic_load(&who->spare[1]) == 0;
}

/* ---- cgroups ---- */

/* The end of the directory's path that a member's /proc/PID/cgroup shows. */
static const char *telling_end(const struct identity *who)
{
    const char *end = strrchr(who->path, '/');

    /* For ours two components: the tag makes it unique on the machine. */
    while (who->kind == IDENTITY_CGROUP && end && end > who->path)
        if (*--end == '/')
            break;
    return end;
}

static bool is_member(const struct identity *who, pid_t pid)
{
    const char *end = telling_end(who);
    char path[PATH_MAX];
    const char *at;
    char next;

    proc_cgroup_path(pid, path, sizeof(path));
    at = end ? strstr(path, end) : NULL;
    if (!at)
        return false;
    next = at[strlen(end)];
    if (who->kind == IDENTITY_SLURM)
        return strncmp(at + strlen(end), "/step_", 6) == 0;
    return next == '/' || next == '\0';
}

static void take_member(struct pass *p, pid_t pid)
{
    struct proc_stat st;
    int fd;

    /* 0: of another pid namespace; only cgroup.kill reaches it. */
    if (pid != 0 && atomic_load(&p->who->born_before) != 0 &&
        proc_stat_read(pid, &st) && is_born_late(p->who, st.start))
        return;
    if (is_spared(p->who, pid))
        return;
    p->count++;
    if (p->fn)
        p->fn(p->arg, pid);
    if (p->signo == 0 || pid <= 1 || pid == getpid())
        return;
    fd = proc_pidfd_open(pid);
    if (fd < 0) {
        if (errno != ESRCH && is_member(p->who, pid))
            (void)kill(pid, p->signo);
        return;
    }
    if (is_member(p->who, pid))
        (void)proc_pidfd_signal(fd, p->signo); /* gone is as good */
    (void)close(fd);
}

/* cgroup.procs: one pid a line, read in pieces. */
static void take_members(struct pass *p, int dir)
{
    char data[2048];
    pid_t pid = -1;
    ssize_t n;
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        p->is_blind |= errno != ENOENT;
        return;
    }
    while ((n = read(fd, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (data[i] >= '0' && data[i] <= '9') {
                pid = (pid < 0 ? 0 : pid * 10) + (data[i] - '0');
                continue;
            }
            if (pid >= 0)
                take_member(p, pid);
            pid = -1;
        }
    }
    p->is_blind |= n < 0 && errno != ENODEV; /* removed meanwhile */
    (void)close(fd);
}

static void take_folder(struct pass *p, int dir);

static bool take_subfolder(void *arg, int dir, const char *name)
{
    struct pass *p = arg;
    int fd;

    /* The files there are called cgroup.* and CONTROLLER.*. */
    if (strchr(name, '.'))
        return true;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return true;
    take_folder(p, fd);
    (void)close(fd);
    return true;
}

static void take_folder(struct pass *p, int dir)
{
    if (p->depth >= DEPTH_MAX) {
        p->is_blind = true;
        return;
    }
    p->depth++;
    /* Linux 5.14: all at once, whoever forks. */
    if (p->signo == SIGKILL && is_whole(p->who))
        (void)proc_write_file(dir, "cgroup.kill", "1");
    take_members(p, dir);
    p->is_blind |=
        proc_each_name(dir, take_subfolder, p) < 0 && errno != ENOENT;
    p->depth--;
}

/*
 * Of a Slurm step only what lies in `user`: slurmstepd sits in `slurm`. The
 * extern step holds no work: Slurm's own sleep, and shells of pam_slurm_adopt.
 */
static bool take_step(void *arg, int dir, const char *name)
{
    char path[NAME_MAX + 8];
    int fd;

    if (strncmp(name, "step_", 5) != 0 || strcmp(name, "step_extern") == 0)
        return true;
    (void)snprintf(path, sizeof(path), "%s/user", name);
    fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return true;
    take_folder(arg, fd);
    (void)close(fd);
    return true;
}

static void pass_cgroup(struct pass *p)
{
    int dir = open(p->who->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0) {
        p->is_blind |= errno != ENOENT;
        return;
    }
    if (p->who->kind == IDENTITY_CGROUP)
        take_folder(p, dir);
    else
        p->is_blind |= proc_each_name(dir, take_step, p) < 0;
    (void)close(dir);
}

/* ---- without cgroups ---- */

/* Does the process carry SLURM_JOB_ID=ID in its environment? */
static bool has_job_in_environment(pid_t pid, uint32_t job_id)
{
    char want[40];
    char path[32];
    char data[4096];
    size_t at = 0; /* bytes of `want` that match so far */
    bool is_start = true;
    size_t len;
    bool found = false;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    len = (size_t)snprintf(want, sizeof(want), "SLURM_JOB_ID=%u", job_id) + 1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (!found && (n = read(fd, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n && !found; i++) {
            if (is_start && data[i] == want[at]) {
                found = ++at == len; /* its NUL too */
                continue;
            }
            is_start = data[i] == '\0';
            at = 0;
        }
    }
    (void)close(fd);
    return found;
}

/* The audit session, set once by pam_loginuid and inherited; a user cannot
 * change it. UINT32_MAX: none. */
static uint32_t session_of(pid_t pid)
{
    char path[32];
    char text[16];
    uint64_t id;

    (void)snprintf(path, sizeof(path), "/proc/%d/sessionid", (int)pid);
    if (proc_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return UINT32_MAX;
    text[strcspn(text, "\n")] = '\0';
    return parse_u64(text, 0, UINT32_MAX, "session", &id, NULL) == JUSTALOCK_OK
               ? (uint32_t)id
               : UINT32_MAX;
}

uint32_t work_own_session(pid_t pid)
{
    struct proc_stat st;
    uint32_t id = session_of(pid);

    return id != UINT32_MAX && proc_stat_read(pid, &st) &&
                   session_of(st.parent) != id
               ? id
               : UINT32_MAX;
}

static bool has_uid(pid_t pid, uint32_t uid)
{
    char path[32];
    struct stat st;

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return stat(path, &st) == 0 && st.st_uid == uid;
}

static bool is_root_of(const struct identity *who, const struct proc_stat *st)
{
    if (who->kind == IDENTITY_TREE)
        return proc_key_of(st->pid) == atomic_load(&who->root);
    return has_uid(st->pid, who->uid) &&
           has_job_in_environment(st->pid, who->job_id);
}

/* The process itself or one above it; parents may change while we look. */
static bool is_of_tree(const struct identity *who, pid_t pid)
{
    struct proc_stat st;

    if (who->kind == IDENTITY_SESSION)
        return session_of(pid) == who->job_id;
    if (who->kind == IDENTITY_TREE && atomic_load(&who->root) == 0)
        return false;
    for (int steps = 0; pid > 1 && steps < PARENTS_MAX; steps++) {
        if (!proc_stat_read(pid, &st))
            return false;
        if (is_root_of(who, &st))
            return true;
        pid = st.parent;
    }
    return false;
}

static bool take_process(void *arg, int dir, const char *name)
{
    struct pass *p = arg;
    pid_t pid = proc_pid_of_name(name);
    struct proc_stat st;
    int fd;

    (void)dir;
    if (pid <= 1 || pid == getpid() || !proc_stat_read(pid, &st) ||
        !st.is_alive || is_born_late(p->who, st.start) ||
        !is_of_tree(p->who, pid) || is_spared(p->who, pid))
        return true;
    p->count++;
    if (p->fn)
        p->fn(p->arg, pid);
    if (p->signo == 0)
        return true;
    fd = proc_pidfd_open(pid);
    /* The second look is at what the descriptor is of. */
    if (fd >= 0 && is_of_tree(p->who, pid))
        (void)proc_pidfd_signal(fd, p->signo);
    else if (fd < 0 && errno != ESRCH && is_of_tree(p->who, pid))
        (void)kill(pid, p->signo);
    if (fd >= 0)
        (void)close(fd);
    return true;
}

static void pass_proc(struct pass *p)
{
    int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || proc_each_name(dir, take_process, p) < 0)
        p->is_blind = true;
    if (dir >= 0)
        (void)close(dir);
}

/* ---- what is offered ---- */

static int run_pass(struct pass *p)
{
    switch ((enum identity_kind)p->who->kind) {
    case IDENTITY_NONE:
        return 0;
    case IDENTITY_CGROUP:
    case IDENTITY_SLURM:
        pass_cgroup(p);
        break;
    case IDENTITY_JOB:
    case IDENTITY_TREE:
    case IDENTITY_SESSION:
        pass_proc(p);
        break;
    }
    return p->is_blind && p->count == 0 ? -1 : p->count;
}

int work_signal(const struct identity *who, int signo)
{
    struct pass p = {.who = who, .signo = signo};

    return run_pass(&p);
}

void work_each(const struct identity *who, void (*fn)(void *arg, pid_t pid),
               void *arg)
{
    struct pass p = {.who = who, .fn = fn, .arg = arg};

    (void)run_pass(&p);
}

int work_count(const struct identity *who)
{
    return work_signal(who, 0);
}

bool work_has(const struct identity *who, pid_t pid)
{
    switch ((enum identity_kind)who->kind) {
    case IDENTITY_NONE:
        return false;
    case IDENTITY_CGROUP:
    case IDENTITY_SLURM:
        return is_member(who, pid);
    case IDENTITY_JOB:
    case IDENTITY_TREE:
    case IDENTITY_SESSION:
        return is_of_tree(who, pid);
    }
    return false;
}

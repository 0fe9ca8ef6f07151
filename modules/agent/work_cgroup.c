/* SPDX-License-Identifier: MIT */
/*
 * work_cgroup.c - the cgroups that we make for work that has none, found
 * below the mount of cgroup v2 and outside the agent's own unit; and where
 * Slurm keeps a process. Signals nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "work.h"

#define FOLDER "justalock"

/* One mount of cgroup v2. */
struct mount {
    int rank;
    char root[TABLE_PATH_MAX + 1]; /* "": of the whole */
    char at[TABLE_PATH_MAX + 1];
};

/* Out of our cgroup namespace. */
static bool is_outside(const char *path)
{
    return strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0');
}

/* A word of a line of mountinfo. Octal escapes (a space) are not for us. */
static bool take_word(const char *from, char ret_word[TABLE_PATH_MAX + 1])
{
    size_t len = strcspn(from, " \n");

    if (from[0] != '/' || len > TABLE_PATH_MAX || memchr(from, '\\', len))
        return false;
    memcpy(ret_word, from, len);
    ret_word[len] = '\0';
    return true;
}

/*
 * proc(5): field 4 is what of cgroup v2 is mounted, 5 where, 6 how, and after
 * " - " comes the type. The whole is better than a part of it, which shows
 * few processes, and one that may be written to is better than either.
 */
static void look_at_mount(const char *line, struct mount *best)
{
    struct mount m;
    const char *type = strstr(line, " - ");
    const char *word[6] = {line};

    if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
        return;
    for (int i = 1; i < 6; i++) {
        word[i] = strchr(word[i - 1], ' ');
        if (!word[i]++)
            return;
    }
    if (!take_word(word[3], m.root) || !take_word(word[4], m.at) ||
        is_outside(m.root))
        return;
    if (m.root[1] == '\0')
        m.root[0] = '\0';
    m.rank = 1 + (m.root[0] == '\0') + 2 * (strncmp(word[5], "rw", 2) == 0);
    if (m.rank >= best->rank) /* the later one is the upper one */
        *best = m;
}

static void find_mount(struct work_home *home)
{
    struct mount best = {.rank = 0};
    char line[4096]; /* a longer one is of paths that are too long, too */
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && fgets(line, sizeof(line), f))
        look_at_mount(line, &best);
    if (f)
        (void)fclose(f); /* only read from */
    memcpy(home->mount, best.at, sizeof(home->mount));
    memcpy(home->root, best.root, sizeof(home->root));
}

/* Found only there is what we put in: work.c looks at version 2 alone. */
static bool is_v2(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 &&
           (unsigned long)fs.f_type == (unsigned long)CGROUP2_SUPER_MAGIC;
}

static enum justalock_status too_long(const char *name, int len,
                                      struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_ARG,
                     "cgroup %.120s: a path of %d bytes exceeds %d", name, len,
                     TABLE_PATH_MAX);
}

/* mkdir -p of the folder's last two components. */
static enum justalock_status try_folder(const struct work_home *home,
                                        struct justalock_error *err)
{
    char parent[TABLE_PATH_MAX + 1];
    char probe[TABLE_PATH_MAX + 1];
    char *slash;
    int n;
    bool made_parent, made;
    enum justalock_status st = JUSTALOCK_OK;

    memcpy(parent, home->folder, sizeof(parent));
    slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return error_set(err, JUSTALOCK_ARG, "%s: not below a folder",
                         home->folder);
    *slash = '\0';
    n = snprintf(probe, sizeof(probe), "%s/cgroup.procs", home->folder);
    if (n < 0 || (size_t)n >= sizeof(probe))
        return too_long(home->folder, n, err);
    made_parent = mkdir(parent, 0755) == 0;
    if (!made_parent && errno != EEXIST)
        return error_sys(err, errno, "%s", parent);
    made = mkdir(home->folder, 0755) == 0;
    if (!made && errno != EEXIST)
        st = error_sys(err, errno, "%s", home->folder);
    else if (!is_v2(home->folder))
        st = error_set(err, JUSTALOCK_STATE, "%.200s: not in cgroup v2",
                       home->folder);
    else if (access(probe, W_OK) < 0)
        st = error_sys(err, errno, "%s", probe);
    if (st != JUSTALOCK_OK && made)
        (void)rmdir(home->folder); /* nobody has seen it */
    if (st != JUSTALOCK_OK && made_parent)
        (void)rmdir(parent);
    return st;
}

void work_home_find(const char *folder, const char *tag,
                    struct work_home *ret_home, struct justalock_error *err)
{
    struct work_home home = {.is_usable = false};
    int n;

    find_mount(&home);
    if (!folder && home.mount[0] == '\0') {
        (void)error_set(err, JUSTALOCK_STATE, "cgroup v2 is not mounted");
        *ret_home = home;
        return;
    }
    if (folder)
        n = snprintf(home.folder, sizeof(home.folder), "%s/%s", folder, tag);
    else
        n = snprintf(home.folder, sizeof(home.folder), "%s/" FOLDER "/%s",
                     home.mount, tag);
    if (n < 0 || (size_t)n >= sizeof(home.folder))
        (void)too_long(folder ? folder : home.mount, n, err);
    else
        home.is_usable = try_folder(&home, err) == JUSTALOCK_OK;
    *ret_home = home;
}

struct sweep {
    const char *folder;
    bool (*is_claimed)(void *arg, const char *path);
    void *arg;
};

static bool sweep_one(void *arg, int dir, const char *name)
{
    const struct sweep *s = arg;
    char path[TABLE_PATH_MAX + 1];

    /* The files there are called cgroup.* and CONTROLLER.*. */
    if (strchr(name, '.') ||
        (size_t)snprintf(path, sizeof(path), "%s/%s", s->folder, name) >=
            sizeof(path) ||
        s->is_claimed(s->arg, path))
        return true;
    (void)unlinkat(dir, name, AT_REMOVEDIR); /* not empty: it stays */
    return true;
}

void work_home_sweep(const struct work_home *home,
                     bool (*is_claimed)(void *arg, const char *path), void *arg)
{
    struct sweep s = {home->folder, is_claimed, arg};
    int dir;

    if (!home->is_usable)
        return;
    dir = open(home->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return;
    (void)proc_each_name(dir, sweep_one, &s); /* what stays does no harm */
    (void)close(dir);
}

void work_home_remove(const struct work_home *home)
{
    char parent[TABLE_PATH_MAX + 1];
    char *slash;

    if (!home->is_usable || rmdir(home->folder) < 0)
        return;
    memcpy(parent, home->folder, sizeof(parent));
    slash = strrchr(parent, '/');
    if (slash && strcmp(slash, "/" FOLDER) != 0) {
        *slash = '\0';
        slash = strrchr(parent, '/');
        if (slash && strcmp(slash, "/" FOLDER) == 0)
            (void)rmdir(parent); /* another agent's: not empty */
    }
}

enum justalock_status work_cgroup_make(const struct work_home *home,
                                       const char *parent, const char *name,
                                       char *ret_path,
                                       struct justalock_error *err)
{
    char path[TABLE_PATH_MAX + 1];
    int n = snprintf(path, sizeof(path), "%s/%s",
                     parent ? parent : home->folder, name);
    enum justalock_status st;

    if (n < 0 || (size_t)n >= sizeof(path))
        return too_long(name, n, err);
    st = parent ? JUSTALOCK_OK : try_folder(home, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_sys(err, errno, "%s", path);
    memcpy(ret_path, path, (size_t)n + 1);
    return JUSTALOCK_OK;
}

bool work_cgroup_remove(const char *path)
{
    return rmdir(path) == 0 || errno == ENOENT;
}

enum justalock_status work_cgroup_add(const char *path, proc_key process,
                                      struct justalock_error *err)
{
    char text[24];
    int dir, why;

    /* That the peer still is who asked; its pid cannot be reused between this
     * look and the write unless it dies in between. */
    if (!proc_key_is_alive(process))
        return error_set(err, JUSTALOCK_STATE, "process %d is gone",
                         (int)proc_key_pid(process));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_sys(err, errno, "%s", path);
    (void)snprintf(text, sizeof(text), "%d", (int)proc_key_pid(process));
    why = proc_write_file(dir, "cgroup.procs", text);
    (void)close(dir); /* only looked up from */
    if (why != 0)
        return error_sys(err, why, "process %s into %s", text, path);
    return JUSTALOCK_OK;
}

void work_cgroup_of(const struct work_home *home, pid_t pid, char *ret_path)
{
    char path[TABLE_PATH_MAX + 1];
    char full[2 * TABLE_PATH_MAX + 2];
    size_t root = strlen(home->root);

    ret_path[0] = '\0';
    proc_cgroup_path(pid, path, sizeof(path));
    if (home->mount[0] == '\0' || path[0] == '\0' || is_outside(path) ||
        strncmp(path, home->root, root) != 0 || path[root] != '/' ||
        path[root + 1] == '\0')
        return;
    (void)snprintf(full, sizeof(full), "%s%s", home->mount, path + root);
    if (strlen(full) > TABLE_PATH_MAX || access(full, F_OK) < 0)
        return;
    memcpy(ret_path, full, strlen(full) + 1);
}

bool work_cgroup_has(const struct work_home *home, const char *path, pid_t pid)
{
    char now[TABLE_PATH_MAX + 1];

    work_cgroup_of(home, pid, now);
    return strcmp(now, path) == 0;
}

void work_slurm_folder(const struct work_home *home, pid_t pid, uint32_t job_id,
                       char *ret_path)
{
    char path[TABLE_PATH_MAX + 1];
    char mark[32];
    char *at;

    ret_path[0] = '\0';
    work_cgroup_of(home, pid, path);
    (void)snprintf(mark, sizeof(mark), "/job_%u/step_", job_id);
    at = strstr(path, mark);
    if (!at)
        return;
    *strstr(at, "/step_") = '\0';
    memcpy(ret_path, path, strlen(path) + 1);
}

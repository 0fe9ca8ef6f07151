/* SPDX-License-Identifier: MIT */
/*
 * work_cgroup.c - the cgroups that we make for work that has none, found
 * below the mount of cgroup v2 and outside the agent's own unit; and where
 * Slurm keeps a process. Signals nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "work.h"

#define FOLDER "justalock"

/* The mount point of the last cgroup2 line; proc(5): field 5, and the type
 * after " - ". Octal escapes (a space in the path) are not for us. */
static void find_mount(char ret_mount[TABLE_PATH_MAX + 1])
{
    char line[1024];
    FILE *f = fopen("/proc/self/mountinfo", "re");

    ret_mount[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        char *type = strstr(line, " - ");
        char *at = line;
        char *end;

        if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
            continue;
        for (int i = 0; at && i < 4; i++) {
            at = strchr(at, ' ');
            at = at ? at + 1 : NULL;
        }
        end = at ? strchr(at, ' ') : NULL;
        if (!end || end - at > TABLE_PATH_MAX ||
            memchr(at, '\\', (size_t)(end - at)))
            continue;
        memcpy(ret_mount, at, (size_t)(end - at));
        ret_mount[end - at] = '\0';
    }
    if (f)
        (void)fclose(f); /* only read from */
}

static bool make_folder(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

/* mkdir -p of the folder's last two components. */
static bool try_folder(const struct work_home *home)
{
    char parent[TABLE_PATH_MAX + 1];
    char probe[TABLE_PATH_MAX + 1];
    char *slash;

    memcpy(parent, home->folder, sizeof(parent));
    slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return false;
    *slash = '\0';
    if ((size_t)snprintf(probe, sizeof(probe), "%s/cgroup.procs",
                         home->folder) >= sizeof(probe)) {
        errno = ENAMETOOLONG;
        return false;
    }
    return make_folder(parent) && make_folder(home->folder) &&
           access(probe, W_OK) == 0;
}

void work_home_find(const char *folder, const char *tag,
                    struct work_home *ret_home, struct justalock_error *err)
{
    struct work_home home = {.is_usable = false};
    int n;

    find_mount(home.mount);
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
        (void)error_set(err, JUSTALOCK_ARG, "%s: too long a path",
                        folder ? folder : home.mount);
    else if (try_folder(&home))
        home.is_usable = true;
    else
        (void)error_sys(err, errno, "%s", home.folder);
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

    if (n < 0 || (size_t)n >= sizeof(path))
        return error_set(err, JUSTALOCK_ARG, "cgroup %s: too long a path",
                         name);
    if (!parent && !try_folder(home))
        return error_sys(err, errno, "%s", home->folder);
    if (!make_folder(path))
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

/* The path after "0::", "" where there is none. */
static void read_path(pid_t pid, char *ret_path, size_t size)
{
    char file[32];
    char text[4096];
    const char *at, *end;

    ret_path[0] = '\0';
    (void)snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
    if (proc_read_file(AT_FDCWD, file, text, sizeof(text)) <= 0)
        return;
    at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!at)
        return;
    at = strchr(at, '/');
    end = at ? strchr(at, '\n') : NULL;
    if (!end || (size_t)(end - at) >= size)
        return;
    memcpy(ret_path, at, (size_t)(end - at));
    ret_path[end - at] = '\0';
}

void work_cgroup_of(const struct work_home *home, pid_t pid, char *ret_path)
{
    char path[TABLE_PATH_MAX + 1];
    char full[2 * TABLE_PATH_MAX + 2];

    ret_path[0] = '\0';
    read_path(pid, path, sizeof(path));
    if (home->mount[0] == '\0' || path[0] != '/' || path[1] == '\0' ||
        strstr(path, "/.."))
        return;
    (void)snprintf(full, sizeof(full), "%s%s", home->mount, path);
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

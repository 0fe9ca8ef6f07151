/* SPDX-License-Identifier: MIT */
/*
 * test_work_cgroup.c - cgroups of our own, real ones: where they go on
 * machines whose mounts are not the usual ones, names and lengths, processes
 * that are put in, found there, or gone. Skipped without the rights.
 */
#include "count_fds.h"
#include "scratch.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "../../modules/agent/work.h"
#include "sleeper.h"

static struct work_home home; /* MOUNT/justalock-unit.PID/tag */
static char base[TABLE_PATH_MAX + 1];
static struct justalock_error err;

/* In a child, where cmocka's assertions have no place to go to. */
#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            (void)dprintf(2, "# line %d: %s\n", __LINE__, #what);              \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static void in_child(void (*fn)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(77);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A cgroup is empty only some time after the death of the last one in it. */
static void remove_soon(const char *path)
{
    for (int i = 0; i < 1000 && !work_cgroup_remove(path); i++)
        (void)usleep(5000);
    assert_int_equal(access(path, F_OK), -1);
}

static const char *make(const char *parent, const char *name)
{
    static char path[4][TABLE_PATH_MAX + 1];
    static unsigned n;

    n = (n + 1) % 4;
    assert_ok(work_cgroup_make(&home, parent, name, path[n], &err), err);
    return path[n];
}

static void need(void)
{
    if (!home.is_usable)
        skip();
}

/* ---- where they go ---- */

static void found_by_itself(void **state)
{
    struct work_home h;
    char want[3 * TABLE_PATH_MAX];

    (void)state;
    need();
    work_home_find(NULL, "unit-test", &h, &err);
    assert_true(h.is_usable);
    assert_string_equal(h.root, "");
    (void)snprintf(want, sizeof(want), "%s/justalock/unit-test", h.mount);
    assert_string_equal(h.folder, want);
    (void)snprintf(want, sizeof(want), "%s/cgroup.procs", h.folder);
    assert_int_equal(access(want, W_OK), 0);
    work_home_remove(&h);
    assert_int_equal(access(h.folder, F_OK), -1);
    /* It comes again where it was taken away under a guard that works on. */
    assert_ok(work_cgroup_make(&h, NULL, "job-1-0", want, &err), err);
    assert_int_equal(access(want, F_OK), 0);
    assert_true(work_cgroup_remove(want));
    work_home_remove(&h);
}

static void a_folder_that_is_no_cgroup(void **state)
{
    struct work_home h;

    (void)state;
    assert_int_equal(mkdir(in_scratch("plain"), 0700), 0);
    err.status = JUSTALOCK_OK;
    work_home_find(in_scratch("plain"), "tag", &h, &err);
    assert_false(h.is_usable);
    assert_int_equal(err.status, JUSTALOCK_STATE);
    assert_has(err.text, "/plain/tag: not in cgroup v2");
    /* What was there stays, and nothing else is left. */
    assert_int_equal(rmdir(in_scratch("plain")), 0);
    work_home_find(in_scratch("plain"), "tag", &h, &err);
    assert_false(h.is_usable);
    assert_int_equal(access(in_scratch("plain"), F_OK), -1);
    work_home_find(in_scratch("no/such"), "tag", &h, &err);
    assert_false(h.is_usable);
    assert_has(err.text, "/no/such: ");
    assert_int_equal(err.sys_errno, ENOENT);
    work_home_find("", "tag", &h, &err);
    assert_false(h.is_usable);
    assert_has(err.text, "/tag: not below a folder");
}

/* Of a mount of cgroup v1 which can be written to. */
static bool find_v1(char *ret_path, size_t size)
{
    char line[4096];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool found = false;

    while (!found && f && fgets(line, sizeof(line), f)) {
        char *at = line;

        if (strstr(line, " - cgroup ") == NULL || !strstr(line, "freezer"))
            continue;
        for (int i = 0; i < 4 && at; i++)
            at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
        if (at == NULL)
            continue;
        (void)snprintf(ret_path, size, "%.*s", (int)strcspn(at, " "), at);
        found = access(ret_path, W_OK) == 0;
    }
    if (f)
        (void)fclose(f);
    return found;
}

/* It has a cgroup.procs, too, but nothing that is there is ever found. */
static void a_folder_of_version_1(void **state)
{
    struct work_home h;
    char v1[128];
    char folder[256];

    (void)state;
    if (!find_v1(v1, sizeof(v1)))
        skip();
    (void)snprintf(folder, sizeof(folder), "%s/justalock-unit.%d", v1,
                   (int)getpid());
    work_home_find(folder, "tag", &h, &err);
    if (access(folder, F_OK) == 0) {
        (void)rmdir(h.folder);
        (void)rmdir(folder);
        fail_msg("%s was left behind", folder);
    }
    assert_false(h.is_usable);
    assert_has(err.text, "not in cgroup v2");
}

static void too_long_a_folder(void **state)
{
    struct work_home h;
    char folder[TABLE_PATH_MAX + 64];
    size_t len = strlen(base);

    (void)state;
    memcpy(folder, base, len);
    memset(folder + len, 'x', sizeof(folder) - len);
    folder[TABLE_PATH_MAX - 4 + 1] = '\0'; /* "/tag" makes it one too long */
    work_home_find(folder, "tag", &h, &err);
    assert_false(h.is_usable);
    assert_has(err.text, "a path of 256 bytes exceeds 255");
    folder[TABLE_PATH_MAX - 4] = '\0'; /* no room for its cgroup.procs */
    work_home_find(folder, "tag", &h, &err);
    assert_false(h.is_usable);
    assert_has(err.text, "a path of 268 bytes exceeds 255");
    assert_int_equal(access(folder, F_OK), -1);
    if (!home.is_usable)
        return;
    folder[TABLE_PATH_MAX - 4 - 13] = '\0';
    work_home_find(folder, "tag", &h, &err);
    assert_true(h.is_usable);
    assert_int_equal(rmdir(h.folder), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- mounts ---- */

static pid_t inside; /* a process in home.folder */

/* A part of it is mounted, later than the whole: as some containers do. */
static void a_part_beside_the_whole(void)
{
    struct work_home h;
    char path[TABLE_PATH_MAX + 1];

    CHECK(mkdir(in_scratch("part"), 0700) == 0);
    CHECK(mount(base, in_scratch("part"), NULL, MS_BIND, NULL) == 0);
    work_home_find(base, "tag", &h, &err);
    CHECK(strcmp(h.mount, home.mount) == 0 && h.root[0] == '\0');
    work_cgroup_of(&h, inside, path);
    CHECK(strcmp(path, home.folder) == 0);
}

/* Only a part may be written to: as in systemd-nspawn. */
static void a_part_that_may_be_written_to(void)
{
    struct work_home h;
    char path[TABLE_PATH_MAX + 1];
    char odd[512];

    CHECK(mount(base, in_scratch("part"), NULL, MS_BIND, NULL) == 0);
    CHECK(mount(NULL, home.mount, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
                NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(h.is_usable && strcmp(h.mount, in_scratch("part")) == 0);
    CHECK(strcmp(h.root, strrchr(base, '/')) == 0);
    work_cgroup_of(&h, inside, path);
    CHECK(strncmp(path, h.mount, strlen(h.mount)) == 0);
    CHECK(strcmp(path + strlen(h.mount), "/tag") == 0);
    CHECK(work_cgroup_has(&h, path, inside));
    /* Of what is elsewhere it does not know the path. */
    work_cgroup_of(&h, getpid(), path);
    CHECK(path[0] == '\0');
    /* Nor of what only begins so, be it there or not. */
    (void)snprintf(odd, sizeof(odd), "%s%s", in_scratch("part"),
                   h.root + strlen(h.root) - 1);
    CHECK(mkdir(odd, 0700) == 0);
    (void)snprintf(odd + strlen(odd), sizeof(odd) - strlen(odd), "/tag");
    CHECK(mkdir(odd, 0700) == 0);
    h.root[strlen(h.root) - 1] = '\0';
    work_cgroup_of(&h, inside, path);
    CHECK(path[0] == '\0');
    work_home_remove(&h);
    /* Both alike: the whole one. */
    CHECK(umount2(in_scratch("part"), MNT_DETACH) == 0);
    CHECK(mount(base, in_scratch("part"), NULL, MS_BIND, NULL) == 0);
    CHECK(mount(NULL, in_scratch("part"), NULL,
                MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(strcmp(h.mount, home.mount) == 0);
    CHECK(!h.is_usable && err.sys_errno == EROFS);
}

/* All mounts of cgroup v2 are gone from here. */
static void unmount_all(void)
{
    struct work_home h;

    for (int i = 0; i < 20; i++) {
        work_home_find(base, "tag", &h, &err);
        if (h.mount[0] == '\0')
            return;
        CHECK(umount2(h.mount, MNT_DETACH) == 0);
    }
    CHECK(false);
}

static void none_is_mounted(void)
{
    struct work_home h;
    char path[TABLE_PATH_MAX + 1] = "x";

    unmount_all();
    work_home_find(NULL, "tag", &h, &err);
    CHECK(!h.is_usable && err.status == JUSTALOCK_STATE);
    CHECK(strstr(err.text, "cgroup v2 is not mounted") != NULL);
    work_cgroup_of(&h, inside, path);
    CHECK(path[0] == '\0');
    CHECK(!work_cgroup_has(&h, home.folder, inside));
}

/* Paths that mountinfo escapes, or that have no room. */
static void mounted_at_odd_places(void)
{
    char name[201], place[4 * 220];
    struct work_home h;

    unmount_all();
    CHECK(mkdir(in_scratch("a b"), 0700) == 0);
    CHECK(mount("cgroup2", in_scratch("a b"), "cgroup2", 0, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(h.mount[0] == '\0');
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)snprintf(place, sizeof(place), "%s/%s", scratch, name);
    CHECK(mkdir(place, 0700) == 0);
    (void)snprintf(place, sizeof(place), "%s/%s/%s", scratch, name, name);
    CHECK(mkdir(place, 0700) == 0);
    CHECK(mount("cgroup2", place, "cgroup2", 0, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(h.mount[0] == '\0');
    CHECK(mount("cgroup2", in_scratch("part"), "cgroup2", 0, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(strcmp(h.mount, in_scratch("part")) == 0 && h.root[0] == '\0');
    work_home_remove(&h);
}

/* Lines of mountinfo that do not fit; what follows is no line. */
static void after_a_long_line(void)
{
    char name[251], place[4000] = "";
    struct work_home h;
    int at = open(scratch, O_RDONLY | O_DIRECTORY);

    unmount_all();
    /* Spaces are four bytes each there. */
    memset(name, ' ', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < 6; i++) {
        int next;

        CHECK(mkdirat(at, name, 0700) == 0 || errno == EEXIST);
        next = openat(at, name, O_RDONLY | O_DIRECTORY);
        CHECK(next >= 0 && fchdir(next) == 0);
        (void)close(at);
        at = next;
        (void)snprintf(place + strlen(place), sizeof(place) - strlen(place),
                       "/%s", name);
    }
    CHECK(mount("cgroup2", ".", "cgroup2", 0, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(h.mount[0] == '\0' && !h.is_usable);
    CHECK(mount("cgroup2", in_scratch("part"), "cgroup2", 0, NULL) == 0);
    work_home_find(NULL, "tag", &h, &err);
    CHECK(strcmp(h.mount, in_scratch("part")) == 0 && h.is_usable);
    work_home_remove(&h);
}

/* In a cgroup namespace, with the mount of the one above. */
static void mounted_from_outside(void)
{
    struct work_home h;
    char path[TABLE_PATH_MAX + 1];

    CHECK(work_cgroup_add(home.folder, proc_key_self(), &err) == JUSTALOCK_OK);
    if (unshare(CLONE_NEWCGROUP) != 0)
        _exit(77);
    work_home_find(base, "tag", &h, &err);
    CHECK(h.mount[0] == '\0');
    CHECK(mount("cgroup2", in_scratch("part"), "cgroup2", 0, NULL) == 0);
    work_home_find(base, "tag", &h, &err);
    CHECK(strcmp(h.mount, in_scratch("part")) == 0 && h.root[0] == '\0');
    work_cgroup_of(&h, getppid(), path); /* "/../..": not to be told here */
    CHECK(path[0] == '\0');
    work_cgroup_of(&h, getpid(), path); /* its root */
    CHECK(path[0] == '\0');
}

static void mounts(void **state)
{
    static void (*const each[])(void) = {
        a_part_beside_the_whole, a_part_that_may_be_written_to,
        none_is_mounted,         mounted_at_odd_places,
        after_a_long_line,       mounted_from_outside};

    (void)state;
    need();
    inside = start(false);
    assert_ok(work_cgroup_add(home.folder, proc_key_of(inside), &err), err);
    for (size_t i = 0; i < LENGTH(each); i++)
        in_child(each[i]);
    end(inside);
}

/* ---- names and lengths ---- */

static void any_name(void **state)
{
    static const char *const names[] = {"job-1-0",  "a b",     "%s%n",
                                        "\xc3\xa4", "a\\040b", "a (deleted)",
                                        "..a",      "...",     "a:b:c",
                                        "0::",      "-r",      "x;rm -rf",
                                        "$(id)",    "\"",      "\t"};
    pid_t pid = start(false);
    char now[TABLE_PATH_MAX + 1];

    (void)state;
    need();
    for (size_t i = 0; i < LENGTH(names); i++) {
        const char *path = make(NULL, names[i]);

        assert_string_equal(make(NULL, names[i]), path); /* used again */
        work_cgroup_of(&home, pid, now);
        assert_string_not_equal(now, path);
        assert_false(work_cgroup_has(&home, path, pid));
        assert_ok(work_cgroup_add(path, proc_key_of(pid), &err), err);
        work_cgroup_of(&home, pid, now);
        assert_string_equal(now, path);
        assert_true(work_cgroup_has(&home, path, pid));
        assert_false(work_cgroup_has(&home, home.folder, pid));
        assert_false(work_cgroup_remove(path)); /* it is in use */
    }
    end(pid);
    for (size_t i = 0; i < LENGTH(names); i++)
        remove_soon(make(NULL, names[i]));
    assert_true(work_cgroup_remove(make(NULL, "gone")));
    assert_true(work_cgroup_remove(in_scratch("never/was")));
}

static void what_cannot_be_made(void **state)
{
    char name[TABLE_PATH_MAX + 2];
    char path[TABLE_PATH_MAX + 1] = "as before";
    size_t room = TABLE_PATH_MAX - strlen(home.folder) - 1;

    (void)state;
    need();
    assert_fails(work_cgroup_make(&home, NULL, "a\nb", path, &err),
                 JUSTALOCK_SYS, err, "a");
    assert_fails(work_cgroup_make(&home, NULL, "no/such", path, &err),
                 JUSTALOCK_SYS, err, "no/such");
    assert_fails(work_cgroup_make(&home, in_scratch("none"), "x", path, &err),
                 JUSTALOCK_SYS, err, "/none/x");
    memset(name, 'n', sizeof(name));
    name[room + 1] = '\0';
    assert_fails(work_cgroup_make(&home, NULL, name, path, &err), JUSTALOCK_ARG,
                 err, "a path of 256 bytes exceeds 255");
    assert_string_equal(path, "as before");
    name[room] = '\0';
    assert_ok(work_cgroup_make(&home, NULL, name, path, &err), err);
    assert_int_equal(strlen(path), TABLE_PATH_MAX);
    assert_int_equal(rmdir(path), 0);
}

/* As deep as a path has room, and one deeper. */
static void as_long_as_it_fits(void **state)
{
    pid_t pid = start(false);
    char name[TABLE_PATH_MAX + 2];
    char full[2 * TABLE_PATH_MAX];
    char now[TABLE_PATH_MAX + 1];
    size_t room = TABLE_PATH_MAX - strlen(home.folder) - 1;

    (void)state;
    need();
    memset(name, 'n', sizeof(name));
    for (int over = 0; over < 2; over++) {
        name[room + (size_t)over] = '\0';
        (void)snprintf(full, sizeof(full), "%s/%s", home.folder, name);
        assert_int_equal(mkdir(full, 0755), 0);
        assert_ok(work_cgroup_add(full, proc_key_of(pid), &err), err);
        work_cgroup_of(&home, pid, now);
        assert_string_equal(now, over ? "" : full);
        name[room + (size_t)over] = 'n';
    }
    end(pid);
    for (int over = 0; over < 2; over++) {
        full[TABLE_PATH_MAX + (1 - over)] = '\0';
        remove_soon(full);
    }
}

static void the_roots_own_has_no_path(void **state)
{
    struct work_home odd = home;
    char path[TABLE_PATH_MAX + 1] = "x";
    char mount_path[TABLE_PATH_MAX + 1];
    pid_t pid = start(false);

    (void)state;
    need();
    memcpy(mount_path, home.mount, sizeof(mount_path));
    assert_ok(work_cgroup_add(mount_path, proc_key_of(pid), &err), err);
    work_cgroup_of(&home, pid, path);
    assert_string_equal(path, "");
    assert_ok(work_cgroup_add(home.folder, proc_key_of(pid), &err), err);
    work_cgroup_of(&home, pid, path);
    assert_string_equal(path, home.folder);
    memcpy(odd.mount, scratch, sizeof(scratch)); /* where there is no such */
    work_cgroup_of(&odd, pid, path);
    assert_string_equal(path, "");
    end(pid);
    memset(path, 'x', 2);
    work_cgroup_of(&home, pid, path); /* gone */
    assert_string_equal(path, "");
    assert_false(work_cgroup_has(&home, mount_path, pid));
}

/* ---- put in ---- */

static void only_who_is_there(void **state)
{
    const char *path;
    pid_t pid = start(false);
    proc_key key = proc_key_of(pid);
    int before = count_fds();
    char procs[64];
    char file[TABLE_PATH_MAX + 16];

    (void)state;
    need();
    path = make(NULL, "job-1-0");
    /* Another one with this pid. */
    assert_fails(work_cgroup_add(path, key + (UINT64_C(1) << 22), &err),
                 JUSTALOCK_STATE, err, "is gone");
    assert_false(work_cgroup_has(&home, path, pid));
    assert_fails(work_cgroup_add(in_scratch("none"), key, &err), JUSTALOCK_SYS,
                 err, "/none: ");
    assert_fails(work_cgroup_add(scratch, key, &err), JUSTALOCK_SYS, err,
                 "into ");
    (void)snprintf(file, sizeof(file), "%s/cgroup.procs", path);
    assert_fails(work_cgroup_add(file, key, &err), JUSTALOCK_SYS, err,
                 "cgroup.procs: ");
    assert_ok(work_cgroup_add(path, key, &err), err);
    assert_true(proc_read_file(AT_FDCWD, file, procs, sizeof(procs)) > 0);
    assert_int_equal(strtol(procs, NULL, 10), pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(
        waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    assert_fails(work_cgroup_add(path, key, &err), JUSTALOCK_STATE, err,
                 "is gone");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_fails(work_cgroup_add(path, key, &err), JUSTALOCK_STATE, err,
                 "is gone");
    assert_int_equal(count_fds(), before);
    remove_soon(path);
}

/*
 * In cgroup v1 the process is so deep that its line of version 2 comes after
 * more than 4 kB of /proc/PID/cgroup. It is found all the same, and signalled.
 */
#define DEPTH 15

static char deep_name[251];
static int deep[DEPTH + 1]; /* the mount, and down from there */
static int deep_len;        /* made of them */

static void deep_remove(void)
{
    for (; deep_len > 0; deep_len--) {
        (void)close(deep[deep_len]);
        for (int n = 0; n < 400; n++) { /* in use for a moment yet */
            if (unlinkat(deep[deep_len - 1], deep_name, AT_REMOVEDIR) == 0)
                break;
            (void)usleep(5000);
        }
    }
}

static void deep_in_version_1(void **state)
{
    struct identity who = {.kind = IDENTITY_CGROUP};
    pid_t pid = start(false);
    char v1[128], now[TABLE_PATH_MAX + 1];
    char text[64];
    int status;
    const char *path;

    (void)state;
    need();
    if (!find_v1(v1, sizeof(v1)))
        skip();
    path = make(NULL, "job-2-0");
    (void)snprintf(deep_name, sizeof(deep_name), "justalock-unit%0*d",
                   (int)sizeof(deep_name) - 15, (int)getpid());
    deep[0] = open(v1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (deep_len < DEPTH) {
        assert_int_equal(mkdirat(deep[deep_len], deep_name, 0755), 0);
        deep_len++;
        deep[deep_len] = openat(deep[deep_len - 1], deep_name,
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(deep[deep_len] >= 0);
    }
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    assert_int_equal(proc_write_file(deep[DEPTH], "cgroup.procs", text), 0);
    assert_ok(work_cgroup_add(path, proc_key_of(pid), &err), err);
    work_cgroup_of(&home, pid, now);
    assert_string_equal(now, path);
    memcpy(who.path, path, strlen(path) + 1);
    assert_true(work_has(&who, pid));
    assert_int_equal(work_signal(&who, SIGTERM), 1);
    alarm(30);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    alarm(0);
    assert_int_equal(WTERMSIG(status), SIGTERM);
    deep_remove();
    assert_int_equal(faccessat(deep[0], deep_name, F_OK, 0), -1);
    (void)close(deep[0]);
    remove_soon(path);
}

/* ---- Slurm's ---- */

static void slurms_folder(void **state)
{
    static const struct {
        const char *path; /* below home.folder */
        uint32_t job;
        const char *want;
    } cases[] = {
        {"job_12/step_0/user/task_0", 12, "/job_12"},
        {"job_12/step_batch/user/task_special", 12, "/job_12"},
        {"job_12/step_extern", 12, "/job_12"},
        {"job_12/step_0", 1, ""},
        {"job_12/step_0", 2, ""},
        {"job_12/step_0", 123, ""},
        {"job_12/step", 12, ""},
        {"job_12/x/step_0", 12, ""},
        {"xjob_12/step_0", 12, ""},
        {"job_4294967295/step_0", UINT32_MAX, "/job_4294967295"},
    };
    pid_t pid = start(false);
    char path[2 * TABLE_PATH_MAX], got[TABLE_PATH_MAX + 1], want[320];

    (void)state;
    need();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t len = strlen(home.folder);

        (void)snprintf(path, sizeof(path), "%s/%s", home.folder, cases[i].path);
        for (char *s = strchr(path + len + 1, '/'); s; s = strchr(s + 1, '/')) {
            *s = '\0';
            assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
            *s = '/';
        }
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        assert_ok(work_cgroup_add(path, proc_key_of(pid), &err), err);
        (void)snprintf(want, sizeof(want), "%s%s",
                       cases[i].want[0] != '\0' ? home.folder : "",
                       cases[i].want);
        work_slurm_folder(&home, pid, cases[i].job, got);
        assert_string_equal(got, want);
        assert_ok(work_cgroup_add(home.folder, proc_key_of(pid), &err), err);
        while (strlen(path) > len) {
            remove_soon(path);
            *strrchr(path, '/') = '\0';
        }
    }
    end(pid);
    work_slurm_folder(&home, pid, 12, got);
    assert_string_equal(got, "");
}

/* ---- taken away ---- */

static char claimed[2 * TABLE_PATH_MAX];

static bool is_claimed(void *arg, const char *path)
{
    ++*(unsigned *)arg;
    return strcmp(path, claimed) == 0;
}

static bool is_there(const char *name)
{
    char path[2 * TABLE_PATH_MAX + 16];

    (void)snprintf(path, sizeof(path), "%s/%s", home.folder, name);
    return access(path, F_OK) == 0;
}

static void swept(void **state)
{
    char name[TABLE_PATH_MAX + 2], full[2 * TABLE_PATH_MAX + 16];
    struct work_home unusable = home;
    int before = count_fds();
    unsigned asked = 0;
    pid_t pid;

    (void)state;
    need();
    pid = start(false);
    (void)make(NULL, "job-1-0");
    (void)snprintf(claimed, sizeof(claimed), "%s", make(NULL, "job-2-0"));
    assert_ok(work_cgroup_add(make(NULL, "job-3-0"), proc_key_of(pid), &err),
              err);
    (void)make(make(NULL, "job-4-0"), "sub");
    (void)make(NULL, "not.ours");
    memset(name, 'n', sizeof(name));
    name[TABLE_PATH_MAX - strlen(home.folder)] = '\0'; /* one too long */
    (void)snprintf(full, sizeof(full), "%s/%s", home.folder, name);
    assert_int_equal(mkdir(full, 0755), 0);
    unusable.is_usable = false;
    work_home_sweep(&unusable, is_claimed, &asked);
    assert_int_equal(asked, 0);
    work_home_sweep(&home, is_claimed, &asked);
    assert_int_equal(asked, 4);
    assert_false(is_there("job-1-0"));
    assert_true(is_there("job-2-0"));
    assert_true(is_there("job-3-0"));
    assert_true(is_there("job-4-0/sub"));
    assert_true(is_there("not.ours"));
    assert_int_equal(rmdir(full), 0);
    /* With something in it, the folder stays, too. */
    work_home_remove(&home);
    assert_true(is_there(""));
    end(pid);
    remove_soon(make(make(NULL, "job-4-0"), "sub"));
    claimed[0] = '\0';
    assert_int_equal(rmdir(make(NULL, "not.ours")), 0);
    for (int i = 0; i < 1000 && is_there("job-3-0"); i++) {
        work_home_sweep(&home, is_claimed, &asked);
        (void)usleep(5000);
    }
    assert_false(is_there("job-2-0") || is_there("job-3-0") ||
                 is_there("job-4-0"));
    unusable = home;
    memcpy(unusable.folder + strlen(unusable.folder), "x",
           2); /* gone: nothing to be done */
    work_home_sweep(&unusable, is_claimed, &asked);
    assert_int_equal(count_fds(), before);
}

static void folders_of_ours_go(void **state)
{
    char folder[2 * TABLE_PATH_MAX];
    struct work_home a, b;

    (void)state;
    need();
    (void)snprintf(folder, sizeof(folder), "%s/justalock", base);
    work_home_find(folder, "a", &a, &err);
    work_home_find(folder, "b", &b, &err);
    assert_true(a.is_usable && b.is_usable);
    work_home_remove(&a);
    assert_int_equal(access(a.folder, F_OK), -1);
    assert_int_equal(access(b.folder, F_OK), 0);
    work_home_remove(&b);
    assert_int_equal(access(folder, F_OK), -1); /* the last one's */
    work_home_remove(&b);                       /* once more: nothing */
    /* One that the admin has made stays, though it is empty. */
    (void)snprintf(folder, sizeof(folder), "%s/admins", base);
    assert_int_equal(mkdir(folder, 0755), 0);
    work_home_find(folder, "c", &a, &err);
    assert_true(a.is_usable);
    a.is_usable = false;
    work_home_remove(&a);
    assert_int_equal(access(a.folder, F_OK), 0);
    a.is_usable = true;
    work_home_remove(&a);
    assert_int_equal(access(a.folder, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- */

/* What a test that failed has left. */
static int remove_one(const char *path, const struct stat *sb, int type,
                      struct FTW *ftw)
{
    (void)sb, (void)ftw;
    return type == FTW_DP ? rmdir(path) : 0;
}

static void clear(void)
{
    struct identity all = {.kind = IDENTITY_CGROUP};

    memcpy(all.path, base, sizeof(all.path));
    for (int i = 0; i < 400 && access(base, F_OK) == 0; i++) {
        (void)work_signal(&all, SIGKILL);
        (void)nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        (void)usleep(5000);
    }
}

static int setup(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    work_home_find(NULL, "unit-test", &home, &err);
    if (!home.is_usable) {
        (void)fprintf(stderr, "# no cgroups here: %s\n", err.text);
        return 0;
    }
    work_home_remove(&home);
    (void)snprintf(base, sizeof(base), "%.200s/justalock-unit.%d", home.mount,
                   (int)getpid());
    work_home_find(base, "tag", &home, &err);
    return home.is_usable ? 0 : -1;
}

static int teardown(void **state)
{
    if (home.is_usable) {
        work_home_remove(&home);
        if (rmdir(base) != 0) {
            clear();
            deep_remove();
            return -1;
        }
    }
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_itself),
        cmocka_unit_test(a_folder_that_is_no_cgroup),
        cmocka_unit_test(a_folder_of_version_1),
        cmocka_unit_test(too_long_a_folder),
        cmocka_unit_test(mounts),
        cmocka_unit_test(any_name),
        cmocka_unit_test(what_cannot_be_made),
        cmocka_unit_test(as_long_as_it_fits),
        cmocka_unit_test(the_roots_own_has_no_path),
        cmocka_unit_test(only_who_is_there),
        cmocka_unit_test(deep_in_version_1),
        cmocka_unit_test(slurms_folder),
        cmocka_unit_test(swept),
        cmocka_unit_test(folders_of_ours_go),
    };

    return cmocka_run_group_tests_name("work_cgroup", tests, setup, teardown);
}

/* SPDX-License-Identifier: MIT */
/*
 * keeper_jail.c - privileges given up, limits, and the seccomp filter of
 * justalock-keeper. Knows nothing of locks.
 */
#include "keeper_jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "log.h"

#define NOBODY    65534 /* where there is neither user */
#define FILES_MAX 8192  /* one for each wait, and some */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1 /* needs more of the kernel than we let it have */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* ---- who we are ---- */

static void find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid)
{
    const struct passwd *pw = getpwnam(user ? user : CONFIG_KEEPER_USER);

    /* The default one is of the packages; a name that somebody gave is not. */
    if (!pw && user && strcmp(user, CONFIG_KEEPER_USER) != 0)
        log_warn("there is no user %s: the keeper runs as nobody", user);
    if (!pw)
        pw = getpwnam("nobody");
    *ret_uid = pw ? pw->pw_uid : NOBODY;
    *ret_gid = pw ? pw->pw_gid : NOBODY;
}

static enum justalock_status drop_root(const char *user,
                                       struct justalock_error *err)
{
    uid_t uid;
    gid_t gid;

    find_user(user, &uid, &gid);
    if (uid == 0 || gid == 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "user %s is root: the keeper must not be",
                         user ? user : CONFIG_KEEPER_USER);
    /* In this order: without uid 0 the groups could not be changed. */
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return error_sys(err, errno, "become user %u", (unsigned)uid);
    if (setresuid(0, 0, 0) == 0 || getuid() != uid || geteuid() != uid)
        return error_set(err, JUSTALOCK_SYS,
                         "root's privileges could not be given up");
    return JUSTALOCK_OK;
}

static void set_limits(void)
{
    struct rlimit core = {0, 0};
    struct rlimit files;

    /* Lowering cannot fail. */
    (void)setrlimit(RLIMIT_CORE, &core);
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* within the hard limit */
}

enum justalock_status jail_drop(const char *user, struct justalock_error *err)
{
    set_limits();
    if (geteuid() == 0 || getuid() == 0) {
        enum justalock_status st = drop_root(user, err);

        if (st != JUSTALOCK_OK)
            return st;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_sys(err, errno, "no_new_privs");
    /* After the change of user, which sets it anew. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_sys(err, errno, "PR_SET_DUMPABLE");
    return JUSTALOCK_OK;
}

/* ---- seccomp ---- */

/*
 * By name, as older headers and other machines do not have all of them. Seen
 * with strace on glibc 2.36 and OpenSSL 3, or known as the older or newer way
 * to the same.
 */
static const char *const allowed[] = {
    /* descriptors */
    "read", "write", "readv", "writev", "pread64", "close", "close_range",
    "lseek", "_llseek", "fstat", "fstat64", "stat", "stat64", "lstat",
    "lstat64", "newfstatat", "fstatat64", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "fcntl",
    "fcntl64", "ioctl", "dup", "dup2", "dup3", "pipe", "pipe2", "eventfd",
    "eventfd2", "fadvise64",
    /* waiting and time */
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
    "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "timerfd_create",
    "timerfd_settime", "timerfd_settime64", "timerfd_gettime",
    "timerfd_gettime64", "clock_gettime", "clock_gettime64", "clock_getres",
    "clock_getres_time64", "clock_nanosleep", "clock_nanosleep_time64",
    "nanosleep", "gettimeofday", "time", "restart_syscall",
    /* network; socket() is below */
    "connect", "bind", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
    "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "recv", "send",
    "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
    /* memory and threads; clone() is below */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "futex",
    "futex_time64", "set_robust_list", "get_robust_list", "rseq",
    "set_tid_address", "sched_yield", "sched_getaffinity", "membarrier",
    "gettid", "exit", "exit_group",
    /* signals to ourselves */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_sigpending", "sigreturn", "sigaltstack",
    "tgkill",
    /* what we are */
    "getpid", "getppid", "getuid", "getuid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getegid", "getegid32", "getcwd", "uname", "sysinfo",
    "getrandom", "getrlimit", "ugetrlimit", "prctl"};

/* What only an attacker asks for. */
static const char *const deadly[] = {
    "execve",      "execveat",         "fork",       "vfork",
    "ptrace",      "process_vm_readv", "kexec_load", "process_vm_writev",
    "mount",       "umount2",          "pivot_root", "chroot",
    "init_module", "finit_module",     "bpf",        "delete_module"};

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name,
               unsigned args, const struct scmp_arg_cmp *arg)
{
    int nr = seccomp_syscall_resolve_name(name);
    int rc;

    if (nr == __NR_SCMP_ERROR)
        return 0; /* no such call on this machine */
    rc = seccomp_rule_add_array(ctx, action, nr, args, arg);
    return rc == -EDOM || rc == -EINVAL ? 0 : rc;
}

/* Allowed where the masked argument is as said. */
static int add_arg(scmp_filter_ctx ctx, const char *name, unsigned at,
                   uint64_t mask, uint64_t value)
{
    struct scmp_arg_cmp arg = {
        .arg = at, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

    return add(ctx, SCMP_ACT_ALLOW, name, 1, &arg);
}

static int add_some(scmp_filter_ctx ctx)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    const uint64_t writes = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
    int rc = 0;

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && !rc; i++)
        rc = add_arg(ctx, "socket", 0, UINT32_MAX, (uint64_t)families[i]);
    if (!rc) /* libcurl's and its resolver's way to wake a thread */
        rc = add_arg(ctx, "socketpair", 0, UINT32_MAX, AF_UNIX);
    if (!rc)
        rc = add_arg(ctx, "open", 1, writes, O_RDONLY);
    if (!rc)
        rc = add_arg(ctx, "openat", 2, writes, O_RDONLY);
    if (!rc) /* threads, no processes; clone3 hides its flags: ENOSYS */
        rc = add_arg(ctx, "clone", 0, CLONE_THREAD, CLONE_THREAD);
    if (!rc) /* limits of ourselves, to be read only */
        rc = add_arg(ctx, "prlimit64", 2, UINT64_MAX, 0);
    return rc;
}

static int fill(scmp_filter_ctx ctx)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]) && !rc; i++)
        rc = add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !rc; i++)
        rc = add(ctx, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    return rc ? rc : add_some(ctx);
}

enum justalock_status jail_shut(struct justalock_error *err)
{
    scmp_filter_ctx ctx;
    int rc;

    if (IS_SANITIZED)
        return JUSTALOCK_OK;
    ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!ctx)
        return error_nomem(err);
    rc = fill(ctx);
    if (!rc)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    if (rc)
        return error_sys(err, -rc, "seccomp");
    return JUSTALOCK_OK;
}

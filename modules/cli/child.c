/* SPDX-License-Identifier: MIT */
/*
 * child.c - starts the command: own process group, the terminal where it was
 * ours, signals as we found them, JUSTALOCK_* in its environment. It does not
 * supervise it.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* struct clone_args of clone(2), which older kernel headers lack. */
struct clone_how {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack,
        stack_size, tls, set_tid, set_tid_size, cgroup;
};

static bool put_env(const char *name, const char *value)
{
    if (value == NULL)
        return unsetenv(name) == 0;
    return setenv(name, value, 1) == 0;
}

static bool set_environment(const char *lock, const struct child_pass *pass)
{
    char token[24], slot[16];

    (void)snprintf(token, sizeof(token), "%" PRIu64, pass->token);
    (void)snprintf(slot, sizeof(slot), "%u", pass->slot);
    return put_env("JUSTALOCK_LOCK", lock) &&
           put_env("JUSTALOCK_TOKEN", pass->has_token ? token : NULL) &&
           put_env("JUSTALOCK_SLOT", pass->has_slot ? slot : NULL) &&
           put_env("JUSTALOCK_ID", pass->has_id ? pass->id : NULL);
}

/* Wait at the gate. false: we are not let go. */
static bool wait_for_go(int gate, struct child_pass *ret_pass)
{
    ssize_t n;

    do
        n = read(gate, ret_pass, sizeof(*ret_pass));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret_pass);
}

_Noreturn static void child_main(const struct child_how *how, int gate,
                                 pid_t parent)
{
    struct child_pass pass;
    int e;

    (void)setpgid(0, 0); /* the parent does it too; one of both is first */
    if (how->dies_with_us &&
        (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
        _exit(CLI_LOCAL);
    if (!wait_for_go(gate, &pass))
        _exit(CLI_LOCAL);
    if (!set_environment(how->lock, &pass)) {
        cli_say("no memory for the environment of %s", how->argv[0]);
        _exit(CLI_LOCAL);
    }
    if (pass.on_terminal)
        terminal_give(how->terminal, getpid());
    signals_restore(how->signals);
    /* The last look before the work begins: we may have been stopped. */
    if (clock_left_ms(pass.stop_at, clock_now()) <= 0) {
        cli_say("the lock was lost before %s began", how->argv[0]);
        _exit(CLI_LOST);
    }
    (void)execvp(how->argv[0], how->argv);
    e = errno;
    cli_say("cannot run %s: %s", how->argv[0], strerror(e));
    _exit(e == ENOENT ? CLI_NOT_FOUND : CLI_NO_EXEC);
}

/*
 * fork, into the cgroup that how->place is, which costs nothing where a
 * migration would wait milliseconds for all CPUs. The raw call, as the C
 * library has none: no handler of fork is run, which a child that does no
 * more than child_main does not need. Where it fails, the plain one does.
 */
static pid_t fork_into(const char *place)
{
    struct clone_how args = {.flags = CLONE_INTO_CGROUP,
                             .exit_signal = SIGCHLD};
    int dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long pid;

    if (dir < 0)
        return fork();
    args.cgroup = (uint64_t)dir;
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid != 0)
        (void)close(dir); /* only looked up from */
    return pid < 0 ? fork() : (pid_t)pid;
}

enum justalock_status child_start(const struct child_how *how,
                                  struct child *ret_child,
                                  struct justalock_error *err)
{
    pid_t parent = getpid();
    int gate[2];
    pid_t pid;

    if (pipe2(gate, O_CLOEXEC) != 0)
        return error_sys(err, errno, "pipe");
    pid = how->place != NULL && how->place[0] != '\0' ? fork_into(how->place)
                                                      : fork();
    if (pid < 0) {
        int e = errno;

        (void)close(gate[0]);
        (void)close(gate[1]);
        return error_sys(err, e, "cannot start %s", how->argv[0]);
    }
    if (pid == 0) {
        (void)close(gate[1]);
        child_main(how, gate[0], parent);
    }
    (void)close(gate[0]);
    (void)setpgid(pid, pid); /* EACCES: it has done so and is running */
    ret_child->pid = pid;
    ret_child->gate = gate[1];
    return JUSTALOCK_OK;
}

enum justalock_status child_go(struct child *c, const struct child_pass *pass,
                               struct justalock_error *err)
{
    ssize_t n;
    int e;

    do
        n = write(c->gate, pass, sizeof(*pass));
    while (n < 0 && errno == EINTR);
    e = errno;
    child_drop(c);
    if (n != (ssize_t)sizeof(*pass))
        return error_sys(err, n < 0 ? e : EPIPE, "cannot start the command");
    return JUSTALOCK_OK;
}

void child_drop(struct child *c)
{
    if (c->gate >= 0)
        (void)close(c->gate);
    c->gate = -1;
}

int child_code(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        return 128 + WTERMSIG(wait_status);
    return WEXITSTATUS(wait_status);
}

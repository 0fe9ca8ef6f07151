/* SPDX-License-Identifier: MIT */
/*
 * test_proc.c - what /proc says of real processes: with names that look like
 * the end of a name, dead, half dead, stopped, gone between two looks, and of
 * another one with the same pid.
 */
#include "count_fds.h"
#include "scratch.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc.h"
#include "sleeper.h"

#define PID_BITS 22

/* ---- reads and writes that a test has a say in ---- */

static void (*before_read)(void); /* once */
static int read_fails;            /* the next one, with this */
static size_t read_most = SIZE_MAX;
static int write_fails;
static size_t write_less; /* of the next one */

ssize_t __real_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len)
{
    void (*fn)(void) = before_read;

    before_read = NULL;
    if (fn != NULL)
        fn();
    if (read_fails != 0) {
        errno = read_fails;
        read_fails = 0;
        return -1;
    }
    return __real_read(fd, data, len < read_most ? len : read_most);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    size_t less = write_less;

    write_less = 0;
    if (write_fails != 0) {
        errno = write_fails;
        write_fails = 0;
        return -1;
    }
    return __real_write(fd, data, len - less);
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Dead, and nobody has asked yet. */
static void make_zombie(pid_t pid)
{
    siginfo_t info;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* ---- one process ---- */

static void a_name_may_be_anything(void **state)
{
    static const char *const names[] = {
        ") (",      "a) Z 1 (b", ")\nR 7",          "))))) X 1 1",
        ") Z 1 1)", "",          "(((((((((((((((", " ) R 0 0 0 0 0\n",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        int out[2];
        char ready;
        uint64_t before = proc_ticks_now();
        struct proc_stat st;
        pid_t pid;

        assert_int_equal(pipe(out), 0);
        pid = fork();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)prctl(PR_SET_NAME, names[i]);
            (void)!write(out[1], "", 1);
            for (;;)
                (void)pause();
        }
        assert_int_equal(read(out[0], &ready, 1), 1);
        (void)close(out[0]);
        (void)close(out[1]);
        assert_true(proc_stat_read(pid, &st));
        assert_int_equal(st.pid, pid);
        assert_int_equal(st.parent, getpid());
        assert_true(st.state == 'S' || st.state == 'R');
        assert_true(st.is_alive);
        assert_in_range(st.start, before, proc_ticks_now());
        end(pid);
        assert_false(proc_stat_read(pid, &st));
    }
}

static void the_terminal_is_told(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct proc_stat st;
    int status;
    pid_t pid;

    (void)state;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    pid = fork();
    if (pid == 0) {
        struct stat sb;
        int fd;

        if (setsid() < 0 || !proc_stat_read(getpid(), &st) || st.terminal != 0)
            _exit(1);
        fd = open(ptsname(master), O_RDWR); /* its controlling one */
        if (fd < 0 || fstat(fd, &sb) != 0 || !proc_stat_read(getpid(), &st))
            _exit(2);
        _exit(st.terminal == sb.st_rdev ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)close(master);
}

static void a_zombie_is_not_alive(void **state)
{
    pid_t pid = start(false);
    proc_key key = proc_key_of(pid);
    struct proc_stat st;

    (void)state;
    assert_true(proc_key_is_alive(key));
    make_zombie(pid);
    assert_true(proc_stat_read(pid, &st));
    assert_int_equal(st.state, 'Z');
    assert_false(st.is_alive);
    assert_true(proc_key_of(pid) == key); /* that it was stays told */
    assert_false(proc_key_is_alive(key));
    errno = 0;
    assert_int_equal(proc_key_open(key), -1);
    assert_int_equal(errno, ESRCH);
    assert_false(proc_key_signal(key, SIGTERM));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(proc_key_is_alive(key));
    assert_true(proc_key_of(pid) == 0);
}

static void *stay(void *arg)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!write(*(int *)arg, "", 1);
    for (;;)
        (void)pause();
    return NULL;
}

/* Its first thread has ended, and shows as a zombie; another works on. */
static void half_dead_is_alive(void **state)
{
    struct proc_stat st;
    proc_key key;
    char ready;
    int out[2];
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        pthread_t t;

        if (pthread_create(&t, NULL, stay, &out[1]) != 0)
            _exit(1);
        (void)syscall(SYS_exit, 0); /* the thread alone */
    }
    assert_int_equal(read(out[0], &ready, 1), 1);
    (void)close(out[0]);
    (void)close(out[1]);
    key = proc_key_of(pid);
    for (int i = 0; i < 1000; i++) {
        assert_true(proc_stat_read(pid, &st));
        if (st.state == 'Z')
            break;
        (void)poll(NULL, 0, 5);
    }
    assert_int_equal(st.state, 'Z');
    assert_true(st.is_alive);
    assert_true(proc_key_is_alive(key));
    assert_true(proc_key_signal(key, SIGKILL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_stopped_one_is_alive(void **state)
{
    pid_t pid = start(false);
    proc_key key = proc_key_of(pid);
    struct proc_stat st;
    int status;

    (void)state;
    assert_true(proc_key_signal(key, SIGSTOP));
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(proc_stat_read(pid, &st));
    assert_int_equal(st.state, 'T');
    assert_true(proc_key_is_alive(key));
    assert_true(proc_key_signal(key, SIGKILL));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- which process ---- */

static void a_key_is_pid_and_start(void **state)
{
    proc_key self = proc_key_self();
    struct proc_stat st;

    (void)state;
    assert_true(proc_stat_read(getpid(), &st));
    assert_int_equal(proc_key_pid(self), getpid());
    assert_int_equal(proc_key_start(self), st.start);
    assert_true(self == proc_key_of(getpid()));
    assert_true(proc_key_is_alive(self));
    assert_int_equal(proc_key_pid((UINT64_C(77) << PID_BITS) | 4194303),
                     4194303);
    assert_int_equal(proc_key_start((UINT64_C(77) << PID_BITS) | 4194303), 77);
    assert_true(proc_key_of(0) == 0);
    assert_true(proc_key_of(-1) == 0);
    assert_true(proc_key_of(INT_MAX) == 0);
    assert_false(proc_key_is_alive(0));
    assert_false(proc_key_signal(0, 0));
    errno = 0;
    assert_int_equal(proc_key_open(0), -1);
    assert_int_equal(errno, ESRCH);
}

/* A child with this very pid, which was another one's; -1: not here. */
static pid_t start_as(pid_t pid)
{
    /* struct clone_args, which old headers do not have: exit_signal, set_tid
     * and its size. */
    uint64_t args[10] = {[4] = SIGCHLD, [8] = (uintptr_t)&pid, [9] = 1};
    pid_t got = (pid_t)syscall(435 /* clone3 */, args, sizeof(args));

    if (got == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    return got;
}

static void a_pid_is_used_again(void **state)
{
    pid_t pid = start(false);
    proc_key old = proc_key_of(pid), fresh;

    (void)state;
    end(pid);
    while (proc_ticks_now() <= proc_key_start(old))
        (void)poll(NULL, 0, 1);
    if (start_as(pid) != pid)
        skip(); /* as root, and from Linux 5.5 on */
    fresh = proc_key_of(pid);
    assert_true(fresh != old);
    assert_int_equal(proc_key_pid(fresh), pid);
    assert_true(proc_key_is_alive(fresh));
    assert_false(proc_key_is_alive(old));
    errno = 0;
    assert_int_equal(proc_key_open(old), -1);
    assert_int_equal(errno, ESRCH);
    assert_false(proc_key_signal(old, SIGKILL));
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_true(proc_key_is_alive(fresh));
    end(pid);
}

/* ---- gone between two looks ---- */

static pid_t victim;

static void end_victim(void)
{
    end(victim);
}

static void gone_after_the_file_was_opened(void **state)
{
    struct proc_stat st = {.pid = 7};
    char path[64] = "x";

    (void)state;
    victim = start(false);
    before_read = end_victim;
    assert_false(proc_stat_read(victim, &st));
    assert_int_equal(st.pid, 7);
    victim = start(false);
    before_read = end_victim;
    proc_cgroup_path(victim, path, sizeof(path));
    assert_string_equal(path, "");
    assert_null(before_read);
}

/* There is a descriptor already, and then it dies. */
static void gone_after_its_descriptor(void **state)
{
    int before;
    proc_key key;

    (void)state;
    victim = start(false);
    key = proc_key_of(victim);
    before = count_fds();
    before_read = end_victim;
    errno = 0;
    assert_int_equal(proc_key_open(key), -1);
    assert_int_equal(errno, ESRCH);
    victim = start(false);
    key = proc_key_of(victim);
    before_read = end_victim;
    assert_false(proc_key_signal(key, SIGKILL));
    assert_null(before_read);
    assert_int_equal(count_fds(), before);
}

static void its_descriptor_is_its_own(void **state)
{
    pid_t pid = start(false);
    int fd = proc_key_open(proc_key_of(pid));

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(proc_pidfd_signal(fd, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(proc_pidfd_signal(fd, 0), -1);
    assert_int_equal(errno, ESRCH);
    (void)close(fd);
}

/* ---- a kernel, or a filter, that has no pidfd_open ---- */

static int without_pidfd(proc_key key, int errnum)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 434 /* pidfd_open */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {.len = LENGTH(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return 3;
    if (proc_key_open(key) != -1 || errno != errnum)
        return 4;
    if (proc_key_signal(key + (UINT64_C(1) << PID_BITS), SIGKILL))
        return 5;
    return proc_key_signal(key, SIGUSR1) ? 0 : 6;
}

static void signals_without_descriptors(void **state)
{
    static const int errnums[] = {ENOSYS, EPERM, EMFILE};

    (void)state;
    for (size_t i = 0; i < LENGTH(errnums); i++) {
        pid_t pid = start(false); /* ended by USR1 */
        proc_key key = proc_key_of(pid);
        pid_t other = fork();
        int status;

        if (other == 0)
            _exit(without_pidfd(key, errnums[i]));
        assert_int_equal(waitpid(other, &status, 0), other);
        if (WEXITSTATUS(status) == 3) {
            end(pid);
            skip();
        }
        assert_int_equal(status, 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WTERMSIG(status), SIGUSR1);
    }
}

/* ---- ticks ---- */

static void ticks_are_those_of_the_start(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        uint64_t before = proc_ticks_now();
        pid_t pid = start(false);
        uint64_t after = proc_ticks_now();

        assert_in_range(proc_key_start(proc_key_of(pid)), before, after);
        end(pid);
        (void)poll(NULL, 0, 3);
    }
}

/* ---- files ---- */

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_file_is_read_to_its_limit(void **state)
{
    static const struct {
        size_t size;
        const char *want;
    } cases[] = {{1, ""}, {2, "1"}, {5, "1234"}, {6, "12345"}, {7, "12345"}};
    char data[16];

    (void)state;
    put("five", "12345");
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (int in_pieces = 0; in_pieces < 2; in_pieces++) {
            memset(data, 'x', sizeof(data));
            read_most = in_pieces ? 1 : SIZE_MAX;
            assert_int_equal(proc_read_file(AT_FDCWD, in_scratch("five"), data,
                                            cases[i].size),
                             strlen(cases[i].want));
            read_most = SIZE_MAX;
            assert_string_equal(data, cases[i].want);
            assert_int_equal(data[cases[i].size], 'x');
        }
}

static void what_cannot_be_read_is_said(void **state)
{
    int dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int before = count_fds();
    char data[16];

    (void)state;
    put("five", "12345");
    assert_int_equal(proc_read_file(dir, "none", data, 16), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(proc_read_file(dir, ".", data, 16), -1);
    assert_int_equal(errno, EISDIR);
    read_fails = EIO;
    assert_int_equal(proc_read_file(dir, "five", data, 16), -1);
    assert_int_equal(errno, EIO);
    read_fails = EINTR;
    assert_int_equal(proc_read_file(dir, "five", data, 16), 5);
    assert_int_equal(count_fds(), before);
    (void)close(dir);
}

static void all_of_it_is_written(void **state)
{
    int dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int before = count_fds();
    char data[16];

    (void)state;
    put("file", "");
    assert_int_equal(proc_write_file(dir, "file", "abc"), 0);
    assert_int_equal(proc_read_file(dir, "file", data, 16), 3);
    assert_string_equal(data, "abc");
    assert_int_equal(proc_write_file(dir, "absent", "abc"), ENOENT);
    assert_int_equal(faccessat(dir, "absent", F_OK, 0), -1); /* nor made */
    write_fails = EINTR;
    assert_int_equal(proc_write_file(dir, "file", "xyz"), 0);
    write_fails = EBUSY;
    assert_int_equal(proc_write_file(dir, "file", "abc"), EBUSY);
    write_less = 1;
    assert_int_equal(proc_write_file(dir, "file", "abc"), EIO);
    assert_int_equal(count_fds(), before);
    (void)close(dir);
}

/* ---- names ---- */

#define MANY 400 /* do not fit into one piece */

struct seen {
    unsigned count[MANY];
    unsigned all;
    unsigned most; /* stop then */
    bool removes;  /* the one after each */
};

static bool see(void *arg, int dir, const char *name)
{
    struct seen *s = arg;
    unsigned n = 0;

    assert_int_equal(name[0], 'f');
    n = (unsigned)strtoul(name + strlen("file-with-a-long-name-"), NULL, 10);
    assert_true(n < MANY);
    s->count[n]++;
    s->all++;
    if (s->removes) {
        char next[64];

        (void)snprintf(next, sizeof(next), "file-with-a-long-name-%u",
                       (n + MANY / 2) % MANY);
        (void)unlinkat(dir, next, 0);
    }
    return s->all != s->most;
}

static void every_name_once(void **state)
{
    static struct seen seen;
    char name[64];
    int dir;

    (void)state;
    assert_int_equal(mkdir(in_scratch("many"), 0700), 0);
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "many/file-with-a-long-name-%u", i);
        put(name, "");
    }
    put("many/.hidden", "");
    dir = open(in_scratch("many"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(proc_each_name(dir, see, &seen), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(seen.count[i], 1);
    /* Again, from the start, and not to the end. */
    memset(&seen, 0, sizeof(seen));
    seen.most = 3;
    assert_int_equal(proc_each_name(dir, see, &seen), 0);
    assert_int_equal(seen.all, 3);
    /* Names go away while they are being listed. */
    memset(&seen, 0, sizeof(seen));
    seen.removes = true;
    assert_int_equal(proc_each_name(dir, see, &seen), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(seen.count[i] <= 1);
    assert_in_range(seen.all, MANY / 2, MANY);
    /* And then the folder itself. */
    assert_int_equal(scratch_clear(in_scratch("many")), 0);
    assert_int_equal(proc_each_name(dir, see, &seen), -1);
    assert_int_equal(errno, ENOENT);
    (void)close(dir);
    put("file", "");
    dir = open(in_scratch("file"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(proc_each_name(dir, see, &seen), -1);
    assert_int_equal(errno, ENOTDIR);
    (void)close(dir);
}

static void names_that_are_pids(void **state)
{
    static const struct {
        const char *name;
        pid_t pid;
    } cases[] = {
        {"1", 1},       {"4711", 4711},     {"4194303", 4194303},
        {"4194304", 0}, {"99999999999", 0}, {"18446744073709551617", 0},
        {"", 0},        {"0", 0},           {"self", 0},
        {"1a", 0},      {"-1", 0},          {"+1", 0},
        {" 1", 0},      {"1 ", 0},          {"1/", 0},
        {"/1", 0},      {"4294967297", 0},  {":", 0},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(proc_pid_of_name(cases[i].name), cases[i].pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_may_be_anything),
        cmocka_unit_test(the_terminal_is_told),
        cmocka_unit_test(a_zombie_is_not_alive),
        cmocka_unit_test(half_dead_is_alive),
        cmocka_unit_test(a_stopped_one_is_alive),
        cmocka_unit_test(a_key_is_pid_and_start),
        cmocka_unit_test(a_pid_is_used_again),
        cmocka_unit_test(gone_after_the_file_was_opened),
        cmocka_unit_test(gone_after_its_descriptor),
        cmocka_unit_test(its_descriptor_is_its_own),
        cmocka_unit_test(signals_without_descriptors),
        cmocka_unit_test(ticks_are_those_of_the_start),
        cmocka_unit_test(a_file_is_read_to_its_limit),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(all_of_it_is_written),
        cmocka_unit_test(every_name_once),
        cmocka_unit_test(names_that_are_pids),
    };

    return cmocka_run_group_tests_name("proc", tests, scratch_make,
                                       scratch_remove);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_spank_wait.c - a task's wait for the verdict: an agent that answers,
 * answers by halves, talks rubbish, talks on and on, is silent or goes; each
 * signal; and a slurmstepd that dies meanwhile.
 */
#include "fake_spank.h"
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pair[2]; /* ours, the agent's */
static char noted[4096];
static struct justalock_error err;
static struct wire_msg got;

/* ---- the handlers' end, with something coming in its middle ---- */

static int comes_at_end; /* this signal, when the first default is set again */

int __real_sigaction(int signo, const struct sigaction *new,
                     struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *new,
                     struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *new,
                     struct sigaction *old)
{
    int comes = comes_at_end;

    if (comes != 0 && new != NULL && old == NULL) {
        comes_at_end = 0;
        (void)kill(getpid(), comes);
    }
    return __real_sigaction(signo, new, old);
}

/* ---- the agent ---- */

static void connected(void)
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    noted[0] = '\0';
    memset(&got, 0, sizeof(got));
    memset(&err, 0, sizeof(err));
}

static void closed(void)
{
    (void)close(pair[0]);
    if (pair[1] >= 0)
        (void)close(pair[1]);
}

static void hangs_up(void)
{
    (void)close(pair[1]);
    pair[1] = -1;
}

static void packs(const struct wire_msg *m, struct buf *b)
{
    buf_init(b, WIRE_MAX);
    assert_ok(wire_pack(m, b, &err), err);
}

static void says(const struct wire_msg *m)
{
    struct buf b;

    packs(m, &b);
    (void)send(pair[1], b.data, b.len, MSG_NOSIGNAL);
    buf_done(&b);
}

static void notes(const char *text)
{
    struct wire_msg m = {.type = WIRE_NOTE};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    says(&m);
}

static void decides(const char *text)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .verdict = WIRE_REFUSED_BUSY};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    says(&m);
}

static bool talks;

static void note(const char *text, void *arg)
{
    size_t len = strlen(noted);

    if (talks)
        notes("and");

    assert_ptr_equal(arg, noted);
    if (!talks)
        (void)snprintf(noted + len, sizeof(noted) - len, "%s\n", text);
}

static enum wait_end waits(int64_t first_ms, int64_t total_ms)
{
    struct wait_for w = {.fd = pair[0],
                         .parent = getppid(),
                         .first_ms = first_ms,
                         .total_ms = total_ms,
                         .note = note,
                         .arg = noted};

    return wait_verdict(&w, &got, &err);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- what it answers ---- */

static void the_verdict_at_once(void **state)
{
    (void)state;
    connected();
    decides("taken");
    assert_int_equal(waits(60000, 60000), WAIT_VERDICT);
    assert_int_equal(got.type, WIRE_VERDICT);
    assert_int_equal(got.verdict, WIRE_REFUSED_BUSY);
    assert_string_equal(got.text, "taken");
    assert_string_equal(noted, "");
    closed();
}

static void notes_before_it(void **state)
{
    (void)state;
    connected();
    notes("one");
    notes("");
    notes("two");
    notes("two");
    decides("taken");
    hangs_up();
    assert_int_equal(waits(60000, 60000), WAIT_VERDICT);
    assert_string_equal(noted, "one\ntwo\ntwo\n");
    closed();
}

static void it_goes(void **state)
{
    (void)state;
    for (int with_note = 0; with_note < 2; with_note++) {
        connected();
        if (with_note)
            notes("one");
        hangs_up();
        assert_int_equal(waits(60000, -1), WAIT_GONE);
        assert_has(err.text, "has closed the connection");
        assert_int_equal(got.type, 0);
        closed();
    }
    connected();
    (void)close(pair[0]); /* our own end is no better */
    assert_int_equal(waits(60000, -1), WAIT_GONE);
    assert_true(err.text[0] != '\0');
    hangs_up();
}

/* Every beginning of a verdict. */
static void half_of_it(void **state)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .has_token = 1, .token = 7};
    struct buf b;

    (void)state;
    (void)snprintf(m.text, sizeof(m.text), "text");
    (void)snprintf(m.locks, sizeof(m.locks), "a,b");
    packs(&m, &b);
    for (size_t len = 1; len <= b.len; len++) {
        connected();
        assert_int_equal(send(pair[1], b.data, len, 0), len);
        hangs_up();
        if (len < b.len) {
            assert_int_equal(waits(60000, -1), WAIT_RUBBISH);
            assert_int_equal(got.type, 0);
            assert_int_equal(err.status, JUSTALOCK_PROTO);
        } else {
            assert_int_equal(waits(60000, -1), WAIT_VERDICT);
            assert_int_equal(got.token, 7);
        }
        closed();
    }
    buf_done(&b);
}

static void rubbish(void **state)
{
    static char huge[WIRE_MAX + 1];
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"x", 1, "too short"},
        {"\xff\x00rubbish\xff", 10, "version"},
        {"\x02\x00\x41\x00", 4, "message version 2"},
        {"\x01\x00\xff\xff", 4, "message type 65535"},
        {huge, sizeof(huge), "8193 bytes exceeds 8192"},
    };
    const struct wire_msg of_others[] = {
        {.type = WIRE_PING}, {.type = WIRE_LOST}, {.type = WIRE_ITEM}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        connected();
        notes("one");
        assert_int_equal(send(pair[1], cases[i].bytes, cases[i].len, 0),
                         cases[i].len);
        decides("too late");
        assert_int_equal(waits(60000, -1), WAIT_RUBBISH);
        assert_has(err.text, cases[i].why);
        assert_int_equal(got.type, 0);
        closed();
    }
    for (size_t i = 0; i < LENGTH(of_others); i++) {
        char why[64];

        connected();
        says(&of_others[i]);
        assert_int_equal(waits(60000, -1), WAIT_RUBBISH);
        (void)snprintf(why, sizeof(why), "an answer of type %d",
                       (int)of_others[i].type);
        assert_string_equal(err.text, why);
        closed();
    }
}

/* ---- for how long ---- */

static void silent(void **state)
{
    int64_t began = now_ms();

    (void)state;
    connected();
    assert_int_equal(waits(60, -1), WAIT_SILENT);
    assert_true(now_ms() - began >= 60);
    assert_string_equal(err.text, "no answer within 60 ms");
    /* After the first word the other limit holds, and is the one named. */
    began = now_ms();
    notes("one");
    assert_int_equal(waits(60000, 70), WAIT_SILENT);
    assert_in_range(now_ms() - began, 70, 30000);
    assert_string_equal(err.text, "no answer within 70 ms");
    assert_int_equal(got.type, 0);
    closed();
}

/* No time is left: what is there counts all the same. */
static void looks_once_more(void **state)
{
    (void)state;
    connected();
    notes("one");
    notes("two");
    decides("taken");
    assert_int_equal(waits(0, 0), WAIT_VERDICT);
    assert_string_equal(noted, "one\ntwo\n");
    assert_int_equal(waits(0, 0), WAIT_SILENT);
    assert_string_equal(err.text, "no answer within 0 ms");
    closed();
}

static pid_t helper(void (*fn)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(pair[0]);
        fn();
        _exit(0);
    }
    hangs_up(); /* it has the other end */
    return pid;
}

static void decides_late(void)
{
    (void)poll(NULL, 0, 1200); /* longer than one look takes, too */
    decides("late");
}

static void as_long_as_it_takes(void **state)
{
    pid_t pid;

    (void)state;
    connected();
    notes("one");
    pid = helper(decides_late);
    assert_int_equal(waits(30, -1), WAIT_VERDICT);
    assert_string_equal(got.text, "late");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    closed();
}

/* It is not silent, and says nothing: bounded, too. */
static void talks_on_and_on(void **state)
{
    (void)state;
    connected();
    notes("one");
    talks = true; /* another one for each that is read */
    alarm(50);
    assert_int_equal(waits(60000, 100), WAIT_SILENT);
    alarm(0);
    talks = false;
    assert_string_equal(err.text, "no answer within 100 ms");
    closed();
}

/* ---- slurmstepd ---- */

static void orphaned_before(void **state)
{
    struct wait_for w = {.parent = getpid(), .first_ms = 60000, .total_ms = -1};

    (void)state;
    connected();
    decides("go"); /* even with a verdict nothing may start */
    w.fd = pair[0];
    assert_int_equal(wait_verdict(&w, &got, &err), WAIT_ORPHAN);
    assert_int_equal(got.type, 0);
    closed();
}

static void orphaned_meanwhile(void **state)
{
    int out[2];
    char end = 0;
    int status;
    pid_t stepd;

    (void)state;
    connected();
    assert_int_equal(pipe(out), 0);
    stepd = fork();
    if (stepd == 0) {
        pid_t parent = getpid();

        if (fork() == 0) {
            struct wait_for w = {.fd = pair[0],
                                 .parent = parent,
                                 .first_ms = 60000,
                                 .total_ms = -1};

            alarm(60);
            end = (char)wait_verdict(&w, &got, &err);
            (void)!write(out[1], &end, 1);
            _exit(0);
        }
        _exit(0);
    }
    (void)close(out[1]);
    assert_int_equal(waitpid(stepd, &status, 0), stepd);
    assert_int_equal(read(out[0], &end, 1), 1); /* within a look */
    assert_int_equal(end, WAIT_ORPHAN);
    (void)close(out[0]);
    closed();
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;

static void hosts_handler(int signo)
{
    handled = signo;
}

/* A task that waits, with its other end here. */
static pid_t task(void (*before)(void), void (*after)(void))
{
    pid_t pid;
    char ready;
    int up[2];

    connected();
    notes("one"); /* is read when the handlers are there */
    assert_int_equal(pipe(up), 0);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(pair[1]);
        (void)close(up[0]);
        for (int s = 1; s < NSIG; s++) /* cmocka's, a shell's */
            (void)signal(s, SIG_DFL);
        if (before != NULL)
            before();
        /* The first wait ends at once; by the second all is as ever. */
        if (waits(60000, 0) != WAIT_SILENT)
            _exit(90);
        (void)!write(up[1], "", 1);
        if (waits(60000, -1) != WAIT_VERDICT)
            _exit(91);
        if (after != NULL)
            after();
        _exit(handled != 0 ? 92 : 0);
    }
    (void)close(up[1]);
    assert_int_equal(read(up[0], &ready, 1), 1);
    (void)close(up[0]);
    return pid;
}

/* It is in its poll, so its handlers are set. */
static void await_poll(pid_t pid)
{
    char path[64], text[64] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 2000; i++) {
        char state = '?';
        FILE *f = fopen(path, "re");

        if (f != NULL && fgets(text, sizeof(text), f) != NULL &&
            strrchr(text, ')') != NULL)
            state = strrchr(text, ')')[2];
        if (f != NULL)
            (void)fclose(f);
        if (state == 'S')
            return;
        (void)poll(NULL, 0, 1);
    }
}

static int ended(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    closed();
    return status;
}

static void ignore_all(void)
{
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_IGN);
}

static void some_end_it(void **state)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGXCPU};

    (void)state;
    for (size_t i = 0; i < LENGTH(signos) * 2; i++) {
        /* Even where they were ignored. */
        pid_t pid = task(i % 2 == 0 ? NULL : ignore_all, NULL);
        int status;

        await_poll(pid);
        assert_int_equal(kill(pid, signos[i / 2]), 0);
        status = ended(pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signos[i / 2]);
    }
}

static bool is_swallowed(int signo)
{
    static const int others[] = {
        SIGTERM, SIGINT,  SIGHUP,  SIGQUIT, SIGXCPU, SIGKILL, SIGSTOP,
        SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGABRT, SIGSYS,
        SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, 32,      33};

    for (size_t i = 0; i < LENGTH(others); i++)
        if (signo == others[i])
            return false;
    return true;
}

static void others_do_not(void **state)
{
    pid_t pid = task(NULL, NULL);
    int n = 0;

    (void)state;
    await_poll(pid);
    for (int s = 1; s < NSIG; s++)
        if (is_swallowed(s)) {
            assert_int_equal(kill(pid, s), 0);
            n++;
        }
    assert_true(n > 30);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &n, WUNTRACED), pid);
    assert_true(WIFSTOPPED(n));
    assert_int_equal(kill(pid, SIGCONT), 0);
    decides("at last");
    assert_int_equal(ended(pid), 0);
}

static void faults_stay_faults(void **state)
{
    static const int signos[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

    (void)state;
    for (size_t i = 0; i < LENGTH(signos); i++) {
        pid_t pid = task(NULL, NULL);
        int status;

        await_poll(pid);
        assert_int_equal(kill(pid, signos[i]), 0);
        status = ended(pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signos[i]);
    }
}

static sigset_t mask_before;

static void set_some(void)
{
    struct sigaction sa = {.sa_handler = hosts_handler, .sa_flags = SA_RESTART};

    (void)signal(SIGUSR2, SIG_IGN);
    (void)__real_sigaction(SIGTERM, &sa, NULL);
    (void)__real_sigaction(SIGALRM, &sa, NULL);
    (void)__real_sigaction(SIGCHLD, &sa, NULL);
    (void)sigemptyset(&mask_before);
    (void)sigaddset(&mask_before, SIGINT);
    (void)sigaddset(&mask_before, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

static void check_some(void)
{
    struct sigaction sa;
    sigset_t mask, pending;

    if (handled != SIGCHLD) /* which was always the host's */
        _exit(80);
    handled = 0;
    (void)__real_sigaction(SIGUSR2, NULL, &sa);
    if (sa.sa_handler != SIG_IGN)
        _exit(81);
    for (int i = 0; i < 2; i++) {
        (void)__real_sigaction(i ? SIGTERM : SIGALRM, NULL, &sa);
        if (sa.sa_handler != hosts_handler || !(sa.sa_flags & SA_RESTART))
            _exit(82);
    }
    (void)__real_sigaction(SIGHUP, NULL, &sa);
    if (sa.sa_handler != SIG_DFL)
        _exit(83);
    (void)sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int s = 1; s < NSIG; s++)
        if (sigismember(&mask, s) != sigismember(&mask_before, s))
            _exit(84);
    /* What was blocked before did not end it, and is there still. */
    (void)sigpending(&pending);
    if (!sigismember(&pending, SIGINT) || !sigismember(&pending, SIGUSR1))
        _exit(85);
}

static void all_is_given_back(void **state)
{
    pid_t pid = task(set_some, check_some);

    (void)state;
    await_poll(pid);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(kill(pid, SIGUSR1), 0);
    assert_int_equal(kill(pid, SIGALRM), 0);
    assert_int_equal(kill(pid, SIGCHLD), 0);
    decides("go");
    assert_int_equal(ended(pid), 0);
}

/* It comes while the handlers are being taken away: it is not lost. */
static void none_gets_lost(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    connected();
    decides("go");
    pid = fork();
    if (pid == 0) {
        (void)signal(SIGTERM, SIG_DFL);
        comes_at_end = SIGTERM;
        (void)waits(60000, -1);
        _exit(comes_at_end != 0 ? 2 : 1);
    }
    status = ended(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* One that waited, blocked, all the time: it ends the task, by default. */
static void block_all(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
}

static void all_blocked_is_possible(void **state)
{
    pid_t pid = task(block_all, NULL);

    (void)state;
    await_poll(pid);
    assert_int_equal(kill(pid, SIGTERM), 0);
    decides("go");
    assert_int_equal(ended(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_at_once),
        cmocka_unit_test(notes_before_it),
        cmocka_unit_test(it_goes),
        cmocka_unit_test(half_of_it),
        cmocka_unit_test(rubbish),
        cmocka_unit_test(silent),
        cmocka_unit_test(looks_once_more),
        cmocka_unit_test(as_long_as_it_takes),
        cmocka_unit_test(talks_on_and_on),
        cmocka_unit_test(orphaned_before),
        cmocka_unit_test(orphaned_meanwhile),
        cmocka_unit_test(some_end_it),
        cmocka_unit_test(others_do_not),
        cmocka_unit_test(faults_stay_faults),
        cmocka_unit_test(all_is_given_back),
        cmocka_unit_test(none_gets_lost),
        cmocka_unit_test(all_blocked_is_possible),
    };

    return cmocka_run_group_tests_name("spank_wait", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_cli_back.c - the back of `justalock run` alone, with the test as its
 * front and its keeper: what it asks for, starts, ends, says and gives back,
 * and which of two things that are there at once counts.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/back.h"
#include "../../modules/cli/talk.h"
#include "../../modules/cli/tree.h"
#include "scratch.h"
#include "test.h"

#define LONG_MS 20000

static struct alone a;
static struct run_base base;
static struct run_options options;
static char script[512];
static pid_t back;
static int front_fd, keeper_fd;

/* ---- the stage ---- */

static char *const *words(void)
{
    static char sh[] = "sh", c[] = "-c";
    static char *argv[] = {sh, c, script, NULL};

    return argv;
}

static int begin(void **state)
{
    struct justalock_error err;

    if (scratch_make(state) != 0)
        return -1;
    memset(&a, 0, sizeof(a));
    memset(&base, 0, sizeof(base));
    memset(&options, 0, sizeof(options));
    options.lock = "db";
    options.argv = (char **)(uintptr_t)words();
    options.busy_code = CLI_BUSY;
    base.options = &options;
    base.terminal.fd = -1;
    a.base = &base;
    a.on_lost = CONFIG_LOST_KILL;
    a.lost_signal = SIGUSR1;
    a.hold.times.life_s = 60;
    a.hold.lock.times = a.hold.times;
    assert_ok(lease_times_fill(&a.hold.times, true, &err), err);
    memcpy(a.hold.lock.client, "client", 6);
    a.hold.lock.client_len = 6;
    memcpy(a.hold.lock.share, "0123456789abcdef", 17);
    memcpy(a.hold.service.url, "http://h/", 10);
    a.hold.wait_ms = -1;
    a.hold.pidfd = -1;
    a.hold.again_at = clock_never();
    a.hold.check_at = clock_never();
    return page_new(&a.page, &err) == JUSTALOCK_OK ? 0 : -1;
}

/* With a command that runs in the scratch folder. */
static void starts(const char *command)
{
    int talk[2], keeper[2], said;
    struct justalock_error err;

    assert_true((size_t)snprintf(script, sizeof(script), "cd %s; %s", scratch,
                                 command) < sizeof(script));
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keeper), 0);
    said = open(in_scratch("said"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                0600);
    assert_true(said >= 0);
    a.front = getpid();
    back = fork();
    if (back == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(talk[0]);
        (void)close(keeper[0]);
        (void)dup2(said, 2);
        a.back_end = talk[1];
        a.hold.fd = keeper[1];
        if (signals_open(&base.signals, &err) != JUSTALOCK_OK)
            _exit(99);
        _exit(back_main(&a));
    }
    assert_true(back > 0);
    (void)close(talk[1]);
    (void)close(keeper[1]);
    (void)close(said);
    front_fd = talk[0];
    keeper_fd = keeper[0];
}

static void await_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, LONG_MS), 1);
}

/* What the keeper is asked for next. */
static struct keeper_msg asked(enum keeper_wire_type type)
{
    struct justalock_error err;
    struct keeper_msg m;
    bool more = false;

    await_readable(keeper_fd);
    assert_ok(keeper_wire_recv(keeper_fd, &m, &more, &err), err);
    assert_true(more);
    assert_int_equal(m.type, type);
    return m;
}

static bool is_asked(void)
{
    struct pollfd p = {.fd = keeper_fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void says(enum keeper_event_kind kind, enum justalock_status status,
                 const char *text)
{
    struct keeper_msg m = {.type = KW_EVENT, .handle = 1};
    struct justalock_error err;

    m.event.handle = 1;
    m.event.kind = kind;
    m.event.status = status;
    m.event.t0 = clock_now();
    m.event.has_features = true;
    m.event.has_token = kind == KEEPER_GRANTED;
    m.event.token = 42;
    (void)snprintf(m.event.text, sizeof(m.event.text), "%s", text);
    if (kind == KEEPER_BUSY)
        (void)snprintf(m.event.holder, sizeof(m.event.holder), "job 9");
    assert_ok(keeper_wire_send(keeper_fd, &m, &err), err);
}

static int hears(enum talk_kind kind)
{
    struct talk t;

    await_readable(front_fd);
    assert_int_equal(talk_recv(front_fd, &t), 1);
    assert_int_equal(t.kind, kind);
    return t.value;
}

static void gives_back(void)
{
    (void)asked(KW_RELEASE);
    says(KEEPER_RELEASED, JUSTALOCK_OK, "");
}

/* It has ended; what it said holds this; "": it was nothing, NULL: a shell may
 * have said something, too. */
static void ends(int code, const char *part)
{
    char text[2048];
    int status, fd;
    ssize_t n;

    assert_int_equal(waitpid(back, &status, 0), back);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("it ended with %#x, not with %d", (unsigned)status, code);
    fd = open(in_scratch("said"), O_RDONLY | O_CLOEXEC);
    n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    (void)close(fd);
    if (part != NULL && part[0] == '\0')
        assert_string_equal(text, "");
    else if (part != NULL)
        assert_has(text, part);
    (void)close(front_fd);
    (void)close(keeper_fd);
}

static void await_file(const char *name)
{
    for (int i = 0; i < LONG_MS && access(in_scratch(name), F_OK) != 0; i++)
        (void)usleep(1000);
    assert_int_equal(access(in_scratch(name), F_OK), 0);
}

static void touch(const char *name)
{
    int fd = open(in_scratch(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

static bool has_file(const char *name)
{
    return access(in_scratch(name), F_OK) == 0;
}

/* What is done in between is there at once when it looks again. */
static void stop(void)
{
    int status;

    assert_int_equal(kill(back, SIGSTOP), 0);
    assert_int_equal(waitpid(back, &status, WUNTRACED), back);
    assert_true(WIFSTOPPED(status));
}

static void go_on(void)
{
    assert_int_equal(kill(back, SIGCONT), 0);
}

/* Granted, and the command has begun. */
static void works(const char *command)
{
    starts(command);
    (void)asked(KW_ACQUIRE);
    says(KEEPER_GRANTED, JUSTALOCK_OK, "");
    await_file("begun");
}

#define ENDLESS                                                                \
    "trap 'touch term; exit 3' TERM; touch begun; "                            \
    "while :; do sleep 0.01; done"

/* ---- tests ---- */

static void a_whole_life(void **state)
{
    struct keeper_msg m;

    (void)state;
    starts("echo $JUSTALOCK_LOCK $JUSTALOCK_TOKEN >env; exit 5");
    m = asked(KW_ACQUIRE);
    assert_int_equal(m.wait_ms, -1);
    assert_int_equal(a.page->state, PAGE_ASKING);
    assert_false(has_file("env")); /* not before it is granted */
    says(KEEPER_GRANTED, JUSTALOCK_OK, "");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 5);
    m = asked(KW_RELEASE);
    assert_int_equal(m.wait_ms, 5000);
    assert_int_equal(a.page->state, PAGE_DONE);
    assert_true(has_file("env"));
    says(KEEPER_RELEASED, JUSTALOCK_OK, "");
    assert_int_equal(hears(TALK_ENDED), 5);
    ends(5, "");
}

static void refused(void **state)
{
    static const struct {
        int64_t wait_ms;
        enum keeper_event_kind kind;
        enum justalock_status status;
        int code;
        const char *part;
    } cases[] = {
        {0, KEEPER_BUSY, JUSTALOCK_HELD, 7, "db is held by job 9; sh was not"},
        {9, KEEPER_TIMEOUT, JUSTALOCK_HELD, 7, "wait longer with -w TIME"},
        {9, KEEPER_TIMEOUT, JUSTALOCK_NET, CLI_NET, "db: why; sh was not"},
        {0, KEEPER_TIMEOUT, JUSTALOCK_DENIED, CLI_DENIED, "db: why; sh was"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        options.busy_code = 7;
        a.hold.wait_ms = cases[i].wait_ms;
        a.hold.begun = clock_now();
        starts("touch begun");
        (void)asked(KW_ACQUIRE);
        says(cases[i].kind, cases[i].status, "why");
        assert_int_equal(asked(KW_RELEASE).wait_ms, 1000);
        says(KEEPER_RELEASED, JUSTALOCK_OK, "");
        assert_int_equal(hears(TALK_ENDED), cases[i].code);
        ends(cases[i].code, cases[i].part);
        assert_false(has_file("begun"));
    }
}

static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    starts("touch begun");
    (void)asked(KW_ACQUIRE);
    assert_true(talk_send(front_fd, TALK_SIGNAL, SIGWINCH));
    assert_true(talk_send(front_fd, TALK_SIGNAL, SIGTERM));
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 143);
    ends(143, "");
}

/* A grant and the end of the wait are there at once: nothing starts. */
static void a_signal_before_a_grant(void **state)
{
    (void)state;
    starts("touch begun");
    (void)asked(KW_ACQUIRE);
    stop();
    says(KEEPER_GRANTED, JUSTALOCK_OK, "");
    assert_true(talk_send(front_fd, TALK_SIGNAL, SIGINT));
    go_on();
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 130);
    ends(130, "");
    assert_false(has_file("begun"));
}

static void the_front_is_gone_before_a_grant(void **state)
{
    (void)state;
    starts("touch begun");
    (void)asked(KW_ACQUIRE);
    stop();
    says(KEEPER_GRANTED, JUSTALOCK_OK, "");
    (void)shutdown(front_fd, SHUT_RDWR);
    go_on();
    gives_back();
    ends(CLI_LOCAL, "");
    assert_false(has_file("begun"));
}

static void signals_go_to_the_command(void **state)
{
    (void)state;
    works("trap 'touch usr; exit 4' USR1; touch begun; "
          "while :; do sleep 0.01; done");
    assert_true(talk_send(front_fd, TALK_SIGNAL, SIGUSR1));
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 4);
    assert_true(has_file("usr"));
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 4);
    ends(4, NULL);
}

static void a_loss_ends_it(void **state)
{
    (void)state;
    works(ENDLESS);
    says(KEEPER_LOST, JUSTALOCK_LOST, "another has it");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 3);
    assert_true(has_file("term"));
    /* Nobody waits for what a lost lock leaves at the service. */
    assert_int_equal(hears(TALK_ENDED), CLI_LOST);
    assert_int_equal(asked(KW_RELEASE).wait_ms, 2000);
    says(KEEPER_RELEASED, JUSTALOCK_OK, "");
    ends(CLI_LOST, "lost lock db: another has it; ending sh");
}

/* A keeper that says so has given it back. */
static void a_time_out_while_it_runs(void **state)
{
    (void)state;
    works(ENDLESS);
    says(KEEPER_TIMEOUT, JUSTALOCK_PROTO, "status 404");
    (void)hears(TALK_EXITED);
    assert_int_equal(hears(TALK_ENDED), CLI_LOST);
    gives_back();
    ends(CLI_LOST, "lost lock db: status 404; ending sh");
}

/* Both are there at once: the work has run without its lock. */
static void a_loss_before_an_end(void **state)
{
    (void)state;
    works("touch begun; exec sleep 1000");
    stop();
    says(KEEPER_LOST, JUSTALOCK_LOST, "why");
    assert_int_equal(kill(-a.page->child, SIGKILL), 0);
    for (int i = 0; i < LONG_MS && tree_state(a.page->child) != 'Z'; i++)
        (void)usleep(1000);
    go_on();
    (void)hears(TALK_EXITED);
    assert_int_equal(hears(TALK_ENDED), CLI_LOST);
    gives_back();
    ends(CLI_LOST, "lost lock db: why");
}

static void a_loss_that_is_only_said(void **state)
{
    static const struct {
        enum config_lost on_lost;
        int code;
    } cases[] = {{CONFIG_LOST_LOG, 0}, {CONFIG_LOST_SIGNAL, 6}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        a.on_lost = cases[i].on_lost;
        (void)unlink(in_scratch("begun"));
        (void)unlink(in_scratch("go"));
        works("trap 'exit 6' USR1; touch begun; "
              "while [ ! -e go ]; do sleep 0.01; done");
        says(KEEPER_LOST, JUSTALOCK_LOST, "why");
        says(KEEPER_LOST, JUSTALOCK_LOST, "again"); /* once is enough */
        if (cases[i].code == 0)
            touch("go");
        assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), cases[i].code);
        assert_int_equal(hears(TALK_ENDED), cases[i].code);
        gives_back();
        ends(cases[i].code, "lost lock db: why; sh goes on without it");
        a.page->warned = 0;
        a.page->state = PAGE_ASKING;
    }
}

static void the_front_is_gone(void **state)
{
    (void)state;
    works(ENDLESS);
    (void)shutdown(front_fd, SHUT_RDWR);
    gives_back(); /* only when its end has been seen */
    assert_true(has_file("term"));
    ends(3, "justalock was killed; ending sh, then giving db back");
}

static void what_it_leaves_keeps_the_lock(void **state)
{
    char text[32];
    int fd;

    (void)state;
    works("setsid sh -c 'echo $$ >left; exec sleep 1000' & "
          "while [ ! -s left ]; do sleep 0.01; done; touch begun; exit 2");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 2);
    assert_false(is_asked());
    fd = open(in_scratch("left"), O_RDONLY | O_CLOEXEC);
    memset(text, 0, sizeof(text));
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    assert_int_equal(kill(atoi(text), SIGKILL), 0);
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 2);
    ends(2, "");
}

/* What is left is ended, with its grace, or left alone. */
static void what_it_leaves_is_ended(void **state)
{
    (void)state;
    a.on_end = CONFIG_END_KILL;
    a.hold.times.grace_ms = 100;
    works("sh -c 'trap \"touch term\" TERM; touch begun; "
          "while :; do sleep 0.01; done' & "
          "while [ ! -e begun ]; do sleep 0.01; done; exit 2");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 2);
    gives_back();
    assert_true(has_file("term")); /* and then KILL */
    assert_int_equal(hears(TALK_ENDED), 2);
    ends(2, NULL);
}

static void what_it_leaves_is_left_alone(void **state)
{
    char text[32] = "";
    int fd;

    (void)state;
    a.on_end = CONFIG_END_RELEASE;
    works("setsid sh -c 'echo $$ >left; exec sleep 1000' >/dev/null 2>&1 & "
          "while [ ! -s left ]; do sleep 0.01; done; touch begun; exit 2");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 2);
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 2);
    ends(2, "");
    fd = open(in_scratch("left"), O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    assert_int_equal(kill(atoi(text), SIGKILL), 0); /* it lives */
}

static void it_stops_and_goes_on(void **state)
{
    (void)state;
    works("touch begun; kill -TSTP $$; while [ ! -e go ]; do sleep 0.01; done; "
          "exit 8");
    assert_int_equal(hears(TALK_STOPPED), SIGTSTP);
    assert_int_equal(a.page->goes_on, 0);
    assert_int_equal(kill(-a.page->child, SIGCONT), 0);
    for (int i = 0; i < LONG_MS && a.page->goes_on == 0; i++)
        (void)usleep(1000);
    assert_int_equal(a.page->goes_on, 1);
    touch("go");
    assert_int_equal(WEXITSTATUS(hears(TALK_EXITED)), 8);
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 8);
    ends(8, "");
}

static void it_could_not_be_given_back(void **state)
{
    (void)state;
    works("touch begun; exit 0");
    (void)hears(TALK_EXITED);
    (void)asked(KW_RELEASE);
    says(KEEPER_RELEASED, JUSTALOCK_NET, "");
    assert_int_equal(hears(TALK_ENDED), 0);
    ends(0, "db could not be given back; it stays held until its lease ends, "
            "in 60 s at most");
}

static void trouble_is_said(void **state)
{
    (void)state;
    starts("exit 0");
    (void)asked(KW_ACQUIRE);
    says(KEEPER_TROUBLE, JUSTALOCK_NET, "why");
    says(KEEPER_GRANTED, JUSTALOCK_OK, "");
    (void)hears(TALK_EXITED);
    gives_back();
    assert_int_equal(hears(TALK_ENDED), 0);
    ends(0, "db: why; still trying");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, scratch_remove)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_life),
        TEST(refused),
        TEST(a_signal_ends_the_wait),
        TEST(a_signal_before_a_grant),
        TEST(the_front_is_gone_before_a_grant),
        TEST(signals_go_to_the_command),
        TEST(a_loss_ends_it),
        TEST(a_time_out_while_it_runs),
        TEST(a_loss_before_an_end),
        TEST(a_loss_that_is_only_said),
        TEST(the_front_is_gone),
        TEST(what_it_leaves_keeps_the_lock),
        TEST(what_it_leaves_is_ended),
        TEST(what_it_leaves_is_left_alone),
        TEST(it_stops_and_goes_on),
        TEST(it_could_not_be_given_back),
        TEST(trouble_is_said),
    };

    (void)alarm(120); /* a back that misses something waits for ever */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_cli_run_agent.c - `justalock run` at an agent that the test plays:
 * what each of its words makes the command do and exit with, and an agent that
 * goes away at any moment.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/cli.h"
#include "agent_client.h"
#include "scratch.h"

#define LONG_MS 20000
#define ARGS    12

static char path[96];
static int listener, fd; /* of the agent; fd: its connection, -1 */
static pid_t run;
static int said; /* read end of the command's stderr */

/* ---- the agent ---- */

static void agent_up(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)unlink(path);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 8), 0);
}

static void agent_gone(void)
{
    if (fd >= 0)
        (void)close(fd);
    if (listener >= 0)
        (void)close(listener);
    fd = listener = -1;
}

/* The next request; on a new connection where it has none. */
static const struct wire_msg *asked(enum wire_type type)
{
    static struct wire_msg m;
    struct justalock_error err;
    struct pollfd p = {.fd = listener, .events = POLLIN};

    if (fd < 0) {
        assert_int_equal(poll(&p, 1, LONG_MS), 1);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(fd >= 0);
    }
    assert_ok(agent_recv(fd, &m, clock_add(clock_now(), LONG_MS), &err), err);
    assert_int_equal(m.type, type);
    return &m;
}

static void says(const struct wire_msg *m)
{
    struct justalock_error err;

    assert_ok(agent_send(fd, m, clock_add(clock_now(), LONG_MS), &err), err);
}

static void verdict(enum wire_verdict v, const char *text)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .verdict = (uint8_t)v};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    if (v == WIRE_GO) {
        memcpy(m.locks, "a", 2);
        m.has_token = 1;
        m.token = 7;
    }
    says(&m);
}

static void tell(enum wire_type type, const char *text)
{
    struct wire_msg m = {.type = type};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    says(&m);
}

/* ---- the command line ---- */

static void start(const char *option, const char *script)
{
    int out[2];

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    run = fork();
    if (run == 0) {
        char name[] = "run", opt[64], lock[] = "a", end[] = "--", sh[] = "sh",
             c[] = "-c", text[512], sock[128];
        char *argv[] = {name, sock, opt, lock, end, sh, c, text, NULL};

        agent_gone(); /* this end of it is not ours */
        (void)dup2(out[1], 2);
        (void)snprintf(sock, sizeof(sock), "--socket=%s", path);
        (void)snprintf(opt, sizeof(opt), "%s", option ? option : "-w60");
        (void)snprintf(text, sizeof(text), "%s", script);
        _exit(cmd_run((int)LENGTH(argv) - 1, argv));
    }
    assert_true(run > 0);
    (void)close(out[1]);
    said = out[0];
}

/* The exit status; what was said holds `part`. */
static void ends(int code, const char *part)
{
    char text[4096];
    size_t len = 0;
    ssize_t n;
    int status;

    assert_int_equal(waitpid(run, &status, 0), run);
    run = 0;
    while ((n = read(said, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    (void)close(said);
    assert_has(text, part);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("status %x, not %d: %s", status, code, text);
    agent_gone();
}

static int up(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s", in_scratch("sock"));
    fd = -1;
    run = 0;
    agent_up();
    return 0;
}

static int down(void **state)
{
    if (run > 0 && kill(run, SIGKILL) == 0)
        (void)waitpid(run, NULL, 0);
    agent_gone();
    return scratch_remove(state);
}

/* The command's pid. */
static pid_t granted(void)
{
    pid_t pid;

    (void)asked(WIRE_COMMAND);
    verdict(WIRE_GO, "");
    pid = (pid_t)asked(WIRE_COMMAND_PID)->pid;
    assert_true(pid > 0);
    verdict(WIRE_GO, "");
    return pid;
}

static void runs_and_returns_its_status(void **state)
{
    (void)state;
    start(NULL, "test \"$JUSTALOCK_TOKEN\" = 7 && exit 5");
    (void)granted();
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "");
    ends(5, "");
    agent_up();
    start(NULL, "kill -9 $$");
    (void)granted();
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "");
    ends(128 + 9, "");
}

static void what_it_asks_for(void **state)
{
    const struct wire_msg *m;

    (void)state;
    start("-w1500ms", "exit 0");
    m = asked(WIRE_COMMAND);
    assert_string_equal(m->locks, "a");
    assert_int_equal(m->wait_ms, 1500);
    assert_string_equal(m->label, ""); /* it knows what the service may see */
    verdict(WIRE_REFUSED_BAD, "no");
    ends(64, "no");
    agent_up();
    start("-n", "exit 0");
    assert_int_equal(asked(WIRE_COMMAND)->wait_ms, 0);
    verdict(WIRE_REFUSED_BUSY, "held by b");
    ends(75, "held by b; sh was not started");
}

static void each_refusal_has_its_status(void **state)
{
    static const struct {
        enum wire_verdict v;
        int code;
    } all[] = {
        {WIRE_REFUSED_BUSY, 75},   {WIRE_REFUSED_NET, 69},
        {WIRE_REFUSED_DENIED, 77}, {WIRE_REFUSED_CONFIG, 78},
        {WIRE_REFUSED_BAD, 64},    {WIRE_REFUSED_LOST, 79},
        {WIRE_REFUSED_LOCAL, 71},  {WIRE_REFUSED_LOCAL + 9, 71},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        start(NULL, "echo started >&2");
        (void)asked(WIRE_COMMAND);
        verdict(all[i].v, "because");
        ends(all[i].code, "because");
        agent_up();
        /* The same at the gate, where the child waits already. */
        start(NULL, "echo started >&2; sleep 60");
        (void)asked(WIRE_COMMAND);
        verdict(WIRE_GO, "");
        (void)asked(WIRE_COMMAND_PID);
        verdict(all[i].v, "because");
        ends(all[i].code, "sh was not started: because");
        agent_up();
    }
}

static void no_agent(void **state)
{
    (void)state;
    agent_gone();
    start(NULL, "exit 0");
    ends(69, path);
}

static void speaks_out_of_turn(void **state)
{
    (void)state;
    start(NULL, "exit 0");
    (void)asked(WIRE_COMMAND);
    tell(WIRE_LOST, "x");
    ends(71, "out of turn");
}

/* While it waits: asked again, once it is back. */
static void the_agent_restarts_during_the_wait(void **state)
{
    (void)state;
    start(NULL, "exit 3");
    (void)asked(WIRE_COMMAND);
    tell(WIRE_NOTE, "waiting for lock \"a\"");
    agent_gone();
    agent_up();
    (void)granted();
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "");
    ends(3, "");
}

/* Between its word and the start: the child has not run anything. */
static void the_agent_restarts_at_the_gate(void **state)
{
    (void)state;
    start(NULL, "echo once >&2; exit 3");
    (void)asked(WIRE_COMMAND);
    verdict(WIRE_GO, "");
    (void)asked(WIRE_COMMAND_PID);
    agent_gone();
    agent_up();
    (void)granted();
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "");
    ends(3, "once\n");
}

static void the_agent_restarts_while_it_runs(void **state)
{
    (void)state;
    start(NULL, "exec sleep 60");
    (void)granted();
    agent_gone();
    agent_up();
    (void)asked(WIRE_COMMAND); /* it finds us by our pid */
    verdict(WIRE_GO, "");
    assert_int_equal(kill(run, SIGTERM), 0);
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "");
    ends(128 + SIGTERM, "");
}

static void the_agent_restarts_when_it_ends(void **state)
{
    pid_t command;

    (void)state;
    start(NULL, "kill -STOP $$; exit 6");
    command = granted();
    agent_gone();
    while (kill(command, SIGCONT) == 0) /* until it is reaped */
        (void)usleep(2000);
    agent_up();
    (void)asked(WIRE_COMMAND_END); /* before anything else */
    verdict(WIRE_GO, "");
    ends(6, "");
}

/* One that is gone for good loses nobody's status. */
static void the_agent_is_gone_at_the_end(void **state)
{
    (void)state;
    start(NULL, "sleep 0.2; exit 6");
    (void)granted();
    agent_gone();
    ends(6, "");
}

static void lost_is_79_when_all_is_dead(void **state)
{
    (void)state;
    start(NULL, "trap 'exit 0' TERM; sleep 60 & wait");
    (void)granted();
    tell(WIRE_LOST, "lock \"a\" is lost");
    assert_int_equal(kill(run, SIGTERM), 0); /* as the agent's watch does */
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_REFUSED_LOST, "lock \"a\" is lost");
    ends(79, "lock \"a\" is lost");
}

static void lost_and_perhaps_alive_is_80(void **state)
{
    pid_t pid;

    (void)state;
    start(NULL, "exec sleep 60 2>&-");
    pid = granted();
    tell(WIRE_LOST, "lock \"a\" is lost");
    tell(WIRE_LOST, "the death of the work could not be confirmed by the end "
                    "of the lease");
    ends(80, "could not be confirmed");
    assert_int_equal(kill(pid, SIGKILL), 0); /* it does live */
}

static void lost_and_let_live_is_its_own(void **state)
{
    (void)state;
    start("--on-lost=log", "sleep 0.3; exit 7");
    assert_int_equal(asked(WIRE_COMMAND)->on_lost, WIRE_LOST_LOG);
    verdict(WIRE_GO, "");
    (void)asked(WIRE_COMMAND_PID);
    verdict(WIRE_GO, "");
    tell(WIRE_LOST, "lock \"a\" is lost");
    (void)asked(WIRE_COMMAND_END);
    verdict(WIRE_GO, "lock \"a\" is lost");
    ends(7, "is lost");
}

static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    start(NULL, "exit 0");
    (void)asked(WIRE_COMMAND);
    assert_int_equal(kill(run, SIGTERM), 0);
    ends(128 + SIGTERM, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_and_returns_its_status),
        TEST(what_it_asks_for),
        TEST(each_refusal_has_its_status),
        TEST(no_agent),
        TEST(speaks_out_of_turn),
        TEST(the_agent_restarts_during_the_wait),
        TEST(the_agent_restarts_at_the_gate),
        TEST(the_agent_restarts_while_it_runs),
        TEST(the_agent_restarts_when_it_ends),
        TEST(the_agent_is_gone_at_the_end),
        TEST(lost_is_79_when_all_is_dead),
        TEST(lost_and_perhaps_alive_is_80),
        TEST(lost_and_let_live_is_its_own),
        TEST(a_signal_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_watch.c - a whole agent, watch, guard and keeper, this program being
 * the first two: starts and stops, what a stop leaves behind, and that each
 * part is replaced when it is killed.
 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/agent/agent.h"
#include "../../modules/agent/deadlines.h"
#include "../lib/own_home.h"
#include "agent_client.h"
#include "log.h"
#include "scratch.h"

#define LONG_MS 20000

static char state[96], sock[96], config[96];
static struct agent_options o;
static struct table table; /* the agent's */
static pid_t agent;
static pid_t sleeper; /* a piece of work */

/* ---- being the agent ---- */

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int be_agent(int argc, char **argv)
{
    struct agent_options own = {.listen_fd = -1, .nudge_fd = -1, .news_fd = -1};

    log_open("agent", LOG_LEVEL_ERROR);
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--internal-guard") == 0)
            own.is_guard = true;
        else if (strcmp(argv[i], "--internal-stand-in") == 0)
            own.is_stand_in = true;
        else if (strcmp(argv[i], "--config") == 0)
            own.config = next;
        else if (strcmp(argv[i], "--socket") == 0)
            own.socket = next;
        else if (strcmp(argv[i], "--state") == 0)
            own.state = next;
        else if (strcmp(argv[i], "--keeper-user") == 0)
            own.keeper_user = next;
        else if (strcmp(argv[i], "--internal-listen-fd") == 0)
            own.listen_fd = number(next);
        else if (strcmp(argv[i], "--internal-nudge-fd") == 0)
            own.nudge_fd = number(next);
        else if (strcmp(argv[i], "--internal-news-fd") == 0)
            own.news_fd = number(next);
    }
    return own.is_guard ? guard_main(&own) : watch_main(&own);
}

static pid_t start(void)
{
    struct agent_argv argv;
    pid_t pid;

    agent_argv(&o, &argv);
    pid = fork();
    if (pid == 0) {
        agent_exec(&argv);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* ---- the test's ---- */

static void write_config(const char *text)
{
    FILE *f = fopen(config, "w");

    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
    assert_int_equal(chmod(config, 0644), 0);
}

static int up(void **unused)
{
    char text[256];

    if (scratch_make(unused) != 0)
        return -1;
    (void)snprintf(state, sizeof(state), "%s", in_scratch("run/state"));
    (void)snprintf(sock, sizeof(sock), "%s", in_scratch("agent.sock"));
    (void)snprintf(config, sizeof(config), "%s", in_scratch("conf.json"));
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": \"http://127.0.0.1:9/\"},"
                   " \"agent\": {\"cgroup\": \"/proc/none\"},"
                   " \"secret_file\": \"%s\"}",
                   in_scratch("none"));
    write_config(text);
    o = (struct agent_options){.config = config,
                               .socket = sock,
                               .state = state,
                               .keeper_user = "nobody",
                               .listen_fd = -1,
                               .nudge_fd = -1,
                               .news_fd = -1};
    agent = 0;
    sleeper = 0;
    table = (struct table){.fd = -1};
    return 0;
}

static void kill_and_wait(proc_key key)
{
    for (int ms = 0; ms < LONG_MS && proc_key_is_alive(key); ms++) {
        (void)proc_key_signal(key, SIGKILL);
        (void)usleep(1000);
    }
}

static int down(void **unused)
{
    if (table.header) {
        struct table_header *h = table.header;

        for (int twice = 0; twice < 2; twice++) {
            kill_and_wait(atomic_load(&h->watch));
            kill_and_wait(atomic_load(&h->guard));
            kill_and_wait(atomic_load(&h->keeper));
        }
        table_close(&table);
    }
    if (sleeper > 0)
        (void)kill(sleeper, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    return scratch_remove(unused);
}

static bool answers(void)
{
    static struct wire_msg m;
    struct clock_time by = clock_add(clock_now(), 200);
    struct justalock_error err;
    bool is_there = false;
    int fd;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_PING;
    if (agent_connect(sock, &fd, &err) != JUSTALOCK_OK)
        return false;
    if (agent_send(fd, &m, by, &err) == JUSTALOCK_OK &&
        agent_recv(fd, &m, by, &err) == JUSTALOCK_OK)
        is_there = m.verdict == WIRE_GO;
    (void)close(fd);
    return is_there;
}

static bool is_up(void)
{
    return atomic_load(&table.header->ready) != 0 &&
           atomic_load(&table.header->ready) ==
               atomic_load(&table.header->guard) &&
           answers();
}

#define AWAIT(condition)                                                       \
    do {                                                                       \
        for (int ms_ = 0; ms_ < LONG_MS / 5 && !(condition); ms_++)            \
            (void)usleep(5000);                                                \
        assert_true(condition);                                                \
    } while (0)

static void starts(void)
{
    struct justalock_error err;

    agent = start();
    AWAIT(answers());
    assert_ok(table_open(state, &table, &err), err);
    AWAIT(is_up());
}

static int ends(void)
{
    int status;

    assert_int_equal(waitpid(agent, &status, 0), agent);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A process and its row, which ends in `ms`. */
static struct row *work(int64_t ms)
{
    struct row_plan plan = {.deadline = clock_add(clock_now(), ms),
                            .term_lead_ms = ms / 2,
                            .kill_lead_ms = ms / 4};
    struct row *row = table_take(&table);

    sleeper = fork();
    if (sleeper == 0) {
        (void)signal(SIGTERM, SIG_DFL);
        for (;;)
            (void)pause();
    }
    row->work = 7;
    atomic_store(&row->who.root, proc_key_of(sleeper));
    atomic_store(&row->who.kind, IDENTITY_TREE);
    row_arm(row, &plan);
    return row;
}

static void starts_and_stops(void **unused)
{
    struct stat sb;

    (void)unused;
    starts();
    assert_int_equal(stat(state, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    assert_int_equal(atomic_load(&table.header->watch), proc_key_of(agent));
    assert_true(proc_key_is_alive(atomic_load(&table.header->keeper)));
    assert_int_equal(kill(agent, SIGTERM), 0);
    assert_int_equal(ends(), 0);
    assert_int_equal(access(sock, F_OK), -1); /* refused from here on */
    assert_false(proc_key_is_alive(atomic_load(&table.header->guard)));
    assert_false(proc_key_is_alive(atomic_load(&table.header->keeper)));
}

static void one_agent_for_a_state(void **unused)
{
    pid_t first;

    (void)unused;
    starts();
    first = agent;
    agent = start();
    assert_int_equal(ends(), 75);
    assert_true(answers());
    assert_true(proc_key_is_alive(proc_key_of(first)));
}

static void each_part_is_replaced(void **unused)
{
    struct table_header *h;
    proc_key old;

    (void)unused;
    starts();
    h = table.header;
    old = atomic_load(&h->guard);
    assert_true(proc_key_signal(old, SIGKILL));
    AWAIT(atomic_load(&h->guard) != old && is_up());
    old = atomic_load(&h->keeper);
    assert_true(proc_key_signal(old, SIGKILL));
    AWAIT(atomic_load(&h->keeper) != old &&
          proc_key_is_alive(atomic_load(&h->keeper)));
    /* The watch itself: the guard starts a new one, which starts a guard. */
    old = atomic_load(&h->watch);
    assert_true(proc_key_signal(old, SIGKILL));
    AWAIT(atomic_load(&h->watch) != old && is_up());
    assert_true(proc_key_is_alive(atomic_load(&h->watch)));
    (void)waitpid(agent, NULL, 0);
    agent = proc_key_pid(atomic_load(&h->watch));
    /* ... and that one obeys. */
    assert_int_equal(kill(agent, SIGTERM), 0);
    AWAIT(!proc_key_is_alive(atomic_load(&h->watch)));
}

/* Stopped, they are as good as dead. */
static void each_part_that_stands_still(void **unused)
{
    struct table_header *h;
    proc_key watch, guard;

    (void)unused;
    starts();
    h = table.header;
    watch = atomic_load(&h->watch);
    guard = atomic_load(&h->guard);
    assert_true(proc_key_signal(guard, SIGSTOP));
    AWAIT(atomic_load(&h->guard) != guard && is_up());
    assert_int_equal(atomic_load(&h->watch), watch);
    assert_true(proc_key_signal(watch, SIGSTOP));
    AWAIT(atomic_load(&h->watch) != watch && is_up());
}

/* What is left at a stop is ended by its deadline all the same. */
static void a_stop_leaves_deadlines_behind(void **unused)
{
    struct row_plan plan;
    struct row *row;
    int status;

    (void)unused;
    starts();
    row = work(6000);
    (void)row_look(row, &plan, NULL);
    assert_int_equal(kill(agent, SIGTERM), 0);
    assert_int_equal(ends(), 0);
    AWAIT(atomic_load(&table.header->is_leftover) == 1);
    assert_int_equal(row_state(row), ROW_ARMED);
    (void)kill(proc_key_pid(atomic_load(&table.header->watch)), SIGTERM);
    assert_int_equal(waitpid(sleeper, &status, 0), sleeper);
    assert_true(clock_left_ms(plan.deadline, clock_now()) > 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    sleeper = 0;
    AWAIT(row_state(row) == ROW_DEAD);
    AWAIT(!proc_key_is_alive(atomic_load(&table.header->watch)));
}

/* Started again before that, nothing is lost. */
static void what_a_stop_left_gives_way(void **unused)
{
    struct row *row;
    proc_key old;

    (void)unused;
    starts();
    row = work(60000);
    assert_int_equal(kill(agent, SIGTERM), 0);
    assert_int_equal(ends(), 0);
    AWAIT(atomic_load(&table.header->is_leftover) == 1);
    old = atomic_load(&table.header->watch);
    assert_true(proc_key_is_alive(old));
    table_close(&table);
    starts();
    assert_false(proc_key_is_alive(old));
    assert_int_equal(atomic_load(&table.header->is_leftover), 0);
    assert_int_equal(row_state(row = &table.rows[0]), ROW_ARMED);
    assert_true(proc_key_is_alive(proc_key_of(sleeper)));
    assert_int_equal(row->work, 7);
}

static void reads_its_configuration_again(void **unused)
{
    static struct wire_msg m;
    struct justalock_error err;
    int fd;

    (void)unused;
    starts();
    write_config("{\"agent\": {\"cgroup\": \"/proc/none\"},"
                 "\"locks\": {\"mine\": {\"for\": \"slurm\"}}}");
    assert_int_equal(kill(agent, SIGHUP), 0);
    for (int ms = 0; ms < LONG_MS; ms += 20) { /* until it is refused */
        struct clock_time by = clock_add(clock_now(), 5000);

        memset(&m, 0, sizeof(m));
        m.type = WIRE_COMMAND;
        memcpy(m.locks, "mine", 5);
        assert_ok(agent_connect(sock, &fd, &err), err);
        assert_ok(agent_send(fd, &m, by, &err), err);
        by = clock_add(clock_now(), 20);
        if (agent_recv(fd, &m, by, &err) == JUSTALOCK_OK &&
            m.type == WIRE_VERDICT)
            ms = LONG_MS;
        (void)close(fd);
    }
    assert_int_equal(m.verdict, WIRE_REFUSED_DENIED);
}

static void refuses_to_start(void **unused)
{
    static const char *const wrong[] = {"relative", "/dev/null",
                                        "/dev/null/state"};

    (void)unused;
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        o.state = wrong[i];
        agent = start();
        assert_int_not_equal(ends(), 0);
    }
    o.state = state;
    write_config("{\"servise\": 1}");
    agent = start();
    assert_int_equal(ends(), 78);
    assert_int_equal(chmod(state, 0777), 0); /* others could write to it */
    agent = start();
    assert_int_equal(ends(), 78);
    assert_int_equal(chmod(state, 0700), 0);
}

static int group_up(void **unused)
{
    (void)unused;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("INVOCATION_ID");
    own_home_keeper("");
    /* Those that the parts start for each other are ours in the end. */
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_and_stops),
        TEST(one_agent_for_a_state),
        TEST(each_part_is_replaced),
        TEST(each_part_that_stands_still),
        TEST(a_stop_leaves_deadlines_behind),
        TEST(what_a_stop_left_gives_way),
        TEST(reads_its_configuration_again),
        TEST(refuses_to_start),
    };
    int rc;

    if (argc > 1)
        return be_agent(argc, argv);
    if (geteuid() != 0) {
        (void)puts("ok 1 # SKIP an agent is root's");
        return 0;
    }
    own_home_enter(argv);
    rc = cmocka_run_group_tests(tests, group_up, NULL);
    own_home_leave();
    return rc;
}

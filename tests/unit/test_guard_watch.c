/* SPDX-License-Identifier: MIT */
/*
 * test_guard_watch.c - the guard looks after its watch: one that is dead or
 * stands still is replaced by a new agent, which is this very program once
 * more: it writes down what it was started with.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

#define LONG_MS 20000

static char started[128]; /* the file that a new agent writes */

/* As the agent: STATE/started gets its words, what it is and has. */
static int be_agent(int argc, char **argv)
{
    int is_listening = 0, fd = -1;
    socklen_t len = sizeof(is_listening);
    const char *state = "/";
    char path[128], new[136];
    sigset_t set;
    FILE *f;

    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--state") == 0)
            state = argv[i + 1];
        if (strcmp(argv[i], "--internal-listen-fd") == 0)
            fd = atoi(argv[i + 1]);
    }
    (void)snprintf(path, sizeof(path), "%s/started", state);
    (void)snprintf(new, sizeof(new), "%s.new", path);
    f = fopen(new, "w");
    if (!f)
        return 1;
    for (int i = 0; i < argc; i++)
        (void)fprintf(f, "%s ", argv[i]);
    (void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len);
    (void)sigprocmask(SIG_BLOCK, NULL, &set);
    (void)fprintf(f, "\nlistens %d, session %d, parent %d, blocks %d\n",
                  is_listening, getsid(0) == getpid(),
                  getppid() == atoi(getenv("TEST_GUARD")),
                  sigismember(&set, SIGTERM));
    return fclose(f) == 0 && rename(new, path) == 0 ? 0 : 1;
}

static void look(int64_t later_ms)
{
    watch_look(&rig.g, clock_add(clock_now(), later_ms));
    rig_turn();
}

/* What the new agent wrote; "": there is none. */
static const char *agent_came(void)
{
    static char text[1024];
    FILE *f = fopen(started, "r");
    size_t n;

    text[0] = '\0';
    if (!f)
        return text;
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    assert_int_equal(unlink(started), 0);
    return text;
}
static const char *await_agent(void)
{
    const char *text = "";

    for (int ms = 0; text[0] == '\0' && ms < LONG_MS; ms++) {
        text = agent_came();
        (void)usleep(1000);
    }
    return text;
}

/* Would it start one then? It finds no process for it. */
static bool would_start(int64_t later_ms)
{
    pid_t pid;

    failing_call("fork", EAGAIN);
    look(later_ms);
    pid = fork(); /* fails where nobody has tried before us */
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid > 0;
}

/* Does it end the watch then? It is not asked what it may not be yet. */
static bool ends_it(int64_t later_ms)
{
    struct clock_time before = rig.g.watch_beat_at;

    look(later_ms);
    return rig.g.watch_beat_at.boot_ms != before.boot_ms;
}

static unsigned open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static pid_t watch_is(void)
{
    pid_t pid = rig_process(0, 0);

    atomic_store(&rig.g.table.header->watch, proc_key_of(pid));
    return pid;
}

static int up(void **state)
{
    char guard[16];
    sigset_t set;

    (void)snprintf(guard, sizeof(guard), "%d", (int)getpid());
    (void)setenv("TEST_GUARD", guard, 1);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("INVOCATION_ID");
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* as the guard does */
    if (rig_guard_up(state) != 0)
        return -1;
    (void)snprintf(started, sizeof(started), "%.100s/started", rig.state);
    rig.o.is_guard = true;
    return 0;
}

static void one_that_dies_is_replaced(void **state)
{
    pid_t pid = watch_is();
    const char *text;
    char word[64];

    (void)state;
    look(0);
    assert_true(rig.g.watch.fd >= 0);
    look(0);
    rig_kill(pid);
    rig_turn();
    assert_int_equal(rig.g.watch.fd, -1);
    look(0);
    text = await_agent();
    assert_has(text, "justalock-agent --config ");
    assert_has(text, " --socket ");
    (void)snprintf(word, sizeof(word), " --internal-listen-fd %d ",
                   rig.g.listener.fd);
    assert_has(text, word);
    assert_null(strstr(text, "--internal-guard"));
    assert_null(strstr(text, "--internal-nudge-fd"));
    assert_null(strstr(text, "--internal-stand-in"));
    assert_has(text, "\nlistens 1, session 1, parent 0, blocks 0\n");
    /* Ours is kept from children as before. */
    assert_int_equal(fcntl(rig.g.listener.fd, F_GETFD), FD_CLOEXEC);

    /* It gets its time to come up; then another one is started. */
    assert_false(would_start(0)); /* on a busy machine it is later */
    assert_true(would_start(3200));
    assert_false(would_start(3500));
    look(6400);
    assert_has(await_agent(), "justalock-agent");
    /* It has come: nothing more is to be done. */
    (void)watch_is();
    assert_false(would_start(7000));
    assert_true(rig.g.watch.fd >= 0);
    assert_false(would_start(20000));
}

/* systemd starts one, in its own time; only then one stands in for it. */
static void under_systemd(void **state)
{
    pid_t pid = watch_is();

    (void)state;
    (void)setenv("INVOCATION_ID", "x", 1);
    look(0);
    rig_kill(pid);
    rig_turn();
    assert_false(would_start(0));
    look(1100);
    assert_has(await_agent(), "--internal-stand-in");
}

/* Its beat stands still for so long and in so many of our own looks: it is
 * killed. One look after a pause of ours is not enough. */
static void one_that_stands_still(void **state)
{
    pid_t pid = watch_is();
    int status;

    (void)state;
    look(0);
    for (int i = 0; i < AGENT_BEAT_LOOKS + 2; i++)
        assert_false(ends_it(0));
    atomic_fetch_add(&rig.g.table.header->watch_beat, 1);
    look(0); /* it has moved */
    for (int i = 0; i < AGENT_BEAT_LOOKS - 1; i++)
        assert_false(ends_it(60000));            /* time enough, looks not */
    assert_false(ends_it(AGENT_BEAT_MS - 2500)); /* looks enough, time not */
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_true(ends_it(AGENT_BEAT_MS + 500));
    assert_int_equal(kill(pid, 0), 0); /* a zombie at most: ours to reap */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    rig_turn();
    assert_int_equal(rig.g.watch.fd, -1);
    look(0);
    assert_has(await_agent(), "justalock-agent");
    /* The next one begins anew. */
    pid = watch_is();
    look(60000);
    assert_true(rig.g.watch.fd >= 0);
    assert_false(ends_it(120000));
}

/* No process for it, no place in the epoll: tried again. */
static void without_what_it_needs(void **state)
{
    pid_t pid = watch_is();
    unsigned before = open_files();

    (void)state;
    failing_call("epoll_ctl", ENOMEM);
    look(0);
    assert_int_equal(rig.g.watch.fd, -1); /* nobody would hear of its end */
    assert_int_equal(open_files(), before);
    assert_has(await_agent(), "justalock-agent");
    look(100);
    assert_true(rig.g.watch.fd >= 0);
    rig_kill(pid);
    rig_turn();
    assert_true(would_start(4000));
    assert_false(would_start(4500));
    look(7100);
    assert_has(await_agent(), "justalock-agent");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_dies_is_replaced, up,
                                        rig_guard_down),
        cmocka_unit_test_setup_teardown(under_systemd, up, rig_guard_down),
        cmocka_unit_test_setup_teardown(one_that_stands_still, up,
                                        rig_guard_down),
        cmocka_unit_test_setup_teardown(without_what_it_needs, up,
                                        rig_guard_down),
    };

    if (strcmp(argv[0], "justalock-agent") == 0)
        return be_agent(argc, argv);
    return RIG_RUN(tests);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_guard_ask.c - the guard's children: what they are when they run, what
 * is heard of them, and that neither their length of output, nor their time,
 * nor a want of memory, descriptors or processes harms the guard.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

#define OUT_MOST (sizeof(((struct child_run *)0)->out) - 1)

static struct {
    unsigned times;
    int status;
    size_t len;
    struct work *work;
    char out[OUT_MOST + 1];
} heard;

static void hear(struct guard *g, struct work *w, struct child_run *c,
                 int status)
{
    (void)g;
    heard.times++;
    heard.status = status;
    heard.len = c->out_len;
    heard.work = w;
    memcpy(heard.out, c->out, sizeof(heard.out));
}

static struct child_run *start(struct work *w, const char *script, uint32_t id)
{
    static char sh[] = "sh", c[] = "-c";
    static char text[512];
    static char *argv[] = {sh, c, text, NULL};

    memset(&heard, 0, sizeof(heard));
    (void)snprintf(text, sizeof(text), "%s", script);
    return child_start(&rig.g, w, NULL, id, id, argv, hear);
}

static void run(const char *script, uint32_t id)
{
    assert_non_null(start(NULL, script, id));
    rig_children();
    assert_int_equal(heard.times, 1);
}

static unsigned inherited(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) == 0;
    return n;
}

static void as_whom_and_where(void **state)
{
    const gid_t ours[] = {0, 12345};
    char expected[16];

    (void)state;
    assert_int_equal(setgroups(2, ours), 0);
    run("id -u; id -g; id -G; pwd; cat /proc/self/oom_score_adj; "
        "exit 3",
        65534);
    assert_string_equal(heard.out, "65534\n65534\n65534\n/\n0\n");
    assert_int_equal(heard.status, 3 << 8);
    run("ls -l /proc/self/fd/0 /proc/self/fd/2 | grep -c /dev/null", 65534);
    assert_string_equal(heard.out, "2\n");
    /* Nothing of the guard's: what we were started with, and that of ls. */
    (void)snprintf(expected, sizeof(expected), "%u\n", inherited() + 1);
    run("ls /proc/self/fd | wc -l", 65534);
    assert_string_equal(heard.out, expected);
    run("kill -KILL $$", 65534);
    assert_int_equal(heard.status, SIGKILL);
    assert_string_equal(heard.out, "");
}

/* Blocked in the guard: heard of in its child, which is to be stopped by it. */
static void no_signal_is_blocked(void **state)
{
    sigset_t all, old;

    (void)state;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &old);
    run("grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t\\n'", 0);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    assert_has(heard.out, "SigBlk:0000000000000000");
}

static void a_program_that_is_not_there(void **state)
{
    static char none[] = "/none/at/all";
    char *const argv[] = {none, NULL};

    (void)state;
    memset(&heard, 0, sizeof(heard));
    assert_non_null(child_start(&rig.g, NULL, NULL, 0, 0, argv, hear));
    rig_children();
    assert_int_equal(heard.status, 127 << 8);
}

static void say_in_child(struct guard *g, struct work *w)
{
    (void)g;
    (void)dprintf(1, "work %llu", (unsigned long long)w->f.number);
}

/* What may block: in the child, before it is another user. */
static void a_function_in_it(void **state)
{
    struct work *w = work_new(&rig.g, WORK_JOB, 0);
    char text[40];

    (void)state;
    memset(&heard, 0, sizeof(heard));
    assert_non_null(
        child_start(&rig.g, w, say_in_child, 65534, 65534, NULL, hear));
    rig_children();
    (void)snprintf(text, sizeof(text), "work %llu",
                   (unsigned long long)w->f.number);
    assert_string_equal(heard.out, text);
    assert_ptr_equal(heard.work, w);
    assert_int_equal(heard.status, 0);
}

/* Its work is gone meanwhile: that is what is heard. */
static void of_nobody_by_then(void **state)
{
    struct work *w = work_new(&rig.g, WORK_JOB, 0);

    (void)state;
    assert_non_null(start(w, "echo x", 0));
    work_remove(&rig.g, w);
    rig_children();
    assert_int_equal(heard.times, 1);
    assert_null(heard.work);
    assert_string_equal(heard.out, "x\n");
}

/* Cut at the limit, and the child is not held up by it for ever. */
static void as_much_as_it_may_say(void **state)
{
    char script[80];

    (void)state;
    for (int more = -1; more <= 1; more++) {
        (void)snprintf(script, sizeof(script),
                       "head -c %d /dev/zero | tr '\\0' a",
                       (int)OUT_MOST + more);
        run(script, 65534);
        assert_int_equal(heard.len, more < 0 ? OUT_MOST - 1 : OUT_MOST);
        assert_int_equal(strlen(heard.out), heard.len);
    }
    run("head -c 1000000 /dev/zero | tr '\\0' a", 65534);
    assert_int_equal(heard.len, OUT_MOST);
}

/* What comes in pieces, and what stands in the pipe when it has ended. */
static void in_pieces(void **state)
{
    (void)state;
    run("printf a; sleep 0.05; printf b; sleep 0.05; printf c", 65534);
    assert_string_equal(heard.out, "abc");
    assert_non_null(start(NULL, "echo all of it", 65534));
    while (heard.times == 0) {
        children_reap(&rig.g); /* without having read */
        (void)usleep(1000);
    }
    assert_string_equal(heard.out, "all of it\n");
}

/* A child of it that keeps the pipe open: the answer is that of ours. */
static void one_that_leaves_another(void **state)
{
    char *end;

    (void)state;
    run("sleep 100 2>/dev/null & echo $!", 0);
    assert_int_equal(heard.status, 0);
    assert_int_equal(kill((pid_t)strtol(heard.out, &end, 10), SIGKILL), 0);
    assert_string_equal(end, "\n");
}

static void one_that_takes_too_long(void **state)
{
    struct child_run *c;
    struct clock_time now = clock_now();

    (void)state;
    /* exec: it leaves nobody behind. */
    c = start(NULL, "trap '' TERM; echo begun; exec sleep 1000", 0);
    assert_non_null(c);
    children_tick(&rig.g, clock_add(now, 4900));
    children_reap(&rig.g);
    assert_int_equal(heard.times, 0);
    while (c->out_len == 0)
        rig_turn();
    children_tick(&rig.g, clock_add(now, 5200));
    rig_children();
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.status, SIGKILL);
    assert_string_equal(heard.out, "begun\n");
}

static unsigned open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void without_what_it_needs(void **state)
{
    static const struct {
        const char *call;
        int errnum;
    } cases[] = {{"pipe2", EMFILE}, {"fork", EAGAIN}};
    unsigned before = open_files();
    long live = failing_live();

    (void)state;
    failing_memory(0);
    assert_null(start(NULL, "echo x", 0));
    failing_memory(-1);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        failing_call(cases[i].call, cases[i].errnum);
        assert_null(start(NULL, "echo x", 0));
    }
    assert_null(rig.g.children);
    assert_int_equal(open_files(), before);
    assert_int_equal(failing_live(), live);
    /* Not in the epoll: what it says is not heard, but how it ended. */
    failing_call("epoll_ctl", ENOMEM);
    run("exit 2", 0);
    assert_int_equal(heard.status, 2 << 8);
    assert_int_equal(heard.len, 0);
    assert_int_equal(open_files(), before);
    assert_int_equal(failing_live(), live);
}

static void many_at_once(void **state)
{
    unsigned before = open_files();

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_non_null(start(NULL, "echo x", 65534));
    rig_children();
    assert_int_equal(heard.times, 40);
    assert_int_equal(open_files(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(as_whom_and_where),
        RIG_TEST(no_signal_is_blocked),
        RIG_TEST(a_program_that_is_not_there),
        RIG_TEST(a_function_in_it),
        RIG_TEST(of_nobody_by_then),
        RIG_TEST(as_much_as_it_may_say),
        RIG_TEST(in_pieces),
        RIG_TEST(one_that_leaves_another),
        RIG_TEST(one_that_takes_too_long),
        RIG_TEST(without_what_it_needs),
        RIG_TEST(many_at_once),
    };

    return RIG_RUN(tests);
}

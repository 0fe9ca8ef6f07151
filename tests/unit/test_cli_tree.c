/* SPDX-License-Identifier: MIT */
/*
 * test_cli_tree.c - all that is below a process and nothing else: whatever it
 * calls itself, spared ones, zombies, one that ends while it is looked at.
 */
#include "test.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/tree.h"
#include "../lib/failing.h"

#define DEPTH 4

static pid_t chain[DEPTH]; /* each the parent of the next */
static int lines[2];       /* a chain says who it is of */

static void wait_for_a_signal(void)
{
    for (;;)
        (void)pause();
}

/* What begins at `depth`; each takes up what it starts loses. */
static void be_chain(void)
{
    unsigned depth = 0;
    pid_t self;

    do {
        self = getpid();
        /* proc(5): the name may hold what comes after it. */
        (void)prctl(PR_SET_NAME, depth == 1 ? ") Z 1 (" : "x y");
        (void)prctl(PR_SET_CHILD_SUBREAPER, depth == 0);
        (void)!write(lines[1], &self, sizeof(self));
    } while (++depth < DEPTH && fork() == 0);
    wait_for_a_signal();
}

static int up(void **state)
{
    (void)state;
    assert_int_equal(pipe(lines), 0);
    chain[0] = fork();
    if (chain[0] == 0)
        be_chain();
    for (int i = 0; i < DEPTH; i++)
        assert_int_equal(read(lines[0], &chain[i], sizeof(chain[i])),
                         sizeof(chain[i]));
    return 0;
}

static bool is_alive(pid_t pid)
{
    char state = tree_state(pid);

    return state != 0 && state != 'Z' && state != 'X';
}

static int down(void **state)
{
    (void)state;
    for (int i = 0; i < DEPTH; i++)
        (void)kill(chain[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    (void)close(lines[0]);
    (void)close(lines[1]);
    return 0;
}

static void await_dead(pid_t pid)
{
    for (int ms = 0; ms < 10000 && is_alive(pid); ms++)
        (void)usleep(1000);
    assert_false(is_alive(pid));
}

/* Again until none is left: one whose parent dies between look and signal is
 * another's child then. */
static void kill_all(pid_t root, const pid_t *spare, size_t len)
{
    for (int ms = 0; ms < 10000; ms++) {
        if (tree_signal(root, spare, len, SIGKILL) == 0)
            return;
        (void)usleep(1000);
    }
    fail_msg("they live");
}

static void counts_what_is_below(void **state)
{
    (void)state;
    assert_int_equal(tree_signal(getpid(), NULL, 0, 0), DEPTH);
    assert_int_equal(tree_signal(chain[0], NULL, 0, 0), DEPTH - 1);
    assert_int_equal(tree_signal(chain[DEPTH - 1], NULL, 0, 0), 0);
    for (int i = 0; i < DEPTH; i++)
        assert_true(is_alive(chain[i]));
}

static void a_spared_one_does_not_spare_its_children(void **state)
{
    (void)state;
    kill_all(getpid(), &chain[1], 1);
    for (int i = 0; i < DEPTH; i++)
        if (i != 1)
            await_dead(chain[i]);
    assert_true(is_alive(chain[1]));
}

static void nothing_outside_is_signalled(void **state)
{
    pid_t other = fork();

    (void)state;
    if (other == 0)
        wait_for_a_signal();
    kill_all(chain[0], NULL, 0);
    for (int i = 1; i < DEPTH; i++)
        await_dead(chain[i]);
    assert_true(is_alive(chain[0]));
    assert_true(is_alive(other));
    assert_int_equal(kill(other, SIGKILL), 0);
}

static void a_zombie_is_none(void **state)
{
    pid_t zombie = fork();

    (void)state;
    if (zombie == 0)
        _exit(0);
    for (int ms = 0; ms < 10000 && tree_state(zombie) != 'Z'; ms++)
        (void)usleep(1000);
    assert_int_equal(tree_state(zombie), 'Z');
    assert_int_equal(tree_signal(getpid(), NULL, 0, 0), DEPTH);
    assert_int_equal(waitpid(zombie, NULL, 0), zombie);
    assert_int_equal(tree_state(zombie), 0);
}

static void stopped_ones_count(void **state)
{
    (void)state;
    assert_int_equal(kill(chain[2], SIGSTOP), 0);
    for (int ms = 0; ms < 10000 && tree_state(chain[2]) != 'T'; ms++)
        (void)usleep(1000);
    assert_int_equal(tree_signal(getpid(), NULL, 0, 0), DEPTH);
    kill_all(getpid(), NULL, 0);
    await_dead(chain[2]);
}

/* Who cannot look says so: "nothing is left" would free the lock. */
static void no_memory_is_not_nothing(void **state)
{
    long live = failing_live();

    (void)state;
    failing_memory(0);
    assert_int_equal(tree_signal(getpid(), NULL, 0, SIGKILL), -1);
    failing_memory(-1);
    assert_int_equal(failing_live(), live);
    for (int i = 0; i < DEPTH; i++)
        assert_true(is_alive(chain[i]));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_what_is_below),
        TEST(a_spared_one_does_not_spare_its_children),
        TEST(nothing_outside_is_signalled),
        TEST(a_zombie_is_none),
        TEST(stopped_ones_count),
        TEST(no_memory_is_not_nothing),
    };

    /* As justalock run is. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

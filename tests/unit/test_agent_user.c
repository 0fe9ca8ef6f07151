/* SPDX-License-Identifier: MIT */
/*
 * test_agent_user.c - whom the keeper becomes, as the configuration says, and
 * what becomes of that where it says nothing, is wrong, or cannot be read.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "../../modules/agent/agent.h"
#include "clock.h"
#include "config.h"
#include "count_fds.h"
#include "scratch.h"
#include "test.h"

#define LONG_MS 20000

static char user[AGENT_USER_MAX + 1];

static bool says(const char *text, int limit_ms)
{
    FILE *f = fopen(in_scratch("conf.json"), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
    assert_int_equal(chmod(in_scratch("conf.json"), 0644), 0);
    return agent_user(in_scratch("conf.json"), limit_ms, user);
}

static void what_it_says(void **state)
{
    char text[128];

    (void)state;
    assert_true(says("{\"agent\": {\"keeper_user\": \"jk\"}}", LONG_MS));
    assert_string_equal(user, "jk");
    assert_true(says("{}", LONG_MS));
    assert_string_equal(user, CONFIG_KEEPER_USER);
    (void)snprintf(text, sizeof(text),
                   "{\"agent\": {\"keeper_user\": \"%0*d\"}}", AGENT_USER_MAX,
                   0);
    assert_true(says(text, LONG_MS)); /* the longest there is */
    assert_int_equal(strlen(user), AGENT_USER_MAX);
}

static void what_is_wrong_says_nothing(void **state)
{
    (void)state;
    assert_false(says("{\"agent\": {\"keeper_user\": \"a/b\"}}", LONG_MS));
    assert_string_equal(user, "");
    assert_false(says("{", LONG_MS));
    assert_int_equal(unlink(in_scratch("conf.json")), 0);
    assert_false(agent_user(in_scratch("conf.json"), LONG_MS, user));
}

/* Nothing of it stays: no child, no descriptor. */
static void it_leaves_nothing(void **state)
{
    int before = count_fds();

    (void)state;
    (void)says("{}", LONG_MS);
    assert_false(says("{}", 0)); /* no time: not even begun */
    assert_string_equal(user, "");
    assert_int_equal(count_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(what_is_wrong_says_nothing),
        cmocka_unit_test(it_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

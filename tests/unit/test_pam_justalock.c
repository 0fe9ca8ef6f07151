/* SPDX-License-Identifier: MIT */
/*
 * test_pam_justalock.c - the corners of pam_justalock.so that test_pam_module
 * leaves: several locks and pools in one stack, handles that are used again,
 * names as long as they may be, no memory, and that PAM_SESSION_ERR, which
 * sudo takes for good, is never returned.
 */
#include "count_fds.h"
#include "pam_stack.h"

#include "../lib/fail_alloc.h"

/* ---- the environment ---- */

static bool env_is(pam_handle_t *h, const char *name, const char *want)
{
    const char *value = pam_getenv(h, name);

    if (value == NULL || want == NULL)
        return value == want;
    return strcmp(value, want) == 0;
}

/* For each lock a slot, "-" where it is no pool, as in a job. */
static void test_slots(void **state)
{
    static const struct {
        enum act first, second;
        const char *want;
    } cases[] = {
        {ACT_GO, ACT_GO, NULL},
        {ACT_GO, ACT_SLOT_GO, "-,1023"},
        {ACT_SLOT_GO, ACT_GO, "1023,-"},
        {ACT_SLOT_GO, ACT_SLOT_GO, "1023,1023"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        pam_handle_t *h = stack("test", "lock=a", "lock=b");

        will(cases[i].first);
        agent.acts[1] = cases[i].second;
        agent.acts_len = 2;
        assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
        assert_true(env_is(h, "JUSTALOCK_LOCK", "a,b"));
        assert_true(env_is(h, "JUSTALOCK_SLOT", cases[i].want));
        end(h);
    }
}

static void test_three_locks(void **state)
{
    char more[PATH_MAX + 200];
    pam_handle_t *h;

    (void)state;
    (void)snprintf(more, sizeof(more),
                   "lock=b\nsession required %s socket=%s lock=c", module,
                   agent.path);
    h = stack("test", "lock=a", more);
    will(ACT_GO);
    agent.acts[1] = ACT_GO;
    agent.acts[2] = ACT_SLOT_GO;
    agent.acts_len = 3;
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_true(env_is(h, "JUSTALOCK_LOCK", "a,b,c"));
    assert_true(env_is(h, "JUSTALOCK_SLOT", "-,-,1023"));
    assert_true(env_is(h, "JUSTALOCK_TOKEN", "1,2,3"));
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 3);
    end(h);
}

/* The next session of a handle sees what is its own. */
static void test_used_again(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_SLOT_GO);
    agent.acts[1] = ACT_GO;
    agent.acts_len = 2;
    assert_int_equal(pam_putenv(h, "OTHER=x"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_true(env_is(h, "JUSTALOCK_LOCK", NULL));
    assert_true(env_is(h, "JUSTALOCK_TOKEN", NULL));
    assert_true(env_is(h, "JUSTALOCK_ID", NULL));
    assert_true(env_is(h, "JUSTALOCK_SLOT", NULL));
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_true(env_is(h, "JUSTALOCK_LOCK", "a"));
    assert_true(env_is(h, "JUSTALOCK_TOKEN", "2"));
    assert_true(env_is(h, "JUSTALOCK_SLOT", NULL));
    assert_true(env_is(h, "OTHER", "x"));
    end(h);
}

/* Opened again without a close: the old one's line ends, the new one's not. */
static void test_opened_twice(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_true(life_is_over(0));
    assert_true(life_goes_on(1));
    end(h);
    assert_true(life_is_over(1));
}

/* ---- names ---- */

static void test_longest_names(void **state)
{
    char a[300], b[300];
    pam_handle_t *h;

    (void)state;
    (void)snprintf(a, sizeof(a), "lock=%0*d", PARSE_NAME_MAX, 1);
    (void)snprintf(b, sizeof(b), "lock=%0*d", PARSE_NAME_MAX, 2);
    will(ACT_GO);
    h = stack("test", a, b);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.opens, 2);
    assert_true(life_goes_on(0) && life_goes_on(1));
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 2); /* each has its own key */
    assert_true(life_is_over(0) && life_is_over(1));
    end(h);
    (void)snprintf(a, sizeof(a), "lock=%0*d", PARSE_NAME_MAX + 1, 1);
    assert_int_equal(attempt(a), PAM_SERVICE_ERR);
}

/* More than the environment has room for: the session has its locks. */
static void test_too_much_for_the_environment(void **state)
{
    char more[4 * (PATH_MAX + 512)] = "", first[300];
    pam_handle_t *h;

    (void)state;
    (void)snprintf(first, sizeof(first), "lock=%0*d", PARSE_NAME_MAX, 0);
    for (int i = 1; i < 5; i++) {
        if (i > 1)
            (void)snprintf(more + strlen(more), sizeof(more) - strlen(more),
                           "\nsession required %s socket=%s ", module,
                           agent.path);
        (void)snprintf(more + strlen(more), sizeof(more) - strlen(more),
                       "lock=%0*d", PARSE_NAME_MAX, i);
    }
    h = stack("test", first, more);
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.opens, 5);
    for (unsigned i = 0; i < 4; i++)
        assert_true(life_goes_on(i));
    /* What is there is whole. */
    assert_int_equal(strlen(pam_getenv(h, "JUSTALOCK_LOCK")),
                     4 * (PARSE_NAME_MAX + 1) - 1);
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 5);
    end(h);
}

/* The other end's name is cut where it is too long, in the middle of a letter
 * too, and masked. */
static void test_long_rhosts(void **state)
{
    char name[400];

    (void)state;
    for (size_t before = 60; before < 66; before++) {
        pam_handle_t *h = stack("test", "lock=a", NULL);

        memset(name, 'r', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        memcpy(name + before, "\xe2\x82\xac", 3); /* a euro sign */
        will(ACT_GO);
        assert_int_equal(pam_set_item(h, PAM_RHOST, name), 0);
        assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
        assert_int_equal(strlen(agent.asked.session.rhost), 64);
        assert_true(parse_is_clean_text(agent.asked.session.rhost,
                                        strlen(agent.asked.session.rhost)));
        end(h);
    }
}

static void test_no_user(void **state)
{
    pam_handle_t *h = stack("test", "lock=a on_unreachable=open", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_set_item(h, PAM_USER, ""), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_USER_UNKNOWN);
    assert_int_equal(agent.opens, 0);
    end(h);
}

/* Its user goes away under it: the close is no error, the line's end tells. */
static void test_close_without_a_user(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(pam_set_item(h, PAM_USER, NULL), 0);
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 0);
    assert_true(life_goes_on(0));
    end(h);
    assert_true(life_is_over(0));
}

/* ---- what is returned and said ---- */

/* sudo runs the command where a module says PAM_SESSION_ERR. */
static void test_never_session_err(void **state)
{
    (void)state;
    for (int v = 1; v < 256; v++) {
        int rc;

        will_refuse((enum wire_verdict)v, "no");
        rc = attempt("lock=a on_unreachable=closed timeout=1s");
        assert_int_not_equal(rc, PAM_SUCCESS);
        assert_int_not_equal(rc, PAM_SESSION_ERR);
        assert_int_not_equal(rc, PAM_IGNORE);
    }
}

/* Who wants silence is told of what is refused, not of what goes on. */
static void test_silence(void **state)
{
    for (int closed = 0; closed < 2; closed++) {
        pam_handle_t *h = stack(
            "test", closed ? "lock=a on_unreachable=closed" : "lock=a", NULL);

        (void)state;
        will_refuse(WIRE_REFUSED_NET, "no service");
        assert_int_equal(pam_open_session(h, PAM_SILENT),
                         closed ? PAM_AUTHINFO_UNAVAIL : PAM_SUCCESS);
        assert_string_equal(said, closed ? "justalock: no session without lock "
                                           "\"a\": no service\n"
                                         : "");
        end(h);
    }
}

/* ---- no memory ---- */

static void test_no_memory(void **state)
{
    int before = count_fds();
    unsigned refused = 0, points = 0;
    bool hit = true;

    (void)state;
    for (long n = 1; hit; n++) {
        long blocks = fail_alloc_live();
        pam_handle_t *h = stack("test", "lock=a", NULL);
        int rc;

        will(ACT_GO);
        fail_alloc_at(n, 1);
        rc = pam_open_session(h, 0);
        hit = fail_alloc_off();
        points += hit;
        if (rc == PAM_SUCCESS) {
            assert_int_equal(agent.opens, 1);
            assert_true(life_goes_on(0));
        } else {
            assert_true(hit);
            assert_int_not_equal(rc, PAM_SESSION_ERR);
            /* Nothing is kept, unless libpam itself failed after us. */
            for (unsigned i = 0; said[0] != '\0' && i < agent.lifes; i++)
                assert_true(life_is_over(i));
            refused += said[0] != '\0';
            if (said[0] != '\0' && agent.opens == 0)
                assert_has(said, "memory");
        }
        end(h);
        for (unsigned i = 0; i < agent.lifes; i++)
            assert_true(life_is_over(i));
        if (rc != PAM_SUCCESS && said[0] != '\0')
            assert_int_equal(fail_alloc_live(), blocks);
    }
    /* Under a sanitizer the module's own do not fail. */
    assert_true(refused >= (fail_alloc_least(2) > 1));
    assert_true(points >= refused);
    agent_forget();
    will(ACT_GO);
    assert_in_range(count_fds(), before - 5, before + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_three_locks),
        cmocka_unit_test(test_used_again),
        cmocka_unit_test(test_opened_twice),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_too_much_for_the_environment),
        cmocka_unit_test(test_long_rhosts),
        cmocka_unit_test(test_no_user),
        cmocka_unit_test(test_close_without_a_user),
        cmocka_unit_test(test_never_session_err),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("pam_justalock", tests, setup, teardown);
}

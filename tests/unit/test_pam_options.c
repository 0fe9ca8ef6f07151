/* SPDX-License-Identifier: MIT */
/* test_pam_options.c - the arguments of a line in pam.d, and their lists. */
#include "../../modules/pam/pam_options.h"
#include "test.h"

static enum justalock_status parse(const char *const *words, size_t n,
                                   struct pam_options *o,
                                   struct justalock_error *err)
{
    const char *argv[24];

    assert_true(n <= LENGTH(argv));
    for (size_t i = 0; i < n; i++)
        argv[i] = words[i];
    memset(o, 0x5a, sizeof(*o));
    return options_parse((int)n, argv, o, err);
}

static void test_defaults(void **state)
{
    static const char *const words[] = {"lock=root-shell"};
    struct justalock_error err;
    struct pam_options o;

    (void)state;
    assert_ok(parse(words, 1, &o, &err), err);
    assert_string_equal(o.lock, "root-shell");
    assert_string_equal(o.socket, "/run/justalock/agent.sock");
    assert_int_equal(o.wait_ms, WIRE_WAIT_DEFAULT);
    assert_int_equal(o.timeout_ms, 5000);
    assert_int_equal(o.on_unreachable, PAM_OPEN);
    assert_int_equal(o.on_end, 0);
    assert_int_equal(o.on_lost, WIRE_LOST_DEFAULT);
    assert_int_equal(o.share, 0);
    assert_true(o.users == NULL && o.groups == NULL && o.services == NULL);
    assert_true(o.except_users == NULL && o.except_groups == NULL);
    assert_false(o.is_debug);
}

static void test_all_given(void **state)
{
    static const char *const words[] = {
        "debug",           "lock=a",          "socket=/x/y",
        "wait=3s",         "timeout=250ms",   "on_unreachable=closed",
        "on_end=release",  "on_lost=log",     "share=host",
        "users=u,v",       "groups=g",        "except_users=w",
        "except_groups=h", "services=login,x"};
    struct justalock_error err;
    struct pam_options o;

    (void)state;
    assert_ok(parse(words, LENGTH(words), &o, &err), err);
    assert_true(o.is_debug);
    assert_string_equal(o.socket, "/x/y");
    assert_int_equal(o.wait_ms, 3000);
    assert_int_equal(o.timeout_ms, 250);
    assert_int_equal(o.on_unreachable, PAM_CLOSED);
    assert_int_equal(o.on_end, 3);
    assert_int_equal(o.on_lost, WIRE_LOST_LOG);
    assert_int_equal(o.share, 1);
    assert_string_equal(o.users, "u,v");
    assert_string_equal(o.groups, "g");
    assert_string_equal(o.except_users, "w");
    assert_string_equal(o.except_groups, "h");
    assert_string_equal(o.services, "login,x");
}

static void test_words(void **state)
{
    static const struct {
        const char *word;
        uint8_t on_unreachable, on_end, on_lost;
    } cases[] = {
        {"on_unreachable=open", PAM_OPEN, 0, 0},
        {"on_unreachable=closed", PAM_CLOSED, 0, 0},
        {"on_end=keep", PAM_OPEN, 1, 0},
        {"on_end=kill", PAM_OPEN, 2, 0},
        {"on_end=release", PAM_OPEN, 3, 0},
        {"on_lost=kill", PAM_OPEN, 0, WIRE_LOST_KILL},
        {"on_lost=log", PAM_OPEN, 0, WIRE_LOST_LOG},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *const words[] = {"lock=a", cases[i].word};
        struct justalock_error err;
        struct pam_options o;

        assert_ok(parse(words, 2, &o, &err), err);
        assert_int_equal(o.on_unreachable, cases[i].on_unreachable);
        assert_int_equal(o.on_end, cases[i].on_end);
        assert_int_equal(o.on_lost, cases[i].on_lost);
    }
}

/* Each is refused, by a text that says what and why. */
static void test_wrong(void **state)
{
    static const struct {
        const char *word, *why;
    } cases[] = {
        {"", "argument  is not known"},
        {"lock", "argument lock is not known"},
        {"Lock=a", "argument Lock=a is not known"},
        {"on_unreachable", "is not known"},
        {"debug=1", "argument debug=1 is not known"},
        {"lock=b", "lock= is said twice"},
        {"socket=", "socket="},
        {"socket=run/x", "not an absolute path"},
        {"wait=", "wait"},
        {"wait=-1", "wait"},
        {"wait=5 s", "wait"},
        {"wait=3601s", "wait"},
        {"timeout=99ms", "at least 100 ms"},
        {"timeout=0", "at least 100 ms"},
        {"timeout=601s", "timeout"},
        {"on_unreachable=Open", "on_unreachable=Open: not open, closed"},
        {"on_unreachable=", "not open, closed"},
        {"on_end=drop", "on_end=drop: not keep, kill, release"},
        {"on_lost=signal", "on_lost=signal: not kill, log"},
        {"share=user", "share=user: not host"},
        {"users=", "a name of 1 to 255 bytes is missing"},
        {"groups=a,,b", "groups=a,,b: a name"},
        {"except_users=,a", "except_users=,a: a name"},
        {"except_groups=a,", "except_groups=a,: a name"},
        {"services=,", "services=,: a name"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *const words[] = {"lock=a", cases[i].word};
        struct justalock_error err;
        struct pam_options o;

        assert_fails(parse(words, 2, &o, &err), JUSTALOCK_CONFIG, err,
                     cases[i].why);
    }
}

static void test_wrong_lock(void **state)
{
    static const struct {
        const char *word, *why;
    } cases[] = {
        {"debug", "lock=NAME is missing"},
        {"lock=", "lock"},
        {"lock=a,b", "one lock a line"},
        {"lock=a\nb", "lock"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *const words[] = {cases[i].word};
        struct justalock_error err;
        struct pam_options o;

        assert_fails(parse(words, 1, &o, &err), JUSTALOCK_CONFIG, err,
                     cases[i].why);
    }
}

/* The limits, from both sides. */
static void test_edges(void **state)
{
    char word[400];
    const char *words[] = {"lock=a", word};
    struct justalock_error err;
    struct pam_options o;

    (void)state;
    for (size_t n = 106; n <= 107; n++) {
        (void)snprintf(word, sizeof(word), "socket=/%0*d", (int)n, 0);
        if (n == 106)
            assert_ok(parse(words, 2, &o, &err), err);
        else
            assert_fails(parse(words, 2, &o, &err), JUSTALOCK_CONFIG, err,
                         "107 bytes");
    }
    for (size_t n = 255; n <= 256; n++) {
        (void)snprintf(word, sizeof(word), "users=a,%0*d,b", (int)n, 0);
        if (n == 255)
            assert_ok(parse(words, 2, &o, &err), err);
        else
            assert_fails(parse(words, 2, &o, &err), JUSTALOCK_CONFIG, err,
                         "1 to 255 bytes");
    }
    (void)snprintf(word, sizeof(word), "wait=1h");
    assert_ok(parse(words, 2, &o, &err), err);
    assert_int_equal(o.wait_ms, PAM_WAIT_MAX_MS);
    (void)snprintf(word, sizeof(word), "timeout=10m");
    assert_ok(parse(words, 2, &o, &err), err);
    (void)snprintf(word, sizeof(word), "timeout=100ms");
    assert_ok(parse(words, 2, &o, &err), err);
    assert_int_equal(o.timeout_ms, PAM_TIMEOUT_MIN_MS);
}

static void test_lists(void **state)
{
    const char *list = "a,bc,d";
    char word[4];

    (void)state;
    assert_true(options_list_has(list, "a"));
    assert_true(options_list_has(list, "bc"));
    assert_true(options_list_has(list, "d"));
    assert_false(options_list_has(list, "b"));
    assert_false(options_list_has(list, ""));
    assert_false(options_list_has(list, "bc,d"));
    assert_false(options_list_has(NULL, "a"));
    assert_true(options_next(&list, word, sizeof(word)));
    assert_string_equal(word, "a");
    assert_true(options_next(&list, word, sizeof(word)));
    assert_string_equal(word, "bc");
    assert_true(options_next(&list, word, sizeof(word)));
    assert_string_equal(word, "d");
    assert_false(options_next(&list, word, sizeof(word)));
    list = "toolong,a";
    assert_false(options_next(&list, word, sizeof(word)));
}

static void test_services(void **state)
{
    struct pam_options o = {.services = NULL};

    (void)state;
    assert_true(options_want_service(&o, "sshd"));
    assert_false(options_want_service(&o, "login"));
    assert_false(options_want_service(&o, "systemd-user"));
    o.services = "login,su-l";
    assert_true(options_want_service(&o, "login"));
    assert_true(options_want_service(&o, "su-l"));
    assert_false(options_want_service(&o, "su"));
    assert_false(options_want_service(&o, "sshd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_all_given),
        cmocka_unit_test(test_words),      cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_wrong_lock), cmocka_unit_test(test_edges),
        cmocka_unit_test(test_lists),      cmocka_unit_test(test_services),
    };

    return cmocka_run_group_tests_name("pam_options", tests, NULL, NULL);
}

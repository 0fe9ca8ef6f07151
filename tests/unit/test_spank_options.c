/* SPDX-License-Identifier: MIT */
/* test_spank_options.c - the plugstack line and the options' values. */
#include "fake_spank.h"

static struct plugin_settings settings_of(int ac, const char *const *words)
{
    struct plugin_settings s;
    char *av[8];

    for (int i = 0; i < ac; i++)
        av[i] = strdup(words[i]);
    settings_read(ac, av, &s);
    for (int i = 0; i < ac; i++)
        free(av[i]);
    return s;
}

static void settings_defaults(void **state)
{
    struct plugin_settings s = settings_of(0, NULL);

    (void)state;
    assert_string_equal(s.socket, "/run/justalock/agent.sock");
    assert_int_equal(s.timeout_ms, 5000);
    assert_false(s.is_open);
    assert_false(s.is_bad);
}

static void settings_given(void **state)
{
    const char *const words[] = {"socket=/x/y", "timeout=250ms",
                                 "no_agent=open"};
    struct plugin_settings s = settings_of(3, words);

    (void)state;
    assert_string_equal(s.socket, "/x/y");
    assert_int_equal(s.timeout_ms, 250);
    assert_true(s.is_open);
    assert_false(s.is_bad);
}

static void settings_wrong(void **state)
{
    static const struct {
        const char *word, *why;
    } cases[] = {
        {"sockets=/x", "sockets=/x: unknown"},
        {"socket=x", "not an absolute path"},
        {"timeout=", "timeout"},
        {"timeout=0", "leaves no time"},
        {"timeout=61s", "timeout"},
        {"timeout=5 s", "timeout"},
        {"no_agent=", "neither closed nor open"},
        {"no_agent=Open", "neither closed nor open"},
        {"debug", "debug: unknown"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const words[] = {cases[i].word, "no_agent=open"};
        struct plugin_settings s = settings_of(2, words);

        assert_true(s.is_bad);
        assert_non_null(strstr(s.why, cases[i].why));
        assert_true(s.is_open); /* the good words count all the same */
        assert_string_equal(s.socket, "/run/justalock/agent.sock");
    }
}

static void settings_socket_limit(void **state)
{
    char word[7 + PLUGIN_SOCKET_MAX + 2] = "socket=/";
    const char *const words[] = {word};

    (void)state;
    memset(word + 8, 'a', PLUGIN_SOCKET_MAX - 1);
    assert_false(settings_of(1, words).is_bad);
    word[7 + PLUGIN_SOCKET_MAX] = 'a';
    assert_true(settings_of(1, words).is_bad);
}

static enum justalock_status lock_of(const char *value,
                                     struct plugin_request *r)
{
    struct justalock_error err = {0};
    enum justalock_status st;

    request_init(r);
    st = request_set(r, PLUGIN_OPTION_LOCK, value, &err);
    if (st != JUSTALOCK_OK) {
        assert_false(r->is_asked);
        assert_string_equal(r->locks, "");
        assert_true(err.text[0] != '\0');
    }
    return st;
}

static void locks_good(void **state)
{
    static const char *const good[] = {
        "a", "a,b", "db migration", "singleton", "singleton:x", "\xc3\xa4,b"};
    struct plugin_request r;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(lock_of(good[i], &r), JUSTALOCK_OK);
        assert_true(r.is_asked);
        assert_string_equal(r.locks, good[i]);
        assert_int_equal(r.wait_ms, WIRE_WAIT_DEFAULT);
        assert_int_equal(r.on_busy, WIRE_BUSY_DEFAULT);
    }
}

static void locks_bad(void **state)
{
    static const char *const bad[] = {"",     ",",      "a,",         ",a",
                                      "a,,b", " a",     "a ",         "a\nb",
                                      "\xff", "\x1b[m", "singleton:", "a\x7f"};
    struct plugin_request r;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_not_equal(lock_of(bad[i], &r), JUSTALOCK_OK);
}

static void locks_limits(void **state)
{
    char name[PARSE_NAME_MAX + 2];
    char list[WIRE_LIST_MAX + 2];
    struct plugin_request r;

    (void)state;
    memset(name, 'n', sizeof(name));
    name[PARSE_NAME_MAX] = '\0';
    assert_int_equal(lock_of(name, &r), JUSTALOCK_OK);
    name[PARSE_NAME_MAX] = 'n';
    name[PARSE_NAME_MAX + 1] = '\0';
    assert_int_equal(lock_of(name, &r), JUSTALOCK_ARG);

    assert_int_equal(lock_of("1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g", &r),
                     JUSTALOCK_OK);
    assert_int_equal(lock_of("1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h", &r),
                     JUSTALOCK_ARG);

    memset(list, 'x', sizeof(list));
    for (size_t i = 200; i < sizeof(list); i += 200)
        list[i] = ',';
    list[WIRE_LIST_MAX] = '\0';
    assert_int_equal(lock_of(list, &r), JUSTALOCK_OK);
    list[WIRE_LIST_MAX] = 'x';
    list[WIRE_LIST_MAX + 1] = '\0';
    assert_int_equal(lock_of(list, &r), JUSTALOCK_ARG);
}

static void wait_values(void **state)
{
    struct plugin_request r;
    struct justalock_error err;

    (void)state;
    request_init(&r);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_WAIT, "90", &err), 0);
    assert_int_equal(r.wait_ms, 90000);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_WAIT, "0", &err), 0);
    assert_int_equal(r.wait_ms, 0);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_WAIT, "2h", &err), 0);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTION_WAIT, "-1", &err), 0);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTION_WAIT, "", &err), 0);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTION_WAIT, "721h", &err), 0);
    assert_int_equal(r.wait_ms, 7200000); /* the last good one */
}

static void on_busy_values(void **state)
{
    struct plugin_request r;
    struct justalock_error err;

    (void)state;
    request_init(&r);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_ON_BUSY, "wait", &err), 0);
    assert_int_equal(r.on_busy, WIRE_BUSY_WAIT);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_ON_BUSY, "fail", &err), 0);
    assert_int_equal(r.on_busy, WIRE_BUSY_FAIL);
    assert_int_equal(request_set(&r, PLUGIN_OPTION_ON_BUSY, "requeue", &err),
                     0);
    assert_int_equal(r.on_busy, WIRE_BUSY_REQUEUE);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTION_ON_BUSY, "FAIL", &err),
                         0);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTION_ON_BUSY, "", &err), 0);
    assert_int_not_equal(request_set(&r, PLUGIN_OPTIONS, "x", &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_defaults),
        cmocka_unit_test(settings_given),
        cmocka_unit_test(settings_wrong),
        cmocka_unit_test(settings_socket_limit),
        cmocka_unit_test(locks_good),
        cmocka_unit_test(locks_bad),
        cmocka_unit_test(locks_limits),
        cmocka_unit_test(wait_values),
        cmocka_unit_test(on_busy_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

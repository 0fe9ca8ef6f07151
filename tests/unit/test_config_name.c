/* SPDX-License-Identifier: MIT */
/*
 * test_config_name.c - templates of lock names: what a template may be, that
 * two sets of values never make one name, and that a name is known for its
 * template's.
 */
#include <stdlib.h>

#include "../lib/fail_alloc.h"
#include "config.h"
#include "config_parts.h"
#include "parse.h"
#include "test.h"

static enum justalock_status expand(const char *text,
                                    const struct config_names *n, char *name,
                                    size_t size, struct justalock_error *err)
{
    memset(err, 0, sizeof(*err));
    return config_expand(text, n, name, size, err);
}

static void test_check(void **state)
{
    static const struct {
        const char *text, *says; /* NULL: fine */
        bool is_template;
        size_t weight;
    } cases[] = {
        {"plain", NULL, false, 5},
        {"", NULL, false, 0},
        {"%u", NULL, true, 0},
        {"login:%u", NULL, true, 6},
        {"%u/%h", NULL, true, 1},
        {"%u/%h:%s/%R", NULL, true, 3},
        {"100%%", NULL, false, 4},
        {"%%u", NULL, false, 2},
        {"%%%u", NULL, true, 1},
        {"%u%h", "%u and %h apart", true, 0},
        {"%u-%h", "%u and %h apart", true, 1}, /* values have '-' too */
        {"%u.x_9%h", "apart", true, 4},
        {"%u%%%h", "apart", true, 1}, /* and '%' */
        {"%u/x%h%s", "%h and %s apart", true, 2},
        {"%x", "stands for nothing", false, 2},
        {"a%", "stands for nothing", false, 2},
        {"%U", "stands for nothing", false, 2},
    };
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *t = cases[i].text;

        if (cases[i].says == NULL)
            assert_ok(config_template_check(t, &err), err);
        else
            assert_fails(config_template_check(t, &err), JUSTALOCK_ARG, err,
                         cases[i].says);
        if (config_is_template(t) != cases[i].is_template ||
            config_template_weight(t) != cases[i].weight)
            fail_msg("\"%s\": %d, %zu", t, config_is_template(t),
                     config_template_weight(t));
    }
}

static void test_expand(void **state)
{
    struct config_names n = {.user = "a b%",
                             .host = "n1.example",
                             .service = "su-l",
                             .ruser = "\xc3\xa4/:"};
    char name[PARSE_NAME_MAX + 1] = "before";
    struct justalock_error err;

    (void)state;
    assert_ok(expand("%u/%h:%s/%R", &n, name, sizeof(name), &err), err);
    assert_string_equal(name, "a%20b%25/n1.example:su-l/%C3%A4%2F%3A");
    assert_ok(expand("100%%", &n, name, sizeof(name), &err), err);
    assert_string_equal(name, "100%");
    n.host = NULL;
    n.service = "";
    assert_fails(expand("%u/%h", &n, name, sizeof(name), &err), JUSTALOCK_ARG,
                 err, "there is no value for %h");
    assert_fails(expand("%u/%s", &n, name, sizeof(name), &err), JUSTALOCK_ARG,
                 err, "there is no value for %s");
    assert_fails(expand("%u%R", &n, name, sizeof(name), &err), JUSTALOCK_ARG,
                 err, "lock name \"%u%R\": nothing keeps");
    assert_string_equal(name, "100%"); /* untouched */
    assert_int_not_equal(expand("", &n, name, sizeof(name), &err),
                         JUSTALOCK_OK);
}

static void test_long(void **state)
{
    char user[PARSE_NAME_MAX + 2], name[PARSE_NAME_MAX + 1];
    struct config_names n = {.user = user};
    struct justalock_error err;

    (void)state;
    memset(user, 'u', sizeof(user));
    user[PARSE_NAME_MAX - 2] = '\0';
    assert_ok(expand("l:%u", &n, name, sizeof(name), &err), err);
    assert_int_equal(strlen(name), PARSE_NAME_MAX);
    assert_fails(expand("l:%u", &n, name, PARSE_NAME_MAX, &err), JUSTALOCK_ARG,
                 err, "has more than");
    user[PARSE_NAME_MAX - 2] = 'u';
    user[PARSE_NAME_MAX - 1] = '\0';
    assert_fails(expand("l:%u", &n, name, sizeof(name), &err), JUSTALOCK_ARG,
                 err, "has more than");
    /* Three bytes of a name for each of these. */
    memset(user, '/', sizeof(user));
    user[PARSE_NAME_MAX / 3] = '\0';
    assert_ok(expand("%u", &n, name, sizeof(name), &err), err);
    user[PARSE_NAME_MAX / 3] = '/';
    user[PARSE_NAME_MAX / 3 + 1] = '\0';
    assert_int_equal(expand("%u", &n, name, sizeof(name), &err), JUSTALOCK_ARG);
}

static void test_match(void **state)
{
    static const struct {
        const char *text, *name;
        bool is_of_it;
    } cases[] = {
        {"login:%u", "login:ada", true},
        {"login:%u", "login:a%20b", true},
        {"login:%u", "login:", false},    /* no value is empty */
        {"login:%u", "login:a/b", false}, /* it would be %2F */
        {"login:%u", "login:a%2fb", false},
        {"login:%u", "login:%41", false}, /* nobody encodes an A */
        {"login:%u", "login:%4", false},
        {"login:%u", "logout:ada", false},
        {"%u/%h", "ada/n1", true},
        {"%u/%h", "ada/n1/x", false},
        {"%u/%h", "ada", false},
        {"%u-end", "a-end-end", true}, /* backs off */
        {"%u-end", "-end", false},
        {"100%%", "100%", true},
        {"100%%", "100%%", false},
        {"100%%%u", "100%x", true},
        {"plain", "plain", true},
        {"plain", "plains", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (config_template_match(cases[i].text, cases[i].name) !=
            cases[i].is_of_it)
            fail_msg("%s and %s", cases[i].text, cases[i].name);
}

/* Of values that are near each other, and of templates that are allowed: each
 * name is its template's, and no other values make it. */
static void test_apart(void **state)
{
    static const char *const templates[] = {"%u/%h", "%u:%h", "a%u%%/%h.b",
                                            "%h/-%u"};
    static const char letters[] = "a/%-: 2F";
    char made[64][PARSE_NAME_MAX + 1], values[8][3];
    struct justalock_error err;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(values[i], sizeof(values[i]), "%.*s", i % 2 ? 2 : 1,
                       letters + i % (sizeof(letters) - 2));
    for (size_t t = 0; t < LENGTH(templates); t++) {
        n = 0;
        for (size_t i = 0; i < 8; i++)
            for (size_t j = 0; j < 8; j++) {
                struct config_names names = {.user = values[i],
                                             .host = values[j]};

                assert_ok(expand(templates[t], &names, made[n], sizeof(made[n]),
                                 &err),
                          err);
                assert_true(config_template_match(templates[t], made[n]));
                for (size_t k = 0; k < n; k++)
                    if (strcmp(made[k], made[n]) == 0)
                        fail_msg("%s: %s twice", templates[t], made[n]);
                n++;
            }
    }
}

static bool make_one(void *arg)
{
    struct config_names n = {.user = "ada", .host = "n1"};
    char name[PARSE_NAME_MAX + 1] = "before";
    struct justalock_error err;
    enum justalock_status st =
        expand("login:%u/%h", &n, name, sizeof(name), &err);

    (void)arg;
    assert_string_equal(name, st == JUSTALOCK_OK ? "login:ada/n1" : "before");
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_in_range(fail_alloc_each(make_one, NULL), 1, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check), cmocka_unit_test(test_expand),
        cmocka_unit_test(test_long),  cmocka_unit_test(test_match),
        cmocka_unit_test(test_apart), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_report.c - how a fault of a configuration is shown: its line
 * with a caret under it, whatever is in that line, and what an unknown key may
 * have been meant for.
 */
#include <stdlib.h>

#include "config_parts.h"
#include "test.h"

static char shown[8192];

/* A fault at that place of a text, as it is reported. */
static struct justalock_error fault(const char *file, const char *text,
                                    unsigned line, unsigned column,
                                    const char *what)
{
    char *data = strdup(text);
    struct config_text t = {.file = file, .data = data, .len = strlen(text)};
    FILE *out = fmemopen(shown, sizeof(shown), "w");
    struct justalock_error err = {.text = ""};
    struct config_loader l = {
        .report = out, .err = &err, .texts = &t, .texts_len = 1};

    assert_non_null(data);
    assert_non_null(out);
    config_fault(&l, file, line, column, "%s", what);
    config_fault(&l, file, line, column, "a later one");
    assert_int_equal(fclose(out), 0);
    assert_int_equal(l.errors, 2);
    free(data);
    assert_int_equal(err.status, JUSTALOCK_CONFIG);
    assert_null(strstr(err.text, "later")); /* the first one is kept */
    return err;
}

static void test_caret(void **state)
{
    struct justalock_error err = fault("f", "one\ntwo three\n", 2, 5, "bad");

    (void)state;
    assert_string_equal(err.text, "f:2:5: bad");
    assert_string_equal(shown, "f:2:5: error: bad\n  two three\n      ^\n"
                               "f:2:5: error: a later one\n  two three\n"
                               "      ^\n");
    (void)fault("f", "one", 1, 4, "ends"); /* behind the last character */
    assert_has(shown, "\n  one\n     ^\n");
    (void)fault("f", "\ta\tb", 1, 4, "x"); /* a tab is as wide above as below */
    assert_has(shown, "\n  \ta\tb\n  \t \t^\n");
    (void)fault("f", "\xc3\xa4\xc3\xb6x", 1, 3,
                "x"); /* characters, not bytes */
    assert_has(shown, "\n  \xc3\xa4\xc3\xb6x\n    ^\n");
    (void)fault("f", "one\r\ntwo", 1, 2, "x");
    assert_has(shown, "\n  one\n   ^\n");
    (void)fault("f", "", 1, 1, "x");
    assert_has(shown, "f:1:1: error: x\n");
    (void)fault("f", "a", 9, 1, "x"); /* no such line */
    assert_has(shown, "f:9:1: error: x\n");
}

/* Nothing in it moves a terminal's cursor. */
static void test_rubbish(void **state)
{
    struct justalock_error err =
        fault("f", "a\x1b[2J\x07\xff\x80z\n", 1, 3, "what\x1b[1m");

    (void)state;
    for (const char *p = shown; *p != '\0'; p++)
        assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
    assert_null(strpbrk(err.text, "\x1b\n"));
    assert_has(shown, "  a?[2J???z\n");
}

static void test_long(void **state)
{
    char line[1000], path[300];
    struct justalock_error err;

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    line[500] = 'Y';
    (void)fault("f", line, 1, 501, "x");
    assert_has(shown, "  ...");
    assert_has(shown, "x...\n");
    {
        const char *y = strchr(shown, 'Y'), *caret = strchr(shown, '^');
        const char *start = strstr(shown, "  ..."), *below;

        assert_true(y != NULL && caret != NULL && start != NULL);
        below = strchr(start, '\n') + 1;
        assert_int_equal(caret - below, y - start); /* right under it */
    }
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    err = fault(path, "x", 1, 1, "what is wrong with it");
    assert_has(err.text, "...ppp");
    assert_has(err.text, "p:1:1: what is wrong with it");
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"lifetime", "users", "label",
                                        "on_lost",  "id",    NULL};
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"lifetime", "lifetime"},
        {"lifetme", "lifetime"},
        {"lifetimes", "lifetime"},
        {"lfietime", "lifetime"},
        {"user", "users"},
        {"labels", "label"},
        {"onlost", "on_lost"},
        {"di", NULL},
        {"idx", "id"},
        {"xyz", NULL},
        {"", NULL},
        {"something", NULL},
        {"x1234567890123456789012345678901234567890", NULL},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *found = config_nearest(cases[i].text, names);

        if ((found == NULL) != (cases[i].want == NULL) ||
            (found != NULL && strcmp(found, cases[i].want) != 0))
            fail_msg("\"%s\": %s", cases[i].text, found ? found : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caret),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

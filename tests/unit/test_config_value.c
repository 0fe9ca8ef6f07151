/* SPDX-License-Identifier: MIT */
/*
 * test_config_value.c - each type of value at both edges of its range and of
 * its length, and in every kind of JSON that it is not; and that a later value
 * takes the place of an earlier one, without memory too.
 */
#include <stdlib.h>

#include "../lib/failing.h"
#include "config_help.h"
#include "parse.h"

/* What each type is, in some JSON of each kind, and what is said otherwise. */
static void kinds_of_json(void **state)
{
    static const char *const values[] = {"null",  "true", "1",
                                         "\"x\"", "[]",   "{}"};
    static const struct {
        const char *key;
        const char *good; /* the kinds that may be right: n, t, 1, x, [, { */
        const char *part;
        bool is_lock;
    } cases[] = {
        {"lifetime", "1x", "must be a number of seconds", true},
        {"wait", "1x", "or \"forever\"", true},
        {"grace", "1x", "must be a number of seconds", true},
        {"slots", "1", "must be a whole number", true},
        {"on_busy", "x", "must be \"wait\", \"fail\" or \"requeue\"", true},
        {"on_unreachable", "x", "must be \"closed\" or \"open\"", true},
        {"on_lost", "x", "must be \"kill\", \"signal:NAME\" or \"log\"", true},
        {"on_end", "x", "must be \"keep\", \"kill\" or \"release\"", true},
        {"share", "x", "must be \"none\" or \"host\"", true},
        {"for", "x[", "must be \"slurm\", \"pam\" or \"command\"", true},
        {"users", "x[", "must be a text or a list of texts", true},
        {"id", "x", "must be a UUID, 32 hex digits or 22 characters", true},
        {"url", "x[", "must be https://..., http://... or unix:/path", false},
        {"proxy", "x", "must be http://..., https://... or socks5h", false},
        {"ca_file", "x", "must be a path that begins with /", false},
        {"timeout", "1x", "must be a number of seconds", false},
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t k = 0; k < LENGTH(values); k++) {
            const char *v = values[k];
            char kind = v[0] == '"' ? 'x' : v[0];

            if (strchr(cases[i].good, kind))
                continue;
            (void)snprintf(text, sizeof(text), "\"%s\": %s", cases[i].key, v);
            refuse(cases[i].is_lock ? of_lock(text) : of_service(text),
                   cases[i].part);
            assert_has(report, cases[i].key);
        }
    refuse("{\"hashed_names\": \"true\"}", "must be true or false");
    refuse("{\"adhoc\": 0}", "must be true or false");
    refuse("{\"$schema\": 1}", "$schema: must be a text");
    refuse("{\"slurm\": {\"cluster\": 7}}", "must be a text");
}

static void edges_of_numbers(void **state)
{
    static const char *const good[] = {
        "\"lifetime\": 2",
        "\"lifetime\": 65535",
        "\"lifetime\": \"65535\"",
        "\"lifetime\": \"18h\"",
        "\"slots\": 1",
        "\"slots\": 1024",
        "\"wait\": 0",
        "\"wait\": \"720h\"",
        "\"wait\": 2592000",
        "\"grace\": \"1ms\"",
        "\"grace\": \"1h\", \"lifetime\": \"18h\"",
    };
    static const char *const bad[][2] = {
        {"\"lifetime\": 0", "a.lifetime: 0 is not within 1 and 65535"},
        {"\"lifetime\": 65536", "65536 is not within 1 and 65535"},
        {"\"lifetime\": \"19h\"", "19h is not within 1 and 65535"},
        {"\"lifetime\": 99999999999999999999999", "a.lifetime: "},
        {"\"slots\": 0", "a.slots: 0 is not within 1 and 1024"},
        {"\"slots\": 1025", "1025 is not within 1 and 1024"},
        {"\"slots\": 18446744073709551617", "a.slots: "},
        {"\"slots\": 1.0", "a.slots: "},
        {"\"wait\": 2592001", "a.wait: "},
        {"\"wait\": -1", "a.wait: "},
        {"\"wait\": \"Forever\"", "a.wait: "},
        {"\"wait\": \"forever \"", "a.wait: "},
        {"\"grace\": 0", "a.grace: 0 is not within 1ms and 3600s"},
        {"\"grace\": \"3600001ms\"", "a.grace: "},
        {"\"grace\": \"forever\"", "a.grace: "},
        {"\"grace\": \"\"", "a.grace: 0 bytes are not within 1 and 32"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++)
        config_free(take(of_lock(good[i])));
    for (size_t i = 0; i < LENGTH(bad); i++)
        refuse(of_lock(bad[i][0]), bad[i][1]);
    config_free(take(of_service("\"timeout\": \"10ms\"")));
    refuse(of_service("\"timeout\": \"9ms\""),
           "timeout: 9ms is not within 10ms and 3600s");
    refuse(of_service("\"timeout\": 3601"), "service.timeout: ");
    config_free(take("{\"slurm\": {\"requeue_max\": 0}}"));
    config_free(take("{\"slurm\": {\"requeue_max\": 2147483647}}"));
    refuse("{\"slurm\": {\"requeue_max\": 2147483648}}",
           "2147483648 is not within 0 and 2147483647");
}

/* A text of n letters behind a beginning, as JSON. */
static const char *letters(const char *begin, size_t n)
{
    static char text[2][1200];
    static unsigned i;

    i ^= 1;
    (void)snprintf(text[i], sizeof(text[i]), "\"%s%0*d\"", begin,
                   (int)(n - strlen(begin)), 0);
    return text[i];
}

static void edges_of_lengths(void **state)
{
    static const struct {
        const char *key, *begin;
        size_t most;
        bool is_lock;
    } cases[] = {
        {"ca_file", "/", CONFIG_PATH_MAX, false},
        {"url", "http://h/", CONFIG_URL_MAX, false},
        {"proxy", "http://h/", CONFIG_PATH_MAX, false},
        {"users", "", PARSE_NAME_MAX, true},
    };
    char text[1300], part[80];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t more = 0; more < 2; more++) {
            (void)snprintf(text, sizeof(text), "\"%s\": %s", cases[i].key,
                           letters(cases[i].begin, cases[i].most + more));
            if (more == 0) {
                config_free(
                    take(cases[i].is_lock ? of_lock(text) : of_service(text)));
                continue;
            }
            (void)snprintf(part, sizeof(part),
                           "%s: %zu bytes are not within 1 and %zu",
                           cases[i].key, cases[i].most + 1, cases[i].most);
            refuse(cases[i].is_lock ? of_lock(text) : of_service(text), part);
        }
    (void)snprintf(text, sizeof(text), "{\"slurm\": {\"cluster\": %s}}",
                   letters("c", 64));
    config_free(take(text));
    (void)snprintf(text, sizeof(text), "{\"slurm\": {\"cluster\": %s}}",
                   letters("c", 65));
    refuse(text, "65 bytes are not within 1 and 64");
    refuse(of_service("\"ca_file\": \"ca.pem\""), "begins with /");
    refuse(of_service("\"ca_file\": \"\""), "0 bytes are not within 1");
    refuse(of_service("\"ca_file\": \"/a\\u0007\""), "control characters");
    refuse("{\"agent\": {\"keeper_user\": \"a/b\"}}", "made of letters");
}

/* So many entries of a list. */
static void edges_of_lists(void **state)
{
    char *text = malloc(CONFIG_LIST_MAX * 8 + 100);
    struct config *c;

    (void)state;
    assert_non_null(text);
    for (int more = 0; more < 2; more++) {
        size_t at = (size_t)sprintf(text, "{\"locks\": {\"a\": {\"users\": [");

        for (int i = 0; i < CONFIG_LIST_MAX + more; i++)
            at += (size_t)sprintf(text + at, "%s\"u%d\"", i ? "," : "", i);
        (void)sprintf(text + at, "]}}}");
        if (more == 1) {
            refuse(text, "a.users: 1025 entries are not within 1 and 1024");
            continue;
        }
        c = take(text);
        assert_string_equal(c->locks[0].users[1023], "u1023");
        assert_null(c->locks[0].users[1024]);
        config_free(c);
    }
    free(text);
    refuse(of_lock("\"users\": []"), "0 entries are not within 1 and 1024");
    refuse(of_lock("\"for\": []"), "at least one of \"slurm\", \"pam\"");
    /* One that is wrong makes the list none. */
    refuse(of_lock("\"users\": [\"a\", \"\", \"b\"]"), "0 bytes");
}

static void words(void **state)
{
    struct config *c;

    (void)state;
    for (int i = 1; i <= 64; i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "\"on_lost\": \"signal:%d\"", i);
        c = take(of_lock(text));
        assert_int_equal(c->locks[0].on_lost, CONFIG_LOST_SIGNAL);
        assert_int_equal(c->locks[0].lost_signal, i);
        config_free(c);
    }
    refuse(of_lock("\"on_lost\": \"signal:0\""), "names no signal");
    refuse(of_lock("\"on_lost\": \"signal:65\""), "names no signal");
    refuse(of_lock("\"on_lost\": \"signal:\""), "names no signal");
    refuse(of_lock("\"on_lost\": \"signal\""), "is not \"kill\"");
    refuse(of_lock("\"on_busy\": \"requeu\""), "did you mean \"requeue\"?");
    refuse(of_lock("\"on_busy\": \"xyzxyz\""),
           "\"xyzxyz\" is not \"wait\", \"fail\" or \"requeue\"");
    refuse(of_lock("\"on_busy\": \"\""), "\"\" is not \"wait\"");
    c = take(of_lock("\"for\": [\"pam\", \"slurm\", \"pam\"],"
                     " \"users\": [\"a\"], \"id\":"
                     " \"00000000000000000000000000000001\""));
    assert_int_equal(c->locks[0].for_mask, CONFIG_FOR_PAM | CONFIG_FOR_SLURM);
    config_free(c);
}

/* As a later file does: the first one is freed, or kept without memory. */
static void set_again(void **state)
{
    static struct config_loader l;
    char *field = NULL;
    long live = failing_live();

    (void)state;
    config_set_text(&l, &field, "one");
    config_set_text(&l, &field, "two");
    assert_string_equal(field, "two");
    assert_int_equal(failing_live(), live + 1);
    failing_memory(0);
    config_set_text(&l, &field, "three");
    failing_memory(-1);
    assert_true(l.no_memory);
    assert_string_equal(field, "two");
    free(field);
    assert_int_equal(failing_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_json),
        cmocka_unit_test(edges_of_numbers),
        cmocka_unit_test(edges_of_lengths),
        cmocka_unit_test(edges_of_lists),
        cmocka_unit_test(words),
        cmocka_unit_test(set_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_show.c - what is shown of a configuration says all of it, and
 * nothing else: read again it is the same, whatever stands in it.
 */
#include <stdlib.h>

#include "../lib/failing.h"
#include "config_help.h"

#define ALL_KEYS                                                               \
    "{\"service\": {\"url\": \"http://a,http://b\", \"ca_file\": \"/ca\","     \
    " \"cert_file\": \"/c\", \"key_file\": \"/k\", \"token_file\": \"/t\","    \
    " \"proxy\": \"socks5h://p\", \"timeout\": \"900ms\"},"                    \
    " \"secret_file\": \"/s\", \"hashed_names\": true, \"adhoc\": false,"      \
    " \"defaults\": {\"for\": [\"command\", \"slurm\"], \"users\": "           \
    "\"@wheel\","                                                              \
    " \"lifetime\": \"2m\", \"wait\": 7, \"on_busy\": \"fail\","               \
    " \"on_unreachable\": \"open\", \"on_lost\": \"log\", \"on_end\":"         \
    " \"keep\", \"share\": \"none\", \"grace\": \"1500ms\"},"                  \
    " \"locks\": {\"z-%u\": {\"for\": [\"pam\"], \"share\": \"host\"},"        \
    " \"a\": {\"id\": \"00112233445566778899aabbccddeeff\", \"slots\": 3,"     \
    " \"for\": \"command\", \"users\": [\"x\", \"y\"], \"wait\": \"forever\"," \
    " \"on_lost\": \"signal:TERM\", \"on_end\": \"release\"}, \"m\": {}},"     \
    " \"slurm\": {\"cluster\": \"c.1\", \"requeue_max\": 0, \"rules\":"        \
    " [{\"partition\": \"p\", \"account\": [\"q\", \"r\"], \"user\": \"u\","   \
    " \"reservation\": \"v\", \"name\": \"n\", \"lock\": [\"m\", \"x-%u\"]},"  \
    " {\"lock\": \"m\"}]},"                                                    \
    " \"agent\": {\"keeper_user\": \"jk\", \"cgroup\": \"/sys/fs/cgroup/x\"}}"

static const char *const all[] = {
    "{}",
    ALL_KEYS,
    "{\"locks\": {\"a\": {}}}",
    "{\"service\": {}}",
    "{\"locks\": {\"q\\\"b\\\\s/%%\": {\"for\": \"command\"}}}",
    "{\"locks\": {\"\\u00e4\\u4e2d\": {\"users\": \"d\\u00fc\"}}}",
    "{\"locks\": {\"a\": {\"on_lost\": \"signal:40\", \"grace\": \"1ms\"}}}",
    "{\"slurm\": {\"rules\": []}}",
};

static void as_it_was_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        struct config *c = take(all[i]);
        char *json = show(c, true), *text = show(c, false);
        const char *both[] = {json, text};

        config_free(c);
        assert_int_equal(strcspn(json, "\n") + 1, strlen(json));
        for (int k = 0; k < 2; k++) {
            struct config *back = take(both[k]);
            char *again = show(back, true);

            assert_string_equal(again, json);
            free(again);
            config_free(back);
        }
        free(json);
        free(text);
    }
}

/* Every key that there is, as it was set. */
static void all_of_it(void **state)
{
    struct config *c = take(ALL_KEYS);
    char *json = show(c, true);

    (void)state;
    assert_string_equal(
        json,
        "{\"service\":{\"url\":\"http://a,http://b\",\"ca_file\":\"/ca\","
        "\"cert_file\":\"/c\",\"key_file\":\"/k\",\"token_file\":\"/t\","
        "\"proxy\":\"socks5h://p\",\"timeout\":\"900ms\"},"
        "\"secret_file\":\"/s\",\"hashed_names\":true,\"adhoc\":false,"
        "\"defaults\":{\"for\":[\"slurm\",\"command\"],\"users\":[\"@wheel\"],"
        "\"lifetime\":120,\"wait\":\"7s\",\"on_busy\":\"fail\","
        "\"on_unreachable\":\"open\",\"on_lost\":\"log\",\"on_end\":\"keep\","
        "\"share\":\"none\",\"grace\":\"1500ms\"},"
        "\"locks\":{\"z-%u\":{\"for\":[\"pam\"],\"share\":\"host\"},"
        "\"a\":{\"id\":\"ABEiM0RVZneImaq7zN3u_w\",\"slots\":3,"
        "\"for\":[\"command\"],\"users\":[\"x\",\"y\"],\"wait\":\"forever\","
        "\"on_lost\":\"signal:TERM\",\"on_end\":\"release\"},\"m\":{}},"
        "\"slurm\":{\"cluster\":\"c.1\",\"requeue_max\":0,\"rules\":["
        "{\"partition\":[\"p\"],\"account\":[\"q\",\"r\"],\"user\":[\"u\"],"
        "\"reservation\":[\"v\"],\"name\":[\"n\"],\"lock\":[\"m\",\"x-%u\"]},"
        "{\"lock\":[\"m\"]}]},"
        "\"agent\":{\"keeper_user\":\"jk\",\"cgroup\":\"/sys/fs/cgroup/x\"}}"
        "\n");
    free(json);
    config_free(c);
}

/* What is not set, where a lock is from, and what comes of it for whom. */
static void with_comments(void **state)
{
    struct config *c = take("{\n \"defaults\": {\"wait\": \"20m\"},\n"
                            " \"locks\": {\"a\": {\"for\": [\"slurm\","
                            " \"command\"], \"lifetime\": 300,"
                            " \"on_lost\": \"signal:USR1\"}}}");
    char *text = show(c, false);

    (void)state;
    assert_has(text, "// read: f.json\n");
    assert_has(text, "// f.json:3\n");
    assert_has(text, "// slurm: lifetime 300s, wait 1200s, busy wait, "
                     "unreachable closed, lost signal:USR1, end ");
    assert_has(text, "// command: lifetime 300s, wait 1200s, ");
    assert_null(strstr(strstr(text, "// f.json:3"), "// pam: "));
    assert_null(strstr(text, "service,")); /* an object is always there */
    assert_has(text, "// not set: id, slots, users, wait, on_busy, "
                     "on_unreachable, on_end, share, grace\n");
    assert_has(text, "// not set: ca_file, cert_file, key_file, token_file, "
                     "proxy, timeout\n");
    free(text);
    config_free(c);
}

/* The name of a file is no part of the configuration, whatever is in it. */
static void an_odd_file(void **state)
{
    static const char text[] = "{\"locks\": {\"a\": {}}}";
    struct justalock_error err;
    struct config *c, *back;
    char *shown;

    (void)state;
    assert_ok(config_parse("x\n\"adhoc\": false,\x1b[2J//.json", text,
                           strlen(text), &c, NULL, &err),
              err);
    shown = show(c, false);
    assert_has(shown, "// read: x?\"adhoc\": false,?[2J//.json\n");
    assert_has(shown, "// x?\"adhoc\": false,?[2J//.json:1\n");
    back = take(shown);
    assert_true(back->adhoc);
    config_free(back);
    config_free(c);
    free(shown);
}

/* Whichever allocation fails: it is no configuration, or the whole one. */
static void without_memory(void **state)
{
    struct config *c = take(all[4]);
    char *whole = show(c, true);
    bool came = true;

    (void)state;
    for (long n = 0; came && n < 1000; n++) {
        char text[4096];
        FILE *out = fmemopen(text, sizeof(text), "w");
        struct justalock_error err;
        struct config *back;
        enum justalock_status st;

        assert_non_null(out);
        failing_memory(n);
        config_show(c, out, true);
        came = failing_came();
        failing_memory(-1);
        assert_int_equal(fclose(out), 0);
        st = parse(text, &back, &err);
        assert_int_equal(st == JUSTALOCK_OK, !came);
        if (st == JUSTALOCK_OK) {
            assert_string_equal(text, whole);
            config_free(back);
        }
    }
    assert_false(came);
    free(whole);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_was_read), cmocka_unit_test(all_of_it),
        cmocka_unit_test(with_comments),  cmocka_unit_test(an_odd_file),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

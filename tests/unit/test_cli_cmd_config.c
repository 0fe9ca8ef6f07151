/* SPDX-License-Identifier: MIT */
/*
 * test_cli_cmd_config.c - `justalock config`: show, locks and check of a
 * configuration that is right, wrong, missing, not ours to read; which one is
 * read; no memory for a line. What check finds beside it: test_cli_doctor.c.
 */
#include "cli_no_memory.h"

#define LOCKS                                                                  \
    "{\"service\": {\"url\": \"https://x.example/\"}, \"locks\": {"            \
    "\"a\\\"b\": {\"for\": [\"command\"]}, "                                   \
    "\"job:%u\": {\"for\": [\"slurm\"]}, "                                     \
    "\"login\": {\"for\": [\"pam\", \"command\"]}}}"

static char other[160]; /* --config= of a file that is not the usual one */

static void put(const char *name, const char *text)
{
    int fd = call_file(name);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, 0644), 0);
    (void)close(fd);
}

static void locks(const char *option, const char *want)
{
    assert_call(CLI_OK, cmd_config, "config", "locks", option);
    assert_string_equal(said, want);
    assert_string_equal(said_err, "");
}

static void names_the_locks(void **state)
{
    struct json_object *o;

    (void)state;
    put("conf.json", LOCKS);
    locks(NULL, "job:%u\na\"b\nlogin\n");
    locks("--for=slurm", "job:%u\n");
    locks("--for=pam", "login\n");
    locks("--for=command", "a\"b\nlogin\n");
    assert_call(CLI_OK, cmd_config, "config", "--json", "locks", "--for",
                "command");
    assert_has(said, "{\"lock\":\"a\\\"b\"}\n");
    assert_int_equal(call_json(&o), 2);
    assert_string_equal(json_text(o, "lock"), "login");
    (void)json_object_put(o);
    put("conf.json", "{}");
    locks(NULL, "");
}

static void shows_what_is_in_effect(void **state)
{
    struct json_object *o;

    (void)state;
    put("conf.json", "{\"defaults\": {\"lifetime\": 90}}");
    assert_call(CLI_OK, cmd_config, "config", "show");
    assert_has(said, "lifetime");
    assert_has(said, "90");
    assert_call(CLI_OK, cmd_config, "config", "show", "--json");
    o = json_tokener_parse(said);
    assert_true(json_object_is_type(o, json_type_object));
    assert_has(json_text(o, "defaults"), "90");
    (void)json_object_put(o);
}

static void the_one_that_is_named(void **state)
{
    (void)state;
    put("conf.json", "{\"locks\": {\"one\": {}}}");
    put("other.json", "{\"locks\": {\"two\": {}}}");
    locks(NULL, "one\n");
    locks(other, "two\n");
    assert_int_equal(setenv("JUSTALOCK_CONFIG", in_scratch("other.json"), 1),
                     0);
    locks(NULL, "two\n");
    assert_int_equal(setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1), 0);
}

static void in_all_three_ways(int want, const char *const whats[3],
                              const char *text)
{
    for (size_t i = 0; i < 3; i++) {
        assert_call(want, cmd_config, "config", whats[i], "--socket=/none");
        assert_has(said_err, text);
        if (strcmp(whats[i], "check") != 0)
            assert_string_equal(said, "");
        else
            assert_has(said, "error: configuration: ");
    }
}

static void a_wrong_one(void **state)
{
    static const char *const whats[] = {"show", "locks", "check"};
    struct json_object *o;

    (void)state;
    put("conf.json", "{\"defaults\": {\"lifetime\": 0}}");
    in_all_three_ways(CLI_CONFIG, whats,
                      "conf.json:1:27: error: defaults.lifetime: 0 ");
    put("conf.json", "{\"a\033[2J\": 1");
    in_all_three_ways(CLI_CONFIG, whats, "conf.json:1:");
    assert_null(strchr(said_err, '\033'));
    assert_call(CLI_CONFIG, cmd_config, "config", "check", "--json");
    assert_int_equal(call_json(&o), 1);
    assert_string_equal(json_text(o, "level"), "error");
    (void)json_object_put(o);
    assert_int_equal(unlink(in_scratch("conf.json")), 0);
    in_all_three_ways(CLI_CONFIG, whats, "No such file");
}

static void as_nobody(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(98);
}

static void one_that_is_not_ours_to_read(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    put("conf.json", LOCKS);
    assert_int_equal(chmod(in_scratch("conf.json"), 0600), 0);
    call_before = as_nobody;
    assert_call(CLI_DENIED, cmd_config, "config", "show");
    assert_call(CLI_DENIED, cmd_config, "config", "locks");
    assert_call(CLI_CONFIG, cmd_config, "config", "check");
}

static void check_counts(void **state)
{
    (void)state;
    put("conf.json", "{\"locks\": {\"one\": {}}}");
    assert_call(CLI_CONFIG, cmd_config, "config", "check", "--socket=/none");
    assert_has(said, "/conf.json is well formed, 1 lock\n");
    put("conf.json", LOCKS);
    assert_call(CLI_CONFIG, cmd_config, "config", "check", "--socket=/none");
    assert_has(said, "is well formed, 3 locks\n");
    assert_has(said, "error: agent: no justalock-agent answers at /none");
}

static void wrong_calls(void **state)
{
    (void)state;
    put("conf.json", LOCKS);
    assert_call(CLI_USAGE, cmd_config, "config");
    assert_has(said_err, "\"check\", \"show\" or \"locks\"");
    assert_call(CLI_USAGE, cmd_config, "config", "nope");
    assert_call(CLI_USAGE, cmd_config, "config", "show", "locks");
    assert_call(CLI_USAGE, cmd_config, "config", "locks", "--for=slur");
    assert_has(said_err, "--for: \"slur\" is none of slurm, pam, command");
    assert_call(CLI_USAGE, cmd_config, "config", "locks", "--for=\033[2J");
    assert_null(strchr(said_err, '\033'));
    assert_call(CLI_USAGE, cmd_config, "config", "show", "--nope");
    assert_string_equal(said, "");
    assert_call(CLI_OK, cmd_config, "config", "show", "--help");
    assert_has(said, "usage: justalock config ");
}

/* Never a list of JSON that lacks a line. */
static void no_memory_is_said(void **state)
{
    struct json_object *o;
    int code = CLI_LOCAL;

    (void)state;
    put("conf.json", LOCKS);
    for (no_memory_begin(); no_memory_next();) {
        code = call(cmd_config, "config", "locks", "--json", (char *)NULL);
        if (code == CLI_OK)
            assert_int_equal(call_json(&o), 3);
        else
            assert_int_equal(call_json(&o) < 3, code == CLI_LOCAL);
        (void)json_object_put(o);
        if (code != CLI_OK)
            assert_has(said_err, "no memory");
    }
    assert_int_equal(code, CLI_OK);
    assert_true(no_memory_at > 4);
}

static int down(void **state)
{
    (void)state;
    call_before = call_after = NULL;
    return 0;
}

static int begin(void **state)
{
    if (scratch_make(state) != 0 || chmod(scratch, 0711) != 0)
        return -1;
    (void)snprintf(other, sizeof(other), "--config=%s",
                   in_scratch("other.json"));
    return setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_the_locks),
        TEST(shows_what_is_in_effect),
        TEST(the_one_that_is_named),
        TEST(a_wrong_one),
        TEST(one_that_is_not_ours_to_read),
        TEST(check_counts),
        TEST(wrong_calls),
        TEST(no_memory_is_said),
    };

    return cmocka_run_group_tests(tests, begin, scratch_remove);
}

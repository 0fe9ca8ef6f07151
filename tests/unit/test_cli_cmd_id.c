/* SPDX-License-Identifier: MIT */
/*
 * test_cli_cmd_id.c - `justalock id`: an id a line, the same as the library's;
 * names that no program of ours takes, texts that have none, and the site
 * secret that hashes them.
 */
#include "cli_call.h"

#include "parse.h"
#include "secret.h"

static void config(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void config(const char *fmt, ...)
{
    int fd = call_file("conf.json");
    va_list ap;

    va_start(ap, fmt);
    assert_true(vdprintf(fd, fmt, ap) > 0);
    va_end(ap);
    (void)close(fd);
    assert_int_equal(setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1), 0);
}

static const char *line_of(const char *name)
{
    static char line[64];
    struct justalock_error err;
    struct lock_id id;

    assert_ok(id_from_name(name, &id, &err), err);
    (void)snprintf(line, sizeof(line), "%s\n", id_format(&id).s);
    return line;
}

static void one_a_line(void **state)
{
    char want[256] = "";

    (void)state;
    config("{}");
    (void)strncat(want, line_of("a"), 64);
    (void)strncat(want, line_of("b"), 64);
    (void)strncat(want, line_of("-n"), 64);
    assert_call(CLI_OK, cmd_id, "id", "a", "--", "b", "-n");
    assert_string_equal(said, want);
    assert_string_equal(said_err, "");
}

static void that_of_its_definition(void **state)
{
    (void)state;
    config("{\"locks\": {\"fixed\": "
           "{\"id\": \"00112233-4455-6677-8899-aabbccddeeff\"}}}");
    assert_call(CLI_OK, cmd_id, "id", "fixed");
    assert_string_equal(said, "ABEiM0RVZneImaq7zN3u_w\n");
    assert_call(CLI_CONFIG, cmd_id, "id", "--config=/nope", "fixed");
}

/* Other clients may, so they have an id, and that is said. */
static void what_none_of_ours_takes(void **state)
{
    static const char *const names[] = {"", " a", "a "};

    (void)state;
    config("{}");
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_call(CLI_OK, cmd_id, "id", names[i]);
        assert_string_equal(said, line_of(names[i]));
        assert_has(said_err, "; no justalock program takes it\n");
    }
}

/* And the ids before it are there. */
static void what_has_no_id(void **state)
{
    char name[PARSE_NAME_MAX + 2] = "";
    const char *const names[] = {"a\033[2J", "a\nb", "a\302\233b",
                                 "a\377",    "\x7f", name};

    (void)state;
    config("{}");
    memset(name, 'x', PARSE_NAME_MAX + 1);
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_call(CLI_USAGE, cmd_id, "id", "a", names[i], "b");
        assert_string_equal(said, line_of("a"));
        assert_has(said_err, names[i] == name
                                 ? "the name has 256 bytes, at most 255"
                                 : "control characters or is not UTF-8");
    }
    name[PARSE_NAME_MAX] = '\0';
    assert_call(CLI_OK, cmd_id, "id", name);
}

static void as_nobody(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(98);
}

static void hashed_with_the_secret(void **state)
{
    struct justalock_error err;
    struct secret secret;
    struct lock_id id;
    char path[200];
    int fd = call_file("secret");

    (void)state;
    for (int i = 0; i < 64; i++)
        assert_int_equal(dprintf(fd, "%c", 'a' + i % 26), 1);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s", in_scratch("secret"));
    config("{\"secret_file\": \"%s\", \"hashed_names\": true}", path);
    assert_ok(secret_load(path, &secret, &err), err);
    secret_lock_id(&secret, "a", &id);
    secret_wipe(&secret);
    assert_call(CLI_OK, cmd_id, "id", "a");
    assert_memory_equal(said, id_format(&id).s, strlen(id_format(&id).s));
    assert_string_not_equal(said, line_of("a"));
    /* What nobody can take is not hashed, either. */
    assert_call(CLI_USAGE, cmd_id, "id", " a");
    assert_string_equal(said, "");
    assert_call(CLI_USAGE, cmd_id, "id", "a\033[2J");
    assert_string_equal(said, "");
    if (geteuid() == 0) {
        call_before = as_nobody;
        assert_int_equal(chmod(in_scratch("conf.json"), 0644), 0);
        assert_call(CLI_DENIED, cmd_id, "id", "a");
        assert_string_equal(said, ""); /* and no plain id in its place */
        call_before = NULL;
    }
    assert_int_equal(unlink(path), 0);
    assert_call(CLI_DENIED, cmd_id, "id", "a");
    assert_string_equal(said, "");
}

static void wrong_calls(void **state)
{
    (void)state;
    config("{}");
    assert_call(CLI_USAGE, cmd_id, "id");
    assert_has(said_err, "the name is missing");
    assert_has(said_err, "justalock id --help");
    assert_call(CLI_USAGE, cmd_id, "id", "--json", "a");
    assert_string_equal(said, "");
}

static int begin(void **state)
{
    return scratch_make(state) == 0 ? chmod(scratch, 0711) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_a_line),
        cmocka_unit_test(that_of_its_definition),
        cmocka_unit_test(what_none_of_ours_takes),
        cmocka_unit_test(what_has_no_id),
        cmocka_unit_test(hashed_with_the_secret),
        cmocka_unit_test(wrong_calls),
    };

    return cmocka_run_group_tests(tests, begin, scratch_remove);
}

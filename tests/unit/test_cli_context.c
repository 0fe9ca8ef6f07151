/* SPDX-License-Identifier: MIT */
/*
 * test_cli_context.c - the configuration as a command sees it: which file,
 * which service and with which credentials, the site secret, and that nothing
 * falls back to another lock or service.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "../../modules/cli/cli.h"
#include "scratch.h"
#include "test.h"

static struct cli_context c;

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
    assert_int_equal(chmod(in_scratch(name), mode), 0);
}

/* With this configuration, in which @ is the scratch folder. */
static void is(const char *form)
{
    char text[1024] = "";
    size_t len = 0;

    for (; *form != '\0'; form++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s",
                                *form == '@' ? 64 : 1,
                                *form == '@' ? scratch : form);
        assert_true(len < sizeof(text));
    }
    put("conf.json", text, 0644);
}

/* What it tells of a bad configuration goes nowhere. */
static enum justalock_status opens(const char *url, struct justalock_error *err)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(2);
    enum justalock_status st;

    assert_true(null >= 0 && saved >= 0 && dup2(null, 2) == 2);
    st = cli_context_open(&c, in_scratch("conf.json"), url, true, err);
    assert_int_equal(dup2(saved, 2), 2);
    (void)close(null);
    (void)close(saved);
    if (st != JUSTALOCK_OK)
        assert_null(c.config); /* nothing to close */
    return st;
}

static int begin(void **state)
{
    (void)unsetenv("JUSTALOCK_URL");
    (void)unsetenv("JUSTALOCK_CONFIG");
    return scratch_make(state);
}

#define CREDENTIALS                                                            \
    "{\"service\": {\"url\": \"https://a/\", \"ca_file\": \"@/ca\","           \
    " \"cert_file\": \"@/cert\", \"key_file\": \"@/key\","                     \
    " \"proxy\": \"http://p\", \"token_file\": \"/nonexistent\"}}"

static void credentials_are_for_one_service(void **state)
{
    struct justalock_error err;

    (void)state;
    is("{\"service\": {\"url\": \"https://a/\", \"ca_file\": \"@/ca\","
       " \"cert_file\": \"@/cert\", \"key_file\": \"@/key\","
       " \"proxy\": \"http://p\"}}");
    assert_ok(opens(NULL, &err), err);
    assert_string_equal(c.service.url, "https://a/");
    assert_has(c.service.ca_file, "/ca");
    assert_has(c.service.cert_file, "/cert");
    assert_has(c.service.key_file, "/key");
    assert_string_equal(c.service.proxy, "http://p");
    cli_context_close(&c);
    assert_ok(opens("https://a/", &err), err); /* the same, in words */
    assert_has(c.service.key_file, "/key");
    cli_context_close(&c);
    assert_ok(opens("HTTPS://A", &err), err); /* and in other ones */
    assert_has(c.service.key_file, "/key");
    cli_context_close(&c);
    assert_ok(opens("https://b/", &err), err);
    assert_string_equal(c.service.url, "https://b/");
    assert_has(c.service.ca_file, "/ca");
    assert_string_equal(c.service.proxy, "http://p");
    assert_string_equal(c.service.cert_file, "");
    assert_string_equal(c.service.key_file, "");
    cli_context_close(&c);
    is(CREDENTIALS); /* nor is another's token file looked for */
    assert_fails(opens(NULL, &err), JUSTALOCK_CONFIG, err,
                 "token_file /nonexistent: ");
    assert_ok(opens("https://b/", &err), err);
    assert_string_equal(c.service.token, "");
    cli_context_close(&c);
}

static void the_environment_stands_in(void **state)
{
    struct justalock_error err;

    (void)state;
    is("{\"service\": {\"url\": \"https://a/\"}}");
    assert_int_equal(setenv("JUSTALOCK_URL", "http://env", 1), 0);
    assert_ok(opens(NULL, &err), err);
    assert_string_equal(c.service.url, "http://env");
    cli_context_close(&c);
    assert_ok(opens("http://said", &err), err);
    assert_string_equal(c.service.url, "http://said");
    cli_context_close(&c);
    assert_int_equal(setenv("JUSTALOCK_URL", "", 1), 0); /* is none */
    assert_ok(opens(NULL, &err), err);
    assert_string_equal(c.service.url, "https://a/");
    cli_context_close(&c);
    assert_int_equal(setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1), 0);
    assert_ok(cli_context_open(&c, NULL, NULL, true, &err), err);
    assert_string_equal(c.service.url, "https://a/");
    cli_context_close(&c);
    assert_ok(cli_context_open(&c, NULL, NULL, false, &err), err);
    assert_string_equal(c.service.url, ""); /* not asked for */
    cli_context_close(&c);
}

static void nothing_falls_back(void **state)
{
    char url[KEEPER_URL_MAX + 2] = "http://";
    struct justalock_error err;

    (void)state;
    assert_fails(opens(NULL, &err), JUSTALOCK_CONFIG, err, "as said above");
    is("{\"service\": {\"url\": \"ftp://a/\"}}");
    assert_fails(opens("http://b", &err), JUSTALOCK_CONFIG, err,
                 "as said above");
    is("{}");
    assert_fails(opens("ftp://a/", &err), JUSTALOCK_ARG, err, "ftp://a/");
    memset(url + 7, 'h', sizeof(url) - 8);
    url[sizeof(url) - 1] = '\0';
    assert_int_not_equal(opens(url, &err), JUSTALOCK_OK);
    url[sizeof(url) - 2] = '\0';
    assert_ok(opens(url, &err), err);
    assert_string_equal(c.service.url, url);
    cli_context_close(&c);
    is("{\"hashed_names\": true, \"secret_file\": \"@/secret\"}");
    assert_fails(opens(NULL, &err), JUSTALOCK_DENIED, err,
                 "hashed with the site secret");
    put("secret", "too short", 0600);
    assert_fails(opens(NULL, &err), JUSTALOCK_CONFIG, err,
                 "hashed with the site secret");
    assert_false(c.has_secret);
    put("secret", "0123456789abcdef0123456789abcdef", 0600);
    assert_ok(opens(NULL, &err), err);
    assert_true(c.has_secret);
    cli_context_close(&c);
    assert_false(c.has_secret);
}

/* As another user: what is not ours to read is DENIED, not a fault of it. */
static int as_nobody(const char *name, mode_t mode)
{
    struct justalock_error err;
    int status;
    pid_t pid;

    assert_int_equal(chmod(scratch, 0755), 0);
    assert_int_equal(chmod(in_scratch(name), mode), 0);
    pid = fork();
    if (pid == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(99);
        _exit((int)opens(NULL, &err));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_is_not_ours(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("# only root can be another user\n");
        skip();
    }
    is("{\"service\": {\"url\": \"https://a/\", \"token_file\": "
       "\"@/token\"}}");
    put("token", "t\n", 0600);
    assert_int_equal(as_nobody("token", 0600), JUSTALOCK_DENIED);
    assert_int_equal(as_nobody("token", 0644), JUSTALOCK_CONFIG);
    assert_int_equal(as_nobody("conf.json", 0600), JUSTALOCK_DENIED);
}

static void its_locks(void **state)
{
    struct config_lock policy;
    struct justalock_error err;
    struct lock_id id, other;

    (void)state;
    is("{\"adhoc\": false, \"locks\": {\"mine\": {\"lifetime\": 33},"
       " \"job\": {\"for\": \"slurm\"}, \"theirs\": {\"users\":"
       " [\"no-such-user\"]}}}");
    assert_ok(opens(NULL, &err), err);
    assert_ok(cli_context_lock(&c, "mine", &policy, &id, &err), err);
    assert_int_equal(policy.lifetime_s, 33);
    assert_ok(cli_context_id(&c, "mine", &other, &err), err);
    assert_memory_equal(id.bytes, other.bytes, sizeof(id.bytes));
    assert_int_equal(cli_context_lock(&c, "job", &policy, &id, &err),
                     JUSTALOCK_DENIED);
    assert_int_equal(cli_context_lock(&c, "theirs", &policy, &id, &err),
                     getuid() == 0 ? JUSTALOCK_OK : JUSTALOCK_DENIED);
    assert_int_equal(cli_context_lock(&c, "none", &policy, &id, &err),
                     JUSTALOCK_DENIED);
    assert_int_equal(cli_context_lock(&c, "a\tb", &policy, &id, &err),
                     JUSTALOCK_ARG);
    /* An id is no right: each of them has one. */
    assert_ok(cli_context_id(&c, "job", &id, &err), err);
    assert_ok(cli_context_id(&c, "theirs", &id, &err), err);
    assert_ok(cli_context_id(&c, "none", &id, &err), err);
    cli_context_close(&c);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, scratch_remove)
    const struct CMUnitTest tests[] = {
        TEST(credentials_are_for_one_service),
        TEST(the_environment_stands_in),
        TEST(nothing_falls_back),
        TEST(what_is_not_ours),
        TEST(its_locks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_check.c - what can be told only once all is read: keys that do
 * not fit together, with the place where one looks for it, and what is allowed
 * but may not be meant.
 */
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_help.h"
#include "scratch.h"

/* ---- faults ---- */

/* Each kind of work that may take it has times of its own. */
static void times_that_do_not_fit(void **state)
{
    (void)state;
    refuse("{\n\"defaults\": {\"lifetime\": 3, \"grace\": 3}}",
           "f.json:2:1: defaults (slurm): ");
    /* One fault, not one for each lock beside it. */
    refuse("{\"defaults\": {\"lifetime\": 3, \"grace\": 3},\n"
           "\"locks\": {\"a\": {}, \"b\": {}}}",
           "f.json:1:2: defaults (slurm): ");
    refuse("{\n\"service\": {\"timeout\": \"59s\"}}",
           "f.json:2:1: defaults (command): ");
    refuse("{\"locks\": {\"ok\": {},\n \"a\": {\"for\": \"command\","
           " \"lifetime\": 3, \"grace\": 3}}}",
           "f.json:2:2: locks.a (command): ");
    refuse("{\"service\": {\"url\": \"unix:/s\"}, \"locks\": {\"a\":"
           " {\"for\": \"pam\", \"lifetime\": 3, \"grace\": 3}}}",
           "locks.a (pam): ");
    /* What the defaults get wrong a lock may have right, and the reverse. */
    config_free(take("{\"defaults\": {\"grace\": \"20s\", \"lifetime\": 300},"
                     " \"locks\": {\"a\": {\"grace\": \"1s\", \"lifetime\":"
                     " 10}}}"));
}

static void keys_of_other_kinds(void **state)
{
    static const struct {
        const char *key, *kind, *part;
    } cases[] = {
        {"\"wait\": \"forever\"", "command", "is for commands only"},
        {"\"on_busy\": \"requeue\"", "slurm", "is for slurm only"},
        {"\"share\": \"host\"", "pam", "is for pam only"},
    };
    static const char *const kinds[] = {"slurm", "pam", "command"};
    char text[300];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            (void)snprintf(text, sizeof(text),
                           "{\"service\": {\"url\": \"unix:/s\"}, \"locks\":"
                           " {\"a\": {%s, \"for\": \"%s\"}}}",
                           cases[i].key, kinds[k]);
            if (strcmp(kinds[k], cases[i].kind) == 0)
                config_free(take(text));
            else
                refuse(text, cases[i].part);
        }
}

static void names(void **state)
{
    (void)state;
    refuse("{\"service\": {\"url\": \"unix:/s\"},\n \"locks\": {\"l-%u\":"
           " {\"id\": \"00000000000000000000000000000001\"}}}",
           "cannot share one id");
    /* 24 characters that look like base64 and are none: unless it has an id,
     * or its name is hashed. */
    refuse("{\"locks\": {\"not-base64-and-not-an-id\": {}}}",
           "locks.not-base64-and-not-an-id: ");
    config_free(take("{\"hashed_names\": true, \"locks\":"
                     " {\"not-base64-and-not-an-id\": {}}}"));
    config_free(take("{\"locks\": {\"not-base64-and-not-an-id\": {\"id\":"
                     " \"00000000000000000000000000000001\"}}}"));
    /* Whoever knows the name may take it there. */
    refuse("{\"locks\": {\"a\": {\"for\": \"pam\"}}}",
           "strangers at https://justalock.dev/ could take a lock");
    config_free(take("{\"hashed_names\": true, \"locks\": {\"a\":"
                     " {\"for\": \"pam\"}}}"));
    config_free(take("{\"locks\": {\"a\": {\"for\": \"pam\", \"id\":"
                     " \"00000000000000000000000000000001\"}}}"));
    config_free(take("{\"service\": {\"url\": \"https://locks.example/\"},"
                     " \"locks\": {\"a\": {\"for\": \"pam\"}}}"));
}

static void files_that_belong_together(void **state)
{
    (void)state;
    refuse("{\n \"service\": {\"cert_file\": \"/c\"}}",
           "f.json:2:2: service: \"cert_file\" and \"key_file\" belong");
    refuse("{\"service\": {\"key_file\": \"/k\"}}", "one of them is missing");
    config_free(take("{\"service\": {\"cert_file\": \"/c\", \"key_file\":"
                     " \"/k\"}}"));
}

static void rules(void **state)
{
    char text[1024] = "{\"slurm\": {\"rules\": [{\"partition\": \"p\",\n"
                      " \"lock\": [\"l0\"";
    size_t len;

    (void)state;
    for (int i = 1; i < 16; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       ", \"l%d\"", i);
    len = strlen(text);
    (void)snprintf(text + len, sizeof(text) - len, "]}]}}");
    config_free(take(text));
    (void)snprintf(text + len, sizeof(text) - len, ", \"l16\"]}]}}");
    refuse(text, "slurm.rules[0].lock: 17 locks are more than 16");
    refuse("{\"slurm\": {\"rules\": [{\"lock\": \"ok\"},\n"
           " {\"lock\": [\"a\", \"b,c\"]}]}}",
           "f.json:2:2: slurm.rules[1].lock: \"b,c\" has a comma");
    refuse("{\"adhoc\": false, \"locks\": {\"a\": {}}, \"slurm\": {\"rules\":"
           " [{\"lock\": [\"a\", \"b\"]}]}}",
           "slurm.rules[0].lock: \"b\" has no definition that lets jobs");
    refuse("{\"locks\":\n {\"a\": {\"for\": \"command\"}}, \"slurm\":"
           " {\"rules\": [{\"lock\": \"a\"}]}}",
           "\"a\" is not for slurm, by its \"for\" at f.json:2");
    /* By a template, and one that only a job makes a name of. */
    config_free(take("{\"adhoc\": false, \"locks\": {\"db-%u\": {}}, \"slurm\":"
                     " {\"rules\": [{\"lock\": [\"db-%u\", \"db-x\"]}]}}"));
    refuse("{\"slurm\": {\"rules\": [{\"lock\": \"50%\"}]}}",
           "rules[0].lock: ");
}

/* The place of the later one, whichever is sorted first. */
static void defined_twice(void **state)
{
    struct justalock_error err;
    struct config *c;

    (void)state;
    assert_int_equal(
        parse("{\"locks\": {\"b\": {}, \"a\": {},\n \"b\": {}}}", &c, &err),
        JUSTALOCK_CONFIG);
    assert_has(err.text, "f.json:2:2: ");
    assert_has(err.text, "twice");
}

/* ---- what is allowed, and may not be meant ---- */

static char warned[8192];

static unsigned warnings(const char *text)
{
    FILE *f = fmemopen(warned, sizeof(warned), "w");
    struct config *c = take(text);
    unsigned n;

    assert_non_null(f);
    warned[0] = '\0';
    n = config_warn(c, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(config_warn(c, NULL), n);
    config_free(c);
    return n;
}

static void warns(const char *text, const char *part)
{
    if (warnings(text) != 1)
        fail_msg("%s: %s", text, warned);
    assert_has(warned, part);
    assert_has(warned, "warning: ");
}

static void warned_of_names(void **state)
{
    (void)state;
    assert_int_equal(warnings("{\"locks\": {\"a\": {}, \"b-%u\": {}}}"), 0);
    warns("{\"locks\":\n {\"abcdefghijklmnopqrstuv\": {}}}",
          "f.json:2:3: warning: locks.abcdefghijklmnopqrstuv: a name of 22");
    assert_int_equal(warnings("{\"hashed_names\": true, \"locks\":"
                              " {\"abcdefghijklmnopqrstuv\": {}}}"),
                     0);
    warns("{\"locks\": {\"a,b\": {}}}", "no job can ask for a name with a");
    assert_int_equal(warnings("{\"locks\": {\"a,b\": {\"for\": \"command\"}}}"),
                     0);
}

static void warned_of_sessions(void **state)
{
    (void)state;
    warns("{\"service\": {\"url\": \"unix:/s\"}, \"locks\": {\"a\": {\"for\":"
          " [\"pam\", \"command\"]}}}",
          "any user's job or command may take this lock of login sessions");
    assert_int_equal(
        warnings("{\"service\": {\"url\": \"unix:/s\"}, \"locks\": {\"a\":"
                 " {\"for\": [\"pam\", \"command\"], \"users\": \"root\"}}}"),
        0);
    assert_int_equal(
        warnings("{\"service\": {\"url\": \"unix:/s\"}, \"defaults\":"
                 " {\"users\": \"root\"}, \"locks\": {\"a\": {\"for\":"
                 " [\"pam\", \"command\"]}}}"),
        0);
    warns("{\"service\": {\"url\": \"https://locks.example/\"}, \"locks\":"
          " {\"a\": {\"for\": \"pam\"}}}",
          "if strangers reach https://locks.example/, they can take this");
    assert_int_equal(
        warnings("{\"service\": {\"url\": \"https://locks.example/\"},"
                 " \"hashed_names\": true, \"locks\": {\"a\": {\"for\":"
                 " \"pam\"}}}"),
        0);
    assert_int_equal(warnings("{\"service\": {\"url\": \"unix:/s\"}, \"locks\":"
                              " {\"a\": {\"for\": \"pam\"}}}"),
                     0);
}

static uid_t keeper_uid(void)
{
    const struct passwd *pw = getpwnam(CONFIG_KEEPER_USER);

    return pw != NULL ? pw->pw_uid : getpwnam("nobody")->pw_uid;
}

static void warned_of_files(void **state)
{
    char text[600];
    FILE *f;

    (void)state;
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": \"https://h/\", \"key_file\":"
                   " \"%s\", \"cert_file\": \"/dev/null\"}}",
                   in_scratch("key"));
    warns(text, "warning: service.key_file: ");
    assert_has(warned, "key cannot be read");
    f = fopen(in_scratch("key"), "w");
    assert_true(f && fclose(f) == 0);
    if (geteuid() == 0) { /* the keeper is nobody, or justalock */
        assert_int_equal(chmod(in_scratch("key"), 0600), 0);
        warns(text, "key cannot be read by ");
        assert_has(warned, "who talks to the network");
        assert_int_equal(chown(in_scratch("key"), keeper_uid(), 0), 0);
    }
    assert_int_equal(warnings(text), 0);
    assert_int_equal(chmod(in_scratch("key"), 0604), 0);
    warns(text, "others may use it; make it 0400");
    assert_int_equal(chmod(in_scratch("key"), 0060), 0);
    warns(text, "key cannot be read");
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": \"https://h/\", \"ca_file\":"
                   " \"%s\"}}",
                   in_scratch("ca"));
    warns(text, "ca cannot be read");
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": \"http://h/\", \"token_file\":"
                   " \"%s\"}}",
                   in_scratch("token"));
    warns(text, "http:// sends the token in the clear");
    warns("{\"service\": {\"url\": \"http://127.0.0.1:1/,unix:/s\"}}",
          "this host alone reaches those at unix:");
    assert_int_equal(warnings("{\"service\": {\"url\": \"unix:/r,unix:/s\"}}"),
                     0);
}

static void warned_of_users(void **state)
{
    (void)state;
    warns("{\"service\": {\"url\": \"unix:/s\"}, \"agent\":"
          " {\"keeper_user\": \"no-such-user\"}}",
          "agent.keeper_user: there is no user no-such-user on this host");
    warns("{\"agent\": {\"keeper_user\": \"root\"}}",
          "agent.keeper_user: root is root or of root's group");
    assert_int_equal(warnings("{\"agent\": {\"keeper_user\": \"nobody\"}}"), 0);
    assert_int_equal(warnings("{}"), 0); /* without justalock: nobody */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_that_do_not_fit),
        cmocka_unit_test(keys_of_other_kinds),
        cmocka_unit_test(names),
        cmocka_unit_test(files_that_belong_together),
        cmocka_unit_test(rules),
        cmocka_unit_test(defined_twice),
        cmocka_unit_test(warned_of_names),
        cmocka_unit_test(warned_of_sessions),
        cmocka_unit_test(warned_of_files),
        cmocka_unit_test(warned_of_users),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

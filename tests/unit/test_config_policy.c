/* SPDX-License-Identifier: MIT */
/*
 * test_config_policy.c - config_policy.c, config_name.c, config_users.c and
 * the warnings: what stands for a lock and a kind of work, templates, ids.
 */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "config_parts.h"
#include "test.h"

#define SITE "\"service\": {\"url\": \"http://head:7171/\"}"

static struct config *take(const char *text)
{
    struct config *c = NULL;
    struct justalock_error err;

    if (config_parse("f.json", text, strlen(text), &c, NULL, &err) !=
        JUSTALOCK_OK)
        fail_msg("%s: %s", text, err.text);
    return c;
}

static void denied(const struct config *c, const char *name,
                   enum config_for who, const char *part)
{
    struct config_lock p = {.lifetime_s = 4711};
    struct justalock_error err;

    assert_fails(config_policy(c, name, who, &p, &err), JUSTALOCK_DENIED, err,
                 part);
    assert_int_equal(p.lifetime_s, 4711);
}

static struct config_lock policy(const struct config *c, const char *name,
                                 enum config_for who)
{
    struct config_lock p;
    struct justalock_error err;

    assert_ok(config_policy(c, name, who, &p, &err), err);
    assert_true(p.lifetime_s > 0 && p.wait_ms >= -1 && p.grace_ms > 0);
    assert_true(p.on_busy != CONFIG_BUSY_UNSET &&
                p.on_unreachable != CONFIG_UNREACHABLE_UNSET &&
                p.on_lost != CONFIG_LOST_UNSET &&
                p.on_end != CONFIG_END_UNSET && p.share != CONFIG_SHARE_UNSET &&
                p.for_mask != 0);
    return p;
}

static void test_built_in(void **state)
{
    struct config *c =
        take("{" SITE ", \"locks\": {\"l\": {\"for\": \"pam\"}}}");
    struct config_lock p;

    (void)state;
    p = policy(c, "x", CONFIG_FOR_COMMAND);
    assert_int_equal(p.lifetime_s, 60);
    assert_true(p.wait_ms == -1 && p.grace_ms == 5000);
    assert_int_equal(p.on_busy, CONFIG_BUSY_WAIT);
    assert_int_equal(p.on_unreachable, CONFIG_UNREACHABLE_CLOSED);
    assert_int_equal(p.on_lost, CONFIG_LOST_KILL);
    assert_int_equal(p.on_end, CONFIG_END_KEEP);
    assert_null(p.name);
    p = policy(c, "x", CONFIG_FOR_SLURM);
    assert_int_equal(p.lifetime_s, 300);
    assert_true(p.wait_ms == 600000);
    assert_int_equal(p.on_busy, CONFIG_BUSY_WAIT);
    assert_int_equal(p.on_unreachable, CONFIG_UNREACHABLE_CLOSED);
    assert_int_equal(p.on_end, CONFIG_END_KILL);
    p = policy(c, "l", CONFIG_FOR_PAM);
    assert_int_equal(p.lifetime_s, 300);
    assert_true(p.wait_ms == 0);
    assert_int_equal(p.on_busy, CONFIG_BUSY_FAIL);
    assert_int_equal(p.on_unreachable, CONFIG_UNREACHABLE_OPEN);
    assert_int_equal(p.on_end, CONFIG_END_KEEP);
    assert_string_equal(p.name, "l");
    config_free(c);
}

/* Definition over defaults over built in; what is for one kind only. */
static void test_layers(void **state)
{
    struct config *c =
        take("{" SITE ", \"defaults\": {\"lifetime\": 100, \"wait\": "
             "\"forever\", \"on_busy\": \"requeue\", \"share\": \"host\","
             " \"on_lost\": \"signal:USR1\", \"users\": \"bob\"},"
             " \"locks\": {\"a\": {\"lifetime\": 200, \"users\": \"eve\","
             "  \"on_lost\": \"log\"},"
             " \"p\": {\"for\": \"pam\", \"on_busy\": \"wait\"}}}");
    struct config_lock p = policy(c, "a", CONFIG_FOR_COMMAND);

    (void)state;
    assert_int_equal(p.lifetime_s, 200);
    assert_true(p.wait_ms == -1);
    assert_int_equal(p.on_busy, CONFIG_BUSY_WAIT);
    assert_int_equal(p.on_lost, CONFIG_LOST_LOG);
    assert_int_equal(p.lost_signal, 0);
    assert_int_equal(p.share, CONFIG_SHARE_NONE);
    assert_string_equal(p.users[0], "eve");
    p = policy(c, "other", CONFIG_FOR_SLURM);
    assert_int_equal(p.lifetime_s, 100);
    assert_true(p.wait_ms == 600000); /* jobs never wait for ever */
    assert_int_equal(p.on_busy, CONFIG_BUSY_REQUEUE);
    assert_int_equal(p.on_lost, CONFIG_LOST_SIGNAL);
    assert_int_equal(p.lost_signal, 10);
    assert_string_equal(p.users[0], "bob");
    p = policy(c, "p", CONFIG_FOR_PAM);
    assert_int_equal(p.share, CONFIG_SHARE_HOST);
    assert_int_equal(p.on_busy, CONFIG_BUSY_WAIT);
    assert_true(p.wait_ms == 0);
    config_free(c);
    /* Who says how long to wait means to wait. */
    c = take("{" SITE
             ", \"locks\": {\"p\": {\"for\": \"pam\", \"wait\": \"5s\"}}}");
    p = policy(c, "p", CONFIG_FOR_PAM);
    assert_int_equal(p.on_busy, CONFIG_BUSY_WAIT);
    config_free(c);
}

static void test_allowed(void **state)
{
    struct config *c =
        take("{" SITE ", \"locks\": {\"any\": {}, \"cmd\": {\"for\": "
             "\"command\"}, \"pam\": {\"for\": \"pam\"}}}");
    struct config_lock p;
    struct justalock_error err;

    (void)state;
    (void)policy(c, "any", CONFIG_FOR_SLURM);
    (void)policy(c, "any", CONFIG_FOR_COMMAND);
    denied(c, "any", CONFIG_FOR_PAM, "not for login sessions");
    denied(c, "cmd", CONFIG_FOR_SLURM, "not for jobs");
    /* A job or command cannot keep people out. */
    denied(c, "pam", CONFIG_FOR_SLURM, "not for jobs");
    denied(c, "pam", CONFIG_FOR_COMMAND, "not for commands");
    denied(c, "none", CONFIG_FOR_PAM, "has no definition");
    assert_fails(config_policy(c, " x", CONFIG_FOR_SLURM, &p, &err),
                 JUSTALOCK_ARG, err, "space");
    config_free(c);
    c = take("{\"adhoc\": false, \"locks\": {\"a\": {}}}");
    (void)policy(c, "a", CONFIG_FOR_SLURM);
    denied(c, "b", CONFIG_FOR_SLURM, "\"adhoc\"");
    denied(c, "b", CONFIG_FOR_COMMAND, "\"adhoc\"");
    config_free(c);
}

static const char *found(const struct config *c, const char *name)
{
    const struct config_lock *lock = config_find(c, name);

    return lock == NULL ? "none" : lock->name;
}

static void test_find(void **state)
{
    struct config *c = take(
        "{\"locks\": {\"l/%u\": {}, \"l/root\": {}, \"l/r%u\": {}, \"100%%\": "
        "{}, \"%u:%h\": {}, \"b\": {}, \"a\": {}, \"c\": {}, \"x%u.x\": {}}}");

    (void)state;
    assert_string_equal(found(c, "a"), "a");
    assert_string_equal(found(c, "b"), "b");
    assert_string_equal(found(c, "c"), "c");
    assert_string_equal(found(c, "d"), "none");
    assert_string_equal(found(c, "l/bob"), "l/%u");
    assert_string_equal(found(c, "l/root"), "l/root");
    assert_string_equal(found(c, "l/rob"), "l/r%u");
    assert_string_equal(found(c, "l/r"), "l/%u");
    assert_string_equal(found(c, "l/"), "none");
    assert_string_equal(found(c, "l/a/b"), "none");
    assert_string_equal(found(c, "l/a%2Fb"), "l/%u");
    assert_string_equal(found(c, "l/a%2fb"), "none"); /* never made so */
    assert_string_equal(found(c, "l/a%41"), "none");  /* A stays A */
    assert_string_equal(found(c, "l/%u"), "none");
    assert_string_equal(found(c, "l/a%"), "none");
    assert_string_equal(found(c, "100%"), "100%%");
    assert_string_equal(found(c, "100%%"), "none");
    assert_string_equal(found(c, "bob:h1"), "%u:%h");
    assert_string_equal(found(c, "bob:h1:x"), "none");
    assert_string_equal(found(c, "xa.x.x"), "x%u.x");
    assert_string_equal(found(c, "x.x"), "none");
    config_free(c);
}

static void expands(const char *text, const struct config_names *names,
                    const char *want)
{
    char name[256];
    struct justalock_error err;

    assert_ok(config_expand(text, names, name, sizeof(name), &err), err);
    assert_string_equal(name, want);
    assert_true(config_template_match(text, name));
}

static void test_expand(void **state)
{
    const struct config_names all = {"bob", "node-1.x", "ss hd", "r/\xc3\xbc%"};
    const struct config_names none = {NULL, NULL, "", NULL};
    struct justalock_error err;
    char name[256] = "kept", longest[300];

    (void)state;
    expands("x", &none, "x");
    expands("%u", &all, "bob");
    expands("a/%u/%h", &all, "a/bob/node-1.x");
    expands("%s", &all, "ss%20hd");
    expands("%R!", &all, "r%2F%C3%BC%25!");
    expands("50%%-%u", &all, "50%-bob");
    assert_fails(config_expand("%u", &none, name, 256, &err), JUSTALOCK_ARG,
                 err, "no value for %u");
    assert_fails(config_expand("%s", &none, name, 256, &err), JUSTALOCK_ARG,
                 err, "no value for %s");
    assert_fails(config_expand("%U", &all, name, 256, &err), JUSTALOCK_ARG, err,
                 "%% for % itself");
    assert_fails(config_expand("a%", &all, name, 256, &err), JUSTALOCK_ARG, err,
                 "\"a%\"");
    assert_fails(config_expand("%u%h", &all, name, 256, &err), JUSTALOCK_ARG,
                 err, "apart");
    assert_fails(config_expand("%u.%h", &all, name, 256, &err), JUSTALOCK_ARG,
                 err, "apart");
    assert_fails(config_expand("%u%%%h", &all, name, 256, &err), JUSTALOCK_ARG,
                 err, "apart");
    assert_fails(config_expand("abcd", &all, name, 4, &err), JUSTALOCK_ARG, err,
                 "more than 3 bytes");
    assert_fails(config_expand("", &all, name, 256, &err), JUSTALOCK_ARG, err,
                 "empty");
    memset(longest, 'x', 256);
    longest[256] = '\0';
    assert_fails(config_expand(longest, &all, name, 256, &err), JUSTALOCK_ARG,
                 err, "255 bytes");
    assert_string_equal(name, "kept");
    longest[255] = '\0';
    assert_ok(config_expand(longest, &all, name, 256, &err), err);
}

static void test_ids(void **state)
{
    struct config *c = take("{" SITE ", \"locks\": {\"a\": {\"id\": "
                            "\"00112233-4455-6677-8899-aabbccddeeff\"}}}");
    struct secret secret = {.data = "0123456789abcdef0123456789abcdef",
                            .len = 32};
    struct config_lock p = policy(c, "a", CONFIG_FOR_COMMAND);
    struct lock_id id, plain, want;
    struct justalock_error err;

    (void)state;
    assert_ok(config_lock_id(c, NULL, "a", &p, &id, &err), err);
    assert_int_equal(id.bytes[0], 0x00);
    assert_int_equal(id.bytes[15], 0xff);
    p = policy(c, "b", CONFIG_FOR_COMMAND);
    assert_ok(config_lock_id(c, NULL, "b", &p, &plain, &err), err);
    assert_ok(id_from_name("b", &want, &err), err);
    assert_memory_equal(&plain, &want, sizeof(want));
    config_free(c);
    c = take("{" SITE ", \"hashed_names\": true}");
    p = policy(c, "b", CONFIG_FOR_COMMAND);
    id = want;
    assert_fails(config_lock_id(c, NULL, "b", &p, &id, &err), JUSTALOCK_CONFIG,
                 err, "site secret");
    assert_memory_equal(&id, &want, sizeof(want));
    assert_ok(config_lock_id(c, &secret, "b", &p, &id, &err), err);
    assert_memory_not_equal(&id, &plain, sizeof(id));
    secret_lock_id(&secret, "b", &want);
    assert_memory_equal(&id, &want, sizeof(want));
    config_free(c);
}

static bool allowed(char **users, uint32_t uid)
{
    struct config_lock p = {.name = NULL, .users = users};
    struct justalock_error err;
    enum justalock_status st = config_user_allowed(&p, uid, &err);

    if (st != JUSTALOCK_OK)
        assert_has(err.text, "is not for ");
    return st == JUSTALOCK_OK;
}

static void test_users(void **state)
{
    const struct passwd *daemon = getpwnam("daemon");
    char name[] = "daemon", group[64], number[16], gid[] = "@no-such-group";
    char prefix[] = "daemo", other[] = "4000000123";
    char *by_name[] = {name, NULL}, *by_group[] = {gid, group, NULL};
    char *by_number[] = {prefix, number, NULL}, *nobody[] = {prefix, gid, NULL};
    char *unknown[] = {other, NULL};
    uint32_t uid;

    (void)state;
    if (daemon == NULL || getgrgid(daemon->pw_gid) == NULL)
        skip();
    uid = daemon->pw_uid;
    (void)snprintf(group, sizeof(group), "@%s",
                   getgrgid(daemon->pw_gid)->gr_name);
    (void)snprintf(number, sizeof(number), "%u", (unsigned)uid);
    assert_true(allowed(NULL, uid));
    assert_true(allowed(by_name, uid));
    assert_true(allowed(by_group, uid));
    assert_true(allowed(by_number, uid));
    assert_false(allowed(nobody, uid));
    assert_false(allowed(by_name, 4000000123));
    assert_false(allowed(by_group, 4000000123));
    assert_true(allowed(unknown, 4000000123));
    assert_true(allowed(nobody, 0));
}

static void test_warnings(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"{\"locks\": {\"abcdefghijklmnopqrstuv\": {}}}",
         "f.json:1:12: warning: locks.abcdefghijklmnopqrstuv: a name of 22"},
        {"{" SITE ", \"locks\": {\"a\": {\"for\": [\"pam\", \"command\"]}}}",
         "keep others out"},
        {"{\"service\": {\"url\": \"https://l.example.org/\"},"
         "\"locks\": {\"a\": {\"for\": \"pam\"}}}",
         "if strangers reach"},
        {"{\"locks\": {\"a,b\": {}}}", "comma"},
        {"{\"service\": {\"ca_file\": \"/nonexistent\"}}", "ca_file"},
        {"{\"service\": {\"url\": \"unix:/s,http://b:7171\"}}",
         "service.url: of unix:/s,http://b:7171, this host alone"},
        {"{\"service\": {\"url\": \"http://a,http://l.example.org\"},"
         "\"locks\": {\"a\": {\"for\": \"pam\"}}}",
         "if strangers reach"},
    };

    struct config *c;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[1000] = "";
        FILE *f = fmemopen(out, sizeof(out), "w");
        assert_non_null(f);
        c = take(cases[i].text);
        assert_int_equal(config_warn(c, f), 1);
        assert_int_equal(config_warn(c, NULL), 1);
        assert_int_equal(fclose(f), 0);
        assert_has(out, cases[i].part);
        config_free(c);
    }
    c = take("{" SITE ", \"hashed_names\": true, \"locks\": {"
             "\"abcdefghijklmnopqrstuv\": {}, \"a\": {\"for\": \"pam\"}}}");
    assert_int_equal(config_warn(c, NULL), 0);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in), cmocka_unit_test(test_layers),
        cmocka_unit_test(test_allowed),  cmocka_unit_test(test_find),
        cmocka_unit_test(test_expand),   cmocka_unit_test(test_ids),
        cmocka_unit_test(test_users),    cmocka_unit_test(test_warnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_users.c - may this user take a lock: by name, number and group,
 * as the host's name service knows them; and who it cannot look up is not let
 * in. The names are in files of our own, in a mount namespace.
 */
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "../lib/fail_alloc.h"
#include "config.h"
#include "scratch.h"
#include "test.h"

#define MEMBERS 3000 /* of a group whose entry does not fit at once */

static bool has_names;

static void put(const char *name, const char *text, bool has_many)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    if (has_many) {
        assert_true(fputs("many:x:9001:ada", f) >= 0);
        for (int i = 0; i < MEMBERS; i++)
            assert_true(fprintf(f, ",member%d", i) > 0);
        for (int i = 0; i < 200; i++) /* all of them bob's */
            assert_true(fprintf(f, "\ng%d:x:%d:bob", i, 10000 + i) > 0);
        assert_true(fputs("\n", f) >= 0);
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_scratch(name), 0644), 0);
}

static int make(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    put("passwd",
        "root:x:0:0::/:/bin/sh\nada:x:5001:6001::/:/bin/sh\n"
        "bob:x:5002:6002::/:/bin/sh\n5003:x:5009:6002::/:/bin/sh\n",
        false);
    put("group",
        "root:x:0:\nadas:x:6001:\nbobs:x:6002:\nops:x:7000:ada\n"
        "empty:x:7001:\n",
        true);
    put("nsswitch", "passwd: files\ngroup: files\n", false);
    has_names =
        geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount(in_scratch("passwd"), "/etc/passwd", NULL, MS_BIND, NULL) == 0 &&
        mount(in_scratch("group"), "/etc/group", NULL, MS_BIND, NULL) == 0 &&
        (access("/etc/nsswitch.conf", F_OK) != 0 ||
         mount(in_scratch("nsswitch"), "/etc/nsswitch.conf", NULL, MS_BIND,
               NULL) == 0);
    return 0;
}

static int clear(void **state)
{
    if (has_names) {
        (void)umount2("/etc/passwd", MNT_DETACH);
        (void)umount2("/etc/group", MNT_DETACH);
        (void)umount2("/etc/nsswitch.conf", MNT_DETACH);
    }
    return scratch_remove(state);
}

static enum justalock_status ask(uint32_t uid, const char *one, const char *two,
                                 struct justalock_error *err)
{
    char first[100], second[100], name[] = "db";
    char *users[] = {first, two != NULL ? second : NULL, NULL};
    struct config_lock policy = {.name = name, .users = users};

    (void)snprintf(first, sizeof(first), "%s", one);
    (void)snprintf(second, sizeof(second), "%s", two != NULL ? two : "");
    memset(err, 0, sizeof(*err));
    return config_user_allowed(&policy, uid, err);
}

static void test_who(void **state)
{
    static const struct {
        uint32_t uid;
        const char *one, *two;
        bool may;
    } cases[] = {
        {5001, "ada", NULL, true},
        {5001, "bob", NULL, false},
        {5001, "bob", "ada", true},
        {5001, "5001", NULL, true},
        {5001, "05001", NULL, true},
        {5001, "5001x", NULL, false},
        {5001, "@adas", NULL, true}, /* its own group */
        {5001, "@ops", NULL, true},  /* a member */
        {5002, "@ops", NULL, false},
        {5002, "@empty", NULL, false},
        {5002, "@none", NULL, false},
        {5002, "@none", "bob", true},
        {5002, "@", NULL, false},
        {5002, "ops", NULL, false}, /* a group's name is no user's */
        {5001, "@ada", NULL, false},
        {5001, "@6001", NULL, false}, /* groups by name only */
        {5003, "5003", NULL, true},   /* the number, nobody's name */
        {5009, "5003", NULL, true},   /* a name that is a number */
        {5004, "5004", NULL, true},   /* not in the files */
        {5004, "ada", NULL, false},
        {5004, "@adas", NULL, false},
        {0, "ada", NULL, true}, /* root may what it may */
        {UINT32_MAX, "4294967295", NULL, true},
        {UINT32_MAX, "-1", NULL, false},
        {1, "4294967297", NULL, false},
        {5001, "@many", NULL, true}, /* an entry of 30 kB */
        {5002, "@many", NULL, false},
        {5002, "@g199", NULL, true}, /* of 200 groups the last */
    };
    struct justalock_error err;

    (void)state;
    if (!has_names)
        skip();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum justalock_status st =
            ask(cases[i].uid, cases[i].one, cases[i].two, &err);

        if (st != (cases[i].may ? JUSTALOCK_OK : JUSTALOCK_DENIED))
            fail_msg("%u of %s, %s: %d %s", cases[i].uid, cases[i].one,
                     cases[i].two ? cases[i].two : "", (int)st, err.text);
    }
}

static void test_words(void **state)
{
    struct config_lock open_to_all = {.users = NULL};
    struct justalock_error err;

    (void)state;
    assert_ok(config_user_allowed(&open_to_all, 5004, &err), err);
    if (!has_names)
        skip();
    assert_fails(ask(5002, "ada", NULL, &err), JUSTALOCK_DENIED, err,
                 "lock \"db\" is not for user bob");
    assert_fails(ask(5004, "ada", NULL, &err), JUSTALOCK_DENIED, err,
                 "lock \"db\" is not for uid 5004");
    open_to_all.users = (char *[]){NULL};
    assert_fails(config_user_allowed(&open_to_all, 5002, &err),
                 JUSTALOCK_DENIED, err, "this name");
}

/* ---- no memory ---- */

static bool in_group(void *arg)
{
    struct justalock_error err;
    enum justalock_status st = ask(5001, "@many", NULL, &err);

    (void)arg;
    if (st == JUSTALOCK_OK)
        return true;
    /* What cannot be told is no yes. */
    assert_int_equal(st, JUSTALOCK_DENIED);
    assert_string_not_equal(err.text, "");
    return false;
}

static enum justalock_status without_memory(struct justalock_error *err)
{
    enum justalock_status st;

    fail_alloc_at(1, FAIL_ALLOC_ON);
    st = ask(5001, "@many", NULL, err);
    (void)fail_alloc_off();
    return st;
}

static void test_no_memory(void **state)
{
    struct justalock_error err;

    (void)state;
    if (!has_names)
        skip();
    assert_in_range(fail_alloc_each(in_group, NULL), 4, 200);
    assert_fails(without_memory(&err), JUSTALOCK_DENIED, err,
                 "the groups of uid 5001 cannot be looked up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, make, clear);
}

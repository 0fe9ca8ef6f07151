/* SPDX-License-Identifier: MIT */
/*
 * config_users.c - may this user take a lock: "users" of its definition,
 * by name, by number, or by "@group", as the host's name service knows them.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_parts.h"
#include "parse.h"

#define LOOKUP_MAX (1024 * 1024) /* bytes of one entry; large groups exist */
#define GROUPS_MAX 65536         /* the kernel's own limit */

struct person {
    uint32_t uid;
    bool is_known;
    struct passwd pw;
    char *text; /* what pw points into */
    gid_t *groups;
    int groups_len;
};

/* errno, or 0; a missing entry is none of both: is_known stays false. */
static int look_up_user(struct person *p)
{
    for (size_t size = 1024; size <= LOOKUP_MAX; size *= 4) {
        struct passwd *found = NULL;
        char *text = realloc(p->text, size);
        int result;

        if (text == NULL)
            return ENOMEM;
        p->text = text;
        result = getpwuid_r(p->uid, &p->pw, text, size, &found);
        if (result == ERANGE)
            continue;
        p->is_known = result == 0 && found != NULL;
        return p->is_known || result == ENOENT || result == ESRCH ? 0 : result;
    }
    return ERANGE;
}

static int look_up_groups(struct person *p)
{
    for (int size = 64; size <= GROUPS_MAX; size *= 4) {
        gid_t *groups = realloc(p->groups, (size_t)size * sizeof(*groups));

        if (groups == NULL)
            return ENOMEM;
        p->groups = groups;
        p->groups_len = size;
        if (getgrouplist(p->pw.pw_name, p->pw.pw_gid, groups, &p->groups_len) >=
            0)
            return 0;
    }
    return ERANGE;
}

/* The group's number; false where there is no such group. */
static bool find_group(const char *name, gid_t *ret_gid, int *ret_errno)
{
    bool is_found = false;
    char *text = NULL;

    *ret_errno = ERANGE;
    for (size_t size = 1024; size <= LOOKUP_MAX; size *= 4) {
        struct group gr, *found = NULL;
        char *bigger = realloc(text, size);
        int result;

        if (bigger == NULL) {
            *ret_errno = ENOMEM;
            break;
        }
        text = bigger;
        result = getgrnam_r(name, &gr, text, size, &found);
        if (result == ERANGE)
            continue;
        is_found = result == 0 && found != NULL;
        if (is_found)
            *ret_gid = gr.gr_gid;
        *ret_errno = result == ENOENT || result == ESRCH ? 0 : result;
        break;
    }
    free(text);
    return is_found;
}

static bool is_in_group(struct person *p, const char *name, int *ret_errno)
{
    gid_t gid;

    *ret_errno = 0;
    if (!p->is_known)
        return false;
    if (p->groups == NULL)
        *ret_errno = look_up_groups(p);
    if (*ret_errno != 0 || !find_group(name, &gid, ret_errno))
        return false;
    for (int i = 0; i < p->groups_len; i++)
        if (p->groups[i] == gid)
            return true;
    return false;
}

static bool is_number(const char *text, uint32_t uid)
{
    uint64_t v;

    return parse_u64(text, 0, UINT32_MAX, "uid", &v, NULL) == JUSTALOCK_OK &&
           v == uid;
}

static bool is_let_in(struct person *p, char *const *users, int *ret_errno)
{
    *ret_errno = look_up_user(p);
    for (; *users != NULL; users++) {
        const char *entry = *users;
        int failed = 0;

        if (entry[0] == '@'
                ? is_in_group(p, entry + 1, &failed)
                : is_number(entry, p->uid) ||
                      (p->is_known && strcmp(entry, p->pw.pw_name) == 0))
            return true;
        if (failed != 0)
            *ret_errno = failed;
    }
    return false;
}

enum justalock_status config_user_allowed(const struct config_lock *policy,
                                          uint32_t uid,
                                          struct justalock_error *err)
{
    struct person p = {.uid = uid};
    const char *name = policy->name == NULL ? "this name" : policy->name;
    enum justalock_status st = JUSTALOCK_OK;
    int failed = 0;

    if (policy->users == NULL || uid == 0)
        return JUSTALOCK_OK;
    if (!is_let_in(&p, policy->users, &failed)) {
        st = JUSTALOCK_DENIED;
        if (failed != 0) {
            (void)error_sys(err, failed,
                            "lock \"%.80s\" is for its users only, and the "
                            "groups of uid %u cannot be looked up",
                            name, (unsigned)uid);
            if (err != NULL)
                err->status = st;
        } else if (p.is_known) {
            st = error_set(err, st, "lock \"%.100s\" is not for user %.60s",
                           name, p.pw.pw_name);
        } else {
            st = error_set(err, st, "lock \"%.100s\" is not for uid %u", name,
                           (unsigned)uid);
        }
    }
    free(p.text);
    free(p.groups);
    return st;
}

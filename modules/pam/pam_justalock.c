/* SPDX-License-Identifier: MIT */
/*
 * pam_justalock.c - what libpam calls. In the session phase it has the host's
 * agent take a lock, and refuses the session where that is another's. It runs
 * inside sshd, su, sudo as root: it starts no thread and no child, touches no
 * signal and no environment but PAM's own, and waits for nothing without end.
 *
 * Never PAM_SESSION_ERR, which sudo takes as good (its pam.c, since 1.8.17).
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_modules.h>

#include <security/pam_ext.h>
#include <security/pam_modutil.h>

#include "pam_session.h"

#define PAM_API __attribute__((visibility("default")))
#define KEY_MAX (sizeof("justalock ") + PARSE_NAME_MAX)

/* One call. */
struct call {
    pam_handle_t *pamh;
    int flags;
    struct pam_options o;
    const char *user, *service; /* never NULL once `begin` is through */
    uid_t uid;
    bool is_noted;
    char slot[16]; /* of the session's lock; "": it is no pool */
};

/* ---- words ---- */

static void say(const struct call *c, const char *text)
{
    /* As an error, which goes to stderr: su keeps infos to itself. Refusals
     * are said even to programs that want silence, as pam_limits does: the
     * user must learn why. */
    (void)pam_error(c->pamh, "justalock: %s", text);
}

static void note(void *arg, const char *text)
{
    struct call *c = arg;
    size_t n = strlen(WIRE_NOTE_SLOT);

    if (strncmp(text, WIRE_NOTE_SLOT, n) == 0) {
        (void)snprintf(c->slot, sizeof(c->slot), "%s", text + n);
        return;
    }
    if (!c->is_noted && (c->flags & PAM_SILENT) == 0)
        say(c, text);
    c->is_noted = true;
}

static void debug(const struct call *c, const char *text)
{
    if (c->o.is_debug)
        pam_syslog(c->pamh, LOG_DEBUG, "%s", text);
}

/* ---- whom it concerns ---- */

static bool is_in_group(const struct call *c, const char *list)
{
    char group[256];

    while (options_next(&list, group, sizeof(group)))
        if (pam_modutil_user_in_group_nam_nam(c->pamh, c->user, group) == 1)
            return true;
    return false;
}

static bool concerns(const struct call *c)
{
    const struct pam_options *o = &c->o;

    if (!options_want_service(o, c->service)) {
        debug(c, "not for this service");
        return false;
    }
    if (options_list_has(o->except_users, c->user) ||
        is_in_group(c, o->except_groups)) {
        debug(c, "this user is excepted");
        return false;
    }
    if ((o->users != NULL || o->groups != NULL) &&
        !options_list_has(o->users, c->user) && !is_in_group(c, o->groups)) {
        debug(c, "not for this user");
        return false;
    }
    return true;
}

static const char *item(const struct call *c, int which)
{
    const void *value = NULL;

    if (pam_get_item(c->pamh, which, &value) != PAM_SUCCESS || value == NULL)
        return "";
    return value;
}

/* PAM_SUCCESS: c is filled. Anything else is what the module returns. */
static int begin(struct call *c, pam_handle_t *pamh, int flags, int argc,
                 const char **argv)
{
    struct justalock_error err;
    int rc;

    *c = (struct call){.pamh = pamh, .flags = flags};
    if (options_parse(argc, argv, &c->o, &err) != JUSTALOCK_OK) {
        pam_syslog(pamh, LOG_CRIT, "%s", err.text);
        return PAM_SERVICE_ERR;
    }
    rc = pam_get_user(pamh, &c->user, NULL);
    if (rc != PAM_SUCCESS || c->user == NULL || c->user[0] == '\0') {
        pam_syslog(pamh, LOG_ERR, "no user: %s", pam_strerror(pamh, rc));
        return rc == PAM_SUCCESS || rc == PAM_CONV_AGAIN ? PAM_USER_UNKNOWN
                                                         : rc;
    }
    c->service = item(c, PAM_SERVICE);
    return PAM_SUCCESS;
}

/* ---- what is kept ---- */

/* One of each lock: a stack may have several lines. */
static void key_of(const struct call *c, char ret_key[KEY_MAX])
{
    (void)snprintf(ret_key, KEY_MAX, "justalock %s", c->o.lock);
}

/*
 * Runs in every process that ends its copy of the handle, as the user too: it
 * closes what is its own and says nothing to anybody.
 */
static void forget(pam_handle_t *pamh, void *data, int status)
{
    (void)pamh;
    (void)status;
    session_drop(data);
    free(data);
}

static int keep(const struct call *c, const struct session *s)
{
    struct session *kept = malloc(sizeof(*kept));
    char key[KEY_MAX];
    int rc;

    if (kept == NULL)
        return PAM_BUF_ERR;
    *kept = *s;
    key_of(c, key);
    rc = pam_set_data(c->pamh, key, kept, forget);
    if (rc != PAM_SUCCESS)
        free(kept);
    return rc;
}

/* "JUSTALOCK_LOCK=a" and, with a second line of the stack, "=a,b". */
static int put_env(const struct call *c, const char *name, const char *value)
{
    const char *before = pam_getenv(c->pamh, name);
    char text[WIRE_LIST_MAX + 64];
    int n = snprintf(text, sizeof(text), "%s=%s%s%s", name,
                     before != NULL ? before : "", before != NULL ? "," : "",
                     value);

    if (n < 0 || (size_t)n >= sizeof(text))
        return PAM_BUF_ERR;
    return pam_putenv(c->pamh, text);
}

/* One for each lock, as in a job: "-" where it is no pool. */
static int put_slot(const struct call *c, unsigned locks_before)
{
    const char *slots = pam_getenv(c->pamh, "JUSTALOCK_SLOT");
    int rc = PAM_SUCCESS;

    if (slots == NULL && c->slot[0] == '\0')
        return PAM_SUCCESS;
    for (; slots == NULL && locks_before > 0 && rc == PAM_SUCCESS;
         locks_before--)
        rc = put_env(c, "JUSTALOCK_SLOT", "-");
    return rc == PAM_SUCCESS ? put_env(c, "JUSTALOCK_SLOT",
                                       c->slot[0] != '\0' ? c->slot : "-")
                             : rc;
}

static void set_environment(const struct call *c, const struct wire_msg *m)
{
    const char *locks = pam_getenv(c->pamh, "JUSTALOCK_LOCK");
    unsigned before = locks != NULL;
    char token[24];
    int rc;

    for (; locks != NULL && *locks != '\0'; locks++)
        before += *locks == ',';
    rc = put_env(c, "JUSTALOCK_LOCK", m->locks);
    (void)snprintf(token, sizeof(token), "%" PRIu64, m->token);
    if (rc == PAM_SUCCESS && m->has_token)
        rc = put_env(c, "JUSTALOCK_TOKEN", token);
    if (rc == PAM_SUCCESS && m->ids[0] != '\0')
        rc = put_env(c, "JUSTALOCK_ID", m->ids);
    if (rc == PAM_SUCCESS)
        rc = put_slot(c, before);
    /* The session has its lock all the same. */
    if (rc != PAM_SUCCESS)
        pam_syslog(c->pamh, LOG_WARNING, "environment: %s",
                   pam_strerror(c->pamh, rc));
}

/* A handle may be used again: what its next session sees is that one's. */
static void unset_environment(pam_handle_t *pamh)
{
    static const char *const names[] = {"JUSTALOCK_LOCK", "JUSTALOCK_TOKEN",
                                        "JUSTALOCK_ID", "JUSTALOCK_SLOT"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (pam_getenv(pamh, names[i]) != NULL)
            (void)pam_putenv(pamh, names[i]);
}

/* ---- open ---- */

static void say_wrong(const struct call *c)
{
    say(c, "this host's configuration of locks is wrong; its system log says "
           "where");
}

static int unreachable(const struct call *c, const char *why)
{
    if (c->o.on_unreachable == PAM_OPEN) {
        pam_syslog(c->pamh, LOG_WARNING,
                   "session of %s goes on without lock \"%s\", as "
                   "on_unreachable=open says: %s",
                   c->user, c->o.lock, why);
        if ((c->flags & PAM_SILENT) == 0)
            (void)pam_error(c->pamh,
                            "justalock: this session goes on without lock "
                            "\"%s\": %s",
                            c->o.lock, why);
        return PAM_SUCCESS;
    }
    pam_syslog(c->pamh, LOG_ERR, "session of %s refused: lock \"%s\": %s",
               c->user, c->o.lock, why);
    (void)pam_error(c->pamh, "justalock: no session without lock \"%s\": %s",
                    c->o.lock, why);
    return PAM_AUTHINFO_UNAVAIL;
}

static int local_trouble(const struct call *c, const char *why)
{
    pam_syslog(c->pamh, LOG_ERR, "session of %s refused: %s", c->user, why);
    (void)pam_error(c->pamh, "justalock: no session without lock \"%s\": %s",
                    c->o.lock, why);
    return PAM_SYSTEM_ERR;
}

static int granted(const struct call *c, const struct wire_msg *m,
                   struct session *s)
{
    int rc = keep(c, s);

    if (rc != PAM_SUCCESS) {
        session_drop(s); /* its end: the lock goes back */
        return local_trouble(c, pam_strerror(c->pamh, rc));
    }
    set_environment(c, m);
    pam_syslog(c->pamh, LOG_INFO, "session of %s has lock \"%s\"", c->user,
               m->locks);
    if (c->is_noted && m->text[0] != '\0' && (c->flags & PAM_SILENT) == 0)
        say(c, m->text);
    return PAM_SUCCESS;
}

static int obey(const struct call *c, const struct wire_msg *m,
                struct session *s)
{
    switch ((enum wire_verdict)m->verdict) {
    case WIRE_GO:
        return granted(c, m, s);
    case WIRE_REFUSED_BUSY:
    case WIRE_REFUSED_DENIED:
    case WIRE_REFUSED_LOST:
        pam_syslog(c->pamh, LOG_NOTICE, "session of %s refused: %s", c->user,
                   m->text);
        say(c, m->text);
        return PAM_PERM_DENIED;
    case WIRE_REFUSED_NET:
        return unreachable(c, m->text);
    case WIRE_REFUSED_CONFIG:
    case WIRE_REFUSED_BAD:
    case WIRE_REFUSED_REQUEUE:
        pam_syslog(c->pamh, LOG_CRIT, "session of %s refused: %s", c->user,
                   m->text);
        say_wrong(c);
        return PAM_SERVICE_ERR;
    case WIRE_REFUSED_LOCAL:
        break;
    }
    return local_trouble(c, m->text);
}

/* Too long a value is no one's: it is refused, not cut. */
static bool put_text(char *to, size_t size, const char *from)
{
    int n = snprintf(to, size, "%s", from);

    return n >= 0 && (size_t)n < size;
}

static bool fill_who(const struct call *c, struct wire_session *who)
{
    char *rhost = who->rhost;

    who->uid = c->uid;
    /* rhost comes from the network and is only shown. */
    if (!put_text(rhost, sizeof(who->rhost), item(c, PAM_RHOST)))
        rhost[64] = '\0';
    parse_mask_unclean(rhost);
    return put_text(who->user, sizeof(who->user), c->user) &&
           put_text(who->ruser, sizeof(who->ruser), item(c, PAM_RUSER)) &&
           put_text(who->service, sizeof(who->service), c->service);
}

static int ask(struct call *c)
{
    struct session_ask a = {.options = &c->o, .note = note, .arg = c};
    struct justalock_error err;
    struct session s = {.life = -1};
    struct wire_msg m;

    if (!fill_who(c, &a.who)) {
        pam_syslog(c->pamh, LOG_ERR, "a name of more than %d bytes",
                   WIRE_FIELD_MAX);
        return PAM_SYSTEM_ERR;
    }
    switch (session_ask(&a, &m, &s, &err)) {
    case SESSION_VERDICT:
        return obey(c, &m, &s);
    case SESSION_UNREACHABLE:
        return unreachable(c, err.text);
    case SESSION_LOCAL:
        break;
    }
    return local_trouble(c, err.text);
}

PAM_API int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc,
                                const char **argv)
{
    struct call c;
    const struct passwd *pw;
    int rc = begin(&c, pamh, flags, argc, argv);

    if (rc == PAM_SERVICE_ERR)
        say_wrong(&c); /* whom the line is for is not known */
    if (rc != PAM_SUCCESS)
        return rc;
    if (!concerns(&c))
        return PAM_SUCCESS;
    pw = pam_modutil_getpwnam(pamh, c.user);
    if (pw == NULL) {
        pam_syslog(pamh, LOG_ERR, "user %s is not known", c.user);
        return PAM_USER_UNKNOWN;
    }
    c.uid = pw->pw_uid;
    return ask(&c);
}

/* ---- close ---- */

PAM_API int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc,
                                 const char **argv)
{
    struct call c;
    char key[KEY_MAX];
    char text[WIRE_TEXT_MAX + 1];
    struct justalock_error err;
    const void *data = NULL;

    /* Nothing here may keep a session from ending. */
    if (begin(&c, pamh, flags, argc, argv) != PAM_SUCCESS)
        return PAM_SUCCESS;
    key_of(&c, key);
    if (pam_get_data(pamh, key, &data) != PAM_SUCCESS || data == NULL)
        return PAM_SUCCESS;
    if (session_give_back(data, text, sizeof(text), &err) != JUSTALOCK_OK)
        /* The life line's end says it too. */
        pam_syslog(pamh, LOG_WARNING, "giving back lock \"%s\": %s", c.o.lock,
                   err.text);
    else if (text[0] != '\0')
        pam_syslog(pamh, LOG_NOTICE, "lock \"%s\": %s", c.o.lock, text);
    (void)pam_set_data(pamh, key, NULL, NULL); /* has `forget` run */
    unset_environment(pamh);
    return PAM_SUCCESS;
}

/* ---- the other phases: a stack may name us there by mistake ---- */

static int misplaced(pam_handle_t *pamh, const char *phase)
{
    pam_syslog(pamh, LOG_CRIT, "is for session lines only, not for %s", phase);
    return PAM_SERVICE_ERR;
}

PAM_API int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc,
                                const char **argv)
{
    (void)flags;
    (void)argc;
    (void)argv;
    return misplaced(pamh, "auth");
}

PAM_API int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc,
                           const char **argv)
{
    (void)flags;
    (void)argc;
    (void)argv;
    return misplaced(pamh, "auth");
}

PAM_API int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc,
                             const char **argv)
{
    (void)flags;
    (void)argc;
    (void)argv;
    return misplaced(pamh, "account");
}

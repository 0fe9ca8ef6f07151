/* SPDX-License-Identifier: MIT */
/*
 * doctor.c - what a doctor would look at, see doctor.h. Changes nothing; each
 * finding says what to do.
 */
#include "doctor.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_client.h"
#include "bearer.h"
#include "buf.h"
#include "capture.h"
#include "parse.h"

#define PING_MS      2000
#define SCONTROL_MS  10000
#define LINE_LEN     4096
#define INCLUDES_MAX 8 /* one in another */
#define MODULE       "spank_justalock.so"
#define PAM_DIR      "/etc/pam.d"

static void miss(struct doctor *d, const struct justalock_error *err)
{
    d->is_short = true;
    cli_say("%s", err->text);
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *what,
                const char *fmt, ...)
{
    static const char *const names[] = {"ok", "warning", "error"};
    struct justalock_error err;
    char text[512];
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    parse_mask_unclean(text); /* Slurm's words and paths are in it */
    d->warnings += level == DOCTOR_WARN;
    d->errors += level == DOCTOR_ERROR;
    if (!d->json) {
        (void)printf("%s: %s: %s\n", names[level], what, text);
        return;
    }
    buf_init(&b, 4096);
    buf_printf(&b, "{\"level\":\"%s\",\"what\":\"%s\",\"text\":", names[level],
               what);
    buf_json(&b, text);
    buf_str(&b, "}");
    if (cli_put_json(&b, &err) != JUSTALOCK_OK)
        miss(d, &err);
}

static void look_at_secret(struct doctor *d, const struct config *c)
{
    struct justalock_error err;
    struct secret secret;

    if (secret_load(c->secret_file, &secret, &err) == JUSTALOCK_OK) {
        secret_wipe(&secret);
        doctor_say(d, DOCTOR_OK, "secret", "%s", c->secret_file);
    } else if (err.sys_errno == EACCES && geteuid() != 0) {
        doctor_say(d, DOCTOR_WARN, "secret",
                   "only root can look at it: run this check as root");
    } else if (err.sys_errno == ENOENT && !c->hashed_names &&
               !c->secret_file_set) {
        doctor_say(d, DOCTOR_WARN, "secret",
                   "%s is missing: jobs on several nodes and sessions with "
                   "share=host need it. Make one (head -c 64 /dev/urandom), "
                   "mode 0400, the same on all "
                   "hosts",
                   c->secret_file);
    } else {
        doctor_say(d, DOCTOR_ERROR, "secret", "%s", err.text);
    }
}

static void look_at_token(struct doctor *d, const char *path)
{
    char token[BEARER_MAX + 1];
    struct justalock_error err;

    if (path == NULL)
        return;
    if (bearer_load(path, token, &err) == JUSTALOCK_OK)
        doctor_say(d, DOCTOR_OK, "token", "%s", path);
    else if (err.sys_errno == EACCES && geteuid() != 0)
        doctor_say(d, DOCTOR_WARN, "token",
                   "only root can look at it: run this check as root");
    else
        doctor_say(d, DOCTOR_ERROR, "token", "%s", err.text);
    explicit_bzero(token, sizeof(token));
}

static void look_at_agent(struct doctor *d, const char *socket)
{
    struct clock_time by = clock_add(clock_now(), PING_MS);
    struct wire_msg m = {.type = WIRE_PING};
    struct justalock_error err;
    enum justalock_status st;
    int fd;

    st = agent_connect(socket, &fd, &err);
    if (st == JUSTALOCK_OK) {
        st = agent_send(fd, &m, by, &err);
        if (st == JUSTALOCK_OK)
            st = agent_recv(fd, &m, by, &err);
        if (st == JUSTALOCK_OK &&
            (m.type != WIRE_VERDICT || m.verdict != WIRE_GO))
            st = error_set(&err, JUSTALOCK_PROTO,
                           "what answers at %s is not a justalock-agent that "
                           "works",
                           socket);
        (void)close(fd);
    }
    if (st != JUSTALOCK_OK)
        doctor_say(d, DOCTOR_ERROR, "agent",
                   "%s; start justalock-agent, before slurmd and sshd",
                   err.text);
    else
        doctor_say(d, DOCTOR_OK, "agent", "it answers at %s", socket);
}

/* ---- Slurm
 * ------------------------------------------------------------------------- */

/* The value of "Key = value" in what `scontrol show config` says. */
static bool conf_value(const char *text, const char *key, char *ret,
                       size_t size)
{
    size_t len = strlen(key);

    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        const char *v;

        at += *at == '\n';
        if (strncmp(at, key, len) != 0 || (at[len] != ' ' && at[len] != '='))
            continue;
        v = strchr(at, '=');
        if (v == NULL)
            return false;
        v += 1 + strspn(v + 1, " ");
        (void)snprintf(ret, size, "%.*s", (int)strcspn(v, "\n"), v);
        return true;
    }
    return false;
}

static int plugstack_names(const char *path, unsigned depth);

/* As Slurm does: a pattern, relative to the folder of the file. */
static int plugstack_included(const char *path, const char *pattern,
                              unsigned depth)
{
    const char *slash = strrchr(path, '/');
    int len = pattern[0] == '/' || slash == NULL ? 0 : (int)(slash + 1 - path);
    char full[2 * LINE_LEN];
    int found = 0;
    glob_t g;

    (void)snprintf(full, sizeof(full), "%.*s%.*s", len, path,
                   (int)strcspn(pattern, " \t\r"), pattern);
    if (depth == 0 || glob(full, 0, NULL, &g) != 0)
        return 0;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        int n = plugstack_names(g.gl_pathv[i], depth - 1);

        found = n > found ? n : found;
    }
    globfree(&g);
    return found;
}

/* Does a line of the file, or of what it includes, name the module? 0: no,
 * 1: as optional, 2: as required. */
static int plugstack_names(const char *path, unsigned depth)
{
    char line[LINE_LEN];
    FILE *f = fopen(path, "re");
    int found = 0;

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *word = line + strspn(line, " \t");
        size_t len = strcspn(word, " \t");
        int n = 0;

        line[strcspn(line, "#\n")] = '\0';
        if (len == 7 && strncmp(word, "include", 7) == 0)
            n = plugstack_included(path, word + 7 + strspn(word + 7, " \t"),
                                   depth);
        else if (strstr(word, MODULE) != NULL)
            n = len == 8 && strncmp(word, "required", 8) == 0 ? 2 : 1;
        found = n > found ? n : found;
    }
    (void)fclose(f);
    return found;
}

static void look_at_plugstack(struct doctor *d, const char *conf)
{
    int found = plugstack_names(conf, INCLUDES_MAX);

    if (found == 2)
        doctor_say(d, DOCTOR_OK, "plugstack", "%s names " MODULE, conf);
    else if (found == 1)
        doctor_say(d, DOCTOR_ERROR, "plugstack",
                   "%s: " MODULE " is optional: where it cannot be loaded, "
                   "jobs run without their locks; say required",
                   conf);
    else
        doctor_say(d, DOCTOR_WARN, "plugstack",
                   "%s does not name " MODULE ": add \"required " MODULE
                   "\", here and on submit hosts, and restart slurmd",
                   conf);
}

static void look_at_slurm(struct doctor *d, const struct config *c)
{
    static const char *const argv[] = {"scontrol", "show", "config", NULL};
    struct justalock_error err;
    char value[LINE_LEN];
    struct buf b;

    buf_init(&b, 256 * 1024);
    if (capture(argv, SCONTROL_MS, &b, &err) != JUSTALOCK_OK) {
        if (err.status == JUSTALOCK_NOMEM)
            miss(d, &err);
        else if (c->slurm.rules_len > 0 || c->slurm.cluster != NULL)
            doctor_say(d, DOCTOR_WARN, "slurm",
                       "scontrol show config does not answer: %s", err.text);
        buf_done(&b);
        return;
    }
    if (conf_value(b.data, "PlugStackConfig", value, sizeof(value)) &&
        value[0] == '/')
        look_at_plugstack(d, value);
    else
        look_at_plugstack(d, "/etc/slurm/plugstack.conf");
    if (!conf_value(b.data, "PrologFlags", value, sizeof(value)) ||
        (strstr(value, "Alloc") == NULL && strstr(value, "Contain") == NULL))
        doctor_say(d, DOCTOR_ERROR, "slurm",
                   "PrologFlags has no Alloc: rules and jobs on several nodes "
                   "need it in slurm.conf");
    else
        doctor_say(d, DOCTOR_OK, "slurm", "PrologFlags=%s", value);
    if (c->slurm.cluster == NULL)
        doctor_say(d, DOCTOR_WARN, "slurm",
                   "slurm.cluster is not set: two clusters of one name and "
                   "secret would share client ids. Set it to a generated id");
    buf_done(&b);
}

/* ---- PAM
 * ---------------------------------------------------------------------------
 */

static void look_at_pam(struct doctor *d)
{
    static const char *const shared[] = {"common-session", "system-auth",
                                         "password-auth", "postlogin"};
    char path[512], line[LINE_LEN];

    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        FILE *f;

        (void)snprintf(path, sizeof(path), PAM_DIR "/%s", shared[i]);
        f = fopen(path, "re");
        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
            line[strcspn(line, "#\n")] = '\0';
            if (strstr(line, "pam_justalock") != NULL)
                doctor_say(d, DOCTOR_ERROR, "pam",
                           "%s names pam_justalock: nested sessions and "
                           "systemd-user would block themselves; name it in "
                           "the service's own file",
                           path);
        }
        if (f != NULL)
            (void)fclose(f);
    }
}

void doctor_look(struct doctor *d, const struct config *c, const char *socket)
{
    look_at_secret(d, c);
    look_at_token(d, c->service.token_file);
    look_at_agent(d, socket);
    look_at_slurm(d, c);
    look_at_pam(d);
}

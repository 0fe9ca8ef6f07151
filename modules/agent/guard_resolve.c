/* SPDX-License-Identifier: MIT */
/*
 * guard_resolve.c - what has to be known of a work before its locks are: the
 * user's name and groups, and what only Slurm can say of a job. Asked for in
 * a child, since both may block; then the locks are asked for.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "log.h"
#include "urls.h"

#define END "End=\n"

/* ---- in the child ---- */

static void say_line(const char *key, const char *value)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "%s=%s\n", key, value);

    if (n < 0 ||
        write(1, line,
              (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        _exit(126);
}

static void look_up(struct guard *g, struct work *w)
{
    char data[4096];
    struct passwd pw;
    struct passwd *found = NULL;
    struct justalock_error err;

    if (w->f.kind != WORK_SESSION &&
        getpwuid_r(w->f.uid, &pw, data, sizeof(data), &found) == 0 && found &&
        strlen(pw.pw_name) < sizeof(w->f.user)) {
        (void)snprintf(w->f.user, sizeof(w->f.user), "%s", pw.pw_name);
        say_line("User", pw.pw_name);
    }
    if (locks_allowed(g, w->option, &w->f, &err) != JUSTALOCK_OK)
        say_line("Denied", err.text);
    if (write(1, END, strlen(END)) < 0)
        _exit(126);
}

/* ---- reading the answer ---- */

static bool find_line(const char *out, const char *key, char *ret, size_t size)
{
    size_t len = strlen(key);

    for (const char *at = out; at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, len) != 0 || at[len] != '=')
            continue;
        (void)snprintf(ret, size, "%.*s", (int)strcspn(at + len + 1, "\n"),
                       at + len + 1);
        return true;
    }
    return false;
}

/*
 * The line of `scontrol show job -o` of one job, " Key=value " after "
 * Key=value
 * ", in three parts. The name is as its user wrote it, and may read like any of
 * the other fields: they count only where it cannot be, the ids before it, all
 * else from UserId on, and there a field that stands twice is none.
 */
struct job_line {
    const char *ids;
    const char *name;
    const char *rest;
};

/* Cuts `out`. false: the job is not in it, or its name speaks of a UserId: then
 * nobody can tell where it ends. */
static bool find_line_of(char *out, uint32_t job_id, struct job_line *ret_line)
{
    static const char name_key[] = " JobName=", user_key[] = " UserId=";
    char want[32];
    char *at = out;
    char *name, *rest;

    (void)snprintf(want, sizeof(want), "JobId=%u ", job_id);
    /* A het leader's id lists its components too. */
    while (at && strncmp(at, want, strlen(want)) != 0) {
        at = strchr(at, '\n');
        at += at != NULL;
    }
    if (!at)
        return false;
    at[strcspn(at, "\n")] = '\0';
    name = strstr(at, name_key);
    rest = name ? strstr(name, user_key) : NULL;
    if (!rest || strstr(rest + 1, user_key))
        return false;
    /* The key itself is of use to nobody. */
    *name = '\0';
    *rest = '\0';
    *ret_line = (struct job_line){
        .ids = at, .name = name + strlen(name_key), .rest = rest + 1};
    return true;
}

static bool take_text(const char *at, size_t len, char *ret, size_t size)
{
    static const char none[] = "(null)";

    if (len >= size || (len == strlen(none) && strncmp(at, none, len) == 0) ||
        !parse_is_clean_text(at, len))
        return false;
    memcpy(ret, at, len);
    ret[len] = '\0';
    return true;
}

/* NULL: it is not there, or more than once: one may be in what a user wrote. */
static const char *find_key(const char *part, const char *key,
                            size_t *ret_times)
{
    char want[32];
    const char *at, *next;

    (void)snprintf(want, sizeof(want), " %s=", key);
    at = strstr(part, want);
    next = at ? strstr(at + 1, want) : NULL;
    *ret_times = (at != NULL) + (next != NULL);
    return *ret_times == 1 ? at + strlen(want) : NULL;
}

static bool find_field(const char *part, const char *key, char *ret,
                       size_t size)
{
    size_t times;
    const char *at = find_key(part, key, &times);

    return at && take_text(at, strcspn(at, " "), ret, size);
}

static bool find_number(const char *part, const char *key, uint32_t *ret)
{
    char text[32];
    uint64_t value;

    if (!find_field(part, key, text, sizeof(text)))
        return false;
    text[strspn(text, "0123456789")] = '\0'; /* "2-2" of pending jobs */
    if (parse_u64(text, 0, UINT32_MAX, key, &value, NULL) != JUSTALOCK_OK)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* false: Slurm did not say. Only its word counts for who the job is. */
static bool take_job(struct wire_job *j, char *out)
{
    const struct {
        const char *key;
        char *to;
        size_t size;
    } texts[] = {{"Account", j->account, sizeof(j->account)},
                 {"Partition", j->partition, sizeof(j->partition)},
                 {"Reservation", j->reservation, sizeof(j->reservation)}};
    struct job_line line;
    uint32_t restart, nodes;
    size_t times;

    if (!find_line_of(out, j->job_id, &line) ||
        !find_number(line.rest, "Restarts", &restart) ||
        !find_number(line.rest, "NumNodes", &nodes))
        return false;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!find_key(line.rest, texts[i].key, &times) && times > 1)
            return false;
    j->restart = restart;
    j->node_count = nodes;
    if (!find_number(line.ids, "HetJobId", &j->leader_id))
        j->leader_id = j->job_id;
    if (!find_number(line.ids, "ArrayJobId", &j->array_id) ||
        !find_number(line.ids, "ArrayTaskId", &j->array_task)) {
        j->array_id = WIRE_NO_ARRAY;
        j->array_task = WIRE_NO_ARRAY;
    }
    j->name[0] = '\0';
    (void)take_text(line.name, strlen(line.name), j->name, sizeof(j->name));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        texts[i].to[0] = '\0';
        (void)find_field(line.rest, texts[i].key, texts[i].to, texts[i].size);
    }
    return true;
}

/* ---- the locks, now that all is known ---- */

static enum wire_verdict verdict_of(enum justalock_status st)
{
    switch (st) {
    case JUSTALOCK_DENIED:
        return WIRE_REFUSED_DENIED;
    case JUSTALOCK_CONFIG:
        return WIRE_REFUSED_CONFIG;
    case JUSTALOCK_ARG:
        return WIRE_REFUSED_BAD;
    default:
        return WIRE_REFUSED_LOCAL;
    }
}

/* "root@n1 (sudo by alice)", "alice@n1 (sshd from 192.0.2.7)" */
static void session_label(const struct guard *g, const struct work *w,
                          char *ret_label, size_t size)
{
    const struct work_facts *f = &w->f;

    (void)snprintf(ret_label, size, "%.32s@%.24s (%.16s%s%.32s)", f->user,
                   g->host, f->login,
                   f->rhost[0]   ? " from "
                   : f->ruser[0] ? " by "
                                 : "",
                   f->rhost[0] ? f->rhost : f->ruser);
}

static void default_label(const struct guard *g, const struct work *w,
                          char *ret_label, size_t size)
{
    char text[64];
    char uid[16];

    (void)snprintf(uid, sizeof(uid), "%u", w->f.uid);
    ret_label[0] = '\0';
    /* It shows no labels, and need not learn our names. */
    if (g->config && urls_has_public(g->config->service.url))
        return;
    if (w->f.kind == WORK_SESSION) {
        session_label(g, w, ret_label, size);
        return;
    }
    if (w->f.kind == WORK_COMMAND) {
        (void)snprintf(ret_label, size, "%.32s@%.64s pid %d",
                       w->f.user[0] ? w->f.user : uid, g->host,
                       (int)proc_key_pid(w->f.owner));
        return;
    }
    work_text(w, text, sizeof(text));
    (void)snprintf(ret_label, size, "%.30s %.40s@%.40s", text,
                   w->f.user[0] ? w->f.user : uid, g->host);
}

/* Those who wait already, of a job of which we did not know it has locks. */
static void put_askers(struct guard *g, struct work *w)
{
    struct justalock_error err;
    struct conn *next;

    for (struct conn *c = w->conns; c && w->f.kind == WORK_JOB; c = next) {
        next = c->work_next;
        if (c->is_put || work_put(g, w, c->peer, &err) == JUSTALOCK_OK)
            continue;
        conn_detach(c);
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "%s", err.text);
    }
}

static void take_locks(struct guard *g, struct work *w)
{
    static struct wants wants;
    char label[JUSTALOCK_LABEL_MAX + 1];
    struct justalock_error err;
    enum justalock_status st;

    wants.len = 0;
    st = w->f.kind == WORK_JOB ? locks_of_job(g, w->option, &w->f, &wants, &err)
                               : locks_parse(g, w->option, &w->f, &wants, &err);
    if (st == JUSTALOCK_OK && wants.len == 0) {
        w->state = WORK_KNOWN;
        say_verdict(g, w, WIRE_GO, "");
        return;
    }
    default_label(g, w, label, sizeof(label));
    if (st == JUSTALOCK_OK && w->life_s != 0)
        st = locks_set_life(&wants, w->life_s, &err);
    if (st == JUSTALOCK_OK)
        st = locks_take(g, w, &wants, w->client, w->label[0] ? w->label : label,
                        &err);
    if (st != JUSTALOCK_OK) {
        w->f.helds_len = 0;
        /* A line of pam.d names a lock that is not for sessions: the admin's
         * mistake, not the user's. */
        if (w->f.kind == WORK_SESSION && st == JUSTALOCK_DENIED)
            st = JUSTALOCK_CONFIG;
        hold_refuse(g, w, verdict_of(st), err.text);
        return;
    }
    put_askers(g, w);
    hold_begin(g, w);
}

static void resolved(struct guard *g, struct work *w, struct child_run *c,
                     int status)
{
    char denied[300];
    bool slurm = w && w->needs_slurm;
    char *said;

    if (!w || w->child != c)
        return;
    w->child = NULL;
    if (w->state != WORK_RESOLVING)
        return;
    said = strstr(c->out, END);
    if (!said) {
        hold_refuse(g, w, WIRE_REFUSED_LOCAL,
                    "this host could not look up the user in time");
        return;
    }
    *said = '\0'; /* ours before it, scontrol's after it */
    said += strlen(END);
    (void)find_line(c->out, "User", w->f.user, sizeof(w->f.user));
    if (find_line(c->out, "Denied", denied, sizeof(denied))) {
        hold_refuse(g, w, WIRE_REFUSED_DENIED, denied);
        return;
    }
    w->is_checked = true;
    if (slurm && take_job(&w->f.job, said)) {
        w->f.is_told = true;
    } else if (slurm && (w->f.is_told || locks_needs_name(w->option))) {
        hold_refuse(g, w, WIRE_REFUSED_LOCAL,
                    status == 0
                        ? "scontrol does not know the job, or its name reads "
                          "like other fields of it (\"UserId=\"); its "
                          "lock depends on them"
                        : "scontrol could not say the job's name or "
                          "account in time, which its lock depends on");
        return;
    }
    w->is_asked_slurm |= slurm;
    if (w->is_asked_more) {
        w->is_asked_more = false;
        w->is_checked = false;
        job_resolve(g, w);
        return;
    }
    take_locks(g, w);
}

/* Nothing of a user or of Slurm has to be asked. */
static bool is_resolved(struct guard *g, struct work *w)
{
    bool needs = false;

    if (w->f.kind == WORK_JOB) {
        (void)locks_rules_apply(g, &w->f, &needs);
        needs |= !w->f.is_told ||
                 (locks_needs_name(w->option) && w->f.job.name[0] == '\0');
    }
    w->needs_slurm = needs && !w->is_asked_slurm;
    if (w->f.kind == WORK_SESSION) {
        w->is_checked |= !locks_have_users(g, w->option, &w->f);
    } else if (w->f.uid == 0) {
        (void)snprintf(w->f.user, sizeof(w->f.user), "root");
        w->is_checked = true;
    }
    return w->is_checked && !w->needs_slurm;
}

void job_resolve(struct guard *g, struct work *w)
{
    char id[16];
    char scontrol[] = "scontrol", show[] = "show", job[] = "job", o[] = "-o";
    char *const argv[] = {scontrol, show, job, o, id, NULL};

    if (is_resolved(g, w)) {
        take_locks(g, w);
        return;
    }
    (void)snprintf(id, sizeof(id), "%u", w->f.job.job_id);
    w->state = WORK_RESOLVING;
    w->child = child_start(g, w, look_up, w->f.uid, w->f.job.gid,
                           w->needs_slurm ? argv : NULL, resolved);
    if (!w->child)
        hold_refuse(g, w, WIRE_REFUSED_LOCAL,
                    "this host's agent cannot start a process");
}

/* ---- is a job over that nobody told us of? ---- */

static void with_errors(struct guard *g, struct work *w)
{
    (void)g;
    (void)w;
    if (dup2(1, 2) < 0)
        _exit(126);
}

static bool is_over(const struct work *w, char *out)
{
    static const char *const over[] = {
        "COMPLETED", "FAILED",   "CANCELLED", "TIMEOUT",       "NODE_FAIL",
        "BOOT_FAIL", "DEADLINE", "REVOKED",   "OUT_OF_MEMORY", "PREEMPTED"};
    struct job_line line;
    uint32_t restart = 0;
    char state[64];

    if (!strstr(out, "JobId=") && strstr(out, "Invalid job id"))
        return true;
    if (!find_line_of(out, w->f.job.job_id, &line) ||
        !find_field(line.rest, "JobState", state, sizeof(state)))
        return false;
    if (find_number(line.rest, "Restarts", &restart) &&
        restart > w->f.job.restart)
        return true;
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
        if (strcmp(state, over[i]) == 0)
            return true;
    return false;
}

static void looked_if_over(struct guard *g, struct work *w, struct child_run *c,
                           int status)
{
    char text[64];

    (void)status;
    if (!w || w->child != c)
        return;
    w->child = NULL;
    if (w->state != WORK_HELD || !is_over(w, c->out))
        return;
    work_text(w, text, sizeof(text));
    log_warn("%s is over, though no epilog has said so", text);
    hold_over(g, w);
}

void job_look_if_over(struct guard *g, struct work *w)
{
    char id[16];
    char scontrol[] = "scontrol", show[] = "show", job[] = "job", o[] = "-o";
    char *const argv[] = {scontrol, show, job, o, id, NULL};

    (void)snprintf(id, sizeof(id), "%u", w->f.job.job_id);
    w->child = child_start(g, w, with_errors, w->f.uid, w->f.job.gid, argv,
                           looked_if_over);
}

/* SPDX-License-Identifier: MIT */
/*
 * guard_job.c - Slurm jobs: what their prolog tells, what their tasks ask for,
 * what their epilog ends; and scontrol in the name of their owners, never on
 * the path to a deadline.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "guard.h"
#include "log.h"

#define STEP_BATCH UINT32_C(0xfffffffb)

static bool is_root(struct guard *g, struct conn *c)
{
    if (c->uid == 0)
        return true;
    conn_verdict(g, c, WIRE_REFUSED_DENIED,
                 "only root speaks for the jobs of this host");
    return false;
}

static struct work *new_job(struct guard *g, const struct wire_msg *m,
                            bool is_told)
{
    struct work *w = work_new(g, WORK_JOB, 0);

    if (w && !text_set(&w->option, m->locks)) {
        work_remove(g, w);
        w = NULL;
    }
    if (!w)
        return NULL;
    w->f.job = m->job;
    w->f.uid = m->job.uid;
    w->f.is_told = is_told;
    w->f.wait_ms = m->wait_ms;
    w->f.on_busy = m->on_busy;
    return w;
}

static void save(struct guard *g, struct work *w)
{
    struct justalock_error err;

    if (state_save(g, w, &err) != JUSTALOCK_OK)
        log_error("%s", err.text);
}

/* ---- the prolog ---- */

/*
 * A requeued job begins again where its last run may still have processes:
 * those must die before their lock is given back. The new run has a client id
 * of its own and waits for that like anybody.
 */
static void end_incarnation(struct guard *g, struct work *old)
{
    old->is_old = true;
    old->f.on_end = CONFIG_END_KILL;
    hold_over(g, old);
}

void job_begin(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w = work_by_job(g, m->job.job_id);
    bool needs_slurm;
    bool has_rule;

    if (!is_root(g, c))
        return;
    if (w && (!w->f.is_told || w->f.job.restart == m->job.restart)) {
        if (w->state == WORK_KNOWN) {
            w->f.job = m->job;
            w->f.is_told = true;
            save(g, w);
        }
        conn_verdict(g, c, WIRE_GO, "%s", "");
        return;
    }
    if (w)
        end_incarnation(g, w);
    w = new_job(g, m, true);
    if (!w) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "no memory, or too many jobs");
        return;
    }
    has_rule = locks_rules_apply(g, &w->f, &needs_slurm);
    if (w->option[0] == '\0' && !has_rule) {
        work_remove(g, w); /* asks for nothing: nothing is kept */
        conn_verdict(g, c, WIRE_GO, "%s", "");
        return;
    }
    /* Every node of the job holds its share, even one where no task asks. */
    w->f.is_eager =
        has_rule || m->job.node_count != 1 || m->job.leader_id != m->job.job_id;
    save(g, w);
    conn_verdict(g, c, WIRE_GO, "%s", "");
    if (w->f.is_eager)
        job_resolve(g, w);
}

/* ---- the epilog ---- */

void job_end(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *next;

    if (!is_root(g, c))
        return;
    /* Whatever restart it says: the epilog of run 0 says 1 already. */
    for (struct work *w = g->works; w; w = next) {
        next = w->next;
        if (w->f.kind == WORK_JOB && w->f.job.job_id == m->job.job_id)
            hold_over(g, w);
    }
    /* Not before it is on record: nobody tells us twice. */
    conn_verdict(g, c, WIRE_GO, "%s", "");
}

/* ---- a task ---- */

/* After our restart a waiting task asks again, by then as the user. */
static bool may_ask(const struct work *w, const struct conn *c)
{
    return c->uid == 0 ||
           (w && w->f.uid == c->uid && work_has(&w->who, c->pid));
}

/* A job without a list of its own that has not asked for any lock yet: the
 * first task's becomes the job's. */
static bool is_without_list(const struct work *w)
{
    return w->option[0] == '\0' && w->f.helds_len == 0 &&
           (w->state == WORK_KNOWN || w->state == WORK_RESOLVING);
}

/* Inside a job only the job's own list can be asked for. */
static bool is_same_list(struct guard *g, struct work *w,
                         const struct wire_msg *m)
{
    static struct wants asked, own;
    struct justalock_error err;

    if (m->locks[0] == '\0' || strcmp(m->locks, w->option) == 0 ||
        is_without_list(w))
        return true;
    if (locks_parse(g, m->locks, &w->f, &asked, &err) != JUSTALOCK_OK)
        return false;
    if (locks_parse(g, w->option, &w->f, &own, &err) == JUSTALOCK_OK &&
        wants_equal(&asked, &own))
        return true;
    return locks_of_job(g, w->option, &w->f, &own, &err) == JUSTALOCK_OK &&
           wants_equal(&asked, &own);
}

/* What runs from here on in Slurm's folder of the job is of the new run; all
 * other work of the job is of an old one, ended by our prolog or its epilog. */
static void part_from_old(struct guard *g, const struct work *w,
                          const struct conn *c)
{
    for (struct work *o = g->works; o; o = o->next) {
        if (o == w || o->f.kind != WORK_JOB ||
            o->f.job.job_id != w->f.job.job_id ||
            o->who.kind == IDENTITY_CGROUP ||
            atomic_load(&o->who.born_before) != 0)
            continue;
        atomic_store(&o->who.born_before, proc_key_start(c->peer));
        work_changed_identity(o);
    }
}

static bool is_refused(struct guard *g, struct conn *c, struct work *w,
                       const struct wire_msg *m)
{
    char own[WIRE_LIST_MAX + 1];

    if (w->f.uid != m->job.uid) {
        conn_verdict(g, c, WIRE_REFUSED_BAD, "job %u is of another user",
                     m->job.job_id);
        return true;
    }
    if (w->state == WORK_ENDING || w->state == WORK_LAPSED ||
        (w->state == WORK_RELEASING && !w->is_again)) {
        conn_verdict(g, c, WIRE_REFUSED_LOST, "not started: %s",
                     w->loss[0] ? w->loss : "the job's lock is being released");
        return true;
    }
    if (is_same_list(g, w, m))
        return false;
    locks_names(w, own, sizeof(own));
    conn_verdict(g, c, WIRE_REFUSED_BAD,
                 "this job has lock \"%.150s\"; a step in it has that, and "
                 "cannot ask for \"%.150s\": give sbatch or salloc the whole "
                 "list",
                 own[0] ? own : w->option, m->locks);
    return true;
}

static bool take_request(struct work *w, const struct wire_msg *m)
{
    if (w->option[0] == '\0' && m->locks[0] != '\0') {
        if (!text_set(&w->option, m->locks))
            return false;
        w->is_checked = w->f.uid == 0;
        /* The child that runs looks at what it knew. */
        w->is_asked_more = w->state == WORK_RESOLVING;
    }
    if (m->wait_ms != WIRE_WAIT_DEFAULT)
        w->f.wait_ms = m->wait_ms;
    if (m->on_busy != WIRE_BUSY_DEFAULT)
        w->f.on_busy = m->on_busy;
    return true;
}

/* The last ones were refused, and nobody has asked since: how long to wait and
 * what to do then is the next one's to say. */
static bool begins_anew(const struct work *w)
{
    return w->state == WORK_KNOWN ||
           (w->state == WORK_RELEASING && w->is_again && !w->conns);
}

static void go_on(struct guard *g, struct work *w, struct conn *c)
{
    struct row_plan plan;

    switch (w->state) {
    case WORK_HELD:
        if (w->row && row_look(w->row, &plan, NULL) == ROW_ARMED &&
            clock_left_ms(plan.deadline, clock_now()) > plan.term_lead_ms) {
            conn_detach(c);
            say_go(g, w, c);
            return;
        }
        conn_detach(c);
        conn_verdict(g, c, WIRE_REFUSED_LOST,
                     "not started: the job's lock is being lost");
        return;
    case WORK_KNOWN:
        job_resolve(g, w);
        return;
    case WORK_ASKING:
        if (w->is_busy_seen)
            say_waiting(g, w);
        return;
    case WORK_RESOLVING:
    case WORK_LEAVING:
    case WORK_ENDING:
    case WORK_RELEASING:
    case WORK_LAPSED:
    case WORK_GONE:
        return;
    }
}

static struct work *find_or_make(struct guard *g, struct conn *c,
                                 const struct wire_msg *m)
{
    struct work *w = work_by_job(g, m->job.job_id);
    bool has_rules = g->config && g->config->slurm.rules_len > 0;

    if (!may_ask(w, c)) {
        conn_verdict(g, c, WIRE_REFUSED_DENIED,
                     "this is no task of job %u that the agent knows",
                     m->job.job_id);
        return NULL;
    }
    if (w)
        return w;
    if (m->locks[0] == '\0' && !has_rules) {
        conn_verdict(g, c, WIRE_GO, "%s", "");
        return NULL;
    }
    w = new_job(g, m, false);
    if (!w)
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "no memory, or too many jobs");
    return w;
}

void job_task(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w = find_or_make(g, c, m);
    struct justalock_error err;

    if (!w || is_refused(g, c, w, m))
        return;
    if ((begins_anew(w) || is_without_list(w)) && !take_request(w, m)) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "not started: no memory");
        return;
    }
    part_from_old(g, w, c);
    c->is_batch = m->step_id == STEP_BATCH;
    /* Before anything else: who may start is where the watch finds it. A
     * job of which we do not know yet that it has locks stays where it is. */
    c->is_put = c->uid != 0;
    if (!c->is_put && (w->option[0] != '\0' || w->f.helds_len > 0)) {
        if (work_put(g, w, c->peer, &err) != JUSTALOCK_OK) {
            conn_verdict(g, c, WIRE_REFUSED_LOCAL,
                         "not started, it could not be contained: %s",
                         err.text);
            return;
        }
        c->is_put = true;
    }
    conn_attach(c, w);
    go_on(g, w, c);
}

/* ---- in the name of the owner ---- */

static void job_id_text(const struct work *w, char *ret_text, size_t size)
{
    /* A bare id that is an array's means all of it. */
    if (w->f.job.array_id != WIRE_NO_ARRAY)
        (void)snprintf(ret_text, size, "%u_%u", w->f.job.array_id,
                       w->f.job.array_task);
    else
        (void)snprintf(ret_text, size, "%u", w->f.job.job_id);
}

static void requeued(struct guard *g, struct work *w, struct child_run *c,
                     int status)
{
    char text[WIRE_TEXT_MAX + 1];
    bool is_done = status == 0;

    if (!w || w->child != c)
        return;
    w->child = NULL;
    if (w->state != WORK_RESOLVING)
        return;
    (void)snprintf(text, sizeof(text), "%.300s; %s", w->refusal,
                   is_done ? "the job goes back into the queue"
                           : "and the job could not be requeued");
    hold_refuse(g, w, is_done ? WIRE_REFUSED_REQUEUE : w->refused_as, text);
}

static bool wants_requeue(const struct guard *g, const struct work *w,
                          enum wire_verdict verdict)
{
    unsigned most = g->config ? g->config->slurm.requeue_max : 0;
    bool is_batch = false;

    for (struct conn *c = w->conns; c; c = c->work_next)
        is_batch |= c->is_batch;
    if (!is_batch || w->f.job.restart >= most)
        return false;
    return w->f.on_busy == WIRE_BUSY_REQUEUE ||
           (verdict == WIRE_REFUSED_NET && w->f.on_busy != WIRE_BUSY_FAIL);
}

void job_refused(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text)
{
    char scontrol[] = "scontrol", requeue[] = "requeue", id[32];
    char *const argv[] = {scontrol, requeue, id, NULL};
    char note[WIRE_TEXT_MAX + 1];
    struct conn *next;

    if (!wants_requeue(g, w, verdict)) {
        hold_refuse(g, w, verdict, text);
        return;
    }
    /* Now: once scontrol has been heard, Slurm ends the task at once. */
    (void)snprintf(note, sizeof(note),
                   "%.300s; asking Slurm to requeue the job", text);
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        conn_note(g, c, note);
    }
    job_id_text(w, id, sizeof(id));
    text_say(&w->refusal, "%s", text);
    w->refused_as = verdict;
    w->state = WORK_RESOLVING;
    w->child = child_start(g, w, NULL, w->f.uid, w->f.job.gid, argv, requeued);
    if (!w->child)
        hold_refuse(g, w, verdict, text);
}

static void told(struct guard *g, struct work *w, struct child_run *c,
                 int status)
{
    (void)g;
    (void)w;
    (void)c;
    if (status != 0)
        log_debug("scontrol notify: status %d", status);
}

static void drained(struct guard *g, struct work *w, struct child_run *c,
                    int status)
{
    (void)w;
    (void)c;
    if (status != 0)
        log_error("node %s could not be drained: scontrol ended with status "
                  "%d",
                  g->host, status);
}

void job_unconfirmed(struct guard *g, struct work *w)
{
    char scontrol[] = "scontrol", update[] = "update", drain[] = "State=DRAIN";
    char node[80], reason[160];
    char *const argv[] = {scontrol, update, node, drain, reason, NULL};

    (void)snprintf(node, sizeof(node), "NodeName=%s", g->host);
    (void)snprintf(reason, sizeof(reason),
                   "Reason=justalock: the death of job %u could not be "
                   "confirmed by the end of its lease",
                   w->f.job.job_id);
    log_error("job %u: %s; asking Slurm to drain node %s", w->f.job.job_id,
              reason + strlen("Reason=justalock: "), g->host);
    if (!child_start(g, NULL, NULL, 0, 0, argv, drained))
        log_error("node %s could not be drained: no process for scontrol",
                  g->host);
}

/* A line on the job's stderr, where Slurm manages that in time. */
void job_courtesy(struct guard *g, struct work *w)
{
    char scontrol[] = "scontrol", notify[] = "notify", id[32];
    char text[340];
    char *const argv[] = {scontrol, notify, id, text, NULL};

    job_id_text(w, id, sizeof(id));
    (void)snprintf(text, sizeof(text), "justalock: %.300s", w->loss);
    (void)child_start(g, w, NULL, w->f.uid, w->f.job.gid, argv, told);
}

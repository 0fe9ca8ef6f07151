/* SPDX-License-Identifier: MIT */
/*
 * spank_task.c - a task of a step, forked and about to become the user's
 * program. As root (task_init_privileged) it asks the node's agent, which
 * then knows its pid for the job's work; as the user (task_init) it waits for
 * the verdict and goes on or ends itself.
 *
 * Each task asks on a connection of its own: one shared by the step would be
 * held open by any waiting task, and an answer be read by one of them only.
 * task_init is the one place where refusing never drains the node and where
 * signals reach a waiting task. Of the job the message says only what
 * slurmstepd itself knows; names, partition, het leader and restart count
 * could be forged here, and the agent has them from job_prolog.
 */
#include <errno.h>
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent_client.h"
#include "plugin.h"

/* srun -Z invents job ids from here on; no agent knows such a job. */
#define FIRST_INVENTED_JOB UINT32_C(0xffff0000)
/* A requeued job starts again after two minutes; this ends it one day. */
#define REQUEUE_MAX        16
/* proctrack/linuxproc signals no process that is named slurmstepd. */
#define WAITING_NAME       "justalock"
#define AGAIN_US           50000 /* between two attempts to ask */

enum asked {
    ASKED_NOT,      /* nothing to ask: go on */
    ASKED_SENT,     /* the verdict will come */
    ASKED_NO_AGENT, /* missing or stuck */
    ASKED_LOCALLY   /* refused here: the request is wrong, no descriptors */
};

/* Of this process: each task is a fork of slurmstepd. */
static struct {
    pid_t stepd;
    char bin[256]; /* beside sbin, where slurmstepd runs from; or "" */
    enum asked how;
    int fd;
    bool is_first; /* of the step: speaks for all */
    bool is_batch;
    struct plugin_request request;
    struct wire_msg m;
    struct justalock_error err;
    struct clock_time again_until; /* asking again, without a word since */
    bool is_again;
    char last_note[WIRE_TEXT_MAX + 1];
    char slots[WIRE_TEXT_MAX + 1]; /* of the locks that are pools */
} task = {.fd = -1};

/* In slurmstepd itself, before any task. */
void task_stepd(void)
{
    ssize_t n;
    char *slash;

    task.stepd = getpid();
    n = readlink("/proc/self/exe", task.bin, sizeof(task.bin) - 1);
    task.bin[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        slash = strrchr(task.bin, '/');
        if (slash == NULL)
            task.bin[0] = '\0';
        else
            *slash = '\0';
    }
}

static uint32_t item_u32(spank_t sp, spank_item_t item, uint32_t otherwise)
{
    uint32_t value = 0;

    return spank_get_item(sp, item, &value) == ESPANK_SUCCESS ? value
                                                              : otherwise;
}

static enum justalock_status read_task(spank_t sp, struct wire_msg *ret_m,
                                       struct justalock_error *err)
{
    struct wire_msg m = {.type = WIRE_JOB_TASK, .job.restart = 0};
    uid_t uid = 0;
    gid_t gid = 0;
    int local = 0;

    if (spank_get_item(sp, S_JOB_ID, &m.job.job_id) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_STEPID, &m.step_id) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_UID, &uid) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_GID, &gid) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_TASK_ID, &local) != ESPANK_SUCCESS)
        return error_set(err, JUSTALOCK_STATE,
                         "Slurm does not say which job and task this is");
    m.job.leader_id = m.job.job_id;
    m.job.uid = uid;
    m.job.gid = gid;
    m.job.array_id = item_u32(sp, S_JOB_ARRAY_ID, 0);
    m.job.array_task = item_u32(sp, S_JOB_ARRAY_TASK_ID, WIRE_NO_ARRAY);
    if (m.job.array_id == 0) {
        m.job.array_id = WIRE_NO_ARRAY;
        m.job.array_task = WIRE_NO_ARRAY;
    }
    m.local_task = (uint32_t)local;
    *ret_m = m;
    return JUSTALOCK_OK;
}

/*
 * A full backlog may be a burst of tasks, and a missing agent one that is just
 * being restarted: a few more attempts. Where nothing is asked for, a node
 * without an agent must not cost every task a second.
 */
static enum justalock_status connect_briefly(const char *socket, int *ret_fd,
                                             struct justalock_error *err)
{
    struct clock_time until = clock_add(clock_now(), PLUGIN_PRIVILEGED_MS);
    enum justalock_status st;

    for (;;) {
        st = agent_connect(socket, ret_fd, err);
        if (st != JUSTALOCK_NET || clock_left_ms(until, clock_now()) <= 0)
            return st;
        if (!task.request.is_asked && err->sys_errno != EAGAIN)
            return st;
        (void)usleep(20000);
    }
}

static enum asked ask(const struct plugin_settings *settings,
                      struct justalock_error *err)
{
    struct clock_time until;
    enum justalock_status st;

    st = connect_briefly(settings->socket, &task.fd, err);
    if (st == JUSTALOCK_OK) {
        until = clock_add(clock_now(), PLUGIN_PRIVILEGED_MS);
        st = agent_send(task.fd, &task.m, until, err);
    }
    if (st == JUSTALOCK_OK)
        return ASKED_SENT;
    if (task.fd >= 0)
        (void)close(task.fd);
    task.fd = -1;
    return st == JUSTALOCK_NET ? ASKED_NO_AGENT : ASKED_LOCALLY;
}

/* Root, all signals blocked, the step not yet to be signalled: be brief. */
void task_ask(spank_t sp, const struct plugin_settings *settings)
{
    enum justalock_status request, who;

    request_init(&task.request);
    task.how = ASKED_LOCALLY;
    /* First: whatever else fails, a job that asks for a lock is refused. */
    request = submit_request(sp, &task.request, &task.err);
    task.request.is_asked |= request != JUSTALOCK_OK;
    who = read_task(sp, &task.m, request == JUSTALOCK_OK ? &task.err : NULL);
    task.is_first =
        item_u32(sp, S_JOB_NODEID, 0) == 0 && task.m.local_task == 0;
    task.is_batch = task.m.step_id == SLURM_BATCH_SCRIPT;
    if (request != JUSTALOCK_OK || who != JUSTALOCK_OK)
        return;
    if (task.request.is_asked && settings->is_bad) {
        (void)error_set(&task.err, JUSTALOCK_CONFIG,
                        "plugstack.conf is wrong: %s", settings->why);
        return;
    }
    if (task.m.job.job_id >= FIRST_INVENTED_JOB) {
        (void)error_set(&task.err, JUSTALOCK_DENIED,
                        "srun --no-allocate has no job that could hold a lock");
        task.how = task.request.is_asked ? ASKED_LOCALLY : ASKED_NOT;
        return;
    }
    memcpy(task.m.locks, task.request.locks, sizeof(task.m.locks));
    task.m.wait_ms = task.request.wait_ms;
    task.m.on_busy = task.request.on_busy;
    task.how = ask(settings, &task.err);
}

/* ---- as the user --------------------------------------------------------- */

/* To the user's stderr and to slurmd's log. */
static void say(const char *text)
{
    slurm_spank_log("justalock: %s", text);
}

static void __attribute__((noreturn)) refuse(const char *text, bool speaks)
{
    if (speaks && text[0] != '\0')
        say(text);
    _exit(PLUGIN_EXIT_REFUSED);
}

/* "12", or "12_3": a bare array id would mean the whole array. */
static void job_text(char *ret_text, size_t size)
{
    const struct wire_job *job = &task.m.job;

    if (job->array_id == WIRE_NO_ARRAY)
        (void)snprintf(ret_text, size, "%u", job->job_id);
    else
        (void)snprintf(ret_text, size, "%u_%u", job->array_id, job->array_task);
}

/*
 * Without an agent nobody on this node can requeue the job but its owner. This
 * process is the owner's and has nothing else to do, so it becomes scontrol.
 * Refusing at once instead would make the node a black hole that all waiting
 * jobs fall into. Returns where that is not possible.
 */
static void requeue(spank_t sp)
{
    static const char script[] =
        "scontrol requeue \"$1\" || exit 75\n"
        "sleep 60\n" /* until Slurm ends this run; */
        "exit 75\n"; /* never as if the job had been done */
    char path[320];
    char conf[512];
    char restarts[16];
    char job[32];
    uint64_t restart = 0;
    const char *slurm_conf = getenv("SLURM_CONF");
    char *const env[] = {path, slurm_conf != NULL ? conf : NULL, NULL};

    if (!task.is_batch || task.request.on_busy == WIRE_BUSY_FAIL)
        return;
    if (spank_getenv(sp, "SLURM_RESTART_COUNT", restarts, sizeof(restarts)) ==
            ESPANK_SUCCESS &&
        (parse_u64(restarts, 0, UINT32_MAX, "restarts", &restart, NULL) !=
             JUSTALOCK_OK ||
         restart >= REQUEUE_MAX))
        return;
    job_text(job, sizeof(job));
    (void)snprintf(path, sizeof(path), "PATH=%s/bin:/usr/bin:/bin", task.bin);
    (void)snprintf(conf, sizeof(conf), "SLURM_CONF=%s",
                   slurm_conf != NULL ? slurm_conf : "");
    (void)execle("/bin/sh", "sh", "-c", script, "justalock", job, NULL, env);
}

static void set_or_unset(spank_t sp, const char *name, const char *value)
{
    spank_err_t rc = value[0] != '\0' ? spank_setenv(sp, name, value, 1)
                                      : spank_unsetenv(sp, name);

    if (rc != ESPANK_SUCCESS && rc != ESPANK_ENV_NOEXIST)
        slurm_error("justalock: %s: %s", name, spank_strerror(rc));
}

/* What a program of an earlier holder left in the environment is not ours. */
static void set_environment(spank_t sp, const struct wire_msg *verdict)
{
    char token[24] = "";

    if (verdict->has_token && verdict->locks[0] != '\0')
        (void)snprintf(token, sizeof(token), "%llu",
                       (unsigned long long)verdict->token);
    set_or_unset(sp, "JUSTALOCK_LOCK", verdict->locks);
    set_or_unset(sp, "JUSTALOCK_TOKEN", token);
    set_or_unset(sp, "JUSTALOCK_ID", verdict->ids);
    set_or_unset(sp, "JUSTALOCK_SLOT",
                 verdict->locks[0] != '\0' ? task.slots : "");
}

static void unset_environment(spank_t sp)
{
    const struct wire_msg nothing = {0};

    set_environment(sp, &nothing);
}

/* no_agent= decides; a job that asks for nothing is never harmed by it. */
static void no_agent(spank_t sp, const struct plugin_settings *settings)
{
    char node[65] = "?";
    bool speaks = task.m.local_task == 0;

    if (!task.request.is_asked || settings->is_open)
        unset_environment(sp);
    if (!task.request.is_asked) {
        slurm_verbose("justalock: no agent: %s", task.err.text);
        return;
    }
    (void)gethostname(node, sizeof(node) - 1);
    if (getenv("SLURMD_NODENAME") != NULL)
        (void)snprintf(node, sizeof(node), "%s", getenv("SLURMD_NODENAME"));
    if (speaks)
        slurm_spank_log("justalock: %s: %s without lock %s: no agent: %s", node,
                        settings->is_open ? "starting, as no_agent=open says,"
                                          : "not started",
                        task.request.locks, task.err.text);
    if (settings->is_open)
        return;
    requeue(sp);
    refuse("", false);
}

static void note(const char *text, void *arg)
{
    size_t n = strlen(WIRE_NOTE_SLOT);

    (void)arg;
    task.is_again = false;
    if (strncmp(text, WIRE_NOTE_SLOT, n) == 0) {
        (void)snprintf(task.slots, sizeof(task.slots), "%s", text + n);
        return;
    }
    if (!task.is_first || strcmp(text, task.last_note) == 0)
        return;
    (void)snprintf(task.last_note, sizeof(task.last_note), "%s", text);
    say(text);
}

/*
 * The agent went away and may be back: ask again, now as the user. An agent
 * that takes the request and hangs up each time is no agent either.
 */
static bool ask_again(const struct plugin_settings *settings)
{
    struct clock_time until;
    enum justalock_status st = JUSTALOCK_NET;

    if (!task.is_again)
        task.again_until = clock_add(clock_now(), settings->timeout_ms);
    task.is_again = true;
    (void)usleep(AGAIN_US); /* one that says a word and hangs up, too */
    until = task.again_until;
    task.slots[0] = '\0';
    (void)close(task.fd);
    task.fd = -1;
    while (st != JUSTALOCK_OK && clock_left_ms(until, clock_now()) > 0) {
        if (getppid() != task.stepd)
            return false;
        st = agent_connect(settings->socket, &task.fd, &task.err);
        if (st == JUSTALOCK_OK)
            st = agent_send(task.fd, &task.m, until, &task.err);
        if (st == JUSTALOCK_OK)
            return true;
        if (task.fd >= 0)
            (void)close(task.fd);
        task.fd = -1;
        (void)usleep(AGAIN_US);
    }
    return false;
}

static enum wait_end await(const struct plugin_settings *settings,
                           struct wire_msg *ret_verdict)
{
    struct wait_for w = {.parent = task.stepd,
                         .first_ms = settings->timeout_ms,
                         .total_ms = -1,
                         .note = note};
    struct clock_time until = clock_never(); /* however often we ask again */
    enum wait_end end;

    if (task.m.wait_ms >= 0)
        until = clock_add(clock_now(), task.m.wait_ms + settings->timeout_ms);
    do {
        w.fd = task.fd;
        if (!clock_is_never(until))
            w.total_ms = clock_left_ms(until, clock_now());
        if (!clock_is_never(until) && w.total_ms < 0)
            w.total_ms = 0;
        end = wait_verdict(&w, ret_verdict, &task.err);
    } while (end == WAIT_GONE && ask_again(settings));
    return end == WAIT_GONE && getppid() != task.stepd ? WAIT_ORPHAN : end;
}

static void advise(const struct wire_msg *verdict)
{
    if (task.is_first && verdict->verdict == WIRE_REFUSED_BUSY)
        say("the job was not started; --lock-on-busy=wait and "
            "--lock-wait=TIME say how long it waits");
}

static void obey(spank_t sp, const struct wire_msg *verdict)
{
    if (verdict->verdict == WIRE_GO) {
        if (task.is_first && verdict->text[0] != '\0')
            say(verdict->text);
        set_environment(sp, verdict);
        return;
    }
    /* The note before it has said so: the task was to be ended since then. */
    if (verdict->verdict == WIRE_REFUSED_REQUEUE && task.last_note[0] != '\0')
        refuse("", false);
    if (task.is_first)
        say(verdict->text[0] != '\0' ? verdict->text
                                     : "refused by the node's agent");
    advise(verdict);
    refuse("", false);
}

/* The verdict, or what stands in for it. */
static void await_and_obey(spank_t sp, const struct plugin_settings *settings)
{
    struct wire_msg verdict = {0};

    switch (await(settings, &verdict)) {
    case WAIT_VERDICT:
        obey(sp, &verdict);
        break;
    case WAIT_ORPHAN:
        refuse("", false);
    case WAIT_SILENT:
    case WAIT_GONE:
    case WAIT_RUBBISH:
        no_agent(sp, settings);
        break;
    }
}

/* As the user, signals open, the step running: waiting may take its time. */
void task_await(spank_t sp, const struct plugin_settings *settings)
{
    char name[17] = "";

    switch (task.how) {
    case ASKED_LOCALLY:
        if (task.request.is_asked)
            refuse(task.err.text, task.m.local_task == 0);
        slurm_error("justalock: %s", task.err.text);
        unset_environment(sp);
        return;
    case ASKED_NOT:
        unset_environment(sp);
        return;
    case ASKED_NO_AGENT:
        no_agent(sp, settings);
        return;
    case ASKED_SENT:
        break;
    }
    (void)prctl(PR_GET_NAME, name);
    (void)prctl(PR_SET_NAME, WAITING_NAME);
    await_and_obey(sp, settings);
    (void)prctl(PR_SET_NAME, name);
    if (task.fd >= 0)
        (void)close(task.fd);
    task.fd = -1;
}

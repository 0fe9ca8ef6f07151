/* SPDX-License-Identifier: MIT */
/*
 * spank_script.c - job_prolog and job_epilog: tell the agent that a job has
 * come to this node and what it is, and that it has ended. The environment of
 * these two is slurmd's, so nothing in it but the option's value is the
 * user's word; and here alone are the restart count and the het leader right.
 *
 * Neither may fail or hold up slurmd: two seconds at most, and every trouble
 * is only logged. A job whose locks the agent never heard of here is asked
 * about again by its tasks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_client.h"
#include "plugin.h"

static uint32_t env_u32(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value = 0;

    if (text == NULL ||
        parse_u64(text, 0, UINT32_MAX, name, &value, NULL) != JUSTALOCK_OK)
        return otherwise;
    return (uint32_t)value;
}

/* "" where it is missing, too long to be right, or not clean text. */
static void env_text(const char *name, char ret_text[WIRE_FIELD_MAX + 1])
{
    const char *text = getenv(name);
    size_t len = text != NULL ? strlen(text) : 0;

    ret_text[0] = '\0';
    if (text == NULL || len > WIRE_FIELD_MAX || !parse_is_clean_text(text, len))
        return;
    memcpy(ret_text, text, len + 1);
}

static void read_job(spank_t sp, struct wire_job *ret_job)
{
    struct wire_job job = {0};
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;

    if (spank_get_item(sp, S_JOB_ID, &job.job_id) != ESPANK_SUCCESS)
        job.job_id = env_u32("SLURM_JOB_ID", 0);
    if (spank_get_item(sp, S_JOB_UID, &uid) != ESPANK_SUCCESS)
        uid = env_u32("SLURM_JOB_UID", UINT32_MAX);
    if (spank_get_item(sp, S_JOB_GID, &gid) != ESPANK_SUCCESS)
        gid = env_u32("SLURM_JOB_GID", UINT32_MAX);
    job.uid = uid;
    job.gid = gid;
    job.leader_id = env_u32("SLURM_HET_JOB_ID", job.job_id);
    job.array_id = env_u32("SLURM_ARRAY_JOB_ID", WIRE_NO_ARRAY);
    job.array_task = env_u32("SLURM_ARRAY_TASK_ID", WIRE_NO_ARRAY);
    job.restart = env_u32("SLURM_JOB_RESTART_COUNT", 0);
    job.node_count = env_u32("SLURM_JOB_NUM_NODES", 0);
    env_text("SLURM_CLUSTER_NAME", job.cluster);
    env_text("SLURM_JOB_PARTITION", job.partition);
    env_text("SLURM_JOB_RESERVATION", job.reservation);
    env_text("SLURM_JOB_ACCOUNT", job.account);
    /* Only later releases tell it here; never taken from a step. */
    env_text("SLURM_JOB_NAME", job.name);
    *ret_job = job;
}

/* Send, and wait for the answer: then it is on record before any step. */
static enum justalock_status tell(const char *socket, int64_t time_ms,
                                  const struct wire_msg *m,
                                  struct justalock_error *err)
{
    struct clock_time deadline = clock_add(clock_now(), time_ms);
    struct wire_msg answer;
    enum justalock_status st;
    int fd = -1;

    st = agent_connect(socket, &fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    st = agent_send(fd, m, deadline, err);
    /* Its notes are for nobody here; nor are they a way to hold us up. */
    do {
        if (st == JUSTALOCK_OK)
            st = agent_recv(fd, &answer, deadline, err);
    } while (st == JUSTALOCK_OK && answer.type == WIRE_NOTE &&
             clock_left_ms(deadline, clock_now()) > 0);
    if (st == JUSTALOCK_OK && answer.type != WIRE_VERDICT)
        st = error_set(err, JUSTALOCK_PROTO, "an answer of type %d",
                       (int)answer.type);
    if (st == JUSTALOCK_OK && answer.verdict != WIRE_GO)
        st = error_set(err, JUSTALOCK_DENIED, "%s",
                       answer.text[0] != '\0' ? answer.text
                                              : "refused by the node's agent");
    (void)close(fd);
    return st;
}

static void tell_logged(const struct plugin_settings *settings,
                        const struct wire_msg *m, const char *what)
{
    int64_t time_ms = settings->timeout_ms < PLUGIN_SCRIPT_MS
                          ? settings->timeout_ms
                          : PLUGIN_SCRIPT_MS;
    struct justalock_error err;

    if (settings->is_bad)
        slurm_error("justalock: plugstack.conf: %s", settings->why);
    if (tell(settings->socket, time_ms, m, &err) != JUSTALOCK_OK)
        slurm_error("justalock: job %u, %s: %s", m->job.job_id, what, err.text);
}

void script_begin(spank_t sp, const struct plugin_settings *settings)
{
    struct wire_msg m = {.type = WIRE_JOB_BEGIN};
    struct plugin_request request;
    struct justalock_error err;

    request_init(&request);
    read_job(sp, &m.job);
    /* A wrong value is refused, with a sentence to the user, by the tasks. */
    if (submit_request(sp, &request, &err) != JUSTALOCK_OK)
        slurm_error("justalock: job %u: %s", m.job.job_id, err.text);
    memcpy(m.locks, request.locks, sizeof(m.locks));
    m.wait_ms = request.wait_ms;
    m.on_busy = request.on_busy;
    tell_logged(settings, &m, "prolog");
}

void script_end(spank_t sp, const struct plugin_settings *settings)
{
    struct wire_msg m = {.type = WIRE_JOB_END};

    read_job(sp, &m.job);
    tell_logged(settings, &m, "epilog");
}

/* SPDX-License-Identifier: MIT */
/*
 * wire_client.c - speaks wire.h from the command line, for tests of the agent
 * without Slurm: plays prolog, epilog, a task that is about to become a
 * program, and the owner of a command. One line of output per message.
 *
 *   wire_client SOCKET ping | reload | list
 *   wire_client SOCKET begin [OPTION..]     the job's prolog
 *   wire_client SOCKET end [OPTION..]       its epilog
 *   wire_client SOCKET task [OPTION..] -- COMMAND..     becomes COMMAND on go
 *   wire_client SOCKET command [OPTION..] -- COMMAND..  runs it as a child
 * Options, all KEY=VALUE: job leader restart uid nodes locks wait busy
 * partition name step lost signo life client label as (setuid before asking)
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"

static struct wire_msg m;
static char **command;
static uint32_t become;

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);

    if (*end != '\0') {
        fprintf(stderr, "%s: not a number\n", text);
        exit(64);
    }
    return v;
}

static void text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static void numbered(const char *key, const char *value)
{
    const struct {
        const char *key;
        uint32_t *to;
    } all[] = {{"job", &m.job.job_id},       {"leader", &m.job.leader_id},
               {"restart", &m.job.restart},  {"uid", &m.job.uid},
               {"nodes", &m.job.node_count}, {"step", &m.step_id},
               {"life", &m.life_s},          {"as", &become}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(key, all[i].key) == 0) {
            *all[i].to = (uint32_t)number(value);
            return;
        }
    if (strcmp(key, "lost") == 0)
        m.on_lost = (uint8_t)number(value);
    else if (strcmp(key, "signo") == 0)
        m.signo = (uint8_t)number(value);
    else if (strcmp(key, "busy") == 0)
        m.on_busy = (uint8_t)number(value);
    else if (strcmp(key, "wait") == 0)
        m.wait_ms = value[0] == '-' ? -1 : (int64_t)number(value);
    else {
        fprintf(stderr, "%s: no such option\n", key);
        exit(64);
    }
}

static void option(char *word)
{
    char *value = strchr(word, '=');

    if (!value) {
        fprintf(stderr, "%s: KEY=VALUE?\n", word);
        exit(64);
    }
    *value++ = '\0';
    if (strcmp(word, "locks") == 0)
        text(m.locks, sizeof(m.locks), value);
    else if (strcmp(word, "partition") == 0)
        text(m.job.partition, sizeof(m.job.partition), value);
    else if (strcmp(word, "name") == 0)
        text(m.job.name, sizeof(m.job.name), value);
    else if (strcmp(word, "client") == 0)
        text(m.client, sizeof(m.client), value);
    else if (strcmp(word, "label") == 0)
        text(m.label, sizeof(m.label), value);
    else
        numbered(word, value);
}

static void say(const struct wire_msg *a)
{
    if (a->type == WIRE_NOTE)
        printf("note %s\n", a->text);
    else if (a->type == WIRE_LOST)
        printf("lost %s\n", a->text);
    else if (a->type == WIRE_ITEM)
        printf("item %u %s %s pids=%u left=%lld holder=%s\n", a->item_state,
               a->locks, a->item_work, a->item_pids, (long long)a->item_left_ms,
               a->item_holder);
    else
        printf("verdict %u %s token=%llu ids=%s %s\n", a->verdict, a->locks,
               a->has_token ? (unsigned long long)a->token : 0, a->ids,
               a->text);
    fflush(stdout);
}

static int open_agent(const char *path)
{
    struct justalock_error err;
    int fd = -1;

    if (agent_connect(path, &fd, &err) != JUSTALOCK_OK) {
        printf("error %s\n", err.text);
        exit(69);
    }
    return fd;
}

static void tell(int fd, const struct wire_msg *q)
{
    struct justalock_error err;

    if (agent_send(fd, q, clock_add(clock_now(), 2000), &err) != JUSTALOCK_OK) {
        printf("error %s\n", err.text);
        exit(69);
    }
}

/* All messages up to the verdict; its number, or 69. */
static int verdict(int fd)
{
    static struct wire_msg a;
    struct justalock_error err;

    do {
        if (agent_recv(fd, &a, clock_never(), &err) != JUSTALOCK_OK) {
            printf("error %s\n", err.text);
            fflush(stdout);
            return 69;
        }
        say(&a);
    } while (a.type != WIRE_VERDICT);
    return a.verdict;
}

/* The child waits on the pipe until it has been contained. */
static pid_t start_child(int *ret_go)
{
    int go[2];
    char c;
    pid_t pid;

    if (pipe(go) < 0)
        exit(71);
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        if (read(go[0], &c, 1) != 1)
            _exit(75);
        execvp(command[0], command);
        _exit(127);
    }
    close(go[0]);
    *ret_go = go[1];
    return pid;
}

static int run_command(int fd)
{
    struct wire_msg q = {.type = WIRE_COMMAND_PID};
    static struct wire_msg a;
    struct justalock_error err;
    int go, status, rc;
    pid_t pid;

    rc = verdict(fd);
    if (rc != WIRE_GO)
        return rc;
    pid = start_child(&go);
    q.pid = (uint32_t)pid;
    tell(fd, &q);
    rc = verdict(fd);
    if (rc != WIRE_GO || write(go, "x", 1) != 1)
        return rc;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (fd >= 0 && poll(&p, 1, 20) == 1) {
            if (agent_recv(fd, &a, clock_now(), &err) == JUSTALOCK_OK) {
                say(&a);
            } else {
                printf("gone\n");
                fflush(stdout);
                close(fd);
                fd = -1;
            }
        } else if (fd < 0) {
            usleep(20000);
        }
    }
    printf("exit %d\n",
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
    if (fd < 0)
        return 0;
    q.type = WIRE_COMMAND_END;
    tell(fd, &q);
    return verdict(fd);
}

static int run_task(int fd)
{
    int rc = verdict(fd);

    if (rc != WIRE_GO)
        return rc;
    close(fd);
    setenv("SLURM_JOB_ID", "0", 0);
    if (command[0]) {
        execvp(command[0], command);
        return 127;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char *none[] = {NULL};
    const struct {
        const char *verb;
        enum wire_type type;
    } verbs[] = {{"ping", WIRE_PING},      {"reload", WIRE_RELOAD},
                 {"list", WIRE_LIST},      {"begin", WIRE_JOB_BEGIN},
                 {"end", WIRE_JOB_END},    {"task", WIRE_JOB_TASK},
                 {"command", WIRE_COMMAND}};
    int fd;

    command = none;
    m.wait_ms = WIRE_WAIT_DEFAULT;
    m.job.array_id = m.job.array_task = WIRE_NO_ARRAY;
    m.job.node_count = 1;
    for (size_t i = 0; argc > 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(argv[2], verbs[i].verb) == 0)
            m.type = verbs[i].type;
    if (m.type == 0)
        return 64;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            command = argv + i + 1;
            break;
        }
        option(argv[i]);
    }
    if (m.job.leader_id == 0)
        m.job.leader_id = m.job.job_id;
    if (become != 0 && (setgid(become) < 0 || setuid(become) < 0))
        return 71;
    fd = open_agent(argv[1]);
    tell(fd, &m);
    if (m.type == WIRE_COMMAND)
        return run_command(fd);
    if (m.type == WIRE_JOB_TASK)
        return run_task(fd);
    return verdict(fd);
}

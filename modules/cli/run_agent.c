/* SPDX-License-Identifier: MIT */
/*
 * run_agent.c - `justalock run` through the host's agent: the agent holds the
 * lock, contains the command and ends it by the deadline; we start it, pass
 * signals and the terminal on, and return its status. Nothing that happens to
 * this process lets the command run on beyond its lock.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"
#include "child.h"
#include "run.h"
#include "words.h"

#define ANSWER_MS 5000  /* for what the agent can answer at once */
#define AGAIN_MS  100   /* between two tries to reach a restarted agent */
#define GONE_MS   10000 /* an agent that does not come back */
#define END_MS    1000  /* the same, for the word that the command has ended */

#define START_AGAIN (-4) /* of start() */

struct agent_run {
    struct run_base *base;
    const struct run_options *o;
    const char *socket;
    int fd;       /* -1: the agent is gone, for now */
    bool has_met; /* it was there when we asked */
    struct clock_time gone_since;
    struct waiting waiting;
    struct child child;
    bool has_exited;
    bool is_lost;
    bool is_unsure; /* lost, and not seen dead */
    bool has_slot;
    unsigned slot;
    int wait_status;
};

static int code_of(const struct agent_run *r, unsigned verdict)
{
    if (verdict == WIRE_REFUSED_BUSY)
        return r->o->busy_code;
    return cli_exit_code(cli_verdict_status(verdict));
}

static void fill(const struct agent_run *r, struct wire_msg *m)
{
    const struct run_options *o = r->o;

    memset(m, 0, sizeof(*m));
    m->type = WIRE_COMMAND;
    (void)snprintf(m->locks, sizeof(m->locks), "%s", o->lock);
    m->wait_ms = o->wait_ms;
    m->on_lost = (uint8_t)o->on_lost; /* the same order: guard_command.c */
    m->signo = (uint8_t)o->lost_signal;
    m->life_s = o->life_s;
    if (o->label != NULL) /* else the agent, who knows the service, makes one */
        (void)snprintf(m->label, sizeof(m->label), "%s", o->label);
    if (o->client != NULL)
        (void)snprintf(m->client, sizeof(m->client), "%s", o->client);
}

static enum justalock_status ask(struct agent_run *r,
                                 struct justalock_error *err)
{
    struct wire_msg m;
    enum justalock_status st = agent_connect(r->socket, &r->fd, err);

    if (st != JUSTALOCK_OK) {
        r->fd = -1;
        return st;
    }
    r->has_met = true;
    r->has_slot = false;
    fill(r, &m);
    st = agent_send(r->fd, &m, clock_add(clock_now(), ANSWER_MS), err);
    if (st == JUSTALOCK_OK)
        return JUSTALOCK_OK;
    (void)close(r->fd);
    r->fd = -1;
    return st;
}

static void lose_agent(struct agent_run *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = -1;
    r->gone_since = clock_now();
}

/* 0: nothing now; 1: *ret_m; -1: the agent is gone. */
static int next_message(struct agent_run *r, struct wire_msg *ret_m)
{
    struct justalock_error err;
    enum justalock_status st;
    struct pollfd p = {.fd = r->fd, .events = POLLIN};

    if (r->fd < 0 || poll(&p, 1, 0) <= 0)
        return 0;
    st = agent_recv(r->fd, ret_m, clock_now(), &err);
    if (st == JUSTALOCK_OK)
        return 1;
    lose_agent(r);
    return -1;
}

/* ---- waiting for the lock
 * ------------------------------------------------------- */

/* Returns an exit code, or -1 to go on. */
static int wait_signals(struct agent_run *r)
{
    int signo;

    while ((signo = signals_next(&r->base->signals)) > 0) {
        if (signo == SIGTSTP) {
            (void)signals_stop_self(NULL);
        } else if (signals_is_ending(signo)) {
            waiting_done(&r->waiting);
            return run_signal_code(signo);
        }
    }
    return -1;
}

static int reconnect(struct agent_run *r)
{
    struct justalock_error err;

    if (r->fd >= 0 || ask(r, &err) == JUSTALOCK_OK)
        return -1;
    if (clock_elapsed_ms(r->gone_since, clock_now()) < GONE_MS)
        return -1;
    waiting_done(&r->waiting);
    cli_say("%s: %s; %s was not started", r->o->lock, err.text, r->o->argv[0]);
    return CLI_NET;
}

/* -1: granted (*ret_m is the verdict); -2: to be tried alone; else the code. */
static int on_answer(struct agent_run *r, const struct wire_msg *m)
{
    size_t n = strlen(WIRE_NOTE_SLOT);
    uint64_t slot = 0;

    if (m->type == WIRE_NOTE && strncmp(m->text, WIRE_NOTE_SLOT, n) == 0) {
        r->has_slot = parse_u64(m->text + n, 0, JUSTALOCK_SLOTS_MAX - 1, "slot",
                                &slot, NULL) == JUSTALOCK_OK;
        r->slot = r->has_slot ? (unsigned)slot : 0;
        return -3;
    }
    if (m->type == WIRE_NOTE) {
        waiting_show(&r->waiting, m->text);
        return -3;
    }
    waiting_done(&r->waiting);
    if (m->type != WIRE_VERDICT) {
        cli_say("the agent answers out of turn");
        return CLI_LOCAL;
    }
    if (m->verdict == WIRE_GO)
        return -1;
    if (m->verdict == WIRE_REFUSED_DENIED && getuid() != 0 &&
        r->o->socket == NULL)
        return -2;
    if (m->verdict == WIRE_REFUSED_BUSY)
        cli_say("%s; %s was not started (%s)", m->text, r->o->argv[0],
                run_busy_advice(r->o->wait_ms));
    else
        cli_say("%s", m->text);
    return code_of(r, m->verdict);
}

static int wait_for_lock(struct agent_run *r, struct wire_msg *m)
{
    for (;;) {
        struct pollfd p[2] = {
            {.fd = r->base->signals.fd, .events = POLLIN},
            {.fd = r->fd, .events = POLLIN},
        };
        int64_t ms = clock_left_ms(waiting_due(&r->waiting), clock_now());
        int code;

        if (r->fd < 0)
            ms = AGAIN_MS;
        (void)poll(p, 2, ms < 0 ? 0 : (int)(ms < 1000 ? ms : 1000));
        code = wait_signals(r);
        if (code >= 0)
            return code;
        while (next_message(r, m) == 1) {
            code = on_answer(r, m);
            if (code != -3)
                return code;
        }
        code = reconnect(r);
        if (code >= 0)
            return code;
        waiting_tick(&r->waiting);
    }
}

/* ---- the command
 * ------------------------------------------------------------------ */

/*
 * The child waits at its gate: put it under the lock, then let it go. -1: it
 * runs; START_AGAIN: the agent went meanwhile (it is being restarted) and
 * nothing has run: to be asked again; else the code.
 */
static int start(struct agent_run *r, const struct wire_msg *granted)
{
    struct child_how how = {.argv = r->o->argv,
                            .lock = r->o->lock,
                            .signals = &r->base->signals,
                            .terminal = &r->base->terminal,
                            .place = granted->place};
    struct child_pass pass = {.stop_at = clock_never(),
                              .has_token = granted->has_token != 0,
                              .token = granted->token,
                              .has_slot = r->has_slot,
                              .slot = r->slot,
                              .has_id = granted->ids[0] != '\0'};
    struct wire_msg m = {.type = WIRE_COMMAND_PID};
    struct clock_time by = clock_add(clock_now(), ANSWER_MS);
    struct justalock_error err;
    enum justalock_status st = child_start(&how, &r->child, &err);

    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    m.pid = (uint32_t)r->child.pid;
    st = agent_send(r->fd, &m, by, &err);
    if (st == JUSTALOCK_OK)
        st = agent_recv(r->fd, &m, by, &err);
    if (st == JUSTALOCK_OK && m.type == WIRE_VERDICT && m.verdict == WIRE_GO) {
        (void)snprintf(pass.id, sizeof(pass.id), "%.22s", granted->ids);
        pass.on_terminal = terminal_is_ours(&r->base->terminal);
        st = child_go(&r->child, &pass, &err);
        if (st == JUSTALOCK_OK)
            return -1;
    }
    child_drop(&r->child);
    (void)waitpid(r->child.pid, NULL, 0); /* it ends at its closed gate */
    if (st == JUSTALOCK_NET) {
        lose_agent(r);
        return START_AGAIN;
    }
    cli_say("%s was not started: %s", r->o->argv[0],
            st == JUSTALOCK_OK ? m.text : err.text);
    return st == JUSTALOCK_OK ? code_of(r, m.verdict) : CLI_LOCAL;
}

static void stop_with_command(struct agent_run *r)
{
    const struct terminal *t = &r->base->terminal;

    (void)terminal_take(t, r->child.pid);
    (void)signals_stop_self(NULL);
    terminal_pass_on(t, r->child.pid);
    (void)kill(-r->child.pid, SIGCONT);
}

static void reap(struct agent_run *r)
{
    int status;

    while (waitpid(r->child.pid, &status, WNOHANG | WUNTRACED) ==
           r->child.pid) {
        if (WIFSTOPPED(status)) {
            int signo = WSTOPSIG(status);

            if (signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU)
                stop_with_command(r);
            continue;
        }
        r->has_exited = true;
        r->wait_status = status;
        (void)terminal_take(&r->base->terminal, r->child.pid);
        return;
    }
}

static void read_signals(struct agent_run *r)
{
    int signo;

    while ((signo = signals_next(&r->base->signals)) > 0) {
        if (signo == SIGCONT)
            terminal_pass_on(&r->base->terminal, r->child.pid);
        if (signals_is_forwarded(signo))
            (void)kill(-r->child.pid, signo); /* not reaped: its own group */
    }
    reap(r);
}

static void on_message(struct agent_run *r, const struct wire_msg *m)
{
    if (m->type == WIRE_LOST) {
        cli_say("%s", m->text);
        r->is_unsure |= strstr(m->text, "could not be confirmed") != NULL;
        r->is_lost = true;
    } else if (m->type == WIRE_VERDICT && m->verdict != WIRE_GO) {
        /* After a restart of the agent: it knows of no such work. */
        r->is_lost = r->is_lost || m->verdict == WIRE_REFUSED_LOST;
    }
}

static bool kills_at_loss(const struct agent_run *r)
{
    return r->o->on_lost == CONFIG_LOST_UNSET ||
           r->o->on_lost == CONFIG_LOST_KILL;
}

/* Until it has exited, or may live on after its lease: it is killed already,
 * and cannot die. */
static void run(struct agent_run *r)
{
    struct wire_msg m;
    struct justalock_error err;

    while (!r->has_exited && !(r->is_unsure && kills_at_loss(r))) {
        struct pollfd p[2] = {
            {.fd = r->base->signals.fd, .events = POLLIN},
            {.fd = r->fd, .events = POLLIN},
        };

        (void)poll(p, 2, r->fd < 0 ? AGAIN_MS : -1);
        while (next_message(r, &m) == 1)
            on_message(r, &m);
        read_signals(r);
        if (r->fd < 0 && !r->has_exited)
            (void)ask(r, &err); /* it finds us by our pid */
    }
}

/*
 * To an agent that is being restarted too: what follows us in a script may
 * want the lock. One that never hears of it looks for us and finds us gone.
 */
static bool tell_end(struct agent_run *r)
{
    struct wire_msg m = {.type = WIRE_COMMAND_END};
    struct clock_time by = clock_add(clock_now(), END_MS);
    struct justalock_error err;

    for (;;) {
        if (r->fd < 0 && agent_connect(r->socket, &r->fd, &err) != JUSTALOCK_OK)
            r->fd = -1;
        if (r->fd >= 0 && agent_send(r->fd, &m, by, &err) == JUSTALOCK_OK)
            return true;
        lose_agent(r);
        if (clock_left_ms(by, clock_now()) <= 0)
            return false;
        (void)poll(NULL, 0, AGAIN_MS);
    }
}

/*
 * The command has ended. What it left behind keeps the lock, at the agent.
 * A lost lock's status waits for the word that all of the work is dead.
 */
static int end(struct agent_run *r)
{
    struct wire_msg m;
    struct clock_time by = clock_add(clock_now(), ANSWER_MS);
    struct justalock_error err;

    if (!r->has_exited)
        return CLI_LOST_ALIVE;
    if (tell_end(r))
        while (agent_recv(r->fd, &m, by, &err) == JUSTALOCK_OK) {
            if (m.type == WIRE_LOST)
                on_message(r, &m);
            if (m.type == WIRE_VERDICT) {
                r->is_lost = m.verdict == WIRE_REFUSED_LOST;
                break;
            }
        }
    if (r->is_lost && kills_at_loss(r))
        return r->is_unsure ? CLI_LOST_ALIVE : CLI_LOST;
    return child_code(r->wait_status);
}

int run_agent(struct run_base *b, bool *ret_alone)
{
    struct agent_run r = {.base = b, .o = b->options, .fd = -1};
    struct justalock_error err;
    struct wire_msg m;
    enum justalock_status st;
    int code;

    r.socket = r.o->socket != NULL ? r.o->socket : WIRE_SOCKET;
    r.child.gate = -1;
    *ret_alone = false;
    waiting_init(&r.waiting);
    st = ask(&r, &err);
    if (st == JUSTALOCK_NET && r.has_met) {
        lose_agent(&r); /* being restarted: asked again, as in the wait */
    } else if (st != JUSTALOCK_OK) {
        *ret_alone = st == JUSTALOCK_NET && r.o->socket == NULL;
        return *ret_alone ? CLI_NET : cli_fail(&err, st);
    }
    do {
        code = wait_for_lock(&r, &m);
        if (code == -2)
            *ret_alone = true;
        if (code == -1)
            code = start(&r, &m);
    } while (code == START_AGAIN);
    if (code == -1) {
        run(&r);
        code = end(&r);
    }
    if (r.fd >= 0)
        (void)close(r.fd);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * back.c - the back of `justalock run` without an agent: gets and keeps the
 * lock through a keeper, starts the command, ends it at a loss or when the
 * front is gone, and gives the lock back when no process of the work is left.
 * How the work is ended: back_end.c.
 */
#include "back.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "talk.h"

void back_finish(struct back *b, int code)
{
    waiting_done(&b->waiting);
    if (!b->told)
        (void)talk_send(b->front, TALK_ENDED, code); /* it may be gone */
    b->told = true;
}

static void refuse_busy(struct back *b)
{
    const struct run_options *o = b->a->base->options;

    waiting_done(&b->waiting);
    cli_say("%s is held by %s%s%s; %s was not started (%s)", o->lock,
            b->holder[0] != '\0' ? b->holder : "another",
            b->since[0] != '\0' ? " since " : "", b->since, o->argv[0],
            run_busy_advice(b->a->hold.wait_ms));
    b->code = o->busy_code;
}

static void refuse_net(struct back *b, const struct keeper_event *e)
{
    const struct run_options *o = b->a->base->options;

    waiting_done(&b->waiting);
    cli_say("%s: %s; %s was not started", o->lock,
            e->text[0] != '\0' ? e->text : "the service does not answer",
            o->argv[0]);
    b->code = e->status == JUSTALOCK_DENIED ? CLI_DENIED : CLI_NET;
}

static void show_waiting(struct back *b)
{
    char text[sizeof(b->waiting.text)];

    (void)snprintf(text, sizeof(text), "waiting for %s, held by %s%s%s",
                   b->a->base->options->lock,
                   b->holder[0] != '\0' ? b->holder : "another",
                   b->since[0] != '\0' ? " since " : "", b->since);
    waiting_show(&b->waiting, text);
}

static void start_command(struct back *b, const struct keeper_event *e)
{
    const struct run_options *o = b->a->base->options;
    struct child_how how = {.argv = o->argv,
                            .lock = o->lock,
                            .signals = &b->a->base->signals,
                            .terminal = &b->a->base->terminal,
                            .dies_with_us = b->a->on_lost == CONFIG_LOST_KILL};
    struct child_pass pass;
    struct justalock_error err;

    page_set_deadline(b->a->page, &b->a->hold.times,
                      hold_deadline(&b->a->hold));
    memset(&pass, 0, sizeof(pass));
    pass.stop_at = page_term_at(b->a->page);
    pass.has_token = e->has_token;
    pass.token = e->token;
    pass.has_slot = e->has_slot;
    pass.slot = e->slot;
    pass.has_id = b->a->names_are_plain;
    (void)snprintf(pass.id, sizeof(pass.id), "%s",
                   id_format(&b->a->hold.lock.id).s);
    pass.on_terminal = terminal_is_ours(&b->a->base->terminal);
    if (child_start(&how, &b->child, &err) != JUSTALOCK_OK) {
        back_release(b, cli_fail(&err, err.status));
        return;
    }
    b->a->page->child = b->child.pid;
    b->state = BACK_WORKING;
    if (child_go(&b->child, &pass, &err) != JUSTALOCK_OK)
        cli_say("%s", err.text); /* it ends by itself, as any command */
    back_detach_stdio();
}

static void on_granted(struct back *b, const struct keeper_event *e)
{
    waiting_done(&b->waiting);
    if (b->state != BACK_ASKING) /* a new keeper heard it once more */
        return;
    if (b->front < 0)
        back_release(b, CLI_LOCAL);
    else
        start_command(b, e);
}

static void on_busy(struct back *b, const struct keeper_event *e)
{
    (void)snprintf(b->holder, sizeof(b->holder), "%s", e->holder);
    (void)snprintf(b->since, sizeof(b->since), "%s", e->since);
    if (b->state != BACK_ASKING)
        return;
    if (b->a->hold.wait_ms == 0) {
        refuse_busy(b);
        back_release(b, b->code);
        return;
    }
    show_waiting(b);
}

static void on_trouble(struct back *b, const struct keeper_event *e)
{
    if (b->state == BACK_ASKING && b->a->hold.wait_ms == 0)
        return; /* the refusal says it */
    waiting_done(&b->waiting);
    cli_say("%s: %s; still trying", b->a->base->options->lock,
            e->text[0] != '\0' ? e->text : "the service does not answer");
}

static void on_released(struct back *b, const struct keeper_event *e)
{
    if (b->state != BACK_RELEASING)
        return;
    if (e->status == JUSTALOCK_NET && !b->is_lost && b->child.pid != 0)
        cli_say("%s could not be given back; it stays held until its lease "
                "ends, in %u s at most",
                b->a->base->options->lock, b->a->hold.lock.times.life_s);
    b->state = BACK_OVER;
}

static void on_event(struct back *b, const struct keeper_event *e)
{
    switch (e->kind) {
    case KEEPER_GRANTED:
        on_granted(b, e);
        break;
    case KEEPER_EXTENDED:
        if (b->a->page->state == PAGE_HELD && !b->is_lost)
            page_set_deadline(b->a->page, &b->a->hold.times,
                              hold_deadline(&b->a->hold));
        break;
    case KEEPER_BUSY:
        on_busy(b, e);
        break;
    case KEEPER_TROUBLE:
        on_trouble(b, e);
        break;
    case KEEPER_LOST:
        back_lose(b, e->text);
        break;
    case KEEPER_TIMEOUT:
        if (b->state != BACK_ASKING) {
            back_lose(b, e->text); /* given back behind our back */
            break;
        }
        if (e->status == JUSTALOCK_HELD)
            refuse_busy(b);
        else
            refuse_net(b, e);
        back_release(b, b->code);
        break;
    case KEEPER_RELEASED:
        on_released(b, e);
        break;
    }
}

static void on_news(struct back *b, enum hold_news news,
                    const struct justalock_error *err)
{
    if (news != HOLD_FAILED || b->state != BACK_ASKING)
        return;
    back_finish(b, cli_fail(err, JUSTALOCK_SYS));
    b->state = BACK_OVER;
}

static void read_keeper(struct back *b)
{
    struct justalock_error err;
    struct keeper_event event;

    while (b->state != BACK_OVER &&
           hold_next(&b->a->hold, &event, &err) == HOLD_EVENT)
        on_event(b, &event);
    b->a->page->keeper = b->a->hold.pid;
}

static void read_front(struct back *b)
{
    struct talk t;
    int n;

    while ((n = talk_recv(b->front, &t)) > 0)
        if (t.kind == TALK_SIGNAL)
            back_signal(b, t.value);
    if (n < 0 && b->front >= 0) {
        (void)close(b->front);
        b->front = -1;
        back_front_gone(b);
    }
}

static void read_signals(struct back *b)
{
    int signo;

    while ((signo = signals_next(&b->a->base->signals)) > 0)
        if (signo != SIGCHLD && signals_is_ending(signo))
            back_signal(b, signo);
}

static void on_time(struct back *b)
{
    struct justalock_error err;
    enum hold_news news;

    news = hold_tick(&b->a->hold, &err);
    on_news(b, news, &err);
    if (b->state == BACK_ASKING)
        waiting_tick(&b->waiting);
    back_time(b);
}

static struct clock_time next_due(const struct back *b)
{
    struct clock_time due = hold_due(&b->a->hold);

    due = clock_min(due, waiting_due(&b->waiting));
    due = clock_min(due, b->look_at);
    if (b->state == BACK_WORKING && !b->is_lost)
        due = clock_min(due, page_term_at(b->a->page));
    return due;
}

static void loop(struct back *b)
{
    struct pollfd p[4];

    while (b->state != BACK_OVER) {
        timer_set(b->timer, next_due(b));
        p[0] = (struct pollfd){.fd = b->a->base->signals.fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = b->timer, .events = POLLIN};
        p[2] = (struct pollfd){.fd = b->front, .events = POLLIN};
        p[3] = (struct pollfd){.fd = b->a->hold.fd, .events = POLLIN};
        (void)poll(p, 4, -1); /* all signals are blocked: no EINTR */
        on_time(b);
        /* Nothing starts for one who is gone or has ended the wait. */
        read_front(b);
        read_signals(b);
        read_keeper(b); /* a loss before an end: both may be there */
        back_reap(b);
    }
}

int back_main(struct alone *a)
{
    struct back b;
    struct justalock_error err;
    enum justalock_status st;

    memset(&b, 0, sizeof(b));
    b.a = a;
    b.front = a->back_end;
    b.child.gate = -1;
    b.look_at = clock_never();
    waiting_init(&b.waiting);
    (void)setpgid(0, 0); /* the front does it too */
    a->hold.is_our_child = false;
    st = signals_reopen(&a->base->signals, &err);
    if (st == JUSTALOCK_OK)
        st = timer_open(&b.timer, &err);
    if (st == JUSTALOCK_OK && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        st = error_sys(&err, errno, "PR_SET_CHILD_SUBREAPER");
    if (st == JUSTALOCK_OK)
        st = hold_acquire(&a->hold, &err);
    if (st == JUSTALOCK_SYS && err.sys_errno == EPIPE)
        st = JUSTALOCK_OK; /* the keeper died: the loop starts another */
    if (st != JUSTALOCK_OK)
        back_finish(&b, cli_fail(&err, st));
    else
        loop(&b);
    back_finish(&b, b.code);
    hold_close(&a->hold);
    return b.code;
}

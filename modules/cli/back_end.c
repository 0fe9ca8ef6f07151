/* SPDX-License-Identifier: MIT */
/*
 * back_end.c - how the back ends the work and sees that it has ended: TERM in
 * time, KILL so that all is dead by the deadline, a look that it is, and only
 * then the release.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "back.h"
#include "talk.h"
#include "tree.h"

#define RELEASE_MS      5000 /* for the service to answer */
#define RELEASE_LOST_MS 2000
#define CANCEL_MS       1000
#define NOTE_MS         2000 /* after the command, before we mention the rest */

void back_detach_stdio(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return; /* then a reader waits until we are gone, too */
    (void)dup2(fd, STDIN_FILENO);
    (void)dup2(fd, STDOUT_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

/* A keeper that replaced the first one is our child, and not the work. */
static int signal_work(struct back *b, int signo)
{
    const struct hold *h = &b->a->hold;
    size_t spare = h->is_our_child && h->pid > 0 ? 1 : 0;

    return tree_signal(getpid(), &h->pid, spare, signo);
}

void back_release(struct back *b, int code)
{
    int64_t limit = b->is_lost ? RELEASE_LOST_MS : RELEASE_MS;

    b->code = code;
    b->a->page->state = PAGE_DONE;
    if (!b->a->hold.is_held && !b->is_lost)
        limit = CANCEL_MS;
    /* Nobody waits for what a lost or refused lock leaves at the service. */
    if (b->is_lost || b->front < 0)
        back_finish(b, code);
    b->state = BACK_RELEASING;
    b->look_at = clock_add(clock_now(), limit + CANCEL_MS);
    if (!hold_release(&b->a->hold, limit))
        b->state = BACK_OVER;
}

static void begin_ending(struct back *b)
{
    struct clock_time now = clock_now();

    b->state = BACK_ENDING;
    b->look_at = clock_min(clock_add(now, b->a->hold.times.grace_ms),
                           page_kill_at(b->a->page));
    if (!page_claim_warning(b->a->page))
        return;
    (void)signal_work(b, SIGTERM); /* what it misses, KILL gets */
    (void)signal_work(b, SIGCONT);
}

void back_lose(struct back *b, const char *why)
{
    const struct run_options *o = b->a->base->options;

    if (b->is_lost || b->state == BACK_RELEASING || b->state == BACK_OVER)
        return;
    b->is_lost = true;
    b->a->hold.is_held = false; /* no further keeper is to take it up */
    if (b->a->on_lost == CONFIG_LOST_KILL) {
        cli_say("lost lock %s: %s; ending %s", o->lock, why, o->argv[0]);
        if (b->state == BACK_WORKING)
            begin_ending(b);
        return;
    }
    cli_say("lost lock %s: %s; %s goes on without it", o->lock, why,
            o->argv[0]);
    if (b->a->on_lost == CONFIG_LOST_SIGNAL && page_claim_warning(b->a->page))
        back_signal(b, b->a->lost_signal);
}

void back_front_gone(struct back *b)
{
    const struct run_options *o = b->a->base->options;

    if (b->state == BACK_ASKING) {
        back_release(b, CLI_LOCAL);
    } else if (b->state == BACK_WORKING) {
        cli_say("justalock was killed; ending %s, then giving %s back",
                o->argv[0], o->lock);
        begin_ending(b);
    }
}

void back_signal(struct back *b, int signo)
{
    if (b->state == BACK_ASKING) {
        if (!signals_is_ending(signo))
            return;
        waiting_done(&b->waiting);
        back_release(b, run_signal_code(signo));
        return;
    }
    if (b->state == BACK_RELEASING || b->state == BACK_OVER)
        return;
    if (b->has_exited)
        (void)signal_work(b, signo); /* what is left of it */
    else
        (void)kill(-b->child.pid, signo); /* not reaped: the group is its own */
}

static void work_is_over(struct back *b)
{
    int code = child_code(b->wait_status);

    if (b->front < 0)
        (void)terminal_take(&b->a->base->terminal, b->child.pid);
    if (b->is_lost && b->a->on_lost == CONFIG_LOST_KILL)
        code = CLI_LOST;
    back_release(b, code);
}

static void on_child(struct back *b, int status)
{
    int signo;

    if (WIFSTOPPED(status)) {
        signo = WSTOPSIG(status);
        if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU)
            return;
        b->has_stopped = true;
        b->a->page->goes_on = 0;
        (void)talk_send(b->front, TALK_STOPPED, signo);
    } else if (WIFCONTINUED(status)) {
        if (!b->has_stopped)
            return;
        /* The front stops with it, has, or will. Our parent: not reused. */
        b->has_stopped = false;
        b->a->page->goes_on = 1;
        if (getppid() == b->a->front)
            (void)kill(b->a->front, SIGCONT);
    } else {
        b->has_exited = true;
        b->wait_status = status;
        if (b->state == BACK_WORKING)
            b->look_at = clock_add(clock_now(), NOTE_MS);
        (void)talk_send(b->front, TALK_EXITED, status);
    }
}

void back_reap(struct back *b)
{
    const struct hold *h = &b->a->hold;
    int status = 0;
    bool none;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
        if (pid == b->child.pid)
            on_child(b, status);
        else if (WIFEXITED(status) || WIFSIGNALED(status))
            (void)hold_reaped(&b->a->hold, pid);
    if (!b->has_exited || b->state < BACK_WORKING || b->state > BACK_KILLING)
        return;
    /* As a subreaper we are the parent of whatever is left of the work. */
    none = pid < 0 && errno == ECHILD;
    if (!none && h->is_our_child && h->pid > 0)
        none = signal_work(b, 0) == 0;
    if (none || (b->state == BACK_WORKING && !b->is_lost &&
                 b->a->on_end == CONFIG_END_RELEASE))
        work_is_over(b);
    else if (b->state == BACK_WORKING && b->a->on_end == CONFIG_END_KILL)
        begin_ending(b);
}

static void kill_pass(struct back *b)
{
    struct clock_time now = clock_now();

    if (!b->has_exited)
        (void)kill(-b->child.pid, SIGKILL); /* the group at once */
    (void)signal_work(b, SIGKILL);
    b->look_at = clock_add(now, ALONE_LOOK_MS);
    back_reap(b);
    if (b->state != BACK_KILLING || !b->is_lost ||
        clock_left_ms(page_deadline(b->a->page), now) > 0)
        return;
    if (!b->told)
        cli_say("%s: the lease has ended, and the end of %s could not be "
                "confirmed",
                b->a->base->options->lock, b->a->base->options->argv[0]);
    b->code = CLI_LOST_ALIVE;
    back_finish(b, b->code);
    b->look_at = clock_add(now, ALONE_LOOK_MS * 100);
}

static void note_remains(struct back *b)
{
    int left = signal_work(b, 0);

    b->look_at = clock_never();
    if (left > 0)
        cli_say("%s has ended; %s is kept until %d more process%s it started "
                "end%s",
                b->a->base->options->argv[0], b->a->base->options->lock, left,
                left == 1 ? "" : "es", left == 1 ? "s" : "");
}

void back_time(struct back *b)
{
    struct clock_time now = clock_now();

    if (b->state == BACK_WORKING && !b->is_lost &&
        (clock_left_ms(page_term_at(b->a->page), now) <= 0 ||
         b->a->page->warned))
        back_lose(b, "it could not be refreshed in time");
    if (clock_left_ms(b->look_at, now) > 0)
        return;
    switch (b->state) {
    case BACK_WORKING:
        note_remains(b);
        break;
    case BACK_ENDING:
        b->state = BACK_KILLING;
        kill_pass(b);
        break;
    case BACK_KILLING:
        kill_pass(b);
        break;
    case BACK_RELEASING:
        b->state = BACK_OVER;
        break;
    default:
        b->look_at = clock_never();
        break;
    }
}

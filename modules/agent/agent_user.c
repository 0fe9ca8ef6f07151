/* SPDX-License-Identifier: MIT */
/*
 * agent_user.c - whom the keeper becomes, as the configuration says. A child
 * reads it: the watch stays small, and waits for no disk for long.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "clock.h"
#include "config.h"

static void say_user(const char *path, int fd)
{
    struct config *c = NULL;
    struct justalock_error err;

    /* What is wrong with it the guard says, and goes on saying. */
    if (config_load(path, &c, NULL, &err) == JUSTALOCK_OK)
        (void)!write(fd, c->agent.keeper_user, strlen(c->agent.keeper_user));
    _exit(0);
}

/* What one write says within the time; 0: nothing. */
static size_t hear(int fd, char *data, size_t size, int limit_ms)
{
    struct clock_time end = clock_add(clock_now(), limit_ms);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left;
    ssize_t n = 0;

    while ((left = clock_left_ms(end, clock_now())) > 0)
        if (poll(&p, 1, (int)left) > 0) {
            n = read(fd, data, size);
            break;
        }
    return n > 0 ? (size_t)n : 0;
}

bool agent_user(const char *config, int limit_ms,
                char ret_user[AGENT_USER_MAX + 1])
{
    int ends[2];
    size_t len = 0;
    pid_t pid;

    if (pipe(ends) < 0)
        return false;
    pid = fork();
    if (pid == 0)
        say_user(config, ends[1]);
    (void)close(ends[1]);
    if (pid > 0) {
        len = hear(ends[0], ret_user, AGENT_USER_MAX, limit_ms);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)close(ends[0]);
    ret_user[len] = '\0';
    return len > 0;
}

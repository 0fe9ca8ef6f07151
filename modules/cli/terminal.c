/* SPDX-License-Identifier: MIT */
/*
 * terminal.c - hands the terminal's foreground to the command's process group
 * and takes it back. Does not touch the terminal's modes.
 */
#include "terminal.h"

#include <fcntl.h>
#include <unistd.h>

void terminal_open(struct terminal *t)
{
    t->own = getpgrp();
    t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

bool terminal_is_of(const struct terminal *t, pid_t group)
{
    return t->fd >= 0 && group > 0 && tcgetpgrp(t->fd) == group;
}

bool terminal_is_ours(const struct terminal *t)
{
    return terminal_is_of(t, t->own);
}

void terminal_give(const struct terminal *t, pid_t group)
{
    if (t->fd >= 0)
        (void)tcsetpgrp(t->fd, group); /* the group may be gone by now */
}

bool terminal_take(const struct terminal *t, pid_t group)
{
    if (!terminal_is_of(t, group))
        return false;
    (void)tcsetpgrp(t->fd, t->own); /* the terminal may be gone by now */
    return true;
}

void terminal_pass_on(const struct terminal *t, pid_t group)
{
    if (terminal_is_ours(t))
        terminal_give(t, group);
}

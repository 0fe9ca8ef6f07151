/* SPDX-License-Identifier: MIT */
/*
 * agent_argv.c - this program is started once more: the words of its command
 * line, and the file that it runs from. main.c reads them.
 */
#include "agent.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void agent_argv(const struct agent_options *o, struct agent_argv *ret_argv)
{
    static char name[] = "justalock-agent", config[] = "--config",
                sock[] = "--socket", state[] = "--state",
                user[] = "--keeper-user", debug[] = "--debug",
                guard[] = "--internal-guard",
                stand_in[] = "--internal-stand-in",
                listen_fd[] = "--internal-listen-fd",
                nudge[] = "--internal-nudge-fd", news[] = "--internal-news-fd";
    const struct {
        char *name;
        const char *value;
        int fd;
    } words[] = {{config, o->config, -1},
                 {sock, o->socket, -1},
                 {state, o->state, -1},
                 {user, o->keeper_user, -1},
                 {listen_fd, NULL, o->listen_fd},
                 {nudge, NULL, o->is_guard ? o->nudge_fd : -1},
                 {news, NULL, o->is_guard ? o->news_fd : -1}};
    size_t n = 0;
    size_t numbers = 0;

    ret_argv->v[n++] = name;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!words[i].value && words[i].fd < 0)
            continue;
        ret_argv->v[n++] = words[i].name;
        /* execve does not write to them. */
        ret_argv->v[n++] = words[i].value ? (char *)(uintptr_t)words[i].value
                                          : ret_argv->numbers[numbers];
        if (!words[i].value)
            (void)snprintf(ret_argv->numbers[numbers++],
                           sizeof(ret_argv->numbers[0]), "%d", words[i].fd);
    }
    if (o->is_guard)
        ret_argv->v[n++] = guard;
    if (o->is_stand_in && !o->is_guard)
        ret_argv->v[n++] = stand_in;
    if (o->is_debug)
        ret_argv->v[n++] = debug;
    ret_argv->v[n] = NULL;
}

void agent_exec(const struct agent_argv *argv)
{
    char path[4096];
    ssize_t n;

    (void)execv("/proc/self/exe", argv->v);
    /* The kernel has the old file still where an upgrade has removed it. Should
     * it not be to be had (another file system, no /proc): the new one. */
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    if (n > 10 && strcmp(path + n - 10, " (deleted)") == 0)
        path[n - 10] = '\0';
    (void)execv(path, argv->v);
}

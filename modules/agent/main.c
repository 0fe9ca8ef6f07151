/* SPDX-License-Identifier: MIT */
/*
 * main.c - justalock-agent: reads the command line and becomes the watch, or,
 * started by the watch, the guard.
 */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "config.h"
#include "log.h"
#include "parse.h"
#include "wire.h"

#define EXIT_USAGE 64

enum { OPTION_LISTEN_FD = 256, OPTION_GUARD, OPTION_NUDGE_FD, OPTION_NEWS_FD };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, 's'},
    {"state", required_argument, NULL, 'd'},
    {"keeper-user", required_argument, NULL, 'u'},
    {"debug", no_argument, NULL, 'D'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    /* Between our own processes. */
    {"internal-listen-fd", required_argument, NULL, OPTION_LISTEN_FD},
    {"internal-guard", no_argument, NULL, OPTION_GUARD},
    {"internal-nudge-fd", required_argument, NULL, OPTION_NUDGE_FD},
    {"internal-news-fd", required_argument, NULL, OPTION_NEWS_FD},
    {NULL, 0, NULL, 0}};

static const char help[] =
    "usage: justalock-agent [--config FILE] [--socket PATH] [--state DIR]\n"
    "                       [--keeper-user USER] [--debug]\n"
    "Holds locks for the jobs, sessions and commands of this host and ends\n"
    "work whose lock is lost. Runs in the foreground, as root.\n"
    "  --config FILE       default " CONFIG_PATH "\n"
    "  --socket PATH       default " WIRE_SOCKET "\n"
    "  --state DIR         default " AGENT_STATE ", in memory, kept over\n"
    "                      restarts, gone with a reboot\n"
    "  --keeper-user USER  who talks to the network (default " AGENT_KEEPER_USER
    ")\n"
    "  --help, --version\n";

static int number(const char *text)
{
    uint64_t value = 0;

    if (parse_u64(text, 0, INT32_MAX, "descriptor", &value, NULL) !=
        JUSTALOCK_OK)
        return -1;
    return (int)value;
}

/* -1: go on; else exit with it. */
static int read_options(int argc, char **argv, struct agent_options *o)
{
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 's':
            o->socket = optarg;
            break;
        case 'd':
            o->state = optarg;
            break;
        case 'u':
            o->keeper_user = optarg;
            break;
        case 'D':
            o->is_debug = true;
            break;
        case OPTION_LISTEN_FD:
            o->listen_fd = number(optarg);
            break;
        case OPTION_GUARD:
            o->is_guard = true;
            break;
        case OPTION_NUDGE_FD:
            o->nudge_fd = number(optarg);
            break;
        case OPTION_NEWS_FD:
            o->news_fd = number(optarg);
            break;
        case 'h':
            (void)fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        case 'V':
            (void)puts("justalock-agent " JUSTALOCK_VERSION);
            return fflush(stdout) == 0 ? 0 : 1;
        default:
            (void)fputs("Try justalock-agent --help.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    (void)fprintf(stderr, "justalock-agent: %s: what is this?\n", argv[optind]);
    return EXIT_USAGE;
}

void agent_argv(const struct agent_options *o, struct agent_argv *ret_argv)
{
    static char name[] = "justalock-agent", config[] = "--config",
                sock[] = "--socket", state[] = "--state",
                user[] = "--keeper-user", debug[] = "--debug",
                guard[] = "--internal-guard",
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
    if (o->is_debug)
        ret_argv->v[n++] = debug;
    ret_argv->v[n] = NULL;
}

void agent_exec(const struct agent_argv *argv)
{
    char path[4096];
    ssize_t n;

    (void)execv("/proc/self/exe", argv->v);
    /* The file was replaced by an upgrade and is gone: take the new one. */
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    if (n > 10 && strcmp(path + n - 10, " (deleted)") == 0)
        path[n - 10] = '\0';
    (void)execv(path, argv->v);
}

bool agent_is_supervised(void)
{
    return getenv("NOTIFY_SOCKET") || getenv("INVOCATION_ID");
}

/* sd_notify(3), without its library. */
void agent_notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (len < 2 || len >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        log_warn("systemd is not told \"%s\": %s", text, strerror(errno));
    (void)close(fd);
}

int main(int argc, char **argv)
{
    struct agent_options o = {.socket = WIRE_SOCKET,
                              .state = AGENT_STATE,
                              .keeper_user = AGENT_KEEPER_USER,
                              .listen_fd = -1,
                              .nudge_fd = -1,
                              .news_fd = -1};
    int code = read_options(argc, argv, &o);

    if (code >= 0)
        return code;
    log_open("justalock-agent", o.is_debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (geteuid() != 0) {
        log_error("only root can hold locks for a host and end its work");
        return 77;
    }
    return o.is_guard ? guard_main(&o) : watch_main(&o);
}

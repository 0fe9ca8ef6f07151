/* SPDX-License-Identifier: MIT */
/*
 * main.c - justalock-agent: reads the command line and becomes the watch, or,
 * started by the watch, the guard.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "agent_client.h"
#include "config.h"
#include "log.h"
#include "parse.h"
#include "wire.h"

#define EXIT_USAGE       64
#define EXIT_UNREACHABLE 69
#define EXIT_DENIED      77
#define EXIT_CONFIG      78
#define RELOAD_MS        10000
#define USER_MS          2000 /* to read whom the keeper becomes */

enum {
    OPTION_LISTEN_FD = 256,
    OPTION_GUARD,
    OPTION_STAND_IN,
    OPTION_NUDGE_FD,
    OPTION_NEWS_FD
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, 's'},
    {"state", required_argument, NULL, 'd'},
    {"keeper-user", required_argument, NULL, 'u'},
    {"debug", no_argument, NULL, 'D'},
    {"reload", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    /* Between our own processes. */
    {"internal-listen-fd", required_argument, NULL, OPTION_LISTEN_FD},
    {"internal-guard", no_argument, NULL, OPTION_GUARD},
    {"internal-stand-in", no_argument, NULL, OPTION_STAND_IN},
    {"internal-nudge-fd", required_argument, NULL, OPTION_NUDGE_FD},
    {"internal-news-fd", required_argument, NULL, OPTION_NEWS_FD},
    {NULL, 0, NULL, 0}};

static const char help[] =
    "usage: justalock-agent [--config FILE] [--socket PATH] [--state DIR]\n"
    "                       [--keeper-user USER] [--debug]\n"
    "       justalock-agent --reload [--socket PATH]\n"
    "Holds locks for the jobs, sessions and commands of this host and ends\n"
    "work whose lock is lost. Runs in the foreground, as root.\n"
    "  --config FILE       default " CONFIG_PATH "\n"
    "  --socket PATH       default " WIRE_SOCKET "\n"
    "  --state DIR         default " AGENT_STATE ", in memory, kept over\n"
    "                      restarts, gone with a reboot\n"
    "  --keeper-user USER  who talks to the network "
    "(default " CONFIG_KEEPER_USER ")\n"
    "  --debug             say more\n"
    "  --reload            let the agent that runs read its configuration\n"
    "                      again; one that is wrong is refused (78)\n"
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
        case OPTION_STAND_IN:
            o->is_stand_in = true;
            break;
        case OPTION_NUDGE_FD:
            o->nudge_fd = number(optarg);
            break;
        case OPTION_NEWS_FD:
            o->news_fd = number(optarg);
            break;
        case 'r':
            o->is_reload = true;
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

/* The agent that runs is to read its configuration again. */
static int reload(const char *socket)
{
    static struct wire_msg m = {.type = WIRE_RELOAD};
    struct clock_time by = clock_add(clock_now(), RELOAD_MS);
    struct justalock_error err;
    enum justalock_status st;
    int fd;

    st = agent_connect(socket, &fd, &err);
    if (st == JUSTALOCK_OK) {
        st = agent_send(fd, &m, by, &err);
        if (st == JUSTALOCK_OK)
            st = agent_recv(fd, &m, by, &err);
        (void)close(fd);
    }
    if (st != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return EXIT_UNREACHABLE;
    }
    if (m.type != WIRE_VERDICT || m.verdict != WIRE_GO) {
        log_error("%s", m.text);
        return m.verdict == WIRE_REFUSED_DENIED ? EXIT_DENIED : EXIT_CONFIG;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct agent_options o = {.socket = WIRE_SOCKET,
                              .state = AGENT_STATE,
                              .listen_fd = -1,
                              .nudge_fd = -1,
                              .news_fd = -1};
    char user[AGENT_USER_MAX + 1];
    int code = read_options(argc, argv, &o);

    if (code >= 0)
        return code;
    log_open("justalock-agent", o.is_debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (o.is_reload)
        return reload(o.socket);
    if (geteuid() != 0) {
        log_error("only root can hold locks for a host and end its work");
        return EXIT_DENIED;
    }
    if (o.keeper_user == NULL) /* the guard is always told */
        o.keeper_user =
            agent_user(o.config, USER_MS, user) ? user : CONFIG_KEEPER_USER;
    return o.is_guard ? guard_main(&o) : watch_main(&o);
}

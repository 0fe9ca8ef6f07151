/* SPDX-License-Identifier: MIT */
/*
 * main.c - justalock-server: options, sockets, and the loop of http.c.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "listen.h"
#include "log.h"
#include "notify.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

static const char help[] =
    "usage: justalock-server --listen ADDRESS:PORT|unix:PATH [--listen ...]\n"
    "                        --state DIR\n"
    "\n"
    "A lock service: the protocol of justalock.dev, with release, waiting,\n"
    "fencing tokens and holders' names. Runs in the foreground, logs to\n"
    "stderr.\n"
    "\n"
    "  --listen ADDRESS  127.0.0.1:7171, [::1]:7171 or unix:/path; port 0\n"
    "                    takes a free one. Loopback and unix sockets only:\n"
    "                    there are no TLS and no tokens yet.\n"
    "  --state DIR       folder of the state, made where it is missing, used\n"
    "                    by one server at a time. A folder that held state\n"
    "                    and is damaged: no locks are granted (503) for the\n"
    "                    longest lease it may have given (65535 s if that is\n"
    "                    unknown); the old database is kept beside it.\n"
    "  --verbose         log more\n"
    "  --help, --version\n"
    "\n"
    "Pages: / /v1/locks /metrics /healthz. See justalock-server(8) and\n"
    "justalock-protocol(7).\n";

struct options {
    const char *listen[LISTEN_MAX];
    size_t listen_len;
    const char *state;
    bool verbose;
};

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"listen", required_argument, NULL, 'l'},
        {"state", required_argument, NULL, 's'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'l':
            if (o->listen_len == LISTEN_MAX) {
                log_error("--listen: at most %d times", LISTEN_MAX);
                return EXIT_USAGE;
            }
            o->listen[o->listen_len++] = optarg;
            break;
        case 's':
            o->state = optarg;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'h':
            return fputs(help, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
        case 'V':
            (void)puts("justalock-server " JUSTALOCK_VERSION);
            return EXIT_OK;
        default:
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        log_error("%s: not an option; see --help", argv[optind]);
        return EXIT_USAGE;
    }
    if (o->state == NULL) {
        log_error("--state DIR is missing; see --help");
        return EXIT_USAGE;
    }
    return -1;
}

static int exit_status(enum justalock_status st)
{
    switch (st) {
    case JUSTALOCK_ARG:
        return EXIT_USAGE;
    case JUSTALOCK_CONFIG:
    case JUSTALOCK_DENIED:
        return EXIT_CONFIG;
    default:
        return EXIT_FAILED;
    }
}

static enum justalock_status open_sockets(const struct options *o, int *fds,
                                          size_t *len,
                                          struct justalock_error *err)
{
    enum justalock_status st;
    char bound[160];

    st = listen_inherited(fds, LISTEN_MAX, len, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (*len > 0)
        log_info("listening on %zu inherited sockets", *len);
    for (size_t i = 0; i < o->listen_len; i++) {
        if (*len == LISTEN_MAX)
            return error_set(err, JUSTALOCK_ARG,
                             "more than %d sockets to listen on", LISTEN_MAX);
        st = listen_open(o->listen[i], &fds[*len], bound, sizeof(bound), err);
        if (st != JUSTALOCK_OK)
            return st;
        ++*len;
        log_info("listening on %s", bound);
    }
    if (*len == 0)
        return error_set(err, JUSTALOCK_ARG,
                         "--listen is missing: where would clients connect?");
    return JUSTALOCK_OK;
}

/* A connection for each client that waits: as many as the system lets. */
static void raise_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct justalock_error err;
    struct server *s = NULL;
    int fds[LISTEN_MAX];
    size_t len = 0;
    enum justalock_status st;
    int rc;

    log_open("justalock-server", LOG_LEVEL_INFO);
    rc = read_options(argc, argv, &o);
    if (rc >= 0)
        return rc;
    if (o.verbose)
        log_open("justalock-server", LOG_LEVEL_DEBUG);
    (void)umask(077);
    raise_files();
    block_signals();
    st = open_sockets(&o, fds, &len, &err);
    if (st == JUSTALOCK_OK)
        st = server_new(o.state, fds, len, &s, &err);
    if (st == JUSTALOCK_OK) {
        notify_send("READY=1");
        log_info("ready");
        st = server_run(s, &err);
        notify_send("STOPPING=1");
    }
    server_free(s);
    if (st != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return exit_status(st);
    }
    return EXIT_OK;
}

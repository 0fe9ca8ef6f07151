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
    "                        --state DIR|etcd://HOST:PORT[,...]\n"
    "                        [--tls-cert FILE --tls-key FILE\n"
    "                        --access FILE [--client-ca FILE]]\n"
    "\n"
    "A lock service: the protocol of justalock.dev, with release, waiting,\n"
    "fencing tokens and holders' names. Runs in the foreground, logs to\n"
    "stderr.\n"
    "\n"
    "  --listen ADDRESS  127.0.0.1:7171, [::1]:7171 or unix:/path; port 0\n"
    "                    takes a free one. Beyond loopback, and with tls:\n"
    "                    before it, TLS is spoken, which needs the next "
    "three.\n"
    "  --tls-cert FILE   our certificate and its chain, PEM\n"
    "  --tls-key FILE    its key\n"
    "  --access FILE     JSON: who may do what over TLS, by token or\n"
    "                    certificate; see justalock-server(8)\n"
    "  --client-ca FILE  who vouches for the certificates of clients, PEM\n"
    "  --state DIR       folder of the state, made where it is missing, used\n"
    "                    by one server at a time. A folder that held state\n"
    "                    and is damaged: no locks are granted (503) for the\n"
    "                    longest lease it may have given (65535 s if that is\n"
    "                    unknown); the old database is kept beside it.\n"
    "  --state etcd://HOST:PORT[,HOST:PORT...]\n"
    "                    instead: several servers share this etcd, one of\n"
    "                    them at a time answers, the others with 503\n"
    "  --etcd-ca FILE, --etcd-cert FILE, --etcd-key FILE\n"
    "                    speak TLS with etcd; PEM\n"
    "  --etcd-user FILE  holds USER:PASSWORD for etcd\n"
    "  --limit NAME=NUMBER, --limit NAME-each=NUMBER\n"
    "                    connections, waiters, held or released: of all\n"
    "                    clients, of each; see justalock-server(8)\n"
    "  --verbose         log more\n"
    "  --help, --version\n"
    "\n"
    "Pages: / /v1/locks /metrics /healthz. See justalock-server(8) and\n"
    "justalock-protocol(7).\n";

/* Files that are not connections. */
#define FILES_SPARE 64

struct options {
    const char *listen[LISTEN_MAX];
    size_t listen_len;
    struct server_options server;
    bool verbose;
};

/* All of it or nothing: half of it would let in whom nobody meant. Returns as
 * read_options. */
static int check_tls(const struct server_options *o)
{
    bool any = o->tls.cert || o->tls.key || o->access || o->tls.client_ca;

    if (!any || (o->tls.cert && o->tls.key && o->access))
        return -1;
    log_error("%s is missing: TLS takes --tls-cert, --tls-key and --access",
              !o->tls.cert  ? "--tls-cert"
              : !o->tls.key ? "--tls-key"
                            : "--access");
    return EXIT_USAGE;
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"listen", required_argument, NULL, 'l'},
        {"state", required_argument, NULL, 's'},
        {"etcd-ca", required_argument, NULL, 'A'},
        {"etcd-cert", required_argument, NULL, 'B'},
        {"etcd-key", required_argument, NULL, 'K'},
        {"etcd-user", required_argument, NULL, 'U'},
        {"tls-cert", required_argument, NULL, 'c'},
        {"tls-key", required_argument, NULL, 'k'},
        {"access", required_argument, NULL, 'a'},
        {"client-ca", required_argument, NULL, 'C'},
        {"limit", required_argument, NULL, 'L'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0}};
    struct justalock_error err;
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
            o->server.state = optarg;
            break;
        case 'A':
            o->server.etcd.ca = optarg;
            break;
        case 'B':
            o->server.etcd.cert = optarg;
            break;
        case 'K':
            o->server.etcd.key = optarg;
            break;
        case 'U':
            o->server.etcd.user = optarg;
            break;
        case 'c':
            o->server.tls.cert = optarg;
            break;
        case 'k':
            o->server.tls.key = optarg;
            break;
        case 'a':
            o->server.access = optarg;
            break;
        case 'C':
            o->server.tls.client_ca = optarg;
            break;
        case 'L':
            if (limits_parse(optarg, &o->server.limits, &err) != JUSTALOCK_OK) {
                log_error("%s", err.text);
                return EXIT_USAGE;
            }
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
    if (o->server.state == NULL) {
        log_error("--state DIR is missing; see --help");
        return EXIT_USAGE;
    }
    return check_tls(&o->server);
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

static enum justalock_status open_sockets(const struct options *o,
                                          struct listener *l, size_t *len,
                                          struct justalock_error *err)
{
    bool has_tls = o->server.tls.cert != NULL;
    enum justalock_status st;
    char bound[160];

    st = listen_inherited(has_tls, l, LISTEN_MAX, len, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (*len > 0)
        log_info("listening on %zu inherited sockets", *len);
    for (size_t i = 0; i < o->listen_len; i++) {
        if (*len == LISTEN_MAX)
            return error_set(err, JUSTALOCK_ARG,
                             "more than %d sockets to listen on", LISTEN_MAX);
        st = listen_open(o->listen[i], has_tls, &l[*len], bound, sizeof(bound),
                         err);
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

/* A connection for each client that waits: as many as the system lets, which
 * is what it returns. */
static size_t raise_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return FILES_SPARE;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return FILES_SPARE;
    return r.rlim_cur < 2 * (size_t)FILES_SPARE
               ? (size_t)r.rlim_cur / 2
               : (size_t)r.rlim_cur - FILES_SPARE;
}

static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct justalock_error err;
    struct server *s = NULL;
    struct listener listeners[LISTEN_MAX];
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
    block_signals();
    st = limits_finish(&o.server.limits, raise_files(), &err);
    if (st == JUSTALOCK_OK)
        st = open_sockets(&o, listeners, &len, &err);
    if (st == JUSTALOCK_OK)
        st = server_new(&o.server, listeners, len, &s, &err);
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

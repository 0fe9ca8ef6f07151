/* SPDX-License-Identifier: MIT */
/*
 * run.c - `justalock run`: reads the call and chooses between the two ways to
 * run a command with a lock. What the ways do: run_agent.c, run_alone.c.
 */
#include "run.h"

#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

#define WAIT_MAX_MS (366LL * 24 * 3600 * 1000)

enum {
    OPT_ON_LOST = 256,
    OPT_SLOTS,
    OPT_CLIENT,
    OPT_LABEL,
    OPT_URL,
    OPT_CONFIG,
    OPT_SOCKET,
    OPT_NO_AGENT
};

static const struct option long_options[] = {
    {"nonblock", no_argument, NULL, 'n'},
    {"wait", required_argument, NULL, 'w'},
    {"lifetime", required_argument, NULL, 't'},
    {"conflict-exit-code", required_argument, NULL, 'E'},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"on-lost", required_argument, NULL, OPT_ON_LOST},
    {"client-id", required_argument, NULL, OPT_CLIENT},
    {"label", required_argument, NULL, OPT_LABEL},
    {"url", required_argument, NULL, OPT_URL},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"no-agent", no_argument, NULL, OPT_NO_AGENT},
    {NULL, 0, NULL, 0},
};

int run_signal_code(int signo)
{
    return 128 + signo;
}

const char *run_busy_advice(int64_t wait_ms)
{
    if (wait_ms == 0)
        return "wait for it with -w TIME";
    return wait_ms > 0 ? "wait longer with -w TIME"
                       : "-w TIME says how long to wait";
}

void run_default_label(char *out)
{
    char host[65] = "";
    const struct passwd *pw = getpwuid(getuid());

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(out, JUSTALOCK_LABEL_MAX + 1, "%.32s@%.64s pid %d",
                   pw != NULL ? pw->pw_name : "?", host, (int)getpid());
    for (; *out != '\0'; out++)
        if (*out < ' ' || *out > '~')
            *out = '?';
}

static enum justalock_status parse_on_lost(struct run_options *o,
                                           const char *text,
                                           struct justalock_error *err)
{
    o->lost_signal = 0;
    if (strcmp(text, "kill") == 0) {
        o->on_lost = CONFIG_LOST_KILL;
    } else if (strcmp(text, "log") == 0) {
        o->on_lost = CONFIG_LOST_LOG;
    } else if (strncmp(text, "signal:", 7) == 0) {
        o->on_lost = CONFIG_LOST_SIGNAL;
        o->lost_signal = parse_signal(text + 7);
        if (o->lost_signal == 0)
            return error_set(err, JUSTALOCK_ARG,
                             "--on-lost: there is no signal \"%s\"", text + 7);
    } else {
        return error_set(err, JUSTALOCK_ARG,
                         "--on-lost: \"%s\" is none of kill, signal:NAME, log",
                         text);
    }
    return JUSTALOCK_OK;
}

static enum justalock_status parse_text(const char *text, size_t max,
                                        const char *what, const char **ret_text,
                                        struct justalock_error *err)
{
    size_t len = strlen(text);

    if (len == 0 || len > max)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: %zu bytes are not within 1 and %zu", what, len,
                         max);
    if (!parse_is_clean_text(text, len))
        return error_set(err, JUSTALOCK_ARG,
                         "%s: it has control characters or is not UTF-8", what);
    *ret_text = text;
    return JUSTALOCK_OK;
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text > 0x7f)
            return false;
    return true;
}

static enum justalock_status parse_wait(struct run_options *o, const char *text,
                                        struct justalock_error *err)
{
    if (o->wait_ms != WIRE_WAIT_DEFAULT)
        return error_set(err, JUSTALOCK_ARG,
                         "-n and -w exclude each other, and are given "
                         "once");
    if (text == NULL) {
        o->wait_ms = 0;
        return JUSTALOCK_OK;
    }
    return parse_time_ms(text, WAIT_MAX_MS, "-w", &o->wait_ms, err);
}

static enum justalock_status parse_option(struct run_options *o, int opt,
                                          struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;
    uint64_t code = 0, slots = 0;

    switch (opt) {
    case 'n':
        return parse_wait(o, NULL, err);
    case 'w':
        return parse_wait(o, optarg, err);
    case 't':
        return parse_life_s(optarg, "-t", &o->life_s, err);
    case 'E':
        st = parse_u64(optarg, 0, 255, "-E", &code, err);
        if (st == JUSTALOCK_OK)
            o->busy_code = (int)code;
        return st;
    case OPT_SLOTS:
        st = parse_u64(optarg, 1, JUSTALOCK_SLOTS_MAX, "--slots", &slots, err);
        o->slots = (unsigned)slots;
        return st;
    case OPT_ON_LOST:
        return parse_on_lost(o, optarg, err);
    case OPT_CLIENT:
        return parse_text(optarg, JUSTALOCK_CLIENT_MAX, "--client-id",
                          &o->client, err);
    case OPT_LABEL:
        st = parse_text(optarg, JUSTALOCK_LABEL_MAX, "--label", &o->label, err);
        if (st == JUSTALOCK_OK && !is_ascii(optarg))
            st = error_set(err, JUSTALOCK_ARG,
                           "--label: \"%s\" is not all ASCII", optarg);
        return st;
    case OPT_URL:
        o->url = optarg;
        return JUSTALOCK_OK;
    case OPT_CONFIG:
        o->config = optarg;
        return JUSTALOCK_OK;
    case OPT_SOCKET:
        o->socket = optarg;
        return JUSTALOCK_OK;
    case OPT_NO_AGENT:
        o->no_agent = true;
        return JUSTALOCK_OK;
    default: /* getopt has said what is wrong */
        return error_set(err, JUSTALOCK_ARG, "the call is wrong");
    }
}

static int parse_call(struct run_options *o, int argc, char **argv)
{
    struct justalock_error err;
    int opt;

    memset(o, 0, sizeof(*o));
    o->wait_ms = WIRE_WAIT_DEFAULT;
    o->busy_code = CLI_BUSY;
    opterr = 1;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "+nw:t:E:", long_options, NULL)) !=
           -1)
        if (parse_option(o, opt, &err) != JUSTALOCK_OK)
            return cli_usage("run", "%s", err.text);
    if (optind >= argc)
        return cli_usage("run", "the lock's name is missing");
    o->lock = argv[optind++];
    if (parse_name(o->lock, "lock", &err) != JUSTALOCK_OK)
        return cli_usage("run", "%s", err.text);
    if (optind < argc && strcmp(argv[optind], "--") == 0)
        optind++;
    else if (optind < argc && argv[optind][0] == '-')
        return cli_usage("run",
                         "%s stands after the lock's name, where the command "
                         "begins: options stand before the name, a line of "
                         "shell is sh -c LINE, a command %s is -- %s",
                         argv[optind], argv[optind], argv[optind]);
    if (optind >= argc)
        return cli_usage("run", "the command is missing");
    o->argv = argv + optind;
    return CLI_OK;
}

static bool has_env(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0';
}

/* The agent knows its own service and configuration only, pools too; a name
 * with a comma would be several names to it. */
static bool is_for_agent(const struct run_options *o)
{
    if (o->no_agent || o->url != NULL || o->config != NULL || o->slots != 0 ||
        strchr(o->lock, ',') != NULL)
        return false;
    if (o->socket != NULL)
        return true;
    return !has_env("JUSTALOCK_URL") && !has_env("JUSTALOCK_CONFIG") &&
           access(WIRE_SOCKET, F_OK) == 0;
}

int cmd_run(int argc, char **argv)
{
    struct run_options o;
    struct run_base base;
    struct justalock_error err;
    bool alone = true;
    int code = parse_call(&o, argc, argv);

    if (code != CLI_OK)
        return code;
    memset(&base, 0, sizeof(base));
    base.options = &o;
    terminal_open(&base.terminal);
    if (signals_open(&base.signals, &err) != JUSTALOCK_OK)
        return cli_fail(&err, JUSTALOCK_SYS);
    if (is_for_agent(&o))
        code = run_agent(&base, &alone);
    return alone ? run_alone(&base) : code;
}

/* SPDX-License-Identifier: MIT */
/*
 * cmd_list.c - `justalock list`: what this host's agent holds and waits for.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent_client.h"
#include "cli.h"
#include "parse.h"

#define LIMIT_MS 5000

static const char *state_name(unsigned state)
{
    switch (state) {
    case WIRE_ITEM_WAITING:
        return "waiting";
    case WIRE_ITEM_HELD:
        return "held";
    case WIRE_ITEM_ENDING:
        return "ending";
    case WIRE_ITEM_LOST:
        return "lost";
    case WIRE_ITEM_KEPT:
        return "kept";
    default:
        return "?";
    }
}

static void time_text(int64_t wall_s, char *ret_text, size_t size)
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL ||
        strftime(ret_text, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        (void)snprintf(ret_text, size, "?");
}

static bool is_in_pool(const struct wire_msg *m, uint64_t *ret_slot)
{
    struct justalock_error err;

    return m->item_state != WIRE_ITEM_WAITING &&
           parse_u64(m->item_holder, 0, JUSTALOCK_SLOTS_MAX - 1, "slot",
                     ret_slot, &err) == JUSTALOCK_OK;
}

/* Held, and as long as somebody may count on. */
static bool is_sure(const struct wire_msg *m)
{
    return m->item_state == WIRE_ITEM_HELD || m->item_state == WIRE_ITEM_KEPT ||
           (m->item_state == WIRE_ITEM_ENDING && m->item_left_ms >= 0);
}

static enum justalock_status print_text(const struct wire_msg *m,
                                        struct justalock_error *err)
{
    uint64_t slot;
    char since[32];

    (void)err;
    time_text(m->item_since_s, since, sizeof(since));
    (void)printf("%-8s %s  %s  since %s", state_name(m->item_state), m->locks,
                 m->item_work, since);
    if (m->item_state == WIRE_ITEM_WAITING && m->item_holder[0] != '\0')
        (void)printf(", held by %s", m->item_holder);
    if (is_in_pool(m, &slot))
        (void)printf(", slot %" PRIu64, slot);
    if (is_sure(m))
        (void)printf(", sure for %" PRId64 " s", m->item_left_ms / 1000);
    if (m->has_token != 0)
        (void)printf(", token %" PRIu64, m->token);
    (void)printf(", %u process%s\n", m->item_pids,
                 m->item_pids == 1 ? "" : "es");
    return JUSTALOCK_OK;
}

static enum justalock_status print_json(const struct wire_msg *m,
                                        struct justalock_error *err)
{
    uint64_t slot;
    struct buf b;

    buf_init(&b, 16384);
    buf_str(&b, "{\"lock\":");
    buf_json(&b, m->locks);
    buf_printf(&b, ",\"state\":\"%s\",\"work\":", state_name(m->item_state));
    buf_json(&b, m->item_work);
    buf_printf(&b, ",\"since\":%" PRId64 ",\"processes\":%u", m->item_since_s,
               m->item_pids);
    if (is_sure(m))
        buf_printf(&b, ",\"left_ms\":%" PRId64, m->item_left_ms);
    if (m->item_state == WIRE_ITEM_WAITING && m->item_holder[0] != '\0') {
        buf_str(&b, ",\"holder\":");
        buf_json(&b, m->item_holder);
    }
    if (is_in_pool(m, &slot))
        buf_printf(&b, ",\"slot\":%" PRIu64, slot);
    if (m->has_token != 0)
        buf_printf(&b, ",\"token\":%" PRIu64, m->token);
    buf_str(&b, "}");
    return cli_put_json(&b, err);
}

static enum justalock_status print_name(const struct wire_msg *m,
                                        struct justalock_error *err)
{
    return cli_put_name(m->locks, false, err);
}

typedef enum justalock_status print_fn(const struct wire_msg *m,
                                       struct justalock_error *err);

static struct clock_time limit(void)
{
    return clock_add(clock_now(), LIMIT_MS);
}

static enum justalock_status list(const char *socket, print_fn *print,
                                  struct justalock_error *err)
{
    struct wire_msg m = {.type = WIRE_LIST};
    enum justalock_status st;
    int fd;

    st = agent_connect(socket, &fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    st = agent_send(fd, &m, limit(), err);
    /* Each answer has its own time: who reads our output may be slow. */
    while (st == JUSTALOCK_OK) {
        st = agent_recv(fd, &m, limit(), err);
        if (st != JUSTALOCK_OK || m.type != WIRE_ITEM)
            break;
        st = print(&m, err);
    }
    (void)close(fd);
    if (st != JUSTALOCK_OK)
        return st;
    if (m.type != WIRE_VERDICT)
        return error_set(err, JUSTALOCK_PROTO,
                         "the justalock-agent speaks out of turn (message "
                         "type %u)",
                         (unsigned)m.type);
    if (m.verdict != WIRE_GO)
        return error_set(err, cli_verdict_status(m.verdict), "%s", m.text);
    return JUSTALOCK_OK;
}

int cmd_list(int argc, char **argv)
{
    static const struct option names[] = {
        {"json", no_argument, NULL, 'j'},
        {"names", no_argument, NULL, 'n'},
        {"socket", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0}};
    const char *socket = WIRE_SOCKET;
    struct justalock_error err;
    enum justalock_status st;
    print_fn *print = print_text;
    int opt;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (opt == 'j')
            print = print_json;
        else if (opt == 'n')
            print = print_name;
        else if (opt == 's')
            socket = optarg;
        else
            return cli_usage("list", "the call is wrong");
    }
    if (optind != argc)
        return cli_usage("list", "it takes no name");
    st = list(socket, print, &err);
    return st == JUSTALOCK_OK ? CLI_OK : cli_fail(&err, st);
}

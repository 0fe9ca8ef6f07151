/* SPDX-License-Identifier: MIT */
/*
 * cmd_status.c - `justalock status`: what the service shows of a lock. The
 * answer is read by a justalock-keeper without privileges.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "buf.h"
#include "cli.h"
#include "hold.h"
#include "urls.h"

#define LIMIT_MS   10000
#define ANSWER_MAX (1024 * 1024)

static void print_holder(const struct keeper_view *v)
{
    (void)printf("held by %s",
                 v->holder[0] != '\0' ? v->holder : "a client without a name");
    if (v->since[0] != '\0')
        (void)printf(" since %s", v->since);
    if (v->has_token)
        (void)printf(", token %" PRIu64, v->token);
    if (v->expires_ms >= 0)
        (void)printf(", lease ends in %" PRId64 " s unless refreshed",
                     v->expires_ms / 1000);
    if (v->shares > 1)
        (void)printf(", on %u hosts", v->shares);
}

static enum justalock_status print_text(const char *name,
                                        const struct hold_views *views,
                                        struct justalock_error *err)
{
    const struct keeper_view *v = views->v;

    (void)err;
    if (!v->known) {
        (void)printf("%s: the service cannot tell who holds a lock\n", name);
        return JUSTALOCK_OK;
    }
    if (!v->held) {
        (void)printf("%s: free%s\n", name,
                     v->waiters > 0 ? ", offered to a waiter" : "");
        return JUSTALOCK_OK;
    }
    if (v->slots == 0) {
        (void)printf("%s: ", name);
        print_holder(v);
        (void)printf(", %u waiting\n", v->waiters);
        return JUSTALOCK_OK;
    }
    (void)printf("%s: %zu of %u slots held, %u waiting\n", name, views->len,
                 v->slots, v->waiters);
    for (size_t i = 0; i < views->len; i++) {
        (void)printf("  slot %u: ", v[i].slot);
        print_holder(&v[i]);
        (void)puts("");
    }
    return JUSTALOCK_OK;
}

static void add_holder(struct buf *b, const struct keeper_view *v)
{
    buf_str(b, "\"holder\":");
    buf_json(b, v->holder);
    buf_str(b, ",\"since\":");
    buf_json(b, v->since);
    if (v->has_token)
        buf_printf(b, ",\"token\":%" PRIu64, v->token);
    if (v->expires_ms >= 0)
        buf_printf(b, ",\"expires_ms\":%" PRId64, v->expires_ms);
    buf_printf(b, ",\"shares\":%u", v->shares);
}

static enum justalock_status print_json(const char *name,
                                        const struct hold_views *views,
                                        struct justalock_error *err)
{
    const struct keeper_view *v = views->v;
    struct buf b;

    buf_init(&b, ANSWER_MAX);
    buf_str(&b, "{\"lock\":");
    buf_json(&b, name);
    if (!v->known) {
        buf_str(&b, ",\"state\":\"unknown\"");
    } else if (!v->held) {
        buf_printf(&b, ",\"state\":\"free\",\"waiters\":%u", v->waiters);
    } else {
        buf_str(&b, ",\"state\":\"held\",");
        add_holder(&b, v);
        buf_printf(&b, ",\"waiters\":%u", v->waiters);
    }
    if (v->held && v->slots > 0) {
        buf_printf(&b, ",\"slots\":%u,\"holders\":[", v->slots);
        for (size_t i = 0; i < views->len; i++) {
            buf_printf(&b, "%s{\"slot\":%u,", i > 0 ? "," : "", v[i].slot);
            add_holder(&b, &v[i]);
            buf_str(&b, "}");
        }
        buf_str(&b, "]");
    }
    buf_str(&b, "}");
    return cli_put_json(&b, err);
}

/* One attempt at each server, each as long as is configured. */
static int64_t limit_ms(const struct cli_context *c)
{
    int64_t ms =
        c->config->service.timeout_ms * (int64_t)urls_count(c->service.url);

    return ms > 0 && ms < LIMIT_MS ? ms : LIMIT_MS;
}

int cmd_status(int argc, char **argv)
{
    static const struct option names[] = {
        {"json", no_argument, NULL, 'j'},
        {"url", required_argument, NULL, 'u'},
        {"config", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0}};
    const char *path = NULL, *url = NULL;
    struct justalock_error err;
    static struct hold_views views; /* 0.4 MB */
    struct cli_context c;
    struct lock_id id;
    enum justalock_status st;
    bool json = false;
    int opt;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (opt == 'j')
            json = true;
        else if (opt == 'u')
            url = optarg;
        else if (opt == 'c')
            path = optarg;
        else
            return cli_usage("status", "the call is wrong");
    }
    if (optind != argc - 1)
        return cli_usage("status", "it takes one name");
    st = cli_context_open(&c, path, url, true, &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    st = cli_context_id(&c, argv[optind], &id, &err);
    if (st == JUSTALOCK_OK)
        st = hold_query(&c.service, c.config->agent.keeper_user, &id,
                        limit_ms(&c), &views, &err);
    cli_context_close(&c);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, error_wrap(&err, st, "%s", argv[optind]));
    st = (json ? print_json : print_text)(argv[optind], &views, &err);
    return st == JUSTALOCK_OK ? CLI_OK : cli_fail(&err, st);
}

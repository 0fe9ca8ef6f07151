/* SPDX-License-Identifier: MIT */
/*
 * http_mhd.c - libmicrohttpd's start, turns and end: a daemon for plain
 * connections and, where TLS is spoken, one for those.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "clock.h"
#include "http_inner.h"

#define MEMORY      8192 /* of a connection */
/* We count them; more than that is never let in while some are leaving. */
#define LEAVING_MAX 1024

struct conn *server_conn(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **known,
                          enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info;
    struct server *s = cls;

    if (what != MHD_CONNECTION_NOTIFY_STARTED) {
        conn_free(&s->conns, *known);
        *known = NULL;
        return;
    }
    info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    *known = conn_new(&s->conns, info->connect_fd, clock_raw_ms());
    /* Without memory for it nobody looks after it: it ends here. */
    if (*known == NULL)
        (void)shutdown(info->connect_fd, SHUT_RDWR);
    if (s->options->tls.client_ca == NULL)
        return;
    info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info != NULL)
        tls_begin(info->tls_session);
}

const char *server_peer_name(const struct server *s,
                             struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info;
    struct conn *c = server_conn(conn);

    if (c == NULL || s->options->tls.client_ca == NULL)
        return "";
    if (c->name == NULL)
        c->name = calloc(1, TLS_NAME_MAX + 1);
    if (c->name == NULL)
        return ""; /* nobody is known without memory: refused */
    if (c->reads != tls_reads(s->tls)) {
        c->name[0] = '\0';
        info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info != NULL)
            tls_peer_name(s->tls, info->tls_session, c->name);
        c->reads = tls_reads(s->tls);
    }
    return c->name;
}

static enum justalock_status start(struct server *s, int which,
                                   const struct MHD_OptionItem *more,
                                   struct justalock_error *err)
{
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    const union MHD_DaemonInfo *info;

    s->mhd[which] = MHD_start_daemon(
        which == DAEMON_TLS ? flags | MHD_USE_TLS : flags, 0, NULL, NULL,
        request_handle, s, MHD_OPTION_NOTIFY_COMPLETED, request_done, s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->conns.all_max + LEAVING_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, request_unescape, NULL,
        MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (s->mhd[which] == NULL)
        return error_set(err, JUSTALOCK_SYS, "libmicrohttpd does not start%s",
                         which == DAEMON_TLS ? " with TLS" : "");
    info = MHD_get_daemon_info(s->mhd[which], MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return error_set(err, JUSTALOCK_SYS, "libmicrohttpd has no epoll");
    return server_add_source(s, &s->mhd_source[which], SOURCE_MHD,
                             info->epoll_fd, err);
}

static void *text(const char *s)
{
    return (void *)(uintptr_t)s;
}

enum justalock_status server_start_mhd(struct server *s,
                                       struct justalock_error *err)
{
    struct MHD_OptionItem more[4] = {{MHD_OPTION_END, 0, NULL}};
    enum justalock_status st = start(s, DAEMON_PLAIN, more, err);
    size_t n = 0;

    if (st != JUSTALOCK_OK || s->tls == NULL)
        return st;
    more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                        tls_callback()};
    more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                        text(tls_priorities())};
    if (tls_client_ca(s->tls) != NULL)
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
                                            text(tls_client_ca(s->tls))};
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return start(s, DAEMON_TLS, more, err);
}

void server_stop_mhd(struct server *s)
{
    for (int i = 0; i < DAEMONS; i++)
        if (s->mhd[i] != NULL)
            MHD_stop_daemon(s->mhd[i]);
}

void server_run_mhd(struct server *s)
{
    for (int i = 0; i < DAEMONS; i++)
        if (s->mhd[i] != NULL)
            (void)MHD_run(s->mhd[i]);
}

int64_t server_mhd_ms(struct server *s, int64_t most_ms)
{
    MHD_UNSIGNED_LONG_LONG ms;

    for (int i = 0; i < DAEMONS; i++)
        if (s->mhd[i] != NULL && MHD_get_timeout(s->mhd[i], &ms) == MHD_YES &&
            (int64_t)ms < most_ms)
            most_ms = (int64_t)ms;
    return most_ms;
}

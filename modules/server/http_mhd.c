/* SPDX-License-Identifier: MIT */
/*
 * http_mhd.c - libmicrohttpd's start, turns and end: a daemon for plain
 * connections and, where TLS is spoken, one for those.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "http_inner.h"

#define CONNECTIONS_MAX 20000
#define FILES_SPARE     64   /* files that are not connections */
#define MEMORY          8192 /* of a connection */

/* What is known of who is at the other end of a TLS connection. */
struct peer {
    unsigned reads; /* tls_reads when it was looked at; 0: not yet */
    char name[TLS_NAME_MAX + 1];
};

/* As many connections as there are files for them. */
static unsigned connections_max(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return FILES_SPARE;
    if (r.rlim_cur < 2 * FILES_SPARE)
        return (unsigned)r.rlim_cur / 2;
    if (r.rlim_cur >= CONNECTIONS_MAX + FILES_SPARE)
        return CONNECTIONS_MAX;
    return (unsigned)r.rlim_cur - FILES_SPARE;
}

/* Who says nothing is not let stay for as long as who has asked. */
static void on_connection(void *cls, struct MHD_Connection *conn, void **peer,
                          enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info;
    const struct server *s = cls;

    if (what != MHD_CONNECTION_NOTIFY_STARTED) {
        free(*peer);
        *peer = NULL;
        return;
    }
    (void)MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT,
                                    FIRST_S);
    if (s->options->tls.client_ca == NULL)
        return;
    /* Without memory for it nobody is known here: refused, nothing worse. */
    *peer = calloc(1, sizeof(struct peer));
    info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info != NULL)
        tls_begin(info->tls_session);
}

const char *server_peer_name(const struct server *s,
                             struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *p = info != NULL ? info->socket_context : NULL;

    if (p == NULL)
        return "";
    if (p->reads != tls_reads(s->tls)) {
        p->name[0] = '\0';
        info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info != NULL)
            tls_peer_name(s->tls, info->tls_session, p->name);
        p->reads = tls_reads(s->tls);
    }
    return p->name;
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
        MHD_OPTION_CONNECTION_LIMIT, connections_max(),
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

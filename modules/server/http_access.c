/* SPDX-License-Identifier: MIT */
/*
 * http_access.c - who asks, and may they? Over TLS each request names a client
 * of the list, by bearer token or by the connection's certificate. What comes
 * over loopback or a unix socket without TLS is the host's own affair.
 */
#include <string.h>
#include <strings.h>

#include "http_inner.h"

static bool is_tls(const struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_DAEMON);

    /* What cannot be told is not let in. */
    return info == NULL || info->daemon != r->server->mhd[DAEMON_PLAIN];
}

static const struct access_client *who(const struct request *r)
{
    static const char bearer[] = "Bearer ";
    const struct access *a = r->server->access;
    size_t n = sizeof(bearer) - 1;
    const char *name;

    if (r->authorization != NULL) {
        if (strncasecmp(r->authorization, bearer, n) != 0)
            return NULL;
        return access_by_token(a, r->authorization + n,
                               strlen(r->authorization + n));
    }
    name = server_peer_name(r->server, r->conn);
    return name[0] != '\0' ? access_by_certificate(a, name) : NULL;
}

bool request_may(const struct request *r, enum access_right right)
{
    return r->client != NULL && access_may(r->client, right, &r->q.id);
}

static bool may_ask(const struct request *r)
{
    switch (r->route) {
    case ROUTE_LOCK:
        return request_may(r, ACCESS_TAKE);
    case ROUTE_BREAK:
        return request_may(r, ACCESS_BREAK);
    case ROUTE_VIEW:
        return request_may(r, ACCESS_LOOK);
    case ROUTE_HEALTH:
        return true;
    default:
        return access_may(r->client, ACCESS_LOOK, NULL);
    }
}

void request_check_access(struct request *r)
{
    if (!is_tls(r) || r->route == ROUTE_HEALTH)
        return;
    r->client = who(r);
    if (r->client == NULL)
        answer_refuse(r, 401,
                      "a bearer token or a certificate that this server knows "
                      "is needed\n");
    else if (!may_ask(r))
        answer_refuse(r, 403, "this client has no right to do that here\n");
}

/* SPDX-License-Identifier: MIT */
/*
 * http_limit.c - what happens at a limit: who it is that asks, the answer with
 * 429 (as much as one may) or 503 (as much as there is), and a line in the
 * log, said once a minute.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "http_inner.h"
#include "log.h"

#define SAY_EVERY_MS 60000
#define WHO_MAX      (LOCK_PAYER_MAX + 1)

static void say(struct server *s, int limit, bool is_own, const char *who)
{
    struct limit_said *said = &s->said[limit][is_own];
    int64_t now_ms = clock_raw_ms();

    s->figures.refused[limit][is_own]++;
    said->count++;
    if (said->next_ms != 0 && now_ms < said->next_ms)
        return;
    said->next_ms = now_ms + SAY_EVERY_MS;
    log_warn(
        "limit: %s: %zu are in use, %s: refused: %s, %" PRIu64 " times so far",
        limits_name(limit),
        is_own ? s->limits.each[limit] : s->limits.all[limit],
        is_own ? "as many as one may" : "as many as may be", who, said->count);
}

/* ---- connections ---- */

/* The client knows by the features that we are no base service. Over TLS there
 * is nobody to tell it to as yet. */
static void tell(int fd, bool is_own)
{
    char text[512], heard[4096];
    const char *why =
        is_own ? "this address has as many connections as one may; close "
                 "some, or ask again later\n"
               : "there are as many connections as may be; ask again later\n";
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %s\r\nConnection: close\r\nRetry-After: %d\r\n"
                 "Justalock-Features: %s\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 is_own ? "429 Too Many Requests" : "503 Service Unavailable",
                 LIMIT_RETRY_S, answer_features, strlen(why), why);

    (void)send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    /* What is unread when we close would take the answer along. */
    (void)recv(fd, heard, sizeof(heard), MSG_DONTWAIT);
}

bool server_admits(struct server *s, int fd, bool is_tls,
                   const struct sockaddr_storage *peer)
{
    char who[WHO_MAX];
    enum conn_verdict v =
        conns_admit(&s->conns, peer, fd, clock_raw_ms(), who, sizeof(who));
    bool is_own = v == CONN_TOO_MANY_OF_ADDRESS;

    if (v == CONN_WELCOME)
        return true;
    say(s, LIMIT_CONNECTIONS, is_own, who);
    if (!is_tls)
        tell(fd, is_own);
    (void)close(fd);
    return false;
}

/* ---- requests ---- */

static void who_asks(const struct request *r, char *dst, size_t size)
{
    const struct conn *c = server_conn(r->conn);

    if (r->client != NULL)
        (void)snprintf(dst, size, "client %s", access_name(r->client));
    else if (c != NULL)
        conn_who(c, dst, size);
    else
        (void)snprintf(dst, size, "somebody");
}

void request_charge(struct request *r)
{
    char who[WHO_MAX];

    who_asks(r, who, sizeof(who));
    /* Without memory it counts for nobody, which is within what all may. */
    (void)lock_charge(r->server->table, who);
}

void request_at_limit(struct request *r)
{
    struct lock_refusal why = lock_refusal(r->server->table);
    char who[WHO_MAX];

    if (why.limit == LOCK_LIMITS) {
        answer_refuse(r, 503, "a limit is reached; ask again later\n");
        return;
    }
    who_asks(r, who, sizeof(who));
    say(r->server, (int)why.limit, why.is_own, who);
    if (!why.is_own)
        answer_refuse(r, 503,
                      "a limit of all clients is reached; ask again "
                      "later\n");
    else
        answer_refuse(r, 429,
                      why.limit == LOCK_LIMIT_WAITERS
                          ? "this client has as many requests that wait as "
                            "one may; ask again later\n"
                      : why.limit == LOCK_LIMIT_HELD
                          ? "this client holds as many locks as one may; give "
                            "one back first\n"
                          : "this client has released as many locks as are "
                            "remembered of one; ask again later\n");
}

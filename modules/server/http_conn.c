/* SPDX-License-Identifier: MIT */
/*
 * http_conn.c - connections before their requests: how many there may be, of
 * all and of one address, and for how long one may say nothing that counts.
 *
 * A connection is silent until its first request is whole and, over TLS, of a
 * client that we know. Who comes when there is no room takes the place of the
 * one that has been silent for longest, at once where that one's address has
 * more connections: who floods pays for it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "clock.h"
#include "http_conn.h"

/* A silent one is not sent away sooner for its equals. */
#define GRACE_MS 1000

/* ---- addresses ---- */

static void key_of(const struct sockaddr_storage *ss, int fd,
                   struct address_key *ret_key)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;
    struct ucred cred = {.uid = (uid_t)-1};
    socklen_t len = sizeof(cred);

    memset(ret_key, 0, sizeof(*ret_key));
    ret_key->family = ss->ss_family;
    if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        ret_key->family = AF_INET;
        memcpy(ret_key->bytes, &v6->sin6_addr.s6_addr[12], 4);
    } else if (ss->ss_family == AF_INET6) {
        memcpy(ret_key->bytes, &v6->sin6_addr, 8); /* one site's network */
    } else if (ss->ss_family == AF_INET) {
        memcpy(ret_key->bytes, &v4->sin_addr, 4);
    } else {
        (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
        memcpy(ret_key->bytes, &cred.uid, sizeof(cred.uid));
    }
    if (ret_key->family == AF_INET && ret_key->bytes[0] == 127)
        memset(ret_key->bytes + 1, 0, 3); /* who may be one may be all */
}

static void say_key(const struct address_key *k, char *dst, size_t size)
{
    uint8_t bytes[16] = {0};
    char text[INET6_ADDRSTRLEN] = "?";
    uid_t uid;

    memcpy(bytes, k->bytes, sizeof(k->bytes));
    memcpy(&uid, k->bytes, sizeof(uid));
    if (k->family != AF_INET && k->family != AF_INET6) {
        (void)snprintf(dst, size, "user %ld", (long)(int)uid);
        return;
    }
    (void)inet_ntop(k->family, bytes, text, sizeof(text));
    (void)snprintf(dst, size, "address %s%s", text,
                   k->family == AF_INET6                        ? "/64"
                   : k->family == AF_INET && k->bytes[0] == 127 ? "/8"
                                                                : "");
}

static struct address *find(struct conns *cs, const struct address_key *key,
                            bool may_add)
{
    struct address *a;

    HASH_FIND(hh, cs->addresses, key, sizeof(*key), a);
    if (a != NULL || !may_add)
        return a;
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    a->key = *key;
    HASH_ADD(hh, cs->addresses, key, sizeof(a->key), a);
    if (a->hh.tbl == NULL) {
        free(a);
        return NULL;
    }
    return a;
}

static void forget_idle(struct conns *cs, struct address *a)
{
    if (a->open > 0 || (a->pass == cs->pass && a->coming > 0))
        return;
    HASH_DEL(cs->addresses, a);
    free(a);
}

/* ---- the silent ones, oldest first ---- */

static void no_longer_silent(struct conns *cs, struct conn *c)
{
    if (!c->is_silent)
        return;
    c->is_silent = false;
    DL_DELETE(cs->silent, c);
}

/* libmicrohttpd sees its end, and closes it. */
static void send_away(struct conns *cs, struct conn *c)
{
    no_longer_silent(cs, c);
    c->is_leaving = true;
    cs->leaving++;
    (void)shutdown(c->fd, SHUT_RDWR);
}

/* For somebody who has as many connections already. */
static bool make_room(struct conns *cs, size_t has, int64_t now_ms)
{
    struct conn *c = cs->silent;

    if (c == NULL ||
        (c->address->open <= has + 1 && now_ms - c->since_ms < GRACE_MS))
        return false;
    send_away(cs, c);
    return true;
}

int64_t conns_run(struct conns *cs, int64_t now_ms)
{
    while (cs->silent != NULL &&
           now_ms - cs->silent->since_ms >= SILENT_S * 1000LL)
        send_away(cs, cs->silent);
    return cs->silent != NULL ? cs->silent->since_ms + SILENT_S * 1000LL
                              : INT64_MAX;
}

void conn_has_asked(struct conns *cs, struct conn *c)
{
    if (c != NULL)
        no_longer_silent(cs, c);
}

/* ---- coming and going ---- */

void conns_pass(struct conns *cs)
{
    bool is_missing = cs->coming > 0;
    struct address *a, *tmp;

    cs->pass++;
    cs->coming = 0;
    if (!is_missing) /* which is seldom: libmicrohttpd had no memory */
        return;
    HASH_ITER (hh, cs->addresses, a, tmp) {
        forget_idle(cs, a);
    }
}

enum conn_verdict conns_admit(struct conns *cs,
                              const struct sockaddr_storage *peer, int fd,
                              int64_t now_ms, char *ret_who, size_t size)
{
    struct address_key key;
    struct address *a;
    size_t coming;

    key_of(peer, fd, &key);
    say_key(&key, ret_who, size);
    a = find(cs, &key, true);
    if (a == NULL)
        return CONN_TOO_MANY;
    coming = a->pass == cs->pass ? a->coming : 0;
    if (a->open + coming >= cs->each_max)
        return CONN_TOO_MANY_OF_ADDRESS;
    if (cs->open + cs->coming >= cs->all_max + cs->leaving &&
        !make_room(cs, a->open + coming, now_ms)) {
        if (coming == 0)
            forget_idle(cs, a);
        return CONN_TOO_MANY;
    }
    a->pass = cs->pass;
    a->coming = coming + 1;
    cs->coming++;
    return CONN_WELCOME;
}

struct conn *conn_new(struct conns *cs, int fd, int64_t now_ms)
{
    struct conn *c = calloc(1, sizeof(*c));
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    socklen_t len = sizeof(ss);
    struct address_key key;

    if (c == NULL)
        return NULL;
    (void)getpeername(fd, (struct sockaddr *)&ss, &len);
    key_of(&ss, fd, &key);
    c->address = find(cs, &key, true);
    if (c->address == NULL) {
        free(c);
        return NULL;
    }
    if (c->address->pass == cs->pass && c->address->coming > 0) {
        c->address->coming--;
        cs->coming--;
    }
    c->address->open++;
    cs->open++;
    c->fd = fd;
    c->since_ms = now_ms;
    c->is_silent = true;
    DL_APPEND(cs->silent, c);
    return c;
}

void conn_free(struct conns *cs, struct conn *c)
{
    if (c == NULL)
        return;
    no_longer_silent(cs, c);
    if (c->is_leaving)
        cs->leaving--;
    cs->open--;
    c->address->open--;
    forget_idle(cs, c->address);
    free(c->name);
    free(c);
}

void conn_who(const struct conn *c, char *dst, size_t size)
{
    say_key(&c->address->key, dst, size);
}

void conns_done(struct conns *cs)
{
    struct address *a, *tmp;

    HASH_ITER (hh, cs->addresses, a, tmp) {
        HASH_DEL(cs->addresses, a);
        free(a);
    }
}

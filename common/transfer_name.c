/* SPDX-License-Identifier: MIT */
/*
 * transfer_name.c - name lookups in threads of their own, and what they found.
 */
#include "transfer_name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FRESH_MS  60000 /* names are looked up again after that */
#define AGAIN_MS  5000  /* not sooner, after one that failed */
#define HUNG_MS   30000 /* one that takes longer is given up */
#define LIVE_MAX  8     /* threads at a time */
#define ADDRS_MAX 8     /* of one name */

/* What the threads and the hub share. Freed by whoever leaves last. */
struct common {
    pthread_mutex_t mutex;
    int fd; /* eventfd; -1 once the hub is gone */
    unsigned live;
    unsigned refs;
};

struct lookup {
    struct common *common;
    bool is_done;
    bool is_left; /* nobody waits: the thread frees it */
    int rc;       /* of getaddrinfo */
    char host[NAME_HOST_MAX + 1];
    char port[6];
    char addrs[NAME_ADDRS_MAX + 1];
};

struct names {
    struct common *common;
    struct name *first;
};

/* ---- urls ---- */

static bool is_address(const char *host)
{
    struct in_addr v4;

    return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

bool name_of_url(const char *url, char *ret_host, char *ret_port)
{
    const char *host = strstr(url, "://");
    const char *port = strncasecmp(url, "https:", 6) == 0 ? "443" : "80";
    size_t len;
    size_t port_len = strlen(port);

    if (!host)
        return false;
    host += 3;
    if (host[0] == '[')
        return false;
    len = strcspn(host, ":/");
    if (host[len] == ':') {
        port = host + len + 1;
        port_len = strspn(port, "0123456789");
    }
    if (len == 0 || len > NAME_HOST_MAX || port_len == 0 || port_len > 5)
        return false;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    memcpy(ret_port, port, port_len);
    ret_port[port_len] = '\0';
    return !is_address(ret_host);
}

/* ---- the threads ---- */

/* With the mutex held; gives it back. */
static void leave(struct common *c)
{
    bool last = --c->refs == 0;

    pthread_mutex_unlock(&c->mutex);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
}

/* Addresses as CURLOPT_RESOLVE takes them: joined by commas, v6 in []. */
static void write_addrs(struct lookup *l, const struct addrinfo *found)
{
    size_t at = 0;
    size_t count = 0;

    for (; found && count < ADDRS_MAX; found = found->ai_next) {
        char text[64];
        bool is_v6 = found->ai_family == AF_INET6;
        int n;

        if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text),
                        NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        n = snprintf(l->addrs + at, sizeof(l->addrs) - at, "%s%s%s%s",
                     at > 0 ? "," : "", is_v6 ? "[" : "", text,
                     is_v6 ? "]" : "");
        if (n < 0 || (size_t)n >= sizeof(l->addrs) - at) {
            l->addrs[at] = '\0';
            return;
        }
        at += (size_t)n;
        count++;
    }
}

static void *look_up(void *arg)
{
    struct lookup *l = arg;
    struct common *c = l->common;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    uint64_t one = 1;

    l->rc = getaddrinfo(l->host, l->port, &hints, &found);
    if (l->rc == 0) {
        write_addrs(l, found);
        freeaddrinfo(found);
    }
    pthread_mutex_lock(&c->mutex);
    c->live--;
    l->is_done = true;
    if (l->is_left)
        free(l);
    else
        (void)!write(c->fd, &one, sizeof(one)); /* full: readable already */
    leave(c);
    return NULL;
}

/* All signals are the caller's. */
static int start_thread(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    (void)sigfillset(&all);
    rc = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (rc == 0)
        rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(&thread, &attr, look_up, l);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as before */
    }
    (void)pthread_attr_destroy(&attr);
    return rc;
}

static void give_up(struct name *n)
{
    struct common *c;

    if (!n->lookup)
        return;
    c = n->lookup->common;
    pthread_mutex_lock(&c->mutex);
    if (n->lookup->is_done)
        free(n->lookup);
    else
        n->lookup->is_left = true;
    pthread_mutex_unlock(&c->mutex);
    n->lookup = NULL;
}

static void begin(struct names *ns, struct name *n, struct clock_time now)
{
    struct common *c = ns->common;
    struct lookup *l;
    bool may;

    give_up(n);
    n->asked = now;
    l = calloc(1, sizeof(*l));
    if (!l) {
        (void)snprintf(n->why, sizeof(n->why), "no memory");
        return;
    }
    memcpy(l->host, n->host, sizeof(l->host));
    memcpy(l->port, n->port, sizeof(l->port));
    l->common = c;
    pthread_mutex_lock(&c->mutex);
    may = c->live < LIVE_MAX;
    c->live += may;
    c->refs += may;
    pthread_mutex_unlock(&c->mutex);
    if (may && start_thread(l) == 0) {
        n->lookup = l;
        return;
    }
    free(l);
    (void)snprintf(n->why, sizeof(n->why), "no thread for its lookup");
    if (may) {
        pthread_mutex_lock(&c->mutex);
        c->live--;
        leave(c);
    }
}

/* ---- names ---- */

struct names *names_new(void)
{
    struct names *ns = calloc(1, sizeof(*ns));
    struct common *c = calloc(1, sizeof(*c));
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (ns && c && fd >= 0 && pthread_mutex_init(&c->mutex, NULL) == 0) {
        c->fd = fd;
        c->refs = 1;
        ns->common = c;
        return ns;
    }
    if (fd >= 0)
        (void)close(fd);
    free(c);
    free(ns);
    return NULL;
}

void names_free(struct names *ns)
{
    if (!ns)
        return;
    while (ns->first) {
        struct name *n = ns->first;

        ns->first = n->next;
        give_up(n);
        free(n);
    }
    pthread_mutex_lock(&ns->common->mutex);
    (void)close(ns->common->fd);
    ns->common->fd = -1; /* all lookups are left: none writes to it */
    leave(ns->common);
    free(ns);
}

int names_fd(const struct names *ns)
{
    return ns->common->fd;
}

static struct name *find(struct names *ns, const char *host, const char *port)
{
    struct name *n;

    for (n = ns->first; n; n = n->next)
        if (strcmp(n->host, host) == 0 && strcmp(n->port, port) == 0)
            return n;
    n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    (void)snprintf(n->host, sizeof(n->host), "%s", host);
    (void)snprintf(n->port, sizeof(n->port), "%s", port);
    n->next = ns->first;
    ns->first = n;
    return n;
}

struct name *names_get(struct names *ns, const char *host, const char *port,
                       struct clock_time now)
{
    struct name *n = find(ns, host, port);
    int64_t ms;

    if (!n)
        return NULL;
    ms = clock_elapsed_ms(n->asked, now);
    if (n->lookup && ms < HUNG_MS)
        return n;
    if (n->addrs[0] == '\0' || ms >= FRESH_MS ||
        (n->why[0] != '\0' && ms >= AGAIN_MS))
        begin(ns, n, now);
    return n;
}

static void take(struct name *n)
{
    struct lookup *l = n->lookup;

    if (l->rc == 0 && l->addrs[0] != '\0') {
        memcpy(n->addrs, l->addrs, sizeof(n->addrs));
        n->why[0] = '\0';
    } else {
        (void)snprintf(n->why, sizeof(n->why), "%s",
                       l->rc != 0 ? gai_strerror(l->rc) : "no address");
    }
    free(l);
    n->lookup = NULL;
}

void names_collect(struct names *ns)
{
    uint64_t count;

    if (read(ns->common->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return; /* cannot be: the descriptor is ours */
    for (struct name *n = ns->first; n; n = n->next) {
        bool is_done = false;

        if (!n->lookup)
            continue;
        pthread_mutex_lock(&ns->common->mutex);
        is_done = n->lookup->is_done;
        pthread_mutex_unlock(&ns->common->mutex);
        if (is_done)
            take(n);
    }
}

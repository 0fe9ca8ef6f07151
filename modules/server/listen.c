/* SPDX-License-Identifier: MIT */
/*
 * listen.c - the sockets a server listens on, see listen.h. Without TLS who
 * can connect can take locks: so that is for loopback, and for a unix socket,
 * which is open to all users of the host.
 */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"
#include "parse.h"

#define BACKLOG 1024
#define NO_TLS                                                                 \
    "TLS and a list of clients are missing, and without them anyone on the "   \
    "network could take and free locks: --tls-cert, --tls-key and --access"

static enum justalock_status fail(int fd, struct justalock_error *err,
                                  const char *what, const char *address)
{
    int saved = errno;

    if (fd >= 0)
        (void)close(fd);
    return error_sys(err, saved, "--listen %s: cannot %s", address, what);
}

static enum justalock_status start(int fd, const struct sockaddr *sa,
                                   socklen_t len, const char *address,
                                   int *ret_fd, struct justalock_error *err)
{
    int on = 1;

    if (fd < 0)
        return fail(fd, err, "make a socket", address);
    if (sa->sa_family != AF_UNIX &&
        (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
         setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0))
        return fail(fd, err, "set up the socket", address);
    if (bind(fd, sa, len) != 0)
        return fail(fd, err, "bind", address);
    if (listen(fd, BACKLOG) != 0)
        return fail(fd, err, "listen", address);
    *ret_fd = fd;
    return JUSTALOCK_OK;
}

/* ---- unix sockets ---- */

/* A file that a dead server left is removed; one that somebody serves is not.
 */
static bool is_stale(const struct sockaddr_un *sun)
{
    struct stat sb;
    int fd, rc;

    if (lstat(sun->sun_path, &sb) != 0 || !S_ISSOCK(sb.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    rc = connect(fd, (const struct sockaddr *)sun, sizeof(*sun));
    rc = rc != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return rc != 0;
}

static enum justalock_status open_unix(const char *address, const char *path,
                                       int *ret_fd, struct justalock_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    enum justalock_status st;
    int fd;

    if (path[0] != '/' || len >= sizeof(sun.sun_path))
        return error_set(err, JUSTALOCK_ARG,
                         "--listen %s: the path must begin with / and have at "
                         "most %zu bytes",
                         address, sizeof(sun.sun_path) - 1);
    memcpy(sun.sun_path, path, len);
    if (is_stale(&sun))
        (void)unlink(path);
    st = start(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
               (struct sockaddr *)&sun, sizeof(sun), address, &fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (chmod(path, 0666) != 0)
        return fail(fd, err, "open it to users", address);
    *ret_fd = fd;
    return JUSTALOCK_OK;
}

/* ---- addresses ---- */

static bool is_loopback(const struct sockaddr_storage *ss)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;

    if (ss->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
}

static enum justalock_status parse_address(const char *address,
                                           struct sockaddr_storage *ss,
                                           socklen_t *len,
                                           struct justalock_error *err)
{
    const char *colon = strrchr(address, ':');
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
    struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
    char host[INET6_ADDRSTRLEN + 2] = "";
    enum justalock_status st;
    uint64_t port;
    size_t n;

    n = colon == NULL ? 0 : (size_t)(colon - address);
    if (n == 0 || n >= sizeof(host))
        return error_set(err, JUSTALOCK_ARG,
                         "--listen %s: not ADDRESS:PORT, [ADDRESS]:PORT, "
                         "tls:ADDRESS:PORT or unix:PATH",
                         address);
    st = parse_u64(colon + 1, 0, 65535, "port", &port, err);
    if (st != JUSTALOCK_OK)
        return error_wrap(err, st, "--listen %s", address);
    memcpy(host, address, n);
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *len = sizeof(*v6);
        if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
            return JUSTALOCK_OK;
    } else {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof(*v4);
        if (inet_pton(AF_INET,
                      strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                      &v4->sin_addr) == 1)
            return JUSTALOCK_OK;
    }
    return error_set(err, JUSTALOCK_ARG, "--listen %s: %s is not an address",
                     address, host);
}

static void say_bound(const struct listener *l, char *ret_bound, size_t size)
{
    const char *tls = l->is_tls ? "tls:" : "";
    struct sockaddr_storage ss;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ss;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ss;
    socklen_t len = sizeof(ss);
    char host[INET6_ADDRSTRLEN] = "?";

    ret_bound[0] = '\0';
    if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
        return;
    if (ss.ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(ret_bound, size, "%s[%s]:%u", tls, host,
                       ntohs(v6->sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(ret_bound, size, "%s%s:%u", tls, host,
                       ntohs(v4->sin_port));
    }
}

static enum justalock_status open_address(const char *address, bool has_tls,
                                          struct listener *ret,
                                          struct justalock_error *err)
{
    bool is_asked = strncmp(address, "tls:", 4) == 0;
    struct sockaddr_storage ss = {0};
    socklen_t len = 0;
    enum justalock_status st =
        parse_address(is_asked ? address + 4 : address, &ss, &len, err);

    if (st != JUSTALOCK_OK)
        return st;
    ret->is_tls = is_asked || !is_loopback(&ss);
    if (ret->is_tls && !has_tls)
        return error_set(err, JUSTALOCK_DENIED, "--listen %s: %s" NO_TLS,
                         address, is_asked ? "" : "not a loopback address; ");
    return start(
        socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        (struct sockaddr *)&ss, len, address, &ret->fd, err);
}

enum justalock_status listen_open(const char *address, bool has_tls,
                                  struct listener *ret_listener,
                                  char *ret_bound, size_t size,
                                  struct justalock_error *err)
{
    struct listener l = {.fd = -1};
    enum justalock_status st;

    if (strncmp(address, "unix:", 5) == 0) {
        st = open_unix(address, address + 5, &l.fd, err);
        if (st == JUSTALOCK_OK)
            (void)snprintf(ret_bound, size, "%s", address);
    } else {
        st = open_address(address, has_tls, &l, err);
        if (st == JUSTALOCK_OK)
            say_bound(&l, ret_bound, size);
    }
    if (st == JUSTALOCK_OK)
        *ret_listener = l;
    return st;
}

/* ---- handed over ---- */

static enum justalock_status take_over(struct listener *l, bool has_tls,
                                       struct justalock_error *err)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    int flags = fcntl(l->fd, F_GETFL);

    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
        return error_sys(err, errno, "the inherited socket %d", l->fd);
    if (ss.ss_family == AF_UNIX)
        return JUSTALOCK_OK;
    if (ss.ss_family != AF_INET && ss.ss_family != AF_INET6)
        return error_set(err, JUSTALOCK_ARG,
                         "the inherited socket %d: family %d is none of ours",
                         l->fd, (int)ss.ss_family);
    l->is_tls = !is_loopback(&ss);
    if (l->is_tls && !has_tls)
        return error_set(err, JUSTALOCK_DENIED,
                         "the inherited socket %d: not a loopback "
                         "address; " NO_TLS,
                         l->fd);
    return JUSTALOCK_OK;
}

enum justalock_status listen_inherited(bool has_tls, struct listener *ret,
                                       size_t max, size_t *ret_len,
                                       struct justalock_error *err)
{
    int first;
    enum justalock_status st = notify_sockets(max, &first, ret_len, err);

    for (size_t i = 0; st == JUSTALOCK_OK && i < *ret_len; i++) {
        ret[i] = (struct listener){.fd = first + (int)i};
        st = take_over(&ret[i], has_tls, err);
    }
    return st;
}

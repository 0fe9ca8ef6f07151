/* SPDX-License-Identifier: MIT */
/*
 * fake_service.c - the HTTP/1.1 server of fake_service.h: a thread accepts,
 * one more serves each connection.
 */
#include "fake_service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX 2048
#define INPUT_MAX 8192

struct conn {
    struct fake_service *f;
    pthread_t thread;
    unsigned number;
    int fd;
    bool open;
    char input[INPUT_MAX];
    size_t len;
};

struct fake_service {
    fake_fn *fn;
    void *arg;
    int fd;
    int stop; /* eventfd: readable once all is to end */
    int port;
    pthread_t thread;
    pthread_mutex_t mutex;
    unsigned refuse;
    struct conn *conns[CONNS_MAX];
    unsigned conns_len;
    struct fake_request *requests;
    unsigned requests_len;
};

/* ---- waiting ---- */

/* true: go on; false: all is to end, or the peer is gone. */
static bool pause_ms(struct conn *c, int ms)
{
    struct pollfd fds[2] = {{.fd = c->f->stop, .events = POLLIN},
                            {.fd = c->fd, .events = POLLRDHUP}};

    return poll(fds, 2, ms) == 0;
}

static bool wait_input(struct conn *c)
{
    struct pollfd fds[2] = {{.fd = c->f->stop, .events = POLLIN},
                            {.fd = c->fd, .events = POLLIN}};

    return poll(fds, 2, -1) > 0 && !fds[0].revents;
}

static bool send_all(struct conn *c, const char *data, size_t len)
{
    while (len > 0) {
        struct pollfd fds[2] = {{.fd = c->f->stop, .events = POLLIN},
                                {.fd = c->fd, .events = POLLOUT}};
        ssize_t n;

        if (poll(fds, 2, -1) <= 0 || fds[0].revents)
            return false;
        n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- requests ---- */

bool fake_header(const struct fake_request *r, const char *name, char *ret,
                 size_t size)
{
    size_t name_len = strlen(name);
    const char *line = r->head;

    while (line && *line) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            size_t len;

            line += name_len + 1;
            line += strspn(line, " ");
            len = strcspn(line, "\r\n");
            if (len >= size)
                len = size - 1;
            memcpy(ret, line, len);
            ret[len] = '\0';
            return true;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return false;
}

/* Bytes of the head with its empty line; 0: not whole yet. */
static size_t head_len(const struct conn *c)
{
    const char *end = memmem(c->input, c->len, "\r\n\r\n", 4);

    return end ? (size_t)(end - c->input) + 4 : 0;
}

/* Returns how long its body is: what of it is in r is the beginning. */
static size_t parse(struct conn *c, size_t head, struct fake_request *r)
{
    char *line = memchr(c->input, '\n', head);
    size_t len, body_len = 0;
    char number[16];

    memset(r, 0, sizeof(*r));
    c->input[head - 1] = '\0';
    (void)sscanf(c->input, "%15s %255s", r->method, r->target);
    len = line ? head - (size_t)(line + 1 - c->input) : 0;
    if (len > sizeof(r->head) - 1)
        len = sizeof(r->head) - 1;
    if (line)
        memcpy(r->head, line + 1, len);
    if (fake_header(r, "Content-Length", number, sizeof(number)))
        body_len = strtoul(number, NULL, 10);
    r->body_len = body_len < sizeof(r->body) ? body_len : sizeof(r->body) - 1;
    return body_len;
}

static bool read_more(struct conn *c)
{
    ssize_t n;

    if (c->len == sizeof(c->input) || !wait_input(c))
        return false;
    n = recv(c->fd, c->input + c->len, sizeof(c->input) - c->len, 0);
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    return true;
}

static bool read_request(struct conn *c, struct fake_request *r)
{
    size_t head, rest, n;

    while ((head = head_len(c)) == 0)
        if (!read_more(c))
            return false;
    rest = parse(c, head, r);
    while (c->len < head + r->body_len)
        if (!read_more(c))
            return false;
    memcpy(r->body, c->input + head, r->body_len);
    rest += head;
    for (;; rest -= n) { /* a body may be longer than what we keep of it */
        n = rest < c->len ? rest : c->len;
        c->len -= n;
        memmove(c->input, c->input + n, c->len);
        if (rest == n)
            break;
        if (!read_more(c))
            return false;
    }
    r->at = clock_now();
    return true;
}

/* ---- answers ---- */

static bool endless(struct conn *c, const char *begin, const char *line)
{
    if (!send_all(c, begin, strlen(begin)))
        return false;
    while (send_all(c, line, strlen(line)))
        continue;
    return false;
}

static bool send_answer(struct conn *c, const struct fake_step *s)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s%s\r\n%s",
                     s->status, strlen(s->body), s->headers,
                     s->close ? "Connection: close\r\n" : "", s->body);

    if (n < 0 || (size_t)n >= sizeof(text))
        return false;
    if (s->way == FAKE_TRICKLE) {
        for (int i = 0; i < n; i++)
            if (!pause_ms(c, s->delay_ms) || !send_all(c, text + i, 1))
                return false;
        return !s->close;
    }
    if (s->delay_ms > 0 && !pause_ms(c, s->delay_ms))
        return false;
    return send_all(c, text, (size_t)n) && !s->close;
}

/* true: the connection goes on. */
static bool act(struct conn *c, const struct fake_step *s)
{
    struct linger now = {.l_onoff = 1};

    switch (s->way) {
    case FAKE_ANSWER:
    case FAKE_TRICKLE:
        return send_answer(c, s);
    case FAKE_RAW:
        (void)send_all(c, s->body, strlen(s->body));
        return false;
    case FAKE_RESET:
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        return false;
    case FAKE_DROP:
        if (s->delay_ms > 0)
            (void)pause_ms(c, s->delay_ms);
        return false;
    case FAKE_SILENT:
        (void)pause_ms(c, -1);
        return false;
    case FAKE_ENDLESS_HEAD:
        return endless(c, "HTTP/1.1 200 OK\r\n", "X-More: and more of it\r\n");
    case FAKE_ENDLESS_BODY:
        return endless(c, "HTTP/1.1 200 OK\r\n\r\n", "and more of it and more");
    }
    return false;
}

static void *serve(void *arg)
{
    struct conn *c = arg;
    struct fake_service *f = c->f;
    struct fake_request r;
    struct fake_step s;
    unsigned number = 0;
    bool more = true;

    while (more && read_request(c, &r)) {
        memset(&s, 0, sizeof(s));
        s.status = 200;
        r.connection = c->number;
        r.number = number++;
        pthread_mutex_lock(&f->mutex);
        if (f->requests_len < FAKE_REQUESTS_MAX)
            f->requests[f->requests_len++] = r;
        f->fn(f->arg, &r, &s);
        pthread_mutex_unlock(&f->mutex);
        more = act(c, &s);
    }
    pthread_mutex_lock(&f->mutex);
    c->open = false;
    (void)close(c->fd);
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* ---- the service ---- */

static void take(struct fake_service *f, int fd)
{
    struct conn *c = NULL;

    pthread_mutex_lock(&f->mutex);
    if (f->refuse > 0)
        f->refuse--;
    else if (f->conns_len < CONNS_MAX)
        c = calloc(1, sizeof(*c));
    if (c) {
        c->f = f;
        c->fd = fd;
        c->open = true;
        c->number = f->conns_len;
        if (pthread_create(&c->thread, NULL, serve, c) == 0) {
            f->conns[f->conns_len++] = c;
        } else {
            free(c);
            c = NULL;
        }
    }
    pthread_mutex_unlock(&f->mutex);
    if (!c)
        (void)close(fd);
}

static void *listen_on(void *arg)
{
    struct fake_service *f = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = f->stop, .events = POLLIN},
                                {.fd = f->fd, .events = POLLIN}};
        int fd;

        if (poll(fds, 2, -1) <= 0 || fds[0].revents)
            return NULL;
        fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take(f, fd);
    }
}

static bool open_socket(struct fake_service *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    f->stop = eventfd(0, EFD_CLOEXEC);
    if (f->fd < 0 || f->stop < 0 ||
        bind(f->fd, (struct sockaddr *)&at, len) < 0 ||
        listen(f->fd, 1024) < 0 ||
        getsockname(f->fd, (struct sockaddr *)&at, &len) < 0)
        return false;
    f->port = ntohs(at.sin_port);
    return true;
}

struct fake_service *fake_start(fake_fn *fn, void *arg)
{
    struct fake_service *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->fn = fn;
    f->arg = arg;
    f->fd = -1;
    f->stop = -1;
    f->requests = calloc(FAKE_REQUESTS_MAX, sizeof(*f->requests));
    if (f->requests && open_socket(f) &&
        pthread_mutex_init(&f->mutex, NULL) == 0 &&
        pthread_create(&f->thread, NULL, listen_on, f) == 0)
        return f;
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->stop >= 0)
        (void)close(f->stop);
    free(f->requests);
    free(f);
    return NULL;
}

void fake_stop(struct fake_service *f)
{
    uint64_t one = 1;

    if (write(f->stop, &one, sizeof(one)) != (ssize_t)sizeof(one))
        abort();
    (void)pthread_join(f->thread, NULL);
    for (unsigned i = 0; i < f->conns_len; i++) {
        (void)pthread_join(f->conns[i]->thread, NULL);
        free(f->conns[i]);
    }
    (void)pthread_mutex_destroy(&f->mutex);
    (void)close(f->fd);
    (void)close(f->stop);
    free(f->requests);
    free(f);
}

int fake_port(const struct fake_service *f)
{
    return f->port;
}

void fake_refuse(struct fake_service *f, unsigned n)
{
    pthread_mutex_lock(&f->mutex);
    f->refuse = n;
    pthread_mutex_unlock(&f->mutex);
}

void fake_cut(struct fake_service *f)
{
    pthread_mutex_lock(&f->mutex);
    for (unsigned i = 0; i < f->conns_len; i++)
        if (f->conns[i]->open)
            (void)shutdown(f->conns[i]->fd, SHUT_RDWR);
    pthread_mutex_unlock(&f->mutex);
}

unsigned fake_count(struct fake_service *f)
{
    return fake_count_method(f, NULL);
}

unsigned fake_count_method(struct fake_service *f, const char *method)
{
    unsigned n = 0;

    pthread_mutex_lock(&f->mutex);
    for (unsigned i = 0; i < f->requests_len; i++)
        if (!method || strcmp(f->requests[i].method, method) == 0)
            n++;
    pthread_mutex_unlock(&f->mutex);
    return n;
}

unsigned fake_connections(struct fake_service *f)
{
    unsigned n;

    pthread_mutex_lock(&f->mutex);
    n = f->conns_len;
    pthread_mutex_unlock(&f->mutex);
    return n;
}

bool fake_get(struct fake_service *f, unsigned n, struct fake_request *ret)
{
    bool found;

    pthread_mutex_lock(&f->mutex);
    found = n < f->requests_len;
    if (found)
        *ret = f->requests[n];
    pthread_mutex_unlock(&f->mutex);
    return found;
}

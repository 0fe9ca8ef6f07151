/* SPDX-License-Identifier: MIT */
/*
 * flood.c - a client that wants too much of the server, and one that wants
 * little and looks how long that takes.
 *
 *   flood PLACE KIND N SECONDS [LOCKS]
 *
 * PLACE is a port of loopback or the path of a unix socket. N connections are
 * kept up, each closed one is made anew, and each does, as KIND says:
 *   silent  nothing
 *   once    nothing, and is not made anew when it is closed
 *   slow    a request, a byte every 200 ms
 *   heads   heads of 64 KiB, one after the other
 *   wait    waits for 30 s for one of LOCKS locks that it does not get
 *   take    takes a new lock with each request, for 600 s
 *   give    releases a share that was never held, another one each time
 * At the end: "STATUS COUNT" for each status, 0 being an end without one.
 *
 *   flood PLACE probe N 0
 *
 * makes N rounds: a refresh on a connection of its own, and a grant on a new
 * one, which is released again; 5 ms between them. Prints "refresh MEDIAN
 * WORST" and "grant MEDIAN WORST" in ms, and "other COUNT" of statuses that
 * are not 200.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BYTE_MS  200
#define HEAD_LEN 65536
#define HEADER   " HTTP/1.1\r\nHost: x\r\n"

enum kind { SILENT, ONCE, SLOW, HEADS, WAIT, TAKE, GIVE };
static const char *const kinds[] = {"silent", "once", "slow", "heads",
                                    "wait",   "take", "give"};

struct conn {
    int fd;
    unsigned number;
    const char *text; /* what it is sending */
    size_t len, sent;
    char buffer[400], head[16];
    size_t heard;
};

static const char *place;
static enum kind kind;
static unsigned locks = 1;
static unsigned long long serial;
static unsigned long statuses[600];
static char long_head[HEAD_LEN];
static int epoll_fd;

static double now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int dial(int flags)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bool is_unix = place[0] == '/';
    int fd = socket(is_unix ? AF_UNIX : AF_INET,
                    SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    in.sin_port = htons((uint16_t)strtoul(place, NULL, 10));
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", place);
    if (fd >= 0 &&
        connect(fd, is_unix ? (struct sockaddr *)&un : (struct sockaddr *)&in,
                is_unix ? sizeof(un) : sizeof(in)) != 0 &&
        errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* 22 characters of base64url whose last one ends in zero bits. */
static int request(char *dst, size_t size, const char *method, const char *who,
                   unsigned long long lock, unsigned life_s, const char *more)
{
    return snprintf(dst, size,
                    "%s /%.4s%017llxA?s=%u" HEADER "%sContent-Length: %zu\r\n"
                    "\r\n%s",
                    method, who, lock, life_s, more, strlen(who), who);
}

/* ---- the flood ---- */

static void next_request(struct conn *c)
{
    char who[32], more[80] = "";
    const char *method = kind == GIVE ? "DELETE" : "POST";
    unsigned long long lock = ++serial;

    (void)snprintf(who, sizeof(who), "flod-%u", c->number);
    c->sent = c->heard = c->len = 0;
    c->text = c->buffer;
    if (kind == SILENT || kind == ONCE)
        return;
    if (kind == HEADS) {
        c->text = long_head;
        c->len = sizeof(long_head);
        return;
    }
    if (kind == WAIT) {
        lock = (1ULL << 40) + c->number % locks;
        (void)snprintf(more, sizeof(more),
                       "Justalock-Wait: 30\r\nJustalock-Share: w%u\r\n",
                       c->number);
    } else {
        (void)snprintf(more, sizeof(more), "Justalock-Share: %llx\r\n", lock);
    }
    c->len = (size_t)request(c->buffer, sizeof(c->buffer), method, who, lock,
                             600, more);
}

static void begin(struct conn *c)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                             .data.ptr = c};

    c->fd = dial(SOCK_NONBLOCK);
    if (c->fd < 0)
        return;
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
    next_request(c);
}

static void end(struct conn *c)
{
    unsigned long status = c->heard >= 12 ? strtoul(c->head + 9, NULL, 10) : 0;

    statuses[status < 600 ? status : 599]++;
    (void)close(c->fd);
    c->fd = -1;
}

static bool push(struct conn *c, size_t most)
{
    while (c->sent < c->len && most > 0) {
        size_t n = c->len - c->sent < most ? c->len - c->sent : most;
        ssize_t did = send(c->fd, c->text + c->sent, n, MSG_NOSIGNAL);

        if (did < 0)
            return errno == EAGAIN;
        c->sent += (size_t)did;
        most -= (size_t)did;
    }
    return true;
}

/* Answers are short, and there is one for each request. */
static bool hear(struct conn *c)
{
    char data[8192];
    ssize_t n;

    while ((n = recv(c->fd, data, sizeof(data), 0)) > 0) {
        for (ssize_t i = 0; i < n && c->heard < sizeof(c->head) - 1; i++)
            c->head[c->heard++] = data[i];
        if (c->heard >= 12 && c->sent == c->len && kind != HEADS) {
            statuses[strtoul(c->head + 9, NULL, 10) % 600]++;
            next_request(c);
        }
    }
    return n < 0 && errno == EAGAIN;
}

static void turn(struct conn *c)
{
    if (!hear(c) || !push(c, kind == SLOW ? 0 : SIZE_MAX))
        end(c);
}

static void flood(unsigned n, double seconds)
{
    struct epoll_event events[512];
    struct conn *conns = calloc(n, sizeof(*conns));
    double until = now_ms() + seconds * 1e3, byte_at = 0;
    struct rlimit files;

    if (conns == NULL)
        exit(1);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    memset(long_head, 'x', sizeof(long_head));
    memcpy(long_head, "POST /x" HEADER "X: ", 29);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < n; i++)
        conns[i] = (struct conn){.number = i, .fd = -1};
    while (now_ms() < until) {
        unsigned begun = 0;
        int got;

        for (unsigned i = 0; i < n && begun < 200; i++)
            if (conns[i].fd < 0 && !(kind == ONCE && conns[i].text)) {
                begin(&conns[i]);
                begun++;
            }
        got = epoll_wait(epoll_fd, events, 512, 5);
        for (int i = 0; i < got; i++)
            turn(events[i].data.ptr);
        if (kind != SLOW || now_ms() < byte_at)
            continue;
        byte_at = now_ms() + BYTE_MS;
        for (unsigned i = 0; i < n; i++)
            if (conns[i].fd >= 0 && !push(&conns[i], 1))
                end(&conns[i]);
    }
    for (unsigned i = 0; i < 600; i++)
        if (statuses[i] > 0)
            printf("%u %lu\n", i, statuses[i]);
}

/* ---- the probe ---- */

static unsigned ask(int fd, const char *text, size_t len)
{
    char data[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd < 0 || send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len ||
        poll(&p, 1, 30000) != 1 || recv(fd, data, sizeof(data), 0) < 12)
        return 0;
    return (unsigned)strtoul(data + 9, NULL, 10);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void show(const char *name, double *ms, size_t n)
{
    qsort(ms, n, sizeof(*ms), by_size);
    printf("%s %.3f %.3f\n", name, ms[n / 2], ms[n - 1]);
}

static void probe(size_t n)
{
    double *refresh = calloc(n, sizeof(*refresh));
    double *grant = calloc(n, sizeof(*grant));
    struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    unsigned long other = 0;
    char text[400], share[64];
    int kept = -1;

    if (refresh == NULL || grant == NULL)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        double began;
        size_t len = (size_t)request(text, sizeof(text), "POST", "prob-e", 1,
                                     600, "Justalock-Share: mine\r\n");
        int fd;

        if (kept < 0)
            kept = dial(0);
        began = now_ms();
        if (ask(kept, text, len) != 200) {
            other++;
            (void)close(kept);
            kept = -1;
        }
        refresh[i] = now_ms() - began;
        /* A released share does not come back: another one each time. */
        (void)snprintf(share, sizeof(share), "Justalock-Share: %ld.%zu\r\n",
                       (long)getpid(), i);
        len = (size_t)request(text, sizeof(text), "POST", "prob-e", 2 + i, 600,
                              share);
        began = now_ms();
        fd = dial(0);
        other += ask(fd, text, len) != 200;
        grant[i] = now_ms() - began;
        len = (size_t)request(text, sizeof(text), "DELETE", "prob-e", 2 + i,
                              600, share);
        other += ask(fd, text, len) != 200;
        (void)close(fd);
        (void)nanosleep(&pause, NULL);
    }
    show("refresh", refresh, n);
    show("grant", grant, n);
    printf("other %lu\n", other);
}

int main(int argc, char **argv)
{
    unsigned n;

    if (argc < 5)
        return 64;
    place = argv[1];
    n = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 5)
        locks = (unsigned)strtoul(argv[5], NULL, 10);
    if (n == 0 || locks == 0)
        return 64;
    if (strcmp(argv[2], "probe") == 0) {
        probe(n);
        return 0;
    }
    for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (strcmp(argv[2], kinds[k]) != 0)
            continue;
        kind = (enum kind)k;
        flood(n, strtod(argv[4], NULL));
        return 0;
    }
    return 64;
}

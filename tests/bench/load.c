/* SPDX-License-Identifier: MIT */
/*
 * load.c - keep-alive POST load with one request in flight on each connection,
 * whose ids and bodies vary; prints "requests/s p50_us p99_us answers200".
 *
 *   load PORT CONNECTIONS SECONDS refresh|grant|put
 *
 * refresh  each connection refreshes a lock of its own
 * grant    each request takes a lock that nobody has had
 * put      each request puts a new key by etcd's JSON gateway
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     4000000
#define ANSWER_MAX      4096

enum mode { REFRESH, GRANT, PUT };

struct conn {
    int fd;
    unsigned number;
    long long sent_ns;
    char answer[ANSWER_MAX + 1];
    size_t len;
};

static enum mode mode;
static struct conn conns[CONNECTIONS_MAX];
static unsigned *samples; /* microseconds */
static size_t samples_len, good;
static unsigned long long serial;
static unsigned run_id;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* 22 base64url characters whose last one ends in zero bits. */
static void make_id(char id[23], unsigned long long n)
{
    (void)snprintf(id, 23, "%08x%013llxA", run_id, n & 0xfffffffffffffULL);
}

static int make_put(char *out, size_t size, unsigned long long n)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
                              "ghijklmnopqrstuvwxyz0123456789+/";
    char key[29];
    char body[128];
    int i, len;

    for (i = 0; i < 28; i++)
        key[i] = i < 12 ? 'k' : abc[n >> (4 * (27 - i)) & 15];
    key[28] = '\0';
    len = snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"%s\"}", key,
                   "YmVuY2gtY2xpZW50LTAwMDAwMDAw");
    return snprintf(out, size,
                    "POST /v3/kv/put HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Type: application/json\r\n"
                    "Content-Length: %d\r\n\r\n%s",
                    len, body);
}

static int make_request(const struct conn *c, char *out, size_t size)
{
    unsigned long long n = mode == REFRESH ? c->number : ++serial;
    char id[23];

    if (mode == PUT)
        return make_put(out, size, n << 20 ^ run_id);
    make_id(id, n);
    return snprintf(out, size,
                    "POST /%s?s=60 HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Type: application/octet-stream\r\n"
                    "Justalock-Share: %016llx\r\n"
                    "Content-Length: 28\r\n\r\nbench-client-%08x%07x",
                    id, n, run_id, (unsigned)n & 0xfffffff);
}

static void send_next(struct conn *c)
{
    char out[512];
    int len = make_request(c, out, sizeof(out));

    c->len = 0;
    c->sent_ns = now_ns();
    if (send(c->fd, out, (size_t)len, MSG_NOSIGNAL) != len)
        fail("send");
}

/* Whether a whole answer is there. */
static int is_whole(struct conn *c)
{
    char *end, *field;
    size_t head, body;

    c->answer[c->len] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    if (!end)
        return 0;
    head = (size_t)(end - c->answer) + 4;
    field = strcasestr(c->answer, "\r\nContent-Length:");
    if (!field || field > end)
        return strstr(end, "0\r\n\r\n") != NULL; /* chunked */
    body = strtoul(field + 17, NULL, 10);
    return c->len >= head + body;
}

static void read_some(struct conn *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - c->len, 0);

    if (n <= 0 || c->len + (size_t)n >= ANSWER_MAX)
        fail("recv");
    c->len += (size_t)n;
    if (!is_whole(c))
        return;
    good += strncmp(c->answer, "HTTP/1.1 200", 12) == 0;
    if (samples_len < SAMPLES_MAX)
        samples[samples_len++] = (unsigned)((now_ns() - c->sent_ns) / 1000);
    send_next(c);
}

static int by_value(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

static void open_conn(int epoll, struct conn *c, unsigned short port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &want) != 0)
        fail("connect");
}

static void run_for(int epoll, double seconds)
{
    long long end = now_ns() + (long long)(seconds * 1e9);
    struct epoll_event events[64];

    while (now_ns() < end) {
        int i, n = epoll_wait(epoll, events, 64, 1000);

        for (i = 0; i < n; i++)
            read_some(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned i, count;
    double seconds;
    long long start;

    if (argc != 5)
        return 64;
    count = (unsigned)strtoul(argv[2], NULL, 10);
    seconds = strtod(argv[3], NULL);
    mode = argv[4][0] == 'r' ? REFRESH : argv[4][0] == 'g' ? GRANT : PUT;
    run_id = (unsigned)now_ns() ^ (unsigned)getpid() << 16;
    samples = malloc(SAMPLES_MAX * sizeof(samples[0]));
    if (!samples || count < 1 || count > CONNECTIONS_MAX)
        return 64;
    for (i = 0; i < count; i++) {
        conns[i].number = i + 1;
        open_conn(epoll, &conns[i], (unsigned short)strtoul(argv[1], NULL, 10));
        send_next(&conns[i]);
    }
    run_for(epoll, 0.2); /* warm */
    samples_len = good = 0;
    start = now_ns();
    run_for(epoll, seconds);
    seconds = (double)(now_ns() - start) / 1e9;
    if (samples_len == 0)
        return 1;
    qsort(samples, samples_len, sizeof(samples[0]), by_value);
    printf("%.0f %u %u %zu\n", (double)samples_len / seconds,
           samples[samples_len / 2], samples[samples_len * 99 / 100], good);
    return good == samples_len ? 0 : 2;
}

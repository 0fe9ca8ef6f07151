/* SPDX-License-Identifier: MIT */
/*
 * raw.c - malformed requests over raw sockets against a running server, each
 * with a good request behind it that must never be carried out: what is wrong
 * ends the connection. Prints TAP lines.
 *
 *   raw PORT          the table of requests
 *   raw PORT slow     a request byte by byte, others served meanwhile
 *   raw PORT flood N  N connections that say nothing, then a good request
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

/* The lock that only a smuggled request would take. */
#define BAIT                                                                   \
    "POST /AAAAAAAAAAAAAAAAAAAAAQ HTTP/1.1\r\nHost: x\r\n"                     \
    "Content-Length: 8\r\n\r\nsmuggler"
#define LOCK "/AAAAAAAAAAAAAAAAAAAAAg"
#define HEAD "POST " LOCK " HTTP/1.1\r\nHost: x\r\n"
#define BODY "Content-Length: 2\r\n\r\nab"
#define S64  "0123456789012345678901234567890123456789012345678901234567890123"
#define S120 S64 "01234567890123456789012345678901234567890123456789012345"

struct request {
    const char *name;
    const char *bytes;
    size_t len;
    const char *want; /* "400": that, and closed; "200+": and goes on; "-":
                         closed without a word; several by space */
};
#define R(name, bytes, want)                                                   \
    {                                                                          \
        name, bytes, sizeof(bytes) - 1, want                                   \
    }

static const struct request requests[] = {
    /* The pair that shows that the harness would see a second request. */
    R("a good one goes on", HEAD BODY, "200+"),
    R("and a wrong path too", "POST /nope HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    /* Two lengths, two readers. */
    R("two lengths that differ", HEAD "Content-Length: 1\r\n" BODY, "400 -"),
    R("two equal lengths", HEAD "Content-Length: 2\r\n" BODY, "400 -"),
    R("a list of lengths", HEAD "Content-Length: 2, 2\r\n\r\nab", "400 -"),
    R("length and chunked",
      HEAD "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"
           "0\r\n\r\n",
      "400 -"),
    R("chunked and length",
      HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "400 -"),
    R("chunked twice",
      HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
           "2\r\nab\r\n0\r\n\r\n",
      "400 -"),
    R("chunked, identity",
      HEAD "Transfer-Encoding: chunked, identity\r\n\r\n2\r\nab\r\n0\r\n\r\n",
      "400 -"),
    R("xchunked",
      HEAD "Transfer-Encoding: xchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "400 -"),
    R("chunked in HTTP/1.0",
      "POST " LOCK " HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nab\r\n0\r\n\r\n",
      "400 -"),
    R("a vertical tab before chunked",
      HEAD "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
      "400 -"),
    R("a space before the colon of a length",
      HEAD "Content-Length : 2\r\n\r\nab", "400 -"),
    R("a space before the colon of a coding",
      HEAD "Transfer-Encoding : chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a negative length", HEAD "Content-Length: -1\r\n\r\nab", "400 -"),
    R("a length with a sign", HEAD "Content-Length: +2\r\n\r\nab", "400 -"),
    R("a length in hex", HEAD "Content-Length: 0x2\r\n\r\nab", "400 -"),
    R("an empty length", HEAD "Content-Length:\r\n\r\nab", "400 -"),
    R("a length with letters", HEAD "Content-Length: 2a\r\n\r\nab", "400 -"),
    R("a length above 2^64",
      HEAD "Content-Length: 18446744073709551618\r\n\r\nab", "400 413 -"),
    R("a folded label", HEAD "Justalock-Label: a\r\n b\r\n" BODY, "400 -"),
    R("a folded Origin", HEAD "Origin:\r\n http://evil\r\n" BODY, "400 -"),
    R("a folded coding",
      HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
      "400 -"),
    R("a length folded in two", HEAD "Content-Length: 2\r\n 2\r\n\r\nab",
      "400 -"),
    R("a folded length", HEAD "Content-Length:\r\n 2\r\n\r\nab", "400 -"),
    R("a header without a colon", HEAD "Nothing\r\n" BODY, "400 -"),
    R("a header without a name", HEAD ": x\r\n" BODY, "400 -"),
    R("a space within a name", HEAD "A B: x\r\n" BODY, "400 -"),
    /* libmicrohttpd ends these at the NUL: no framing depends on it. */
    R("a NUL within a name", HEAD "A\0B: x\r\n" BODY, "400 -"),
    R("a NUL within a value", HEAD "Justalock-Label: a\0b\r\n" BODY,
      "200+ 400 -"),
    R("a bare CR within a value", HEAD "Justalock-Label: a\rb\r\n" BODY,
      "400 -"),
    R("a bare CR before a length", HEAD "X: a\rContent-Length: 2\r\n\r\nab",
      "400 -"),
    R("DEL within a value", HEAD "Justalock-Label: a\x7f\r\n" BODY, "400 -"),
    /* The request line. */
    R("no Host", "POST " LOCK " HTTP/1.1\r\n" BODY, "400 -"),
    R("two Hosts", HEAD "Host: y\r\n" BODY, "400 -"),
    R("an empty Host", "POST " LOCK " HTTP/1.1\r\nHost:\r\n" BODY, "400 -"),
    R("a Host with a path", "POST " LOCK " HTTP/1.1\r\nHost: a/b\r\n" BODY,
      "400 -"),
    R("a target without a slash", "POST x HTTP/1.1\r\nHost: x\r\n" BODY,
      "400 -"),
    R("an absolute target",
      "POST http://x" LOCK " HTTP/1.1\r\nHost: x\r\n" BODY, "400 -"),
    R("an asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400 -"),
    R("a NUL within the target", "POST " LOCK "\0 HTTP/1.1\r\nHost: x\r\n" BODY,
      "200+ 400 -"),
    R("version 2.0", "POST " LOCK " HTTP/2.0\r\nHost: x\r\n" BODY, "400 505 -"),
    R("version 1.2", "POST " LOCK " HTTP/1.2\r\nHost: x\r\n" BODY, "400 505 -"),
    R("no version", "POST " LOCK "\r\nHost: x\r\n" BODY, "400 -"),
    R("lower case http", "POST " LOCK " http/1.1\r\nHost: x\r\n" BODY,
      "400 505 -"),
    R("rubbish", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "400 505 -"),
    /* Chunks. */
    R("a chunk without a size",
      HEAD "Transfer-Encoding: chunked\r\n\r\n\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a chunk of size zz",
      HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a chunk of size 2^64 + 2",
      HEAD "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n"
           "0\r\n\r\n",
      "400 413 -"),
    R("a chunk of more than it says",
      HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "400 -"),
    /* Our own words: an answer, and the connection goes on. */
    R("s=0", "POST " LOCK "?s=0 HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s=1 is the least", "POST " LOCK "?s=1 HTTP/1.1\r\nHost: x\r\n" BODY,
      "200+"),
    R("s=65535 is the most",
      "POST " LOCK "?s=65535 HTTP/1.1\r\nHost: x\r\n" BODY, "200+"),
    R("s=65536", "POST " LOCK "?s=65536 HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s twice", "POST " LOCK "?s=5&s=6 HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s=5x", "POST " LOCK "?s=5x HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s without a value", "POST " LOCK "?s HTTP/1.1\r\nHost: x\r\n" BODY,
      "400+"),
    R("no body", HEAD "Content-Length: 0\r\n\r\n", "400+"),
    R("a client id of 64 bytes",
      "POST /AAAAAAAAAAAAAAAAAAAAAw HTTP/1.1\r\nHost: x\r\n"
      "Content-Length: 64\r\n\r\n" S64,
      "200+"),
    R("a client id of 65 bytes", HEAD "Content-Length: 65\r\n\r\n" S64 "x",
      "413+"),
    R("a share of 64 bytes", HEAD "Justalock-Share: " S64 "\r\n" BODY, "200+"),
    R("a share of 65 bytes", HEAD "Justalock-Share: " S64 "x\r\n" BODY, "400+"),
    R("two shares", HEAD "Justalock-Share: a\r\nJustalock-Share: a\r\n" BODY,
      "400+"),
    R("an empty share", HEAD "Justalock-Share:\r\n" BODY, "400+"),
    R("a label of 120 bytes", HEAD "Justalock-Label: " S120 "\r\n" BODY,
      "200+"),
    R("a label of 121 bytes", HEAD "Justalock-Label: " S120 "x\r\n" BODY,
      "400+"),
    R("a wait of 31 s", HEAD "Justalock-Wait: 31\r\n" BODY, "400+"),
    R("a wait of -1 s", HEAD "Justalock-Wait: -1\r\n" BODY, "400+"),
    R("PUT", "PUT " LOCK " HTTP/1.1\r\nHost: x\r\n" BODY, "405+"),
    R("DELETE of a page", "DELETE /v1/locks HTTP/1.1\r\nHost: x\r\n" BODY,
      "405+"),
    R("a request of a web page", HEAD "Origin: http://evil\r\n" BODY, "403+"),
};

static unsigned number;

static void result(bool is_ok, const char *kind, const char *name,
                   const char *got)
{
    printf("%sok %u - %s%s\n", is_ok ? "" : "not ", ++number, kind, name);
    if (!is_ok)
        printf("#  got: %s\n", got);
}

static int dial(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        perror("raw: connect");
        exit(1);
    }
    return fd;
}

/* Until the peer closes, or two answers are there. */
static size_t take(int fd, char *data, size_t size)
{
    size_t len = 0;

    while (len + 1 < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const char *second;
        ssize_t n;

        if (poll(&p, 1, PATIENCE_MS) <= 0)
            break;
        n = recv(fd, data + len, size - len - 1, 0);
        if (n <= 0) {
            data[len] = '\0';
            return len;
        }
        len += (size_t)n;
        data[len] = '\0';
        second = strstr(data + 1, "\nHTTP/1.1 ");
        if (second && strstr(second, "\r\n\r\n"))
            return len;
    }
    memcpy(data, "(stuck)", 8);
    return 7;
}

/* "400", "200+", "-" as in `want`. */
static void describe(const char *data, char *ret, size_t size)
{
    const char *second = strstr(data + (data[0] != '\0'), "\nHTTP/1.1 ");

    if (data[0] == '\0')
        snprintf(ret, size, "-");
    else if (strncmp(data, "HTTP/1.1 ", 9) != 0)
        snprintf(ret, size, "%.60s", data);
    else
        /* 0.9.75 sends the head of its own 400 twice: that is one answer. */
        snprintf(ret, size, "%.3s%s", data + 9,
                 second && strncmp(second + 10, data + 9, 3) != 0 ? "+"
                 : second && strncmp(second + 10, "200", 3) == 0  ? "+"
                                                                  : "");
}

static bool is_wanted(const char *want, const char *got)
{
    size_t n = strlen(got);

    for (const char *at = want; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, got, n) == 0 && (at[n] == ' ' || at[n] == '\0'))
            return true;
    }
    return false;
}

/* Good ones are followed by a request that harms nobody, wrong ones by the
 * bait. */
static void one(int port, const struct request *r)
{
    static const char good[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    static char data[65536];
    char got[80];
    int fd = dial(port);
    bool goes_on = strchr(r->want, '+') != NULL;
    const char *tail = goes_on ? good : BAIT;

    if (send(fd, r->bytes, r->len, MSG_NOSIGNAL) < 0 ||
        (send(fd, tail, strlen(tail), MSG_NOSIGNAL) < 0 && goes_on)) {
        perror("raw: send");
        exit(1);
    }
    take(fd, data, sizeof(data));
    close(fd);
    describe(data, got, sizeof(got));
    result(is_wanted(r->want, got), "", r->name, got);
}

/* Sizes that are too long to write down. */
static void long_one(int port, const char *name, const char *before, size_t n,
                     const char *after, const char *want)
{
    static char bytes[200000];
    struct request r = {name, bytes, 0, want};
    size_t a = strlen(before), b = strlen(after);

    memcpy(bytes, before, a);
    memset(bytes + a, 'x', n);
    memcpy(bytes + a + n, after, b);
    r.len = a + n + b;
    one(port, &r);
}

static void long_ones(int port)
{
    static char many[8192];
    struct request r = {"63 headers and two of ours", many, 0, "200+"};

    long_one(port, "a target of 8 kB", "POST /", 8192,
             " HTTP/1.1\r\nHost: x\r\n" BODY, "400 414 431 -");
    long_one(port, "a target of 100 kB", "POST /", 100000,
             " HTTP/1.1\r\nHost: x\r\n" BODY, "400 414 431 -");
    long_one(port, "a header of 100 kB", HEAD "X: ", 100000, "\r\n" BODY,
             "400 413 431 -");
    long_one(port, "a body of 100 kB", HEAD "Content-Length: 100000\r\n\r\n",
             100000, "", "413 -");
    for (int more = 0; more < 2; more++) {
        size_t at = (size_t)snprintf(many, sizeof(many), "%s", HEAD);

        for (int i = 0; i < 62 + more; i++)
            at +=
                (size_t)snprintf(many + at, sizeof(many) - at, "X%d: y\r\n", i);
        at += (size_t)snprintf(many + at, sizeof(many) - at, "%s", BODY);
        r.len = at;
        r.name = more ? "65 headers" : "64 headers";
        r.want = more ? "400 -" : "200+";
        one(port, &r);
    }
}

static void good_one(int port, const char *name)
{
    const struct request r = {name, HEAD BODY, sizeof(HEAD BODY) - 1, "200+"};

    one(port, &r);
}

static void slow(int port)
{
    static const char bytes[] = HEAD BODY;
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    char data[4096], got[80];
    int fd = dial(port);

    for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
        if (send(fd, bytes + i, 1, MSG_NOSIGNAL) != 1)
            break;
        nanosleep(&pause, NULL);
        if (i == 20)
            good_one(port, "others are served while one sends slowly");
    }
    if (send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 35, MSG_NOSIGNAL) <
        0)
        perror("raw: send");
    take(fd, data, sizeof(data));
    describe(data, got, sizeof(got));
    result(is_wanted("200+", got), "", "and that one too", got);
    close(fd);
}

static void flood(int port, int n)
{
    char name[80];
    int *fds = calloc((size_t)n, sizeof(*fds));
    int made = 0;

    if (!fds)
        exit(1);
    while (made < n)
        fds[made++] = dial(port);
    snprintf(name, sizeof(name), "served beside %d silent connections", n);
    good_one(port, name);
    while (made > 0)
        close(fds[--made]);
    free(fds);
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 0;

    if (port <= 0)
        return 64;
    if (argc > 2 && strcmp(argv[2], "slow") == 0) {
        slow(port);
    } else if (argc > 3 && strcmp(argv[2], "flood") == 0) {
        flood(port, atoi(argv[3]));
    } else {
        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
            one(port, &requests[i]);
        long_ones(port);
    }
    printf("1..%u\n", number);
    return 0;
}

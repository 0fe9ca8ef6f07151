/* SPDX-License-Identifier: MIT */
/*
 * raw.c - malformed requests over raw sockets against a running server, each
 * with a good request behind it that must never be carried out: what is wrong
 * ends the connection. Prints TAP lines.
 *
 *   raw PORT          the table of requests
 *   raw PORT wrong    only those that are refused: no lock is taken
 *   raw PORT slow     requests byte by byte, others served meanwhile
 *   raw PORT silent   who does not end a first request is cut off
 *   raw PORT flood N  N connections that say nothing, then a good request
 *
 * PORT is one of 127.0.0.1, or the path of a unix socket.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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
    R("1 slot", HEAD "Justalock-Slots: 1\r\n" BODY, "200+"),
    R("1024 slots", HEAD "Justalock-Slots: 1024\r\n" BODY, "200+"),
    R("no slots", HEAD "Justalock-Slots: 0\r\n" BODY, "400+"),
    R("1025 slots", HEAD "Justalock-Slots: 1025\r\n" BODY, "400+"),
    R("slots twice", HEAD "Justalock-Slots: 2\r\nJustalock-Slots: 2\r\n" BODY,
      "400+"),
    R("slots in hex", HEAD "Justalock-Slots: 0x2\r\n" BODY, "400+"),
    R("empty slots", HEAD "Justalock-Slots:\r\n" BODY, "400+"),
    R("a wait of -1 s", HEAD "Justalock-Wait: -1\r\n" BODY, "400+"),
    R("PUT", "PUT " LOCK " HTTP/1.1\r\nHost: x\r\n" BODY, "405+"),
    R("DELETE of a page", "DELETE /v1/locks HTTP/1.1\r\nHost: x\r\n" BODY,
      "405+"),
    /* Line ends of LF alone are line ends here, for the length as well. */
    R("LF alone", "POST " LOCK " HTTP/1.1\nHost: x\nContent-Length: 2\n\nab",
      "200+"),
    R("a second length behind a bare LF",
      HEAD "X: a\nContent-Length: 1\r\n" BODY, "400 -"),
    R("a coding behind a bare LF",
      HEAD "X: a\nTransfer-Encoding: chunked\r\n" BODY, "400 -"),
    R("neither a length nor chunks", HEAD "\r\n", "400+"),
    R("chunks",
      HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n"
           "0\r\n\r\n",
      "200+"),
    R("a chunk with an extension",
      HEAD "Transfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nab\r\n0\r\n\r\n",
      "200+"),
    R("chunks of 65 bytes in all",
      HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n40\r\n" S64
           "\r\n0\r\n\r\n",
      "413+"),
    R("a chunk with a sign",
      HEAD "Transfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a chunk of size 0x2",
      HEAD "Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a negative chunk",
      HEAD "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n", "400 -"),
    R("a last chunk alone", HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "400 -"),
    R("a length in the trailer",
      HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
           "Content-Length: 100\r\n\r\n",
      "200+"),
    R("a share in the trailer does not count",
      HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
           "Justalock-Share: a b\r\n\r\n",
      "200+"),
    /* Ids: three spellings and nothing else. */
    R("an id with padding", "POST " LOCK "== HTTP/1.1\r\nHost: x\r\n" BODY,
      "200+"),
    R("an id with half of it", "POST " LOCK "= HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("an id as UUID",
      "POST /00000000-0000-0000-0000-000000000002 HTTP/1.1\r\nHost: x\r\n" BODY,
      "200+"),
    R("a UUID of other groups",
      "POST /000000000000-0000-0000-0000-00000002 HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("an id of 21", "POST /AAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("an id of 23",
      "POST /AAAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: x\r\n" BODY, "404+"),
    R("an id with bits to spare",
      "POST /AAAAAAAAAAAAAAAAAAAAAR HTTP/1.1\r\nHost: x\r\n" BODY, "404+"),
    R("an id of the other base64",
      "POST /++//AAAAAAAAAAAAAAAAAg HTTP/1.1\r\nHost: x\r\n" BODY, "200+"),
    R("an id in hex",
      "POST /00000000000000000000000000000002 HTTP/1.1\r\nHost: x\r\n" BODY,
      "200+"),
    R("an id of percents",
      "POST /%41AAAAAAAAAAAAAAAAAAAAg HTTP/1.1\r\nHost: x\r\n" BODY, "200+"),
    R("an encoded NUL behind an id",
      "POST " LOCK "%00 HTTP/1.1\r\nHost: x\r\n" BODY, "404+"),
    R("an encoded line end behind an id",
      "POST " LOCK "%0d%0aX:y HTTP/1.1\r\nHost: x\r\n" BODY, "404+"),
    R("a slash behind an id", "POST " LOCK "/ HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("two slashes before an id", "POST /" LOCK " HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("a fragment behind an id", "POST " LOCK "#x HTTP/1.1\r\nHost: x\r\n" BODY,
      "404+"),
    R("s=-1", "POST " LOCK "?s=-1 HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s=+5", "POST " LOCK "?s=+5 HTTP/1.1\r\nHost: x\r\n" BODY, "400+"),
    R("s=2^32 + 5", "POST " LOCK "?s=4294967301 HTTP/1.1\r\nHost: x\r\n" BODY,
      "400+"),
    R("s=2^64 + 5",
      "POST " LOCK "?s=18446744073709551621 HTTP/1.1\r\nHost: x\r\n" BODY,
      "400+"),
    R("a wait of 30 s", HEAD "Justalock-Wait: 30\r\n" BODY, "200+"),
    R("two waits", HEAD "Justalock-Wait: 1\r\nJustalock-Wait: 1\r\n" BODY,
      "400+"),
    R("two labels", HEAD "Justalock-Label: a\r\nJustalock-Label: a\r\n" BODY,
      "400+"),
    R("a share with a slash", HEAD "Justalock-Share: a/b\r\n" BODY, "400+"),
    R("a DELETE without a body", "DELETE " LOCK " HTTP/1.1\r\nHost: x\r\n\r\n",
      "400+"),
    R("a DELETE of a web page",
      "DELETE " LOCK " HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n" BODY, "403+"),
    R("a client id of 2048 bytes is read, and refused",
      HEAD "Content-Length: 2048\r\n\r\n" S64 S64 S64 S64 S64 S64 S64 S64 S64
          S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64 S64
              S64 S64 S64 S64 S64 S64,
      "413+"),
    R("a request of a web page", HEAD "Origin: http://evil\r\n" BODY, "403+"),
};

static unsigned number;
static bool only_wrong;

static void result(bool is_ok, const char *kind, const char *name,
                   const char *got)
{
    printf("%sok %u - %s%s\n", is_ok ? "" : "not ", ++number, kind, name);
    if (!is_ok)
        printf("#  got: %s\n", got);
}

static const char *unix_path; /* NULL: a port */

static int dial(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd =
        socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (unix_path)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
    if (fd < 0 ||
        connect(fd, unix_path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
                unix_path ? sizeof(un) : sizeof(in)) != 0) {
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

    if (only_wrong && strncmp(r->want, "200", 3) == 0) {
        close(fd);
        return;
    }
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
    long_one(port, "a target of 256", "POST /", 255,
             " HTTP/1.1\r\nHost: x\r\n" BODY, "404+");
    long_one(port, "a target of 257", "POST /", 256,
             " HTTP/1.1\r\nHost: x\r\n" BODY, "400 -");
    long_one(port, "a header of 3 kB", HEAD "X: ", 3000, "\r\n" BODY, "200+");
    long_one(port, "a header of 8 kB", HEAD "X: ", 8192, "\r\n" BODY,
             "400 413 431 -");
    long_one(port, "a header's name of 8 kB", HEAD, 8192, ": y\r\n" BODY,
             "400 413 431 -");
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
    enum { N = 30 };
    static const char bytes[] =
        HEAD BODY "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    static char data[4096];
    char got[80] = "";
    int fds[N], served = 0;

    for (int n = 0; n < N; n++)
        fds[n] = dial(port);
    for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
        for (int n = 0; n < N; n++)
            if (send(fds[n], bytes + i, 1, MSG_NOSIGNAL) != 1)
                break;
        nanosleep(&pause, NULL);
        if (i % 20 == 10)
            good_one(port, "others are served while 30 send byte by byte");
    }
    for (int n = 0; n < N; n++) {
        take(fds[n], data, sizeof(data));
        describe(data, got, sizeof(got));
        served += is_wanted("200+", got);
        close(fds[n]);
    }
    result(served == N, "", "and all of those too", got);
}

/* Is it closed by the peer within that time, without a word? */
static bool is_cut_off(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;

    return poll(&p, 1, ms) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

static void silent(int port)
{
    static const struct request begun[] = {
        R("nothing", "", ""),
        R("half a line", "POST /AAAA", ""),
        R("half a head", HEAD "Justalock-Share: x\r\n", ""),
        R("half a body", HEAD "Content-Length: 2\r\n\r\na", ""),
        R("half a chunk", HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\na", ""),
    };
    enum { N = sizeof(begun) / sizeof(begun[0]) };
    static char data[4096];
    struct request again = {"who has asked may be silent for longer", HEAD BODY,
                            sizeof(HEAD BODY) - 1, "200+"};
    int fds[N], asked = dial(port);
    char got[80];

    for (int i = 0; i < N; i++) {
        fds[i] = dial(port);
        if (send(fds[i], begun[i].bytes, begun[i].len, MSG_NOSIGNAL) < 0)
            perror("raw: send");
    }
    if (send(asked, again.bytes, again.len, MSG_NOSIGNAL) < 0)
        perror("raw: send");
    result(!is_cut_off(fds[0], 5000), "", "not cut off at once", "closed");
    for (int i = 0; i < N; i++) {
        result(is_cut_off(fds[i], 60000),
               "cut off after a while: ", begun[i].name,
               "open after a minute, or an answer");
        close(fds[i]);
    }
    if (send(asked, again.bytes, again.len, MSG_NOSIGNAL) < 0)
        perror("raw: send");
    take(asked, data, sizeof(data));
    describe(data, got, sizeof(got));
    result(is_wanted(again.want, got), "", again.name, got);
    close(asked);
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

    if (argc > 1 && argv[1][0] == '/')
        unix_path = argv[1];
    else if (port <= 0)
        return 64;
    if (argc > 2 && strcmp(argv[2], "slow") == 0) {
        slow(port);
    } else if (argc > 2 && strcmp(argv[2], "silent") == 0) {
        silent(port);
    } else if (argc > 3 && strcmp(argv[2], "flood") == 0) {
        flood(port, atoi(argv[3]));
    } else {
        only_wrong = argc > 2 && strcmp(argv[2], "wrong") == 0;
        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
            one(port, &requests[i]);
        long_ones(port);
    }
    printf("1..%u\n", number);
    return 0;
}

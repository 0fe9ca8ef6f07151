/* SPDX-License-Identifier: MIT */
/*
 * python.c - the requests of the Python client (justalock-client 0.1.0, which
 * uses urllib) and of the site's own curl line, byte for byte: nothing but
 * POST, no header of ours, a new connection for each, head and body in two
 * writes, a client id of 28 bytes of any kind. Prints TAP.
 *
 *   python PORT           what must be answered to them
 *   python PORT request   one acquisition, to be compared with urllib's own
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID      "AAAAAAAAAAAAAAAAAAAABw"
#define UUID    "00000000-0000-0000-0000-000000000007"
#define OTHER   "AAAAAAAAAAAAAAAAAAAACw"
#define ID_LEN  28   /* 8 of the time, 20 random */
#define TIMEOUT 2000 /* the client's own, in ms */

/* Two client ids with all that text functions stumble over. */
static const char one[ID_LEN + 1] =
    "\0\0\0\0\x65\x4f\x1a\x2b\r\n\r\nPOST / \xff\xfe\x80\0%00=+";
static const char two[ID_LEN + 1] =
    "\0\0\0\0\x65\x4f\x1a\x2b\r\n\r\nPOST / \xff\xfe\x80\0%00=-";
static unsigned port, number;

static void result(bool is_ok, const char *name, const char *got)
{
    printf("%sok %u - %s\n", is_ok ? "" : "not ", ++number, name);
    if (!is_ok)
        printf("#  got: %s\n", got);
}

static int dial(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
        perror("python: connect");
        exit(1);
    }
    return fd;
}

static void put(int fd, const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) {
        perror("python: send");
        exit(1);
    }
}

static bool is_whole(const char *data)
{
    const char *body = strstr(data, "\r\n\r\n");
    const char *length = strstr(data, "Content-Length: ");

    return body != NULL && length != NULL && length < body &&
           strlen(body + 4) >= strtoul(length + 16, NULL, 10);
}

/* The answer; with to_end all up to the end of the connection, without which
 * urllib would wait. */
static size_t hear(int fd, bool to_end, char *data, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t n = -1;

    data[0] = '\0';
    while (len + 1 < size && (to_end || !is_whole(data)) &&
           poll(&p, 1, TIMEOUT) == 1 &&
           (n = recv(fd, data + len, size - len - 1, 0)) > 0) {
        len += (size_t)n;
        data[len] = '\0';
    }
    return (to_end ? n == 0 : is_whole(data)) ? len : 0;
}

static void urllib(int fd, const char *target, const char *client, size_t len)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\n"
                     "Accept-Encoding: identity\r\n"
                     "Content-Type: application/x-www-form-urlencoded\r\n"
                     "Content-Length: %zu\r\n"
                     "Host: 127.0.0.1:%u\r\n"
                     "User-Agent: Python-urllib/3.11\r\n"
                     "Connection: close\r\n\r\n",
                     target, len, port);

    put(fd, head, (size_t)n);
    put(fd, client, len);
}

static void curl(int fd, const char *target, const char *client, size_t len)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\n"
                     "Host: 127.0.0.1:%u\r\n"
                     "User-Agent: curl/7.88.1\r\n"
                     "Accept: */*\r\n"
                     "Content-Length: %zu\r\n"
                     "Content-Type: application/x-www-form-urlencoded\r\n\r\n",
                     target, port, len);

    put(fd, head, (size_t)n);
    put(fd, client, len);
}

typedef void send_fn(int fd, const char *target, const char *client,
                     size_t len);

static void expect(const char *name, send_fn *how, const char *target,
                   const char *client, size_t len, unsigned want)
{
    char data[4096];
    unsigned got = 0;
    int fd = dial();

    how(fd, target, client, len);
    if (hear(fd, how == urllib, data, sizeof(data)) > 12 &&
        strncmp(data, "HTTP/1.1 ", 9) == 0)
        got = (unsigned)strtoul(data + 9, NULL, 10);
    (void)close(fd);
    result(got == want, name, data);
}

static void python(const char *name, const char *target, const char *client,
                   unsigned want)
{
    expect(name, urllib, target, client, ID_LEN, want);
}

static long now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* As the client does: asks every 100 ms, up to 15 s. */
static unsigned acquire(const char *target, const char *client)
{
    struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    long until = now_ms() + 15000;
    char data[4096];
    unsigned got;

    do {
        int fd = dial();

        urllib(fd, target, client, ID_LEN);
        got = hear(fd, true, data, sizeof(data)) > 12
                  ? (unsigned)strtoul(data + 9, NULL, 10)
                  : 0;
        (void)close(fd);
        if (got == 409)
            (void)nanosleep(&pause, NULL);
    } while (got == 409 && now_ms() < until);
    return got;
}

static void lapse(void)
{
    long began = now_ms();
    char text[64];
    unsigned got;

    python("a lease of 2 s", "/" OTHER "?s=2", one, 200);
    got = acquire("/" OTHER "?s=2", two);
    (void)snprintf(text, sizeof(text), "%u after %ld ms", got,
                   now_ms() - began);
    result(got == 200 && now_ms() - began >= 1900,
           "asked again and again, it is the next one's when it has ended",
           text);
    python("and the first one has lost it", "/" OTHER "?s=2", one, 409);
}

static void all(void)
{
    static const char site[] = "alice";

    python("acquired", "/" ID "?s=60", one, 200);
    python("refreshed, by the same request", "/" ID "?s=60", one, 200);
    python("a client id that differs in its last byte", "/" ID "?s=60", two,
           409);
    expect("one that ends before it", urllib, "/" ID "?s=60", one, ID_LEN - 1,
           409);
    python("the longest lease", "/" ID "?s=65535", one, 200);
    python("a lease of 0, as the Rust client can ask", "/" ID "?s=0", one, 400);
    python("one of 65536", "/" ID "?s=65536", one, 400);
    python("s=1 does not shorten it", "/" ID "?s=1", one, 200);
    python("nor free it", "/" ID "?s=60", two, 409);
    python("an id with padding is the same", "/" ID "==?s=60", two, 409);
    python("as UUID, too", "/" UUID "?s=60", two, 409);
    python("no s", "/" ID, one, 200);
    /* What the client makes of "nightly-backup-job-001", of 22 hyphens and of
     * a name that is base64url: ids that are none. */
    python("an id of 14 bytes", "/njZ6hydr6pPo4Zfrzg?s=60", one, 404);
    python("an empty id", "/?s=60", one, 405);
    expect("the site's curl line: padding, no s", curl, "/" ID "==", site,
           sizeof(site) - 1, 409);
    expect("and for a free lock", curl, "/AAAAAAAAAAAAAAAAAAAADw==", site,
           sizeof(site) - 1, 200);
    expect("a client id of 64 bytes", urllib, "/AAAAAAAAAAAAAAAAAAAAEw?s=1",
           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
           64, 200);
    lapse();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    port = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2) {
        char data[4096];
        int fd = dial();

        urllib(fd, "/" ID "?s=60", one, ID_LEN);
        (void)hear(fd, true, data, sizeof(data));
        return 0;
    }
    all();
    printf("1..%u\n", number);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_request.c - any bytes on a connection to the server, in one process
 * with it: libmicrohttpd, the guard of requests, the table, the store. Each
 * answer begins as HTTP does, nothing is answered twice, and between two
 * inputs the server serves as before.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "../../modules/server/http.h"
#include "folder.h"

#define CHECK_EVERY 64
#define LOST_MS     100 /* it sleeps, and has not read what it was sent */
#define SERVE_MS    20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/dev/shm/justalock-fuzz.XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct server *server;
static pthread_t thread;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slept;
static bool is_asleep; /* the server, until something comes */

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void *serve(void *arg)
{
    struct justalock_error err;

    (void)arg;
    require(server_run(server, &err) == JUSTALOCK_OK);
    return NULL;
}

static void stop(void)
{
    static const char *const names[] = {
        "/s/locks.db", "/s/locks.db-wal", "/s/locks.db-shm", "/s/mark",
        "/s/lock",     "/s/running",      "/socket"};
    char path[128];

    (void)pthread_kill(thread, SIGTERM); /* blocked there: it reads it */
    (void)pthread_join(thread, NULL);
    server_free(server);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
}

static void start(void)
{
    struct justalock_error err = {.text = ""};
    static char dir[64]; /* the server keeps these three */
    static struct server_options o = {.state = dir};
    static struct listener l;
    pthread_condattr_t attr;
    sigset_t set;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&slept, &attr);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    folder_make(folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket",
                   folder);
    (void)snprintf(dir, sizeof(dir), "%s/s", folder);
    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(l.fd >= 0 &&
            bind(l.fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            listen(l.fd, 64) == 0);
    require(limits_finish(&o.limits, 1000, &err) == JUSTALOCK_OK);
    if (server_new(&o, &l, 1, &server, &err) != JUSTALOCK_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    require(pthread_create(&thread, NULL, serve, NULL) == 0);
    (void)atexit(stop);
}

static int call(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 &&
            connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* ---- when the server has nothing more to do ---- */

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int ms);

/* The server's loop comes through here, libmicrohttpd does not. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
    int n = __real_epoll_wait(fd, events, max, 0);

    if (n != 0 || ms == 0)
        return n;
    (void)pthread_mutex_lock(&mutex);
    is_asleep = true;
    (void)pthread_cond_signal(&slept);
    (void)pthread_mutex_unlock(&mutex);
    n = __real_epoll_wait(fd, events, max, ms);
    (void)pthread_mutex_lock(&mutex);
    is_asleep = false;
    (void)pthread_mutex_unlock(&mutex);
    return n;
}

/* It has read all that fd sent, or ended it, and sleeps again. */
static void until_done(int fd)
{
    struct timespec end;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += LOST_MS * 1000000L;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&mutex);
    for (;;) {
        struct pollfd p = {.fd = fd};
        int unread = 0;

        (void)ioctl(fd, SIOCOUTQ, &unread);
        (void)poll(&p, 1, 0);
        if (is_asleep && (unread == 0 || (p.revents & POLLHUP) != 0))
            break;
        if (pthread_cond_timedwait(&slept, &mutex, &end) != 0)
            break;
    }
    (void)pthread_mutex_unlock(&mutex);
}

/* Up to its end or a silence; returns the bytes, the first few in ret. */
static size_t hear(int fd, int silence_ms, char *ret, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char more[4096];
    size_t len = 0;
    ssize_t n;

    memset(ret, 0, size);
    while (poll(&p, 1, silence_ms) == 1) {
        n = read(fd, more, sizeof(more));
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++, len++)
            if (len < size - 1)
                ret[len] = more[i];
    }
    return len;
}

static void check_it_serves(void)
{
    static const char ask[] =
        "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    char said[64];
    int fd = call();

    require(write(fd, ask, sizeof(ask) - 1) == (ssize_t)sizeof(ask) - 1);
    require(hear(fd, SERVE_MS, said, sizeof(said)) > 0);
    require(strncmp(said, "HTTP/1.1 200 ", 13) == 0);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned count;
    char said[64];
    size_t len;
    int fd;

    if (server == NULL)
        start();
    fd = call();
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
            break; /* it has heard enough */
        data += n;
        size -= (size_t)n;
    }
    (void)shutdown(fd, SHUT_WR);
    until_done(fd);
    len = hear(fd, 0, said, sizeof(said));
    require(len == 0 || strncmp(said, "HTTP/1.", len < 7 ? len : 7) == 0);
    (void)close(fd);
    if (++count % CHECK_EVERY == 0)
        check_it_serves();
    return 0;
}

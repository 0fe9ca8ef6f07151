/* SPDX-License-Identifier: MIT */
/*
 * recorder.c - writes the history of works that connect to its socket: their
 * own words, and their ends. The end of a work is that of its last process,
 * since all of them hold the connection (see work.c).
 *
 *   recorder SOCKET FILE    until TERM; ready when SOCKET is there
 *
 * It runs before all ordinary processes where it may, so that what it sees as
 * dead was not dead for long. Any process may append lines to FILE.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 512
#define EVENTS       64

struct work {
    int fd;
    char lock[128];
    char name[128];
};

static int epoll_fd;
static int file_fd;

static long long now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void append(const char *line, size_t len)
{
    if (write(file_fd, line, len) != (ssize_t)len)
        die("the history");
}

static int listen_at(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
        die(path);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    /* Works may be of any user; bind makes the file, so it is ready late. */
    (void)umask(0);
    if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
        listen(fd, 4096) != 0)
        die(path);
    return fd;
}

static void watch(int fd, struct work *w)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        die("epoll");
}

static void take(int listener)
{
    struct work *w = calloc(1, sizeof(*w));

    if (!w)
        die("memory");
    w->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (w->fd < 0)
        die("accept");
    watch(w->fd, w);
}

/* now: read after the event, so never before what it tells of. */
static void hear(struct work *w, long long now)
{
    char line[LINE_MAX_LEN + 1];
    ssize_t len = recv(w->fd, line, LINE_MAX_LEN, 0);

    if (len > 0) {
        line[len] = '\0';
        if (strncmp(line, "start ", 6) == 0)
            (void)!sscanf(line, "start %127s %127s", w->lock, w->name);
        line[len++] = '\n';
        append(line, (size_t)len);
        return;
    }
    if (w->name[0]) {
        len = snprintf(line, sizeof(line), "end %s %s %lld\n", w->lock, w->name,
                       now);
        append(line, (size_t)len);
    }
    (void)close(w->fd);
    free(w);
}

int main(int argc, char **argv)
{
    struct sched_param first = {.sched_priority = 1};
    struct rlimit most = {.rlim_cur = 65536, .rlim_max = 65536};
    struct epoll_event ev[EVENTS];
    int listener;

    if (argc != 3)
        return 64;
    (void)sched_setscheduler(0, SCHED_FIFO, &first);
    (void)setrlimit(RLIMIT_NOFILE, &most);
    file_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file_fd < 0)
        die(argv[2]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_at(argv[1]);
    watch(listener, NULL);
    for (;;) {
        int n = epoll_wait(epoll_fd, ev, EVENTS, -1);
        long long now = now_ns();

        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr)
                hear(ev[i].data.ptr, now);
            else
                take(listener);
        }
        if (n < 0 && errno != EINTR)
            die("epoll");
    }
}

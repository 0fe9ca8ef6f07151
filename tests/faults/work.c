/* SPDX-License-Identifier: MIT */
/*
 * work.c - a work whose first instruction and last process get on record (see
 * recorder.c, and oracle for what is made of it).
 *
 *   work SOCKET [-f] [-d] MS           lives so long, or for ever (0)
 *   work SOCKET -- COMMAND [ARG...]    becomes that command
 *
 * -f: and so does a child in a session of its own, whose parent is gone.
 * -d: both are deaf to TERM, INT and HUP.
 *
 * Its lock and token are what justalock or etcdctl put into the environment;
 * WORK_LOCK and WORK_TOKEN stand in for them. Two descriptors are for all of
 * its processes, and the kernel closes them with the last one, before anybody
 * can see that as dead: the recorder's connection, and an open file that is
 * locked (flock). Who cannot lock it has a predecessor that lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static const char *value(const char *a, const char *b, const char *c)
{
    const char *v = getenv(a);

    if (!v)
        v = getenv(b);
    if (!v)
        v = getenv(c);
    return v && *v ? v : "-";
}

static int connect_to(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
        return -1;
    memcpy(sun.sun_path, path, strlen(path) + 1);
    return connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? fd : -1;
}

/* The file beside the socket that says who is alone. It stays open. */
static bool is_alone(const char *socket_path, const char *lock)
{
    char path[300];
    int fd;

    (void)snprintf(path, sizeof(path), "%s.%.100s", socket_path, lock);
    for (char *p = path + strlen(socket_path); *p; p++)
        if (*p == '/')
            *p = '-';
    fd = open(path, O_RDONLY | O_CREAT, 0666);
    if (fd < 0) {
        perror(path);
        exit(71);
    }
    return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void live(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (ms == 0)
        (void)pause();
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

/* A child of init with a session of its own. */
static void leave_one(long ms)
{
    pid_t child = fork();

    if (child != 0)
        return;
    (void)setsid();
    if (fork() == 0)
        live(ms);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *lock = value("WORK_LOCK", "JUSTALOCK_ID", "ETCD_LOCK_KEY");
    const char *token = value("WORK_TOKEN", "JUSTALOCK_TOKEN", "ETCD_LOCK_REV");
    char line[400];
    char name[64];
    const char *proof;
    long ms;
    int fd;
    int at = 2;

    if (argc < 3)
        return 64;
    proof = is_alone(argv[1], lock) ? "alone" : "beside";
    (void)snprintf(name, sizeof(name), "%d.%lld", (int)getpid(), now_ns());
    fd = connect_to(argv[1]);
    (void)snprintf(line, sizeof(line), "start %.100s %s %s %.30s %s", lock,
                   name, strchr(name, '.') + 1, token, proof);
    if (fd < 0 || send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
        perror(argv[1]);
        return 71;
    }
    (void)setenv("WORK_NAME", name, 1);
    if (strcmp(argv[at], "--") == 0) {
        (void)execvp(argv[at + 1], argv + at + 1);
        perror(argv[at + 1]);
        return 127;
    }
    ms = strtol(argv[argc - 1], NULL, 10);
    for (; at < argc - 1; at++) {
        if (strcmp(argv[at], "-d") == 0) {
            (void)signal(SIGTERM, SIG_IGN);
            (void)signal(SIGINT, SIG_IGN);
            (void)signal(SIGHUP, SIG_IGN);
        }
    }
    for (at = 2; at < argc - 1; at++)
        if (strcmp(argv[at], "-f") == 0)
            leave_one(ms);
    live(ms);
    (void)snprintf(line, sizeof(line), "done %.100s %s %lld", lock, name,
                   now_ns());
    return send(fd, line, strlen(line), MSG_NOSIGNAL) < 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * notify.c - systemd's notification socket, watchdog and handed over sockets,
 * see notify.h.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "parse.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

void notify_send(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path != NULL ? strlen(path) : 0;
    int fd;

    if (len < 2 || len >= sizeof(to.sun_path) ||
        (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        log_warn("systemd is not told \"%s\": %s", text, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
}

bool notify_is_supervised(void)
{
    return getenv("NOTIFY_SOCKET") != NULL || getenv("INVOCATION_ID") != NULL;
}

/* Is this variable a number, and where it names a process, ours? */
static bool is_for_us(const char *pid_name)
{
    const char *text = getenv(pid_name);
    uint64_t pid;

    return text != NULL &&
           parse_u64(text, 1, INT32_MAX, pid_name, &pid, NULL) ==
               JUSTALOCK_OK &&
           pid == (uint64_t)getpid();
}

void notify_watchdog_init(struct notify_watchdog *w)
{
    const char *text = getenv("WATCHDOG_USEC");
    uint64_t usec;

    *w = (struct notify_watchdog){.every_ms = 0};
    if (text == NULL ||
        parse_u64(text, 1, INT64_MAX, "WATCHDOG_USEC", &usec, NULL) !=
            JUSTALOCK_OK ||
        (getenv("WATCHDOG_PID") != NULL && !is_for_us("WATCHDOG_PID")))
        return;
    w->every_ms = usec / 2000 > 0 ? (int64_t)(usec / 2000) : 1;
    w->next = clock_now();
}

int64_t notify_watchdog(struct notify_watchdog *w)
{
    struct clock_time now;
    int64_t left;

    if (w->every_ms == 0)
        return INT64_MAX;
    now = clock_now();
    left = clock_left_ms(w->next, now);
    if (left > 0)
        return left;
    notify_send("WATCHDOG=1");
    w->next = clock_add(now, w->every_ms);
    return w->every_ms;
}

enum justalock_status notify_sockets(size_t max, int *ret_first,
                                     size_t *ret_len,
                                     struct justalock_error *err)
{
    const char *count = getenv("LISTEN_FDS");
    enum justalock_status st;
    uint64_t n = 0;

    *ret_first = FIRST_FD;
    *ret_len = 0;
    if (count == NULL || !is_for_us("LISTEN_PID"))
        return JUSTALOCK_OK;
    st = parse_u64(count, 1, max, "LISTEN_FDS", &n, err);
    for (uint64_t i = 0; st == JUSTALOCK_OK && i < n; i++)
        if (fcntl(FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC) != 0)
            st = error_sys(err, errno, "the inherited descriptor %d",
                           FIRST_FD + (int)i);
    if (st != JUSTALOCK_OK)
        return st;
    *ret_len = (size_t)n;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return JUSTALOCK_OK;
}

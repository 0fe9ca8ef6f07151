/* SPDX-License-Identifier: MIT */
/*
 * agent_client.c - what a module says to the agent: connect, send, receive,
 * each bounded in time. Lives inside slurmstepd and sshd: libc only, no
 * thread, no child, no handler, no stdio.
 */
#include "agent_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The longest poll before both clocks are read again: CLOCK_BOOTTIME goes on
 * in suspend, poll's own clock does not. */
#define LOOK_AGAIN_MS 1000

/* A descriptor that the host's child could take for stdin, stdout or stderr
 * is moved out of the way. */
static int above_stdio(int fd)
{
    int moved, saved;

    if (fd > 2 || fd < 0)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    saved = errno;
    (void)close(fd);
    errno = saved;
    return moved;
}

enum justalock_status agent_connect(const char *path, int *ret_fd,
                                    struct justalock_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd, saved;

    if (len == 0 || len >= sizeof(addr.sun_path))
        return error_set(err, JUSTALOCK_ARG,
                         "socket path: %zu bytes are not within 1 and %zu", len,
                         sizeof(addr.sun_path) - 1);
    memcpy(addr.sun_path, path, len);
    fd = above_stdio(
        socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return error_sys(err, errno, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
        *ret_fd = fd;
        return JUSTALOCK_OK;
    }
    saved = errno;
    (void)close(fd);
    switch (saved) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        (void)error_set(err, JUSTALOCK_NET, "no justalock-agent answers at %s",
                        path);
        break;
    case EAGAIN: /* never blocks: a full backlog is an agent that is stuck */
        (void)error_set(err, JUSTALOCK_NET,
                        "the justalock-agent at %s takes no more requests",
                        path);
        break;
    default:
        return error_sys(err, saved, "cannot connect to %s", path);
    }
    if (err != NULL)
        err->sys_errno = saved;
    return JUSTALOCK_NET;
}

/*
 * Wait for events. 1: there (or the peer is gone), 0: deadline reached, -1:
 * interrupted, -2: poll failed. Looks at least once.
 */
static int wait_for(int fd, short events, struct clock_time deadline)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = clock_left_ms(deadline, clock_now());
        int n;

        if (left < 0)
            left = 0;
        n = poll(&p, 1, (int)(left < LOOK_AGAIN_MS ? left : LOOK_AGAIN_MS));
        if (n > 0)
            return 1;
        if (n < 0)
            return errno == EINTR ? -1 : -2;
        if (left == 0)
            return 0;
    }
}

static enum justalock_status gone(struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_NET,
                     "the justalock-agent has closed the connection");
}

static enum justalock_status wait_failed(int result,
                                         struct justalock_error *err)
{
    if (result == 0)
        return error_set(err, JUSTALOCK_NET,
                         "the justalock-agent does not answer in time");
    if (result == -1)
        return error_set(err, JUSTALOCK_CANCELED, "interrupted by a signal");
    return error_sys(err, errno, "cannot wait for the justalock-agent");
}

enum justalock_status agent_send(int fd, const struct wire_msg *m,
                                 struct clock_time deadline,
                                 struct justalock_error *err)
{
    struct buf b;
    enum justalock_status st;

    buf_init(&b, WIRE_MAX);
    st = wire_pack(m, &b, err);
    while (st == JUSTALOCK_OK) {
        int result;

        if (send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            break;
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
            st = gone(err);
        } else if (errno != EAGAIN && errno != EINTR) {
            st = error_sys(err, errno, "cannot send to the justalock-agent");
        } else {
            result = wait_for(fd, POLLOUT, deadline);
            if (result != 1)
                st = wait_failed(result, err);
        }
    }
    buf_done(&b);
    return st;
}

/* The one descriptor of a message. 0: fine, *ret_fd is -1 where none came. */
static int take_fd(struct msghdr *h, int *ret_fd)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    bool has_one = c != NULL && c->cmsg_level == SOL_SOCKET &&
                   c->cmsg_type == SCM_RIGHTS &&
                   c->cmsg_len >= CMSG_LEN(sizeof(int));
    int fd = -1;

    *ret_fd = -1;
    if (has_one)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (h->msg_flags & MSG_CTRUNC) { /* one fits, if we may have it */
        if (has_one)
            (void)close(fd);
        return EMFILE;
    }
    if (!has_one)
        return 0;
    *ret_fd = above_stdio(fd);
    return *ret_fd < 0 ? errno : 0;
}

/* One packet, its real size as MSG_TRUNC tells it. */
static ssize_t take_packet(int fd, char *data, size_t size, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;
    int why;

    if (ret_fd != NULL) {
        h.msg_control = &control;
        h.msg_controllen = CMSG_LEN(sizeof(int)); /* not two by padding */
    }
    n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    if (n < 0 || ret_fd == NULL)
        return n;
    why = take_fd(&h, ret_fd);
    if (why != 0) {
        errno = why;
        return -1;
    }
    return n;
}

enum justalock_status agent_recv_fd(int fd, struct wire_msg *ret_m, int *ret_fd,
                                    struct clock_time deadline,
                                    struct justalock_error *err)
{
    char data[WIRE_MAX + 1];
    enum justalock_status st;

    for (;;) {
        ssize_t n = take_packet(fd, data, sizeof(data), ret_fd);
        int result;

        if (n >= 0) {
            if (n == 0) /* the end; or an empty packet, with a descriptor */
                st = gone(err);
            else if (n > WIRE_MAX)
                st =
                    error_set(err, JUSTALOCK_PROTO,
                              "a message of %zd bytes exceeds %d", n, WIRE_MAX);
            else
                st = wire_unpack(data, (size_t)n, ret_m, err);
            if (st != JUSTALOCK_OK && ret_fd != NULL && *ret_fd >= 0) {
                (void)close(*ret_fd);
                *ret_fd = -1;
            }
            return st;
        }
        if (errno == ECONNRESET)
            return gone(err);
        if (errno != EAGAIN && errno != EINTR)
            return error_sys(err, errno,
                             "cannot receive from the justalock-agent");
        result = wait_for(fd, POLLIN, deadline);
        if (result != 1)
            return wait_failed(result, err);
    }
}

enum justalock_status agent_recv(int fd, struct wire_msg *ret_m,
                                 struct clock_time deadline,
                                 struct justalock_error *err)
{
    return agent_recv_fd(fd, ret_m, NULL, deadline, err);
}

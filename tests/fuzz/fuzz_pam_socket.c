/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pam_socket.c - any packets as the agent's answer to a session, with and
 * without a descriptor. The input is a row of [flags, length of two bytes,
 * bytes]. Whatever comes, no descriptor stays but the life line of a lock that
 * was granted.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../modules/pam/pam_session.h"

#define PACKETS_MAX 16
#define WITH_FD     1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum justalock_status __wrap_agent_connect(const char *path, int *ret_fd,
                                           struct justalock_error *err);

static int next_connection;

static void require(bool holds)
{
    if (!holds)
        abort();
}

enum justalock_status __wrap_agent_connect(const char *path, int *ret_fd,
                                           struct justalock_error *err)
{
    (void)path;
    if (next_connection < 0)
        return error_set(err, JUSTALOCK_SYS, "no second one");
    *ret_fd = next_connection;
    next_connection = -1;
    return JUSTALOCK_OK;
}

static void give(int fd, const uint8_t *data, size_t len, int with)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = ""};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};

    if (with >= 0) {
        struct cmsghdr *c;

        h.msg_control = &control;
        h.msg_controllen = sizeof(control.space);
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &with, sizeof(int));
    }
    (void)sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void give_all(int fd, const uint8_t *data, size_t size, int life)
{
    for (int i = 0; i < PACKETS_MAX && size >= 3; i++) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;
        bool has_fd = (data[0] & WITH_FD) != 0;

        data += 3;
        size -= 3;
        if (len > size)
            len = size;
        if (len > 0) /* an empty one reads as the end */
            give(fd, data, len, has_fd ? life : -1);
        data += len;
        size -= len;
    }
}

static void note(void *arg, const char *text)
{
    (void)arg;
    require(parse_is_clean_text(text, strlen(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_msg verdict;
    struct pam_options o = {.lock = "l", .socket = "/s", .wait_ms = 0};
    struct session_ask ask = {.options = &o, .note = note};
    struct session s = {.life = -1};
    struct justalock_error err = {.text = ""};
    int pair[2], life[2];
    struct pollfd p;
    enum session_end end;

    require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0 &&
            pipe(life) == 0);
    give_all(pair[1], data, size, life[1]);
    (void)shutdown(pair[1], SHUT_WR);
    (void)close(life[1]);
    next_connection = pair[0];
    end = session_ask(&ask, &verdict, &s, &err);
    require(next_connection == -1);
    if (end != SESSION_VERDICT) {
        require(s.life == -1 && err.text[0] != '\0');
    } else {
        require(verdict.type == WIRE_VERDICT);
        require((s.life >= 0) == (verdict.verdict == WIRE_GO));
        require(s.life < 0 || strlen(s.cookie) == WIRE_COOKIE_LEN);
    }
    (void)close(pair[1]); /* and what of it nobody read */
    p = (struct pollfd){.fd = life[0], .events = POLLIN};
    require(poll(&p, 1, 0) == (s.life < 0) &&
            (s.life >= 0 || (p.revents & POLLHUP) != 0));
    session_drop(&s);
    require(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0);
    (void)close(life[0]);
    return 0;
}

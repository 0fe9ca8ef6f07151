/* SPDX-License-Identifier: MIT */
/*
 * fake_agent.c - an agent that holds nothing and says what it is told to, so
 * that the plugin can be seen with an agent that is slow, silent, full or
 * talks rubbish.
 *
 *   fake_agent SOCKET FOLDER [full]
 *
 * full: nobody is ever accepted, and the backlog is full; then a file of that
 * name is made beside the socket.
 *
 * For each request it appends a line to FOLDER/requests and answers by the
 * one word in FOLDER/mode (read anew each time):
 *   go [LOCKS]      VERDICT go, with LOCKS held, token 7
 *   busy REST..     VERDICT busy, with that text
 *   silent          nothing, and the connection stays open
 *   note REST..     NOTE with that text, then nothing until the mode changes
 *   rubbish         bytes that are no message
 *   hangup          closes the connection
 * Modes are looked at again, for all that wait, ten times a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire.h"

#define PEERS_MAX 512

struct peer {
    int fd;
    bool has_note;
    bool is_job_task;
};

static struct peer peers[PEERS_MAX];
static size_t peers_len;
static const char *folder;

static void send_msg(int fd, const struct wire_msg *m)
{
    struct justalock_error err;
    struct buf b;

    buf_init(&b, WIRE_MAX);
    if (wire_pack(m, &b, &err) != JUSTALOCK_OK)
        fprintf(stderr, "fake_agent: %s\n", err.text);
    else if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0)
        fprintf(stderr, "fake_agent: send: %s\n", strerror(errno));
    buf_done(&b);
}

static void read_mode(char *mode, size_t size)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/mode", folder);
    mode[0] = '\0';
    f = fopen(path, "re");
    if (f == NULL)
        return;
    if (fgets(mode, (int)size, f) == NULL)
        mode[0] = '\0';
    mode[strcspn(mode, "\n")] = '\0';
    fclose(f);
}

static void log_request(const struct wire_msg *m, pid_t pid, uid_t peer)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/requests", folder);
    f = fopen(path, "ae");
    if (f == NULL)
        return;
    fprintf(f,
            "type=%d peer=%u pid=%d job=%u leader=%u array=%d_%d restart=%u "
            "uid=%u gid=%u nodes=%u cluster=%s partition=%s step=%d task=%u "
            "locks=%s wait=%lld busy=%u\n",
            (int)m->type, peer, pid, m->job.job_id, m->job.leader_id,
            (int)m->job.array_id, (int)m->job.array_task, m->job.restart,
            m->job.uid, m->job.gid, m->job.node_count, m->job.cluster,
            m->job.partition, (int)m->step_id, m->local_task, m->locks,
            (long long)m->wait_ms, m->on_busy);
    fclose(f);
}

/* true: the peer is done with. */
static bool answer(struct peer *p)
{
    struct wire_msg m = {.type = WIRE_VERDICT};
    char mode[512];

    read_mode(mode, sizeof(mode));
    if (!p->is_job_task || strncmp(mode, "go", 2) == 0) {
        if (p->is_job_task && mode[2] == ' ') {
            snprintf(m.locks, sizeof(m.locks), "%s", mode + 3);
            snprintf(m.ids, sizeof(m.ids), "AAAAAAAAAAAAAAAAAAAAAA");
            m.has_token = 1;
            m.token = 7;
        }
    } else if (strncmp(mode, "busy ", 5) == 0) {
        m.verdict = WIRE_REFUSED_BUSY;
        snprintf(m.text, sizeof(m.text), "%s", mode + 5);
    } else if (strncmp(mode, "note ", 5) == 0) {
        m.type = WIRE_NOTE;
        snprintf(m.text, sizeof(m.text), "%s", mode + 5);
        if (!p->has_note)
            send_msg(p->fd, &m);
        p->has_note = true;
        return false;
    } else if (strcmp(mode, "rubbish") == 0) {
        (void)!write(p->fd, "\xff\x00rubbish\xff", 10);
        return true;
    } else if (strcmp(mode, "hangup") == 0) {
        return true;
    } else {
        return false;
    }
    send_msg(p->fd, &m);
    return true;
}

static void serve(int fd)
{
    struct justalock_error err;
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    struct wire_msg m;
    char data[WIRE_MAX];
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (poll(&pfd, 1, 2000) != 1)
        return (void)close(fd);
    n = recv(fd, data, sizeof(data), 0);
    if (n <= 0 || wire_unpack(data, (size_t)n, &m, &err) != JUSTALOCK_OK ||
        peers_len == PEERS_MAX)
        return (void)close(fd);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    log_request(&m, cred.pid, cred.uid);
    peers[peers_len++] =
        (struct peer){.fd = fd, .is_job_task = m.type == WIRE_JOB_TASK};
}

static void answer_all(void)
{
    for (size_t i = 0; i < peers_len;) {
        char byte;
        ssize_t n = recv(peers[i].fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

        if (n != 0 && !answer(&peers[i])) {
            i++;
            continue;
        }
        close(peers[i].fd);
        peers[i] = peers[--peers_len];
    }
}

/* As an agent that is stopped and has been asked by too many. */
static int be_full(const struct sockaddr_un *at)
{
    char path[sizeof(at->sun_path) + 8];
    const char *slash = strrchr(at->sun_path, '/');
    int fd;

    do
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (fd >= 0 &&
           connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0);
    if (fd < 0 || errno != EAGAIN || !slash)
        return 1;
    snprintf(path, sizeof(path), "%.*s/full", (int)(slash - at->sun_path),
             at->sun_path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (argc < 3 || argc > 4 || strlen(argv[1]) >= sizeof(at.sun_path) ||
        fd < 0)
        return 2;
    folder = argv[2];
    memcpy(at.sun_path, argv[1], strlen(argv[1]) + 1);
    unlink(argv[1]);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        chmod(argv[1], 0666) != 0 || listen(fd, 16) != 0) {
        perror("fake_agent");
        return 1;
    }
    if (argc == 4)
        return be_full(&at);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int peer;

        if (poll(&p, 1, 100) > 0 &&
            (peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
            serve(peer);
        answer_all();
    }
}

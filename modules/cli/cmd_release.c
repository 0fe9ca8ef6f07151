/* SPDX-License-Identifier: MIT */
/*
 * cmd_release.c - `justalock release`: the admin breaks a lock at the
 * service. That takes root on the server's own unix socket, so the request is
 * made here and not by a keeper, which has no privileges: a fixed request,
 * and of the answer only its status number and its last line.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "cli.h"
#include "parse.h"
#include "urls.h"

#define LIMIT_MS   10000
#define ANSWER_MAX 4096
#define ALL_SLOTS  JUSTALOCK_SLOTS_MAX

static enum justalock_status connect_unix(const char *path, int *ret_fd,
                                          struct justalock_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(path) >= sizeof(sun.sun_path))
        return error_set(err, JUSTALOCK_ARG, "unix:%s: the path is too long",
                         path);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    /* Does not wait for room in the queue of a server that is stuck. */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_sys(err, errno, "socket");
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
        (void)error_sys(err, errno, "unix:%s", path);
        (void)close(fd);
        return err->status =
                   err->sys_errno == EACCES ? JUSTALOCK_DENIED : JUSTALOCK_NET;
    }
    *ret_fd = fd;
    return JUSTALOCK_OK;
}

/* The server is gone in the middle of it: another one may be active. */
static enum justalock_status broken_off(struct justalock_error *err, int errnum,
                                        const char *what)
{
    (void)error_sys(err, errnum, "%s", what);
    if (errnum == ECONNRESET || errnum == EPIPE)
        err->status = JUSTALOCK_NET;
    return err->status;
}

static enum justalock_status read_answer(int fd, struct buf *b,
                                         struct justalock_error *err)
{
    struct clock_time by = clock_add(clock_now(), LIMIT_MS);
    char part[512];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = clock_left_ms(by, clock_now());
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return error_set(err, JUSTALOCK_NET,
                             "the server does not answer in %d s",
                             LIMIT_MS / 1000);
        n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (n == 0)
            return JUSTALOCK_OK;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return broken_off(err, errno, "reading the server's answer");
        if (n > 0)
            buf_add(b, part, (size_t)n);
        if (b->failed)
            return error_set(err, JUSTALOCK_PROTO,
                             "the server's answer exceeds %d bytes",
                             ANSWER_MAX);
    }
}

/* "HTTP/1.1 NNN ..." ... empty line, text. One that is not active says 503. */
static enum justalock_status understand(const struct buf *b, char *ret_text,
                                        size_t size,
                                        struct justalock_error *err)
{
    static const char start[] = "HTTP/1.1 ";
    const char *data = b->data == NULL ? "" : b->data;
    const char *body = strstr(data, "\r\n\r\n");
    const char *code;
    size_t len = b->len < sizeof(start) - 1 ? b->len : sizeof(start) - 1;

    if (strncmp(data, start, len) != 0)
        return error_set(err, JUSTALOCK_PROTO,
                         "what answers there is not a justalock-server");
    if (body == NULL)
        return error_set(err, JUSTALOCK_NET,
                         "the server's answer stops half way");
    code = data + len;
    (void)snprintf(ret_text, size, "%.200s", body + 4);
    ret_text[strcspn(ret_text, "\r\n")] = '\0';
    if (ret_text[0] == '\0')
        (void)snprintf(ret_text, size, "the server answers with status %.3s",
                       code);
    parse_mask_unclean(ret_text);
    if (strncmp(code, "200", 3) == 0)
        return JUSTALOCK_OK;
    return error_set(
        err, strncmp(code, "503", 3) == 0 ? JUSTALOCK_NET : JUSTALOCK_DENIED,
        "%s", ret_text);
}

static enum justalock_status ask(const char *path, const struct lock_id *id,
                                 unsigned slot, char *ret_text, size_t size,
                                 struct justalock_error *err)
{
    enum justalock_status st;
    char query[24] = "";
    struct buf b;
    int fd = -1;

    st = connect_unix(path, &fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (slot != ALL_SLOTS)
        (void)snprintf(query, sizeof(query), "?slot=%u", slot);
    buf_init(&b, ANSWER_MAX);
    buf_printf(&b,
               "POST /v1/locks/%s/break%s HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Length: 0\r\nConnection: close\r\n\r\n",
               id_format(id).s, query);
    if (b.failed)
        st = error_nomem(err);
    else if (send(fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len)
        st = broken_off(err, errno, "asking the server");
    buf_reset(&b);
    if (st == JUSTALOCK_OK)
        st = read_answer(fd, &b, err);
    if (st == JUSTALOCK_OK)
        st = understand(&b, ret_text, size, err);
    buf_done(&b);
    (void)close(fd);
    return st;
}

/* On a terminal only: a script must say --yes. */
static bool is_agreed(const char *name)
{
    char line[16];

    if (!isatty(STDIN_FILENO)) {
        cli_say("breaking %s ends the work of its holder; say --yes where "
                "nobody can be asked",
                name);
        return false;
    }
    (void)fprintf(stderr,
                  "Break %s? Its holder cannot refresh it any more, and its "
                  "work is ended. [y/N] ",
                  name);
    return fgets(line, sizeof(line), stdin) != NULL &&
           (line[0] == 'y' || line[0] == 'Y');
}

/* One of several is active. */
static enum justalock_status ask_all(const char *urls, const struct lock_id *id,
                                     unsigned slot, char *ret_text, size_t size,
                                     struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_NET;
    char path[URLS_LEN + 1];

    while (st == JUSTALOCK_NET && urls_next_socket(&urls, path))
        st = ask(path, id, slot, ret_text, size, err);
    return st;
}

static int release(const struct cli_context *c, const char *name, unsigned slot,
                   bool yes)
{
    const char *urls = c->service.url;
    char path[URLS_LEN + 1];

    struct justalock_error err;
    struct lock_id id;
    char text[256];
    enum justalock_status st;

    if (!urls_next_socket(&urls, path)) {
        cli_say("%s: a lock can be broken only by root on the host of a "
                "justalock-server, over its unix socket: --url unix:PATH. At "
                "other services it lapses when its holder stops refreshing it",
                c->service.url);
        return CLI_DENIED;
    }
    st = cli_context_id(c, name, &id, &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    if (!yes && !is_agreed(name))
        return CLI_DENIED;
    st = ask_all(c->service.url, &id, slot, text, sizeof(text), &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, error_wrap(&err, st, "%s", name));
    (void)printf("%s: %s\n", name, text);
    return CLI_OK;
}

int cmd_release(int argc, char **argv)
{
    static const struct option names[] = {
        {"yes", no_argument, NULL, 'y'},
        {"slot", required_argument, NULL, 's'},
        {"url", required_argument, NULL, 'u'},
        {"config", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0}};
    const char *path = NULL, *url = NULL;
    struct justalock_error err;
    struct cli_context c;
    enum justalock_status st;
    bool yes = false;
    uint64_t slot = ALL_SLOTS;
    int opt, code;

    while ((opt = getopt_long(argc, argv, "y", names, NULL)) != -1) {
        if (opt == 'y')
            yes = true;
        else if (opt == 's' && parse_u64(optarg, 0, JUSTALOCK_SLOTS_MAX - 1,
                                         "--slot", &slot, &err) != JUSTALOCK_OK)
            return cli_usage("release", "%s", err.text);
        else if (opt == 'u')
            url = optarg;
        else if (opt == 'c')
            path = optarg;
        else if (opt != 's')
            return cli_usage("release", "the call is wrong");
    }
    if (optind != argc - 1)
        return cli_usage("release", "it takes one name");
    st = cli_context_open(&c, path, url, true, &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    code = release(&c, argv[optind], (unsigned)slot, yes);
    cli_context_close(&c);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * mhd_echo.c - what libmicrohttpd itself costs: reads a POST's body and
 * answers 200 with it, in external epoll mode as justalock-server does. No
 * check, no table, no store.
 *
 *   mhd_echo PORT   on 127.0.0.1
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 64

/* The library's result type changed its name in 0.9.71. */
#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result mhd_result;
#else
typedef int mhd_result;
#endif

struct request {
    char body[BODY_MAX];
    size_t len;
};

static mhd_result answer(void *cls, struct MHD_Connection *c, const char *url,
                         const char *method, const char *version,
                         const char *data, size_t *size, void **state)
{
    struct request *r = *state;
    struct MHD_Response *response;
    mhd_result result;

    (void)cls;
    (void)url;
    (void)method;
    (void)version;
    if (!r) {
        *state = calloc(1, sizeof(*r));
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        size_t n = *size < BODY_MAX - r->len ? *size : BODY_MAX - r->len;

        memcpy(r->body + r->len, data, n);
        r->len += n;
        *size = 0;
        return MHD_YES;
    }
    response =
        MHD_create_response_from_buffer(r->len, r->body, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    result = MHD_queue_response(c, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void done(void *cls, struct MHD_Connection *c, void **state,
                 enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)c;
    (void)code;
    free(*state);
    *state = NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct MHD_Daemon *d;
    struct pollfd fd = {.events = POLLIN};

    if (argc != 2)
        return 64;
    to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)signal(SIGPIPE, SIG_IGN);
    d = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&to,
                         MHD_OPTION_NOTIFY_COMPLETED, done, NULL,
                         MHD_OPTION_END);
    if (!d)
        return 1;
    fd.fd = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    for (;;) {
        MHD_UNSIGNED_LONG_LONG left;

        if (MHD_get_timeout(d, &left) != MHD_YES || left > 1000)
            left = 1000;
        if (poll(&fd, 1, (int)left) < 0)
            return 1;
        (void)MHD_run(d);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * grants.c - a client that writes down every grant it was told of, for a
 * server that is killed again and again; and looks later whether they stand.
 *
 *   grants run PORT LOG SECONDS    takes and releases; "held ID TOKEN" and
 *                                  "free ID TOKEN" lines, as answered
 *   grants check PORT LOG          prints what does not stand, and a summary
 *
 * Of 16 locks that are used again and again tokens must grow; every third of
 * the others is kept.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define POOL  16
#define LIFE  600
#define LINES 1000000

static int port;
static int fd = -1;

static void pause_ms(long ms)
{
    const struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

static bool dial(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = 10};

    if (fd >= 0)
        close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0)
        exit(1);
    return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static bool has_all(const char *data)
{
    const char *body = strstr(data, "\r\n\r\n");
    const char *len = strstr(data, "Content-Length: ");

    return body && len && strlen(body + 4) >= strtoul(len + 16, NULL, 10);
}

/* The status, or -1: no answer. */
static int ask(const char *method, const char *id, const char *client,
               const char *share, unsigned long long *ret_token)
{
    static char data[4096];
    const char *token;
    size_t len;
    int n = snprintf(data, sizeof(data),
                     "%s /%s?s=%d HTTP/1.1\r\nHost: x\r\n"
                     "Justalock-Share: %s\r\nContent-Length: %zu\r\n\r\n%s",
                     method, id, LIFE, share, strlen(client), client);

    if (fd < 0 || send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
        return -1;
    len = 0;
    data[0] = '\0';
    while (!has_all(data)) {
        ssize_t got = recv(fd, data + len, sizeof(data) - len - 1, 0);

        if (got <= 0)
            return -1;
        len += (size_t)got;
        data[len] = '\0';
    }
    token = strstr(data, "Justalock-Token: ");
    *ret_token = token ? strtoull(token + 17, NULL, 10) : 0;
    return atoi(data + 9);
}

/* 21 characters of base64url and one whose spare bits are 0. */
static void make_id(char *ret_id, unsigned space, unsigned n)
{
    snprintf(ret_id, 23, "%08x%08xAAAAAA", space, n);
    ret_id[21] = 'A';
    ret_id[22] = '\0';
}

static void run(FILE *log, double seconds)
{
    unsigned space = (unsigned)getpid();
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned n = 0;; n++) {
        char id[23], client[40], share[40];
        unsigned long long token;
        bool is_pool = n % 2 == 0;
        int status;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((double)(now.tv_sec - begin.tv_sec) > seconds)
            return;
        make_id(id, space, is_pool ? n / 2 % POOL : POOL + n);
        snprintf(client, sizeof(client), "client-%u-%u", space, n);
        snprintf(share, sizeof(share), "s%u.%u", space, n);
        /* No answer: it may have been granted. The same one again, until
         * there is one. */
        while ((status = ask("POST", id, client, share, &token)) < 0)
            while (!dial())
                pause_ms(5);
        if (status != 200) {
            fprintf(log, "odd %s %d\n", id, status);
            pause_ms(50);
            continue;
        }
        fprintf(log, "held %s %llu\n", id, token);
        if (!is_pool && n % 3 == 0)
            continue;
        while ((status = ask("DELETE", id, client, share, &token)) < 0)
            while (!dial())
                pause_ms(5);
        /* 409: the first one's answer was lost. */
        if (status != 200 && status != 409)
            fprintf(log, "odd %s %d\n", id, status);
        fprintf(log, "free %s 0\n", id);
    }
}

struct line {
    char id[24];
    unsigned long long token;
    bool is_held;
    unsigned number;
};

static int by_id(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->id, y->id);

    return c != 0 ? c : x->number < y->number ? -1 : 1;
}

static unsigned look(const struct line *v, size_t n)
{
    unsigned long long last = 0, token;
    unsigned bad = 0;
    int status;

    for (size_t i = 0; i < n; i++) {
        if (!v[i].is_held)
            continue;
        if (v[i].token <= last) {
            printf("%s: token %llu after %llu\n", v[i].id, v[i].token, last);
            bad++;
        }
        last = v[i].token;
    }
    status = ask("POST", v[0].id, "somebody-else", "other", &token);
    if (status != (v[n - 1].is_held ? 409 : 200)) {
        printf("%s: %s, and another is answered %d\n", v[0].id,
               v[n - 1].is_held ? "held" : "free", status);
        bad++;
    }
    return bad;
}

static int check(FILE *log)
{
    struct line *v = calloc(LINES, sizeof(*v));
    unsigned bad = 0;
    size_t n = 0, locks = 0;
    char word[8];

    if (!v || !dial())
        return 1;
    while (n < LINES &&
           fscanf(log, "%7s %23s %llu", word, v[n].id, &v[n].token) == 3) {
        v[n].is_held = strcmp(word, "held") == 0;
        v[n].number = (unsigned)n;
        if (strcmp(word, "odd") == 0) {
            printf("%s: answered %llu\n", v[n].id, v[n].token);
            bad++;
            continue;
        }
        n++;
    }
    qsort(v, n, sizeof(*v), by_id);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && strcmp(v[end].id, v[i].id) == 0;)
            end++;
        bad += look(v + i, end - i);
        locks++;
    }
    printf("%zu answers about %zu locks, %u wrong\n", n, locks, bad);
    free(v);
    return bad > 0 || n == 0;
}

int main(int argc, char **argv)
{
    FILE *log;
    int rc = 0;

    if (argc < 4)
        return 64;
    port = atoi(argv[2]);
    if (strcmp(argv[1], "run") == 0) {
        log = fopen(argv[3], "w");
        if (!log || argc < 5)
            return 1;
        while (!dial())
            pause_ms(5);
        run(log, strtod(argv[4], NULL));
    } else {
        log = fopen(argv[3], "r");
        if (!log)
            return 1;
        rc = check(log);
    }
    return fclose(log) != 0 ? 1 : rc;
}

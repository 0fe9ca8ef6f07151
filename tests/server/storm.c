/* SPDX-License-Identifier: MIT */
/*
 * storm.c - many clients take, refresh and release few locks, while somebody
 * kills and restarts the server. Every other one waits in the queue and
 * confirms what it is offered. Keeps a log of what was ANSWERED and says where
 * the server broke its word. Nothing is counted from unanswered requests.
 *
 *   storm SOCKET SECONDS CLIENTS LOCKS
 *
 * Prints one line of counts, and before it one "broken: ..." for each broken
 * promise. Exit 1 if there is one, or if nothing happened.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LIFE_S      30
#define KEEPERS     3 /* clients that hold a lock of their own all the time */
#define SLEEPERS    3 /* and that long without a refresh */
#define CLIENTS_MAX 256
#define LOCKS_MAX   64

struct answer {
    int status;
    bool is_new, is_renewed, is_offered;
    uint64_t token;
    unsigned tries; /* 1: answered at the first attempt */
    int64_t t0_ms;  /* of the attempt that was answered */
};

/* What the answers promise of a lock. */
struct book {
    char holder[40];
    int64_t until_ms; /* 0: nobody, or its release has begun */
    uint64_t token;
};

struct client {
    pthread_t thread;
    unsigned number, seed;
    int fd;
};

static struct sockaddr_un at = {.sun_family = AF_UNIX};
static struct book books[LOCKS_MAX];
static uint64_t top_token;
static int64_t end_ms, give_up_ms;
static unsigned locks;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long grants, refreshes, releases, late, refusals, resent, bad,
    offers;

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000,
                         .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&t, NULL);
}

__attribute__((format(printf, 1, 2))) static void broken(const char *form, ...)
{
    va_list ap;

    va_start(ap, form);
    (void)fputs("broken: ", stdout);
    (void)vprintf(form, ap);
    (void)putchar('\n');
    va_end(ap);
    (void)__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
}

static void count(unsigned long *n)
{
    (void)__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* ---- one request ---- */

static const char *field(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);

    return found == NULL ? NULL : found + strlen(name);
}

/* false: no whole answer came. */
static bool read_answer(int fd, struct answer *a)
{
    char data[4096];
    size_t len = 0, want = 0;
    const char *body, *v;

    for (;;) {
        ssize_t n = recv(fd, data + len, sizeof(data) - 1 - len, 0);

        if (n <= 0)
            return false;
        len += (size_t)n;
        data[len] = '\0';
        body = strstr(data, "\r\n\r\n");
        if (body == NULL)
            continue;
        v = field(data, "\nContent-Length: ");
        want =
            (size_t)(body - data) + 4 + (v == NULL ? 0 : strtoul(v, NULL, 10));
        if (len >= want)
            break;
    }
    a->status = (int)strtol(data + 9, NULL, 10);
    v = field(data, "\nJustalock-Holding: ");
    a->is_new = v != NULL && strncmp(v, "new", 3) == 0;
    a->is_renewed = v != NULL && strncmp(v, "renewed", 7) == 0;
    a->is_offered = v != NULL && strncmp(v, "offered", 7) == 0;
    v = field(data, "\nJustalock-Token: ");
    a->token = v == NULL ? 0 : strtoull(v, NULL, 10);
    return true;
}

static void dial(struct client *c)
{
    struct timeval patience = {.tv_sec = 20};

    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                     sizeof(patience));
    if (connect(c->fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        return;
    (void)close(c->fd);
    c->fd = -1;
}

/* Ask until there is an answer. verb "WAIT" is a POST that waits. false: the
 * time is up. 503 is the server's
 * word at its end that nothing was decided. */
static bool ask(struct client *c, const char *verb, unsigned lock,
                const char *who, struct answer *a)
{
    char text[512];
    bool is_wait = strcmp(verb, "WAIT") == 0;
    int len =
        snprintf(text, sizeof(text),
                 "%s /AAAAAAAAAAAAAAAAAAAA%c%c?s=%d HTTP/1.1\r\nHost: x\r\n"
                 "%sJustalock-Share: s.%s\r\nContent-Length: %zu\r\n\r\n%s",
                 is_wait ? "POST" : verb, 'A' + (int)(lock / 4),
                 "AQgw"[lock % 4], lock < LOCKS_MAX ? LIFE_S : 300,
                 is_wait ? "Justalock-Wait: 1\r\n" : "", who, strlen(who), who);

    memset(a, 0, sizeof(*a));
    while (now_ms() < give_up_ms) {
        if (c->fd < 0)
            dial(c);
        if (c->fd < 0) {
            nap(5);
            continue;
        }
        a->tries++;
        a->t0_ms = now_ms();
        if (send(c->fd, text, (size_t)len, MSG_NOSIGNAL) == len &&
            read_answer(c->fd, a) && a->status != 503)
            return true;
        count(&resent);
        (void)close(c->fd);
        c->fd = -1;
        nap(2);
    }
    broken("%s %s: no answer for very long", verb, who);
    return false;
}

/* ---- what a client does ---- */

static void granted(struct book *b, const char *who, const struct answer *a,
                    uint64_t top)
{
    int64_t now;

    (void)pthread_mutex_lock(&mutex);
    now = now_ms();
    if (!a->is_new && a->tries == 1)
        broken("%s: its first answer is not \"new\"", who);
    if (b->until_ms > now)
        broken("%s was granted what %s holds for %" PRId64 " ms more", who,
               b->holder, b->until_ms - now);
    if (a->token <= b->token || (a->is_new && a->token <= top))
        broken("%s: token %" PRIu64 " after %" PRIu64 " and %" PRIu64, who,
               a->token, b->token, top);
    b->token = a->token;
    b->until_ms = a->t0_ms + LIFE_S * 1000;
    (void)snprintf(b->holder, sizeof(b->holder), "%s", who);
    if (a->token > top_token)
        top_token = a->token;
    (void)pthread_mutex_unlock(&mutex);
    count(&grants);
}

static bool refresh(struct client *c, unsigned lock, const char *who,
                    uint64_t token, int64_t *until_ms)
{
    struct answer a;

    if (!ask(c, "POST", lock, who, &a))
        return false;
    /* A machine that stood still for a whole lease proves nothing. */
    if (*until_ms > a.t0_ms &&
        (a.status != 200 || !a.is_renewed || a.token != token))
        broken("%s: refreshed within its lease: %d %s token %" PRIu64
               " for %" PRIu64,
               who, a.status, a.is_new ? "new" : "", a.token, token);
    *until_ms = a.t0_ms + LIFE_S * 1000;
    count(&refreshes);
    return a.status == 200;
}

static bool hold(struct client *c, unsigned lock, const char *who,
                 uint64_t token)
{
    struct book *b = &books[lock];
    struct answer a;
    int64_t until_ms = b->until_ms;

    for (int i = rand_r(&c->seed) % 5; i > 0; i--) {
        if (!refresh(c, lock, who, token, &until_ms))
            return false;
        (void)pthread_mutex_lock(&mutex);
        b->until_ms = until_ms;
        (void)pthread_mutex_unlock(&mutex);
        nap((unsigned)rand_r(&c->seed) % 4);
    }
    (void)pthread_mutex_lock(&mutex);
    b->until_ms = 0;
    (void)pthread_mutex_unlock(&mutex);
    if (!ask(c, "DELETE", lock, who, &a))
        return false;
    if (a.status != 200 && a.tries == 1 && until_ms > now_ms())
        broken("%s: release: %d", who, a.status);
    count(&releases);
    if (rand_r(&c->seed) % 3 != 0)
        return true;
    if (!ask(c, "POST", lock, who, &a))
        return false;
    if (a.status != 409)
        broken("%s: a late refresh after its release: %d", who, a.status);
    count(&late);
    return true;
}

/* In the queue until it has the lock, or as one that only asks once. */
static bool take(struct client *c, unsigned lock, const char *who,
                 struct answer *a)
{
    if (c->number % 2 == 0)
        return ask(c, "POST", lock, who, a);
    do {
        if (!ask(c, "WAIT", lock, who, a))
            return false;
        if (a->status != 200 || !a->is_offered)
            continue;
        count(&offers);
        if (!ask(c, "POST", lock, who, a))
            return false;
    } while (a->status == 409 && now_ms() < end_ms);
    return true;
}

static void *many(void *arg)
{
    struct client *c = arg;
    struct answer a;
    char who[32];

    for (unsigned n = 0; now_ms() < end_ms; n++) {
        unsigned lock = (unsigned)rand_r(&c->seed) % locks;
        uint64_t top = __atomic_load_n(&top_token, __ATOMIC_SEQ_CST);

        (void)snprintf(who, sizeof(who), "c%u.%u", c->number, n);
        if (!take(c, lock, who, &a))
            break;
        if (a.status == 409) {
            count(&refusals);
            /* Its first attempt may have taken it, its last found another:
             * never, since nobody gives it back for us. */
            nap(1 + (unsigned)rand_r(&c->seed) % 8);
            continue;
        }
        if (a.status != 200)
            broken("%s: %d", who, a.status);
        granted(&books[lock], who, &a, top);
        if (!hold(c, lock, who, a.token))
            break;
    }
    return NULL;
}

/* Holds one lock all the time: with refreshes, or asleep until the end. */
static void *steady(void *arg)
{
    struct client *c = arg;
    bool sleeps = c->number >= KEEPERS;
    unsigned lock = LOCKS_MAX + c->number;
    struct answer a;
    char who[32];
    int64_t until_ms;
    uint64_t token;

    (void)snprintf(who, sizeof(who), "steady%u", c->number);
    if (!ask(c, "POST", lock, who, &a))
        return NULL;
    token = a.token;
    until_ms = a.t0_ms + 300000;
    if (a.status != 200)
        broken("%s: %d", who, a.status);
    do {
        nap(sleeps ? 300 : 100);
        if (sleeps && now_ms() < end_ms)
            continue;
        if (!refresh(c, lock, who, token, &until_ms))
            return NULL;
        until_ms += (300 - LIFE_S) * 1000;
    } while (now_ms() < end_ms);
    if (ask(c, "DELETE", lock, who, &a) && a.status != 200 && a.tries == 1)
        broken("%s: release: %d", who, a.status);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct client clients[KEEPERS + SLEEPERS + CLIENTS_MAX];
    unsigned n, i;

    n = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    locks = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    if (n < 1 || n > CLIENTS_MAX || locks < 1 || locks > LOCKS_MAX ||
        strlen(argv[1]) >= sizeof(at.sun_path))
        return 64;
    memcpy(at.sun_path, argv[1], strlen(argv[1]) + 1);
    end_ms = now_ms() + strtol(argv[2], NULL, 10) * 1000;
    give_up_ms = end_ms + 30000;
    n += KEEPERS + SLEEPERS;
    for (i = 0; i < n; i++) {
        clients[i] = (struct client){.number = i, .seed = 77 + i, .fd = -1};
        if (pthread_create(&clients[i].thread, NULL,
                           i < KEEPERS + SLEEPERS ? steady : many,
                           &clients[i]) != 0)
            return 1;
    }
    for (i = 0; i < n; i++)
        (void)pthread_join(clients[i].thread, NULL);
    printf("grants %lu refreshes %lu releases %lu late %lu refusals %lu "
           "resent %lu broken %lu offers %lu\n",
           grants, refreshes, releases, late, refusals, resent, bad, offers);
    return bad > 0 || grants == 0 || late == 0;
}

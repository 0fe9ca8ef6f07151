/* SPDX-License-Identifier: MIT */
/*
 * api.c - libjustalock as a program sees it, on a service that runs: prints
 * TAP. Started by lock.sh, also under ThreadSanitizer.
 *
 *   api URL [SERVER_PID]
 *
 * SERVER_PID  the service's process; stopped (SIGSTOP) in the last test, to
 *             see the loss in time, and continued afterwards.
 */
#include <justalock.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS  5

static const char *url;
static int tap_n, tap_bad;

static void ok(int good, const char *what)
{
    tap_n++;
    tap_bad += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", tap_n, what);
    (void)fflush(stdout);
}

/* The status that came, with its text where it is another one. */
static void is(enum justalock_status got, enum justalock_status want,
               const struct justalock_error *err, const char *what)
{
    ok(got == want, what);
    if (got != want)
        printf("# %s, not %s: %s\n", justalock_strerror(got),
               justalock_strerror(want), err ? err->text : "");
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct justalock *make(const char *name, unsigned lifetime_s,
                              const char *label)
{
    struct justalock_options *options = NULL;
    struct justalock_error err = {.text = ""};
    struct justalock *lock = NULL;

    if (justalock_options_new(&options, &err) != JUSTALOCK_OK ||
        justalock_options_url(options, url, &err) != JUSTALOCK_OK ||
        justalock_options_label(options, label, &err) != JUSTALOCK_OK ||
        justalock_options_lifetime_s(options, lifetime_s, &err) !=
            JUSTALOCK_OK ||
        justalock_new(name, options, &lock, &err) != JUSTALOCK_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    justalock_options_free(options);
    return lock;
}

static void test_two_handles(void)
{
    struct justalock *a = make("two", 60, "first of two");
    struct justalock *b = make("two", 60, "");
    struct justalock_error err = {.text = ""};
    struct justalock_holder who = {.label = ""};
    struct justalock_view view = {.held = 0};
    uint64_t first = 0, second = 0;
    int64_t start;

    is(justalock_acquire(a, 5000, &err), JUSTALOCK_OK, &err, "acquired");
    ok(justalock_is_held(a) && !justalock_is_lost(a), "held");
    ok(justalock_remaining_ms(a) > 50000, "for most of a minute");
    is(justalock_token(a, &first, &err), JUSTALOCK_OK, &err, "with a token");
    is(justalock_try(b, &err), JUSTALOCK_HELD, &err, "refused to another");
    is(justalock_holder(b, &who, &err), JUSTALOCK_OK, &err, "told by whom");
    ok(strcmp(who.label, "first of two") == 0, "by the holder's label");
    start = now_ms();
    is(justalock_acquire(b, 300, &err), JUSTALOCK_HELD, &err,
       "refused after a wait");
    ok(now_ms() - start >= 290 && now_ms() - start < 3000, "of that length");
    is(justalock_query(b, 5000, &view, &err), JUSTALOCK_OK, &err, "queried");
    ok(view.held && strcmp(view.holder.label, "first of two") == 0,
       "the view shows the holder");
    is(justalock_release(a, &err), JUSTALOCK_OK, &err, "released");
    is(justalock_query(b, 5000, &view, &err), JUSTALOCK_OK, &err,
       "queried again");
    ok(!view.held, "the view shows a free lock");
    is(justalock_try(b, &err), JUSTALOCK_OK, &err, "granted to the other");
    is(justalock_token(b, &second, &err), JUSTALOCK_OK, &err, "with a token");
    ok(second > first, "which is greater");
    justalock_free(b);
    is(justalock_try(a, &err), JUSTALOCK_OK, &err, "free released it");
    justalock_free(a);
}

/* ---- a pool of two: each in its slot, no third ---- */

static struct justalock *make_pool(void)
{
    struct justalock_options *options = NULL;
    struct justalock_error err = {.text = ""};
    struct justalock *lock = NULL;

    if (justalock_options_new(&options, &err) != JUSTALOCK_OK ||
        justalock_options_url(options, url, &err) != JUSTALOCK_OK ||
        justalock_options_slots(options, 2, &err) != JUSTALOCK_OK ||
        justalock_new("licences", options, &lock, &err) != JUSTALOCK_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    justalock_options_free(options);
    return lock;
}

static void test_pool(void)
{
    struct justalock *a = make_pool(), *b = make_pool(), *c = make_pool();
    struct justalock_error err = {.text = ""};
    unsigned first = 9, second = 9;

    is(justalock_try(a, &err), JUSTALOCK_OK, &err, "pool: one is in");
    is(justalock_try(b, &err), JUSTALOCK_OK, &err, "pool: another too");
    is(justalock_slot(a, &first, &err), JUSTALOCK_OK, &err, "pool: a slot");
    is(justalock_slot(b, &second, &err), JUSTALOCK_OK, &err, "pool: and one");
    ok(first == 0 && second == 1, "pool: each has its own");
    is(justalock_try(c, &err), JUSTALOCK_HELD, &err, "pool: no third");
    is(justalock_release(a, &err), JUSTALOCK_OK, &err, "pool: one goes");
    is(justalock_acquire(c, 5000, &err), JUSTALOCK_OK, &err, "pool: one comes");
    is(justalock_slot(c, &first, &err), JUSTALOCK_OK, &err, "pool: its slot");
    ok(first == 0, "pool: the one that was free");
    justalock_free(a);
    justalock_free(b);
    justalock_free(c);
}

/* ---- a lock by its id, as by "Multiple Lock ID Formats" of the README of
 * the Python client ---- */

static struct justalock *make_id(const uint8_t *id)
{
    struct justalock_options *options = NULL;
    struct justalock_error err = {.text = ""};
    struct justalock *lock = NULL;

    if (justalock_options_new(&options, &err) != JUSTALOCK_OK ||
        justalock_options_url(options, url, &err) != JUSTALOCK_OK ||
        justalock_new_id(id, options, &lock, &err) != JUSTALOCK_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    justalock_options_free(options);
    return lock;
}

static void test_ids(void)
{
    static const char uuid[] = "550e8400-e29b-41d4-a716-446655440000";
    static const char *const what[] = {"text",  "integer", "large integer",
                                       "bytes", "UUID",    "random"};
    uint8_t id[6][JUSTALOCK_ID_LEN];
    struct justalock *lock[6], *named, *other;
    struct justalock_error err = {.text = ""};
    char line[64];

    is(justalock_id_from_text("simple-string", id[0], &err), JUSTALOCK_OK, &err,
       "the id of a text");
    justalock_id_from_u64(12345, id[1]);
    is(justalock_id_from_decimal("36893488147419103232", id[2], &err),
       JUSTALOCK_OK, &err, "of an integer above 64 bits");
    justalock_id_from_bytes("binary-lock-id", 14, id[3]);
    is(justalock_id_from_uuid(uuid, id[4], &err), JUSTALOCK_OK, &err,
       "of a UUID");
    is(justalock_id_random(id[5], &err), JUSTALOCK_OK, &err, "a random one");
    for (int i = 0; i < 6; i++) {
        lock[i] = make_id(id[i]);
        (void)snprintf(line, sizeof(line), "%s: six locks, held at once",
                       what[i]);
        is(justalock_try(lock[i], &err), JUSTALOCK_OK, &err, line);
    }
    named = make("simple-string", 60, "");
    is(justalock_try(named, &err), JUSTALOCK_HELD, &err,
       "a text's id is the lock of that name");
    other = make(uuid, 60, "");
    is(justalock_try(other, &err), JUSTALOCK_HELD, &err,
       "a UUID's id is the lock of that name");
    justalock_free(named);
    justalock_free(other);
    for (int i = 0; i < 6; i++)
        justalock_free(lock[i]);
}

/* ---- contention ---- */

static int inside, overlaps, turns;

static void work(struct justalock *lock, void *arg)
{
    (void)arg;
    if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) != 1 ||
        !justalock_is_held(lock))
        __atomic_add_fetch(&overlaps, 1, __ATOMIC_SEQ_CST);
    (void)poll(NULL, 0, 1);
    __atomic_add_fetch(&turns, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

static void *contend(void *arg)
{
    struct justalock *lock = make("contended", 30, "one of many");
    struct justalock_error err = {.text = ""};
    int i;

    (void)arg;
    for (i = 0; i < ROUNDS; i++)
        if (justalock_with(lock, 60000, work, NULL, &err) != JUSTALOCK_OK)
            printf("# %s\n", err.text);
    justalock_free(lock);
    return NULL;
}

static void test_contention(void)
{
    pthread_t threads[THREADS];
    int i, started = 0;

    for (i = 0; i < THREADS; i++)
        started += pthread_create(&threads[i], NULL, contend, NULL) == 0;
    for (i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    ok(started == THREADS && turns == THREADS * ROUNDS, "all had their turns");
    ok(overlaps == 0, "never two at once");
}

static void *acquire_for_ever(void *arg)
{
    static enum justalock_status st;

    st = justalock_acquire(arg, -1, NULL);
    return &st;
}

static void test_cancel(void)
{
    struct justalock *a = make("cancel", 60, "");
    struct justalock *b = make("cancel", 60, "");
    struct justalock_error err = {.text = ""};
    struct justalock_holder who;
    pthread_t thread;
    void *st = NULL;
    int tries = 0;

    is(justalock_acquire(a, 5000, &err), JUSTALOCK_OK, &err, "acquired");
    if (pthread_create(&thread, NULL, acquire_for_ever, b) != 0)
        return;
    while (justalock_holder(b, &who, NULL) != JUSTALOCK_OK && tries++ < 5000)
        (void)poll(NULL, 0, 1);
    is(justalock_release(b, &err), JUSTALOCK_OK, &err, "a wait is ended");
    (void)pthread_join(thread, &st);
    is(*(enum justalock_status *)st, JUSTALOCK_CANCELED, NULL,
       "and the waiter told so");
    justalock_free(b);
    justalock_free(a);
}

static void test_unreachable(void)
{
    struct justalock_options *options = NULL;
    struct justalock_error err = {.text = ""};
    struct justalock *lock = NULL;
    int64_t start = now_ms();

    is(justalock_options_new(&options, &err), JUSTALOCK_OK, &err, "options");
    is(justalock_options_url(options, "unix:/nowhere/server.sock", &err),
       JUSTALOCK_OK, &err, "a url of nobody");
    is(justalock_new("x", options, &lock, &err), JUSTALOCK_OK, &err, "new");
    justalock_options_free(options);
    is(justalock_acquire(lock, 300, &err), JUSTALOCK_NET, &err, "unreachable");
    ok(now_ms() - start < 6000 && err.text[0], "in time, with a text");
    justalock_free(lock);
}

/* ---- fork ---- */

static int child_of(struct justalock *parents)
{
    struct pollfd fd = {.fd = justalock_fd(parents), .events = POLLIN};
    struct justalock *mine;
    int bad = 0;

    (void)alarm(30);
    bad |= !justalock_is_lost(parents) ? 1 : 0;
    bad |= justalock_is_held(parents) ? 2 : 0;
    bad |= justalock_release(parents, NULL) != JUSTALOCK_STATE ? 4 : 0;
    bad |= poll(&fd, 1, 5000) != 1 ? 8 : 0;
    justalock_free(parents);
    mine = make("forked", 60, "child");
    bad |= justalock_try(mine, NULL) != JUSTALOCK_HELD ? 16 : 0;
    justalock_free(mine);
    mine = make("forked by child", 60, "child");
    bad |= justalock_try(mine, NULL) != JUSTALOCK_OK ? 32 : 0;
    justalock_free(mine);
    return bad;
}

static void test_fork(void)
{
    struct justalock *lock = make("forked", 3, "parent");
    struct justalock_error err = {.text = ""};
    int status = -1;
    pid_t pid;

    is(justalock_acquire(lock, 5000, &err), JUSTALOCK_OK, &err, "acquired");
    pid = fork();
    if (pid == 0)
        _exit(child_of(lock));
    ok(pid > 0 && waitpid(pid, &status, 0) == pid, "forked");
    ok(status == 0, "in the child the handle is dead and new ones work");
    if (status != 0)
        printf("# child: %x\n", (unsigned)status);
    is(justalock_wait_lost(lock, 3500, &err), JUSTALOCK_OK, &err,
       "the parent goes on refreshing, beyond the lifetime");
    is(justalock_release(lock, &err), JUSTALOCK_OK, &err, "and releases");
    justalock_free(lock);
}

/* ---- loss ---- */

static void test_loss(pid_t server)
{
    struct justalock *lock = make("to be lost", 2, "");
    struct justalock_error err = {.text = ""};
    int64_t start;

    is(justalock_acquire(lock, 5000, &err), JUSTALOCK_OK, &err, "acquired");
    start = now_ms();
    (void)kill(server, SIGSTOP);
    is(justalock_wait_lost(lock, 10000, &err), JUSTALOCK_LOST, &err,
       "lost while the service is stopped");
    ok(now_ms() - start < 2000, "before the lease ends");
    ok(err.text[0] != '\0', "with a reason");
    printf("# %s\n", err.text);
    (void)kill(server, SIGCONT);
    is(justalock_release(lock, &err), JUSTALOCK_LOST, &err, "release says so");
    is(justalock_acquire(lock, 10000, &err), JUSTALOCK_OK, &err,
       "the same handle acquires anew");
    justalock_free(lock);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    url = argv[1];
    test_two_handles();
    test_pool();
    test_ids();
    test_contention();
    test_cancel();
    test_unreachable();
    if (!getenv("NO_FORK")) /* TSan starts no threads in a forked child */
        test_fork();
    if (argc > 2)
        test_loss((pid_t)strtol(argv[2], NULL, 10));
    printf("1..%d\n", tap_n);
    return tap_bad != 0;
}

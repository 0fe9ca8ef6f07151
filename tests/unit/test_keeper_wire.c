/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_wire.c - every message there and back, every damage refused,
 * the socket's ends, and what a started program inherits.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "keeper_wire.h"

static const enum keeper_wire_type all_types[] = {
    KW_ACQUIRE, KW_ADOPT, KW_RELEASE, KW_QUERY,   KW_PING,
    KW_EVENT,   KW_VIEW,  KW_PONG,    KW_KEEPING, KW_READY};
#define TYPES (sizeof(all_types) / sizeof(all_types[0]))

static void fill(char *dst, size_t size, char c)
{
    memset(dst, c, size - 1);
    dst[size - 1] = '\0';
}

/* All fields at their longest. */
static void fill_msg(struct keeper_msg *m, enum keeper_wire_type type)
{
    memset(m, 0, sizeof(*m));
    m->type = type;
    m->handle = 0x1122334455667788;
    m->wait_ms = -1;
    m->t0 = (struct clock_time){1, INT64_MAX};
    m->held = true;
    m->has_features = true;
    fill(m->service.url, sizeof(m->service.url), 'u');
    fill(m->service.ca_file, sizeof(m->service.ca_file), 'a');
    fill(m->service.cert_file, sizeof(m->service.cert_file), 'c');
    fill(m->service.key_file, sizeof(m->service.key_file), 'k');
    fill(m->service.token, sizeof(m->service.token), 't');
    fill(m->service.proxy, sizeof(m->service.proxy), 'p');
    memset(m->lock.id.bytes, 0xfe, sizeof(m->lock.id.bytes));
    memset(m->lock.client, 0, sizeof(m->lock.client));
    m->lock.client_len = sizeof(m->lock.client);
    fill(m->lock.share, sizeof(m->lock.share), 's');
    fill(m->lock.label, sizeof(m->lock.label), 'l');
    m->lock.times = (struct lease_times){65535, 1, 2, 3, 4, 5};
    m->lock.reusable_client = true;
    m->event = (struct keeper_event){
        .kind = KEEPER_LOST,
        .status = JUSTALOCK_STATE,
        .t0 = {-5, 7},
        .has_features = true,
        .has_token = true,
        .was_renewed = true,
        .token = UINT64_MAX,
    };
    m->event.handle = m->handle;
    fill(m->event.holder, sizeof(m->event.holder), 'h');
    fill(m->event.since, sizeof(m->event.since), '0');
    fill(m->event.text, sizeof(m->event.text), 'x');
    m->view = (struct keeper_view){.known = true,
                                   .held = true,
                                   .has_token = true,
                                   .token = 9,
                                   .shares = 3,
                                   .waiters = 4,
                                   .expires_ms = -1,
                                   .holder = "holder",
                                   .since = "since"};
}

static void assert_service(const struct keeper_service *a,
                           const struct keeper_service *b)
{
    assert_string_equal(a->url, b->url);
    assert_string_equal(a->ca_file, b->ca_file);
    assert_string_equal(a->cert_file, b->cert_file);
    assert_string_equal(a->key_file, b->key_file);
    assert_string_equal(a->token, b->token);
    assert_string_equal(a->proxy, b->proxy);
}

static void assert_slots(const struct keeper_lock *a,
                         const struct keeper_lock *b)
{
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->slot_has_id, b->slot_has_id);
}

static void assert_lock(const struct keeper_lock *a,
                        const struct keeper_lock *b)
{
    assert_memory_equal(&a->id, &b->id, sizeof(a->id));
    assert_int_equal(a->client_len, b->client_len);
    assert_memory_equal(a->client, b->client, a->client_len);
    assert_string_equal(a->share, b->share);
    assert_string_equal(a->label, b->label);
    assert_int_equal(a->times.life_s, b->times.life_s);
    assert_int_equal(a->times.refresh_ms, b->times.refresh_ms);
    assert_int_equal(a->times.margin_ms, b->times.margin_ms);
    assert_int_equal(a->times.grace_ms, b->times.grace_ms);
    assert_int_equal(a->times.kill_ms, b->times.kill_ms);
    assert_int_equal(a->times.attempt_ms, b->times.attempt_ms);
    assert_int_equal(a->reusable_client, b->reusable_client);
    assert_slots(a, b);
}

static void assert_event(const struct keeper_event *a,
                         const struct keeper_event *b)
{
    assert_int_equal(a->handle, b->handle);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->status, b->status);
    assert_memory_equal(&a->t0, &b->t0, sizeof(a->t0));
    assert_int_equal(a->has_features, b->has_features);
    assert_int_equal(a->has_token, b->has_token);
    assert_int_equal(a->was_renewed, b->was_renewed);
    assert_int_equal(a->has_slot, b->has_slot);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->slot_has_id, b->slot_has_id);
    assert_int_equal(a->token, b->token);
    assert_string_equal(a->holder, b->holder);
    assert_string_equal(a->since, b->since);
    assert_string_equal(a->text, b->text);
}

static void assert_view(const struct keeper_view *a,
                        const struct keeper_view *b)
{
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->held, b->held);
    assert_int_equal(a->has_token, b->has_token);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->shares, b->shares);
    assert_int_equal(a->waiters, b->waiters);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->has_more, b->has_more);
    assert_string_equal(a->holder, b->holder);
    assert_string_equal(a->since, b->since);
}

static void assert_same(const struct keeper_msg *a, const struct keeper_msg *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->handle, b->handle);
    if (a->type == KW_ACQUIRE || a->type == KW_ADOPT || a->type == KW_QUERY)
        assert_service(&a->service, &b->service);
    if (a->type == KW_ACQUIRE || a->type == KW_ADOPT)
        assert_lock(&a->lock, &b->lock);
    if (a->type == KW_QUERY || a->type == KW_KEEPING)
        assert_memory_equal(&a->lock.id, &b->lock.id, sizeof(a->lock.id));
    if (a->type == KW_ACQUIRE || a->type == KW_RELEASE || a->type == KW_QUERY)
        assert_int_equal(a->wait_ms, b->wait_ms);
    if (a->type == KW_ADOPT)
        assert_int_equal(a->has_features, b->has_features);
    if (a->type == KW_ADOPT || a->type == KW_KEEPING)
        assert_memory_equal(&a->t0, &b->t0, sizeof(a->t0));
    if (a->type == KW_KEEPING) {
        assert_string_equal(a->lock.share, b->lock.share);
        assert_slots(&a->lock, &b->lock);
        assert_int_equal(a->held, b->held);
    }
    if (a->type == KW_EVENT)
        assert_event(&a->event, &b->event);
    if (a->type == KW_VIEW) {
        assert_int_equal(a->event.status, b->event.status);
        assert_string_equal(a->event.text, b->event.text);
        assert_view(&a->view, &b->view);
    }
}

static void pack(const struct keeper_msg *m, struct buf *b)
{
    struct justalock_error err;

    buf_init(b, KEEPER_WIRE_MAX);
    assert_int_equal(keeper_wire_pack(m, b, &err), JUSTALOCK_OK);
}

static void test_round_trip(void **state)
{
    struct keeper_msg m;
    struct keeper_msg back;
    struct justalock_error err;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        fill_msg(&m, all_types[i]);
        pack(&m, &b);
        memset(&back, 0x5a, sizeof(back));
        assert_int_equal(keeper_wire_unpack(b.data, b.len, &back, &err),
                         JUSTALOCK_OK);
        assert_same(&m, &back);
        buf_done(&b);
    }
}

static void test_cut_and_longer(void **state)
{
    struct keeper_msg m;
    struct keeper_msg back = {.handle = 77};
    struct justalock_error err;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        fill_msg(&m, all_types[i]);
        pack(&m, &b);
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(keeper_wire_unpack(b.data, len, &back, &err),
                             JUSTALOCK_PROTO);
        buf_u8(&b, 0);
        assert_int_equal(keeper_wire_unpack(b.data, b.len, &back, &err),
                         JUSTALOCK_PROTO);
        assert_int_equal(back.handle, 77); /* untouched */
        buf_done(&b);
    }
}

static void expect_proto(struct buf *b, size_t at, uint8_t value)
{
    struct keeper_msg back;
    struct justalock_error err;
    char was = b->data[at];

    b->data[at] = (char)value;
    assert_int_equal(keeper_wire_unpack(b->data, b->len, &back, &err),
                     JUSTALOCK_PROTO);
    b->data[at] = was;
    assert_int_equal(keeper_wire_unpack(b->data, b->len, &back, &err),
                     JUSTALOCK_OK);
}

/* What is said of pools is at the end, and only where there is one. */
static void test_pools(void **state)
{
    static const struct {
        enum keeper_wire_type type;
        size_t more, slot_at; /* from the end: its upper byte */
    } tails[] = {{KW_ACQUIRE, 9, 2},
                 {KW_ADOPT, 9, 2},
                 {KW_KEEPING, 9, 2},
                 {KW_EVENT, 5, 2},
                 {KW_VIEW, 9, 2}};
    struct keeper_msg m, back;
    struct justalock_error err;
    struct buf b;
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        fill_msg(&m, tails[i].type);
        pack(&m, &b);
        len = b.len;
        buf_done(&b);
        m.lock.slots = JUSTALOCK_SLOTS_MAX;
        m.lock.slot = JUSTALOCK_SLOTS_MAX - 1;
        m.event.has_slot = true;
        m.event.slot = JUSTALOCK_SLOTS_MAX - 1;
        m.view.slots = JUSTALOCK_SLOTS_MAX;
        m.view.slot = JUSTALOCK_SLOTS_MAX - 1;
        m.lock.slot_has_id = m.event.slot_has_id = m.view.has_more = true;
        pack(&m, &b);
        assert_int_equal(b.len, len + tails[i].more);
        assert_int_equal(keeper_wire_unpack(b.data, b.len, &back, &err),
                         JUSTALOCK_OK);
        assert_same(&m, &back);
        for (size_t n = len + 1; n < b.len; n++)
            assert_int_equal(keeper_wire_unpack(b.data, n, &back, &err),
                             JUSTALOCK_PROTO);
        expect_proto(&b, b.len - 1, 2);
        expect_proto(&b, b.len - 1 - tails[i].slot_at, 1);
        if (tails[i].more == 9)
            expect_proto(&b, b.len - 8, 5); /* of slots: 1280 */
        buf_done(&b);
    }
}

static void test_bad_values(void **state)
{
    struct keeper_msg m;
    struct buf b;

    (void)state;
    fill_msg(&m, KW_EVENT);
    pack(&m, &b);
    expect_proto(&b, 0, 0);
    expect_proto(&b, 0, KEEPER_WIRE_VERSION + 1);
    expect_proto(&b, 1, 0);
    expect_proto(&b, 1, 6);
    expect_proto(&b, 1, 21);
    expect_proto(&b, 10, KEEPER_RELEASED + 1);
    expect_proto(&b, 11, JUSTALOCK_STATE + 1);
    expect_proto(&b, 28, 2);                /* a flag */
    expect_proto(&b, b.len - 1, '\n');      /* in a text */
    expect_proto(&b, b.len - 1, '\0');      /* in a text */
    expect_proto(&b, b.len - 1, 0xff);      /* not UTF-8 */
    expect_proto(&b, b.len - 239 - 2, 240); /* its length */
    buf_done(&b);
}

static void test_client_len(void **state)
{
    struct keeper_msg m;
    struct keeper_msg back;
    struct justalock_error err;
    struct buf b;

    (void)state;
    fill_msg(&m, KW_ACQUIRE);
    m.lock.client_len = 0;
    pack(&m, &b);
    assert_int_equal(keeper_wire_unpack(b.data, b.len, &back, &err),
                     JUSTALOCK_PROTO);
    buf_reset(&b);
    m.lock.client_len = JUSTALOCK_CLIENT_MAX + 1;
    assert_int_equal(keeper_wire_pack(&m, &b, &err), JUSTALOCK_ARG);
    buf_done(&b);
    buf_init(&b, 40);
    m.lock.client_len = 1;
    assert_int_equal(keeper_wire_pack(&m, &b, &err), JUSTALOCK_NOMEM);
    buf_done(&b);
}

static void test_socket(void **state)
{
    struct keeper_msg m;
    struct keeper_msg back = {0};
    struct justalock_error err;
    char big[KEEPER_WIRE_MAX + 1] = {0};
    bool more = true;
    int sv[2];
    int sent = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    assert_int_equal(keeper_wire_recv(sv[1], &back, &more, &err), JUSTALOCK_OK);
    assert_false(more);
    fill_msg(&m, KW_ACQUIRE);
    assert_int_equal(keeper_wire_send(sv[0], &m, &err), JUSTALOCK_OK);
    assert_int_equal(keeper_wire_recv(sv[1], &back, &more, &err), JUSTALOCK_OK);
    assert_true(more);
    assert_same(&m, &back);
    assert_int_equal(send(sv[0], big, sizeof(big), 0), sizeof(big));
    assert_int_equal(keeper_wire_recv(sv[1], &back, &more, &err),
                     JUSTALOCK_PROTO);
    while (keeper_wire_send(sv[0], &m, &err) == JUSTALOCK_OK)
        sent++;
    assert_true(sent > 0);
    assert_int_equal(err.status, JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, EAGAIN);
    while (sent-- > 0)
        assert_int_equal(keeper_wire_recv(sv[1], &back, &more, &err),
                         JUSTALOCK_OK);
    assert_int_equal(close(sv[0]), 0);
    assert_int_equal(keeper_wire_recv(sv[1], &back, &more, &err),
                     JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, EPIPE);
    assert_int_equal(keeper_wire_send(sv[1], &m, &err), JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, EPIPE);
    assert_int_equal(close(sv[1]), 0);
}

/* ---- spawn: this program again, as DIR/bin/x, starting a script ---- */

static const char script[] =
    "#!/bin/sh\n"
    "{ echo \"args $*\"\n"
    "echo fds $(ls /proc/self/fd | grep -vx 10)\n"
    "echo env $(env | grep -v '^\\(PWD\\|_\\|OLDPWD\\|SHLVL\\)=' | sort)\n"
    /* Without a child: around a fork the shell blocks all signals. */
    "while read -r name value; do case $name in Sig[BIC]*)"
    " printf '%s\\t%s\\n' $name $value;; esac; done </proc/$$/status\n"
    "echo dir $(pwd) session $(($(cut -d' ' -f6 /proc/$$/stat) == $$))\n"
    "echo out $(readlink /proc/$$/fd/1)\n"
    "} >&0\n";

static int spawn_main(void)
{
    struct justalock_error err = {.text = ""};
    int sv[2];
    int status = -1;
    pid_t pid;
    char text[4096];
    ssize_t n;

    (void)signal(SIGPIPE, SIG_IGN);
    if (dup2(1, 100) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
        return 1;
    if (keeper_wire_spawn(sv[0], "--connected", "justalock", &pid, &err) !=
        JUSTALOCK_OK) {
        printf("error %s\n", err.text);
        /* Nothing of it is left. */
        return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : 2;
    }
    (void)close(sv[0]);
    if (waitpid(pid, &status, 0) != pid)
        return 3;
    while ((n = read(sv[1], text, sizeof(text))) > 0)
        (void)fwrite(text, 1, (size_t)n, stdout);
    printf("status %d\n", status);
    return 0;
}

static void write_file(const char *path, const char *from, const char *text)
{
    char block[65536];
    int in = from ? open(from, O_RDONLY) : -1;
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    ssize_t n;

    assert_true(out >= 0);
    while (in >= 0 && (n = read(in, block, sizeof(block))) > 0)
        assert_int_equal(write(out, block, (size_t)n), n);
    if (text)
        assert_int_equal(write(out, text, strlen(text)), strlen(text));
    if (in >= 0)
        (void)close(in);
    assert_int_equal(close(out), 0);
}

/* What DIR/bin/x --spawn printed. */
static void run_spawn(const char *dir, char *text, size_t size)
{
    char path[PATH_MAX];
    int out[2];
    size_t len = 0;
    ssize_t n;
    int status;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        (void)snprintf(path, sizeof(path), "%s/bin/x", dir);
        (void)dup2(out[1], 1);
        (void)execl(path, path, "--spawn", NULL);
        _exit(99);
    }
    (void)close(out[1]);
    while ((n = read(out[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    (void)close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static int remove_tree(const char *dir)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", dir, NULL);
        _exit(99);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static void test_spawn(void **state)
{
    char dir[] = "/tmp/justalock-spawn.XXXXXX";
    char path[PATH_MAX];
    char text[8192];

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/bin", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/bin/x", dir);
    write_file(path, "/proc/self/exe", NULL);
    run_spawn(dir, text, sizeof(text)); /* the program is not there */
    expect_in(text, "justalock-keeper: No such file or directory");
    (void)snprintf(path, sizeof(path), "%s/libexec", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/libexec/justalock", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/libexec/justalock/justalock-keeper",
                   dir);
    write_file(path, NULL, script);
    run_spawn(dir, text, sizeof(text));
    expect_in(text, "args --connected --user justalock\n");
    expect_in(text, "fds 0 1 2 3\n"); /* 3: what ls lists with */
    expect_in(text, "env PATH=/usr/bin:/bin\n");
    expect_in(text, "SigBlk:\t0000000000000000\n");
    /* 32 and 33 are the C library's own: no program can set them back. */
    if (!strstr(text, "SigIgn:\t0000000180000000\n"))
        expect_in(text, "SigIgn:\t0000000000000000\n");
    expect_in(text, "dir / session 1\n");
    expect_in(text, "status 0\n");
    assert_int_equal(remove_tree(dir), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_cut_and_longer),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_client_len),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_spawn),
    };

    if (argc == 2 && strcmp(argv[1], "--spawn") == 0)
        return spawn_main();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

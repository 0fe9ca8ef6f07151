/* SPDX-License-Identifier: MIT */
/*
 * test_http_request.c - one request: its body's limits, what it does to the
 * table, how it waits, and that nothing is left of one whose client went away.
 */
#include "http_help.h"

static void test_body(void **state)
{
    struct rig_answer a;
    char client[80];
    struct rig r;
    int fd;

    (void)state;
    up(&r, "body");
    fd = dial(&r);
    memset(client, 'c', sizeof(client));
    client[64] = '\0';
    a = ask(fd, "POST", 'a', client);
    expect(&a, 200, "new");
    client[64] = 'c';
    client[65] = '\0';
    a = ask(fd, "POST", 'b', client);
    expect(&a, 413, "");
    assert_has(a.body, "1 to 64 bytes");
    a = ask(fd, "POST", 'b', "");
    expect(&a, 400, "");
    assert_has(a.body, "1 to 64 bytes");
    a = ask(fd, "POST", 'b', "c"); /* the connection goes on */
    expect(&a, 200, "new");
    (void)close(fd);
    rig_down(&r);
    client[64] = '\0';
    assert_true(rig_is_stored(in_scratch("body"), 'a', client));
}

/* A body that is far too long is not read to its end. */
static void test_long_body(void **state)
{
    static char body[BODY_READ_MAX + 2];
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "long");
    fd = dial(&r);
    memset(body, 'x', BODY_READ_MAX);
    a = ask(fd, "POST", 'a', body);
    expect(&a, 413, "");
    a = ask(fd, "POST", 'a', "one"); /* it was read: the connection is good */
    expect(&a, 200, "new");
    body[BODY_READ_MAX] = 'x';
    a = ask(fd, "POST", 'b', body);
    expect(&a, 413, "");
    assert_string_equal(rig_header(&a, "Connection"), "close");
    (void)rig_ask(fd, "POST", rig_lock('c'), "one", "");
    a = rig_read(fd);
    assert_int_equal(a.status, 0);
    (void)close(fd);
    rig_down(&r);
    assert_false(rig_is_stored(in_scratch("long"), 'c', "one"));
}

/* In chunks its length is not known before: then it is not read to its end,
 * and nothing of what follows is carried out. */
static void test_long_chunks(void **state)
{
    static const char head[] = "POST /AAAAAAAAAAAAAAAAAAAAaA HTTP/1.1\r\n"
                               "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct rig_answer a;
    char chunk[600];
    struct rig r;
    int fd, len;

    (void)state;
    up(&r, "chunks");
    fd = dial(&r);
    assert_true(rig_send(fd, head, strlen(head)));
    len = snprintf(chunk, sizeof(chunk), "200\r\n%0512d\r\n", 7);
    for (int i = 0; i < BODY_READ_MAX / 512 + 1; i++)
        (void)rig_send(fd, chunk, (size_t)len);
    (void)rig_send(fd, "0\r\n\r\n", 5);
    (void)rig_ask(fd, "POST", rig_lock('b'), "one", "");
    a = rig_read(fd);
    assert_true(a.status == 0 || a.status == 413);
    a = rig_read(fd);
    assert_int_equal(a.status, 0);
    (void)close(fd);
    rig_down(&r);
    assert_false(rig_is_stored(in_scratch("chunks"), 'b', "one"));
}

/* Bytes that come one by one are one body; zero bytes are bytes. */
static void test_slow_body(void **state)
{
    static const char head[] = "POST /AAAAAAAAAAAAAAAAAAAAaA HTTP/1.1\r\n"
                               "Host: x\r\nContent-Length: 3\r\n\r\n";
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "slow");
    fd = dial(&r);
    for (const char *p = head; *p != '\0'; p++)
        assert_true(rig_send(fd, p, 1));
    assert_true(rig_send(fd, "o", 1));
    assert_true(rig_send(fd, "n", 1));
    assert_false(rig_is_answered(fd));
    assert_true(rig_send(fd, "e", 1));
    a = rig_read(fd);
    expect(&a, 200, "new");
    assert_true(rig_send(fd, head, strlen(head)));
    assert_true(rig_send(fd, "o\0e", 3));
    a = rig_read(fd);
    expect(&a, 409, "");
    (void)close(fd);
    rig_down(&r);
}

static void test_wait(void **state)
{
    int holder, first, second;
    struct rig_answer a;
    struct rig r;

    (void)state;
    up(&r, "wait");
    holder = dial(&r);
    first = dial(&r);
    second = dial(&r);
    a = ask(holder, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_true(
        rig_ask(first, "POST", rig_lock('a'), "two", "Justalock-Wait: 20\r\n"));
    await_waiters(holder, 1);
    assert_true(rig_ask(second, "POST", rig_lock('a'), "three",
                        "Justalock-Wait: 1\r\n"));
    await_waiters(holder, 2);
    a = rig_read(second); /* its time is over: refused, with who has it */
    expect(&a, 409, "");
    assert_false(rig_is_answered(first));
    a = ask(holder, "DELETE", 'a', "one");
    expect(&a, 200, "");
    a = rig_read(first);
    expect(&a, 200, "offered");
    a = ask(second, "POST", 'a', "three"); /* offered to another */
    expect(&a, 409, "");
    a = ask(first, "POST", 'a', "two");
    expect(&a, 200, "new");
    (void)close(holder);
    (void)close(first);
    (void)close(second);
    rig_down(&r);
}

/* Its client is gone: its place passes on, its memory goes. */
static void test_gone(void **state)
{
    enum { MANY = 20 };
    struct rig_answer a;
    int holder, fds[MANY];
    struct rig r;

    (void)state;
    up(&r, "gone");
    holder = dial(&r);
    a = ask(holder, "POST", 'a', "one");
    expect(&a, 200, "new");
    for (int i = 0; i < MANY; i++) {
        char client[16];

        fds[i] = dial(&r);
        (void)snprintf(client, sizeof(client), "w%d", i);
        assert_true(rig_ask(fds[i], "POST", rig_lock('a'), client,
                            "Justalock-Wait: 30\r\n"));
        await_waiters(holder, (unsigned)i + 1);
    }
    for (int i = 0; i < MANY - 1; i++)
        (void)close(fds[i]);
    a = ask(holder, "DELETE", 'a', "one");
    expect(&a, 200, "");
    /* Those who went have kept places of seconds; then it is the last one's
     * turn. */
    a = rig_read(fds[MANY - 1]);
    expect(&a, 200, "offered");
    a = ask(fds[MANY - 1], "POST", 'a', "w19");
    expect(&a, 200, "new");
    (void)close(fds[MANY - 1]);
    (void)close(holder);
    assert_int_equal(rig_stop(&r), JUSTALOCK_OK);
    assert_null(r.server->suspended);
    assert_null(r.server->pass);
    rig_down(&r);
}

/* Breaking is root's, at the unix socket. */
static void test_break(void **state)
{
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "break");
    fd = dial(&r);
    assert_true(
        rig_ask(fd, "POST", "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA/break", "", ""));
    a = rig_read(fd);
    expect(&a, geteuid() == 0 ? 404 : 403, "");
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_true(
        rig_ask(fd, "POST", "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA/break", "", ""));
    a = rig_read(fd);
    expect(&a, geteuid() == 0 ? 200 : 403, "");
    if (geteuid() == 0) {
        a = ask(fd, "POST", 'a', "one");
        expect(&a, 409, "broken");
        a = ask(fd, "POST", 'a', "two");
        expect(&a, 409, "");
        assert_int_equal(r.commits, 2); /* that it is broken outlasts us */
    }
    (void)close(fd);
    rig_down(&r);
}

static void test_unescape(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"/a%41b", "/aAb"},
        {"%7e%7E", "~~"},
        {"%00", "%00"},
        {"%0a%0D", "%0a%0D"},
        {"%20", "%20"},
        {"%7f%80%ff", "%7f%80%ff"},
        {"%", "%"},
        {"%4", "%4"},
        {"%4x%x4", "%4x%x4"},
        {"%%41", "%A"},
        {"%2541", "%41"},
        {"", ""},
        {"plain+text", "plain+text"},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        (void)snprintf(text, sizeof(text), "%s", cases[i].text);
        assert_int_equal(request_unescape(NULL, NULL, text),
                         strlen(cases[i].want));
        assert_string_equal(text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),        cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_long_chunks), cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_wait),        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_break),       cmocka_unit_test(test_unescape),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_http_conn.c - how many connections are let in, of all and of one
 * address, and which of them has to go: each limit at its edge.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../modules/server/http_conn.h"
#include "test.h"

#define ENDS 16

static struct conns cs;
static int here[ENDS], there[ENDS]; /* both ends, of this user */
static struct conn *open_ones[ENDS];
static int64_t now;

static int start(void **state)
{
    (void)state;
    cs = (struct conns){.all_max = 4, .each_max = 3};
    now = 1000000;
    for (int i = 0; i < ENDS; i++) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
            return -1;
        here[i] = fds[0];
        there[i] = fds[1];
        open_ones[i] = NULL;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (int i = 0; i < ENDS; i++) {
        conn_free(&cs, open_ones[i]);
        (void)close(here[i]);
        (void)close(there[i]);
    }
    assert_int_equal(cs.open, 0);
    assert_int_equal(cs.leaving, 0);
    conns_pass(&cs);
    assert_null(cs.addresses);
    conns_done(&cs);
    return 0;
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        ss.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        ss.ss_family = AF_INET6;
    return ss;
}

static char who[80];

static enum conn_verdict admit(const char *from)
{
    struct sockaddr_storage ss = address(from);

    return conns_admit(&cs, &ss, here[0], now, who, sizeof(who));
}

/* A whole connection, of this user. */
static enum conn_verdict come(int i)
{
    enum conn_verdict v = admit("us");

    if (v == CONN_WELCOME) {
        open_ones[i] = conn_new(&cs, here[i], now);
        assert_non_null(open_ones[i]);
    }
    conns_pass(&cs);
    return v;
}

static bool is_shut(int i)
{
    char c;

    return recv(there[i], &c, 1, 0) == 0;
}

static void go(int i)
{
    conn_free(&cs, open_ones[i]);
    open_ones[i] = NULL;
}

static void test_of_one(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(come(i), CONN_WELCOME);
    assert_int_equal(come(3), CONN_TOO_MANY_OF_ADDRESS);
    assert_memory_equal(who, "user ", 5);
    assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);
    assert_string_equal(who, "address 192.0.2.1");
    go(1);
    conns_pass(&cs);
    assert_int_equal(come(3), CONN_WELCOME);
    assert_int_equal(come(4), CONN_TOO_MANY_OF_ADDRESS);
}

/* Those that libmicrohttpd has not begun with count as well. */
static void test_coming(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);
    assert_int_equal(admit("192.0.2.1"), CONN_TOO_MANY_OF_ADDRESS);
    assert_int_equal(admit("::ffff:192.0.2.1"), CONN_TOO_MANY_OF_ADDRESS);
    assert_int_equal(admit("192.0.2.2"), CONN_WELCOME);
    assert_int_equal(admit("192.0.2.2"), CONN_TOO_MANY);
    conns_pass(&cs); /* none of them has come */
    assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);
}

static void test_one_address(void **state)
{
    (void)state;
    assert_int_equal(admit("127.0.0.1"), CONN_WELCOME);
    assert_int_equal(admit("127.0.0.2"), CONN_WELCOME);
    assert_int_equal(admit("127.9.9.9"), CONN_WELCOME);
    assert_string_equal(who, "address 127.0.0.0/8");
    assert_int_equal(admit("127.0.0.3"), CONN_TOO_MANY_OF_ADDRESS);
    conns_pass(&cs);
    assert_int_equal(admit("2001:db8::1"), CONN_WELCOME);
    assert_int_equal(admit("2001:db8::2"), CONN_WELCOME);
    assert_int_equal(admit("2001:db8:0:0:ffff::2"), CONN_WELCOME);
    assert_string_equal(who, "address 2001:db8::/64");
    assert_int_equal(admit("2001:db8::3"), CONN_TOO_MANY_OF_ADDRESS);
    assert_int_equal(admit("2001:db8:0:1::3"), CONN_WELCOME);
}

/* The oldest silent one makes room, and one that has asked does not. */
static void test_room(void **state)
{
    (void)state;
    cs.each_max = 9;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(come(i), CONN_WELCOME);
        now += 100;
    }
    conn_has_asked(&cs, open_ones[0]);
    assert_int_equal(come(4), CONN_TOO_MANY); /* none is silent for long */
    now += 699;                               /* the second: 999 ms */
    assert_int_equal(come(4), CONN_TOO_MANY);
    now++;
    assert_int_equal(come(4), CONN_WELCOME);
    assert_true(is_shut(1));
    assert_false(is_shut(0) || is_shut(2) || is_shut(3) || is_shut(4));
    assert_int_equal(come(5), CONN_TOO_MANY); /* its place is taken */
    go(1);
    assert_int_equal(come(5), CONN_TOO_MANY);
    go(0);
    assert_int_equal(come(5), CONN_WELCOME);
    for (int i = 2; i < 6; i++)
        conn_has_asked(&cs, open_ones[i]);
    now += 100000;
    assert_int_equal(come(6), CONN_TOO_MANY);
}

/* Who has few connections need not wait for those of who has many. */
static void test_room_of_many(void **state)
{
    (void)state;
    cs.each_max = 9;
    for (int i = 0; i < 4; i++)
        assert_int_equal(come(i), CONN_WELCOME);
    assert_int_equal(admit("us"), CONN_TOO_MANY);
    assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);  /* 4 against none */
    assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);  /* against one */
    assert_int_equal(admit("192.0.2.1"), CONN_WELCOME);  /* against two */
    assert_int_equal(admit("192.0.2.1"), CONN_TOO_MANY); /* against three */
    assert_true(is_shut(0) && is_shut(1) && is_shut(2));
    assert_false(is_shut(3));
}

static void test_silence(void **state)
{
    (void)state;
    assert_int_equal(conns_run(&cs, now), INT64_MAX);
    assert_int_equal(come(0), CONN_WELCOME);
    assert_int_equal(come(1), CONN_WELCOME);
    conn_has_asked(&cs, open_ones[0]);
    conn_has_asked(&cs, open_ones[0]);
    assert_int_equal(conns_run(&cs, now), now + SILENT_S * 1000);
    assert_int_equal(conns_run(&cs, now + SILENT_S * 1000 - 1),
                     now + SILENT_S * 1000);
    assert_false(is_shut(1));
    assert_int_equal(conns_run(&cs, now + SILENT_S * 1000), INT64_MAX);
    assert_true(is_shut(1));
    assert_false(is_shut(0));
    conn_has_asked(&cs, NULL);
    cs.all_max = 2;
    cs.each_max = 9;
    assert_int_equal(come(2), CONN_WELCOME); /* for the one that is leaving */
    assert_int_equal(come(3), CONN_TOO_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_one, start, stop),
        cmocka_unit_test_setup_teardown(test_coming, start, stop),
        cmocka_unit_test_setup_teardown(test_one_address, start, stop),
        cmocka_unit_test_setup_teardown(test_room, start, stop),
        cmocka_unit_test_setup_teardown(test_room_of_many, start, stop),
        cmocka_unit_test_setup_teardown(test_silence, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

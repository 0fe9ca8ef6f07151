/* SPDX-License-Identifier: MIT */
/*
 * test_cli_talk.c - messages between front and back: whole ones in order, none
 * yet, the other side gone, one that does not read, no socket.
 */
#include "test.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../modules/cli/talk.h"

static int ends[2];

static int open_ends(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            (void)close(ends[i]);
    return 0;
}

static void shut(int i)
{
    (void)close(ends[i]);
    ends[i] = -1;
}

static void they_come_in_order(void **state)
{
    struct talk t;

    (void)state;
    assert_int_equal(talk_recv(ends[1], &t), 0);
    assert_true(talk_send(ends[0], TALK_EXITED, 0));
    assert_true(talk_send(ends[0], TALK_ENDED, 255));
    assert_int_equal(talk_recv(ends[1], &t), 1);
    assert_int_equal(t.kind, TALK_EXITED);
    assert_int_equal(talk_recv(ends[1], &t), 1);
    assert_int_equal(t.kind, TALK_ENDED);
    assert_int_equal(t.value, 255);
    assert_int_equal(talk_recv(ends[1], &t), 0);
}

static void what_was_said_before_the_end_is_heard(void **state)
{
    struct talk t;

    (void)state;
    assert_true(talk_send(ends[0], TALK_ENDED, 3));
    shut(0);
    assert_int_equal(talk_recv(ends[1], &t), 1);
    assert_int_equal(t.value, 3);
    assert_int_equal(talk_recv(ends[1], &t), -1);
    assert_false(talk_send(ends[1], TALK_SIGNAL, 15));
}

static void a_short_message_is_none(void **state)
{
    struct talk t;

    (void)state;
    assert_int_equal(send(ends[0], "x", 1, 0), 1);
    assert_int_equal(talk_recv(ends[1], &t), -1);
}

static void one_that_does_not_read_stops_nobody(void **state)
{
    long n = 0;

    (void)state;
    (void)alarm(10); /* were it to block */
    while (n < 1000000 && talk_send(ends[0], TALK_SIGNAL, 1))
        n++;
    (void)alarm(0);
    assert_in_range(n, 1, 999999);
}

static void no_socket(void **state)
{
    struct talk t;

    (void)state;
    assert_false(talk_send(-1, TALK_SIGNAL, 1));
    assert_int_equal(talk_recv(-1, &t), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_ends, close_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_come_in_order),
        TEST(what_was_said_before_the_end_is_heard),
        TEST(a_short_message_is_none),
        TEST(one_that_does_not_read_stops_nobody),
        TEST(no_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

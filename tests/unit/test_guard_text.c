/* SPDX-License-Identifier: MIT */
/*
 * test_guard_text.c - texts that take memory only where there is one, and
 * services of which all work has the same copy; also without memory.
 */
#include "test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static void a_text_comes_and_goes(void **state)
{
    const char *text = text_none;
    long live = failing_live();

    (void)state;
    assert_true(text_set(&text, ""));
    assert_ptr_equal(text, text_none);
    assert_true(text_set(&text, "a,b"));
    assert_string_equal(text, "a,b");
    assert_true(text_set(&text, text + 2)); /* out of itself */
    assert_string_equal(text, "b");
    assert_int_equal(failing_live(), live + 1);
    assert_true(text_set(&text, ""));
    assert_ptr_equal(text, text_none);
    assert_int_equal(failing_live(), live);
    text_say(&text, "%s %d", "was", 1);
    text_say(&text, "%s, is %d", text, 2);
    assert_string_equal(text, "was 1, is 2");
    text_clear(&text);
    text_clear(&text);
    assert_ptr_equal(text, text_none);
    assert_int_equal(failing_live(), live);
}

static void as_long_as_may_be(void **state)
{
    const char *text = text_none;
    char list[WIRE_LIST_MAX + 1];

    (void)state;
    memset(list, 'x', sizeof(list) - 1);
    list[sizeof(list) - 1] = '\0';
    assert_true(text_set(&text, list));
    assert_string_equal(text, list);
    text_say(&text, "%s", list);
    assert_int_equal(strlen(text), WIRE_TEXT_MAX);
    text_clear(&text);
}

static void without_memory(void **state)
{
    const char *option = text_none, *loss = text_none;
    long live = failing_live();

    (void)state;
    assert_true(text_set(&option, "a"));
    failing_memory(0);
    assert_false(text_set(&option, "b"));
    assert_string_equal(option, "a"); /* as it was: never another list */
    failing_memory(0);
    text_say(&loss, "%s", "lost"); /* that there is one counts */
    assert_true(failing_came());
    assert_string_equal(loss, "(no memory for the reason)");
    failing_memory(-1);
    text_say(&loss, "%s", "lost");
    assert_string_equal(loss, "lost");
    failing_memory(0);
    text_say(&loss, "%s", "again");
    failing_memory(-1);
    text_clear(&loss);
    text_clear(&option);
    assert_int_equal(failing_live(), live);
}

static void one_copy_of_a_service(void **state)
{
    static struct keeper_service s, other[6];
    const struct keeper_service *a, *b;
    long live = failing_live();
    char *const field[] = {other[0].url,       other[1].ca_file,
                           other[2].cert_file, other[3].key_file,
                           other[4].token,     other[5].proxy};

    (void)state;
    memcpy(s.url, "http://h/", 10);
    a = service_use(&rig.g, &s);
    b = service_use(&rig.g, &s);
    assert_non_null(a);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, &s);
    assert_int_equal(failing_live(), live + 1);
    for (size_t i = 0; i < 6; i++) { /* nothing of it may differ */
        other[i] = s;
        memcpy(field[i], "else", 5);
        b = service_use(&rig.g, &other[i]);
        assert_ptr_not_equal(a, b);
        assert_memory_equal(b, &other[i], sizeof(s));
        service_drop(&rig.g, b);
        assert_int_equal(failing_live(), live + 1);
    }
    service_drop(&rig.g, a);
    assert_string_equal(a->url, "http://h/"); /* the other user's */
    service_drop(&rig.g, a);
    assert_int_equal(failing_live(), live);
    service_drop(&rig.g, NULL);
    failing_memory(0);
    assert_null(service_use(&rig.g, &s));
    failing_memory(-1);
    assert_null(rig.g.services);
}

/* A connection that was closed at once, for want of memory, is no answer. */
static bool is_let_go(int fd)
{
    static struct wire_msg m;
    struct justalock_error err;
    char data[WIRE_MAX];
    ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

    if (n <= 0)
        return false;
    assert_ok(wire_unpack(data, (size_t)n, &m, &err), err);
    return m.type == WIRE_VERDICT && m.verdict == WIRE_GO;
}

/* Whichever allocation fails: whoever asks for a list is never let go without
 * it, and the work never has another one. */
static void a_request_without_memory(void **state)
{
    (void)state;
    rig_keeper();
    rig.around = failing_pause;
    failing_pause(true);
    for (int kind = 0; kind < 2; kind++) {
        bool came = true;

        for (long n = 0; came && n < 64; n++) {
            const struct wire_msg *m =
                kind == 0 ? rig_command("a") : rig_job(WIRE_JOB_TASK, 7, "a");
            int fd = rig_dial();

            failing_memory(n);
            rig_say(fd, m);
            came = failing_came();
            failing_memory(-1);
            if (rig.g.works)
                assert_string_equal(rig.g.works->option, "a");
            else
                assert_false(is_let_go(fd));
            (void)close(fd);
            rig_turn();
            while (rig.g.works)
                work_remove(&rig.g, rig.g.works);
        }
        assert_false(came);
    }
    rig.around = NULL;
    failing_pause(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_text_comes_and_goes),    RIG_TEST(as_long_as_may_be),
        RIG_TEST(without_memory),           RIG_TEST(one_copy_of_a_service),
        RIG_TEST(a_request_without_memory),
    };

    return RIG_RUN(tests);
}

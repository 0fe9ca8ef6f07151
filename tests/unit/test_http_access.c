/* SPDX-License-Identifier: MIT */
/*
 * test_http_access.c - who is let in over TLS, by token or certificate, and
 * what each may do; and that what has no right changes nothing.
 */
#include "https_help.h"

#define LOCK  "/AAAAAAAAAAAAAAAAAAAAaA"
#define OTHER "/AAAAAAAAAAAAAAAAAAAAbA"
#define VIEW  "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA"
#define BREAK VIEW "/break"

static const char access_list[] =
    "{ \"clients\": {\n"
    "  \"all\": { \"token_sha256\": \"" ONE "\" },\n"
    "  \"one-lock\": { \"token_sha256\": \"" TWO "\",\n"
    "    \"locks\": [ \"id:AAAAAAAAAAAAAAAAAAAAaA\" ] },\n"
    "  \"by-cert\": { \"certificate\": \"node\", \"rights\": [\"look\"] }\n"
    "} }\n";

static const struct {
    const char *method, *target, *token, *certificate;
    int status;
} cases[] = {
    /* nobody */
    {"POST", LOCK, NULL, NULL, 401},
    {"GET", "/", NULL, NULL, 401},
    {"GET", "/metrics", NULL, NULL, 401},
    {"GET", "/v1/locks", NULL, NULL, 401},
    {"GET", "/healthz", NULL, NULL, 200},
    {"POST", LOCK, "Bearer three", NULL, 401},
    {"POST", LOCK, "Bearer ", NULL, 401},
    {"POST", LOCK, "Bearer one x", NULL, 401},
    {"POST", LOCK, "Basic one", NULL, 401},
    {"POST", LOCK, "Bearer", NULL, 401},
    {"POST", LOCK, "one", NULL, 401},
    {"POST", LOCK, NULL, "other", 401},  /* not on the list */
    {"POST", LOCK, NULL, "forged", 401}, /* by nobody we trust */
    {"GET", "/v1/locks", NULL, "forged", 401},
    /* a token that is wrong is not made good by a certificate */
    {"GET", "/v1/locks", "Bearer three", "node", 401},
    /* all locks, no right to break */
    {"POST", LOCK, "Bearer one", NULL, 200},
    {"POST", OTHER, "bearer one", NULL, 200},
    {"GET", VIEW, "Bearer one", NULL, 200},
    {"GET", "/v1/locks", "Bearer one", NULL, 200},
    {"POST", BREAK, "Bearer one", NULL, 403},
    {"DELETE", OTHER, "Bearer one", NULL, 200},
    /* one lock */
    {"POST", LOCK, "Bearer two", NULL, 200},
    {"GET", VIEW, "Bearer two", NULL, 200},
    {"POST", OTHER, "Bearer two", NULL, 403},
    {"GET", "/v1/locks", "Bearer two", NULL, 403},
    {"GET", "/", "Bearer two", NULL, 403},
    /* looks only */
    {"GET", "/v1/locks", NULL, "node", 200},
    {"GET", VIEW, NULL, "node", 200},
    {"GET", "/metrics", NULL, "node", 200},
    {"POST", LOCK, NULL, "node", 403},
    {"DELETE", LOCK, NULL, "node", 403},
    {"POST", BREAK, NULL, "node", 403},
};

static void test_who_may_what(void **state)
{
    struct rig r;

    (void)state;
    put_file("access", access_list);
    up_tls(&r, "may", true);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int status = https(&r, cases[i].method, cases[i].target, cases[i].token,
                           cases[i].certificate);

        if (status != cases[i].status)
            fail_msg("case %zu: %s %s, token %s, certificate %s: %d, not %d", i,
                     cases[i].method, cases[i].target,
                     cases[i].token ? cases[i].token : "none",
                     cases[i].certificate ? cases[i].certificate : "none",
                     status, cases[i].status);
    }
    rig_down(&r);
    assert_true(rig_is_stored(in_scratch("may"), 'a', "one"));
    assert_false(rig_is_stored(in_scratch("may"), 'b', "one"));
}

static void test_break(void **state)
{
    struct rig r;

    (void)state;
    put_file("access", "{ \"clients\": { \"a\": { \"token_sha256\": \"" ONE
                       "\", \"rights\": [\"break\", \"take\"], \"locks\": "
                       "[\"id:AAAAAAAAAAAAAAAAAAAAaA\"] } } }");
    up_tls(&r, "break", false);
    assert_int_equal(https(&r, "POST", BREAK, "Bearer one", NULL), 404);
    assert_int_equal(https(&r, "POST", LOCK, "Bearer one", NULL), 200);
    assert_int_equal(https(&r, "POST", BREAK, "Bearer one", NULL), 200);
    assert_int_equal(https(&r, "POST", LOCK, "Bearer one", NULL), 409);
    assert_int_equal(https(&r, "POST", "/v1/locks/AAAAAAAAAAAAAAAAAAAAbA/break",
                           "Bearer one", NULL),
                     403);
    rig_down(&r);
}

/* Without an authority for clients no certificate counts. */
static void test_no_client_ca(void **state)
{
    struct rig r;

    (void)state;
    put_file("access", access_list);
    up_tls(&r, "none", false);
    assert_int_equal(https(&r, "GET", "/v1/locks", NULL, "node"), 401);
    assert_int_equal(https(&r, "GET", "/v1/locks", "Bearer one", "node"), 200);
    rig_down(&r);
}

/* A plain connection is the host's own affair; what it says of itself in a
 * header gives it nothing. */
static void test_plain(void **state)
{
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "plain");
    fd = dial(&r);
    assert_true(
        rig_ask(fd, "POST", LOCK, "one", "Authorization: Bearer three\r\n"));
    a = rig_read(fd);
    expect(&a, 200, "new");
    (void)close(fd);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_what),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_no_client_ca),
        cmocka_unit_test(test_plain),
    };

    return cmocka_run_group_tests(tests, make_tls, scratch_remove);
}

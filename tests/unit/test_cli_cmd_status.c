/* SPDX-License-Identifier: MIT */
/*
 * test_cli_cmd_status.c - `justalock status` with the real keeper at a played
 * service: what it says of a lock in words and in JSON, whatever the service
 * has in its texts, and answers that are none or stop half way.
 */
#include "cli_no_memory.h"

#include "../lib/fake_service.h"
#include "../lib/own_home.h"

#define FEATURES "Justalock-Features: wait release token holder share\r\n"

static struct fake_service *service;
static struct fake_step answer; /* to the GET */
static char url[64];

static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    (void)arg;
    assert_string_equal(q->method, "GET");
    *s = answer;
}

static void shows(const char *json)
{
    memset(&answer, 0, sizeof(answer));
    answer.status = 200;
    (void)snprintf(answer.headers, sizeof(answer.headers), FEATURES);
    (void)snprintf(answer.body, sizeof(answer.body), "%s", json);
}

static void says(const char *json, const char *want)
{
    shows(json);
    assert_call(CLI_OK, cmd_status, "status", url, "a");
    assert_string_equal(said, want);
    assert_string_equal(said_err, "");
}

static void says_json(const char *json, const char *want)
{
    struct json_object *o;

    shows(json);
    assert_call(CLI_OK, cmd_status, "status", "--json", url, "a");
    assert_int_equal(call_json(&o), 1);
    assert_string_equal(said, want);
    (void)json_object_put(o);
}

static void a_free_lock(void **state)
{
    (void)state;
    says("{\"held\": false}", "a: free\n");
    says("{\"held\": false, \"waiters\": 1}", "a: free, offered to a waiter\n");
    says_json("{\"held\": false, \"waiters\": 2}",
              "{\"lock\":\"a\",\"state\":\"free\",\"waiters\":2}");
}

static void a_held_lock(void **state)
{
    static const char all[] =
        "{\"held\": true, \"holder\": \"job 7\", \"since\": "
        "\"2026-11-23T07:46:09Z\", \"token\": 18446744073709551615, "
        "\"expires_ms\": 41999, \"shares\": 2, \"waiters\": 3}";

    (void)state;
    says(all, "a: held by job 7 since 2026-11-23T07:46:09Z, token "
              "18446744073709551615, lease ends in 41 s unless refreshed, on "
              "2 hosts, 3 waiting\n");
    says_json(all, "{\"lock\":\"a\",\"state\":\"held\",\"holder\":\"job 7\","
                   "\"since\":\"2026-11-23T07:46:09Z\","
                   "\"token\":18446744073709551615,\"expires_ms\":41999,"
                   "\"shares\":2,\"waiters\":3}");
    says("{\"held\": true, \"shares\": 1, \"expires_ms\": 0}",
         "a: held by a client without a name, lease ends in 0 s unless "
         "refreshed, 0 waiting\n");
    says_json("{\"held\": true}",
              "{\"lock\":\"a\",\"state\":\"held\",\"holder\":\"\","
              "\"since\":\"\",\"shares\":0,\"waiters\":0}");
}

static void a_pool(void **state)
{
    static const char all[] =
        "{\"held\": true, \"slots\": 3, \"waiters\": 1, \"holders\": ["
        "{\"slot\": 0, \"holder\": \"x\", \"token\": 4}, "
        "{\"slot\": 2, \"holder\": \"y\", \"expires_ms\": 2000}]}";

    (void)state;
    says(all, "a: 2 of 3 slots held, 1 waiting\n"
              "  slot 0: held by x, token 4\n"
              "  slot 2: held by y, lease ends in 2 s unless refreshed\n");
    says_json(all, "{\"lock\":\"a\",\"state\":\"held\",\"holder\":\"x\","
                   "\"since\":\"\",\"token\":4,\"shares\":0,\"waiters\":1,"
                   "\"slots\":3,\"holders\":["
                   "{\"slot\":0,\"holder\":\"x\",\"since\":\"\",\"token\":4,"
                   "\"shares\":0},"
                   "{\"slot\":2,\"holder\":\"y\",\"since\":\"\","
                   "\"expires_ms\":2000,\"shares\":0}]}");
}

static void a_service_that_cannot_tell(void **state)
{
    (void)state;
    shows("");
    answer.status = 404;
    assert_call(CLI_OK, cmd_status, "status", url, "a");
    assert_string_equal(said, "a: the service cannot tell who holds a lock\n");
    assert_call(CLI_OK, cmd_status, "status", "--json", url, "a");
    assert_string_equal(said, "{\"lock\":\"a\",\"state\":\"unknown\"}\n");
}

/* Control characters of C0, DEL, C1; quotes; and more than there is room. */
static void its_texts_are_made_clean(void **state)
{
    static const char bad[] =
        "{\"held\": true, \"holder\": \"a\\u001b[2J\\u007f\\u009b\\\"\\n\", "
        "\"since\": \"\\r\\u0007\"}";
    char text[2048];

    (void)state;
    says(bad, "a: held by a?[2J???\"? since ??, 0 waiting\n");
    says_json(bad, "{\"lock\":\"a\",\"state\":\"held\",\"holder\":"
                   "\"a?[2J???\\\"?\",\"since\":\"??\",\"shares\":0,"
                   "\"waiters\":0}");
    (void)snprintf(text, sizeof(text),
                   "{\"held\": true, \"holder\": \"%0500d\"}", 0);
    says(text, "a: held by a client without a name, 0 waiting\n");
}

static void what_is_no_answer(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "{\"held\": tr",
        "[]",
        "{\"held\": 1}",
        "{\"held\": true, \"slots\": 3, \"holders\": [{}]}"};

    (void)state;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        shows(bodies[i]);
        assert_call(CLI_NET, cmd_status, "status", url, "a");
        assert_string_equal(said, "");
        assert_has(said_err, "justalock: a: ");
        assert_call(CLI_NET, cmd_status, "status", "--json", url, "a");
        assert_string_equal(said, "");
    }
    shows("HTTP/1.1 200 OK\r\n" FEATURES
          "Content-Length: 100\r\n\r\n{\"held\": false}");
    answer.way = FAKE_RAW;
    assert_call(CLI_NET, cmd_status, "status", url, "a");
    assert_string_equal(said, "");
    shows("");
    answer.status = 500;
    assert_call(CLI_NET, cmd_status, "status", url, "a");
    answer.status = 403;
    assert_call(CLI_DENIED, cmd_status, "status", url, "a");
    assert_call(CLI_NET, cmd_status, "status", "--url=http://127.0.0.1:9/",
                "a");
    assert_has(said_err, "justalock: a: ");
}

static void no_keeper(void **state)
{
    (void)state;
    shows("{\"held\": false}");
    own_home_keeper(NULL);
    assert_call(CLI_LOCAL, cmd_status, "status", url, "a");
    assert_has(said_err, "justalock-keeper");
    own_home_keeper("/bin/false");
    assert_call(CLI_LOCAL, cmd_status, "status", url, "a");
    assert_has(said_err, "justalock-keeper");
}

static void wrong_calls(void **state)
{
    (void)state;
    assert_call(CLI_USAGE, cmd_status, "status");
    assert_has(said_err, "it takes one name");
    assert_call(CLI_USAGE, cmd_status, "status", "a", "b");
    assert_call(CLI_USAGE, cmd_status, "status", "--nope", "a");
    assert_has(said_err, "justalock status --help");
    assert_call(CLI_USAGE, cmd_status, "status", "--url=ftp://x/", "a");
    assert_call(CLI_CONFIG, cmd_status, "status", "--config=/nope", "a");
    assert_call(CLI_USAGE, cmd_status, "status", url, "a\033[2J");
    assert_null(strchr(said_err, '\033'));
    assert_string_equal(said, "");
}

static void no_memory_is_said(void **state)
{
    int code = CLI_LOCAL;

    (void)state;
    shows("{\"held\": false}");
    for (no_memory_begin(); no_memory_next();) {
        code = call(cmd_status, "status", "--json", url, "a", (char *)NULL);
        if (code == CLI_OK) {
            assert_string_equal(said, "{\"lock\":\"a\",\"state\":\"free\","
                                      "\"waiters\":0}\n");
            continue;
        }
        assert_int_equal(code, CLI_LOCAL);
        assert_string_equal(said, "");
        assert_has(said_err, "justalock: ");
    }
    assert_int_equal(code, CLI_OK);
    assert_true(no_memory_at > 2);
}

static int down(void **state)
{
    (void)state;
    call_before = call_after = NULL;
    own_home_keeper("");
    return 0;
}

#define TEST(fn) cmocka_unit_test_teardown(fn, down)

static int begin(void **state)
{
    int fd;

    if (scratch_make(state) != 0)
        return -1;
    fd = call_file("conf.json");
    service = fake_start(serve, NULL);
    if (service == NULL || write(fd, "{}", 2) != 2 || close(fd) != 0)
        return -1;
    (void)snprintf(url, sizeof(url), "--url=http://127.0.0.1:%d/",
                   fake_port(service));
    own_home_keeper("");
    return setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1);
}

static int end(void **state)
{
    fake_stop(service);
    own_home_leave();
    return scratch_remove(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_lock),
        TEST(a_held_lock),
        TEST(a_pool),
        TEST(a_service_that_cannot_tell),
        TEST(its_texts_are_made_clean),
        TEST(what_is_no_answer),
        TEST(no_keeper),
        TEST(wrong_calls),
        TEST(no_memory_is_said),
    };

    (void)argc;
    own_home_enter(argv);
    return cmocka_run_group_tests(tests, begin, end);
}

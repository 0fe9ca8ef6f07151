/* SPDX-License-Identifier: MIT */
/*
 * test_transfer_easy.c - one request as libcurl sends it, without a hub: what
 * is asked, the bounds to the byte, what each end is called, and each
 * allocation fails. Answers come from a socket of the test's own.
 */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "scratch.h"
#include "transfer_inner.h"

#define LIMIT_MS 10000

/* Takes connections until stop(): sends `answer` once there is a request, as
 * long as `len` > 0; else it says nothing. */
static struct {
    int listener;
    pthread_t thread;
    const char *answer;
    size_t len;
    char asked[16384];
} peer;

static size_t read_request(int fd)
{
    size_t n = 0;
    ssize_t more = 1;

    while (more > 0 && n < sizeof(peer.asked) - 1) {
        const char *end = strstr(peer.asked, "\r\n\r\n");
        const char *body = strstr(peer.asked, "Content-Length: ");
        size_t want = body == NULL ? 0 : (size_t)atoi(body + 16);

        if (end != NULL && n >= (size_t)(end + 4 - peer.asked) + want)
            break;
        more = recv(fd, peer.asked + n, sizeof(peer.asked) - 1 - n, 0);
        n += more > 0 ? (size_t)more : 0;
    }
    return n;
}

static void *serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(peer.listener, NULL, NULL)) >= 0) {
        size_t at = 0;
        ssize_t n = 1;
        char c;

        memset(peer.asked, 0, sizeof(peer.asked));
        (void)read_request(fd);
        while (at < peer.len && n > 0) {
            n = send(fd, peer.answer + at, peer.len - at, MSG_NOSIGNAL);
            at += n > 0 ? (size_t)n : 0;
        }
        if (peer.len > 0)
            (void)shutdown(fd, SHUT_WR);
        while (recv(fd, &c, 1, 0) > 0)
            continue;
        (void)close(fd);
    }
    return NULL;
}

static int up(void **state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (scratch_make(state) != 0)
        return -1;
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", in_scratch("sock"));
    peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer.listener, (struct sockaddr *)&to, sizeof(to)),
                     0);
    assert_int_equal(listen(peer.listener, 16), 0);
    return pthread_create(&peer.thread, NULL, serve, NULL);
}

static int down(void **state)
{
    (void)shutdown(peer.listener, SHUT_RDWR);
    (void)pthread_join(peer.thread, NULL);
    (void)close(peer.listener);
    return scratch_remove(state);
}

static struct transfer t;
static struct transfer_answer got;

static void end(void)
{
    transfer_easy_done(&t);
    curl_easy_cleanup(t.easy);
}

static enum justalock_status begin(const struct transfer_request *q,
                                   struct justalock_error *err)
{
    struct transfer_request own = *q;

    if (!own.method)
        own.method = "GET";
    if (!own.url)
        own.url = "http://localhost/";
    if (!own.socket)
        own.socket = in_scratch("sock");
    memset(&t, 0, sizeof(t));
    t.limit_ms = own.limit_ms;
    t.easy = curl_easy_init();
    if (!t.easy)
        return error_nomem(err);
    return transfer_easy_init(&t, &own, err);
}

/* What comes of it; end() is to be called. */
static void send_it(const struct transfer_request *q)
{
    struct transfer_request own = *q;
    struct justalock_error err;

    if (own.limit_ms == 0)
        own.limit_ms = LIMIT_MS;
    assert_ok(begin(&own, &err), err);
    memset(&got, 0, sizeof(got));
    transfer_easy_answer(&t, curl_easy_perform(t.easy), &got);
}

static void answers(const char *text, size_t len)
{
    peer.answer = text;
    peer.len = len;
}

#define SMALL "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

/* ---- what is asked ---- */

static void limits_to_the_millisecond(void **state)
{
    static const int64_t bad[] = {INT64_MIN, -1, 0, TRANSFER_LIMIT_MAX + 1,
                                  INT64_MAX};
    static const int64_t good[] = {1, TRANSFER_LIMIT_MAX};
    struct justalock_error err;
    char number[32];

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct transfer_request q = {.limit_ms = bad[i]};

        assert_fails(begin(&q, &err), JUSTALOCK_ARG, err,
                     "may take 1 to 3600000 ms");
        (void)snprintf(number, sizeof(number), "not %lld", (long long)bad[i]);
        assert_has(err.text, number);
        end();
    }
    for (size_t i = 0; i < LENGTH(good); i++) {
        struct transfer_request q = {.limit_ms = good[i]};

        assert_ok(begin(&q, &err), err);
        end();
    }
}

static void what_is_sent(void **state)
{
    static char lines[TRANSFER_HEADERS_MAX][24];
    struct transfer_request q = {
        .method = "POST", .body = "a\0b", .body_len = 3};

    (void)state;
    answers(SMALL, sizeof(SMALL) - 1);
    for (size_t i = 0; i < TRANSFER_HEADERS_MAX; i++) {
        (void)snprintf(lines[i], sizeof(lines[i]), "X-%zu: v%zu", i, i);
        q.headers[i] = lines[i];
    }
    q.url = "http://localhost/a/../b?s=1";
    send_it(&q);
    assert_int_equal(got.status, JUSTALOCK_OK);
    assert_int_equal(got.http_status, 200);
    assert_string_equal(got.text, "");
    assert_string_equal(got.body, "hi");
    assert_int_equal(got.body_len, 2);
    assert_string_equal(got.head,
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(got.head_len, strlen(got.head));
    assert_has(peer.asked, "POST /a/../b?s=1 HTTP/1.1\r\n"); /* as it is */
    assert_has(peer.asked, "\r\nUser-Agent: justalock/");
    assert_has(peer.asked, "\r\nContent-Length: 3\r\n");
    assert_has(peer.asked, "\r\nContent-Type: application/octet-stream\r\n");
    assert_null(strstr(peer.asked, "Expect"));
    for (size_t i = 0; i < TRANSFER_HEADERS_MAX; i++)
        assert_has(peer.asked, lines[i]);
    assert_memory_equal(strstr(peer.asked, "\r\n\r\n") + 4, "a\0b", 3);
    end();
    q = (struct transfer_request){.method = "DELETE"};
    send_it(&q);
    assert_has(peer.asked, "DELETE / HTTP/1.1\r\n");
    assert_has(peer.asked, "\r\nContent-Length: 0\r\n");
    assert_null(strstr(peer.asked, "application/octet-stream"));
    end();
    q = (struct transfer_request){.method = "GET"};
    send_it(&q);
    assert_has(peer.asked, "GET / HTTP/1.1\r\n");
    assert_null(strstr(peer.asked, "Content-"));
    end();
    /* A long one, for which libcurl would ask leave. */
    q = (struct transfer_request){.method = "POST", .body_len = 1100000};
    q.body = calloc(1, q.body_len);
    assert_non_null(q.body);
    send_it(&q);
    assert_int_equal(got.status, JUSTALOCK_OK);
    assert_null(strstr(peer.asked, "Expect"));
    end();
    free((void *)(uintptr_t)q.body);
}

/* Nothing but HTTP, whatever is asked for. */
static void other_protocols(void **state)
{
    static const char *const urls[] = {"file:///etc/hostname", "ftp://h/",
                                       "gopher://h/", "x://h/"};

    (void)state;
    for (size_t i = 0; i < LENGTH(urls); i++) {
        struct transfer_request q = {.url = urls[i]};

        send_it(&q);
        assert_int_equal(got.status, JUSTALOCK_PROTO);
        assert_string_not_equal(got.text, "");
        assert_int_equal(got.http_status, 0);
        assert_null(got.body);
        end();
    }
}

/* ---- the bounds of an answer ---- */

/* heads of `head` bytes, the last of them a 200, before a body of `body`. */
static char *made(size_t head, size_t body, bool in_many, size_t *ret_len)
{
    static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nX: ";
    static const char first[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *text = malloc(head + body + 1);
    size_t at = 0;

    assert_non_null(text);
    while (in_many && at + 2000 < head) {
        memcpy(text + at, first, sizeof(first) - 1);
        at += sizeof(first) - 1;
    }
    memcpy(text + at, last, sizeof(last) - 1);
    memset(text + at + sizeof(last) - 1, 'x', head - at - sizeof(last) + 1);
    memcpy(text + head - 4, "\r\n\r\n", 4);
    memset(text + head, 'b', body);
    *ret_len = head + body;
    return text;
}

static void bounds_to_the_byte(void **state)
{
    static const struct {
        size_t head, body, answer_max;
        bool in_many, is_good;
    } cases[] = {
        {TRANSFER_HEAD_MAX, 10, 0, false, true},
        {TRANSFER_HEAD_MAX + 1, 10, 0, false, false},
        {TRANSFER_HEAD_MAX, 10, 0, true, true},
        {TRANSFER_HEAD_MAX + 1, 10, 0, true, false},
        {1000, TRANSFER_BODY_MAX, 0, false, true},
        {1000, TRANSFER_BODY_MAX + 1, 0, false, false},
        {1000, 7, 7, false, true},
        {1000, 8, 7, false, false},
        {1000, TRANSFER_BODY_MAX * 4, TRANSFER_BODY_MAX * 4, false, true},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct transfer_request q = {.answer_max = cases[i].answer_max};
        size_t len;
        char *text = made(cases[i].head, cases[i].body, cases[i].in_many, &len);

        answers(text, len);
        send_it(&q);
        if (cases[i].is_good) {
            if (got.status != JUSTALOCK_OK)
                fail_msg("%zu: %s", i, got.text);
            assert_int_equal(got.http_status, 200);
            assert_int_equal(got.body_len, cases[i].body);
            assert_memory_equal(got.head, "HTTP/1.1 200 OK", 15);
        } else {
            if (got.status != JUSTALOCK_PROTO)
                fail_msg("%zu: %d %s", i, (int)got.status, got.text);
            assert_string_equal(got.text, "the answer is too long");
            assert_null(got.body);
            assert_int_equal(got.http_status, 0);
        }
        end();
        free(text);
    }
}

/* 0 would mean to libcurl: as long as you like. */
static void a_name_that_came_too_late(void **state)
{
    static struct name name = {
        .host = "h.test", .port = "80", .addrs = "127.0.0.1,[::1]"};
    static const int64_t left[] = {0, -1, INT64_MIN};
    struct transfer_request q = {.limit_ms = LIMIT_MS};
    struct justalock_error err;

    (void)state;
    answers(NULL, 0);
    for (size_t i = 0; i < LENGTH(left); i++) {
        int64_t start = clock_raw_ms();

        assert_ok(begin(&q, &err), err);
        assert_int_equal(transfer_easy_place(&t, &name, left[i]), JUSTALOCK_OK);
        assert_string_equal(t.places->data, "h.test:80:127.0.0.1,[::1]");
        assert_null(t.places->next);
        memset(&got, 0, sizeof(got));
        transfer_easy_answer(&t, curl_easy_perform(t.easy), &got);
        assert_true(clock_raw_ms() - start < LIMIT_MS / 2);
        assert_int_equal(got.status, JUSTALOCK_NET);
        assert_string_equal(got.text, "no answer within 10000 ms");
        end();
    }
    /* As long as may be. */
    memset(name.host, 'h', NAME_HOST_MAX);
    memset(name.addrs, '1', NAME_ADDRS_MAX);
    (void)snprintf(name.port, sizeof(name.port), "65535");
    assert_ok(begin(&q, &err), err);
    assert_int_equal(transfer_easy_place(&t, &name, 1000), JUSTALOCK_OK);
    assert_int_equal(strlen(t.places->data),
                     NAME_HOST_MAX + 7 + NAME_ADDRS_MAX);
    end();
}

/* ---- what an end is called ---- */

static void expect_end(CURLcode code, enum justalock_status status,
                       const char *text)
{
    memset(&got, 0, sizeof(got));
    transfer_easy_answer(&t, code, &got);
    assert_int_equal(got.status, status);
    assert_string_equal(got.text, text);
    assert_null(got.head);
    assert_int_equal(got.http_status, 0);
}

static void ends_have_names(void **state)
{
    static struct name name = {.host = "h.test"};
    struct transfer_request q = {.limit_ms = 4711};
    struct justalock_error err;
    char text[160];

    (void)state;
    assert_ok(begin(&q, &err), err);
    expect_end(CURLE_OPERATION_TIMEDOUT, JUSTALOCK_NET,
               "no answer within 4711 ms");
    (void)snprintf(text, sizeof(text), "connect to %s failed",
                   in_scratch("sock"));
    expect_end(CURLE_COULDNT_CONNECT, JUSTALOCK_NET, text);
    t.is_socket = false;
    expect_end(CURLE_COULDNT_CONNECT, JUSTALOCK_NET,
               curl_easy_strerror(CURLE_COULDNT_CONNECT));
    expect_end(CURLE_URL_MALFORMAT, JUSTALOCK_PROTO,
               curl_easy_strerror(CURLE_URL_MALFORMAT));
    (void)snprintf(t.error, sizeof(t.error), "why it was");
    expect_end(CURLE_WEIRD_SERVER_REPLY, JUSTALOCK_PROTO, "why it was");
    expect_end(CURLE_BAD_CONTENT_ENCODING, JUSTALOCK_PROTO, "why it was");
    expect_end(CURLE_UNSUPPORTED_PROTOCOL, JUSTALOCK_PROTO, "why it was");
    expect_end(CURLE_GOT_NOTHING, JUSTALOCK_NET, "why it was");
    expect_end(CURLE_PEER_FAILED_VERIFICATION, JUSTALOCK_NET, "why it was");
    expect_end(CURLE_OUT_OF_MEMORY, JUSTALOCK_NOMEM, "no memory");
    /* It never came to libcurl: its name is what there was to wait for. */
    t.name = &name;
    expect_end(CURLE_OPERATION_TIMEDOUT, JUSTALOCK_NET, "why it was");
    t.name = NULL;
    end();
    /* Nothing has come: empty, not absent. */
    assert_ok(begin(&q, &err), err);
    memset(&got, 0, sizeof(got));
    transfer_easy_answer(&t, CURLE_OK, &got);
    assert_int_equal(got.status, JUSTALOCK_OK);
    assert_string_equal(got.head, "");
    assert_string_equal(got.body, "");
    assert_int_equal(got.head_len + got.body_len, 0);
    end();
}

/* ---- no memory ---- */

static bool all_of_it(void *arg)
{
    static const struct name name = {
        .host = "h", .port = "80", .addrs = "127.0.0.1"};
    struct transfer_request q = {.method = "POST",
                                 .body = "x",
                                 .body_len = 1,
                                 .limit_ms = LIMIT_MS,
                                 .headers = {"X-A: b"}};
    struct justalock_error err;
    bool good;

    (void)arg;
    good = begin(&q, &err) == JUSTALOCK_OK;
    if (!good && err.status != JUSTALOCK_NOMEM)
        fail_msg("%d: %s", (int)err.status, err.text);
    if (good)
        good = transfer_easy_place(&t, &name, LIMIT_MS) == JUSTALOCK_OK;
    if (good) {
        memset(&got, 0, sizeof(got));
        transfer_easy_answer(&t, curl_easy_perform(t.easy), &got);
        good = got.status == JUSTALOCK_OK;
        if (!good && got.status != JUSTALOCK_NOMEM)
            fail_msg("%d: %s", (int)got.status, got.text);
        if (!good)
            assert_string_equal(got.text, "no memory");
    }
    end();
    return good;
}

/* One that is too long is not one for which there was no memory. */
static void no_memory(void **state)
{
    (void)state;
    answers(SMALL, sizeof(SMALL) - 1);
    fail_alloc_only_ours(true); /* libcurl's own ends differ by version */
    assert_in_range(fail_alloc_each(all_of_it, NULL), 2, 20);
    fail_alloc_only_ours(false);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_to_the_millisecond),
        TEST(what_is_sent),
        TEST(other_protocols),
        TEST(bounds_to_the_byte),
        TEST(a_name_that_came_too_late),
        TEST(ends_have_names),
        TEST(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_url.c - where a service is: the forms of one server and of a
 * proxy, several as a text or a list, and how long all of them may be.
 */
#include "config_help.h"

static void url_is(const char *json, const char *expected)
{
    struct config *c;
    char text[1400];

    (void)snprintf(text, sizeof(text), "\"url\": %s", json);
    c = take(of_service(text));
    assert_string_equal(c->service.url, expected);
    config_free(c);
}

static void url_is_not(const char *json, const char *part)
{
    char text[1400];

    (void)snprintf(text, sizeof(text), "\"url\": %s", json);
    refuse(of_service(text), part);
    assert_has(report, "f.json:1:21: ");
}

static void one_server(void **state)
{
    static const char *const good[] = {"http://h",
                                       "https://h/",
                                       "http://h:7171/locks/",
                                       "http://[::1]:80",
                                       "unix:/run/x.sock",

                                       "HTTP://h",
                                       "https://justalock.dev/"};
    static const char *const bad[] = {
        "h",           "http:/h",         "http://h/a?b", "http://",
        "http:///x",   "https://",        "ftp://h/",     "unix:",
        "unix:run",    " http://h",       "unix:/",       "http://h /x",
        "http://h\\n", "http://\xc3\xa4/"};
    char json[80];

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        (void)snprintf(json, sizeof(json), "\"%s\"", good[i]);
        url_is(json, good[i]);
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        (void)snprintf(json, sizeof(json), "\"%s\"", bad[i]);
        url_is_not(json, "service.url: ");
    }
    url_is_not("\"http://u:p@h/\"",
               "no user or password may be in it; a token");
    url_is_not("\"https://u@h/\"", "no user or password");
    url_is_not("\"\"", "0 bytes are not within 1 and 511");
}

static void several(void **state)
{
    (void)state;
    url_is("\"http://a,http://b/\"", "http://a,http://b/");
    url_is("[\"http://a\", \"http://b\", \"unix:/s\"]",
           "http://a,http://b,unix:/s");
    url_is("[\"https://a\"]", "https://a");
    refuse(of_service("\"url\": []"), "service.url: must be one server at");
    refuse(of_service("\"url\": [\"http://a\", \"\"]"), "0 bytes");
    refuse(of_service("\"url\": [\"http://a\", [\"http://b\"]]"), "must be");
    refuse(of_service("\"url\": [\"http://a\", \"ftp://b\"]"), "ftp://b");
    refuse(of_service("\"url\": [\"http://a,http://b\"]"),
           "one server without a comma");
    refuse(of_service("\"url\": \"http://a,,http://b\""), "service.url: ");
    refuse(of_service("\"url\": \",http://b\""), "service.url: ");
    refuse(of_service("\"url\": \"http://a,http://a\""), "named twice");
    refuse(of_service("\"url\": [\"http://a\", \"http://u@b\"]"), "user");
    refuse(of_service("\"url\": [\"http://a\", \"https://b\"]"),
           "all over https");
}

/* 511 bytes with their commas, however they are given. */
static void as_long_as_may_be(void **state)
{
    char a[300], b[300], json[1400], expected[700];

    (void)state;
    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    memcpy(a, "http://", 7);
    memcpy(b, "http://", 7);
    a[255] = '\0';
    for (int more = 0; more < 2; more++) {
        b[255 + more] = '\0';
        (void)snprintf(expected, sizeof(expected), "%s,%s", a, b);
        assert_int_equal(strlen(expected), 511 + more);
        (void)snprintf(json, sizeof(json), "[\"%s\", \"%s\"]", a, b);
        if (more == 0)
            url_is(json, expected);
        else
            url_is_not(json, "all of them 511 bytes at most");
        (void)snprintf(json, sizeof(json), "\"%s\"", expected);
        if (more == 0)
            url_is(json, expected);
        else
            url_is_not(json, "512 bytes are not within 1 and 511");
        b[255 + more] = 'b';
    }
}

static void proxy(void **state)
{
    static const char *const good[] = {"http://p", "https://p:3128",
                                       "socks5://p", "socks5h://p:1080/",
                                       "http://u:p@p"};
    static const char *const bad[] = {"p:3128",   "socks4://p", "http://",
                                      "http:///", "socks5h://", "http://p q"};
    char text[80];

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        struct config *c;

        (void)snprintf(text, sizeof(text), "\"proxy\": \"%s\"", good[i]);
        c = take(of_service(text));
        assert_string_equal(c->service.proxy, good[i]);
        config_free(c);
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        (void)snprintf(text, sizeof(text), "\"proxy\": \"%s\"", bad[i]);
        refuse(of_service(text), "service.proxy: must be http://..., https");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server),
        cmocka_unit_test(several),
        cmocka_unit_test(as_long_as_may_be),
        cmocka_unit_test(proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_urls.c - the url of a service that may have several servers.
 */
#include "test.h"

#include "urls.h"

static void test_good(void **state)
{
    static const char *const good[] = {
        "https://justalock.dev/",
        "http://head:7171/",
        "HTTP://[::1]:7171",
        "unix:/run/justalock/server.sock",
        "http://a:7171,http://b:7171,http://c:7171",
        "https://a/,https://b/x/",
        "unix:/run/a.sock,unix:/run/b.sock",
        "unix:/run/a.sock,http://b:7171",
        "http://a:1,http://a:2",
        "http://a:65535/x",
        "https://[fe80::1]/",
        "unix:/A,unix:/a",
        ("http://1,http://2,http://3,http://4,http://5,http://6,http://7,"
         "http://8"),
    };
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++)
        assert_ok(urls_check(good[i], &err), err);
}

static void test_bad(void **state)
{
    static const struct {
        const char *urls;
        const char *part;
    } bad[] = {
        {"", "is not http://HOST"},
        {"ftp://a", "is not http://HOST"},
        {"http://a,b:7171", "\"b:7171\" is not"},
        {"http://a,", "missing"},
        {",http://a", "missing"},
        {"http://a,,http://b", "missing"},
        {"http://a, http://b", "\" http://b\" is not"},
        {"http://a:7171,http://b,http://A:7171/", "named twice"},
        {"unix:/a,unix:/a", "named twice"},
        {"http://a,http://b,https://c", "https"},
        {"https://a,unix:/b,http://c", "https"},
        {"http://a,http://u@b", "no user"},
        {"http://u:secret@b", "url: no user or password may be in it"},
        {"http://a/?q", "no query"},
        {"http://a/#f", "no query"},
        {"http://a b", "no query"},
        {"http://a\x7f", "no query"},
        {"http://a:0", "port within 1 and 65535"},
        {"http://a:65536/", "port within 1 and 65535"},
        {"http://a:", "port within 1 and 65535"},
        {"http://a:x/", "port within 1 and 65535"},
        {"http://a:1x", "port within 1 and 65535"},
        {"http://a:000001", "port within 1 and 65535"},
        {"http://::1:7171", "IPv6 address stands within"},
        {"http://fe80::1", "IPv6 address stands within"},
        {"http://[::1:7171", "within [ and ]"},
        {"http://[]:7171", "within [ and ]"},
        {"http://[::1]7171", "port within 1 and 65535"},
        {"unix:", "a path from / on"},
        {"unix:run/x", "a path from / on"},
        {"unix:/", "a path from / on"},
        {"unix:/a\nb", "printable"},
        {"https://a,https://justalock.dev/", "a service of its own"},
        {"https://eu.JustALock.dev.:443/,https://a", "a service of its own"},
        {"http://1,http://2,http://3,http://4,http://5,http://6,http://7,"
         "http://8,http://9",
         "9 servers, at most 8"},
    };
    struct justalock_error err;
    char text[URLS_LEN + 2];

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_fails(urls_check(bad[i].urls, &err), JUSTALOCK_ARG, err,
                     bad[i].part);
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://", 7);
    text[URLS_LEN] = '\0';
    assert_ok(urls_check(text, &err), err);
    text[URLS_LEN] = 'a';
    text[URLS_LEN + 1] = '\0';
    assert_fails(urls_check(text, &err), JUSTALOCK_ARG, err, "at most 511");
}

static void test_walk(void **state)
{
    const char *at = "http://a,unix:/s,unix:/t";
    char url[URLS_LEN + 1];

    (void)state;
    assert_int_equal(urls_count(at), 3);
    assert_true(urls_next(&at, url));
    assert_string_equal(url, "http://a");
    assert_true(urls_next(&at, url));
    assert_string_equal(url, "unix:/s");
    assert_true(urls_next(&at, url));
    assert_string_equal(url, "unix:/t");
    assert_false(urls_next(&at, url));
    at = "http://a,unix:/s,unix:/t";
    assert_true(urls_next_socket(&at, url));
    assert_string_equal(url, "/s");
    assert_true(urls_next_socket(&at, url));
    assert_string_equal(url, "/t");
    assert_false(urls_next_socket(&at, url));
    at = "http://a";
    assert_false(urls_next_socket(&at, url));
}

static void test_kinds(void **state)
{
    (void)state;
    assert_true(urls_has_public("https://justalock.dev"));
    assert_true(urls_has_public("http://a,https://x.justalock.dev:443/"));
    assert_false(urls_has_public("https://notjustalock.dev"));
    assert_true(urls_is_near("http://head,unix:/s,http://127.0.0.1:1"));
    assert_false(urls_is_near("http://head,http://b.example.org"));
    /* A name without a domain is a machine of one's own, but another one. */
    assert_true(urls_is_clear("http://head"));
    assert_true(urls_is_clear("http://localhost,http://b.example.org"));
    assert_false(urls_is_clear("http://LocalHost:80/,http://127.0.0.9"));
    assert_false(urls_is_clear("https://b.example.org,unix:/s"));
    assert_true(urls_is_clear("http://localhost2"));
    assert_true(urls_is_near("http://[::1]:8080"));
    assert_false(urls_is_near("http://[2001:db8::1]:8080"));
    assert_false(urls_is_near("http://127.example.org"));
    assert_true(urls_is_clear("http://[2001:db8::1]:8080"));
    assert_true(urls_is_clear("http://127.example.org"));
    assert_false(urls_is_clear("http://[::1]"));
    assert_false(urls_is_mixed("unix:/a,unix:/b"));
    assert_false(urls_is_mixed("http://a,http://b"));
    assert_true(urls_is_mixed("http://a,unix:/b"));
}

static void test_same(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"http://a", "http://a/", true},
        {"http://a:1/", "HTTP://A:1", true},
        {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/A", false},
        {"http://a", "https://a", false},
        {"http://a", "http://ab", false},
        {"http://a,http://b", "http://a/,http://B", true},
        {"http://a,http://b", "http://b,http://a", false},
        {"http://a,http://b", "http://a", false},
        {"http://a", "http://a,http://b", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (urls_are_same(cases[i].a, cases[i].b) != cases[i].same)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_walk), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

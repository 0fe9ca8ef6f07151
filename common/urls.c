/* SPDX-License-Identifier: MIT */
/*
 * urls.c - the url of a lock service: one server, or several of one service.
 */
#include "urls.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UNIX_PATH_MAX 107 /* sun_path without its NUL */

bool urls_next(const char **at, char ret_url[URLS_LEN + 1])
{
    size_t len;
    size_t kept;

    if (!*at)
        return false;
    len = strcspn(*at, ",");
    kept = len < URLS_LEN ? len : URLS_LEN;
    memcpy(ret_url, *at, kept);
    ret_url[kept] = '\0';
    *at = (*at)[len] == ',' ? *at + len + 1 : NULL;
    return true;
}

size_t urls_count(const char *urls)
{
    size_t n = 1;

    for (; *urls; urls++)
        n += *urls == ',';
    return n;
}

/* ---- one ---- */

static bool is_unix(const char *url)
{
    return strncmp(url, URLS_UNIX, strlen(URLS_UNIX)) == 0;
}

static bool is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            return false;
    return true;
}

/* The host of a url: where it begins, and its length; 0: none. */
static size_t url_host(const char *url, const char **ret_host)
{
    const char *host = strstr(url, "://");

    if (host == NULL)
        return 0;
    *ret_host = host + 3;
    if (host[3] == '[') {
        size_t len = strcspn(host + 3, "]/");

        return len + (host[3 + len] == ']');
    }
    return strcspn(host + 3, ":/?#");
}

/* What follows the host: nothing, or a port, and then perhaps a path. */
static bool is_port_and_path(const char *rest)
{
    size_t digits;
    long port;

    if (rest[0] != ':')
        return rest[0] == '\0' || rest[0] == '/';
    digits = strspn(++rest, "0123456789");
    if (digits < 1 || digits > 5 || (rest[digits] && rest[digits] != '/'))
        return false;
    port = strtol(rest, NULL, 10);
    return port >= 1 && port <= 65535;
}

static enum justalock_status check_host(const char *url,
                                        struct justalock_error *err)
{
    const char *host = "";
    size_t len = url_host(url, &host);

    if (host[0] == '[' && (len < 4 || host[len - 1] != ']'))
        return error_set(err, JUSTALOCK_ARG,
                         "url: %s: an IPv6 address is due within [ and ]", url);
    if (is_port_and_path(host + len))
        return JUSTALOCK_OK;
    return error_set(err, JUSTALOCK_ARG,
                     "url: %s: after the host a port within 1 and 65535 or a "
                     "path is due; an IPv6 address stands within [ and ]",
                     url);
}

static enum justalock_status check_one(const char *url,
                                       struct justalock_error *err)
{
    const char *rest = NULL;

    if (is_unix(url)) {
        const char *path = url + strlen(URLS_UNIX);

        if (path[0] != '/' || path[1] == '\0' || strlen(path) > UNIX_PATH_MAX ||
            !is_printable(path))
            return error_set(err, JUSTALOCK_ARG,
                             "url: %s: a path from / on of 2 to %d printable "
                             "bytes is due after unix:",
                             url, UNIX_PATH_MAX);
        return JUSTALOCK_OK;
    }
    if (is_http(url))
        rest = url + 7;
    else if (is_https(url))
        rest = url + 8;
    if (!rest || rest[0] == '\0' || rest[0] == '/')
        return error_set(err, JUSTALOCK_ARG,
                         "url: \"%s\" is not http://HOST, https://HOST or "
                         "unix:/PATH",
                         url);
    if (strchr(rest, '@'))
        return error_set(err, JUSTALOCK_ARG,
                         "url: no user or password may be in it; a token is "
                         "read from a file (token_file)");
    if (strpbrk(rest, "?# \\") || !is_printable(rest))
        return error_set(err, JUSTALOCK_ARG,
                         "url: %s: no query, fragment, space or backslash may "
                         "be in it",
                         url);
    return check_host(url, err);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len &&
           strncasecmp(text + len - end_len, end, end_len) == 0;
}

static bool is_public(const char *url)
{
    const char *host = "";
    size_t len = url_host(url, &host);

    if (len > 0 && host[len - 1] == '.')
        len--;
    return ends_with(host, len, ".justalock.dev") ||
           (len == strlen("justalock.dev") &&
            ends_with(host, len, "justalock.dev"));
}

/* 127. and digits: a name may begin so, too. */
static bool is_loopback4(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (host[i] != '.' && (host[i] < '0' || host[i] > '9'))
            return false;
    return strncmp(host, "127.", 4) == 0;
}

static bool is_this_host(const char *url)
{
    const char *host = "";
    size_t len = url_host(url, &host);

    return len == 0 || is_loopback4(host, len) ||
           (len == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (len == 9 && strncasecmp(host, "localhost", 9) == 0);
}

static bool is_near(const char *url)
{
    const char *host = "";
    size_t len = url_host(url, &host);

    /* No dot is in most addresses of version 6. */
    return is_this_host(url) ||
           (host[0] != '[' && memchr(host, '.', len) == NULL);
}

/* ---- several ---- */

static size_t bare_len(const char *url)
{
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    return len;
}

static bool is_same(const char *a, const char *b)
{
    size_t len = bare_len(a);

    if (len != bare_len(b))
        return false;
    return is_unix(a) ? memcmp(a, b, len) == 0 : strncasecmp(a, b, len) == 0;
}

/* url, after which `rest` is to come. */
static enum justalock_status check_beside(const char *url, const char *rest,
                                          struct justalock_error *err)
{
    char other[URLS_LEN + 1];

    while (urls_next(&rest, other)) {
        if (is_same(url, other))
            return error_set(err, JUSTALOCK_ARG, "url: %s is named twice", url);
        if ((is_http(url) && is_https(other)) ||
            (is_https(url) && is_http(other)))
            return error_set(err, JUSTALOCK_ARG,
                             "url: %.90s beside %.90s: all over https or none",
                             url, other);
    }
    return JUSTALOCK_OK;
}

enum justalock_status urls_check(const char *urls, struct justalock_error *err)
{
    size_t count = urls_count(urls);
    enum justalock_status st = JUSTALOCK_OK;
    char url[URLS_LEN + 1];

    if (strlen(urls) > URLS_LEN)
        return error_set(err, JUSTALOCK_ARG, "url: %zu bytes, at most %d",
                         strlen(urls), URLS_LEN);
    if (count > URLS_MAX)
        return error_set(err, JUSTALOCK_ARG, "url: %zu servers, at most %d",
                         count, URLS_MAX);
    while (st == JUSTALOCK_OK && urls_next(&urls, url)) {
        if (count > 1 && url[0] == '\0')
            return error_set(err, JUSTALOCK_ARG,
                             "url: a server is missing before or after a "
                             "comma");
        st = check_one(url, err);
        if (st == JUSTALOCK_OK && count > 1 && is_public(url))
            return error_set(err, JUSTALOCK_ARG,
                             "url: %s is a service of its own, not one of "
                             "several servers",
                             url);
        if (st == JUSTALOCK_OK)
            st = check_beside(url, urls, err);
    }
    return st;
}

bool urls_has_public(const char *urls)
{
    char url[URLS_LEN + 1];

    while (urls_next(&urls, url))
        if (is_public(url))
            return true;
    return false;
}

bool urls_are_same(const char *a, const char *b)
{
    char one[URLS_LEN + 1], other[URLS_LEN + 1];

    while (urls_next(&a, one))
        if (!urls_next(&b, other) || !is_same(one, other))
            return false;
    return !urls_next(&b, other);
}

bool urls_is_near(const char *urls)
{
    char url[URLS_LEN + 1];

    while (urls_next(&urls, url))
        if (!is_near(url))
            return false;
    return true;
}

bool urls_is_clear(const char *urls)
{
    char url[URLS_LEN + 1];

    while (urls_next(&urls, url))
        if (is_http(url) && !is_this_host(url))
            return true;
    return false;
}

bool urls_is_mixed(const char *urls)
{
    char url[URLS_LEN + 1];
    bool has_socket = false;
    bool has_host = false;

    while (urls_next(&urls, url)) {
        has_socket |= is_unix(url);
        has_host |= !is_unix(url);
    }
    return has_socket && has_host;
}

bool urls_next_socket(const char **at, char ret_path[URLS_LEN + 1])
{
    while (urls_next(at, ret_path)) {
        if (!is_unix(ret_path))
            continue;
        memmove(ret_path, ret_path + strlen(URLS_UNIX),
                strlen(ret_path) - strlen(URLS_UNIX) + 1);
        return true;
    }
    return false;
}

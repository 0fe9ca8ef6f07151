/* SPDX-License-Identifier: MIT */
/*
 * request_guard.c - strict checks of a request's head, see request_guard.h.
 * Source of the rules: RFC 9112 sections 2.2, 3.2, 5, 6; RFC 9110 5.5, 5.6.2.
 */
#include "request_guard.h"

#include <string.h>
#include <strings.h>

static bool is_token(const char *s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        bool alnum = (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
                     (*s >= 'A' && *s <= 'Z');

        if (!alnum && strchr(others, *s) == NULL)
            return false;
    }
    return true;
}

/* Visible characters, spaces, tabs, and bytes above ASCII. */
static bool is_field_value(const char *s)
{
    for (; *s != '\0'; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

static bool is_digits(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len <= 9 && strspn(s, "0123456789") == len;
}

/*
 * libmicrohttpd 0.9.75 glues a folded line to the name: "Content-Length:\r\n 2"
 * becomes the header "Content-Length2" and no length at all, so that it would
 * read the body as the next request. No header that matters here has a name
 * that begins with another's.
 */
static bool is_folded(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding",
                                        "Origin",         "Justalock-Share",
                                        "Justalock-Wait", "Justalock-Label"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);

        if (strncasecmp(name, names[i], len) == 0 && name[len] != '\0')
            return true;
    }
    return false;
}

static void refuse(struct request_guard *g, const char *why)
{
    if (g->why == NULL)
        g->why = why;
}

void guard_header(struct request_guard *g, const char *name, const char *value)
{
    const char *v = value == NULL ? "" : value;

    if (++g->headers > GUARD_HEADERS_MAX)
        refuse(g, "too many headers");
    if (!is_token(name))
        refuse(g, "a header's name is not a token");
    if (is_folded(name))
        refuse(g, "a header is folded");
    if (!is_field_value(v))
        refuse(g, "a header's value has control characters");
    if (strcasecmp(name, "Host") == 0) {
        g->hosts++;
        if (*v == '\0' || strpbrk(v, " \t,/@") != NULL)
            refuse(g, "Host is not a host");
    } else if (strcasecmp(name, "Content-Length") == 0) {
        g->lengths++;
        if (!is_digits(v))
            refuse(g, "Content-Length is not a number");
        else
            for (g->length = 0; *v != '\0'; v++)
                g->length = g->length * 10 + (size_t)(*v - '0');
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        g->codings++;
        if (strcasecmp(v, "chunked") != 0)
            refuse(g, "the only Transfer-Encoding is chunked");
    }
}

const char *guard_end(const struct request_guard *g, const char *version,
                      const char *url)
{
    bool is_11 = strcmp(version, "HTTP/1.1") == 0;

    if (g->why != NULL)
        return g->why;
    if (!is_11 && strcmp(version, "HTTP/1.0") != 0)
        return "the version is neither HTTP/1.1 nor HTTP/1.0";
    if (g->hosts > 1 || (is_11 && g->hosts == 0))
        return "Host must be given once";
    if (g->lengths > 1)
        return "Content-Length must not be repeated";
    if (g->codings > 1)
        return "Transfer-Encoding must not be repeated";
    if (g->codings > 0 && (g->lengths > 0 || !is_11))
        return "Transfer-Encoding beside Content-Length, or in HTTP/1.0";
    if (url[0] != '/' || strlen(url) > GUARD_URL_MAX)
        return "the target is not a path, or too long";
    if (!is_field_value(url))
        return "the target has control characters";
    return NULL;
}

const char *guard_body(const struct request_guard *g, size_t body_len)
{
    if (g->lengths > 0 && g->length != body_len)
        return "the body is not as long as Content-Length says";
    if (g->codings > 0 && body_len == 0)
        return "a chunked body of no bytes";
    return NULL;
}

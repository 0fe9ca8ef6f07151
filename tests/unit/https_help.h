/* SPDX-License-Identifier: MIT */
/*
 * https_help.h - for the tests of http*.c over TLS: a server with
 * certificates of its own, and clients (libcurl) with a token, a certificate,
 * or neither.
 */
#ifndef TESTS_UNIT_HTTPS_HELP_H
#define TESTS_UNIT_HTTPS_HELP_H

#include <curl/curl.h>

#include "../lib/make_certs.h"
#include "http_help.h"

/* SHA-256 of "one", "two". */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

static inline void put_file(const char *name, const char *text)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_scratch(name), 0600), 0);
}

/* The authority "ca", a server by it, clients "node" and "other" by it, and
 * one "node" by another. */
static inline int make_tls(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    return certs_make(in_scratch("ca"), "ca", CERTS_AUTHORITY, NULL) &&
                   certs_make(in_scratch("ca2"), "ca2", CERTS_AUTHORITY,
                              NULL) &&
                   certs_make(in_scratch("srv"), "srv", CERTS_SERVER,
                              in_scratch("ca")) &&
                   certs_make(in_scratch("node"), "node", CERTS_CLIENT,
                              in_scratch("ca")) &&
                   certs_make(in_scratch("other"), "other", CERTS_CLIENT,
                              in_scratch("ca")) &&
                   certs_make(in_scratch("forged"), "node", CERTS_CLIENT,
                              in_scratch("ca2"))
               ? 0
               : -1;
}

static inline struct server_options tls_options(bool has_client_ca)
{
    static char cert[128], key[128], ca[128], access[128];

    (void)snprintf(cert, sizeof(cert), "%s/srv.pem", scratch);
    (void)snprintf(key, sizeof(key), "%s/srv.key", scratch);
    (void)snprintf(ca, sizeof(ca), "%s/ca.pem", scratch);
    (void)snprintf(access, sizeof(access), "%s/access", scratch);
    return (struct server_options){
        .tls = {cert, key, has_client_ca ? ca : NULL}, .access = access};
}

static inline void up_tls(struct rig *r, const char *name, bool has_client_ca)
{
    struct server_options o = tls_options(has_client_ca);
    struct justalock_error err;

    assert_ok(rig_up(r, in_scratch(name), &o, &err), err);
}

static inline size_t drop_body(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

/* The status, 0 where there is no answer. token, certificate may be NULL. */
static inline int https(const struct rig *r, const char *method,
                        const char *target, const char *token,
                        const char *certificate)
{
    struct curl_slist *lines = NULL;
    char url[128], line[128], cert[128], key[128];
    CURL *c = curl_easy_init();
    long status = 0;

    assert_non_null(c);
    (void)snprintf(url, sizeof(url), "https://localhost%s", target);
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, r->socket);
    (void)curl_easy_setopt(c, CURLOPT_CAINFO, in_scratch("ca.pem"));
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "GET") != 0)
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, "one");
    if (token != NULL) {
        (void)snprintf(line, sizeof(line), "Authorization: %s", token);
        lines = curl_slist_append(NULL, line);
        (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, lines);
    }
    if (certificate != NULL) {
        (void)snprintf(cert, sizeof(cert), "%s/%s.pem", scratch, certificate);
        (void)snprintf(key, sizeof(key), "%s/%s.key", scratch, certificate);
        (void)curl_easy_setopt(c, CURLOPT_SSLCERT, cert);
        (void)curl_easy_setopt(c, CURLOPT_SSLKEY, key);
    }
    if (curl_easy_perform(c) == CURLE_OK)
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(lines);
    curl_easy_cleanup(c);
    return (int)status;
}

#endif

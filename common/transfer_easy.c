/* SPDX-License-Identifier: MIT */
/*
 * transfer_easy.c - what one request asks of libcurl, and what came of it:
 * no redirects, no environment, verified peers, bounded answers. Begins and
 * ends nothing.
 */
#include "transfer_inner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S 10L
#define KEEPALIVE_S      5L
#define USER_AGENT       "justalock/" JUSTALOCK_VERSION

/* CURLOPT_QUICK_EXIT, by number as it is younger than the headers that we
 * compile against: do not wait for the lookup of a proxy's name. All other
 * names are transfer_name.c's. */
#define QUICK_EXIT       ((CURLoption)(CURLOPTTYPE_LONG + 322))
#define QUICK_EXIT_SINCE 0x075700

/* Returns len, or 0, and libcurl ends the request: too long, or no memory. */
static size_t keep(struct transfer *t, struct buf *b, const char *data,
                   size_t len)
{
    t->is_too_long = len > b->max - b->len;
    buf_add(b, data, len);
    return b->failed ? 0 : len;
}

static size_t on_head(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * n;

    /* Each answer begins anew: of "100 Continue" and the like nothing stays. */
    if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0)
        buf_reset(&t->head);
    t->head_all += len;
    if (t->head_all > TRANSFER_HEAD_MAX) {
        t->is_too_long = true;
        return 0;
    }
    return keep(t, &t->head, data, len);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    return keep(t, &t->body, data, size * n);
}

/* A child that lived on with the connection would keep our place in a queue
 * after our death. libcurl itself asks for no SOCK_CLOEXEC. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *at)
{
    (void)arg;
    (void)purpose;
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

static bool is_set(const char *text)
{
    return text && text[0] != '\0';
}

/* The first failure stays. */
static void set_long(CURLcode *rc, CURL *easy, CURLoption option, long value)
{
    if (*rc == CURLE_OK)
        *rc = curl_easy_setopt(easy, option, value);
}

static void set_text(CURLcode *rc, CURL *easy, CURLoption option,
                     const char *value)
{
    if (*rc == CURLE_OK)
        *rc = curl_easy_setopt(easy, option, value);
}

/* Where to, and how whoever is there proves who it is. */
static CURLcode set_place(CURL *easy, const struct transfer_request *r)
{
    CURLcode rc = CURLE_OK;

    set_text(&rc, easy, CURLOPT_URL, r->url);
#if LIBCURL_VERSION_NUM >= 0x075500
    set_text(&rc, easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    set_long(&rc, easy, CURLOPT_PROTOCOLS,
             (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    set_long(&rc, easy, CURLOPT_PATH_AS_IS, 1L);
    set_long(&rc, easy, CURLOPT_FOLLOWLOCATION, 0L);
    set_long(&rc, easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    /* "" also keeps libcurl from looking into the environment. */
    set_text(&rc, easy, CURLOPT_PROXY, is_set(r->proxy) ? r->proxy : "");
    set_text(&rc, easy, CURLOPT_NOPROXY, is_set(r->proxy) ? "" : "*");
    set_long(&rc, easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set_long(&rc, easy, CURLOPT_SSL_VERIFYPEER, 1L);
    set_long(&rc, easy, CURLOPT_SSL_VERIFYHOST, 2L);
    set_long(&rc, easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (is_set(r->socket))
        set_text(&rc, easy, CURLOPT_UNIX_SOCKET_PATH, r->socket);
    if (is_set(r->ca_file)) {
        set_text(&rc, easy, CURLOPT_CAINFO, r->ca_file);
        set_text(&rc, easy, CURLOPT_CAPATH, NULL); /* these and no others */
    }
    if (is_set(r->cert_file))
        set_text(&rc, easy, CURLOPT_SSLCERT, r->cert_file);
    if (is_set(r->key_file))
        set_text(&rc, easy, CURLOPT_SSLKEY, r->key_file);
    return rc;
}

static CURLcode set_message(CURL *easy, const struct transfer_request *r,
                            struct transfer *t)
{
    CURLcode rc = CURLE_OK;

    if (strcmp(r->method, "GET") == 0) {
        set_long(&rc, easy, CURLOPT_HTTPGET, 1L);
    } else {
        set_long(&rc, easy, CURLOPT_POST, 1L);
        set_long(&rc, easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
        if (rc == CURLE_OK)
            rc = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
                                  r->body_len > 0 ? r->body : "");
        if (strcmp(r->method, "POST") != 0)
            set_text(&rc, easy, CURLOPT_CUSTOMREQUEST, r->method);
    }
    set_long(&rc, easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set_text(&rc, easy, CURLOPT_USERAGENT, USER_AGENT);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    return rc;
}

static CURLcode set_bounds(CURL *easy, const struct transfer_request *r,
                           struct transfer *t)
{
    CURLcode rc = CURLE_OK;
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

    set_long(&rc, easy, CURLOPT_NOSIGNAL, 1L);
    set_long(&rc, easy, CURLOPT_TIMEOUT_MS, (long)r->limit_ms);
    set_long(&rc, easy, CURLOPT_CONNECTTIMEOUT_MS, (long)r->limit_ms);
    set_long(&rc, easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set_long(&rc, easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_long(&rc, easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    set_long(&rc, easy, CURLOPT_FRESH_CONNECT, r->fresh ? 1L : 0L);
    if (v->version_num >= QUICK_EXIT_SINCE)
        (void)curl_easy_setopt(easy, QUICK_EXIT, 1L); /* else it would hang */
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    return rc;
}

static bool add_header(struct transfer *t, const char *line)
{
    struct curl_slist *more = curl_slist_append(t->headers, line);

    if (!more)
        return false;
    t->headers = more;
    return true;
}

static bool add_headers(struct transfer *t, const struct transfer_request *r)
{
    /* Expect would cost a round trip; libcurl's form type is not what we
     * send. */
    if (!add_header(t, "Expect:") ||
        (r->body_len > 0 &&
         !add_header(t, "Content-Type: application/octet-stream")))
        return false;
    for (size_t i = 0; i < TRANSFER_HEADERS_MAX && r->headers[i]; i++)
        if (!add_header(t, r->headers[i]))
            return false;
    return true;
}

enum justalock_status transfer_easy_init(struct transfer *t,
                                         const struct transfer_request *request,
                                         struct justalock_error *err)
{
    CURLcode rc;

    buf_init(&t->head, TRANSFER_HEAD_MAX);
    buf_init(&t->body,
             request->answer_max > 0 ? request->answer_max : TRANSFER_BODY_MAX);
    if (request->limit_ms < 1 || request->limit_ms > TRANSFER_LIMIT_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "a request may take 1 to %lld ms, not %" PRId64,
                         TRANSFER_LIMIT_MAX, request->limit_ms);
    if (!add_headers(t, request))
        return error_nomem(err);
    t->is_socket = is_set(request->socket);
    if (t->is_socket)
        (void)snprintf(t->socket, sizeof(t->socket), "%s", request->socket);
    rc = set_place(t->easy, request);
    if (rc == CURLE_OK)
        rc = set_message(t->easy, request, t);
    if (rc == CURLE_OK)
        rc = set_bounds(t->easy, request, t);
    if (rc == CURLE_OUT_OF_MEMORY)
        return error_nomem(err);
    if (rc != CURLE_OK)
        return error_set(err, JUSTALOCK_ARG, "libcurl: %s",
                         curl_easy_strerror(rc));
    return JUSTALOCK_OK;
}

enum justalock_status transfer_easy_place(struct transfer *t,
                                          const struct name *name,
                                          int64_t left_ms)
{
    char text[NAME_HOST_MAX + NAME_ADDRS_MAX + 16];
    CURLcode rc;

    (void)snprintf(text, sizeof(text), "%s:%s:%s", name->host, name->port,
                   name->addrs);
    t->places = curl_slist_append(NULL, text);
    if (!t->places)
        return JUSTALOCK_NOMEM;
    rc = curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->places);
    set_long(&rc, t->easy, CURLOPT_TIMEOUT_MS,
             left_ms < 1 ? 1L : (long)left_ms);
    return rc == CURLE_OK ? JUSTALOCK_OK : JUSTALOCK_NOMEM;
}

void transfer_easy_done(struct transfer *t)
{
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->places);
    buf_done(&t->head);
    buf_done(&t->body);
}

static enum justalock_status status_of(const struct transfer *t, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return JUSTALOCK_OK;
    case CURLE_OUT_OF_MEMORY:
        return JUSTALOCK_NOMEM;
    case CURLE_WRITE_ERROR: /* we refused it */
        return t->is_too_long ? JUSTALOCK_PROTO : JUSTALOCK_NOMEM;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return JUSTALOCK_PROTO;
    default:
        return JUSTALOCK_NET;
    }
}

/* libcurl names the host and port of the URL, which say nothing then. */
static void socket_trouble(const struct transfer *t,
                           struct justalock_error *ret)
{
    long number = 0;

    if (curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number) != CURLE_OK ||
        number <= 0)
        (void)error_set(ret, JUSTALOCK_NET, "connect to %s failed", t->socket);
    else if (number == EACCES)
        (void)error_set(ret, JUSTALOCK_NET, "connect to %s as user %u: %s",
                        t->socket, (unsigned)geteuid(), strerror(EACCES));
    else
        (void)error_sys(ret, (int)number, "connect to %s", t->socket);
}

void transfer_easy_answer(const struct transfer *t, CURLcode code,
                          struct transfer_answer *ret_answer)
{
    struct justalock_error why = {.text = ""};
    long http = 0;

    ret_answer->status = status_of(t, code);
    if (code == CURLE_OPERATION_TIMEDOUT && !t->name)
        (void)error_set(&why, JUSTALOCK_NET, "no answer within %" PRId64 " ms",
                        t->limit_ms);
    else if (ret_answer->status == JUSTALOCK_NOMEM)
        (void)error_nomem(&why);
    else if (code == CURLE_WRITE_ERROR)
        (void)error_set(&why, JUSTALOCK_PROTO, "the answer is too long");
    else if (code == CURLE_COULDNT_CONNECT && t->is_socket)
        socket_trouble(t, &why);
    else if (code != CURLE_OK)
        (void)error_set(&why, ret_answer->status, "%s",
                        t->error[0] ? t->error : curl_easy_strerror(code));
    memcpy(ret_answer->text, why.text, sizeof(ret_answer->text));
    if (code != CURLE_OK)
        return;
    if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &http) == CURLE_OK)
        ret_answer->http_status = (int)http;
    ret_answer->head = t->head.data ? t->head.data : "";
    ret_answer->head_len = t->head.len;
    ret_answer->body = t->body.data ? t->body.data : "";
    ret_answer->body_len = t->body.len;
}

/* SPDX-License-Identifier: MIT */
/*
 * lock_options.c - the options of justalock.h: each value is checked when it
 * is set. Opens no connection, reads no file but the token's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lock.h"
#include "urls.h"

#define DEFAULT_URL    "https://justalock.dev/"
#define DEFAULT_LIFE_S 60 /* as in the Python client */

enum justalock_status justalock_options_new(
    struct justalock_options **ret_options, struct justalock_error *err)
{
    struct justalock_options *o = calloc(1, sizeof(*o));

    if (!o)
        return error_nomem(err);
    memcpy(o->service.url, DEFAULT_URL, sizeof(DEFAULT_URL));
    o->times.life_s = DEFAULT_LIFE_S;
    /* Nobody is ended here: the lease is tried for until it is over. */
    o->times.grace_ms = 1;
    o->times.kill_ms = 1;
    o->slots = 1;
    *ret_options = o;
    return JUSTALOCK_OK;
}

void justalock_options_free(struct justalock_options *options)
{
    if (!options)
        return;
    explicit_bzero(options, sizeof(*options)); /* client id and token */
    free(options);
}

enum justalock_status
justalock_options_client_id(struct justalock_options *options, const void *data,
                            size_t len, struct justalock_error *err)
{
    if (!data) {
        options->client_len = 0;
        return JUSTALOCK_OK;
    }
    if (len < 1 || len > JUSTALOCK_CLIENT_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "client id: %zu bytes are not within 1 and %d", len,
                         JUSTALOCK_CLIENT_MAX);
    memcpy(options->client, data, len);
    options->client_len = len;
    return JUSTALOCK_OK;
}

enum justalock_status
justalock_options_lifetime_s(struct justalock_options *options,
                             unsigned lifetime_s, struct justalock_error *err)
{
    if (lifetime_s < JUSTALOCK_LIFE_MIN_S || lifetime_s > JUSTALOCK_LIFE_MAX_S)
        return error_set(
            err, JUSTALOCK_ARG, "lifetime: %u is not within %d and %d seconds",
            lifetime_s, JUSTALOCK_LIFE_MIN_S, JUSTALOCK_LIFE_MAX_S);
    options->times.life_s = lifetime_s;
    return JUSTALOCK_OK;
}

enum justalock_status justalock_options_slots(struct justalock_options *options,
                                              unsigned slots,
                                              struct justalock_error *err)
{
    if (slots < 1 || slots > JUSTALOCK_SLOTS_MAX)
        return error_set(err, JUSTALOCK_ARG, "slots: %u is not within 1 and %d",
                         slots, JUSTALOCK_SLOTS_MAX);
    options->slots = slots;
    return JUSTALOCK_OK;
}

enum justalock_status
justalock_options_refresh_ms(struct justalock_options *options,
                             int64_t refresh_ms, struct justalock_error *err)
{
    if (refresh_ms < 0)
        return error_set(err, JUSTALOCK_ARG,
                         "refresh interval: %lld ms is below 0",
                         (long long)refresh_ms);
    options->times.refresh_ms = refresh_ms;
    return JUSTALOCK_OK;
}

/* Copy a text of at most size - 1 bytes; NULL: "". */
static enum justalock_status set_text(char *to, size_t size, const char *text,
                                      const char *what,
                                      struct justalock_error *err)
{
    size_t len = text ? strnlen(text, size) : 0;

    if (len >= size)
        return error_set(err, JUSTALOCK_ARG, "%s: more than %zu bytes", what,
                         size - 1);
    if (len > 0)
        memcpy(to, text, len);
    to[len] = '\0';
    return JUSTALOCK_OK;
}

static bool is_printable(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return true;
}

enum justalock_status justalock_options_url(struct justalock_options *options,
                                            const char *url,
                                            struct justalock_error *err)
{
    if (urls_check(url, err) != JUSTALOCK_OK)
        return JUSTALOCK_ARG;
    return set_text(options->service.url, sizeof(options->service.url), url,
                    "url", err);
}

enum justalock_status justalock_options_label(struct justalock_options *options,
                                              const char *label,
                                              struct justalock_error *err)
{
    if (!is_printable(label, strlen(label)))
        return error_set(err, JUSTALOCK_ARG,
                         "label: not all of it is printable ASCII");
    return set_text(options->label, sizeof(options->label), label, "label",
                    err);
}

enum justalock_status justalock_options_tls_files(
    struct justalock_options *options, const char *ca_file,
    const char *cert_file, const char *key_file, struct justalock_error *err)
{
    struct keeper_service s = options->service;
    enum justalock_status st;

    if (!cert_file != !key_file)
        return error_set(err, JUSTALOCK_ARG,
                         "certificate and key are only used together");
    st = set_text(s.ca_file, sizeof(s.ca_file), ca_file, "ca file", err);
    if (st == JUSTALOCK_OK)
        st = set_text(s.cert_file, sizeof(s.cert_file), cert_file,
                      "certificate file", err);
    if (st == JUSTALOCK_OK)
        st =
            set_text(s.key_file, sizeof(s.key_file), key_file, "key file", err);
    if (st == JUSTALOCK_OK)
        options->service = s;
    return st;
}

/* At most `size` bytes of a file; what is longer fills the buffer. */
static enum justalock_status read_file(const char *path, char *data,
                                       size_t size, size_t *ret_len,
                                       struct justalock_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum justalock_status st = JUSTALOCK_OK;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0)
        return error_sys(err, errno, "token file %s", path);
    while (n > 0 && len < size) {
        n = read(fd, data + len, size - len);
        if (n > 0)
            len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    if (n < 0)
        st = error_sys(err, errno, "token file %s", path);
    else
        *ret_len = len;
    (void)close(fd); /* only read from */
    return st;
}

enum justalock_status
justalock_options_token_file(struct justalock_options *options,
                             const char *path, struct justalock_error *err)
{
    char data[BEARER_MAX + 3]; /* its line's end, and one too many */
    enum justalock_status st;
    size_t len = 0;

    if (!path) {
        options->service.token[0] = '\0';
        return JUSTALOCK_OK;
    }
    st = read_file(path, data, sizeof(data), &len, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (!bearer_parse(data, len, options->service.token))
        st = error_set(err, JUSTALOCK_ARG,
                       "token file %s: not one line of 1 to %d printable "
                       "characters",
                       path, BEARER_MAX);
    explicit_bzero(data, sizeof(data));
    return st;
}

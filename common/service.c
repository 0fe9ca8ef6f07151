/* SPDX-License-Identifier: MIT */
/*
 * service.c - the lock protocol: requests built, answers read. Pure; the JSON
 * of a view is service_view.c's.
 */
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "parse.h"
#include "urls.h"

#define VALUE_MAX   256 /* bytes of a header's value that we look at */
#define RETRY_MAX_S 86400

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            return false;
    return true;
}

/* ---- what may be asked ---- */

enum justalock_status service_check(const struct keeper_service *s,
                                    struct justalock_error *err)
{
    enum justalock_status st = urls_check(s->url, err);

    if (st != JUSTALOCK_OK)
        return st;
    if (!is_printable(s->token) || strchr(s->token, ' '))
        return error_set(err, JUSTALOCK_ARG,
                         "the service's token has bytes that are not "
                         "printable");
    return JUSTALOCK_OK;
}

enum justalock_status service_check_lock(const struct keeper_lock *lock,
                                         struct justalock_error *err)
{
    if (lock->client_len < 1 || lock->client_len > JUSTALOCK_CLIENT_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "client id: %zu bytes are not within 1 and %d",
                         lock->client_len, JUSTALOCK_CLIENT_MAX);
    if (lock->share[0] == '\0' ||
        strspn(lock->share, "0123456789abcdefABCDEF") != strlen(lock->share))
        return error_set(err, JUSTALOCK_ARG,
                         "share: 1 to %d hex digits are due", KEEPER_SHARE_LEN);
    if (!is_printable(lock->label))
        return error_set(err, JUSTALOCK_ARG, "label: not printable ASCII");
    if (lock->slots > JUSTALOCK_SLOTS_MAX)
        return error_set(err, JUSTALOCK_ARG, "slots: %u is above %d",
                         lock->slots, JUSTALOCK_SLOTS_MAX);
    if (lock->slot > 0 && lock->slot >= JUSTALOCK_SLOTS_MAX)
        return error_set(err, JUSTALOCK_ARG, "slot: %u is not below %d",
                         lock->slot, JUSTALOCK_SLOTS_MAX);
    return JUSTALOCK_OK;
}

/* ---- requests ---- */

static void put_url(const struct keeper_service *service, const char *path,
                    const char *query, struct service_request *r)
{
    const char *base = service->url;
    size_t len;

    if (strncmp(base, URLS_UNIX, strlen(URLS_UNIX)) == 0) {
        r->request.socket = base + strlen(URLS_UNIX);
        base = "http://localhost";
    }
    len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    /* Never cut: the room is that of the longest url and 64 for the rest. */
    (void)snprintf(r->url, sizeof(r->url), "%.*s/%s%s", (int)len, base, path,
                   query);
    r->request.url = r->url;
}

static void put_header(struct service_request *r, const char *line)
{
    size_t n = 0;

    while (r->request.headers[n])
        n++;
    r->request.headers[n] = line; /* at most five of TRANSFER_HEADERS_MAX */
}

static void put_headers(const struct keeper_service *service,
                        const struct keeper_lock *lock, enum service_call call,
                        unsigned wait_s, struct service_request *r)
{
    if (service->token[0] != '\0') {
        (void)snprintf(r->token, sizeof(r->token), "Authorization: Bearer %s",
                       service->token);
        put_header(r, r->token);
    }
    if (call == SERVICE_VIEW)
        return;
    (void)snprintf(r->share, sizeof(r->share), "Justalock-Share: %s",
                   lock->share);
    put_header(r, r->share);
    if (lock->label[0] != '\0' && call != SERVICE_DELETE) {
        (void)snprintf(r->label, sizeof(r->label), "Justalock-Label: %s",
                       lock->label);
        put_header(r, r->label);
    }
    if (lock->slots > 1 && !lock->slot_has_id && call != SERVICE_DELETE) {
        (void)snprintf(r->slots, sizeof(r->slots), "Justalock-Slots: %u",
                       lock->slots);
        put_header(r, r->slots);
    }
    if (call == SERVICE_WAIT) {
        (void)snprintf(r->wait, sizeof(r->wait), "Justalock-Wait: %u", wait_s);
        put_header(r, r->wait);
    }
}

void service_build(const struct keeper_service *service,
                   const struct keeper_lock *lock, enum service_call call,
                   unsigned wait_s, struct service_request *ret_request)
{
    static const char *const methods[] = {
        [SERVICE_TAKE] = "POST",     [SERVICE_WAIT] = "POST",
        [SERVICE_CONFIRM] = "POST",  [SERVICE_SHRINK] = "POST",
        [SERVICE_DELETE] = "DELETE", [SERVICE_VIEW] = "GET"};
    struct service_request *r = ret_request;
    struct lock_id id = lock->id;
    char path[48];
    char query[16] = "";

    memset(r, 0, sizeof(*r));
    if (lock->slot_has_id)
        id_of_slot(&lock->id, lock->slot, &id);
    (void)snprintf(path, sizeof(path), "%s%s",
                   call == SERVICE_VIEW ? "v1/locks/" : "", id_format(&id).s);
    if (call != SERVICE_DELETE && call != SERVICE_VIEW)
        (void)snprintf(query, sizeof(query), "?s=%u",
                       call == SERVICE_SHRINK ? 1 : lock->times.life_s);
    r->request.method = methods[call];
    put_url(service, path, query, r);
    put_headers(service, lock, call, wait_s, r);
    r->request.ca_file = service->ca_file;
    r->request.cert_file = service->cert_file;
    r->request.key_file = service->key_file;
    r->request.proxy = service->proxy;
    /* A confirmation finds the wait's connection free and open; what is tried
     * again after it goes over the others. */
    r->request.is_wait = call == SERVICE_WAIT || call == SERVICE_CONFIRM;
    if (call == SERVICE_VIEW) {
        r->request.answer_max = SERVICE_VIEW_MAX;
    } else {
        r->request.body = lock->client;
        r->request.body_len = lock->client_len;
    }
}

/* ---- answers ---- */

enum found { FOUND_NONE, FOUND_ONE, FOUND_BAD };

/* One "Name: value\r\n" at line; value trimmed into ret_value. */
static bool read_line(const char *line, size_t len, const char *name,
                      char *ret_value, size_t size)
{
    size_t name_len = strlen(name);

    if (len <= name_len || line[name_len] != ':' ||
        strncasecmp(line, name, name_len) != 0)
        return false;
    line += name_len + 1;
    len -= name_len + 1;
    while (len > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", line[len - 1]))
        len--;
    if (len >= size)
        len = size - 1;
    memcpy(ret_value, line, len);
    ret_value[len] = '\0';
    return true;
}

/* A header of the answer. BAD: there twice, and not the same. */
static enum found find_header(const struct transfer_answer *a, const char *name,
                              char *ret_value, size_t size)
{
    enum found found = FOUND_NONE;
    char value[VALUE_MAX];
    const char *line = a->head;
    const char *end = a->head + a->head_len;

    ret_value[0] = '\0';
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));

        next = next ? next + 1 : end;
        if (read_line(line, (size_t)(next - line), name, value,
                      size < sizeof(value) ? size : sizeof(value))) {
            if (found != FOUND_NONE && strcmp(value, ret_value) != 0)
                return FOUND_BAD;
            memcpy(ret_value, value, strlen(value) + 1);
            found = FOUND_ONE;
        }
        line = next;
    }
    return found;
}

/* "wait release token": separated by spaces or commas; others are ignored. */
static unsigned read_features(const char *text)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"wait", SERVICE_HAS_WAIT},   {"release", SERVICE_HAS_RELEASE},
                 {"token", SERVICE_HAS_TOKEN}, {"holder", SERVICE_HAS_HOLDER},
                 {"share", SERVICE_HAS_SHARE}, {"slots", SERVICE_HAS_SLOTS}};
    unsigned features = 0;

    while (*text) {
        size_t len = strcspn(text, " ,\t");

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (len == strlen(known[i].name) &&
                strncmp(text, known[i].name, len) == 0)
                features |= known[i].bit;
        text += len;
        text += strspn(text, " ,\t");
    }
    return features;
}

/* What a stranger may see of it: printable, and no longer than size. */
static void read_said(const struct transfer_answer *a, const char *name,
                      char *dst, size_t size)
{
    if (find_header(a, name, dst, size) == FOUND_BAD)
        dst[0] = '\0';
    for (; *dst; dst++)
        if (*dst < 0x20 || *dst > 0x7e)
            *dst = '?';
}

static int64_t read_retry_after(const struct transfer_answer *a)
{
    char value[VALUE_MAX];
    uint64_t s;

    if (find_header(a, "Retry-After", value, sizeof(value)) != FOUND_ONE ||
        parse_u64(value, 0, RETRY_MAX_S, "Retry-After", &s, NULL) !=
            JUSTALOCK_OK)
        return -1; /* a date, too: clocks of others mean nothing to us */
    return (int64_t)s * 1000;
}

void service_refuse(struct service_answer *a, enum lease_answer answer,
                    enum justalock_status status, const char *text)
{
    struct justalock_error err;

    (void)error_set(&err, status, "%s", text);
    a->answer = answer;
    a->usable = false;
    a->offered = false;
    a->has_token = false;
    a->has_slot = false;
    a->status = status;
    memcpy(a->text, err.text, sizeof(a->text));
}

static void read_token(const struct transfer_answer *a,
                       struct service_answer *r)
{
    char value[VALUE_MAX];
    enum found found = find_header(a, "Justalock-Token", value, VALUE_MAX);

    if (found == FOUND_NONE)
        return;
    if (found == FOUND_BAD || parse_u64(value, 0, UINT64_MAX, "token",
                                        &r->token, NULL) != JUSTALOCK_OK)
        service_refuse(r, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO,
                       "the service's token is not a number");
    else
        r->has_token = true;
}

static void read_slot(const struct transfer_answer *a, struct service_answer *r)
{
    char value[VALUE_MAX];
    enum found found = find_header(a, "Justalock-Slot", value, VALUE_MAX);
    uint64_t slot;

    if (found == FOUND_NONE)
        return;
    if (found == FOUND_BAD || parse_u64(value, 0, JUSTALOCK_SLOTS_MAX - 1,
                                        "slot", &slot, NULL) != JUSTALOCK_OK) {
        service_refuse(r, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO,
                       "the service's slot is not a number within its limits");
        return;
    }
    r->slot = (unsigned)slot;
    r->has_slot = r->usable; /* else it has been refused already */
}

/* 200 from a service that names features: says how it is held. */
static void read_extended(const struct transfer_answer *a,
                          struct service_answer *r)
{
    char value[VALUE_MAX];
    enum found found = find_header(a, "Justalock-Holding", value, VALUE_MAX);

    if (found == FOUND_ONE && strcmp(value, "new") == 0) {
        r->answer = LEASE_ANSWER_NEW;
    } else if (found == FOUND_ONE && strcmp(value, "renewed") == 0) {
        r->answer = LEASE_ANSWER_RENEWED;
    } else if (found == FOUND_ONE && strcmp(value, "offered") == 0) {
        r->answer = LEASE_ANSWER_RETRY;
        r->offered = true;
    } else {
        service_refuse(r, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO,
                       "the service does not say how the lock is held");
        return;
    }
    read_token(a, r);
    read_slot(a, r);
}

/* A page for people is nobody's answer: a portal, a proxy, a wrong port. */
static bool is_page(const struct transfer_answer *a)
{
    for (size_t i = 0; i < a->body_len; i++)
        if (!strchr(" \t\r\n", a->body[i]) || a->body[i] == '\0')
            return a->body[i] == '<';
    return false;
}

static void read_granted(const struct transfer_answer *a, bool has_features,
                         struct service_answer *r)
{
    r->usable = true;
    if (has_features)
        read_extended(a, r);
    else if (is_page(a))
        service_refuse(r, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO,
                       "a page answers there, not a lock service");
    else
        r->answer = LEASE_ANSWER_HELD;
}

static void read_other(const struct transfer_answer *a,
                       struct service_answer *r)
{
    int code = a->http_status;
    enum justalock_status status = JUSTALOCK_PROTO;
    enum lease_answer answer = LEASE_ANSWER_RETRY;
    char text[64];

    if (code == 401 || code == 403)
        status = JUSTALOCK_DENIED;
    else if (code == 408 || code == 429 || code >= 500)
        status = JUSTALOCK_NET;
    if (code == 400 || code == 401 || code == 403 || code == 404)
        answer = LEASE_ANSWER_REJECT;
    (void)snprintf(text, sizeof(text), "the service answers with status %d%s",
                   code,
                   code >= 300 && code < 400 ? ", which is not followed" : "");
    service_refuse(r, answer, status, text);
    r->retry_after_ms = read_retry_after(a);
}

/* Which service it is, and since which takeover; nothing of it otherwise. */
static void read_shared(const struct transfer_answer *a,
                        struct service_answer *r)
{
    char identity[SERVICE_IDENTITY_MAX + 2]; /* one more: to see what is cut */
    char epoch[VALUE_MAX];

    if (find_header(a, "Justalock-Service", identity, sizeof(identity)) !=
            FOUND_ONE ||
        strlen(identity) > SERVICE_IDENTITY_MAX || !is_printable(identity) ||
        find_header(a, "Justalock-Epoch", epoch, sizeof(epoch)) != FOUND_ONE ||
        parse_u64(epoch, 1, UINT64_MAX, "epoch", &r->epoch, NULL) !=
            JUSTALOCK_OK)
        return;
    memcpy(r->identity, identity, strlen(identity) + 1);
}

void service_read(const struct transfer_answer *answer,
                  struct service_answer *ret_answer)
{
    struct service_answer *r = ret_answer;
    char value[VALUE_MAX];
    enum found found;

    memset(r, 0, sizeof(*r));
    r->retry_after_ms = -1;
    if (answer->status != JUSTALOCK_OK) {
        service_refuse(r, LEASE_ANSWER_RETRY, answer->status, answer->text);
        return;
    }
    r->http_status = answer->http_status;
    read_shared(answer, r);
    found = find_header(answer, "Justalock-Features", value, sizeof(value));
    if (found == FOUND_BAD) {
        service_refuse(r, LEASE_ANSWER_RETRY, JUSTALOCK_PROTO,
                       "two lists of features in one answer");
        return;
    }
    r->features = read_features(value);
    if (answer->http_status == 200) {
        read_granted(answer, r->features != 0, r);
    } else if (answer->http_status == 409) {
        r->usable = true;
        r->answer = LEASE_ANSWER_CONFLICT;
        r->broken = find_header(answer, "Justalock-Holding", value,
                                sizeof(value)) == FOUND_ONE &&
                    strcmp(value, "broken") == 0;
        read_said(answer, "Justalock-Holder", r->holder, sizeof(r->holder));
        read_said(answer, "Justalock-Since", r->since, sizeof(r->since));
    } else {
        read_other(answer, r);
    }
}

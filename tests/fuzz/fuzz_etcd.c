/* SPDX-License-Identifier: MIT */
/*
 * fuzz_etcd.c - any answers of etcd's JSON gateway to a server that looks for
 * a leader, tries to be it, loads and commits. An input is a list of answers,
 * each ended by a 0: a digit for the HTTP status (2: 200, 4: 400, 5: 503, 6:
 * 401; else none at all), then the body. What is loaded is what a server may
 * have written: it comes back the same from what is written for it.
 *
 * The calls of transfer.h are ours here: nothing goes over a network.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/log.h"
#include "../../common/transfer.h"
#include "../../modules/server/store.h"
#include "../../modules/server/store_etcd.h"

#define TICKS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct transfer_hub {
    transfer_fn *fn; /* of the one request; NULL: none */
    void *arg;
};

static const uint8_t *input;
static size_t input_len;
static char one_answer[8192]; /* instead of the input, if not empty */

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* In log.c's place: writing it would be most of the work. */
void log_error(const char *fmt, ...)
{
    (void)fmt;
}

void log_warn(const char *fmt, ...)
{
    (void)fmt;
}

void log_info(const char *fmt, ...)
{
    (void)fmt;
}

/* ---- the network ---- */

enum justalock_status transfer_hub_new(struct transfer_hub **ret_hub,
                                       struct justalock_error *err)
{
    *ret_hub = calloc(1, sizeof(**ret_hub));
    return *ret_hub != NULL ? JUSTALOCK_OK : error_nomem(err);
}

void transfer_hub_free(struct transfer_hub *hub)
{
    free(hub);
}

enum justalock_status transfer_start(struct transfer_hub *hub,
                                     const struct transfer_request *request,
                                     transfer_fn *fn, void *arg,
                                     struct transfer **ret_transfer,
                                     struct justalock_error *err)
{
    (void)err;
    require(request->body_len > 0 && hub->fn == NULL);
    hub->fn = fn;
    hub->arg = arg;
    *ret_transfer = NULL;
    return JUSTALOCK_OK;
}

void transfer_cancel(struct transfer *t)
{
    (void)t;
    abort(); /* there is always an answer, or the word that there is none */
}

static int status_of(char digit)
{
    switch (digit) {
    case '2':
        return 200;
    case '4':
        return 400;
    case '5':
        return 503;
    case '6':
        return 401;
    default:
        return 0;
    }
}

bool transfer_run(struct transfer_hub *hub, int fd, struct clock_time until)
{
    struct transfer_answer a = {.status = JUSTALOCK_NET, .text = "none"};
    transfer_fn *fn = hub->fn;
    char *body = NULL;
    size_t len;

    (void)fd;
    (void)until;
    require(fn != NULL);
    hub->fn = NULL;
    if (one_answer[0] != '\0') {
        a.status = JUSTALOCK_OK;
        a.http_status = 200;
        a.body = one_answer;
        a.body_len = strlen(one_answer);
    } else if (input_len > 0) {
        const uint8_t *end = memchr(input, 0, input_len);

        len = end != NULL ? (size_t)(end - input) : input_len;
        if (len > 0 && status_of((char)input[0]) != 0) {
            /* Of just its size, and a 0, as transfer.c has it. */
            body = calloc(1, len);
            require(body != NULL);
            memcpy(body, input + 1, len - 1);
            a.status = JUSTALOCK_OK;
            a.http_status = status_of((char)input[0]);
            a.body = body;
            a.body_len = len - 1;
        }
        len += end != NULL;
        input += len;
        input_len -= len;
    }
    fn(hub->arg, &a);
    free(body);
    return false;
}

/* ---- what is loaded ---- */

struct seen {
    struct lock_row row;
    bool is_tomb, any;
};

struct loading {
    struct lock_table *table;
    struct seen first;
};

static enum justalock_status load_row(void *arg, const struct lock_row *row,
                                      bool is_tomb)
{
    struct loading *l = arg;

    require(row->client_len >= 1 && row->client_len <= JUSTALOCK_CLIENT_MAX);
    require(row->life_s >= JUSTALOCK_LIFE_MIN_S &&
            row->life_s <= JUSTALOCK_LIFE_MAX_S);
    require(strnlen(row->share, sizeof(row->share)) <= LOCK_SHARE_MAX);
    require(strnlen(row->label, sizeof(row->label)) <= JUSTALOCK_LABEL_MAX);
    if (!l->first.any)
        l->first = (struct seen){*row, is_tomb, true};
    return l->table != NULL ? lock_load(l->table, row, is_tomb, 1000)
                            : JUSTALOCK_OK;
}

/* What etcd would answer if that row were all it has. */
static void answer_row(const struct seen *s)
{
    struct lock_change c = {.kind = s->is_tomb ? LOCK_PUT_TOMB : LOCK_PUT,
                            .row = s->row};
    struct json_object *o, *put;
    struct buf b;

    buf_init(&b, sizeof(one_answer));
    etcd_add_change(&b, &c);
    require(!b.failed);
    o = json_tokener_parse(b.data);
    require(json_object_object_get_ex(o, "request_put", &put));
    (void)snprintf(one_answer, sizeof(one_answer),
                   "{\"kvs\":[{\"key\":\"%s\",\"value\":\"%s\"}]}",
                   etcd_text(put, "key"), etcd_text(put, "value"));
    json_object_put(o);
    buf_done(&b);
}

static enum justalock_status no_pause(void *arg, struct justalock_error *err)
{
    (void)arg;
    (void)err;
    return JUSTALOCK_OK;
}

static void check_same(const struct seen *s)
{
    static const struct etcd_pause pause = {.fn = no_pause};
    static const struct etcd_files none;
    struct loading again = {.table = NULL};
    struct justalock_error err;
    struct etcd *e;

    answer_row(s);
    require(etcd_new("h:1", &none, &e, &err) == JUSTALOCK_OK);
    /* The same for both prefixes: it is wrong for one of them. */
    require(etcd_load(e, load_row, &again, &pause, &err) == JUSTALOCK_PROTO);
    etcd_free(e);
    one_answer[0] = '\0';
    if (s->is_tomb) /* which is read second */
        return;
    require(again.first.any);
    require(memcmp(&again.first.row.id, &s->row.id, sizeof(s->row.id)) == 0);
    require(again.first.row.client_len == s->row.client_len &&
            memcmp(again.first.row.client, s->row.client, s->row.client_len) ==
                0);
    require(strcmp(again.first.row.share, s->row.share) == 0);
    require(strcmp(again.first.row.label, s->row.label) == 0);
    require(again.first.row.life_s == s->row.life_s &&
            again.first.row.token == s->row.token &&
            again.first.row.since_s == s->row.since_s &&
            again.first.row.is_broken == s->row.is_broken);
}

static void no_wake(void *arg, void *conn, const struct lock_answer *answer)
{
    (void)arg;
    (void)conn;
    (void)answer;
    abort(); /* nobody waits */
}

static void lead(struct store *s)
{
    const struct store_shared *shared = store_shared(s);
    struct justalock_error err = {.text = ""};
    struct lock_request q = {
        .client = "c", .client_len = 1, .share = "s", .life_s = 60};
    struct loading l = {.table =
                            lock_table_new(no_wake, NULL, shared->last_token)};
    const struct lock_change *changes;
    struct lock_answer a;
    enum justalock_status st;
    bool is_whole;
    size_t len;

    require(l.table != NULL && shared->epoch > 0 &&
            strlen(shared->service) == 32 && shared->extra_s >= 3);
    st = store_load(s, load_row, &l, &err);
    require(st == JUSTALOCK_OK || err.text[0] != '\0');
    require(lock_last_token(l.table) >= shared->last_token);
    lock_take(l.table, &q, 1000, 1, &a);
    changes = lock_changes(l.table, &len, &is_whole);
    st = store_commit(s, changes, len, lock_last_token(l.table), &err);
    require(st == JUSTALOCK_OK ? shared->is_active : !shared->is_active);
    lock_table_free(l.table);
    if (l.first.any)
        check_same(&l.first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct etcd_files none;
    struct justalock_error err;
    struct store_found found;
    struct store *s;

    input = data;
    input_len = size;
    require(store_open("etcd://a:1,b:2", &none, &s, &found, &err) ==
            JUSTALOCK_OK);
    for (int i = 0; i < TICKS && input_len > 0; i++) {
        (void)store_tick(s, INT64_MAX - 1);
        if (store_shared(s)->is_active)
            lead(s);
    }
    store_close(s);
    return 0;
}

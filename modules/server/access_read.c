/* SPDX-License-Identifier: MIT */
/*
 * access_read.c - reads the file that access.h shows: strictly, each fault
 * with its place. The first one ends it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "access_inner.h"
#include "config_text.h"
#include "file.h"
#include "parse.h"

struct reading {
    struct config_text text;
    struct access *access;
    struct justalock_error *err;
    enum justalock_status st;
    const char *client; /* whose members are read */
};

/* ---- faults ---- */

static void on_syntax(void *arg, const struct config_text *t, unsigned line,
                      unsigned column, const char *what)
{
    struct reading *r = arg;

    if (r->st == JUSTALOCK_OK)
        r->st = error_set(r->err, JUSTALOCK_CONFIG, "%s:%u:%u: %s", t->file,
                          line, column, what);
}

static void fault(struct reading *r, const struct config_node *n,
                  const char *key, const char *what)
{
    if (r->st != JUSTALOCK_OK)
        return;
    r->st = error_set(r->err, JUSTALOCK_CONFIG,
                      "%s:%u:%u: clients%s%.60s%s%s: %s", r->text.file, n->line,
                      n->column, r->client != NULL ? "." : "",
                      r->client != NULL ? r->client : "",
                      key[0] != '\0' ? "." : "", key, what);
}

static void *room(struct reading *r, size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);

    if (p == NULL)
        r->st = error_nomem(r->err);
    return p;
}

static char *copy(struct reading *r, const char *text)
{
    char *p = strdup(text);

    if (p == NULL)
        r->st = error_nomem(r->err);
    return p;
}

/* ---- lists: one text, or an array of texts ---- */

typedef void item_fn(struct reading *r, const struct config_node *n,
                     struct access_client *c);

static size_t count(const struct reading *r, const struct config_node *n)
{
    size_t len = 0;

    if (n->kind != CONFIG_KIND_ARRAY && n->kind != CONFIG_KIND_OBJECT)
        return 1;
    for (size_t i = n->first; i != 0; i = r->text.nodes[i].next)
        len++;
    return len;
}

static void each(struct reading *r, const struct config_node *n,
                 const char *key, struct access_client *c, item_fn *fn)
{
    size_t i =
        n->kind == CONFIG_KIND_ARRAY ? n->first : (size_t)(n - r->text.nodes);

    if (i == 0)
        fault(r, n, key, "is an empty list");
    for (; i != 0 && r->st == JUSTALOCK_OK;
         i = n->kind == CONFIG_KIND_ARRAY ? r->text.nodes[i].next : 0) {
        const struct config_node *item = &r->text.nodes[i];

        if (item->kind != CONFIG_KIND_STRING)
            fault(r, item, key, "must be a text or a list of texts");
        else
            fn(r, item, c);
    }
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static void read_token(struct reading *r, const struct config_node *n,
                       struct access_client *c)
{
    struct access_token *t = &c->tokens[c->tokens_len++];

    for (size_t i = 0; i < sizeof(t->sha256); i++) {
        int high = n->text[2 * i] != '\0' ? hex_of(n->text[2 * i]) : -1;
        int low = high >= 0 ? hex_of(n->text[2 * i + 1]) : -1;

        if (low < 0) {
            fault(r, n, "token_sha256",
                  "must be 64 hex digits in lower case, as sha256sum prints "
                  "them");
            return;
        }
        t->sha256[i] = (uint8_t)(high * 16 + low);
    }
    if (n->text[2 * sizeof(t->sha256)] != '\0')
        fault(r, n, "token_sha256", "has more than 64 digits");
}

static void read_right(struct reading *r, const struct config_node *n,
                       struct access_client *c)
{
    if (strcmp(n->text, "look") == 0)
        c->rights |= ACCESS_LOOK;
    else if (strcmp(n->text, "take") == 0)
        c->rights |= ACCESS_TAKE;
    else if (strcmp(n->text, "break") == 0)
        c->rights |= ACCESS_BREAK;
    else
        fault(r, n, "rights", "knows look, take and break");
}

static void read_lock(struct reading *r, const struct config_node *n,
                      struct access_client *c)
{
    struct lock_id *id = &c->locks[c->locks_len++];
    struct justalock_error why;
    enum justalock_status st;

    if (strncmp(n->text, "id:", 3) == 0)
        st = id_parse_strict(n->text + 3, strlen(n->text + 3), id, &why);
    else
        st = id_from_name(n->text, id, &why);
    if (st != JUSTALOCK_OK)
        fault(r, n, "locks", why.text);
}

/* ---- a client ---- */

static void read_member(struct reading *r, const struct config_node *n,
                        struct access_client *c)
{
    size_t len = count(r, n);

    if (strcmp(n->key, "token_sha256") == 0) {
        if (len > ACCESS_TOKENS_MAX)
            fault(r, n, n->key, "has more than 16 tokens");
        else if ((c->tokens = room(r, len, sizeof(*c->tokens))) != NULL)
            each(r, n, n->key, c, read_token);
    } else if (strcmp(n->key, "certificate") == 0) {
        if (n->kind != CONFIG_KIND_STRING || n->text[0] == '\0' ||
            strlen(n->text) > 255)
            fault(r, n, n->key,
                  "must be a certificate's common name, 1 to 255 bytes");
        else
            c->certificate = copy(r, n->text);
    } else if (strcmp(n->key, "rights") == 0) {
        c->rights = 0;
        each(r, n, n->key, c, read_right);
    } else if (strcmp(n->key, "locks") == 0) {
        c->has_all_locks = false;
        if (len > ACCESS_LOCKS_MAX)
            fault(r, n, n->key, "has more than 4096 locks");
        else if ((c->locks = room(r, len, sizeof(*c->locks))) != NULL)
            each(r, n, n->key, c, read_lock);
    } else {
        fault(r, n, n->key,
              "unknown key; there are token_sha256, certificate, rights and "
              "locks");
    }
}

/* Two clients of one credential: which of them would it be? */
static void check_own(struct reading *r, const struct config_node *n,
                      const struct access_client *c)
{
    const struct access *a = r->access;

    if (c->tokens_len == 0 && c->certificate == NULL)
        fault(r, n, "", "has neither token_sha256 nor certificate");
    for (const struct access_client *o = a->clients; o < c; o++) {
        if (c->certificate != NULL && o->certificate != NULL &&
            strcmp(c->certificate, o->certificate) == 0)
            fault(r, n, "certificate", "is another client's, too");
        for (size_t i = 0; i < c->tokens_len; i++)
            for (size_t j = 0; j < o->tokens_len; j++)
                if (memcmp(&c->tokens[i], &o->tokens[j],
                           sizeof(o->tokens[j])) == 0)
                    fault(r, n, "token_sha256", "is another client's, too");
    }
}

static void read_client(struct reading *r, const struct config_node *n)
{
    struct access_client *c = &r->access->clients[r->access->clients_len++];
    size_t i;

    r->client = n->key;
    if (parse_name(n->key, "client", NULL) != JUSTALOCK_OK)
        fault(r, n, "", "is no name");
    if (n->kind != CONFIG_KIND_OBJECT)
        fault(r, n, "", "must be an object");
    c->name = copy(r, n->key);
    c->rights = ACCESS_TAKE;
    c->has_all_locks = true;
    for (i = n->first; i != 0 && r->st == JUSTALOCK_OK;
         i = r->text.nodes[i].next)
        read_member(r, &r->text.nodes[i], c);
    check_own(r, n, c);
    r->client = NULL;
}

static void read_whole(struct reading *r)
{
    const struct config_node *top = &r->text.nodes[0], *clients = NULL;
    size_t i, len;

    for (i = top->first; i != 0; i = r->text.nodes[i].next) {
        const struct config_node *n = &r->text.nodes[i];

        if (strcmp(n->key, "clients") == 0)
            clients = n;
        else if (r->st == JUSTALOCK_OK)
            r->st = error_set(r->err, JUSTALOCK_CONFIG,
                              "%s:%u:%u: %.60s: unknown key; there is clients",
                              r->text.file, n->key_line, n->key_column, n->key);
    }
    if (r->st != JUSTALOCK_OK)
        return;
    if (clients == NULL || clients->kind != CONFIG_KIND_OBJECT) {
        fault(r, clients != NULL ? clients : top, "",
              "must be there, an object of clients by name");
        return;
    }
    len = count(r, clients);
    if (len > ACCESS_CLIENTS_MAX) {
        fault(r, clients, "", "has more than 1024 of them");
        return;
    }
    r->access->clients = room(r, len, sizeof(*r->access->clients));
    for (i = clients->first; i != 0 && r->st == JUSTALOCK_OK;
         i = r->text.nodes[i].next)
        read_client(r, &r->text.nodes[i]);
}

enum justalock_status access_parse(const char *file, const char *data,
                                   size_t len, struct access **ret_access,
                                   struct justalock_error *err)
{
    struct reading r = {.err = err, .access = calloc(1, sizeof(*r.access))};
    enum justalock_status st;

    if (r.access == NULL)
        return error_nomem(err);
    st = config_text_parse(&r.text, file, data, len, on_syntax, &r);
    if (st == JUSTALOCK_NOMEM)
        r.st = error_nomem(err);
    else if (st == JUSTALOCK_OK)
        read_whole(&r);
    config_text_done(&r.text);
    if (r.st != JUSTALOCK_OK) {
        access_free(r.access);
        return r.st;
    }
    *ret_access = r.access;
    return JUSTALOCK_OK;
}

enum justalock_status access_load(const char *path, struct access **ret_access,
                                  struct justalock_error *err)
{
    struct buf b;
    enum justalock_status st = file_read("--access", path, S_IWGRP | S_IWOTH,
                                         ACCESS_FILE_MAX, &b, err);

    if (st == JUSTALOCK_OK)
        st = access_parse(path, b.data, b.len, ret_access, err);
    buf_done(&b);
    return st;
}

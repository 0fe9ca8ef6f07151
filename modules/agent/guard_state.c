/* SPDX-License-Identifier: MIT */
/*
 * guard_state.c - the records of all work in the state folder: written to a
 * new file and renamed, so that a reader sees the old or the new one. The
 * folder is in memory (/run), gone with a reboot, so nothing is synced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard.h"
#include "log.h"
#include "record.h"

#define PREFIX "work-"
#define LIFE   "life-" /* guard_session.c's */
#define ASIDE  ".damaged"

static bool path_of(const struct guard *g, const char *prefix, uint64_t number,
                    char *ret_path)
{
    return (size_t)snprintf(ret_path, PATH_MAX, "%s/%s%llu", g->o->state,
                            prefix, (unsigned long long)number) < PATH_MAX;
}

static enum justalock_status write_file(const char *path, const struct buf *b,
                                        struct justalock_error *err)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n;
    int why = 0;

    if (fd < 0)
        return error_sys(err, errno, "%s", path);
    do
        n = write(fd, b->data, b->len);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)b->len)
        why = n < 0 ? errno : ENOSPC;
    if (close(fd) < 0 && why == 0)
        why = errno;
    return why == 0 ? JUSTALOCK_OK : error_sys(err, why, "%s", path);
}

static void fill(const struct guard *g, const struct work *w, struct record *r)
{
    memcpy(r->boot, g->table.header->boot, sizeof(r->boot) - 1);
    r->state = w->state;
    r->row = w->row ? (uint32_t)(w->row - g->table.rows) : RECORD_NO_ROW;
    r->has_started = w->has_started;
    r->who.kind = w->who.kind;
    r->who.job_id = w->who.job_id;
    r->who.uid = w->who.uid;
    r->who.root = atomic_load(&w->who.root);
    r->who.born_before = atomic_load(&w->who.born_before);
    memcpy(r->who.path, w->who.path, sizeof(r->who.path));
    r->f = w->f;
    (void)snprintf(r->option, sizeof(r->option), "%s", w->option);
    if (w->service)
        r->service = *w->service;
    if (w->f.helds_len > 0)
        memcpy(r->helds, w->helds, w->f.helds_len * sizeof(*w->helds));
}

enum justalock_status state_save(struct guard *g, struct work *w,
                                 struct justalock_error *err)
{
    static struct record r; /* one thread; 14 kB */
    char new_path[PATH_MAX];
    char path[PATH_MAX];
    enum justalock_status st;
    struct buf b;

    if (!path_of(g, "new-", w->f.number, new_path) ||
        !path_of(g, PREFIX, w->f.number, path))
        return error_set(err, JUSTALOCK_ARG, "%s: too long", g->o->state);
    memset(&r, 0, sizeof(r));
    fill(g, w, &r);
    buf_init(&b, RECORD_MAX);
    st = record_pack(&r, &b, err);
    if (st == JUSTALOCK_OK)
        st = write_file(new_path, &b, err);
    if (st == JUSTALOCK_OK && rename(new_path, path) < 0)
        st = error_sys(err, errno, "%s", path);
    if (st != JUSTALOCK_OK)
        (void)unlink(new_path);
    buf_done(&b);
    return st;
}

void state_drop(struct guard *g, const struct work *w)
{
    char path[PATH_MAX];

    if (path_of(g, PREFIX, w->f.number, path) && unlink(path) < 0 &&
        errno != ENOENT)
        log_error("%s: %s", path, strerror(errno));
}

/* ---- reading ---- */

/* Its row, if the table agrees that it is this work's. */
static struct row *row_of(struct guard *g, const struct record *r)
{
    struct row *row;

    if (r->row == RECORD_NO_ROW)
        return NULL;
    row = &g->table.rows[r->row];
    return row->work == r->f.number ? row : NULL;
}

static void take_identity(struct work *w, const struct record *r)
{
    w->who.kind = r->who.kind;
    w->who.job_id = r->who.job_id;
    w->who.uid = r->who.uid;
    atomic_store(&w->who.root, r->who.root);
    atomic_store(&w->who.born_before, r->who.born_before);
    memcpy(w->who.path, r->who.path, sizeof(w->who.path));
}

/* NOMEM: none of it is known then, and the record stays as it is. */
static enum justalock_status adopt(struct guard *g, const struct record *r,
                                   struct justalock_error *err)
{
    size_t len = r->f.helds_len;
    struct held *helds = len > 0 ? calloc(len, sizeof(*helds)) : NULL;
    const struct keeper_service *service = service_use(g, &r->service);
    const char *option = text_none;
    struct work *w = NULL;

    if (text_set(&option, r->option) && service && (len == 0 || helds))
        w = work_new(g, r->f.kind, r->f.number);
    if (!w) {
        free(helds);
        service_drop(g, service);
        text_clear(&option);
        return error_wrap(err, error_nomem(err), "record %llu",
                          (unsigned long long)r->f.number);
    }
    w->option = option;
    w->service = service;
    w->f = r->f;
    w->state = r->state;
    w->has_started = r->has_started;
    w->row = row_of(g, r);
    take_identity(w, r);
    /* Where it was placed after it was armed, the row knows more. */
    if (w->row && atomic_load(&w->row->who.kind) != IDENTITY_NONE)
        w->who = w->row->who;
    w->helds = helds;
    if (helds)
        memcpy(helds, r->helds, len * sizeof(*helds));
    return JUSTALOCK_OK;
}

static void put_aside(const char *path, const char *why)
{
    char aside[PATH_MAX + sizeof(ASIDE)];

    log_error("%s: %s; kept as *" ASIDE ", and its work ends at its deadline",
              path, why);
    (void)snprintf(aside, sizeof(aside), "%s" ASIDE, path);
    if (rename(path, aside) < 0)
        log_error("%s: %s", path, strerror(errno));
}

static bool is_scarcity(int errnum)
{
    return errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE;
}

static enum justalock_status load(struct guard *g, const char *name,
                                  struct justalock_error *err)
{
    static char data[RECORD_MAX + 2];
    static struct record r;
    char path[PATH_MAX];
    struct justalock_error fault;
    ssize_t n;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", g->o->state, name) >=
        sizeof(path))
        return JUSTALOCK_OK; /* none of ours, see path_of */
    n = proc_read_file(AT_FDCWD, path, data, sizeof(data));
    if (n < 0 && is_scarcity(errno))
        return error_sys(err, errno, "%s", path);
    if (n < 0) {
        log_error("%s: %s", path, strerror(errno));
        return JUSTALOCK_OK;
    }
    if (record_unpack(data, (size_t)n, &r, &fault) != JUSTALOCK_OK) {
        put_aside(path, fault.text);
        return JUSTALOCK_OK;
    }
    if (strcmp(r.boot, g->table.header->boot) == 0)
        return adopt(g, &r, err);
    (void)unlink(path); /* of an earlier boot: nothing of it lives */
    return JUSTALOCK_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct work *const *x = a;
    const struct work *const *y = b;

    return ((*x)->f.number > (*y)->f.number) -
           ((*x)->f.number < (*y)->f.number);
}

/* The list is kept by number, which is the order of beginning. */
static void sort_works(struct guard *g)
{
    struct work **v = calloc(g->works_len + 1, sizeof(*v));
    size_t n = 0;

    if (!v)
        return; /* only LIST's order suffers */
    for (struct work *w = g->works; w; w = w->next)
        v[n++] = w;
    qsort(v, n, sizeof(*v), by_number);
    for (size_t i = 0; i < n; i++) {
        v[i]->prev = v[i > 0 ? i - 1 : n - 1]; /* utlist: head to tail */
        v[i]->next = i + 1 < n ? v[i + 1] : NULL;
    }
    g->works = n > 0 ? v[0] : NULL;
    free(v);
}

/* Taken and never armed, by a guard that died before it wrote its record. */
static void free_orphan_rows(struct guard *g)
{
    uint32_t used = atomic_load(&g->table.header->used);

    for (uint32_t i = 0; i < used && i < TABLE_ROWS; i++) {
        struct row *row = &g->table.rows[i];
        struct work *w = work_by_number(g, row->work);

        if (row->work == 0 || (w && w->row == row))
            continue;
        if (g->next_number <= row->work)
            g->next_number = row->work + 1;
        if (row_state(row) == ROW_FREE || row_state(row) == ROW_CLOSED)
            row_free(row);
    }
}

/* Of sessions whose record is not there any more. */
static bool drop_life(void *arg, int dir, const char *name)
{
    struct guard *g = arg;
    uint64_t number;

    if (strncmp(name, LIFE, strlen(LIFE)) == 0 &&
        parse_u64(name + strlen(LIFE), 1, UINT64_MAX, "life line", &number,
                  NULL) == JUSTALOCK_OK &&
        !work_by_number(g, number))
        (void)unlinkat(dir, name, 0);
    return true;
}

static bool is_record(const char *name)
{
    size_t skip = strlen(PREFIX);

    return strncmp(name, PREFIX, skip) == 0 &&
           strspn(name + skip, "0123456789") == strlen(name + skip);
}

static enum justalock_status load_all(struct guard *g, DIR *dir,
                                      struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;
    struct dirent *e;

    while (st == JUSTALOCK_OK && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, "new-", 4) == 0 && e->d_name[4] != '\0')
            (void)unlinkat(dirfd(dir), e->d_name, 0); /* never renamed */
        else if (is_record(e->d_name))
            st = load(g, e->d_name, err);
    }
    if (st == JUSTALOCK_OK)
        (void)proc_each_name(dirfd(dir), drop_life, g);
    return st;
}

enum justalock_status state_load(struct guard *g, struct justalock_error *err)
{
    DIR *dir = opendir(g->o->state);
    enum justalock_status st;

    if (!dir)
        return error_sys(err, errno, "%s", g->o->state);
    st = load_all(g, dir, err);
    (void)closedir(dir);
    if (st != JUSTALOCK_OK)
        return st;
    sort_works(g);
    for (struct work *w = g->works; w; w = w->next)
        if (g->next_number <= w->f.number)
            g->next_number = w->f.number + 1;
    free_orphan_rows(g);
    return JUSTALOCK_OK;
}

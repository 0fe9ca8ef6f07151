/* SPDX-License-Identifier: MIT */
/*
 * deadlines.c - the table of deadlines: its file, and the changes of a row.
 * Kills nothing and reads no clock.
 */
#include "deadlines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "id.h"

#define TABLE_MAGIC UINT64_C(0x31656c62616c6a) /* "jlable1" */
#define HEADER_SIZE 4096

/* word: changes << 8 | plan << 4 | state */
#define WORD_STATE  0x0fU
#define WORD_PLAN   0x10U
#define WORD_CHANGE 0x100U

_Static_assert(sizeof(struct table_header) <= HEADER_SIZE, "header");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics between processes");

static size_t table_size(void)
{
    return HEADER_SIZE + TABLE_ROWS * sizeof(struct row);
}

/* All of it now: a page that /run has no room for later is a SIGBUS. */
static enum justalock_status set_size(int fd, struct justalock_error *err)
{
    if (ftruncate(fd, (off_t)table_size()) < 0 ||
        (fallocate(fd, 0, 0, (off_t)table_size()) < 0 && errno != EOPNOTSUPP &&
         errno != ENOSYS))
        return error_sys(err, errno, "the table of deadlines, %zu bytes",
                         table_size());
    return JUSTALOCK_OK;
}

static bool is_of_boot(const struct table_header *h, const char *boot)
{
    return h->magic == TABLE_MAGIC &&
           strncmp(h->boot, boot, sizeof(h->boot)) == 0;
}

static enum justalock_status start_anew(const struct table_header *old,
                                        const char *boot,
                                        struct table_header *ret_header,
                                        struct justalock_error *err)
{
    struct table_header fresh = {
        .magic = TABLE_MAGIC, .version = TABLE_VERSION, .rows = TABLE_ROWS};
    enum justalock_status st = id_random_hex(fresh.tag, TABLE_TAG_LEN / 2, err);

    if (st != JUSTALOCK_OK)
        return st;
    memcpy(fresh.boot, boot, strlen(boot) + 1);
    /* It was cut: those whom it names may be running still. */
    if (is_of_boot(old, boot)) {
        atomic_store(&fresh.watch, atomic_load(&old->watch));
        atomic_store(&fresh.guard, atomic_load(&old->guard));
        atomic_store(&fresh.keeper, atomic_load(&old->keeper));
    }
    *ret_header = fresh;
    return JUSTALOCK_OK;
}

/* What the file holds; a cut one reads as zeros from there on. */
static enum justalock_status look(int fd, const char *boot,
                                  struct table_header *ret_old,
                                  bool *ret_is_whole,
                                  struct justalock_error *err)
{
    struct stat sb;

    memset(ret_old, 0, sizeof(*ret_old));
    if (fstat(fd, &sb) < 0 || pread(fd, ret_old, sizeof(*ret_old), 0) < 0)
        return error_sys(err, errno, "the table of deadlines");
    *ret_is_whole = false;
    if (!is_of_boot(ret_old, boot))
        return JUSTALOCK_OK;
    if (ret_old->version != TABLE_VERSION || ret_old->rows != TABLE_ROWS)
        return error_set(err, JUSTALOCK_CONFIG,
                         "the table of deadlines is of version %u with %u "
                         "rows; this program knows version %d with %d",
                         ret_old->version, ret_old->rows, TABLE_VERSION,
                         TABLE_ROWS);
    /* Where rows are missing, what was in them is on record, see
     * hold_without_row. */
    *ret_is_whole = sb.st_size == (off_t)table_size();
    return JUSTALOCK_OK;
}

static enum justalock_status map(int fd, struct table *ret_table,
                                 struct justalock_error *err)
{
    struct table_header old;
    enum justalock_status st;
    char boot[37];
    bool is_whole = false;
    char *base;

    clock_boot_id(boot);
    st = look(fd, boot, &old, &is_whole, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (!is_whole && ftruncate(fd, 0) < 0)
        return error_sys(err, errno, "the table of deadlines");
    st = set_size(fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    base = mmap(NULL, table_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return error_sys(err, errno, "map the table of deadlines");
    if (!is_whole)
        st = start_anew(&old, boot, (struct table_header *)(void *)base, err);
    if (st != JUSTALOCK_OK) {
        (void)munmap(base, table_size());
        return st;
    }
    ret_table->fd = fd;
    ret_table->header = (struct table_header *)(void *)base;
    ret_table->rows = (struct row *)(void *)(base + HEADER_SIZE);
    return JUSTALOCK_OK;
}

enum justalock_status table_open(const char *state_dir, struct table *ret_table,
                                 struct justalock_error *err)
{
    char path[PATH_MAX];
    enum justalock_status st;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/table", state_dir) >=
        sizeof(path))
        return error_set(err, JUSTALOCK_ARG, "%s: too long a path", state_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_sys(err, errno, "%s", path);
    st = map(fd, ret_table, err);
    if (st != JUSTALOCK_OK) {
        (void)close(fd); /* nothing was written to it */
        return error_wrap(err, st, "%s", path);
    }
    return JUSTALOCK_OK;
}

void table_close(struct table *t)
{
    if (!t->header)
        return;
    (void)munmap(t->header, table_size());
    (void)close(t->fd); /* a mapping is all that was written through */
    *t = (struct table){.fd = -1};
}

bool table_try_lock(struct table *t)
{
    return flock(t->fd, LOCK_EX | LOCK_NB) == 0;
}

/* ---- rows ---- */

static struct stored_plan *plan_of(struct row *r, uint64_t word)
{
    return &r->plans[(word & WORD_PLAN) != 0];
}

static uint64_t next_word(uint64_t word, bool flip, enum row_state state)
{
    uint64_t next = (word & ~(uint64_t)WORD_STATE) + WORD_CHANGE;

    if (flip)
        next ^= WORD_PLAN;
    return next | (uint64_t)state;
}

static void store_plan(struct stored_plan *to, const struct row_plan *plan)
{
    atomic_store(&to->boot_ms, plan->deadline.boot_ms);
    atomic_store(&to->raw_ms, plan->deadline.raw_ms);
    atomic_store(&to->term_lead_ms, plan->term_lead_ms);
    atomic_store(&to->kill_lead_ms, plan->kill_lead_ms);
    atomic_store(&to->policy, (int32_t)plan->policy);
    atomic_store(&to->signo, plan->signo);
}

static void load_plan(const struct stored_plan *from, struct row_plan *ret)
{
    ret->deadline.boot_ms = atomic_load(&from->boot_ms);
    ret->deadline.raw_ms = atomic_load(&from->raw_ms);
    ret->term_lead_ms = atomic_load(&from->term_lead_ms);
    ret->kill_lead_ms = atomic_load(&from->kill_lead_ms);
    ret->policy = (enum row_policy)atomic_load(&from->policy);
    ret->signo = atomic_load(&from->signo);
}

enum row_state row_state(const struct row *r)
{
    return (enum row_state)(atomic_load(&r->word) & WORD_STATE);
}

enum row_state row_look(const struct row *r, struct row_plan *ret_plan,
                        uint64_t *ret_word)
{
    struct row_plan plan;
    uint64_t word;

    /* The plan in force is rewritten only two changes later. */
    do {
        word = atomic_load(&r->word);
        load_plan(&r->plans[(word & WORD_PLAN) != 0], &plan);
    } while (atomic_load(&r->word) != word);
    *ret_plan = plan;
    if (ret_word)
        *ret_word = word;
    return (enum row_state)(word & WORD_STATE);
}

unsigned table_active(const struct table *t)
{
    uint32_t used = atomic_load(&t->header->used);
    unsigned n = 0;

    for (uint32_t i = 0; i < used && i < TABLE_ROWS; i++) {
        enum row_state s = row_state(&t->rows[i]);

        n += s == ROW_ARMED || s == ROW_ENDING || s == ROW_UNCONFIRMED;
    }
    return n;
}

struct row *table_take(struct table *t)
{
    uint32_t used = atomic_load(&t->header->used);

    for (uint32_t i = 0; i < TABLE_ROWS; i++) {
        struct row *r = &t->rows[i];

        if (row_state(r) != ROW_FREE || r->work != 0)
            continue;
        memset(&r->who, 0, sizeof(r->who));
        if (i >= used)
            atomic_store(&t->header->used, i + 1);
        return r;
    }
    return NULL;
}

void row_arm(struct row *r, const struct row_plan *plan)
{
    uint64_t word = atomic_load(&r->word);

    /* Nobody else changes a free row. */
    store_plan(plan_of(r, word ^ WORD_PLAN), plan);
    atomic_store(&r->word, next_word(word, true, ROW_ARMED));
}

bool row_extend(struct row *r, struct clock_time deadline)
{
    struct row_plan plan;
    uint64_t word;

    if (row_look(r, &plan, &word) != ROW_ARMED)
        return false;
    plan.deadline = deadline;
    store_plan(plan_of(r, word ^ WORD_PLAN), &plan);
    return atomic_compare_exchange_strong(&r->word, &word,
                                          next_word(word, true, ROW_ARMED));
}

bool row_end(struct row *r, const struct row_plan *plan)
{
    for (;;) {
        struct row_plan now;
        struct row_plan next = *plan;
        uint64_t word;
        enum row_state state = row_look(r, &now, &word);

        if (state != ROW_ARMED && state != ROW_ENDING)
            return false;
        next.deadline = clock_min(now.deadline, plan->deadline);
        store_plan(plan_of(r, word ^ WORD_PLAN), &next);
        if (atomic_compare_exchange_strong(&r->word, &word,
                                           next_word(word, true, state)))
            return true;
    }
}

bool row_close(struct row *r)
{
    uint64_t word = atomic_load(&r->word);

    return (word & WORD_STATE) == ROW_ARMED &&
           atomic_compare_exchange_strong(&r->word, &word,
                                          next_word(word, false, ROW_CLOSED));
}

void row_free(struct row *r)
{
    uint64_t word = atomic_load(&r->word);

    r->work = 0;
    r->label[0] = '\0';
    /* The watch does not touch these states. */
    atomic_store(&r->word, next_word(word, false, ROW_FREE));
}

bool row_advance(struct row *r, uint64_t word, enum row_state state)
{
    return atomic_compare_exchange_strong(&r->word, &word,
                                          next_word(word, false, state));
}

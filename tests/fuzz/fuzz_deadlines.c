/* SPDX-License-Identifier: MIT */
/*
 * fuzz_deadlines.c - any bytes as the table of deadlines in /run that guard
 * and watch share. It is taken, made anew or refused with a reason; and in
 * whatever state its rows are found, no call does what that state forbids: a
 * deadline is only extended while the row is armed, an end is never later than
 * what was in force, a change that was not seen is never written over.
 *
 * An input: a byte that says whether the head is ours or its own, of this boot
 * or any, and whether the file is cut, the head (if its own), 64 bytes of
 * calls, then rows.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../modules/agent/deadlines.h"
#include "folder.h"

#define OWN_HEAD  1
#define IS_CUT    2
#define OF_BOOT   4
#define CALLS     64
#define HEAD_SIZE 4096 /* where rows begin */
#define ROWS      8    /* that are called on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/dev/shm/justalock-fuzz.XXXXXX";
static char path[64];
static uint8_t head[HEAD_SIZE]; /* that a first start has made */
static off_t whole;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void start(void)
{
    struct justalock_error err;
    struct table t;
    int fd;

    folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/table", folder);
    require(table_open(folder, &t, &err) == JUSTALOCK_OK);
    require(table_active(&t) == 0);
    table_close(&t);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0 && read(fd, head, sizeof(head)) == (ssize_t)sizeof(head));
    whole = lseek(fd, 0, SEEK_END);
    (void)close(fd);
}

static void put(int fd, const void *data, size_t len, off_t at)
{
    require(pwrite(fd, data, len, at) == (ssize_t)len);
}

/* Returns what is left of the input: calls. */
static const uint8_t *write_file(const uint8_t *data, size_t size)
{
    static uint8_t calls[CALLS];
    uint8_t flags = size > 0 ? data[0] : 0;
    uint32_t used = ROWS;
    size_t n;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0);
    if (size > 0) {
        data++;
        size--;
    }
    put(fd, head, sizeof(head), 0);
    put(fd, &used, sizeof(used), offsetof(struct table_header, used));
    if ((flags & OWN_HEAD) != 0) {
        n = size < sizeof(struct table_header) ? size
                                               : sizeof(struct table_header);
        put(fd, data, n, 0);
        if ((flags & OF_BOOT) != 0) {
            put(fd, head, sizeof(uint64_t), 0); /* magic */
            put(fd, head + offsetof(struct table_header, boot),
                sizeof(((struct table_header *)0)->boot),
                offsetof(struct table_header, boot));
        }
        data += n;
        size -= n;
    }
    memset(calls, 0, sizeof(calls));
    n = size < CALLS ? size : CALLS;
    memcpy(calls, data, n);
    n = size - n < ROWS * sizeof(struct row) ? size - n
                                             : ROWS * sizeof(struct row);
    put(fd, data + (size < CALLS ? size : CALLS), n, HEAD_SIZE);
    if ((flags & IS_CUT) == 0)
        require(ftruncate(fd, whole) == 0);
    (void)close(fd);
    return calls;
}

static bool is_later(struct clock_time a, struct clock_time b)
{
    return a.boot_ms > b.boot_ms || a.raw_ms > b.raw_ms;
}

static void call(struct table *t, struct row *r, uint8_t what)
{
    struct row_plan before, after;
    struct row_plan plan = {
        .deadline = {.boot_ms = 1000 + what, .raw_ms = 2000 - what},
        .term_lead_ms = 5,
        .policy = ROW_SIGNAL,
        .signo = what};
    uint64_t word, now;
    enum row_state state = row_look(r, &before, &word);
    bool did;

    require(state == row_state(r));
    switch (what % 8) {
    case 0:
        did = row_extend(r, plan.deadline);
        require(did == (state == ROW_ARMED));
        require(row_look(r, &after, &now) == state);
        require(did ? after.deadline.boot_ms == plan.deadline.boot_ms &&
                          after.policy == before.policy && now != word
                    : now == word &&
                          !is_later(after.deadline, before.deadline));
        break;
    case 1:
        did = row_end(r, &plan);
        require(did == (state == ROW_ARMED || state == ROW_ENDING));
        require(row_look(r, &after, &now) == state);
        require(!is_later(after.deadline, before.deadline));
        require(!did || (!is_later(after.deadline, plan.deadline) &&
                         after.policy == ROW_SIGNAL && after.signo == what));
        break;
    case 2:
        did = row_close(r);
        require(did == (state == ROW_ARMED));
        require(row_state(r) == (did ? ROW_CLOSED : state));
        break;
    case 3:
        require(row_advance(r, word, ROW_ENDING));
        require(!row_advance(r, word, ROW_DEAD)); /* it has changed since */
        require(row_state(r) == ROW_ENDING);
        break;
    case 4:
        row_free(r);
        require(row_state(r) == ROW_FREE && r->work == 0 &&
                r->label[0] == '\0');
        break;
    case 5:
        if (state != ROW_FREE)
            break;
        row_arm(r, &plan);
        require(row_look(r, &after, &now) == ROW_ARMED && now != word);
        require(after.deadline.raw_ms == plan.deadline.raw_ms);
        break;
    default:
        r = table_take(t);
        require(r == NULL || (row_state(r) == ROW_FREE && r->work == 0 &&
                              atomic_load(&r->who.kind) == IDENTITY_NONE));
        require(r == NULL ||
                atomic_load(&t->header->used) > (uint32_t)(r - t->rows));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    const uint8_t *calls;
    struct table t;

    if (whole == 0)
        start();
    calls = write_file(data, size);
    if (table_open(folder, &t, &err) != JUSTALOCK_OK) {
        require(err.text[0] != '\0');
        return 0;
    }
    require(table_active(&t) <= TABLE_ROWS);
    for (size_t i = 0; i < CALLS; i++)
        call(&t, &t.rows[(calls[i] >> 3) % ROWS], calls[i]);
    require(table_active(&t) <= TABLE_ROWS);
    table_close(&t);
    return 0;
}

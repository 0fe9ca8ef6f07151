/* SPDX-License-Identifier: MIT */
/*
 * test_guard_state.c - records in the state folder: whole or not at all, read
 * again by a new guard, put aside where they are damaged, and each allocation
 * and call fails in turn.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/agent/record.h"
#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static const char *path_of(const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof(path), "%s/%s", rig.state, name);
    return path;
}

static void write_bytes(const char *name, const void *data, size_t len)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(close(fd), 0);
}

static size_t read_bytes(const char *name, char *data, size_t size)
{
    ssize_t n = proc_read_file(AT_FDCWD, path_of(name), data, size);

    assert_true(n > 0);
    return (size_t)n;
}

/* Works 100 and on are forgotten, as with the process that knew them. */
static void forget(void)
{
    while (rig.g.works) {
        struct work *w = rig.g.works;
        char name[40], data[RECORD_MAX];
        size_t len = 0;

        (void)snprintf(name, sizeof(name), "work-%llu",
                       (unsigned long long)w->f.number);
        if (rig_has_file(name))
            len = read_bytes(name, data, sizeof(data));
        w->row = NULL; /* the table's */
        w->who.kind = IDENTITY_NONE;
        work_remove(&rig.g, w);
        if (len > 0)
            write_bytes(name, data, len);
    }
    rig.g.next_number = 1;
}

static void loads(void)
{
    struct justalock_error err;

    assert_ok(state_load(&rig.g, &err), err);
}

static struct work *held_command(void)
{
    int fd;

    rig_keeper();
    fd = rig_request(rig_command("a,b"));
    (void)rig_grant(0);
    (void)rig_grant(0);
    rig_expect(fd, WIRE_GO, "");
    return rig_work();
}

static struct work *job(uint64_t number)
{
    struct work *w = work_new(&rig.g, WORK_JOB, number);
    struct justalock_error err;

    w->f.job = rig_job(WIRE_JOB_BEGIN, (uint32_t)number, "")->job;
    assert_ok(state_save(&rig.g, w, &err), err);
    return w;
}

static void read_again(void **state)
{
    struct row *row;
    struct work *w;
    struct held first;
    uint64_t number;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    (void)rig_grant(0);
    rig_expect(fd, WIRE_GO, "");
    w = rig_work();
    number = w->f.number;
    row = w->row;
    first = w->helds[0];
    forget();
    loads();
    w = rig_work();
    assert_non_null(w);
    assert_int_equal(w->f.number, number);
    assert_int_equal(w->f.kind, WORK_COMMAND);
    assert_int_equal(w->state, WORK_HELD);
    assert_ptr_equal(w->row, row);
    assert_int_equal(w->who.kind, IDENTITY_TREE);
    assert_memory_equal(w->helds[0].lock.share, first.lock.share,
                        sizeof(first.lock.share));
    assert_memory_equal(w->helds[0].lock.client, first.lock.client, 32);
    assert_int_equal(w->helds[0].token, 42);
    assert_int_equal(rig.g.next_number, number + 1);
    assert_ptr_equal(work_by_number(&rig.g, number), w);
}

/* In the order in which they began, whatever the folder's. */
static void in_their_order(void **state)
{
    static const uint64_t numbers[] = {40, 7, 1000, 9, 8};
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < LENGTH(numbers); i++)
        (void)job(numbers[i]);
    forget();
    loads();
    assert_int_equal(rig.g.works_len, LENGTH(numbers));
    for (struct work *w = rig.g.works; w; w = w->next) {
        assert_true(w->f.number > last);
        assert_ptr_equal(w->next ? w->next->prev : rig.g.works->prev, w);
        last = w->f.number;
    }
    assert_int_equal(rig.g.next_number, 1001);
}

static void a_row_that_is_anothers(void **state)
{
    struct row *row;

    (void)state;
    row = held_command()->row;
    forget();
    row->work = 77; /* taken anew, armed */
    loads();
    assert_null(rig_work()->row);
    assert_int_equal(row->work, 77); /* armed: the watch's to end */
    assert_int_equal(row_state(row), ROW_ARMED);
    assert_int_equal(rig.g.next_number > 77, 1);
}

/* Taken by a guard that died before it had it on record. */
static void rows_of_nobody_are_free_again(void **state)
{
    struct row *taken = table_take(&rig.g.table), *closed, *dead;
    const struct row_plan plan = {.deadline = clock_now()};
    uint64_t word;
    struct row_plan now;

    (void)state;
    taken->work = 5000;
    closed = table_take(&rig.g.table);
    closed->work = 5001;
    row_arm(closed, &plan);
    assert_true(row_close(closed));
    dead = table_take(&rig.g.table);
    dead->work = 5002;
    row_arm(dead, &plan);
    (void)row_look(dead, &now, &word);
    assert_true(row_advance(dead, word, ROW_DEAD));
    loads();
    assert_int_equal(taken->work, 0);
    assert_int_equal(closed->work, 0);
    assert_int_equal(row_state(closed), ROW_FREE);
    assert_int_equal(dead->work, 5002); /* its lock is to be given back */
    assert_int_equal(rig.g.next_number, 5003); /* none is used again */
}

static void damaged_ones_are_put_aside(void **state)
{
    static char data[RECORD_MAX];
    size_t len;

    (void)state;
    (void)job(40);
    (void)job(41);
    (void)job(42);
    len = read_bytes("work-40", data, sizeof(data));
    forget();
    write_bytes("work-40", data, len - 1);
    write_bytes("work-41", data, 0);
    loads();
    assert_int_equal(rig_work()->f.number, 42);
    assert_true(rig_has_file("work-40.damaged"));
    assert_true(rig_has_file("work-41.damaged"));
    assert_false(rig_has_file("work-40"));
    forget();
    loads(); /* those are left alone from then on */
    assert_int_equal(rig_work()->f.number, 42);
}

static void of_an_earlier_boot(void **state)
{
    (void)state;
    (void)job(40);
    forget();
    memset(rig.g.table.header->boot, 'x', 36);
    loads();
    assert_null(rig_work());
    assert_false(rig_has_file("work-40"));
}

static void what_else_is_in_the_folder(void **state)
{
    (void)state;
    (void)job(40);
    forget();
    write_bytes("new-41", "half", 4); /* never renamed */
    write_bytes("life-39", "", 0);    /* its record is gone */
    write_bytes("life-40", "", 0);
    write_bytes("life-x", "", 0);
    write_bytes("work-4x", "not ours", 8);
    write_bytes("work-", "not ours", 8);
    loads();
    assert_int_equal(rig_work()->f.number, 40);
    assert_false(rig_has_file("new-41"));
    assert_false(rig_has_file("life-39"));
    assert_true(rig_has_file("life-40"));
    assert_true(rig_has_file("life-x"));
    assert_true(rig_has_file("work-4x"));
}

static void a_folder_that_is_gone(void **state)
{
    struct justalock_error err;
    char state_dir[80];

    (void)state;
    memcpy(state_dir, rig.state, sizeof(state_dir));
    rig.state[strlen(rig.state) - 1] = 'X';
    assert_fails(state_load(&rig.g, &err), JUSTALOCK_SYS, err, "statX");
    memcpy(rig.state, state_dir, sizeof(state_dir));
}

/* The old record stays where the new one cannot be written. */
static void the_old_or_the_new_one(void **state)
{
    static const char *const calls[] = {"rename", "write"};
    static char before[RECORD_MAX], after[RECORD_MAX];
    struct work *w = job(40);
    struct justalock_error err;
    size_t len = read_bytes("work-40", before, sizeof(before));

    (void)state;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        w->state = WORK_GONE;
        failing_call(calls[i], ENOSPC);
        assert_fails(state_save(&rig.g, w, &err), JUSTALOCK_SYS, err,
                     "No space left on device");
        assert_has(err.text, i == 0 ? "/work-40: " : "/new-40: ");
        assert_int_equal(read_bytes("work-40", after, sizeof(after)), len);
        assert_memory_equal(after, before, len);
        assert_false(rig_has_file("new-40"));
    }
    assert_ok(state_save(&rig.g, w, &err), err);
    assert_true(rig_is_recorded(40, WORK_GONE));
    state_drop(&rig.g, w);
    assert_false(rig_has_file("work-40"));
    state_drop(&rig.g, w); /* once more is no fault */
}

/* A link in the place of the new file is not followed. */
static void no_link_is_followed(void **state)
{
    struct work *w = work_new(&rig.g, WORK_JOB, 40);
    struct justalock_error err;
    char target[80];

    (void)state;
    (void)snprintf(target, sizeof(target), "%s/target", rig.folder);
    assert_int_equal(symlink(target, path_of("new-40")), 0);
    assert_fails(state_save(&rig.g, w, &err), JUSTALOCK_SYS, err, "new-40");
    assert_int_equal(access(target, F_OK), -1);
}

static void a_path_that_is_too_long(void **state)
{
    static char longer[5000];
    struct work *w = work_new(&rig.g, WORK_JOB, 40);
    struct justalock_error err;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    rig.o.state = longer;
    assert_fails(state_save(&rig.g, w, &err), JUSTALOCK_ARG, err, "xxx");
    rig.o.state = rig.state;
}

/* Writing: the old one stays. Reading: none is deleted, none half read. */
static void each_allocation_fails(void **state)
{
    struct work *w = held_command();
    struct justalock_error err;
    bool is_done = false;
    uint64_t number = w->f.number;
    long nth;

    (void)state;
    for (nth = 0; !is_done; nth++) {
        enum justalock_status st;
        long live = failing_live();

        w->state = WORK_LEAVING;
        failing_memory(nth);
        st = state_save(&rig.g, w, &err);
        is_done = !failing_came();
        failing_memory(-1);
        assert_int_equal(failing_live(), live);
        assert_int_equal(st == JUSTALOCK_OK, is_done);
        assert_int_equal(rig_is_recorded(number, w->state), is_done);
        w->state = WORK_HELD;
        assert_ok(state_save(&rig.g, w, &err), err);
    }
    assert_true(nth > 2);
    forget();
    is_done = false;
    for (nth = 0; !is_done; nth++) {
        enum justalock_status st;

        failing_memory(nth);
        st = state_load(&rig.g, &err);
        is_done = !failing_came();
        failing_memory(-1);
        if (is_done)
            assert_int_equal(st, JUSTALOCK_OK);
        assert_true(rig_is_recorded(number, WORK_HELD));
        /* All of it, or nothing: its locks must not be taken for none. */
        if (rig.g.works)
            assert_int_equal(rig.g.works->f.helds_len, 2);
        assert_int_equal(row_state(&rig.g.table.rows[0]), ROW_ARMED);
        assert_int_equal(rig.g.table.rows[0].work, number);
        forget();
    }
    assert_true(nth > 3);
}

/* Not a word of it is believed to be missing: the next guard reads it. */
static void no_descriptor_to_read_it_with(void **state)
{
    struct rlimit most, few;
    struct justalock_error err;
    int fd = dup(0);

    (void)state;
    (void)job(40);
    forget();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
    (void)close(fd);
    for (rlim_t more = 0; more < 2; more++) {
        few = most;
        few.rlim_cur = (rlim_t)fd + more; /* the folder, and no file in it */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(state_load(&rig.g, &err), JUSTALOCK_SYS);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
        assert_has(err.text, more ? "work-40: Too many" : "state: Too many");
        assert_true(rig_has_file("work-40"));
    }
    loads();
    assert_int_equal(rig_work()->f.number, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(read_again),
        RIG_TEST(in_their_order),
        RIG_TEST(a_row_that_is_anothers),
        RIG_TEST(rows_of_nobody_are_free_again),
        RIG_TEST(damaged_ones_are_put_aside),
        RIG_TEST(of_an_earlier_boot),
        RIG_TEST(what_else_is_in_the_folder),
        RIG_TEST(a_folder_that_is_gone),
        RIG_TEST(the_old_or_the_new_one),
        RIG_TEST(no_link_is_followed),
        RIG_TEST(a_path_that_is_too_long),
        RIG_TEST(no_descriptor_to_read_it_with),
        RIG_TEST(each_allocation_fails),
    };

    return RIG_RUN(tests);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_guard_works.c - the list of all work: found again by number, handle,
 * job and owner, placed where the watch finds it, refused where there is no
 * memory for it.
 */
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static struct work *add_job(uint32_t job_id)
{
    struct work *w = work_new(&rig.g, WORK_JOB, 0);

    assert_non_null(w);
    w->f.job.job_id = job_id;
    w->f.job.array_id = WIRE_NO_ARRAY;
    return w;
}

static void found_by_number_and_handle(void **state)
{
    struct work *a = add_job(1), *b = add_job(2);
    struct held *h = NULL;

    (void)state;
    assert_int_equal(b->f.number, a->f.number + 1);
    assert_ptr_equal(work_by_number(&rig.g, a->f.number), a);
    assert_ptr_equal(work_by_number(&rig.g, b->f.number), b);
    assert_null(work_by_number(&rig.g, 0));
    assert_null(work_by_number(&rig.g, b->f.number + 1));

    b->helds = calloc(WIRE_LOCKS_MAX, sizeof(*b->helds));
    b->f.helds_len = WIRE_LOCKS_MAX;
    for (size_t i = 0; i < WIRE_LOCKS_MAX; i++) {
        assert_ptr_equal(
            work_by_handle(&rig.g, work_handle(b, &b->helds[i]), &h), b);
        assert_ptr_equal(h, &b->helds[i]);
    }
    /* An index that the work does not have, and a work that is none. */
    assert_null(work_by_handle(
        &rig.g, b->f.number << GUARD_HANDLE_BITS | WIRE_LOCKS_MAX, &h));
    assert_null(work_by_handle(&rig.g, 7 << GUARD_HANDLE_BITS, &h));
    assert_null(work_by_handle(&rig.g, 3, &h));
    work_remove(&rig.g, a);
    assert_null(work_by_number(&rig.g, b->f.number - 1));
    assert_ptr_equal(work_by_number(&rig.g, b->f.number), b);
    assert_int_equal(rig.g.works_len, 1);
}

static void found_by_job_the_one_that_is_now(void **state)
{
    struct work *old = add_job(5), *now;

    (void)state;
    assert_ptr_equal(work_by_job(&rig.g, 5), old);
    assert_null(work_by_job(&rig.g, 6));
    old->is_old = true;
    assert_null(work_by_job(&rig.g, 5));
    now = add_job(5);
    assert_ptr_equal(work_by_job(&rig.g, 5), now);
    now->f.is_over = true;
    assert_null(work_by_job(&rig.g, 5));
}

static void found_by_owner(void **state)
{
    struct work *w = work_new(&rig.g, WORK_COMMAND, 0);

    (void)state;
    /* One that was not to be seen owns nothing. */
    assert_null(work_by_owner(&rig.g, 0));
    w->f.owner = proc_key_self();
    assert_ptr_equal(work_by_owner(&rig.g, proc_key_self()), w);
    w->f.is_over = true;
    assert_null(work_by_owner(&rig.g, proc_key_self()));
}

static void no_memory_is_refused(void **state)
{
    size_t before = rig.g.works_len;
    struct work *w = NULL;
    long nth = 0;

    (void)state;
    for (; !w && nth < 10; nth++) {
        long live = failing_live();

        failing_memory(nth);
        w = work_new(&rig.g, WORK_JOB, 0);
        failing_memory(-1);
        if (w)
            break;
        assert_int_equal(failing_live(), live);
        assert_int_equal(rig.g.works_len, before);
        assert_null(rig.g.works);
    }
    assert_true(nth > 0); /* some failed */
    assert_ptr_equal(work_by_number(&rig.g, w->f.number), w);
    /* When the table of numbers grows, too. */
    for (int i = 0; i < 2000; i++) {
        failing_memory(1);
        if (!work_new(&rig.g, WORK_JOB, 0))
            assert_true(failing_came());
    }
    failing_memory(-1);
    for (w = rig.g.works; w; w = w->next)
        assert_ptr_equal(work_by_number(&rig.g, w->f.number), w);
}

static void too_many_are_refused(void **state)
{
    (void)state;
    rig.g.works_len = GUARD_FACTS_MAX;
    assert_null(work_new(&rig.g, WORK_JOB, 0));
    rig.g.works_len = 0;
}

static void has_a_name_that_people_know(void **state)
{
    struct work *w = add_job(812);
    char text[64];

    (void)state;
    work_text(w, text, sizeof(text));
    assert_string_equal(text, "job 812");
    w->f.job.array_id = 800;
    w->f.job.array_task = 12;
    work_text(w, text, sizeof(text));
    assert_string_equal(text, "job 800_12");
    w = work_new(&rig.g, WORK_SESSION, 0);
    w->f.owner = proc_key_self();
    memcpy(w->f.login, "sshd", 5);
    memcpy(w->f.user, "alice", 6);
    work_text(w, text, sizeof(text));
    assert_has(text, "sshd session ");
    assert_has(text, " of alice");
}

/* Without cgroups: a job by its environment, a command by its tree. */
static void placed_without_cgroups(void **state)
{
    struct work *job = add_job(9), *command;
    pid_t pid = rig_process(9, 0);
    struct justalock_error err;

    (void)state;
    job->row = table_take(&rig.g.table);
    job->row->work = job->f.number;
    assert_ok(work_put(&rig.g, job, proc_key_of(pid), &err), err);
    assert_int_equal(job->row->who.kind, IDENTITY_JOB);
    assert_int_equal(job->row->who.job_id, 9);
    assert_true(job->has_started);
    assert_int_equal(work_count(&job->row->who), 1);
    assert_string_equal(job->row->label, "job 9");

    command = work_new(&rig.g, WORK_COMMAND, 0);
    command->row = table_take(&rig.g.table);
    command->row->work = command->f.number;
    work_place(&rig.g, command, 0);
    work_changed_identity(command);
    assert_int_equal(command->row->who.kind, IDENTITY_TREE);
    assert_int_equal(work_count(&command->row->who), 0); /* none started */
    assert_ok(work_put(&rig.g, command, proc_key_of(pid), &err), err);
    assert_int_equal(atomic_load(&command->row->who.root), proc_key_of(pid));
    assert_int_equal(work_count(&command->row->who), 1);

    rig_kill(pid);
    assert_int_equal(work_count(&command->row->who), 0);
    assert_fails(work_put(&rig.g, command, command->who.root, &err),
                 JUSTALOCK_STATE, err, "is gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(found_by_number_and_handle),
        RIG_TEST(found_by_job_the_one_that_is_now),
        RIG_TEST(found_by_owner),
        RIG_TEST(no_memory_is_refused),
        RIG_TEST(too_many_are_refused),
        RIG_TEST(has_a_name_that_people_know),
        RIG_TEST(placed_without_cgroups),
    };

    return RIG_RUN(tests);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_guard_take.c - whose client a work is, and which of several policies
 * counts: the strictest, and a line of pam.d never loosens a definition.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static struct work *w; /* the next taken frees it */

static struct work *fresh(enum work_kind kind)
{
    if (w)
        work_remove(&rig.g, w);
    w = work_new(&rig.g, kind, 0);
    w->f.job = rig_job(WIRE_JOB_BEGIN, 5, "")->job;
    w->f.is_told = true;
    return w;
}

static int end(void **state)
{
    w = NULL;
    return rig_guard_down(state);
}

static enum justalock_status take(const char *list, const char *client,
                                  struct justalock_error *err)
{
    static struct wants wants;

    assert_ok(locks_parse(&rig.g, list, &w->f, &wants, err), *err);
    return locks_take(&rig.g, w, &wants, client, "alice \x80@n1", err);
}

static void takes(const char *list)
{
    struct justalock_error err;

    assert_ok(take(list, "", &err), err);
}

static const struct keeper_lock *lock(void)
{
    return &w->helds[0].lock;
}

static void nodes_of_a_job_are_one_client(void **state)
{
    struct keeper_lock first;

    (void)state;
    (void)fresh(WORK_JOB);
    takes("a");
    first = *lock();
    assert_int_equal(first.client_len, 32);
    assert_true(first.reusable_client);
    assert_string_equal(first.label, "alice ?@n1"); /* a header's value */
    takes("a"); /* another node: the client's share is its own */
    assert_memory_equal(first.client, lock()->client, 32);
    assert_string_not_equal(first.share, lock()->share);
    w->f.job.restart = 1; /* the next run waits for this one */
    takes("a");
    assert_memory_not_equal(first.client, lock()->client, 32);
    w->f.job.restart = 0;
    w->f.job.leader_id = 4; /* a component is its leader's */
    takes("a");
    assert_memory_not_equal(first.client, lock()->client, 32);
    w->f.job.leader_id = 5;
    rig_config("\"slurm\": {\"cluster\": \"other\"}");
    takes("a");
    assert_memory_not_equal(first.client, lock()->client, 32);
}

static void without_a_secret(void **state)
{
    struct justalock_error err;

    (void)state;
    rig.g.has_secret = false;
    (void)snprintf(rig.g.secret_error, sizeof(rig.g.secret_error), "no file");
    (void)fresh(WORK_JOB);
    takes("a"); /* on one node: of nobody else */
    assert_false(lock()->reusable_client);
    w->f.job.node_count = 2;
    assert_fails(take("a", "", &err), JUSTALOCK_CONFIG, err,
                 "a job on several nodes needs the site secret: no file");
    w->f.job.node_count = 1;
    w->f.job.leader_id = 4;
    assert_fails(take("a", "", &err), JUSTALOCK_CONFIG, err, "several nodes");
    w->f.is_told = false; /* nothing is known of it */
    takes("a");
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\", \"share\": \"host\"}}");
    rig.g.has_secret = false;
    (void)fresh(WORK_SESSION);
    assert_fails(take("s", "", &err), JUSTALOCK_CONFIG, err,
                 "share=host needs the site secret");
}

static void a_client_of_ones_own(void **state)
{
    struct keeper_lock first;
    struct justalock_error err;

    (void)state;
    (void)fresh(WORK_COMMAND);
    takes("a");
    first = *lock();
    assert_false(first.reusable_client);
    takes("a");
    assert_memory_not_equal(first.client, lock()->client, 32);
    assert_ok(take("a", "my-client", &err), err);
    assert_int_equal(lock()->client_len, 9);
    assert_memory_equal(lock()->client, "my-client", 9);
    assert_true(lock()->reusable_client);
}

static void sessions_of_one_host_are_one_client(void **state)
{
    struct keeper_lock first;

    (void)state;
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\", \"share\": \"host\"},"
               " \"n\": {\"for\": \"pam\"}}");
    (void)fresh(WORK_SESSION);
    w->f.uid = 1000;
    takes("s");
    first = *lock();
    assert_true(first.reusable_client);
    takes("s");
    assert_memory_equal(first.client, lock()->client, 32);
    memcpy(rig.g.host, "n2", 3);
    takes("s");
    assert_memory_not_equal(first.client, lock()->client, 32);
    memcpy(rig.g.host, "n1", 3);
    w->f.uid = 1001;
    takes("s");
    assert_memory_not_equal(first.client, lock()->client, 32);
    (void)fresh(WORK_SESSION);
    takes("n");
    assert_false(lock()->reusable_client);
}

static void the_token_is_read_here(void **state)
{
    struct justalock_error err;
    char path[128], text[256];
    FILE *f;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/token", rig.folder);
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": \"https://h/\","
                   " \"token_file\": \"%s\"}}",
                   path);
    f = fopen(rig.config, "w");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
    f = fopen(path, "w");
    assert_true(f && fputs("secret-token\r\n", f) >= 0 && fclose(f) == 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(guard_reload(&rig.g, &err));
    (void)fresh(WORK_COMMAND);
    takes("a");
    assert_string_equal(w->service->token, "secret-token");
    assert_string_equal(w->service->url, "https://h/");
    assert_int_equal(chmod(path, 0640), 0);
    assert_fails(take("a", "", &err), JUSTALOCK_CONFIG, err,
                 "mode 0640 gives others more");
    assert_int_equal(unlink(path), 0);
    assert_fails(take("a", "", &err), JUSTALOCK_CONFIG, err, "No such file");
    assert_int_equal(w->f.helds_len, 1); /* as before */
}

static void the_strictest_of_several(void **state)
{
    (void)state;
    rig_config("\"locks\": {"
               "\"lax\": {\"on_unreachable\": \"open\", \"on_lost\": \"log\","
               " \"on_end\": \"keep\", \"wait\": \"20m\", \"grace\": \"9s\"},"
               "\"strict\": {\"on_unreachable\": \"closed\","
               " \"on_lost\": \"kill\", \"on_end\": \"kill\", \"wait\": 30,"
               " \"grace\": \"2s\"}}");
    (void)fresh(WORK_JOB);
    takes("lax");
    assert_int_equal(w->f.on_unreachable, CONFIG_UNREACHABLE_OPEN);
    assert_int_equal(w->f.on_lost, CONFIG_LOST_LOG);
    assert_int_equal(w->f.on_end, CONFIG_END_KEEP);
    assert_int_equal(w->f.wait_ms, 20 * 60000);
    (void)fresh(WORK_JOB);
    takes("lax,strict");
    assert_int_equal(w->f.on_unreachable, CONFIG_UNREACHABLE_CLOSED);
    assert_int_equal(w->f.on_lost, CONFIG_LOST_KILL);
    assert_int_equal(w->f.on_end, CONFIG_END_KILL);
    assert_int_equal(w->f.wait_ms, 30000);
    assert_int_equal(w->f.grace_ms, 9000); /* nobody gets less than its own */
    w->f.wait_ms = 7;                      /* asked for: the user's own */
    takes("lax,strict");
    assert_int_equal(w->f.wait_ms, 7);
    /* A command says itself what a loss means to it. */
    (void)fresh(WORK_COMMAND);
    w->f.on_lost = CONFIG_LOST_LOG;
    takes("lax,strict");
    assert_int_equal(w->f.on_lost, CONFIG_LOST_LOG);
}

static void a_command(void **state)
{
    (void)state;
    rig_config("\"locks\": {\"l\": {\"on_unreachable\": \"open\","
               " \"on_busy\": \"fail\", \"on_end\": \"release\"}}");
    (void)fresh(WORK_COMMAND);
    takes("l");
    /* Never without its lock. */
    assert_int_equal(w->f.on_unreachable, CONFIG_UNREACHABLE_CLOSED);
    assert_int_equal(w->f.on_busy, WIRE_BUSY_FAIL);
    assert_int_equal(w->f.on_end, CONFIG_END_RELEASE);
    /* Its own -w goes before the definition. */
    (void)fresh(WORK_COMMAND);
    w->f.wait_ms = 10000;
    takes("l");
    assert_int_equal(w->f.on_busy, WIRE_BUSY_WAIT);
    assert_int_equal(w->f.wait_ms, 10000);
    (void)fresh(WORK_JOB);
    w->f.wait_ms = 10000;
    takes("l");
    assert_int_equal(w->f.on_busy, WIRE_BUSY_FAIL);
}

/* What a line of pam.d asks for beside a definition. */
static void pam_d_is_stricter_or_nothing(void **state)
{
    static const struct {
        const char *lock;
        int64_t wait, want_wait;
        enum config_end end, want_end;
        enum config_lost lost, want_lost;
        bool shares, want_shared;
    } all[] = {
        /* nothing is said: the line's, else what is built in */
        {"silent", 5000, 5000, CONFIG_END_RELEASE, CONFIG_END_RELEASE,
         CONFIG_LOST_LOG, CONFIG_LOST_LOG, true, true},
        {"silent", WIRE_WAIT_DEFAULT, 0, CONFIG_END_UNSET, CONFIG_END_KEEP,
         CONFIG_LOST_UNSET, CONFIG_LOST_KILL, false, false},
        /* stricter than the definition */
        {"says", 1000, 1000, CONFIG_END_KILL, CONFIG_END_KILL, CONFIG_LOST_KILL,
         CONFIG_LOST_KILL, true, false},
        /* longer than a program listens */
        {"long", WIRE_WAIT_DEFAULT, 3600000, CONFIG_END_KEEP, CONFIG_END_KEEP,
         CONFIG_LOST_KILL, CONFIG_LOST_KILL, false, false},
        {"long", 3600001, 3600000, CONFIG_END_KEEP, CONFIG_END_KEEP,
         CONFIG_LOST_KILL, CONFIG_LOST_KILL, false, false},
        /* busy is no wait */
        {"fails", 5000, 0, CONFIG_END_KEEP, CONFIG_END_KEEP, CONFIG_LOST_KILL,
         CONFIG_LOST_KILL, false, false},
        {"fails", WIRE_WAIT_DEFAULT, 0, CONFIG_END_KEEP, CONFIG_END_KEEP,
         CONFIG_LOST_KILL, CONFIG_LOST_KILL, false, false},
        /* looser */
        {"says", 60000, 3000, CONFIG_END_RELEASE, CONFIG_END_KEEP,
         CONFIG_LOST_LOG, CONFIG_LOST_SIGNAL, false, false},
    };

    (void)state;
    rig_config(
        "\"locks\": {\"silent\": {\"for\": \"pam\"},"
        "\"long\": {\"for\": \"pam\", \"wait\": \"2h\"},"
        "\"fails\": {\"for\": \"pam\", \"wait\": 3, \"on_busy\": \"fail\"},"
        "\"says\": {\"for\": \"pam\", \"wait\": 3, \"on_busy\": \"wait\","
        " \"on_end\": \"keep\", \"on_lost\": \"signal:HUP\","
        " \"share\": \"none\"}}");
    for (size_t i = 0; i < LENGTH(all); i++) {
        (void)fresh(WORK_SESSION);
        w->f.wait_ms = all[i].wait;
        w->f.on_end = all[i].end;
        w->f.on_lost = all[i].lost;
        w->f.is_shared = all[i].shares;
        takes(all[i].lock);
        assert_int_equal(w->f.wait_ms, all[i].want_wait);
        assert_int_equal(w->f.on_end, all[i].want_end);
        assert_int_equal(w->f.on_lost, all[i].want_lost);
        assert_int_equal(w->f.is_shared, all[i].want_shared);
        assert_int_equal(w->f.on_busy,
                         w->f.wait_ms == 0 ? WIRE_BUSY_FAIL : WIRE_BUSY_WAIT);
        assert_int_equal(w->f.on_unreachable, CONFIG_UNREACHABLE_CLOSED);
    }
}

static void no_memory(void **state)
{
    struct justalock_error err;
    const struct held *before;

    (void)state;
    (void)fresh(WORK_COMMAND);
    takes("a");
    before = w->helds;
    failing_memory(0);
    assert_int_equal(take("a,b", "", &err), JUSTALOCK_NOMEM);
    failing_memory(-1);
    assert_ptr_equal(w->helds, before);
    assert_int_equal(w->f.helds_len, 1);
}

static void names_that_fit(void **state)
{
    char list[8];

    (void)state;
    (void)fresh(WORK_COMMAND);
    locks_names(w, list, sizeof(list));
    assert_string_equal(list, "");
    takes("abc");
    locks_names(w, list, sizeof(list));
    assert_string_equal(list, "abc");
    takes("abc,xyz"); /* seven and the end */
    locks_names(w, list, sizeof(list));
    assert_int_equal(strlen(list), 7);
    locks_names(w, list, 7); /* whole names only */
    assert_int_equal(strlen(list), 3);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_guard_up, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_of_a_job_are_one_client),
        TEST(without_a_secret),
        TEST(a_client_of_ones_own),
        TEST(sessions_of_one_host_are_one_client),
        TEST(the_token_is_read_here),
        TEST(the_strictest_of_several),
        TEST(a_command),
        TEST(pam_d_is_stricter_or_nothing),
        TEST(no_memory),
        TEST(names_that_fit),
    };

    return RIG_RUN(tests);
}

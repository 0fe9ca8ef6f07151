/* SPDX-License-Identifier: MIT */
/*
 * test_config.c - config.c with its schema, values, checks and show: each
 * fault with its place and text, which files are read, that what is shown
 * parses back, and that each allocation may fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "config_help.h"

/* ---- from memory ---- */

static void test_defaults(void **state)
{
    struct config *c = take("{}");

    (void)state;
    assert_string_equal(c->service.url, CONFIG_URL);
    assert_string_equal(c->secret_file, CONFIG_SECRET);
    assert_string_equal(c->agent.keeper_user, "justalock");
    assert_false(c->secret_file_set || c->hashed_names);
    assert_true(c->adhoc);
    assert_int_equal(c->slurm.requeue_max, 16);
    assert_null(c->slurm.cluster);
    assert_int_equal(c->locks_len, 0);
    assert_true(c->service.timeout_ms == 0);
    assert_string_equal(c->files[0], "f.json");
    assert_null(c->files[1]);
    config_free(c);
    config_free(NULL);
}

/* Several servers: a text with commas, or a list; a list of one is one. */
static void test_servers(void **state)
{
    static const char *const cases[][2] = {
        {"\"http://a:1,http://b:2\"", "http://a:1,http://b:2"},
        {"[\"http://a:1\", \"http://b:2\"]", "http://a:1,http://b:2"},
        {"[\"https://a/x\"]", "https://a/x"},
        {"[\"unix:/s\", \"http://b\", \"http://c\"]",
         "unix:/s,http://b,http://c"},
    };
    char text[2048];
    char part[300];
    struct config *c;
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        (void)snprintf(text, sizeof(text), "{\"service\": {\"url\": %s}}",
                       cases[i][0]);
        c = take(text);
        assert_string_equal(c->service.url, cases[i][1]);
        config_free(c);
    }
    /* 511 bytes with the comma, and one more. */
    memset(part, 'a', sizeof(part));
    memcpy(part, "http://", 7);
    part[255] = '\0';
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": [\"%s\", \"%.254sb\"]}}", part,
                   part);
    c = take(text);
    assert_int_equal(strlen(c->service.url), 511);
    config_free(c);
    (void)snprintf(text, sizeof(text),
                   "{\"service\": {\"url\": [\"%s\", \"%sb\"]}}", part, part);
    assert_int_equal(parse(text, &c, &err), JUSTALOCK_CONFIG);
    assert_has(err.text, "511 bytes at most");
}

static void test_values(void **state)
{
    struct config *c = take(
        "{\"service\": {\"url\": \"unix:/run/s\", \"timeout\": \"1500ms\","
        "  \"proxy\": \"socks5h://p:1\"}, \"secret_file\": \"/s\","
        " \"adhoc\": false, \"defaults\": {\"lifetime\": 120, \"wait\": 0},"
        " \"locks\": {\"a\": {\"for\": [\"pam\", \"command\"],"
        "  \"users\": \"bob\", \"lifetime\": \"2m\", \"wait\": \"forever\","
        "  \"on_busy\": \"fail\", \"on_unreachable\": \"open\","
        "  \"on_lost\": \"signal:SIGUSR1\", \"on_end\": \"release\","
        "  \"share\": \"host\", \"grace\": \"2s\","
        "  \"id\": \"00112233445566778899AABBCCDDEEFF\"}}}");
    const struct config_lock *a = &c->locks[0];

    (void)state;
    assert_string_equal(c->service.url, "unix:/run/s");
    assert_string_equal(c->service.proxy, "socks5h://p:1");
    assert_true(c->service.timeout_ms == 1500);
    assert_true(c->secret_file_set && !c->adhoc);
    assert_int_equal(c->defaults.lifetime_s, 120);
    assert_true(c->defaults.wait_ms == 0);
    assert_int_equal(c->locks_len, 1);
    assert_string_equal(a->name, "a");
    assert_int_equal(a->for_mask, CONFIG_FOR_PAM | CONFIG_FOR_COMMAND);
    assert_string_equal(a->users[0], "bob");
    assert_null(a->users[1]);
    assert_int_equal(a->lifetime_s, 120);
    assert_true(a->wait_ms == -1 && a->grace_ms == 2000);
    assert_int_equal(a->on_busy, CONFIG_BUSY_FAIL);
    assert_int_equal(a->on_unreachable, CONFIG_UNREACHABLE_OPEN);
    assert_int_equal(a->on_lost, CONFIG_LOST_SIGNAL);
    assert_int_equal(a->lost_signal, 10);
    assert_int_equal(a->on_end, CONFIG_END_RELEASE);
    assert_int_equal(a->share, CONFIG_SHARE_HOST);
    assert_true(a->has_id);
    assert_int_equal(a->id.bytes[15], 0xff);
    config_free(c);
}

static void test_faults(void **state)
{
    static const char *const bad[][2] = {
        {"{\n \"locks\": {\"scratch\": {\"lifetime\": 0}}}",
         "f.json:2:36: locks.scratch.lifetime: 0 is not within 1 and 65535 "
         "seconds"},
        {"{\"locks\": {\"a\": {\"lifetime\": 65536}}}", "65536 is not within"},
        {"{\"locks\": {\"a\": {\"lifetime\": -1}}}", "is not a time"},
        {"{\"locks\": {\"a\": {\"lifetime\": 1e1}}}", "is not a time"},
        {"{\"locks\": {\"a\": {\"lifetime\": 1.5}}}", "is not a time"},
        {"{\"locks\": {\"a\": {\"lifetime\": \"1500ms\"}}}", "whole number"},
        {"{\"locks\": {\"a\": {\"lifetime\": true}}}", "must be a number of"},
        {"{\"locks\": {\"a\": {\"wait\": 99999999999}}}", "is above 2592000s"},
        {"{\"locks\": {\"a\": {\"wait\": \"ever\"}}}", "is not a time"},
        {"{\"locks\": {\"a\": {\"grace\": 0}}}", "0 is not within 1ms"},
        {"{\"locks\": {\"a\": {\"on_busy\": \"wiat\"}}}",
         "\"wiat\" is not \"wait\", \"fail\" or \"requeue\"; did you mean "
         "\"wait\"?"},
        {"{\"locks\": {\"a\": {\"on_busy\": null}}}", "must be \"wait\""},
        {"{\"locks\": {\"a\": {\"on_lost\": \"signal:FOO\"}}}", "no signal"},
        {"{\"locks\": {\"a\": {\"for\": []}}}", "at least one"},
        {"{\"locks\": {\"a\": {\"for\": [\"slurm\", \"cron\"]}}}", "\"cron\""},
        {"{\"locks\": {\"a\": {\"id\": \"abc\"}}}", "locks.a.id: \"abc\""},
        {"{\"locks\": {\"a\": {\"users\": []}}}", "0 entries"},
        {"{\"locks\": {\"a\": {\"users\": [1]}}}", "must be a text or a list"},
        {"{\"locks\": {\"a\": {\"users\": [\"\"]}}}", "0 bytes"},
        {"{\"locks\": {\"a\": {\"users\": \"x\\ny\"}}}", "control"},
        {"{\"locks\": {\"a\": []}}", "locks.a: must be an object"},
        {"{\"locks\": {\"a\": {\"slots\": 0}}}",
         "f.json:1:27: locks.a.slots: 0 is not within 1 and 1024"},
        {"{\"locks\": {\"a\": {\"slots\": 1025}}}",
         "1025 is not within 1 and 1024"},
        {"{\"locks\": {\"a\": {\"slots\": \"2\"}}}", "a whole number"},
        {"{\"defaults\": {\"slots\": 2}}", "defaults.slots: unknown key"},
        {"{\"locks\": []}", "locks: must be an object of locks"},
        {"{\"locks\": {\"\": {}}}",
         "f.json:1:12: locks.\"\": the name is empty"},
        {"{\"locks\": {\"a.b\": {\"x\": 1}}}", "locks.\"a.b\".x: unknown key"},
        {"{\"locks\": {\"%u-%h\": {}}}", "%u and %h apart"},
        {"{\"locks\": {\"50%\": {}}}", "%% for % itself"},
        {"{\"locks\": {\"l-%u\": {\"id\": "
         "\"00000000000000000000000000000000\"}}}",
         "cannot share one id"},
        /* 24 characters are base64, and these are not. */
        {"{\"locks\": {\"not-base64-and-not-an-id\": {}}}", "locks.not-base64"},
        {"{\"lcoks\": {}}", "f.json:1:2: lcoks: unknown key; did you mean "
                            "\"locks\"?"},
        {"{\"zzz\": {}}", "zzz: unknown key"},
        {"{\"service\": {\"url\": \"ftp://x/\"}}", "f.json:1:21: service.url:"},
        {"{\"service\": {\"url\": \"http://\"}}", "service.url"},
        {"{\"service\": {\"url\": \"http:///x\"}}", "service.url"},
        {"{\"service\": {\"url\": \"https://a b/\"}}", "service.url"},
        {"{\"service\": {\"url\": \"https://u:p@h/\"}}", "user or password"},
        {"{\"service\": {\"url\": \"unix:run/x\"}}", "service.url"},
        {"{\"service\": {\"url\": \"http://h/?q=1\"}}",
         "f.json:1:21: service.url: http://h/?q=1: no query"},
        {"{\"service\": {\"url\": \"http://h:70000/\"}}", "a port within"},
        {"{\"service\": {\"url\": \"http://a,http://b,http://a/\"}}",
         "f.json:1:21: service.url: http://a is named twice"},
        {"{\"service\": {\"url\": [\"http://a\", \"https://b\"]}}",
         "service.url: http://a beside https://b: all over https"},
        {"{\"service\": {\"url\": [\"https://a\", "
         "\"https://justalock.dev/\"]}}",
         "a service of its own"},
        {"{\"service\": {\"url\": \"http://a,\"}}", "missing before"},
        {"{\"service\": {\"url\": \"http://a,http:///b\"}}", "http:///b"},
        {"{\"service\": {\"url\": []}}", "one server at least"},
        {"{\"service\": {\"url\": [\"http://a\", 1]}}",
         "f.json:1:34: service.url: must be https"},
        {"{\"service\": {\"url\": [\"http://a,http://b\"]}}",
         "without a comma"},
        {"{\"service\": {\"url\": [\"http://a\", \"http://u@b\"]}}", "no user"},
        {"{\"service\": {\"ca_file\": \"ca.pem\"}}", "begins with /"},
        {"{\"service\": {\"cert_file\": \"/c\"}}", "belong together"},
        {"{\"service\": {\"key_file\": \"/k\"}}", "belong together"},
        {"{\"service\": {\"timeout\": \"5ms\"}}", "5ms is not within 10ms"},
        {"{\"service\": {\"timeout\": \"40s\"}}",
         "do not fit a lifetime of 60"},
        {"{\"service\": 1}", "service: must be an object"},
        {"{\"hashed_names\": 1}", "true or false"},
        {"{\"secret_file\": \"s\"}", "begins with /"},
        {"{\"defaults\": {\"id\": \"x\"}}", "defaults.id: unknown key"},
        {"{\"defaults\": {\"lifetime\": 10, \"grace\": 9}}",
         "lifetime of 10 s"},
        {"{\"locks\": {\"a\": {\"lifetime\": 10, \"grace\": 9}}}",
         "f.json:1:12: locks.a (slurm): the times do not fit a lifetime of 10"},
        {"{\"locks\": {\"a\": {\"for\": \"pam\"}}}",
         "strangers at https://just"},
        {"{\"service\": {\"url\": \"http://JUSTALOCK.dev.:80/\"},"
         "\"locks\": {\"a\": {\"for\": \"pam\"}}}",
         "strangers at"},
        {"{\"locks\": {\"a\": {\"share\": \"host\"}}}", "pam only"},
        {"{\"locks\": {\"a\": {\"for\": \"command\", \"on_busy\": "
         "\"requeue\"}}}",
         "slurm only"},
        {"{\"locks\": {\"a\": {\"for\": \"slurm\", \"wait\": \"forever\"}}}",
         "commands only"},
        {"{\"slurm\": {\"cluster\": \"a b\"}}", "letters, digits"},
        {"{\"slurm\": {\"requeue_max\": -1}}", "not a number"},
        {"{\"slurm\": {\"requeue_max\": \"1\"}}", "whole number"},
        {"{\"slurm\": {\"rules\": {}}}", "must be a list"},
        {"{\"slurm\": {\"rules\": [{}, 1]}}", "rules[0]: \"lock\" is missing"},
        {"{\"slurm\": {\"rules\": [{\"lock\": \"a,b\"}]}}", "comma"},
        {"{\"slurm\": {\"rules\": [{\"lock\": \"%x\"}]}}", "% stands for"},
        {"{\"adhoc\": false, \"slurm\": {\"rules\": [{\"lock\": \"a\"}]}}",
         "rules[0].lock: \"a\" has no definition"},
        {"{\"locks\": {\"a\": {\"for\": \"command\"}},\n"
         "\"slurm\": {\"rules\": [{\"lock\": \"a\"}]}}",
         "not for slurm, by its \"for\" at f.json:1"},
        {"{\"a\": 1, \"a\": 1}", "twice"},
        {"{\"a\" 1}", "f.json:1:6: a colon"},
        {"", "f.json:1:1:"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct config *c;
        struct justalock_error err;

        /* Some say more than one thing: the first is what counts here. */
        if (parse(bad[i][0], &c, &err) != JUSTALOCK_CONFIG)
            fail_msg("taken: %s", bad[i][0]);
        assert_has(err.text, bad[i][1]);
        assert_has(report, "error: ");
    }
    refuse("{\"locks\": {\"a\": {\"lifetime\": 0}}}", "0 is not within");
}

/* All faults, each with its line and a caret under its column. */
static void test_report(void **state)
{
    struct config *c;
    struct justalock_error err;

    (void)state;
    assert_int_equal(parse("{\n\t\"\xc3\xbc\": 1, \"lokcs\": {},\n"
                           "  \"adhoc\": 1\n}",
                           &c, &err),
                     JUSTALOCK_CONFIG);
    assert_string_equal(report,
                        "f.json:2:2: error: \"\xc3\xbc\": unknown key\n"
                        "  \t\"\xc3\xbc\": 1, \"lokcs\": {},\n"
                        "  \t^\n"
                        "f.json:2:10: error: lokcs: unknown key; did you mean "
                        "\"locks\"?\n"
                        "  \t\"\xc3\xbc\": 1, \"lokcs\": {},\n"
                        "  \t        ^\n"
                        "f.json:3:12: error: adhoc: must be true or false\n"
                        "    \"adhoc\": 1\n"
                        "             ^\n");
    assert_string_equal(err.text, "f.json:2:2: \"\xc3\xbc\": unknown key");
}

/* A file of one long line is not poured out. */
static void test_long_line(void **state)
{
    char text[2000];
    struct config *c;
    struct justalock_error err;
    const char *line;

    (void)state;
    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"secret_file\": \"/s\",", 21);
    memcpy(text + 1500, "\"adhoc\": 1", 10);
    memcpy(text + sizeof(text) - 2, "}", 2);
    assert_int_equal(parse(text, &c, &err), JUSTALOCK_CONFIG);
    assert_has(report, "f.json:1:1510: error: adhoc");
    line = strchr(report, '\n') + 1;
    assert_true(strcspn(line, "\n") < 200);
    assert_has(line, "\"adhoc\": 1");
    /* The caret is under the 1. */
    assert_int_equal(strchr(line, '^') - strchr(line, '\n') - 1,
                     strstr(line, ": 1") - line + 2);
}

/* ---- from files ---- */

static char folder[] = "/tmp/test_config.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_folder(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_folder(name), mode), 0);
}

static enum justalock_status load(struct config **ret_config,
                                  struct justalock_error *err)
{
    FILE *out = fmemopen(report, sizeof(report), "w");
    char path[128];
    enum justalock_status st;

    assert_non_null(out);
    (void)snprintf(path, sizeof(path), "%s", in_folder("main.json"));
    report[0] = '\0';
    memset(err, 0, sizeof(*err));
    st = config_load(path, ret_config, out, err);
    assert_int_equal(fclose(out), 0);
    return st;
}

static void load_fails(const char *part)
{
    struct config *c = NULL;
    struct justalock_error err;

    if (load(&c, &err) != JUSTALOCK_CONFIG)
        fail_msg("taken, not: %s", part);
    assert_has(err.text, part);
    assert_null(c);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || mkdir(in_folder("conf.d"), 0755) != 0;
}

static int empty_folder(void **state)
{
    static const char *const names[] = {
        "conf.d/10.json", "conf.d/9.json",  "conf.d/B.json", "conf.d/a.json",
        "conf.d/x.conf",  "conf.d/.h.json", "main.json",     "conf.d/d.json"};

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++)
        if (unlink(in_folder(names[i])) != 0 && errno != ENOENT &&
            rmdir(in_folder(names[i])) != 0)
            return -1;
    return chmod(in_folder("conf.d"), 0755);
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(in_folder("conf.d")) != 0 || rmdir(folder) != 0;
}

static void test_order(void **state)
{
    struct config *c;
    struct justalock_error err;

    (void)state;
    put("main.json",
        "{\"service\": {\"url\": \"http://main/\", \"ca_file\": \"/main\"},"
        "\"slurm\": {\"rules\": [{\"lock\": \"main\"}]}}",
        0644);
    put("conf.d/9.json", "{\"service\": {\"url\": \"http://9/\"}}", 0600);
    put("conf.d/10.json",
        "{\"service\": {\"url\": \"http://10/\"}, \"locks\": {\"x\": {}},"
        "\"slurm\": {\"rules\": [{\"lock\": \"x\"}]}}",
        0644);
    put("conf.d/B.json", "{\"locks\": {\"b\": {}}}", 0444);
    put("conf.d/a.json", "{\"agent\": {\"keeper_user\": \"a\"}}", 0644);
    put("conf.d/x.conf", "rubbish", 0666);
    put("conf.d/.h.json", "rubbish", 0666);
    assert_ok(load(&c, &err), err);
    assert_string_equal(c->files[0], in_folder("main.json"));
    assert_string_equal(c->files[1], in_folder("conf.d/10.json"));
    assert_string_equal(c->files[2], in_folder("conf.d/9.json"));
    assert_string_equal(c->files[3], in_folder("conf.d/B.json"));
    assert_string_equal(c->files[4], in_folder("conf.d/a.json"));
    assert_null(c->files[5]);
    assert_string_equal(c->service.url, "http://9/");
    assert_string_equal(c->service.ca_file, "/main");
    assert_string_equal(c->agent.keeper_user, "a");
    assert_int_equal(c->slurm.rules_len, 2);
    assert_string_equal(c->slurm.rules[0].lock[0], "main");
    assert_int_equal(c->locks_len, 2);
    assert_string_equal(c->locks[1].place.file, c->files[1]);
    assert_int_equal(c->locks[1].place.line, 1);
    config_free(c);
}

static void test_defined_twice(void **state)
{
    char want[300];

    (void)state;
    put("main.json", "{}", 0644);
    put("conf.d/a.json", "{\"locks\": {\"b\": {},\n \"x\": {}}}", 0644);
    put("conf.d/9.json", "{\"locks\": {\"x\": {\"wait\": 1}}}", 0644);
    (void)snprintf(want, sizeof(want),
                   "a.json:2:2: locks.x: this lock is defined twice, first at "
                   "%s:1:12",
                   in_folder("conf.d/9.json"));
    load_fails(want);
    /* The faulty line is shown from its own file. */
    assert_has(report, "   \"x\": {}}}\n   ^\n");
}

static void test_unsafe(void **state)
{
    struct config *c;
    struct justalock_error err;

    (void)state;
    put("main.json", "{}", 0664);
    load_fails("mode 0664");
    put("main.json", "{}", 0646);
    load_fails("mode 0646");
    put("main.json", "{}", 0600);
    put("conf.d/a.json", "{}", 0622);
    load_fails("a.json: mode 0622");
    put("conf.d/a.json", "{}", 0644);
    assert_int_equal(chmod(in_folder("conf.d"), 0775), 0);
    load_fails("conf.d: mode 0775");
    assert_int_equal(chmod(in_folder("conf.d"), 0755), 0);
    assert_int_equal(mkdir(in_folder("conf.d/d.json"), 0755), 0);
    load_fails("d.json: is not a regular file");
    assert_int_equal(rmdir(in_folder("conf.d/d.json")), 0);
    assert_int_equal(mkfifo(in_folder("conf.d/d.json"), 0600), 0);
    load_fails("d.json: is not a regular file");
    assert_int_equal(unlink(in_folder("conf.d/d.json")), 0);
    assert_int_equal(symlink("nowhere", in_folder("conf.d/d.json")), 0);
    load_fails("d.json: cannot be opened");
    assert_int_equal(unlink(in_folder("conf.d/d.json")), 0);
    assert_ok(load(&c, &err), err);
    config_free(c);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(in_folder("conf.d/a.json"), 65534, 0), 0);
    load_fails("belongs to uid 65534");
    assert_int_equal(chown(in_folder("conf.d/a.json"), 0, 0), 0);
    assert_int_equal(chown(in_folder("main.json"), 65534, 0), 0);
    load_fails("belongs to uid 65534");
}

static void test_missing(void **state)
{
    struct config *c = NULL;
    struct justalock_error err;

    (void)state;
    load_fails("main.json: cannot be opened");
    assert_int_equal(load(&c, &err), JUSTALOCK_CONFIG);
    assert_int_equal(err.sys_errno, ENOENT);
    if (access("/etc/justalock", F_OK) == 0)
        return;
    assert_ok(config_load(NULL, &c, NULL, &err), err);
    assert_null(c->files[0]);
    config_free(c);
}

static void test_size(void **state)
{
    struct config *c;
    struct justalock_error err;
    char *text = malloc(CONFIG_FILE_MAX + 2);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', CONFIG_FILE_MAX + 1);
    text[0] = '{';
    text[1] = '}';
    text[CONFIG_FILE_MAX + 1] = '\0';
    put("main.json", text, 0644);
    load_fails("1048577 bytes are more than 1048576");
    text[CONFIG_FILE_MAX] = '\0';
    put("main.json", text, 0644);
    assert_ok(load(&c, &err), err);
    config_free(c);
    free(text);
    /* One that says 0 bytes and never ends. */
    assert_int_equal(config_load("/dev/zero", &c, NULL, &err),
                     JUSTALOCK_CONFIG);
    assert_has(err.text, "is not a regular file");
}

/* ---- the example, what is shown, allocations ---- */

static char *example(void)
{
    FILE *f = fopen("config/justalock.json", "r");
    char *text = calloc(1, CONFIG_FILE_MAX + 1);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, CONFIG_FILE_MAX, f) > 0);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void test_show(void **state)
{
    char *text = example();
    struct config *c = take(text);
    char *json = show(c, true), *commented = show(c, false), *again;
    struct config *back;

    (void)state;
    assert_int_equal(strcspn(json, "\n") + 1, strlen(json)); /* one line */
    back = take(json);
    again = show(back, true);
    assert_string_equal(json, again);
    free(again);
    config_free(back);
    back = take(commented);
    again = show(back, true);
    assert_string_equal(json, again);
    assert_has(commented, "// command: lifetime 300s, wait 1800s, busy wait");
    free(again);
    config_free(back);
    config_free(c);
    free(json);
    free(commented);
    free(text);
    c = take("{\"locks\":{\"a\\\"\\\\b\":{\"on_lost\":\"signal:40\","
             "\"wait\":\"forever\",\"grace\":\"1500ms\"}}}");
    json = show(c, true);
    assert_has(json, "\"locks\":{\"a\\\"\\\\b\":{\"wait\":\"forever\","
                     "\"on_lost\":\"signal:40\",\"grace\":\"1500ms\"}}");
    back = take(json);
    config_free(back);
    config_free(c);
    free(json);
}

static void test_allocations(void **state)
{
    char *text = example();
    struct justalock_error err;
    struct config *c;
    long before, count = 0;

    (void)state;
    put("main.json", text, 0644);
    free(text);
    put("conf.d/a.json", "{\"locks\": {\"more\": {}}}", 0644);
    before = failing_live();
    for (;; count++) {
        char path[128];
        enum justalock_status st;
        bool failed;

        c = NULL;
        (void)snprintf(path, sizeof(path), "%s", in_folder("main.json"));
        failing_memory(count);
        st = config_load(path, &c, NULL, &err);
        failed = failing_came();
        failing_memory(-1);
        if (!failed) {
            assert_ok(st, err);
            break;
        }
        assert_int_equal(st, JUSTALOCK_NOMEM);
        assert_int_equal(err.status, JUSTALOCK_NOMEM);
        assert_null(c);
        assert_int_equal(failing_live(), before);
    }
    config_free(c);
    assert_int_equal(failing_live(), before);
    assert_true(count > 50); /* or nothing was wrapped */
}

#define FILES(f) cmocka_unit_test_teardown(f, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_long_line),
        FILES(test_order),
        FILES(test_defined_twice),
        FILES(test_unsafe),
        FILES(test_missing),
        FILES(test_size),
        cmocka_unit_test(test_show),
        FILES(test_allocations),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_cli_doctor.c - what `justalock config check` finds around the
 * configuration: the secret, an agent, scontrol and pam.d, all of them played.
 */
#include "cli_no_memory.h"
#include "played_agent.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static char extra[256]; /* of the configuration */

/* /etc/pam.d is pam.d in the scratch folder. */
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    char here[300];

    if (strncmp(path, "/etc/pam.d/", 11) != 0)
        return __real_fopen(path, mode);
    (void)snprintf(here, sizeof(here), "%s/pam.d/%s", scratch, path + 11);
    return __real_fopen(here, mode);
}

static void put(const char *name, mode_t mode, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void put(const char *name, mode_t mode, const char *fmt, ...)
{
    int fd;
    va_list ap;

    (void)unlink(in_scratch(name));
    fd = call_file(name);
    va_start(ap, fmt);
    assert_true(vdprintf(fd, fmt, ap) >= 0);
    va_end(ap);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* What `scontrol show config` says, and how it ends. */
static void scontrol(const char *text, int code)
{
    put("scontrol.out", 0644, "%s", text);
    put("bin/scontrol", 0755,
        "#!/bin/sh\n[ \"$*\" = 'show config' ] && cat '%s' && exit %d\n",
        in_scratch("scontrol.out"), code);
}

static void slurm(const char *flags)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "Configuration data as of 2026-01-01T00:00:00\n"
                   "PlugStackConfig         = %s/plugstack.conf\n"
                   "PrologFlagsNot          = Alloc\n"
                   "PrologFlags             = %s\n",
                   scratch, flags);
    scontrol(text, 0);
}

static int check(const char *option)
{
    char socket[160];

    put("conf.json", 0644, "{\"secret_file\": \"%s\"%s}", in_scratch("secret"),
        extra);
    (void)snprintf(socket, sizeof(socket), "--socket=%s", in_scratch("agent"));
    return call(cmd_config, "config", "check", socket, option, (char *)NULL);
}

static int check_well(const char *option)
{
    int code;

    agent_verdict(WIRE_GO, "");
    agent_up();
    code = check(option);
    agent_down();
    return code;
}

static void finds(int code, const char *text)
{
    int rc = check_well(NULL);

    if (rc != code)
        fail_msg("status %d, not %d: %s", rc, code, said);
    assert_has(said, text);
}

static int up(void **state)
{
    (void)state;
    extra[0] = '\0';
    call_before = call_after = NULL;
    put("secret", 0400, "%064d", 1);
    put("plugstack.conf", 0644, "required /x/spank_justalock.so\n");
    put("pam.d/system-auth", 0644, "#session required pam_justalock.so\n");
    slurm("Alloc");
    return 0;
}

static int down(void **state)
{
    (void)state;
    agent_down();
    return 0;
}

static void all_is_well(void **state)
{
    char want[1024];

    (void)state;
    (void)snprintf(extra, sizeof(extra), ", \"slurm\": {\"cluster\": \"c\"}");
    assert_int_equal(check_well(NULL), CLI_OK);
    (void)snprintf(want, sizeof(want),
                   "ok: configuration: %s/conf.json is well formed, 0 locks\n"
                   "ok: secret: %s/secret\n"
                   "ok: agent: it answers at %s/agent\n"
                   "ok: plugstack: %s/plugstack.conf names "
                   "spank_justalock.so\n"
                   "ok: slurm: PrologFlags=Alloc\n",
                   scratch, scratch, scratch, scratch);
    assert_string_equal(said, want);
}

static void the_same_as_json(void **state)
{
    struct json_object *o;

    (void)state;
    assert_int_equal(check_well("--json"), CLI_OK);
    assert_has(said, "{\"level\":\"ok\",\"what\":\"secret\",\"text\":\"");
    assert_int_equal(call_json(&o), 6);
    assert_string_equal(json_text(o, "level"), "warning");
    assert_string_equal(json_text(o, "what"), "slurm");
    assert_has(json_text(o, "text"), "slurm.cluster is not set");
    (void)json_object_put(o);
}

static void as_nobody(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(98);
}

static void the_secret(void **state)
{
    (void)state;
    put("secret", 0444, "%064d", 1);
    finds(CLI_CONFIG, "error: secret: ");
    put("secret", 0400, "short");
    finds(CLI_CONFIG, "error: secret: ");
    assert_int_equal(unlink(in_scratch("secret")), 0);
    finds(CLI_CONFIG, "error: secret: "); /* one that is named */
    if (geteuid() != 0)
        return;
    put("secret", 0400, "%064d", 1);
    call_before = as_nobody;
    assert_int_equal(chmod(scratch, 0755), 0);
    (void)check(NULL);
    assert_has(said, "warning: secret: only root can look at it");
}

/* What every call would refuse is an error here. */
static void the_token(void **state)
{
    (void)state;
    (void)snprintf(extra, sizeof(extra),
                   ", \"service\": {\"token_file\": \"%s\"}",
                   in_scratch("token"));
    finds(CLI_CONFIG, "error: token: token_file ");
    put("token", 0600, "t\n");
    finds(CLI_OK, "ok: token: ");
    put("token", 0644, "t\n");
    finds(CLI_CONFIG, "error: token: ");
    put("token", 0600, "a b\n");
    finds(CLI_CONFIG, "not one line of 1 to 255");
    if (geteuid() != 0)
        return;
    call_before = as_nobody;
    assert_int_equal(chmod(scratch, 0755), 0);
    (void)check(NULL);
    assert_has(said, "warning: token: only root can look at it");
}

static void warnings_as_json(void **state)
{
    struct json_object *o;

    (void)state;
    (void)snprintf(extra, sizeof(extra),
                   ", \"service\": {\"ca_file\": \"/nonexistent\"}");
    assert_int_equal(check_well("--json"), CLI_OK);
    assert_string_equal(said_err, "");
    assert_has(said, "{\"level\":\"warning\",\"what\":\"configuration\","
                     "\"text\":\"");
    assert_has(said, "ca_file: /nonexistent cannot be read\"}");
    assert_int_equal(call_json(&o), 7); /* each line is one */
    (void)json_object_put(o);
}

static void an_agent_that_is_none(void **state)
{
    (void)state;
    assert_int_equal(check(NULL), CLI_CONFIG); /* nobody listens */
    assert_has(said, "error: agent: no justalock-agent answers at ");
    assert_has(said, "; start justalock-agent, before slurmd and sshd\n");
    agent_up(); /* it goes without a word */
    assert_int_equal(check(NULL), CLI_CONFIG);
    assert_has(said, "has closed the connection; start ");
    agent_down();
    (void)agent_word(WIRE_NOTE);
    agent_up();
    assert_int_equal(check(NULL), CLI_CONFIG);
    assert_has(said, "is not a justalock-agent that works");
    agent_down();
    agent_verdict(WIRE_REFUSED_LOCAL, "no");
    agent_up();
    assert_int_equal(check(NULL), CLI_CONFIG);
    assert_has(said, "is not a justalock-agent that works");
}

static void plugstack(const char *line, int code, const char *text)
{
    put("plugstack.conf", 0644, "%s\n", line);
    finds(code, text);
}

static void the_plugstack(void **state)
{
    char line[300];

    (void)state;
    plugstack("  required\tspank_justalock.so x=y", CLI_OK, "ok: plugstack: ");
    plugstack("#required spank_justalock.so", CLI_OK, "warning: plugstack: ");
    plugstack("required x.so # spank_justalock.so", CLI_OK,
              "does not name spank_justalock.so");
    plugstack("optional spank_justalock.so", CLI_CONFIG, "error: plugstack: ");
    plugstack("requiredly spank_justalock.so", CLI_CONFIG, "say required");
    /* In a file that is included, and only there. */
    put("d/a.conf", 0644, "required spank_justalock.so\nrequired x.so\n");
    put("d/b.conf", 0644, "required y.so\n");
    plugstack("", CLI_OK, "warning: plugstack: ");
    plugstack("include d/*.conf", CLI_OK, "ok: plugstack: ");
    (void)snprintf(line, sizeof(line), "include %s/d/a.* # all", scratch);
    plugstack(line, CLI_OK, "ok: plugstack: ");
    plugstack("include d/*.no", CLI_OK, "warning: plugstack: ");
    plugstack("include plugstack.conf", CLI_OK, "warning: plugstack: ");
    put("d/a.conf", 0644, "optional spank_justalock.so\n");
    plugstack("include d/*.conf", CLI_CONFIG, "error: plugstack: ");
    assert_int_equal(unlink(in_scratch("plugstack.conf")), 0);
    finds(CLI_OK, "warning: plugstack: ");
}

static void the_prolog_flags(void **state)
{
    (void)state;
    slurm("Contain,X11");
    finds(CLI_OK, "ok: slurm: PrologFlags=Contain,X11\n");
    slurm("(null)");
    finds(CLI_CONFIG, "error: slurm: PrologFlags has no Alloc");
    scontrol("PrologFlags=Alloc", 0); /* the last line, unended */
    finds(CLI_OK, "ok: slurm: PrologFlags=Alloc\n");
    scontrol("", 0);
    finds(CLI_CONFIG, "error: slurm: PrologFlags has no Alloc");
}

/* Not said where no Slurm is meant. */
static void slurm_that_does_not_answer(void **state)
{
    (void)state;
    scontrol("PrologFlags = Alloc\n", 1);
    assert_int_equal(check_well(NULL), CLI_OK);
    assert_null(strstr(said, "slurm"));
    (void)snprintf(extra, sizeof(extra), ", \"slurm\": {\"cluster\": \"c\"}");
    finds(CLI_OK, "warning: slurm: scontrol show config does not answer");
}

static void its_words_are_made_clean(void **state)
{
    struct json_object *o;
    char flags[700] = "Alloc,";

    (void)state;
    slurm("Alloc\033[2J\302\233\377");
    finds(CLI_OK, "ok: slurm: PrologFlags=Alloc?[2J???\n");
    assert_int_equal(check_well("--json"), CLI_OK);
    (void)call_json(&o);
    (void)json_object_put(o);
    /* Longer than a finding may be. */
    memset(flags + 6, 'x', sizeof(flags) - 7);
    slurm(flags);
    assert_int_equal(check_well("--json"), CLI_OK);
    assert_int_equal(call_json(&o), 6);
    (void)json_object_put(o);
}

static void the_stacks_of_pam(void **state)
{
    static const char *const shared[] = {"common-session", "system-auth",
                                         "password-auth", "postlogin"};

    (void)state;
    assert_int_equal(check_well(NULL), CLI_OK);
    assert_null(strstr(said, "pam_justalock"));
    for (size_t i = 0; i < LENGTH(shared); i++) {
        char name[64], want[128];

        (void)snprintf(name, sizeof(name), "pam.d/%s", shared[i]);
        put(name, 0644,
            "auth required pam_unix.so\n"
            "session required pam_justalock.so\n");
        (void)snprintf(
            want, sizeof(want),
            "error: pam: /etc/pam.d/%s names pam_justalock: ", shared[i]);
        finds(CLI_CONFIG, want);
        assert_int_equal(unlink(in_scratch(name)), 0);
    }
    put("pam.d/sshd", 0644, "session required pam_justalock.so\n");
    assert_int_equal(check_well(NULL), CLI_OK);
}

/* A finding that cannot be said is no healthy host. */
static void no_memory_is_said(void **state)
{
    struct json_object *o;
    int code = CLI_LOCAL;
    long shorts = 0;
    size_t n;

    (void)state;
    for (no_memory_begin(); no_memory_next();) {
        code = check_well("--json");
        n = call_json(&o);
        (void)json_object_put(o);
        if (code == CLI_OK && n != 6)
            fail_msg("a finding is lost at %ld: %s", no_memory_at, said_err);
        shorts += code == CLI_LOCAL;
    }
    assert_int_equal(code, CLI_OK);
    assert_true(shorts >= 6);
}

static int begin(void **state)
{
    char path[512];

    if (scratch_make(state) != 0 || mkdir(in_scratch("bin"), 0755) != 0 ||
        mkdir(in_scratch("d"), 0755) != 0 ||
        mkdir(in_scratch("pam.d"), 0755) != 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", scratch);
    return setenv("PATH", path, 1) == 0
               ? setenv("JUSTALOCK_CONFIG", in_scratch("conf.json"), 1)
               : -1;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_is_well),
        TEST(the_same_as_json),
        TEST(the_secret),
        TEST(the_token),
        TEST(warnings_as_json),
        TEST(an_agent_that_is_none),
        TEST(the_plugstack),
        TEST(the_prolog_flags),
        TEST(slurm_that_does_not_answer),
        TEST(its_words_are_made_clean),
        TEST(the_stacks_of_pam),
        TEST(no_memory_is_said),
    };

    return cmocka_run_group_tests(tests, begin, scratch_remove);
}

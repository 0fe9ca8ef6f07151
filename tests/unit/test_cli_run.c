/* SPDX-License-Identifier: MIT */
/*
 * test_cli_run.c - how a call of `justalock run` is read, each option at its
 * limits, and who is asked for the lock: the agent, or the service itself.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "test.h"

#include "../../modules/cli/run.c"

static char said[2048];
static struct run_options o;
static struct run_options *there; /* shared with the process that reads */

/* The words of a line after "run", in a process whose getopt is new; what is
 * said goes to `said`. */
static int reads(const char *line)
{
    static char text[2048], name[] = "run";
    static char *argv[64];
    char *rest = text, *word;
    int argc = 1, status, err;
    ssize_t n;
    pid_t pid;

    (void)snprintf(text, sizeof(text), "%s", line);
    argv[0] = name;
    while (argc < (int)LENGTH(argv) - 1 && (word = strsep(&rest, " ")) != NULL)
        argv[argc++] = word;
    argv[argc] = NULL;
    err =
        open(in_scratch("said"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(err >= 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(err, 2);
        _exit(parse_call(there, argc, argv));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    o = *there;
    n = pread(err, said, sizeof(said) - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    (void)close(err);
    if (WEXITSTATUS(status) == CLI_OK)
        assert_string_equal(said, "");
    return WEXITSTATUS(status);
}

static void refuses(const char *line, const char *part)
{
    assert_int_equal(reads(line), CLI_USAGE);
    assert_has(said, part);
}

static void what_is_not_said(void **state)
{
    (void)state;
    assert_int_equal(reads("db true"), CLI_OK);
    assert_string_equal(o.lock, "db");
    assert_string_equal(o.argv[0], "true");
    assert_null(o.argv[1]);
    assert_int_equal(o.wait_ms, WIRE_WAIT_DEFAULT);
    assert_int_equal(o.busy_code, CLI_BUSY);
    assert_int_equal(o.life_s, 0);
    assert_int_equal(o.slots, 0);
    assert_int_equal(o.on_lost, 0);
    assert_null(o.client);
    assert_null(o.label);
    assert_null(o.url);
    assert_null(o.config);
    assert_null(o.socket);
    assert_false(o.no_agent);
}

static void each_option(void **state)
{
    (void)state;
    assert_int_equal(reads("-w 250ms -t 5m -E 7 --slots 3 --on-lost log"
                           " --client-id c --label l --url http://h"
                           " --config f --socket s --no-agent db -- -x -y"),
                     CLI_OK);
    assert_int_equal(o.wait_ms, 250);
    assert_int_equal(o.life_s, 300);
    assert_int_equal(o.busy_code, 7);
    assert_int_equal(o.slots, 3);
    assert_int_equal(o.on_lost, CONFIG_LOST_LOG);
    assert_string_equal(o.client, "c");
    assert_string_equal(o.label, "l");
    assert_string_equal(o.url, "http://h");
    assert_string_equal(o.config, "f");
    assert_string_equal(o.socket, "s");
    assert_true(o.no_agent);
    assert_string_equal(o.argv[0], "-x"); /* the command's, whatever it is */
    assert_string_equal(o.argv[1], "-y");
    assert_int_equal(reads("-n db true -w 5"), CLI_OK);
    assert_int_equal(o.wait_ms, 0);
    assert_string_equal(o.argv[1], "-w"); /* the command's, too */
    assert_int_equal(reads("--on-lost signal:USR1 db true"), CLI_OK);
    assert_int_equal(o.on_lost, CONFIG_LOST_SIGNAL);
    assert_int_equal(o.lost_signal, SIGUSR1);
    assert_int_equal(reads("--on-lost signal:9 --on-lost kill db true"),
                     CLI_OK); /* the last one counts */
    assert_int_equal(o.on_lost, CONFIG_LOST_KILL);
    assert_int_equal(o.lost_signal, 0);
}

static void limits(void **state)
{
    char line[600];

    (void)state;
    assert_int_equal(reads("-E 0 db true"), CLI_OK);
    assert_int_equal(reads("-E 255 db true"), CLI_OK);
    refuses("-E 256 db true", "-E: ");
    refuses("-E -1 db true", "-E: ");
    assert_int_equal(reads("-t 1 db true"), CLI_OK);
    assert_int_equal(reads("-t 65535 db true"), CLI_OK);
    refuses("-t 0 db true", "-t: ");
    refuses("-t 65536 db true", "-t: ");
    refuses("-t 1500ms db true", "-t: ");
    assert_int_equal(reads("--slots 1024 db true"), CLI_OK);
    refuses("--slots 1025 db true", "--slots: ");
    refuses("--slots 0 db true", "--slots: ");
    assert_int_equal(reads("-w 0 db true"), CLI_OK);
    assert_int_equal(reads("-w 8784h db true"), CLI_OK); /* a leap year */
    refuses("-w 8785h db true", "-w: ");
    refuses("-w soon db true", "-w: ");
    (void)snprintf(line, sizeof(line), "--client-id %064d --label %0120d db x",
                   0, 0);
    assert_int_equal(reads(line), CLI_OK);
    (void)snprintf(line, sizeof(line), "--client-id %065d db x", 0);
    refuses(line, "--client-id: 65 bytes are not within 1 and 64");
    (void)snprintf(line, sizeof(line), "--label %0121d db x", 0);
    refuses(line, "--label: 121 bytes are not within 1 and 120");
    refuses("--label= db x", "--label: 0 bytes");
    refuses("--label a\tb db x", "--label: it has control characters");
    refuses("--label \xc3\xa4 db x", "is not all ASCII");
    assert_int_equal(reads("--client-id \xc3\xa4 db x"), CLI_OK);
    refuses("--client-id \xff db x", "--client-id: it has control characters");
    (void)snprintf(line, sizeof(line), "%0255d x", 0);
    assert_int_equal(reads(line), CLI_OK);
    (void)snprintf(line, sizeof(line), "%0256d x", 0);
    refuses(line, "lock");
}

static void wrong_calls(void **state)
{
    (void)state;
    refuses("-n -w 5 db true", "-n and -w exclude each other");
    refuses("-w 5 -n db true", "-n and -w exclude each other");
    refuses("-w 5 -w 6 db true", "-n and -w exclude each other");
    refuses("--on-lost stop db true", "\"stop\" is none of kill, signal:NAME");
    refuses("--on-lost signal:NONE db true", "there is no signal \"NONE\"");
    refuses("--on-lost signal: db true", "there is no signal \"\"");
    refuses("db", "the command is missing");
    refuses("db --", "the command is missing");
    refuses("-n", "the lock's name is missing");
    refuses("--nonsense db true", "nonsense");
    refuses("-w", "requires an argument");
    refuses("db -w 5 true", "options stand before the name");
    refuses("a\tb true", "lock");
}

/* Without the default socket, which a machine with an agent has. */
static void who_is_asked(void **state)
{
    static const struct {
        const char *line, *name;
        bool agent;
    } cases[] = {
        {"--socket s db x", NULL, true},
        {"--socket s db x", "JUSTALOCK_URL", true}, /* said is said */
        {"--socket s db x", "JUSTALOCK_CONFIG", true},
        {"--socket s a,b x", NULL, false}, /* two names to the agent */
        {"--socket s --no-agent db x", NULL, false},
        {"--socket s --url http://h db x", NULL, false},
        {"--socket s --config f db x", NULL, false},
        {"--socket s --slots 2 db x", NULL, false},
        {"db x", "JUSTALOCK_URL", false},
        {"db x", "JUSTALOCK_CONFIG", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        (void)unsetenv("JUSTALOCK_URL");
        (void)unsetenv("JUSTALOCK_CONFIG");
        if (cases[i].name != NULL)
            assert_int_equal(setenv(cases[i].name, "x", 1), 0);
        assert_int_equal(reads(cases[i].line), CLI_OK);
        if (is_for_agent(&o) != cases[i].agent)
            fail_msg("%s with %s", cases[i].line,
                     cases[i].name ? cases[i].name : "nothing");
    }
    assert_int_equal(setenv("JUSTALOCK_URL", "", 1), 0); /* is none */
    assert_false(has_env("JUSTALOCK_URL"));
    (void)unsetenv("JUSTALOCK_URL");
    (void)unsetenv("JUSTALOCK_CONFIG");
    assert_int_equal(reads("db x"), CLI_OK);
    assert_int_equal(is_for_agent(&o), access(WIRE_SOCKET, F_OK) == 0);
}

static void words(void **state)
{
    char label[JUSTALOCK_LABEL_MAX + 1], pid[32];

    (void)state;
    assert_int_equal(run_signal_code(SIGTERM), 143);
    assert_has(run_busy_advice(0), "wait for it with -w");
    assert_has(run_busy_advice(5), "wait longer");
    assert_has(run_busy_advice(-1), "says how long");
    run_default_label(label);
    (void)snprintf(pid, sizeof(pid), " pid %d", (int)getpid());
    assert_has(label, pid);
    assert_has(label, "@");
    for (const char *l = label; *l != '\0'; l++)
        assert_in_range(*l, ' ', '~');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said), cmocka_unit_test(each_option),
        cmocka_unit_test(limits),           cmocka_unit_test(wrong_calls),
        cmocka_unit_test(who_is_asked),     cmocka_unit_test(words),
    };

    there = mmap(NULL, sizeof(*there), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(there, MAP_FAILED);
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_cli_words.c - how the command line speaks: one clean line a write,
 * whatever is in it; exit statuses; the line that shows a wait, on terminals
 * of every width, on none, and on one that goes away.
 */
#include "fake_clock.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../modules/cli/words.h"
#include "wire.h"

#define CLEAR "\r\033[K"

static int saved_stderr;
static int from; /* what is read of what was said */
static char heard[4096];

/* stderr is `to` from here on. */
static void speak_to(int to)
{
    assert_true(dup2(to, STDERR_FILENO) >= 0);
    (void)close(to);
}

static void speak_to_pipe(void)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    from = fds[0];
    speak_to(fds[1]);
}

static void speak_to_terminal(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};

    from = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(from >= 0);
    assert_int_equal(grantpt(from) + unlockpt(from), 0);
    speak_to(open(ptsname(from), O_RDWR | O_NOCTTY | O_CLOEXEC));
    assert_int_equal(ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
}

/* What has been said since; back to the usual stderr before any failure. */
static const char *hear(void)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    size_t len = 0;

    while (poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0) {
        ssize_t n = read(from, heard + len, sizeof(heard) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    heard[len] = '\0';
    return heard;
}

static void quiet(void)
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    if (from >= 0)
        (void)close(from);
    from = -1;
}

static int up(void **state)
{
    (void)state;
    memset(&fake_clock, 0, sizeof(fake_clock));
    from = -1;
    return setenv("TERM", "vt100", 1);
}

static int down(void **state)
{
    (void)state;
    quiet();
    return 0;
}

static void a_line_is_clean(void **state)
{
    (void)state;
    speak_to_pipe();
    cli_say("%s", "a\033[2J\nb\rc\tthe\302\233 \303\244 \377\x7f");
    assert_string_equal(hear(), "justalock: a?[2J?b?c?the?? \303\244 ??\n");
    cli_say("%s", "");
    assert_string_equal(hear(), "justalock: \n");
}

/* Cut, with its end of line, and not in the middle of a character. */
static void a_line_has_an_end(void **state)
{
    char text[3000];

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        size_t len;

        memset(text, 'x', shift);
        for (size_t i = shift; i + 2 < sizeof(text); i += 2)
            memcpy(text + i, "\303\244", 3);
        speak_to_pipe();
        cli_say("%s", text);
        len = strlen(hear());
        assert_in_range(len, 1000, 1024);
        assert_int_equal(heard[len - 1], '\n');
        assert_int_equal(strcspn(heard, "\n"), len - 1);
        heard[len - 1] = '\0';
        assert_true(heard[len - 2] == '?' || heard[len - 2] == '\244');
        quiet();
    }
}

static void a_wrong_call_says_where_help_is(void **state)
{
    (void)state;
    speak_to_pipe();
    assert_int_equal(cli_usage("run", "%d is wrong", 7), CLI_USAGE);
    assert_string_equal(hear(), "justalock: 7 is wrong\n"
                                "justalock: see \"justalock run --help\"\n");
    assert_int_equal(cli_usage("", "no"), CLI_USAGE);
    assert_string_equal(hear(), "justalock: no\n"
                                "justalock: see \"justalock --help\"\n");
}

/* As the manual has them. */
static void each_status_has_its_code(void **state)
{
    static const struct {
        enum justalock_status status;
        int code;
    } all[] = {
        {JUSTALOCK_OK, 0},      {JUSTALOCK_HELD, 75},  {JUSTALOCK_LOST, 79},
        {JUSTALOCK_ARG, 64},    {JUSTALOCK_NOMEM, 71}, {JUSTALOCK_SYS, 71},
        {JUSTALOCK_NET, 69},    {JUSTALOCK_PROTO, 69}, {JUSTALOCK_DENIED, 77},
        {JUSTALOCK_CONFIG, 78},
    };
    struct justalock_error err = {.text = "why\n"};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++)
        assert_int_equal(cli_exit_code(all[i].status), all[i].code);
    speak_to_pipe();
    assert_int_equal(cli_fail(&err, JUSTALOCK_CONFIG), 78);
    assert_string_equal(hear(), "justalock: why?\n");
}

static void each_verdict_has_its_status(void **state)
{
    static const struct {
        enum wire_verdict verdict;
        int code;
    } all[] = {
        {WIRE_GO, 0},
        {WIRE_REFUSED_BUSY, 75},
        {WIRE_REFUSED_NET, 69},
        {WIRE_REFUSED_DENIED, 77},
        {WIRE_REFUSED_CONFIG, 78},
        {WIRE_REFUSED_BAD, 64},
        {WIRE_REFUSED_LOST, 79},
        {WIRE_REFUSED_LOCAL, 71},
        {WIRE_REFUSED_LOCAL + 1, 71},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++)
        assert_int_equal(cli_exit_code(cli_verdict_status(all[i].verdict)),
                         all[i].code);
}

/* ---- a wait ---- */

static void pass(int64_t ms)
{
    fake_clock.gone_ms += ms;
}

static void on_no_terminal_once_a_minute(void **state)
{
    struct waiting w;

    (void)state;
    speak_to_pipe();
    waiting_init(&w);
    assert_false(w.in_place);
    assert_true(clock_is_never(waiting_due(&w)));
    waiting_tick(&w); /* there is nothing to repeat */
    assert_string_equal(hear(), "");
    waiting_show(&w, "waiting for a");
    assert_string_equal(hear(), "justalock: waiting for a\n");
    pass(30000);
    waiting_show(&w, "waiting for a, held by b");
    pass(29900);
    waiting_tick(&w);
    assert_string_equal(hear(), "");
    assert_in_range(clock_left_ms(waiting_due(&w), clock_now()), 1, 100);
    pass(200);
    waiting_tick(&w); /* with what was shown last */
    assert_string_equal(hear(), "justalock: waiting for a, held by b (60 s)\n");
    waiting_tick(&w);
    assert_string_equal(hear(), "");
    waiting_done(&w);
    assert_string_equal(hear(), "");
    assert_true(clock_is_never(waiting_due(&w)));
}

static void on_a_terminal_in_place(void **state)
{
    struct waiting w;

    (void)state;
    speak_to_terminal(80);
    waiting_init(&w);
    assert_true(w.in_place);
    waiting_done(&w); /* nothing was shown */
    assert_string_equal(hear(), "");
    waiting_show(&w, "waiting for a");
    assert_string_equal(hear(), CLEAR "justalock: waiting for a (0 s)");
    pass(1100);
    waiting_tick(&w);
    assert_string_equal(hear(), CLEAR "justalock: waiting for a (1 s)");
    waiting_tick(&w);
    assert_string_equal(hear(), "");
    waiting_show(&w, "held by\033[2J\nb");
    assert_string_equal(hear(), CLEAR "justalock: held by?[2J?b (1 s)");
    waiting_done(&w);
    assert_string_equal(hear(), CLEAR);
    waiting_done(&w);
    assert_string_equal(hear(), "");
}

static void a_dumb_terminal_is_none(void **state)
{
    struct waiting w;

    (void)state;
    speak_to_terminal(80);
    assert_int_equal(setenv("TERM", "dumb", 1), 0);
    waiting_init(&w);
    assert_false(w.in_place);
    assert_int_equal(unsetenv("TERM"), 0);
    waiting_init(&w);
    assert_false(w.in_place);
}

/* The columns that a terminal needs for what it was told. */
static size_t columns(const char *line)
{
    size_t n = 0;

    assert_memory_equal(line, CLEAR, strlen(CLEAR));
    for (line += strlen(CLEAR); *line != '\0'; line++)
        if (((unsigned char)*line & 0xc0) != 0x80)
            n += (unsigned char)*line >= 0xe1 ? 2 : 1;
    return n;
}

/* One column stays free: a line that fills the last one may wrap. */
static void it_fits_into_every_width(void **state)
{
    static const char *const texts[] = {
        "waiting for a, held by somebody with a name of many characters",
        "\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244",
        "\351\224\201\351\224\201\351\224\201x\351\224\201\351\224\201x",
        "\360\237\224\222\360\237\224\222\360\237\224\222\360\237\224\222",
    };
    struct waiting w;

    (void)state;
    for (unsigned short width = 1; width < 50; width++) {
        for (size_t i = 0; i < LENGTH(texts); i++) {
            size_t n;

            speak_to_terminal(width);
            waiting_init(&w);
            waiting_show(&w, texts[i]);
            n = columns(hear());
            quiet();
            assert_true(n < width);
            /* And uses what there is. */
            if (i == 0)
                assert_int_equal(n, width - 1U);
            else
                assert_true(n + 2 >= width || strchr(heard, ')') != NULL);
        }
    }
}

static void a_width_that_is_not_known(void **state)
{
    char text[399];
    struct waiting w;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    speak_to_terminal(0);
    waiting_init(&w);
    waiting_show(&w, text);
    assert_int_equal(columns(hear()), 79);
}

/* Longer than there is room for, and cut in the middle of a character. */
static void an_overlong_text(void **state)
{
    char text[1000];
    struct waiting w;

    (void)state;
    for (size_t i = 0; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "\351\224\201", 4);
    speak_to_terminal(2000);
    waiting_init(&w);
    waiting_show(&w, text);
    assert_has(hear(), " (0 s)");
    assert_in_range(strlen(heard), 300, 450);
    quiet();
    speak_to_pipe();
    waiting_init(&w);
    waiting_show(&w, text);
    assert_in_range(strlen(hear()), 300, 450);
    assert_null(strstr(heard, "\351\n"));
    assert_null(strstr(heard, "\351\224\n"));
}

/* It gets smaller while we wait. */
static void another_width(void **state)
{
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    struct waiting w;

    (void)state;
    speak_to_terminal(80);
    waiting_init(&w);
    waiting_show(&w, "waiting for a, held by b");
    (void)hear();
    assert_int_equal(ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
    pass(1001);
    waiting_tick(&w);
    assert_int_equal(columns(hear()), 19);
}

/* The wait goes on, without words. */
static void a_terminal_that_goes_away(void **state)
{
    struct waiting w;

    (void)state;
    (void)alarm(20); /* were it to write for ever */
    speak_to_terminal(80);
    waiting_init(&w);
    waiting_show(&w, "waiting for a");
    (void)close(from);
    from = -1;
    pass(1001);
    waiting_tick(&w);
    cli_say("nobody hears it");
    assert_in_range(clock_left_ms(waiting_due(&w), clock_now()), 1, 1000);
    waiting_done(&w);
    speak_to(open("/dev/full", O_WRONLY | O_CLOEXEC));
    cli_say("nobody hears it");
    (void)close(STDERR_FILENO);
    cli_say("nobody hears it");
    waiting_init(&w);
    waiting_show(&w, "waiting for a");
    (void)alarm(0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_clean),
        TEST(a_line_has_an_end),
        TEST(a_wrong_call_says_where_help_is),
        TEST(each_status_has_its_code),
        TEST(each_verdict_has_its_status),
        TEST(on_no_terminal_once_a_minute),
        TEST(on_a_terminal_in_place),
        TEST(a_dumb_terminal_is_none),
        TEST(it_fits_into_every_width),
        TEST(a_width_that_is_not_known),
        TEST(an_overlong_text),
        TEST(another_width),
        TEST(a_terminal_that_goes_away),
    };

    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

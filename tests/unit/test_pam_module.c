/* SPDX-License-Identifier: MIT */
/*
 * test_pam_module.c - pam_justalock.so in a real libpam, before an agent that
 * grants, refuses, hangs, dies in the middle, is late or talks rubbish: what
 * the module returns and says, and that it leaves nothing behind. The real
 * agent, and real logins, are tests/pam's.
 */
#include "count_fds.h"
#include "pam_stack.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

/* ---- granted ---- */

static void test_granted(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);
    const struct wire_msg *m = &agent.asked;

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_set_item(h, PAM_RHOST, "there.example"), 0);
    assert_int_equal(pam_set_item(h, PAM_RUSER, "caller"), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_string_equal(said, "");
    assert_string_equal(m->locks, "a");
    assert_string_equal(m->session.user, user);
    assert_int_equal(m->session.uid, geteuid());
    assert_string_equal(m->session.service, "test");
    assert_string_equal(m->session.rhost, "there.example");
    assert_string_equal(m->session.ruser, "caller");
    assert_int_equal(m->session.timeout_ms, 5000);
    assert_int_equal(m->session.on_end, 0);
    assert_int_equal(m->session.share, 0);
    assert_int_equal(m->on_lost, 0);
    assert_int_equal(m->wait_ms, WIRE_WAIT_DEFAULT);
    assert_string_equal(pam_getenv(h, "JUSTALOCK_LOCK"), "a");
    assert_string_equal(pam_getenv(h, "JUSTALOCK_TOKEN"), "1");
    assert_null(pam_getenv(h, "JUSTALOCK_SLOT"));
    assert_string_equal(pam_getenv(h, "JUSTALOCK_ID"),
                        "AAAAAAAAAAAAAAAAAAAAAA");
    assert_true(life_goes_on(0));
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 1);
    assert_string_equal(agent.closed.cookie, COOKIE);
    assert_true(life_is_over(0));
    /* Once more: nothing is there to be given back. */
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 1);
    end(h);
}

static void test_arguments_reach_the_agent(void **state)
{
    const struct wire_msg *m = &agent.asked;

    (void)state;
    will(ACT_GO);
    assert_int_equal(attempt("lock=b wait=2s timeout=900ms on_end=kill "
                             "on_lost=log share=host debug"),
                     PAM_SUCCESS);
    assert_string_equal(m->locks, "b");
    assert_int_equal(m->wait_ms, 2000);
    assert_int_equal(m->session.timeout_ms, 900);
    assert_int_equal(m->session.on_end, 2);
    assert_int_equal(m->session.share, 1);
    assert_int_equal(m->on_lost, WIRE_LOST_LOG);
}

/* For the environment, not for the user's eyes. */
static void test_slot(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_SLOT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_string_equal(said, "");
    assert_string_equal(pam_getenv(h, "JUSTALOCK_LOCK"), "a");
    assert_string_equal(pam_getenv(h, "JUSTALOCK_SLOT"), "1023");
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    end(h);
}

static void test_two_locks(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", "lock=b");

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.opens, 2);
    assert_string_equal(pam_getenv(h, "JUSTALOCK_LOCK"), "a,b");
    assert_string_equal(pam_getenv(h, "JUSTALOCK_TOKEN"), "1,2");
    assert_true(life_goes_on(0) && life_goes_on(1));
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_int_equal(agent.closes, 2);
    assert_true(life_is_over(0) && life_is_over(1));
    end(h);
}

/* The second is refused: the first goes back with the handle. */
static void test_two_locks_one_refused(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", "lock=b");

    (void)state;
    will_refuse(WIRE_REFUSED_BUSY, "b is held by x");
    agent.acts[0] = ACT_GO;
    agent.acts[1] = ACT_REFUSE;
    agent.acts_len = 2;
    assert_int_equal(pam_open_session(h, 0), PAM_PERM_DENIED);
    assert_string_equal(said, "justalock: b is held by x\n");
    end(h);
    assert_true(life_is_over(0));
}

static void test_waits_aloud(void **state)
{
    pam_handle_t *h = stack("test", "lock=a wait=5s", NULL);

    (void)state;
    will(ACT_NOTE_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    /* Whom it waits for is said once; then that it is over. */
    assert_string_equal(said, "justalock: waiting for one\n"
                              "justalock: have it\n");
    end(h);
    h = stack("test", "lock=a wait=5s", NULL);
    agent_forget();
    will(ACT_NOTE_GO);
    assert_int_equal(pam_open_session(h, PAM_SILENT), PAM_SUCCESS);
    assert_string_equal(said, "");
    end(h);
}

/* The handle's end without pam_close_session, as a killed program's. */
static void test_end_without_close(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_true(life_goes_on(0));
    end(h);
    assert_true(life_is_over(0));
    assert_int_equal(agent.closes, 0);
}

/* As in sshd and su: one process opens, another one closes. */
static void test_close_elsewhere(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);
    int status;
    pid_t pid;

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* without privileges, where there are any */
        if (geteuid() == 0 &&
            (chmod(agent.folder, 0755) != 0 || chmod(agent.path, 0666) != 0 ||
             setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        _exit(pam_close_session(h, 0) == PAM_SUCCESS ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(agent.closes, 1);
    assert_true(life_goes_on(0)); /* this process has it still */
    assert_int_equal(pam_end(h, PAM_SUCCESS | PAM_DATA_SILENT), PAM_SUCCESS);
    assert_true(life_is_over(0));
}

/* ---- refused ---- */

static void test_verdicts(void **state)
{
    static const struct {
        enum wire_verdict verdict;
        int open, closed;
        const char *said;
    } cases[] = {
        {WIRE_REFUSED_BUSY, PAM_PERM_DENIED, PAM_PERM_DENIED,
         "justalock: the reason\n"},
        {WIRE_REFUSED_DENIED, PAM_PERM_DENIED, PAM_PERM_DENIED,
         "justalock: the reason\n"},
        {WIRE_REFUSED_LOST, PAM_PERM_DENIED, PAM_PERM_DENIED,
         "justalock: the reason\n"},
        {WIRE_REFUSED_CONFIG, PAM_SERVICE_ERR, PAM_SERVICE_ERR,
         "its system log says where"},
        {WIRE_REFUSED_BAD, PAM_SERVICE_ERR, PAM_SERVICE_ERR,
         "its system log says where"},
        {WIRE_REFUSED_REQUEUE, PAM_SERVICE_ERR, PAM_SERVICE_ERR,
         "its system log says where"},
        {WIRE_REFUSED_LOCAL, PAM_SYSTEM_ERR, PAM_SYSTEM_ERR,
         "no session without lock \"a\": the reason"},
        {(enum wire_verdict)200, PAM_SYSTEM_ERR, PAM_SYSTEM_ERR,
         "no session without lock \"a\": the reason"},
        {WIRE_REFUSED_NET, PAM_SUCCESS, PAM_AUTHINFO_UNAVAIL, "the reason"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        will_refuse(cases[i].verdict, "the reason");
        assert_int_equal(attempt("lock=a"), cases[i].open);
        assert_has(said, cases[i].said);
        /* What came with a refusal is closed, not kept. */
        assert_true(life_is_over(0));
        assert_int_equal(agent.closes, 0);
        will_refuse(cases[i].verdict, "the reason");
        assert_int_equal(attempt("lock=a on_unreachable=closed"),
                         cases[i].closed);
        assert_has(said, cases[i].said);
    }
}

/* Refusals are said to programs that want silence, too. */
static void test_silent(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will_refuse(WIRE_REFUSED_BUSY, "held by x");
    assert_int_equal(pam_open_session(h, PAM_SILENT), PAM_PERM_DENIED);
    assert_string_equal(said, "justalock: held by x\n");
    end(h);
}

/* ---- an agent that is not as it should be ---- */

static void unreachable(const char *why)
{
    enum act acts[LENGTH(agent.acts)];
    size_t acts_len = agent.acts_len;

    memcpy(acts, agent.acts, sizeof(acts));
    assert_int_equal(attempt("lock=a timeout=100ms"), PAM_SUCCESS);
    assert_has(said, "this session goes on without lock \"a\": ");
    assert_has(said, why);
    assert_int_equal(agent.closes, 0);
    agent_forget();
    memcpy(agent.acts, acts, sizeof(acts));
    agent.acts_len = acts_len;
    assert_int_equal(attempt("lock=a timeout=100ms on_unreachable=closed"),
                     PAM_AUTHINFO_UNAVAIL);
    assert_has(said, "no session without lock \"a\": ");
    assert_has(said, why);
    assert_int_equal(agent.closes, 0);
    for (unsigned i = 0; i < agent.lifes; i++)
        assert_true(life_is_over(i));
}

static void test_no_agent(void **state)
{
    (void)state;
    agent_down();
    unreachable("no justalock-agent answers at");
    agent_up();
}

static void test_hangs(void **state)
{
    (void)state;
    will(ACT_SILENT);
    unreachable("does not answer in time");
}

static void test_late(void **state)
{
    (void)state;
    will(ACT_LATE);
    unreachable("does not answer in time");
}

static void test_always_hangs_up(void **state)
{
    (void)state;
    will(ACT_HANGUP);
    unreachable("the justalock-agent "); /* is gone, or late: as it falls */
}

/* Killed in the middle and back: the next one is asked. */
static void test_dies_and_is_back(void **state)
{
    (void)state;
    will(ACT_HANGUP);
    agent.acts[1] = ACT_HANGUP;
    agent.acts[2] = ACT_GO;
    agent.acts_len = 3;
    assert_int_equal(attempt("lock=a"), PAM_SUCCESS);
    assert_string_equal(said, "");
    assert_int_equal(agent.opens, 3);
    assert_int_equal(agent.closes, 1);
}

/* Only its socket is missing at first: it is about to start. */
static void *start_soon(void *arg)
{
    (void)arg;
    (void)poll(NULL, 0, 100);
    agent_up();
    return NULL;
}

static void test_starts_meanwhile(void **state)
{
    pthread_t t;

    (void)state;
    agent_down();
    will(ACT_GO);
    assert_int_equal(pthread_create(&t, NULL, start_soon, NULL), 0);
    assert_int_equal(attempt("lock=a timeout=30s on_unreachable=closed"),
                     PAM_SUCCESS);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(agent.opens, 1);
}

static void test_rubbish(void **state)
{
    static char huge[WIRE_MAX + 1];
    static const struct {
        const void *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"x", 1, "too short"},
        {"\xff\x00rubbish\xff", 10, "version"},
        {"\x01\x00\xff\xff", 4, "message type 65535"},
        {"\x02\x00\x41\x00", 4, "message version 2"},
        {"\x01\x00\x41\x00\x00", 5, "wrong fields"},
        {huge, sizeof(huge), "8193 bytes exceeds 8192"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        will(ACT_RUBBISH);
        agent.rubbish = cases[i].bytes;
        agent.rubbish_len = cases[i].len;
        unreachable(cases[i].why);
    }
    will(ACT_OUT_OF_TURN);
    unreachable("out of turn");
    will(ACT_NO_LIFE);
    unreachable("gave no life line");
    will(ACT_SHORT_COOKIE);
    unreachable("gave no life line");
}

/* A descriptor too many is nobody's, and is not kept. */
static void test_descriptors_too_many(void **state)
{
    (void)state;
    will(ACT_NOTE_FD);
    assert_int_equal(attempt("lock=a"), PAM_SUCCESS);
    assert_true(life_is_over(0) && life_is_over(1));
    will(ACT_TWO_FDS);
    assert_int_equal(attempt("lock=a"), PAM_SYSTEM_ERR);
    assert_true(life_is_over(0));
}

/* The close is asked for and not answered: the session ends all the same. */
static void test_close_not_answered(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    agent.is_close_silent = true;
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_true(life_is_over(0));
    end(h);
    h = stack("test", "lock=a", NULL);
    will(ACT_GO);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    agent_down();
    assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    assert_true(life_is_over(0));
    end(h);
    agent_up();
}

/* ---- trouble of this process, which a user can cause: never open ---- */

/* From none to so many that it goes well: each way it refuses. 0: so it is. */
static int with_few_descriptors(pam_handle_t *h)
{
    struct rlimit few;

    if (getrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    for (few.rlim_cur = 0; few.rlim_cur < 100; few.rlim_cur++) {
        int rc;

        if (setrlimit(RLIMIT_NOFILE, &few) != 0)
            return 2;
        rc = pam_open_session(h, 0);
        if (rc == PAM_SUCCESS)
            return few.rlim_cur < 3 ? 3 : 0;
        /* Where even the user could not be looked up. */
        if (rc != PAM_SYSTEM_ERR && rc != PAM_USER_UNKNOWN)
            return 4;
    }
    return 5;
}

static void test_no_descriptors(void **state)
{
    const char *preload = getenv("LD_PRELOAD");
    pam_handle_t *h;
    int status;
    pid_t pid;

    (void)state;
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        skip(); /* valgrind has limits of its own */
    h = stack("test", "lock=a", NULL);
    will(ACT_GO);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(with_few_descriptors(h));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* It went well, and before it there was none for the life line. */
    assert_true(agent.opens >= 2);
    end(h);
}

static void test_not_permitted(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(agent.folder, 0755), 0);
    assert_int_equal(chmod(agent.path, 0600), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pam_handle_t *h = stack("denied", "lock=a", NULL);

        if (setegid(65534) != 0 || seteuid(65534) != 0)
            _exit(2);
        _exit(pam_open_session(h, 0) == PAM_SYSTEM_ERR &&
                      strstr(said, "Permission denied") != NULL
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_names_too_long(void **state)
{
    pam_handle_t *h = stack("test", "lock=a on_unreachable=open", NULL);
    char name[400];

    (void)state;
    will(ACT_GO);
    (void)snprintf(name, sizeof(name), "%0300d", 0);
    assert_int_equal(pam_set_item(h, PAM_RUSER, name), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_SYSTEM_ERR);
    assert_int_equal(agent.opens, 0);
    assert_int_equal(pam_set_item(h, PAM_RUSER, "x"), 0);
    /* The other end's name is only shown: cut, and cleaned. */
    name[0] = '\n';
    name[1] = '\x1b';
    assert_int_equal(pam_set_item(h, PAM_RHOST, name), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
    assert_true(parse_is_clean_text(agent.asked.session.rhost, 64));
    assert_int_equal(strlen(agent.asked.session.rhost), 64);
    end(h);
}

/* A signal's handler runs in the middle: the module goes on. */
static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static void test_interrupted(void **state)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct sigaction late = {.sa_handler = SIG_IGN}; /* one on its way yet */
    struct itimerval soon = {.it_interval = {.tv_usec = 10000},
                             .it_value = {.tv_usec = 10000}};
    struct itimerval none = {{0, 0}, {0, 0}};

    (void)state;
    will(ACT_SILENT);
    assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(attempt("lock=a timeout=500ms on_unreachable=closed"),
                     PAM_AUTHINFO_UNAVAIL);
    assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &late, NULL), 0);
    assert_true(alarms > 0);
    assert_has(said, "does not answer in time");
    assert_int_equal(agent.opens, 1);
}

/* ---- whom it concerns; wrong lines ---- */

static void test_concerns(void **state)
{
    const struct group *g = getgrgid(getegid());
    char mine[300], others[300], args[700];
    const struct {
        const char *args;
        unsigned asks;
    } cases[] = {
        {"lock=a users=nobody-else", 0},
        {mine, 1},
        {"lock=a except_users=nobody-else", 1},
        {others, 0},
        {"lock=a services=sshd,su", 0},
        {"lock=a services=sshd,test", 1},
        {"lock=a groups=no-such-group", 0},
        {"lock=a except_groups=no-such-group", 1},
        {args, 1},
    };

    (void)state;
    (void)snprintf(mine, sizeof(mine), "lock=a users=x,%s", user);
    (void)snprintf(others, sizeof(others), "lock=a except_users=%s,x", user);
    (void)snprintf(args, sizeof(args), "lock=a users=x groups=y,%s",
                   g != NULL ? g->gr_name : "");
    for (size_t i = 0; i < LENGTH(cases) - (g == NULL); i++) {
        will(ACT_GO);
        assert_int_equal(attempt(cases[i].args), PAM_SUCCESS);
        assert_int_equal(agent.opens, cases[i].asks);
    }
    (void)snprintf(args, sizeof(args), "lock=a except_groups=%s",
                   g != NULL ? g->gr_name : "no");
    will(ACT_GO);
    assert_int_equal(attempt(args), PAM_SUCCESS);
    assert_int_equal(agent.opens, g == NULL);
}

static void test_services_skipped(void **state)
{
    static const char *const services[] = {"systemd-user", "login"};

    (void)state;
    for (size_t i = 0; i < LENGTH(services); i++)
        for (unsigned named = 0; named < 2; named++) {
            pam_handle_t *h = stack(
                services[i],
                named ? "lock=a services=systemd-user,login" : "lock=a", NULL);

            will(ACT_GO);
            assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
            assert_int_equal(agent.opens, named);
            end(h);
        }
}

static void test_wrong_lines(void **state)
{
    static const char *const lines[] = {
        "",           "lock=",          "lock=a on_unreachable=perhaps",
        "lock=a x=y", "lock=a lock=b",  "lock=a wait=soon",
        "lock=a,b",   "lock=a users=,", "lock=a socket=/x",
    };
    pam_handle_t *h;

    (void)state;
    will(ACT_GO);
    for (size_t i = 0; i < LENGTH(lines); i++)
        assert_int_equal(attempt(lines[i]), PAM_SERVICE_ERR);
    /* On lines of another phase. */
    h = stack("test", "lock=a", NULL);
    assert_int_equal(pam_authenticate(h, 0), PAM_SERVICE_ERR);
    assert_int_equal(pam_setcred(h, PAM_ESTABLISH_CRED), PAM_SERVICE_ERR);
    assert_int_equal(pam_acct_mgmt(h, 0), PAM_SERVICE_ERR);
    end(h);
    assert_int_equal(agent.opens, 0);
}

static void test_unknown_user(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);

    (void)state;
    will(ACT_GO);
    assert_int_equal(pam_set_item(h, PAM_USER, "no-such-user"), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_USER_UNKNOWN);
    assert_int_equal(pam_set_item(h, PAM_USER, NULL), 0);
    assert_int_equal(pam_open_session(h, 0), PAM_CONV_ERR);
    assert_int_equal(agent.opens, 0);
    end(h);
}

/* ---- nothing is left ---- */

static void test_a_thousand(void **state)
{
    pam_handle_t *h = stack("test", "lock=a", NULL);
    int before = 0;

    (void)state;
    for (unsigned i = 0; i <= 1000; i++) {
        if (i == 1)
            before = count_fds();
        if (i % 100 == 0)
            will(ACT_GO);
        if (i % 10 == 9) /* with a new handle, and without the close */
            end(h), h = stack("test", "lock=a", NULL);
        assert_int_equal(pam_open_session(h, 0), PAM_SUCCESS);
        if (i % 10 != 8)
            assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    }
    agent_forget();
    will(ACT_GO);
    /* Ten or so of the fake agent's come and go; a thousand do not. */
    assert_in_range(count_fds(), before - 5, before + 5);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    end(h);
}

/* ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_granted),
        cmocka_unit_test(test_arguments_reach_the_agent),
        cmocka_unit_test(test_slot),
        cmocka_unit_test(test_two_locks),
        cmocka_unit_test(test_two_locks_one_refused),
        cmocka_unit_test(test_waits_aloud),
        cmocka_unit_test(test_end_without_close),
        cmocka_unit_test(test_close_elsewhere),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_no_agent),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_always_hangs_up),
        cmocka_unit_test(test_dies_and_is_back),
        cmocka_unit_test(test_starts_meanwhile),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_descriptors_too_many),
        cmocka_unit_test(test_close_not_answered),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_not_permitted),
        cmocka_unit_test(test_names_too_long),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_concerns),
        cmocka_unit_test(test_services_skipped),
        cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_unknown_user),
        cmocka_unit_test(test_a_thousand),
    };

    return cmocka_run_group_tests_name("pam_module", tests, setup, teardown);
}

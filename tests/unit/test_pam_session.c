/* SPDX-License-Identifier: MIT */
/*
 * test_pam_session.c - a session's talk with the agent: what is asked, what
 * becomes of the descriptors that come, of answers that are halves, rubbish,
 * too many or none, of connections that end, and of signals. Each connection
 * is a pair of sockets here, and its answers are there before it is asked.
 */
#include "count_fds.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/pam/pam_session.h"

#define COOKIE "0123456789abcdef0123456789abcdef"

/* ---- connections ---- */

#define CONNS_MAX 8

static struct {
    enum justalock_status status; /* of connecting */
    int ours, agents;
} conn[CONNS_MAX];
static unsigned made, used;

enum justalock_status __wrap_agent_connect(const char *path, int *ret_fd,
                                           struct justalock_error *err);
enum justalock_status __wrap_agent_connect(const char *path, int *ret_fd,
                                           struct justalock_error *err)
{
    if (used == made)
        return error_set(err, JUSTALOCK_NET, "nobody at %s", path);
    if (conn[used].status != JUSTALOCK_OK)
        return error_set(err, conn[used++].status, "cannot, says %s", path);
    *ret_fd = conn[used++].ours;
    return JUSTALOCK_OK;
}

static int new_conn(void)
{
    int pair[2];

    assert_true(made < CONNS_MAX);
    assert_int_equal(socketpair(AF_UNIX,
                                SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                0, pair),
                     0);
    conn[made].status = JUSTALOCK_OK;
    conn[made].ours = pair[0];
    conn[made].agents = pair[1];
    made++;
    return pair[1];
}

static void no_conn(enum justalock_status status)
{
    conn[made].ours = conn[made].agents = -1;
    conn[made++].status = status;
}

/* ---- the agent ---- */

static int life[2]; /* read end, write end */

static void send_bytes(int fd, const void *bytes, size_t len, int with)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = ""};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};

    if (with >= 0) {
        struct cmsghdr *c;

        h.msg_control = &control;
        h.msg_controllen = sizeof(control.space);
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &with, sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &h, MSG_NOSIGNAL), len);
}

static void says(int fd, const struct wire_msg *m, int with)
{
    struct justalock_error err;
    struct buf b;

    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(m, &b, &err), err);
    send_bytes(fd, b.data, b.len, with);
    buf_done(&b);
}

static void decides(int fd, enum wire_verdict verdict, const char *cookie,
                    int with)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .verdict = (uint8_t)verdict};

    (void)snprintf(m.text, sizeof(m.text), "the text");
    (void)snprintf(m.cookie, sizeof(m.cookie), "%s", cookie);
    says(fd, &m, with);
}

static void notes(int fd, const char *text, int with)
{
    struct wire_msg m = {.type = WIRE_NOTE};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    says(fd, &m, with);
}

/* What it was asked, on this connection. */
static struct wire_msg asked(unsigned i)
{
    struct wire_msg m = {.type = WIRE_PING};
    struct justalock_error err;
    char data[WIRE_MAX];
    ssize_t n = recv(conn[i].agents, data, sizeof(data), 0);

    assert_true(n > 0);
    assert_ok(wire_unpack(data, (size_t)n, &m, &err), err);
    return m;
}

/* ---- a session ---- */

static struct pam_options options;
static struct session session;
static struct wire_msg got;
static struct justalock_error err;
static char noted[4096];
static int talks_at = -1; /* for each note it takes another one comes */
static int fds;

static void note(void *arg, const char *text)
{
    size_t len = strlen(noted);

    assert_ptr_equal(arg, noted);
    if (talks_at >= 0)
        notes(talks_at, "and", -1);
    else
        (void)snprintf(noted + len, sizeof(noted) - len, "%s\n", text);
}

static void begin(void)
{
    made = used = 0;
    options = (struct pam_options){
        .lock = "a", .socket = "/s", .wait_ms = 0, .timeout_ms = 60000};
    session = (struct session){.life = -7};
    noted[0] = '\0';
    memset(&got, 0, sizeof(got));
    memset(&err, 0, sizeof(err));
    fds = count_fds();
    assert_int_equal(pipe2(life, O_CLOEXEC | O_NONBLOCK), 0);
}

static enum session_end ask(void)
{
    struct session_ask a = {.options = &options, .note = note, .arg = noted};

    a.who = (struct wire_session){.uid = 1001};
    (void)snprintf(a.who.user, sizeof(a.who.user), "alice");
    (void)snprintf(a.who.ruser, sizeof(a.who.ruser), "bob");
    (void)snprintf(a.who.rhost, sizeof(a.who.rhost), "there");
    (void)snprintf(a.who.service, sizeof(a.who.service), "sshd");
    return session_ask(&a, &got, &session, &err);
}

/* All is closed but what the session keeps, and what nobody took. */
static void check_end(bool keeps)
{
    struct pollfd p = {.fd = life[0], .events = POLLIN};

    for (unsigned i = 0; i < made; i++) {
        if (conn[i].agents >= 0)
            (void)close(conn[i].agents);
        if (i >= used && conn[i].ours >= 0)
            (void)close(conn[i].ours);
    }
    (void)close(life[1]);
    assert_int_equal(count_fds(), fds + 1 + keeps);
    assert_int_equal(poll(&p, 1, 0), !keeps);
    if (keeps) {
        assert_true(session.life > 2);
        assert_int_equal(fcntl(session.life, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        session_drop(&session);
        assert_int_equal(session.life, -1);
        for (size_t i = 0; i < sizeof(session.cookie); i++)
            assert_int_equal(session.cookie[i], 0);
        assert_int_equal(poll(&p, 1, 0), 1);
        assert_int_equal(p.revents & POLLHUP, POLLHUP);
        session_drop(&session); /* once more: nothing */
    } else {
        assert_int_equal(session.life, -7); /* untouched */
    }
    (void)close(life[0]);
}

/* ---- asked and answered ---- */

static void what_is_asked(void **state)
{
    struct wire_msg m;
    int at;

    (void)state;
    begin();
    options.wait_ms = 4711;
    options.on_end = 2;
    options.share = 1;
    options.on_lost = WIRE_LOST_LOG;
    at = new_conn();
    decides(at, WIRE_GO, COOKIE, life[1]);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_int_equal(got.verdict, WIRE_GO);
    assert_string_equal(session.cookie, COOKIE);
    assert_string_equal(session.socket, "/s");
    m = asked(0);
    assert_int_equal(m.type, WIRE_SESSION_OPEN);
    assert_string_equal(m.locks, "a");
    assert_int_equal(m.wait_ms, 4711);
    assert_int_equal(m.on_lost, WIRE_LOST_LOG);
    assert_int_equal(m.session.uid, 1001);
    assert_string_equal(m.session.user, "alice");
    assert_string_equal(m.session.ruser, "bob");
    assert_string_equal(m.session.rhost, "there");
    assert_string_equal(m.session.service, "sshd");
    assert_int_equal(m.session.timeout_ms, 60000);
    assert_int_equal(m.session.on_end, 2);
    assert_int_equal(m.session.share, 1);
    check_end(true);
}

static void refused(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++)
        for (int v = WIRE_REFUSED_BUSY; v <= WIRE_REFUSED_LOCAL + 1; v++) {
            begin();
            decides(new_conn(), (enum wire_verdict)v, COOKIE,
                    with ? life[1] : -1);
            assert_int_equal(ask(), SESSION_VERDICT);
            assert_int_equal(got.verdict, v);
            assert_string_equal(got.text, "the text");
            check_end(false);
        }
}

static void without_a_life_line(void **state)
{
    static const char *const cookies[] = {COOKIE, "", "0"};

    (void)state;
    for (size_t i = 0; i < LENGTH(cookies); i++) {
        begin();
        decides(new_conn(), WIRE_GO, cookies[i], i == 0 ? -1 : life[1]);
        assert_int_equal(ask(), SESSION_UNREACHABLE);
        assert_has(err.text, "gave no life line");
        check_end(false);
    }
}

static void notes_before_it(void **state)
{
    int at;

    (void)state;
    begin();
    at = new_conn();
    notes(at, "one", -1);
    notes(at, "two", life[1]); /* that is nobody's */
    notes(at, "", life[0]);
    decides(at, WIRE_GO, COOKIE, life[1]);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_string_equal(noted, "one\ntwo\n\n");
    check_end(true);
}

/* ---- not as it should be ---- */

static void rubbish(void **state)
{
    static char huge[WIRE_MAX + 1];
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"x", 1, "too short"},
        {"\xff\x00rubbish\xff", 10, "version"},
        {"\x02\x00\x41\x00", 4, "message version 2"},
        {"\x01\x00\xff\xff", 4, "message type 65535"},
        {huge, sizeof(huge), "8193 bytes exceeds 8192"},
    };
    struct wire_msg m = {.type = WIRE_LOST};
    int at;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        begin();
        at = new_conn();
        notes(at, "one", -1);
        send_bytes(at, cases[i].bytes, cases[i].len, life[1]);
        decides(at, WIRE_GO, COOKIE, life[1]); /* too late */
        assert_int_equal(ask(), SESSION_UNREACHABLE);
        assert_has(err.text, cases[i].why);
        check_end(false);
    }
    begin();
    says(new_conn(), &m, life[1]);
    assert_int_equal(ask(), SESSION_UNREACHABLE);
    assert_has(err.text, "out of turn");
    check_end(false);
}

static void half_of_it(void **state)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .cookie = COOKIE};
    struct buf b;

    (void)state;
    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(&m, &b, &err), err);
    for (size_t len = 1; len < b.len; len++) {
        begin();
        send_bytes(new_conn(), b.data, len, life[1]);
        assert_int_equal(ask(), SESSION_UNREACHABLE);
        assert_int_equal(err.status, JUSTALOCK_PROTO);
        check_end(false);
    }
    buf_done(&b);
}

/* Nothing in it but a descriptor: it looks like the end. */
static void empty_with_a_descriptor(void **state)
{
    int at;

    (void)state;
    begin();
    at = new_conn();
    send_bytes(at, "", 0, life[1]);
    at = new_conn();
    decides(at, WIRE_REFUSED_BUSY, "", -1);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_int_equal(used, 2);
    check_end(false);
    begin(); /* where there is no more time */
    options.timeout_ms = 0;
    send_bytes(new_conn(), "", 0, life[1]);
    assert_int_equal(ask(), SESSION_UNREACHABLE);
    check_end(false);
}

/* There is no room for the one that comes. */
static void no_descriptors(void **state)
{
    struct rlimit before, few;

    (void)state;
    begin();
    decides(new_conn(), WIRE_GO, COOKIE, life[1]);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(ask(), SESSION_LOCAL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err.sys_errno, EMFILE);
    check_end(false);
}

/* ---- it goes, and comes again ---- */

static void asks_anew(void **state)
{
    struct wire_msg first, second;
    int at;

    (void)state;
    begin();
    at = new_conn();
    notes(at, "one", -1);
    assert_int_equal(shutdown(at, SHUT_WR), 0);
    no_conn(JUSTALOCK_NET); /* it is just starting */
    at = new_conn();
    notes(at, "two", -1);
    decides(at, WIRE_GO, COOKIE, life[1]);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_string_equal(noted, "one\ntwo\n");
    first = asked(0);
    second = asked(2);
    assert_memory_equal(&first, &second, sizeof(first));
    check_end(true);
}

static void is_gone_for_good(void **state)
{
    struct clock_time began;

    (void)state;
    begin();
    options.timeout_ms = 200;
    assert_int_equal(shutdown(new_conn(), SHUT_WR), 0);
    began = clock_now();
    assert_int_equal(ask(), SESSION_UNREACHABLE);
    assert_has(err.text, "nobody at /s"); /* of the last attempt */
    assert_in_range(clock_elapsed_ms(began, clock_now()), 200, 20000);
    check_end(false);
}

/* What is our own lack is not the agent's. */
static void cannot_ask(void **state)
{
    static const enum justalock_status local[] = {JUSTALOCK_SYS, JUSTALOCK_ARG,
                                                  JUSTALOCK_NOMEM};

    (void)state;
    for (size_t i = 0; i < LENGTH(local); i++) {
        begin();
        no_conn(local[i]);
        decides(new_conn(), WIRE_GO, COOKIE, life[1]);
        assert_int_equal(ask(), SESSION_LOCAL);
        assert_string_equal(err.text, "cannot, says /s");
        assert_int_equal(used, 1); /* at once */
        check_end(false);
    }
}

/* ---- for how long ---- */

static void silent(void **state)
{
    static const struct {
        int64_t wait_ms, timeout_ms, least;
    } cases[] = {
        {0, 60, 60}, {WIRE_WAIT_DEFAULT, 60, 60}, {150, 60, 210}, {-1, 60, 60}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct clock_time began;

        begin();
        options.wait_ms = cases[i].wait_ms;
        options.timeout_ms = cases[i].timeout_ms;
        (void)new_conn();
        began = clock_now();
        assert_int_equal(ask(), SESSION_UNREACHABLE);
        assert_has(err.text, "does not answer in time");
        assert_in_range(clock_elapsed_ms(began, clock_now()), cases[i].least,
                        20000);
        assert_int_equal(used, 1);
        check_end(false);
    }
}

/* The line says nothing of a wait, the configuration does: "busy" is waited
 * for, since silence would be taken for an agent that is missing. */
static void as_long_as_is_configured(void **state)
{
    int at;
    pid_t pid;

    (void)state;
    begin();
    options.wait_ms = WIRE_WAIT_DEFAULT;
    options.timeout_ms = 150;
    at = new_conn();
    notes(at, "held by bob", -1);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)poll(NULL, 0, 600);
        decides(at, WIRE_REFUSED_BUSY, "", -1);
        _exit(0);
    }
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_int_equal(got.verdict, WIRE_REFUSED_BUSY);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    check_end(false);
}

/* ... and where it goes meanwhile, a new one is waited for as at first. */
static void gone_while_it_waits(void **state)
{
    struct clock_time began;
    int at;

    (void)state;
    begin();
    options.wait_ms = WIRE_WAIT_DEFAULT;
    options.timeout_ms = 150;
    at = new_conn();
    notes(at, "held by bob", -1);
    assert_int_equal(shutdown(at, SHUT_WR), 0);
    began = clock_now();
    assert_int_equal(ask(), SESSION_UNREACHABLE);
    assert_in_range(clock_elapsed_ms(began, clock_now()), 150, 20000);
    check_end(false);
}

/* Told that it is busy, as the last that is known: no silence lets it in. */
static void gone_while_it_is_busy(void **state)
{
    static const struct {
        const char *first, *second;
        bool is_closed;
        enum session_end end;
    } cases[] = {
        {WIRE_NOTE_BUSY "1", "held by bob", true, SESSION_VERDICT},
        {WIRE_NOTE_BUSY "1", "held by bob", false, SESSION_VERDICT},
        {WIRE_NOTE_BUSY "0", "trying on", true, SESSION_UNREACHABLE},
        {WIRE_NOTE_BUSY "1", WIRE_NOTE_BUSY "0", true, SESSION_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int at;

        begin();
        options.timeout_ms = 150;
        at = new_conn();
        notes(at, cases[i].first, -1);
        notes(at, cases[i].second, -1);
        if (cases[i].is_closed)
            assert_int_equal(shutdown(at, SHUT_WR), 0);
        assert_int_equal(ask(), cases[i].end);
        assert_null(strstr(noted, "JUSTALOCK"));
        if (cases[i].end == SESSION_VERDICT) {
            assert_int_equal(got.verdict, WIRE_REFUSED_BUSY);
            assert_has(got.text, "was held by another, and then: ");
        }
        check_end(false);
    }
}

/* A guard that was started again begins its wait anew. */
static void the_wait_begins_with_the_note(void **state)
{
    int at;
    pid_t pid;

    (void)state;
    begin();
    options.wait_ms = 600;
    options.timeout_ms = 150;
    at = new_conn();
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)poll(NULL, 0, 300);
        notes(at, "held by bob", -1);
        (void)poll(NULL, 0, 600);
        decides(at, WIRE_REFUSED_BUSY, "", -1);
        _exit(0);
    }
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_int_equal(got.verdict, WIRE_REFUSED_BUSY);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    check_end(false);
}

/* The program was stopped past the deadline: what is there counts. */
static void looks_once_more(void **state)
{
    int at;

    (void)state;
    begin();
    options.timeout_ms = 0;
    at = new_conn();
    notes(at, "one", -1);
    notes(at, "two", -1);
    decides(at, WIRE_GO, COOKIE, life[1]);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_string_equal(noted, "one\ntwo\n");
    check_end(true);
}

static void talks_on_and_on(void **state)
{
    (void)state;
    begin();
    options.timeout_ms = 100;
    talks_at = new_conn();
    notes(talks_at, "one", -1);
    (void)alarm(50);
    assert_int_equal(ask(), SESSION_UNREACHABLE);
    (void)alarm(0);
    talks_at = -1;
    assert_has(err.text, "does not answer in time");
    check_end(false);
}

/* ---- signals of the program ---- */

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static void ring(bool on)
{
    struct sigaction sa = {.sa_handler = on ? on_alarm : SIG_IGN};
    struct itimerval every = {.it_interval = {.tv_usec = on ? 5000 : 0},
                              .it_value = {.tv_usec = on ? 5000 : 0}};

    alarms = 0;
    if (on)
        assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    if (!on)
        assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
}

/* The agent reads late: a full socket, and a handler runs meanwhile. */
static void serve_late(int at)
{
    char data[WIRE_MAX];
    struct wire_msg m;
    struct pollfd p = {.fd = at, .events = POLLIN};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)poll(NULL, 0, 100);
    for (;;) {
        ssize_t n;

        if (poll(&p, 1, 20000) != 1)
            _exit(1);
        n = recv(at, data, sizeof(data), 0);
        if (n <= 0)
            _exit(2);
        if (wire_unpack(data, (size_t)n, &m, NULL) == JUSTALOCK_OK)
            break;
    }
    (void)poll(NULL, 0, 60); /* handlers run while it waits for the answer */
    if (m.type == WIRE_SESSION_OPEN)
        decides(at, WIRE_REFUSED_BUSY, "", -1);
    else
        decides(at, WIRE_GO, "", -1);
    _exit(0);
}

static pid_t full_socket(void)
{
    int at = new_conn();
    pid_t pid;

    while (send(conn[made - 1].ours, "junk", 4, MSG_NOSIGNAL) == 4)
        ;
    assert_int_equal(errno, EAGAIN);
    pid = fork();
    if (pid == 0)
        serve_late(at);
    return pid;
}

static void interrupted(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    begin();
    pid = full_socket();
    options.timeout_ms = 5000;
    ring(true);
    assert_int_equal(ask(), SESSION_VERDICT);
    assert_true(alarms > 0);
    ring(false);
    assert_int_equal(got.verdict, WIRE_REFUSED_BUSY);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    check_end(false);
}

/* ---- given back ---- */

static enum justalock_status gives_back(char *text, size_t size)
{
    struct session s = {.life = -1, .cookie = COOKIE, .socket = "/s"};

    return session_give_back(&s, text, size, &err);
}

static void given_back(void **state)
{
    struct wire_msg m = {.type = WIRE_VERDICT};
    char text[8] = "before";

    (void)state;
    begin();
    says(new_conn(), &m, -1);
    assert_ok(gives_back(text, sizeof(text)), err);
    assert_string_equal(text, "");
    m = asked(0);
    assert_int_equal(m.type, WIRE_SESSION_CLOSE);
    assert_string_equal(m.cookie, COOKIE);
    decides(new_conn(), WIRE_GO, "", -1);
    assert_ok(gives_back(text, sizeof(text)), err);
    assert_string_equal(text, "the tex"); /* what fits */
    /* A descriptor is not expected, and not kept. */
    decides(new_conn(), WIRE_GO, "", life[1]);
    assert_ok(gives_back(text, sizeof(text)), err);
    check_end(false);
}

static void not_given_back(void **state)
{
    struct clock_time began;
    char text[8] = "before";

    (void)state;
    begin();
    assert_fails(gives_back(text, sizeof(text)), JUSTALOCK_NET, err, "nobody");
    assert_string_equal(text, "");
    memcpy(text, "before", 7);
    assert_int_equal(shutdown(new_conn(), SHUT_WR), 0);
    assert_fails(gives_back(text, sizeof(text)), JUSTALOCK_NET, err, "closed");
    assert_string_equal(text, "");
    send_bytes(new_conn(), "x", 1, -1);
    assert_fails(gives_back(text, sizeof(text)), JUSTALOCK_PROTO, err, "short");
    (void)new_conn();
    began = clock_now();
    assert_fails(gives_back(text, sizeof(text)), JUSTALOCK_NET, err, "in time");
    assert_in_range(clock_elapsed_ms(began, clock_now()), 2000, 20000);
    check_end(false);
}

static void given_back_though_interrupted(void **state)
{
    char text[16];
    int status;
    pid_t pid;

    (void)state;
    begin();
    pid = full_socket();
    ring(true);
    assert_ok(gives_back(text, sizeof(text)), err);
    assert_true(alarms > 0);
    ring(false);
    assert_string_equal(text, "the text");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    check_end(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked),
        cmocka_unit_test(refused),
        cmocka_unit_test(without_a_life_line),
        cmocka_unit_test(notes_before_it),
        cmocka_unit_test(rubbish),
        cmocka_unit_test(half_of_it),
        cmocka_unit_test(empty_with_a_descriptor),
        cmocka_unit_test(no_descriptors),
        cmocka_unit_test(asks_anew),
        cmocka_unit_test(is_gone_for_good),
        cmocka_unit_test(cannot_ask),
        cmocka_unit_test(silent),
        cmocka_unit_test(as_long_as_is_configured),
        cmocka_unit_test(gone_while_it_waits),
        cmocka_unit_test(gone_while_it_is_busy),
        cmocka_unit_test(the_wait_begins_with_the_note),
        cmocka_unit_test(looks_once_more),
        cmocka_unit_test(talks_on_and_on),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(given_back),
        cmocka_unit_test(not_given_back),
        cmocka_unit_test(given_back_though_interrupted),
    };

    return cmocka_run_group_tests_name("pam_session", tests, NULL, NULL);
}

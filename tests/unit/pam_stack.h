/* SPDX-License-Identifier: MIT */
/*
 * pam_stack.h - pam_justalock.so in a stack of a real libpam, before the agent
 * of pam_agent.h, and what it says to the user.
 */
#ifndef TESTS_UNIT_PAM_STACK_H
#define TESTS_UNIT_PAM_STACK_H

#include "pam_agent.h"

static char module[PATH_MAX];
static char user[256];

/* ---- libpam ---- */

static char said[2048];

static int converse(int n, const struct pam_message **msg,
                    struct pam_response **ret, void *arg)
{
    (void)arg;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(said);

        if (msg[i]->msg_style == PAM_PROMPT_ECHO_ON)
            return PAM_CONV_ERR; /* "login:": nobody is there */
        assert_int_equal(msg[i]->msg_style, PAM_ERROR_MSG);
        (void)snprintf(said + len, sizeof(said) - len, "%s\n", msg[i]->msg);
    }
    *ret = calloc((size_t)n, sizeof(**ret));
    return *ret != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* A stack of the lines, "session required MODULE socket=... ARGS" each. */
static pam_handle_t *stack(const char *service, const char *args,
                           const char *more)
{
    static const struct pam_conv conv = {.conv = converse};
    pam_handle_t *h = NULL;
    char path[200];
    FILE *f;

    said[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/%s", agent.folder, service);
    f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "session required %s socket=%s %s\n", module, agent.path, args);
    if (more != NULL)
        fprintf(f, "session required %s socket=%s %s\n", module, agent.path,
                more);
    fprintf(f, "auth required %s lock=a\naccount required %s lock=a\n", module,
            module);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(pam_start_confdir(service, user, &conv, agent.folder, &h),
                     PAM_SUCCESS);
    return h;
}

static void end(pam_handle_t *h)
{
    assert_int_equal(pam_end(h, PAM_SUCCESS), PAM_SUCCESS);
}

/* Open with these arguments, and what came of it; the session is closed. */
static int attempt(const char *args)
{
    pam_handle_t *h = stack("test", args, NULL);
    int rc = pam_open_session(h, 0);

    if (rc == PAM_SUCCESS)
        assert_int_equal(pam_close_session(h, 0), PAM_SUCCESS);
    end(h);
    return rc;
}

static void will(enum act act)
{
    agent_forget();
    agent.acts[0] = act;
    agent.acts_len = 1;
}

static void will_refuse(enum wire_verdict verdict, const char *text)
{
    will(ACT_REFUSE);
    agent.verdict = (uint8_t)verdict;
    (void)snprintf(agent.text, sizeof(agent.text), "%s", text);
}

static int setup(void **state)
{
    const struct passwd *pw = getpwuid(geteuid());
    char self[PATH_MAX / 2];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    (void)state;
    if (n < 0 || pw == NULL)
        return -1;
    self[n] = '\0';
    for (unsigned up = 0; up < 3; up++) { /* B/tests/unit/ME */
        slash = strrchr(self, '/');
        if (slash == NULL)
            return -1;
        *slash = '\0';
    }
    (void)snprintf(module, sizeof(module), "%s/lib/pam_justalock.so", self);
    (void)snprintf(user, sizeof(user), "%s", pw->pw_name);
    (void)snprintf(agent.folder, sizeof(agent.folder),
                   "/tmp/justalock-pam.XXXXXX");
    if (access(module, R_OK) != 0 || mkdtemp(agent.folder) == NULL)
        return -1;
    (void)snprintf(agent.path, sizeof(agent.path), "%s/agent", agent.folder);
    agent_up();
    return 0;
}

static int teardown(void **state)
{
    static const char *const services[] = {"test", "denied", "login",
                                           "systemd-user"};
    char path[200];

    (void)state;
    agent_down();
    agent_forget();
    for (size_t i = 0; i < LENGTH(services); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", agent.folder, services[i]);
        (void)unlink(path);
    }
    return rmdir(agent.folder);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * pam_session.h - one session's talk with the agent: asked for, kept by its
 * life line, given back. Knows of PAM only what it is told.
 */
#ifndef PAM_SESSION_H
#define PAM_SESSION_H

#include "agent_client.h"
#include "pam_options.h"

/* What is kept from open_session to close_session. */
struct session {
    int life; /* write end of the life line, CLOEXEC */
    char cookie[WIRE_COOKIE_LEN + 1];
    char socket[108];
};

enum session_end {
    SESSION_VERDICT,     /* the agent has answered */
    SESSION_UNREACHABLE, /* no agent, or one that gives no answer in time */
    SESSION_LOCAL        /* this process lacks what it needs to ask */
};

struct session_ask {
    const struct pam_options *options;
    struct wire_session who;
    /* Called for what is to be said while it waits. */
    void (*note)(void *arg, const char *text);
    void *arg;
};

/*
 * Ask, and wait for the verdict until wait + timeout, and look once more then.
 * The agent's first note, that it waits, has that time begin anew; where wait
 * is WIRE_WAIT_DEFAULT, it waits as is configured, PAM_WAIT_MAX_MS at most.
 * An agent that goes away after it has said that another holds the lock leaves
 * a verdict too: that it is busy.
 * SESSION_VERDICT: ret_verdict is filled, and with WIRE_GO ret_session too;
 * otherwise err says why. Blocks PAM_WAIT_MAX_MS + timeout at most; survives a
 * restart of the agent meanwhile.
 */
enum session_end session_ask(const struct session_ask *ask,
                             struct wire_msg *ret_verdict,
                             struct session *ret_session,
                             struct justalock_error *err);

/*
 * Say that it is over, and wait for the answer, 2 s at most. ret_text (size
 * bytes): what the agent said, "" nothing. Works from another process than the
 * one that asked, and without privileges.
 */
enum justalock_status session_give_back(const struct session *s, char *ret_text,
                                        size_t size,
                                        struct justalock_error *err)
    JUSTALOCK_MUST;
/* Close the life line here; what has copies of it keeps the session. */
void session_drop(struct session *s);

#endif

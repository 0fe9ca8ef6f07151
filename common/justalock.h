/* SPDX-License-Identifier: MIT */
/*
 * justalock.h - the public interface of libjustalock: named locks that many
 * machines agree on, held as leases and kept refreshed by a thread.
 *
 * Every function that can fail returns an enum justalock_status and fills the
 * caller's optional struct justalock_error. Outputs named ret_ are untouched
 * on failure. All text is UTF-8. Nothing here prints, exits, changes signal
 * dispositions, the locale or the environment.
 */
#ifndef JUSTALOCK_H
#define JUSTALOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JUSTALOCK_VERSION "0.1.0"

#if defined(__GNUC__)
#define JUSTALOCK_API  __attribute__((visibility("default")))
#define JUSTALOCK_MUST __attribute__((warn_unused_result))
#else
#define JUSTALOCK_API
#define JUSTALOCK_MUST
#endif

#define JUSTALOCK_ID_LEN      16  /* bytes of a lock id */
#define JUSTALOCK_ID_TEXT_LEN 22  /* base64url without padding, without NUL */
#define JUSTALOCK_CLIENT_MAX  64  /* bytes of a client id that we accept */
#define JUSTALOCK_LABEL_MAX   120 /* printable characters of a label */
#define JUSTALOCK_LIFE_MIN_S  1
#define JUSTALOCK_LIFE_MAX_S  65535

/* The numbers never change; new ones are added at the end. */
enum justalock_status {
    JUSTALOCK_OK = 0,
    JUSTALOCK_HELD = 1,      /* someone else holds the lock */
    JUSTALOCK_LOST = 2,      /* was ours and is (or may be) no longer */
    JUSTALOCK_ARG = 3,       /* an argument is out of its range */
    JUSTALOCK_NOMEM = 4,     /* no memory */
    JUSTALOCK_SYS = 5,       /* a system call failed; sys_errno is set */
    JUSTALOCK_NET = 6,       /* the service could not be reached in time */
    JUSTALOCK_PROTO = 7,     /* an answer outside the protocol */
    JUSTALOCK_DENIED = 8,    /* not allowed, by the service or by policy */
    JUSTALOCK_CONFIG = 9,    /* the configuration is wrong */
    JUSTALOCK_CANCELED = 10, /* the caller or a signal ended the wait */
    JUSTALOCK_STATE = 11     /* the call does not fit the handle's state */
};

struct justalock_error {
    enum justalock_status status;
    int sys_errno;   /* errno of the failed call, or 0 */
    int http_status; /* of the service's answer, or 0 */
    char text[240];  /* one line, NUL-terminated, never empty on failure */
};

#ifdef __cplusplus
}
#endif
#endif /* JUSTALOCK_H */

/* SPDX-License-Identifier: MIT */
/*
 * failing.c - takes the place of the calls that are to fail, by the linker's
 * --wrap.
 */
#include "failing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    long countdown; /* at 0 one fails; < 0: none */
    bool came;
    bool is_paused;
    long live;
    const char *call;
    int errnum;
} failing = {.countdown = -1};

void failing_memory(long nth)
{
    failing.countdown = nth;
    failing.came = false;
}

bool failing_came(void)
{
    bool came = failing.came;

    failing.came = false;
    return came;
}

long failing_live(void)
{
    return failing.live;
}

void failing_pause(bool is_paused)
{
    failing.is_paused = is_paused;
}

void failing_call(const char *name, int errnum)
{
    failing.call = name;
    failing.errnum = errnum;
}

/* ---- memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *p);

static bool is_to_fail(void)
{
    if (failing.is_paused || failing.countdown < 0 || failing.countdown-- > 0)
        return false;
    failing.came = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    failing.live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_to_fail() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    void *p = is_to_fail() ? NULL : __real_realloc(old, size);

    failing.live += p != NULL && old == NULL;
    return p;
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *p = is_to_fail() ? NULL : counted(__real_malloc(size));

    return p == NULL ? NULL : memcpy(p, text, size);
}

void __wrap_free(void *p)
{
    failing.live -= p != NULL;
    __real_free(p);
}

/* ---- the system ---- */

static bool is_call_to_fail(const char *name)
{
    if (failing.call == NULL || strcmp(failing.call, name) != 0)
        return false;
    failing.call = NULL;
    errno = failing.errnum;
    return true;
}

#define FAILING(type, name, parameters, arguments)                             \
    type __real_##name parameters;                                             \
    type __wrap_##name parameters;                                             \
    type __wrap_##name parameters                                              \
    {                                                                          \
        return is_call_to_fail(#name) ? -1 : __real_##name arguments;          \
    }

FAILING(pid_t, fork, (void), ())
FAILING(int, pipe2, (int fds[2], int flags), (fds, flags))
FAILING(int, accept4,
        (int fd, struct sockaddr *from, socklen_t *len, int flags),
        (fd, from, len, flags))
FAILING(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *e),
        (epoll, op, fd, e))
FAILING(int, getsockopt,
        (int fd, int level, int name, void *value, socklen_t *len),
        (fd, level, name, value, len))
FAILING(int, socket, (int domain, int type, int protocol),
        (domain, type, protocol))
FAILING(int, rename, (const char *from, const char *to), (from, to))
FAILING(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))

/* SPDX-License-Identifier: MIT */
/*
 * spank_options.c - the words of plugstack.conf and the values of --lock,
 * --lock-wait and --lock-on-busy, checked. Knows nothing of Slurm and keeps
 * no state.
 */
#include <stdio.h>
#include <string.h>

#include "plugin.h"

/* What follows "key=" in word, or NULL. */
static const char *value_of(const char *word, const char *key)
{
    size_t len = strlen(key);

    return strncmp(word, key, len) == 0 ? word + len : NULL;
}

static enum justalock_status set_socket(struct plugin_settings *s,
                                        const char *path,
                                        struct justalock_error *err)
{
    size_t len = strlen(path);

    if (path[0] != '/' || len > PLUGIN_SOCKET_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "socket=%s: not an absolute path of at most %d bytes",
                         path, PLUGIN_SOCKET_MAX);
    memcpy(s->socket, path, len + 1);
    return JUSTALOCK_OK;
}

static enum justalock_status set_timeout(struct plugin_settings *s,
                                         const char *text,
                                         struct justalock_error *err)
{
    int64_t ms = 0;
    enum justalock_status st;

    st = parse_time_ms(text, PLUGIN_TIMEOUT_MAX_MS, "timeout", &ms, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (ms == 0)
        return error_set(err, JUSTALOCK_ARG, "timeout: 0 leaves no time");
    s->timeout_ms = ms;
    return JUSTALOCK_OK;
}

static enum justalock_status set_word(struct plugin_settings *s,
                                      const char *word,
                                      struct justalock_error *err)
{
    const char *value = value_of(word, "socket=");

    if (value != NULL)
        return set_socket(s, value, err);
    value = value_of(word, "timeout=");
    if (value != NULL)
        return set_timeout(s, value, err);
    value = value_of(word, "no_agent=");
    if (value == NULL)
        return error_set(err, JUSTALOCK_ARG,
                         "%s: unknown; known are socket=PATH, timeout=TIME, "
                         "no_agent=closed|open",
                         word);
    if (strcmp(value, "open") != 0 && strcmp(value, "closed") != 0)
        return error_set(err, JUSTALOCK_ARG,
                         "no_agent=%s: neither closed nor open", value);
    s->is_open = strcmp(value, "open") == 0;
    return JUSTALOCK_OK;
}

void settings_read(int ac, char **av, struct plugin_settings *ret_settings)
{
    struct plugin_settings s = {.socket = WIRE_SOCKET,
                                .timeout_ms = PLUGIN_TIMEOUT_MS};
    struct justalock_error err;

    for (int i = 0; i < ac; i++) {
        if (set_word(&s, av[i], &err) == JUSTALOCK_OK || s.is_bad)
            continue;
        s.is_bad = true;
        (void)snprintf(s.why, sizeof(s.why), "%s", err.text);
    }
    *ret_settings = s;
}

void request_init(struct plugin_request *request)
{
    *request = (struct plugin_request){.wait_ms = WIRE_WAIT_DEFAULT,
                                       .on_busy = WIRE_BUSY_DEFAULT};
}

/* One name of a list, len bytes at text. */
static enum justalock_status check_name(const char *text, size_t len,
                                        struct justalock_error *err)
{
    char name[PARSE_NAME_MAX + 1];

    if (len == 0)
        return error_set(err, JUSTALOCK_ARG, "--lock: an empty name");
    if (len > PARSE_NAME_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "--lock: a name of %zu bytes; at most %d", len,
                         PARSE_NAME_MAX);
    memcpy(name, text, len);
    name[len] = '\0';
    if (strcmp(name, "singleton:") == 0)
        return error_set(err, JUSTALOCK_ARG,
                         "--lock: singleton: without a text after it");
    return parse_name(name, "--lock", err);
}

static enum justalock_status set_locks(struct plugin_request *request,
                                       const char *value,
                                       struct justalock_error *err)
{
    size_t len = strlen(value);
    size_t names = 0;

    if (len > WIRE_LIST_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "--lock: a list of %zu bytes; at most %d", len,
                         WIRE_LIST_MAX);
    for (const char *at = value; at != NULL; names++) {
        const char *comma = strchr(at, ',');
        size_t n = comma != NULL ? (size_t)(comma - at) : strlen(at);
        enum justalock_status st = check_name(at, n, err);

        if (st != JUSTALOCK_OK)
            return st;
        at = comma != NULL ? comma + 1 : NULL;
    }
    if (names > WIRE_LOCKS_MAX)
        return error_set(err, JUSTALOCK_ARG, "--lock: %zu names; at most %d",
                         names, WIRE_LOCKS_MAX);
    memcpy(request->locks, value, len + 1);
    request->is_asked = true;
    return JUSTALOCK_OK;
}

static enum justalock_status set_on_busy(struct plugin_request *request,
                                         const char *value,
                                         struct justalock_error *err)
{
    if (strcmp(value, "wait") == 0)
        request->on_busy = WIRE_BUSY_WAIT;
    else if (strcmp(value, "fail") == 0)
        request->on_busy = WIRE_BUSY_FAIL;
    else if (strcmp(value, "requeue") == 0)
        request->on_busy = WIRE_BUSY_REQUEUE;
    else
        return error_set(err, JUSTALOCK_ARG,
                         "--lock-on-busy: %s is none of wait, fail, requeue",
                         value);
    return JUSTALOCK_OK;
}

enum justalock_status request_set(struct plugin_request *request,
                                  enum plugin_option option, const char *value,
                                  struct justalock_error *err)
{
    switch (option) {
    case PLUGIN_OPTION_LOCK:
        return set_locks(request, value, err);
    case PLUGIN_OPTION_WAIT:
        return parse_time_ms(value, PLUGIN_WAIT_MAX_MS, "--lock-wait",
                             &request->wait_ms, err);
    case PLUGIN_OPTION_ON_BUSY:
        return set_on_busy(request, value, err);
    default:
        return error_set(err, JUSTALOCK_ARG, "option %d is not ours",
                         (int)option);
    }
}

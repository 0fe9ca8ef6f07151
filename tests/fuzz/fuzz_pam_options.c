/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pam_options.c - any arguments of a line in pam.d, one a line. What is
 * taken is within its limits; what is not has a reason.
 */
#include <stdlib.h>
#include <string.h>

#include "../../modules/pam/pam_options.h"

#define ARGS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_list(const char *list)
{
    char word[300];
    size_t n = 0;

    if (list == NULL)
        return;
    require(list[0] != '\0' &&
            options_list_has(list, list) == (strchr(list, ',') == NULL));
    for (const char *at = list; options_next(&at, word, sizeof(word)); n++) {
        require(word[0] != '\0' && strchr(word, ',') == NULL);
        require(options_list_has(list, word));
    }
    require(n > 0);
}

static void require_limits(const struct pam_options *o)
{
    require(o->lock != NULL && o->lock[0] != '\0' &&
            strlen(o->lock) <= WIRE_FIELD_MAX && strchr(o->lock, ',') == NULL);
    require(o->socket[0] == '/' && strlen(o->socket) <= 107);
    require(o->wait_ms == WIRE_WAIT_DEFAULT ||
            (o->wait_ms >= 0 && o->wait_ms <= PAM_WAIT_MAX_MS));
    require(o->timeout_ms >= PAM_TIMEOUT_MIN_MS &&
            o->timeout_ms <= PAM_TIMEOUT_MAX_MS);
    require(o->on_unreachable == PAM_OPEN || o->on_unreachable == PAM_CLOSED);
    require(o->on_end <= 3 && o->share <= 1);
    require(o->on_lost == 0 || o->on_lost == WIRE_LOST_KILL ||
            o->on_lost == WIRE_LOST_LOG);
    require_list(o->users);
    require_list(o->groups);
    require_list(o->except_users);
    require_list(o->except_groups);
    require_list(o->services);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    struct pam_options o;
    const char *argv[ARGS_MAX];
    char *text = malloc(size + 1);
    char *line = text;
    int argc = 0;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    for (; line != NULL && argc < ARGS_MAX; argc++) {
        char *end = strchr(line, '\n');

        if (end != NULL)
            *end++ = '\0';
        argv[argc] = line;
        line = end;
    }
    if (options_parse(argc, argv, &o, &err) == JUSTALOCK_OK) {
        require_limits(&o);
        (void)options_want_service(&o, "sshd");
    } else {
        require(err.status == JUSTALOCK_CONFIG && err.text[0] != '\0' &&
                strlen(err.text) < sizeof(err.text));
    }
    free(text);
    return 0;
}

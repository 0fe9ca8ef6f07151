/* SPDX-License-Identifier: MIT */
/*
 * fuzz_slurm_options.c - any words of a line in plugstack.conf, and any values
 * of --lock, --lock-wait and --lock-on-busy: a line of the input each, its
 * first byte says for which. What is taken is within its limits; what is not
 * has a reason.
 */
#include <stdlib.h>
#include <string.h>

#include "../../modules/slurm/plugin.h"

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_settings(int ac, char **av)
{
    struct plugin_settings s;

    settings_read(ac, av, &s);
    require(s.socket[0] == '/' && strlen(s.socket) <= PLUGIN_SOCKET_MAX);
    require(s.timeout_ms > 0 && s.timeout_ms <= PLUGIN_TIMEOUT_MAX_MS);
    require(s.is_bad == (s.why[0] != '\0') && strlen(s.why) < sizeof(s.why));
}

static void check_request(const struct plugin_request *r)
{
    size_t len = strlen(r->locks);

    require(r->is_asked == (len > 0) && len <= WIRE_LIST_MAX);
    require(parse_is_clean_text(r->locks, len));
    require(r->wait_ms == WIRE_WAIT_DEFAULT ||
            (r->wait_ms >= 0 && r->wait_ms <= PLUGIN_WAIT_MAX_MS));
    require(r->on_busy <= WIRE_BUSY_REQUEUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err;
    struct plugin_request r;
    char *text = malloc(size + 1);
    char *words[WORDS_MAX];
    char *line = text;
    int n = 0;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    request_init(&r);
    while (line != NULL && n < WORDS_MAX) {
        char *end = strchr(line, '\n');
        struct plugin_request before = r;

        if (end != NULL)
            *end++ = '\0';
        err.text[0] = '\0';
        if (line[0] < '0' || line[0] > '3')
            words[n++] = line;
        else if (request_set(&r, (enum plugin_option)(line[0] - '0'), line + 1,
                             &err) != JUSTALOCK_OK)
            require(err.status == JUSTALOCK_ARG && err.text[0] != '\0' &&
                    memcmp(&before, &r, sizeof(r)) == 0);
        check_request(&r);
        line = end;
    }
    check_settings(n, words);
    free(text);
    return 0;
}

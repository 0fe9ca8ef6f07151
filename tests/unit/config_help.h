/* SPDX-License-Identifier: MIT */
/*
 * config_help.h - for the tests of config*.c: a configuration from a text, its
 * one fault, and what is shown of it.
 */
#ifndef TESTS_UNIT_CONFIG_HELP_H
#define TESTS_UNIT_CONFIG_HELP_H

#include "config.h"
#include "config_parts.h"
#include "test.h"

static char report[65536];

static inline enum justalock_status parse(const char *text,
                                          struct config **ret_config,
                                          struct justalock_error *err)
{
    FILE *out = fmemopen(report, sizeof(report), "w");
    enum justalock_status st;

    assert_non_null(out);
    report[0] = '\0';
    memset(err, 0, sizeof(*err));
    st = config_parse("f.json", text, strlen(text), ret_config, out, err);
    assert_int_equal(fclose(out), 0);
    return st;
}

static inline struct config *take(const char *text)
{
    struct config *c = NULL;
    struct justalock_error err;

    if (parse(text, &c, &err) != JUSTALOCK_OK)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(report, "");
    return c;
}

/* One fault, with this place and text. */
static inline void refuse(const char *text, const char *part)
{
    struct config *c = (struct config *)&report;
    struct justalock_error err;

    if (parse(text, &c, &err) != JUSTALOCK_CONFIG)
        fail_msg("taken: %s", text);
    assert_ptr_equal(c, &report); /* untouched */
    assert_int_equal(err.status, JUSTALOCK_CONFIG);
    assert_has(err.text, part);
    assert_has(report, "error: ");
    if (strstr(strstr(report, "error: ") + 1, "error: ") != NULL)
        fail_msg("more than one fault: %s", report);
}

/* To be freed. */
static inline char *show(const struct config *c, bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_show(c, out, json);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* These members of one lock, "a", or of the service. Good until the next. */
static inline const char *of_lock(const char *members)
{
    static char text[8192];

    (void)snprintf(text, sizeof(text), "{\"locks\": {\"a\": {%s}}}", members);
    return text;
}
static inline const char *of_service(const char *members)
{
    static char text[8192];

    (void)snprintf(text, sizeof(text), "{\"service\": {%s}}", members);
    return text;
}

#endif

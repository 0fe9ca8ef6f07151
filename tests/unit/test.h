/* SPDX-License-Identifier: MIT */
/*
 * test.h - cmocka with its headers, and a few assertions that the unit tests
 * share.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"

/* The text names the thing, the value, the limit: look for such a part. */
#define assert_has(text, part)                                                 \
    do {                                                                       \
        const char *text_ = (text), *part_ = (part);                           \
        if (strstr(text_, part_) == NULL)                                      \
            fail_msg("\"%s\" is not in \"%s\"", part_, text_);                 \
    } while (0)

/* OK, or fail with the error's text. */
#define assert_ok(call, err)                                                   \
    do {                                                                       \
        (err).text[0] = '\0';                                                  \
        if ((call) != JUSTALOCK_OK)                                            \
            fail_msg("%s: %s", #call, (err).text);                             \
    } while (0)

/* This status, as result and in err, with a text that holds `part`. */
#define assert_fails(call, want, err, part)                                    \
    do {                                                                       \
        memset(&(err), 0, sizeof(err));                                        \
        assert_int_equal((call), (want));                                      \
        assert_int_equal((err).status, (want));                                \
        assert_has((err).text, (part));                                        \
    } while (0)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif

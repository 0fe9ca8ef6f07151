/* SPDX-License-Identifier: MIT */
/*
 * test_lock_options.c - the options of justalock.h: each at its edges, and
 * that what is refused leaves what was set.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "../lib/fail_alloc.h"
#include "lock.h"
#include "scratch.h"
#include "test.h"

static struct justalock_options *options;

static int make(void **state)
{
    struct justalock_error err;

    (void)state;
    return justalock_options_new(&options, &err) == JUSTALOCK_OK ? 0 : -1;
}

static int clear(void **state)
{
    (void)state;
    justalock_options_free(options);
    justalock_options_free(NULL);
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    assert_string_equal(options->service.url, "https://justalock.dev/");
    assert_int_equal(options->times.life_s, 60);
    assert_int_equal(options->client_len, 0);
    assert_string_equal(options->label, "");
    assert_string_equal(options->service.token, "");
}

static void test_numbers(void **state)
{
    char client[JUSTALOCK_CLIENT_MAX + 1];
    struct justalock_error err;

    (void)state;
    memset(client, 'c', sizeof(client));
    assert_ok(justalock_options_client_id(options, client, 1, &err), err);
    assert_ok(justalock_options_client_id(options, client, JUSTALOCK_CLIENT_MAX,
                                          &err),
              err);
    assert_fails(justalock_options_client_id(options, client,
                                             JUSTALOCK_CLIENT_MAX + 1, &err),
                 JUSTALOCK_ARG, err, "65 bytes are not within 1 and 64");
    assert_fails(justalock_options_client_id(options, client, 0, &err),
                 JUSTALOCK_ARG, err, "0 bytes");
    assert_int_equal(options->client_len, JUSTALOCK_CLIENT_MAX);
    assert_ok(justalock_options_client_id(options, NULL, 0, &err), err);
    assert_int_equal(options->client_len, 0);
    assert_ok(justalock_options_lifetime_s(options, 1, &err), err);
    assert_ok(justalock_options_lifetime_s(options, 65535, &err), err);
    assert_fails(justalock_options_lifetime_s(options, 65536, &err),
                 JUSTALOCK_ARG, err, "65536 is not within 1 and 65535");
    assert_fails(justalock_options_lifetime_s(options, 0, &err), JUSTALOCK_ARG,
                 err, "lifetime: 0");
    assert_int_equal(options->times.life_s, 65535);
    assert_ok(justalock_options_refresh_ms(options, 0, &err), err);
    assert_fails(justalock_options_refresh_ms(options, -1, &err), JUSTALOCK_ARG,
                 err, "-1 ms is below 0");
    assert_int_equal(options->times.refresh_ms, 0);
}

static void test_texts(void **state)
{
    char text[JUSTALOCK_LABEL_MAX + 2];
    struct justalock_error err;

    (void)state;
    memset(text, 'l', sizeof(text));
    text[JUSTALOCK_LABEL_MAX] = '\0';
    assert_ok(justalock_options_label(options, text, &err), err);
    text[JUSTALOCK_LABEL_MAX] = 'l';
    text[JUSTALOCK_LABEL_MAX + 1] = '\0';
    assert_fails(justalock_options_label(options, text, &err), JUSTALOCK_ARG,
                 err, "label: more than 120 bytes");
    assert_fails(justalock_options_label(options, "a\nb", &err), JUSTALOCK_ARG,
                 err, "printable");
    assert_fails(justalock_options_label(options, "\xc3\xa4", &err),
                 JUSTALOCK_ARG, err, "printable");
    assert_int_equal(strlen(options->label), JUSTALOCK_LABEL_MAX);
    assert_ok(justalock_options_label(options, "", &err), err);
    assert_string_equal(options->label, "");
}

static void test_url(void **state)
{
    static const char *const bad[] = {
        "ftp://x/",   "http:/x",     "https://",         "http://",
        "unix:",      "unix:x",      "http://x:70000/",  "x",
        " http://x/", "http://x/\n", "http://\xc3\xa4/", "http://x/?q",
        "",           "http://u@x/", "http://::1:7171"};
    char text[600];
    struct justalock_error err;

    (void)state;
    assert_ok(justalock_options_url(options, "http://head:7171/", &err), err);
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (justalock_options_url(options, bad[i], &err) != JUSTALOCK_ARG)
            fail_msg("taken: %s", bad[i]);
    assert_string_equal(options->service.url, "http://head:7171/");
    assert_ok(justalock_options_url(options, "unix:/run/x", &err), err);
    memset(text, 'x', sizeof(text));
    memcpy(text, "http://", 7);
    text[511] = '\0';
    assert_ok(justalock_options_url(options, text, &err), err);
    text[511] = 'x';
    text[512] = '\0';
    assert_int_equal(justalock_options_url(options, text, &err), JUSTALOCK_ARG);
    assert_int_equal(strlen(options->service.url), 511);
}

static void test_tls(void **state)
{
    char text[5000];
    struct justalock_error err;

    (void)state;
    assert_ok(
        justalock_options_tls_files(options, "/ca", "/cert", "/key", &err),
        err);
    assert_fails(
        justalock_options_tls_files(options, NULL, "/cert", NULL, &err),
        JUSTALOCK_ARG, err, "only used together");
    assert_fails(justalock_options_tls_files(options, NULL, NULL, "/key", &err),
                 JUSTALOCK_ARG, err, "only used together");
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    /* Whichever is too long, none of the three is set. */
    assert_fails(justalock_options_tls_files(options, text, "/c", "/k", &err),
                 JUSTALOCK_ARG, err, "ca file: more than");
    assert_fails(justalock_options_tls_files(options, "/a", text, "/k", &err),
                 JUSTALOCK_ARG, err, "certificate file: more than");
    assert_fails(justalock_options_tls_files(options, "/a", "/c", text, &err),
                 JUSTALOCK_ARG, err, "key file: more than");
    assert_string_equal(options->service.ca_file, "/ca");
    assert_string_equal(options->service.cert_file, "/cert");
    assert_string_equal(options->service.key_file, "/key");
    assert_ok(justalock_options_tls_files(options, NULL, NULL, NULL, &err),
              err);
    assert_string_equal(options->service.key_file, "");
}

static const char *token(const char *text, size_t len)
{
    int fd = open(in_scratch("token"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                  0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(close(fd), 0);
    return in_scratch("token");
}

static void test_token(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"", 0},      {"\n", 1},  {"a b", 3},  {"a\nb", 3},
               {"a\n\n", 3}, {"a\r", 2}, {"a\0b", 3}, {"\xc3\xa4", 2}};
    char text[sizeof(options->service.token) + 1];
    size_t most = sizeof(options->service.token) - 1;
    struct justalock_error err;

    (void)state;
    assert_ok(justalock_options_token_file(options, token("secret\n", 7), &err),
              err);
    assert_string_equal(options->service.token, "secret");
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_fails(justalock_options_token_file(
                         options, token(bad[i].text, bad[i].len), &err),
                     JUSTALOCK_ARG, err, "not one line of 1 to");
    assert_fails(
        justalock_options_token_file(options, in_scratch("none"), &err),
        JUSTALOCK_SYS, err, "No such file");
    assert_fails(justalock_options_token_file(options, scratch, &err),
                 JUSTALOCK_SYS, err, "Is a directory");
    assert_fails(justalock_options_token_file(options, "/dev/zero", &err),
                 JUSTALOCK_ARG, err, "/dev/zero"); /* without end */
    assert_string_equal(options->service.token, "secret");
    memset(text, 't', sizeof(text));
    assert_fails(
        justalock_options_token_file(options, token(text, most + 1), &err),
        JUSTALOCK_ARG, err, "not one line");
    assert_ok(justalock_options_token_file(options, token(text, most), &err),
              err);
    assert_int_equal(strlen(options->service.token), most);
    assert_ok(justalock_options_token_file(options, NULL, &err), err);
    assert_string_equal(options->service.token, "");
}

static void test_no_memory(void **state)
{
    struct justalock_options *none = NULL;
    struct justalock_error err;

    (void)state;
    fail_alloc_at(1, 1);
    assert_int_equal(justalock_options_new(&none, &err), JUSTALOCK_NOMEM);
    assert_true(fail_alloc_off());
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, make, clear),
        cmocka_unit_test_setup_teardown(test_numbers, make, clear),
        cmocka_unit_test_setup_teardown(test_texts, make, clear),
        cmocka_unit_test_setup_teardown(test_url, make, clear),
        cmocka_unit_test_setup_teardown(test_tls, make, clear),
        cmocka_unit_test_setup_teardown(test_token, make, clear),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_tls.c - the server's certificate: what of it is refused at a start and
 * at a reload, which leaves what was there, and no memory.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/server/tls.h"
#include "../lib/fail_alloc.h"
#include "../lib/make_certs.h"
#include "scratch.h"
#include "test.h"

static char cert[128], key[128], ca[128];
static struct tls_files files = {cert, key, NULL};

static void use(const char *cert_name, const char *key_name,
                const char *ca_name)
{
    (void)snprintf(cert, sizeof(cert), "%s/%s", scratch, cert_name);
    (void)snprintf(key, sizeof(key), "%s/%s", scratch, key_name);
    if (ca_name != NULL)
        (void)snprintf(ca, sizeof(ca), "%s/%s", scratch, ca_name);
    files.client_ca = ca_name != NULL ? ca : NULL;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_scratch(name), mode), 0);
}

static int make_all(void **state)
{
    if (scratch_make(state) != 0 ||
        !certs_make(in_scratch("ca"), "ca", CERTS_AUTHORITY, NULL) ||
        !certs_make(in_scratch("srv"), "srv", CERTS_SERVER, in_scratch("ca")) ||
        !certs_make(in_scratch("next"), "next", CERTS_SERVER, in_scratch("ca")))
        return -1;
    return 0;
}

static void test_files(void **state)
{
    static const struct {
        const char *cert, *key, *ca, *says;
    } cases[] = {
        {"none.pem", "srv.key", NULL, "none.pem"},
        {"srv.pem", "none.key", NULL, "none.key"},
        {"srv.pem", "next.key", NULL, "is not the key of the certificate"},
        {"srv.key", "srv.key", NULL, "--tls-cert"},
        {"srv.pem", "srv.pem", NULL, "--tls-key"},
        {"empty", "srv.key", NULL, "has none"},
        {"rubbish", "srv.key", NULL, "--tls-cert"},
        {"srv.pem", "rubbish", NULL, "--tls-key"},
        {"srv.pem", "open.key", NULL, "mode 0644"},
        {"loose.pem", "srv.key", NULL, "mode 0666"},
        {"srv.pem", "srv.key", "none.pem", "--client-ca"},
        {"srv.pem", "srv.key", "rubbish", "--client-ca"},
        {"srv.pem", "srv.key", "srv.key", "--client-ca"},
    };
    struct justalock_error err;
    struct tls *t = NULL;

    (void)state;
    put("empty", "", 0600);
    put("rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n", 0600);
    put("open.key", "x", 0644);
    put("loose.pem", "x", 0666);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum justalock_status st;

        use(cases[i].cert, cases[i].key, cases[i].ca);
        st = tls_new(&files, &t, &err);
        if (st != JUSTALOCK_CONFIG || strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s %s: %d %s", cases[i].cert, cases[i].key, (int)st,
                     err.text);
        assert_null(t);
    }
    use("srv.pem", "srv.key", "ca.pem");
    assert_ok(tls_new(&files, &t, &err), err);
    assert_has(tls_client_ca(t), "BEGIN CERTIFICATE");
    assert_non_null(tls_callback());
    assert_has(tls_priorities(), "-VERS-ALL");
    tls_free(t);
    t = NULL;
    use("srv.pem", "srv.key", NULL);
    assert_ok(tls_new(&files, &t, &err), err);
    assert_null(tls_client_ca(t));
    tls_free(t);
    tls_free(NULL);
}

/* As renewed certificates come: over the old ones. */
static void test_reload(void **state)
{
    struct justalock_error err;
    struct tls *t = NULL;

    (void)state;
    assert_int_equal(link(in_scratch("srv.pem"), in_scratch("now.pem")), 0);
    assert_int_equal(link(in_scratch("srv.key"), in_scratch("now.key")), 0);
    use("now.pem", "now.key", NULL);
    assert_ok(tls_new(&files, &t, &err), err);
    for (int i = 0; i < 3; i++)
        assert_ok(tls_reload(t, &err), err);
    /* One of the two is there already: their old ones stay in use. */
    assert_int_equal(unlink(in_scratch("now.pem")), 0);
    assert_int_equal(link(in_scratch("next.pem"), in_scratch("now.pem")), 0);
    assert_fails(tls_reload(t, &err), JUSTALOCK_CONFIG, err,
                 "is not the key of");
    assert_int_equal(unlink(in_scratch("now.key")), 0);
    assert_fails(tls_reload(t, &err), JUSTALOCK_CONFIG, err, "now.key");
    assert_int_equal(link(in_scratch("next.key"), in_scratch("now.key")), 0);
    assert_ok(tls_reload(t, &err), err);
    tls_free(t);
}

static bool start(void *arg)
{
    struct justalock_error err = {.text = ""};
    struct tls *t = NULL;
    enum justalock_status st = tls_new(arg, &t, &err);

    if (st == JUSTALOCK_OK && tls_reload(t, &err) != JUSTALOCK_OK)
        st = err.status;
    tls_free(t);
    if (st != JUSTALOCK_OK)
        assert_string_not_equal(err.text, "");
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    (void)state;
    use("srv.pem", "srv.key", "ca.pem");
    fail_alloc_only_ours(true); /* libtasn1 beneath GnuTLS crashes */
    assert_in_range(fail_alloc_each(start, &files), 5, 200);
    fail_alloc_only_ours(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, make_all, scratch_remove);
}

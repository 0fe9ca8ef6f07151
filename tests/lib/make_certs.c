/* SPDX-License-Identifier: MIT */
/*
 * make_certs.c - see make_certs.h.
 */
#include "make_certs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

static bool write_file(const char *path, const char *end,
                       const gnutls_datum_t *text)
{
    char name[300];
    FILE *f;
    bool ok;

    (void)snprintf(name, sizeof(name), "%s%s", path, end);
    f = fopen(name, "we");
    if (f == NULL)
        return false;
    ok = fwrite(text->data, 1, text->size, f) == text->size;
    return fclose(f) == 0 && chmod(name, 0600) == 0 && ok;
}

static bool read_pair(const char *path, gnutls_x509_crt_t crt,
                      gnutls_x509_privkey_t key)
{
    char name[300];
    gnutls_datum_t text;
    bool ok;

    (void)snprintf(name, sizeof(name), "%s.pem", path);
    if (gnutls_load_file(name, &text) < 0)
        return false;
    ok = gnutls_x509_crt_import(crt, &text, GNUTLS_X509_FMT_PEM) >= 0;
    gnutls_free(text.data);
    (void)snprintf(name, sizeof(name), "%s.key", path);
    if (!ok || gnutls_load_file(name, &text) < 0)
        return false;
    ok = gnutls_x509_privkey_import(key, &text, GNUTLS_X509_FMT_PEM) >= 0;
    gnutls_free(text.data);
    return ok;
}

static void describe(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                     const char *common_name, enum certs_use use)
{
    static unsigned char serial = 1;
    time_t now = time(NULL);

    serial++;
    (void)gnutls_x509_crt_set_version(crt, 3);
    (void)gnutls_x509_crt_set_key(crt, key);
    (void)gnutls_x509_crt_set_serial(crt, &serial, 1);
    (void)gnutls_x509_crt_set_activation_time(crt, now - 3600);
    (void)gnutls_x509_crt_set_expiration_time(crt, now + 86400);
    (void)gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
                                        common_name,
                                        (unsigned)strlen(common_name));
    (void)gnutls_x509_crt_set_basic_constraints(crt, use == CERTS_AUTHORITY,
                                                -1);
    if (use == CERTS_AUTHORITY)
        (void)gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN);
    else
        (void)gnutls_x509_crt_set_key_purpose_oid(
            crt,
            use == CERTS_SERVER ? GNUTLS_KP_TLS_WWW_SERVER
                                : GNUTLS_KP_TLS_WWW_CLIENT,
            0);
    if (use == CERTS_SERVER)
        (void)gnutls_x509_crt_set_subject_alt_name(
            crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_APPEND);
}

bool certs_make(const char *path, const char *common_name, enum certs_use use,
                const char *authority)
{
    gnutls_x509_crt_t crt, by;
    gnutls_x509_privkey_t key, by_key;
    gnutls_datum_t text = {NULL, 0};
    bool ok;

    if (gnutls_x509_crt_init(&crt) < 0 || gnutls_x509_crt_init(&by) < 0 ||
        gnutls_x509_privkey_init(&key) < 0 ||
        gnutls_x509_privkey_init(&by_key) < 0)
        return false;
    ok = gnutls_x509_privkey_generate(
             key, GNUTLS_PK_ECDSA,
             GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) >= 0;
    describe(crt, key, common_name, use);
    if (authority == NULL)
        ok = ok &&
             gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) >= 0;
    else
        ok = ok && read_pair(authority, by, by_key) &&
             gnutls_x509_crt_sign2(crt, by, by_key, GNUTLS_DIG_SHA256, 0) >= 0;
    ok = ok && gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text) >= 0 &&
         write_file(path, ".pem", &text);
    gnutls_free(text.data);
    text.data = NULL;
    ok = ok &&
         gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text) >= 0 &&
         write_file(path, ".key", &text);
    gnutls_free(text.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_crt_deinit(by);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_privkey_deinit(by_key);
    return ok;
}

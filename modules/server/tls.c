/* SPDX-License-Identifier: MIT */
/*
 * tls.c - the server's certificate, read anew when told; a client's, checked;
 * see tls.h.
 */
#include "tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "file.h"

#define PEM_MAX   (256 * 1024)
#define CHAIN_MAX 16

/* A certificate with its chain, its key, and whom we trust. A handshake that
 * has begun may still use an earlier one, so none is freed before the end:
 * some kilobytes for each reload. */
struct identity {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_len;
    gnutls_privkey_t key;
    gnutls_x509_trust_list_t trust; /* NULL: in no certificate */
    struct identity *before;
};

struct tls {
    struct tls_files files;
    struct identity *identity;
    unsigned reads;       /* of the files, so far */
    struct buf client_ca; /* as it was at start */
};

static struct tls *the_tls; /* see tls_new */

static enum justalock_status bad(struct justalock_error *err, const char *what,
                                 const char *path, int rc)
{
    return error_set(err, JUSTALOCK_CONFIG, "%s %s: %s", what, path,
                     gnutls_strerror(rc));
}

static void identity_free(struct identity *i)
{
    if (i == NULL)
        return;
    for (unsigned n = 0; n < i->chain_len; n++)
        gnutls_pcert_deinit(&i->chain[n]);
    if (i->key != NULL)
        gnutls_privkey_deinit(i->key);
    if (i->trust != NULL)
        gnutls_x509_trust_list_deinit(i->trust, 1);
    free(i);
}

static enum justalock_status read_chain(struct identity *i, const char *path,
                                        struct justalock_error *err)
{
    struct buf pem;
    enum justalock_status st =
        file_read("--tls-cert", path, S_IWGRP | S_IWOTH, PEM_MAX, &pem, err);
    unsigned len = CHAIN_MAX;
    gnutls_datum_t datum;
    int rc;

    if (st == JUSTALOCK_OK) {
        datum.data = (unsigned char *)pem.data;
        datum.size = (unsigned)pem.len;
        rc = gnutls_pcert_list_import_x509_raw(i->chain, &len, &datum,
                                               GNUTLS_X509_FMT_PEM,
                                               GNUTLS_X509_CRT_LIST_SORT);
        if (rc < 0)
            st = bad(err, "--tls-cert", path, rc);
        else
            i->chain_len = len;
    }
    buf_done(&pem);
    return st;
}

static enum justalock_status read_key(struct identity *i, const char *path,
                                      struct justalock_error *err)
{
    struct buf pem;
    enum justalock_status st =
        file_read("--tls-key", path, S_IWGRP | S_IRWXO, PEM_MAX, &pem, err);
    gnutls_datum_t datum;
    int rc;

    if (st == JUSTALOCK_OK) {
        datum.data = (unsigned char *)pem.data;
        datum.size = (unsigned)pem.len;
        rc = gnutls_privkey_init(&i->key);
        if (rc >= 0)
            rc = gnutls_privkey_import_x509_raw(i->key, &datum,
                                                GNUTLS_X509_FMT_PEM, NULL, 0);
        if (rc < 0)
            st = bad(err, "--tls-key", path, rc);
        explicit_bzero(pem.data, pem.len);
    }
    buf_done(&pem);
    return st;
}

/* Is the key that of the first certificate? */
static enum justalock_status check_pair(const struct identity *i,
                                        const struct tls_files *f,
                                        struct justalock_error *err)
{
    unsigned char of_cert[64], of_key[64];
    size_t cert_len = sizeof(of_cert), key_len = sizeof(of_key);
    gnutls_pubkey_t pub;
    int rc = gnutls_pubkey_init(&pub);

    if (rc < 0)
        return bad(err, "--tls-key", f->key, rc);
    rc = gnutls_pubkey_get_key_id(i->chain[0].pubkey, 0, of_cert, &cert_len);
    if (rc >= 0)
        rc = gnutls_pubkey_import_privkey(pub, i->key, 0, 0);
    if (rc >= 0)
        rc = gnutls_pubkey_get_key_id(pub, 0, of_key, &key_len);
    gnutls_pubkey_deinit(pub);
    if (rc < 0)
        return bad(err, "--tls-key", f->key, rc);
    if (cert_len != key_len || memcmp(of_cert, of_key, key_len) != 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "--tls-key %s: is not the key of the certificate in "
                         "%s",
                         f->key, f->cert);
    return JUSTALOCK_OK;
}

/* Those who vouch for clients; what they are read from goes to pem. */
static enum justalock_status read_trust(struct identity *i, const char *path,
                                        struct buf *pem,
                                        struct justalock_error *err)
{
    enum justalock_status st =
        file_read("--client-ca", path, S_IWGRP | S_IWOTH, PEM_MAX, pem, err);
    gnutls_x509_crt_t *crts = NULL;
    gnutls_datum_t datum;
    unsigned len = 0;
    int rc;

    if (st != JUSTALOCK_OK)
        return st;
    datum.data = (unsigned char *)pem->data;
    datum.size = (unsigned)pem->len;
    rc = gnutls_x509_crt_list_import2(&crts, &len, &datum, GNUTLS_X509_FMT_PEM,
                                      0);
    if (rc < 0)
        return bad(err, "--client-ca", path, rc);
    rc = gnutls_x509_trust_list_init(&i->trust, 0);
    /* The list owns each that it takes, and itself frees what is doubled. */
    if (rc >= 0)
        rc = gnutls_x509_trust_list_add_cas(i->trust, crts, len, 0);
    else
        for (unsigned n = 0; n < len; n++)
            gnutls_x509_crt_deinit(crts[n]);
    gnutls_free(crts);
    if (rc < 0)
        return bad(err, "--client-ca", path, rc);
    return JUSTALOCK_OK;
}

enum justalock_status tls_reload(struct tls *t, struct justalock_error *err)
{
    struct identity *i = calloc(1, sizeof(*i));
    enum justalock_status st;
    struct buf pem;

    if (i == NULL)
        return error_nomem(err);
    buf_init(&pem, PEM_MAX);
    st = read_chain(i, t->files.cert, err);
    if (st == JUSTALOCK_OK)
        st = read_key(i, t->files.key, err);
    if (st == JUSTALOCK_OK)
        st = check_pair(i, &t->files, err);
    if (st == JUSTALOCK_OK && t->files.client_ca != NULL)
        st = read_trust(i, t->files.client_ca, &pem, err);
    if (st != JUSTALOCK_OK) {
        buf_done(&pem);
        identity_free(i);
        return st;
    }
    if (t->identity == NULL)
        t->client_ca = pem;
    else
        buf_done(&pem);
    i->before = t->identity;
    t->identity = i;
    t->reads++;
    return JUSTALOCK_OK;
}

enum justalock_status tls_new(const struct tls_files *files,
                              struct tls **ret_tls, struct justalock_error *err)
{
    struct tls *t = calloc(1, sizeof(*t));
    enum justalock_status st;

    if (t == NULL)
        return error_nomem(err);
    t->files = *files;
    buf_init(&t->client_ca, PEM_MAX);
    st = tls_reload(t, err);
    if (st != JUSTALOCK_OK) {
        tls_free(t);
        return st;
    }
    the_tls = t;
    *ret_tls = t;
    return JUSTALOCK_OK;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    while (t->identity != NULL) {
        struct identity *before = t->identity->before;

        identity_free(t->identity);
        t->identity = before;
    }
    buf_done(&t->client_ca);
    if (the_tls == t)
        the_tls = NULL;
    free(t);
}

const char *tls_client_ca(const struct tls *t)
{
    return t->client_ca.data;
}

const char *tls_priorities(void)
{
    return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

static int on_certificate(gnutls_session_t session,
                          const gnutls_datum_t *authorities, int len,
                          const gnutls_pk_algorithm_t *algorithms,
                          int algorithms_len, gnutls_pcert_st **ret_chain,
                          unsigned *ret_len, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)len;
    (void)algorithms;
    (void)algorithms_len;
    *ret_chain = the_tls->identity->chain;
    *ret_len = the_tls->identity->chain_len;
    *ret_key = the_tls->identity->key;
    return 0;
}

void *tls_callback(void)
{
    return (void *)(uintptr_t)on_certificate;
}

void tls_begin(void *session)
{
    /* The authorities that libmicrohttpd would name are those of the start:
     * a client might keep a certificate of a later one to itself. */
    if (session != NULL)
        gnutls_certificate_send_x509_rdn_sequence(session, 1);
}

unsigned tls_reads(const struct tls *t)
{
    return t->reads;
}

/* The chain that the client has shown; all of it is the caller's. */
static unsigned read_peers(void *session, gnutls_x509_crt_t chain[CHAIN_MAX])
{
    unsigned len = 0, n;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &len);

    for (n = 0; raw != NULL && n < len && n < CHAIN_MAX; n++) {
        if (gnutls_x509_crt_init(&chain[n]) < 0)
            break;
        if (gnutls_x509_crt_import(chain[n], &raw[n], GNUTLS_X509_FMT_DER) <
            0) {
            gnutls_x509_crt_deinit(chain[n]);
            break;
        }
    }
    return n;
}

void tls_peer_name(const struct tls *t, void *session,
                   char ret_name[TLS_NAME_MAX + 1])
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned len = read_peers(session, chain), status = 0;
    size_t size = TLS_NAME_MAX + 1;

    ret_name[0] = '\0';
    if (len > 0 && t->identity->trust != NULL &&
        gnutls_x509_trust_list_verify_crt2(t->identity->trust, chain, len,
                                           &purpose, 1, 0, &status,
                                           NULL) >= 0 &&
        status == 0 &&
        (gnutls_x509_crt_get_dn_by_oid(chain[0], GNUTLS_OID_X520_COMMON_NAME, 0,
                                       0, ret_name, &size) < 0 ||
         memchr(ret_name, '\0', size) != NULL)) /* "ops\0.evil.example" */
        ret_name[0] = '\0';
    for (unsigned n = 0; n < len; n++)
        gnutls_x509_crt_deinit(chain[n]);
}

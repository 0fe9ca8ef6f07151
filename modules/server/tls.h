/* SPDX-License-Identifier: MIT */
/*
 * tls.h - the server's certificate and what a client's is worth. The only
 * user of GnuTLS, which libmicrohttpd brings along; TLS itself is spoken by
 * libmicrohttpd.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct MHD_Daemon;
struct MHD_Connection;
struct tls;

#define TLS_NAME_MAX 255 /* bytes of a common name */

/* Files in PEM. client_ca NULL: no certificate of clients is asked for. */
struct tls_files {
    const char *cert, *key, *client_ca;
};

/*
 * Read them. CONFIG, with the file and the reason: unreadable, a key that is
 * not of this certificate, a key that others than owner and group may read.
 * There is at most one struct tls in a process, since libmicrohttpd's callback
 * for certificates carries no argument.
 */
enum justalock_status tls_new(const struct tls_files *files,
                              struct tls **ret_tls, struct justalock_error *err)
    JUSTALOCK_MUST;
/* Read all of them again: certificate and key for connections from now on,
 * client_ca for certificates from now on, whenever they were shown. On a fault
 * the old ones stay. */
enum justalock_status tls_reload(struct tls *t, struct justalock_error *err)
    JUSTALOCK_MUST;
void tls_free(struct tls *t);

/* How often they were read, without a fault. */
unsigned tls_reads(const struct tls *t);

/* PEM text of client_ca as it was at start, or NULL: libmicrohttpd asks for
 * certificates where it is given one. */
const char *tls_client_ca(const struct tls *t);
/* What libmicrohttpd is to call for MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *tls_callback(void);
/* TLS 1.2 and later; for MHD_OPTION_HTTPS_PRIORITIES. */
const char *tls_priorities(void);

/* session: MHD_CONNECTION_INFO_GNUTLS_SESSION. Before its handshake. */
void tls_begin(void *session);
/* The common name of the certificate that the client has shown and that
 * client_ca vouches for now, or "". */
void tls_peer_name(const struct tls *t, void *session,
                   char ret_name[TLS_NAME_MAX + 1]);

#endif

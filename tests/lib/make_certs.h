/* SPDX-License-Identifier: MIT */
/*
 * make_certs.h - certificates for unit tests, by GnuTLS: PATH.pem and PATH.key.
 */
#ifndef TESTS_MAKE_CERTS_H
#define TESTS_MAKE_CERTS_H

#include <stdbool.h>

enum certs_use { CERTS_AUTHORITY, CERTS_SERVER, CERTS_CLIENT };

/* For "localhost" and 127.0.0.1 where it is a server's. authority: its path;
 * NULL: by itself. */
bool certs_make(const char *path, const char *common_name, enum certs_use use,
                const char *authority);

#endif

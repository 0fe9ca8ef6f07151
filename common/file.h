/* SPDX-License-Identifier: MIT */
/*
 * file.h - reads a whole file that somebody's safety rests on: a key, a
 * certificate, a list of who may do what.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <sys/types.h>

#include "buf.h"

/*
 * Read all of path into b (initialised here; the caller's to buf_done in any
 * case), NUL behind it. A regular file of root or of who runs us, without the
 * permission bits of `forbidden`, of 1 to max bytes. CONFIG otherwise, with
 * path and reason: `what` names the file in it ("--tls-key"). Links are
 * followed: certificates are often behind one.
 */
enum justalock_status file_read(const char *what, const char *path,
                                mode_t forbidden, size_t max, struct buf *b,
                                struct justalock_error *err) JUSTALOCK_MUST;

#endif

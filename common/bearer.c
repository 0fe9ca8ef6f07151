/* SPDX-License-Identifier: MIT */
/*
 * bearer.c - a bearer token in a file, see bearer.h.
 */
#include "bearer.h"

#include <string.h>
#include <sys/stat.h>

#include "file.h"

#define FILE_MAX 4096 /* a longer file is none of ours, whatever it is */

static bool is_line(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] <= ' ' || data[i] > '~')
            return false;
    return len >= 1 && len <= BEARER_MAX;
}

bool bearer_parse(const char *data, size_t len, char ret_token[BEARER_MAX + 1])
{
    if (len > 0 && data[len - 1] == '\n')
        len -= len > 1 && data[len - 2] == '\r' ? 2 : 1;
    if (!is_line(data, len))
        return false;
    memcpy(ret_token, data, len);
    ret_token[len] = '\0';
    return true;
}

enum justalock_status bearer_load(const char *path,
                                  char ret_token[BEARER_MAX + 1],
                                  struct justalock_error *err)
{
    struct buf b;
    enum justalock_status st =
        file_read("token_file", path, S_IRWXG | S_IRWXO, FILE_MAX, &b, err);

    if (st == JUSTALOCK_OK && !bearer_parse(b.data, b.len, ret_token))
        st = error_set(err, JUSTALOCK_CONFIG,
                       "token_file %s: not one line of 1 to %d printable "
                       "characters",
                       path, BEARER_MAX);
    if (b.data != NULL)
        explicit_bzero(b.data, b.len);
    buf_done(&b);
    return st;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_server_state.c - any bytes as the database of a server's state. It is
 * opened, or set aside as damaged, or refused with a reason; and what is
 * loaded from it is a state that a server may have written: the table takes
 * it, and what the table then stores comes back the same.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../modules/server/store.h"
#include "../../modules/server/store_sqlite.h"
#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/dev/shm/justalock-fuzz.XXXXXX";
static int dir_fd = -1;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void empty(void)
{
    DIR *d = opendir(folder);
    const struct dirent *e;

    require(d != NULL);
    while ((e = readdir(d)) != NULL)
        (void)unlinkat(dir_fd, e->d_name, 0); /* not . and .. */
    (void)closedir(d);
}

static void done(void)
{
    empty();
    (void)rmdir(folder);
}

/* In store_sqlite_log.c's place: room for the log would be most of the work. */
void store_log_room(struct sqlite_store *s)
{
    (void)s;
}

static void put(const char *name, const void *data, size_t len)
{
    int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    (void)close(fd);
}

static void no_wake(void *arg, void *conn, const struct lock_answer *answer)
{
    (void)arg;
    (void)conn;
    (void)answer;
    abort(); /* nobody waits */
}

static enum justalock_status load_row(void *arg, const struct lock_row *row,
                                      bool is_tomb)
{
    return lock_load(arg, row, is_tomb, 1000);
}

static void check(struct store *s, const struct store_found *found)
{
    struct justalock_error err;
    struct lock_table *t = lock_table_new(no_wake, NULL, found->last_token);
    enum justalock_status st;

    require(t != NULL);
    st = store_load(s, load_row, t, &err);
    require(st == JUSTALOCK_OK || err.text[0] != '\0');
    require(lock_last_token(t) >= found->last_token);
    (void)lock_run(t, 2000);
    /* Every lease from there ends in its time. */
    (void)lock_run(t, 1000 + (JUSTALOCK_LIFE_MAX_S + 1) * INT64_C(1000));
    require(lock_counts(t).held == 0);
    lock_table_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] =
        "The state of a justalock-server. Without its database nothing is\n"
        "granted until every lease is over.\nlongest_s 60\n";
    struct justalock_error err = {.text = ""};
    struct store_found found;
    struct store *s = NULL;

    if (dir_fd < 0) {
        folder_make(folder);
        dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        require(dir_fd >= 0);
        (void)atexit(done);
    }
    put("mark", mark, sizeof(mark) - 1);
    put("locks.db", data, size);
    if (store_open(folder, NULL, &s, &found, &err) == JUSTALOCK_OK) {
        require(found.state != STORE_FIRST || size == 0);
        check(s, &found);
        store_close(s);
    } else {
        require(err.text[0] != '\0');
    }
    empty();
    return 0;
}

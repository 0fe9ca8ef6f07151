/* SPDX-License-Identifier: MIT */
/*
 * config.c - reads justalock.json and conf.d: which files, in which order,
 * and whose they must be. What they may say is in config_schema.c.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "config_parts.h"

#define PATH_BYTES_MAX 4096

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->locks_len; i++) {
        free(c->locks[i].name);
        free_list(c->locks[i].users);
    }
    free(c->locks);
    free_list(c->defaults.users);
    for (size_t i = 0; i < c->slurm.rules_len; i++) {
        struct config_rule *r = &c->slurm.rules[i];

        free_list(r->partition);
        free_list(r->account);
        free_list(r->user);
        free_list(r->reservation);
        free_list(r->name);
        free_list(r->lock);
    }
    free(c->slurm.rules);
    free(c->slurm.cluster);
    free(c->agent.keeper_user);
    free(c->agent.cgroup);
    free(c->service.url);
    free(c->service.ca_file);
    free(c->service.cert_file);
    free(c->service.key_file);
    free(c->service.token_file);
    free(c->service.proxy);
    free(c->secret_file);
    free_list(c->files);
    free(c);
}

/* NULL: no memory. */
static struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->service.url = strdup(CONFIG_URL);
    c->secret_file = strdup(CONFIG_SECRET);
    c->agent.keeper_user = strdup(CONFIG_KEEPER_USER);
    /* The main file, those of conf.d, and the NULL behind them. */
    c->files = calloc(CONFIG_FILES_MAX + 2, sizeof(*c->files));
    c->adhoc = true;
    c->slurm.requeue_max = 16;
    c->defaults.wait_ms = -2;
    c->defaults.grace_ms = -1;
    if (c->service.url == NULL || c->secret_file == NULL ||
        c->agent.keeper_user == NULL || c->files == NULL) {
        config_free(c);
        return NULL;
    }
    return c;
}

/* A fault of a file as a whole; the first one's errno is the load's. */
static void file_fault(struct config_loader *l, const char *file, int errnum,
                       const char *what)
{
    struct justalock_error e;

    (void)error_sys(&e, errnum, "%s", what);
    config_fault(l, file, 0, 0, "%s", e.text);
    if (l->errors == 1 && l->err != NULL)
        l->err->sys_errno = errnum;
}

/* The next text, with its file's name, no data as yet; NULL: no memory. */
static struct config_text *add_file(struct config_loader *l, const char *path)
{
    char *file = strdup(path);

    if (file == NULL) {
        l->no_memory = true;
        return NULL;
    }
    l->config->files[l->texts_len] = file;
    l->texts[l->texts_len].file = file;
    return &l->texts[l->texts_len++];
}

static void read_data(struct config_loader *l, struct config_text *t,
                      const char *data, size_t len)
{
    enum justalock_status st =
        config_text_parse(t, t->file, data, len, config_text_fault, l);

    if (st == JUSTALOCK_NOMEM)
        l->no_memory = true;
    if (st != JUSTALOCK_OK)
        return;
    t->is_read = true;
    l->text = t;
    config_read_text(l);
    l->text = NULL;
}

static bool is_ours(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Who may write it may say which locks hold. */
static bool check_stat(struct config_loader *l, const char *file,
                       const struct stat *st)
{
    if (!is_ours(st))
        config_fault(l, file, 0, 0,
                     "belongs to uid %u, must belong to root (or to uid %u, "
                     "who reads it)",
                     (unsigned)st->st_uid, (unsigned)geteuid());
    else if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        config_fault(l, file, 0, 0,
                     "mode %04o lets others write; chmod go-w is needed",
                     (unsigned)(st->st_mode & 07777));
    else
        return true;
    return false;
}

static bool check_file(struct config_loader *l, int fd, const char *file)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        file_fault(l, file, errno, "cannot be looked at");
    else if (!S_ISREG(st.st_mode))
        config_fault(l, file, 0, 0, "is not a regular file");
    else if (st.st_size > CONFIG_FILE_MAX)
        config_fault(l, file, 0, 0, "%lld bytes are more than %d",
                     (long long)st.st_size, CONFIG_FILE_MAX);
    else
        return check_stat(l, file, &st);
    return false;
}

static void read_fd(struct config_loader *l, int fd, struct config_text *t)
{
    const char *file = t->file;
    struct buf b;
    char chunk[4096];
    ssize_t n;

    buf_init(&b, CONFIG_FILE_MAX);
    do {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
            buf_add(&b, chunk, (size_t)n);
    } while ((n > 0 && !b.failed) || (n < 0 && errno == EINTR));
    if (n < 0)
        file_fault(l, file, errno, "cannot be read");
    else if (b.failed && b.len + sizeof(chunk) > CONFIG_FILE_MAX)
        config_fault(l, file, 0, 0, "has more than %d bytes", CONFIG_FILE_MAX);
    else if (b.failed)
        l->no_memory = true;
    else
        read_data(l, t, b.data == NULL ? "" : b.data, b.len);
    buf_done(&b);
}

static void read_file(struct config_loader *l, const char *path,
                      bool may_be_missing)
{
    /* O_NONBLOCK: a FIFO in its place must not hang us; fstat refuses it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int saved = errno;
    struct config_text *t;

    if (fd < 0 && saved == ENOENT && may_be_missing)
        return;
    t = add_file(l, path);
    if (t != NULL && fd < 0)
        file_fault(l, t->file, saved, "cannot be opened");
    else if (t != NULL && check_file(l, fd, t->file))
        read_fd(l, fd, t);
    if (fd >= 0)
        (void)close(fd); /* only read from */
}

/* C-locale order, whatever the locale: by bytes. */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_wanted(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".json") == 0;
}

/* The names of dir; freed with free_list(). errno on a failed read. */
static char **list_folder(struct config_loader *l, DIR *dir, const char *folder)
{
    char **names = calloc(CONFIG_FILES_MAX + 1, sizeof(*names));
    const struct dirent *entry;
    size_t len = 0;

    if (names == NULL)
        l->no_memory = true;
    errno = 0;
    while (names != NULL && (entry = readdir(dir)) != NULL) {
        if (!is_wanted(entry->d_name))
            continue;
        if (len == CONFIG_FILES_MAX) {
            config_fault(l, folder, 0, 0, "more than %d files",
                         CONFIG_FILES_MAX);
            break;
        }
        names[len] = strdup(entry->d_name);
        if (names[len] == NULL) {
            l->no_memory = true;
            break;
        }
        len++;
        errno = 0;
    }
    if (errno != 0 && !l->no_memory)
        file_fault(l, folder, errno, "cannot be read");
    if (len > 1)
        qsort(names, len, sizeof(*names), compare_names);
    return names;
}

static bool check_folder(struct config_loader *l, DIR *dir, const char *folder)
{
    struct stat st;

    if (fstat(dirfd(dir), &st) != 0)
        file_fault(l, folder, errno, "cannot be looked at");
    else
        return check_stat(l, folder, &st);
    return false;
}

static void read_folder(struct config_loader *l, const char *folder)
{
    DIR *dir = opendir(folder);
    char **names = NULL;
    char path[PATH_BYTES_MAX];

    if (dir == NULL) {
        if (errno == ENOMEM)
            l->no_memory = true;
        else if (errno != ENOENT)
            file_fault(l, folder, errno, "cannot be opened");
        return;
    }
    if (check_folder(l, dir, folder))
        names = list_folder(l, dir, folder);
    for (size_t i = 0; names != NULL && names[i] != NULL && !l->no_memory;
         i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", folder, names[i]);

        if (n < 0 || (size_t)n >= sizeof(path))
            config_fault(l, folder, 0, 0, "the path of %.60s is too long",
                         names[i]);
        else
            read_file(l, path, false);
    }
    free_list(names);
    (void)closedir(dir);
}

static void read_all(struct config_loader *l, const char *path,
                     bool may_be_missing)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_BYTES_MAX];
    int len = slash == NULL ? 0 : (int)(slash - path) + 1;
    int n = snprintf(folder, sizeof(folder), "%.*sconf.d", len, path);

    if (n < 0 || (size_t)n >= sizeof(folder)) {
        config_fault(l, "--config", 0, 0, "a path of %zu bytes is too long",
                     strlen(path));
        return;
    }
    read_file(l, path, may_be_missing);
    if (!l->no_memory)
        read_folder(l, folder);
}

static bool loader_init(struct config_loader *l, FILE *report,
                        struct justalock_error *err)
{
    *l = (struct config_loader){.report = report, .err = err};
    l->config = config_new();
    l->texts = calloc(CONFIG_FILES_MAX + 1, sizeof(*l->texts));
    return l->config != NULL && l->texts != NULL;
}

static enum justalock_status loader_done(struct config_loader *l,
                                         struct config **ret_config)
{
    enum justalock_status st = JUSTALOCK_OK;

    if (l->no_memory)
        st = error_nomem(l->err);
    else if (l->errors > 0)
        st = JUSTALOCK_CONFIG;
    for (size_t i = 0; l->texts != NULL && i < l->texts_len; i++)
        config_text_done(&l->texts[i]);
    free(l->texts);
    if (st == JUSTALOCK_OK)
        *ret_config = l->config;
    else
        config_free(l->config);
    return st;
}

/* With a file unread, what is missing in the others would be guesswork. */
static void check_all(struct config_loader *l)
{
    for (size_t i = 0; i < l->texts_len; i++)
        if (!l->texts[i].is_read)
            return;
    if (!l->no_memory)
        config_check(l);
}

enum justalock_status config_load(const char *path, struct config **ret_config,
                                  FILE *report, struct justalock_error *err)
{
    struct config_loader l;

    if (!loader_init(&l, report, err)) {
        l.no_memory = true;
        return loader_done(&l, ret_config);
    }
    read_all(&l, path == NULL ? CONFIG_PATH : path, path == NULL);
    check_all(&l);
    return loader_done(&l, ret_config);
}

enum justalock_status config_parse(const char *file, const char *data,
                                   size_t len, struct config **ret_config,
                                   FILE *report, struct justalock_error *err)
{
    struct config_loader l;
    struct config_text *t;

    if (!loader_init(&l, report, err)) {
        l.no_memory = true;
        return loader_done(&l, ret_config);
    }
    t = add_file(&l, file);
    if (t != NULL)
        read_data(&l, t, data, len);
    check_all(&l);
    return loader_done(&l, ret_config);
}

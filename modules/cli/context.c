/* SPDX-License-Identifier: MIT */
/*
 * context.c - the configuration as a command sees it: where it is read from,
 * the site secret where names are hashed, and the service with its files.
 * Never falls back to another lock or service when something is unreadable.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bearer.h"
#include "cli.h"
#include "parse.h"
#include "urls.h"

static const char *env_or(const char *value, const char *name)
{
    const char *env = value == NULL ? getenv(name) : NULL;

    if (value != NULL)
        return value;
    return env != NULL && env[0] != '\0' ? env : NULL;
}

enum justalock_status cli_config_load(const char *path, struct config **ret,
                                      struct justalock_error *err)
{
    enum justalock_status st = config_load(path, ret, stderr, err);

    if (st != JUSTALOCK_CONFIG) /* of that nothing has been said */
        return st;
    return error_set(err, err->sys_errno == EACCES ? JUSTALOCK_DENIED : st,
                     "the configuration cannot be used, as said above");
}

static enum justalock_status load_secret(struct cli_context *c,
                                         struct justalock_error *err)
{
    enum justalock_status st;

    if (!c->config->hashed_names)
        return JUSTALOCK_OK;
    st = secret_load(c->config->secret_file, &c->secret, err);
    if (st != JUSTALOCK_OK) {
        bool hidden = err->sys_errno == EACCES || err->sys_errno == ENOENT;

        return error_wrap(err, hidden ? JUSTALOCK_DENIED : st,
                          "the names of locks are hashed with the site secret");
    }
    c->has_secret = true;
    return JUSTALOCK_OK;
}

static enum justalock_status copy_text(char *dst, size_t size, const char *src,
                                       const char *what,
                                       struct justalock_error *err)
{
    if (src == NULL)
        return JUSTALOCK_OK;
    if (strlen(src) >= size)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s: %zu bytes are more than the %zu allowed", what,
                         strlen(src), size - 1);
    memcpy(dst, src, strlen(src) + 1);
    return JUSTALOCK_OK;
}

static enum justalock_status load_token(struct cli_context *c,
                                        struct justalock_error *err)
{
    const char *path = c->config->service.token_file;

    if (path == NULL ||
        bearer_load(path, c->service.token, err) == JUSTALOCK_OK)
        return JUSTALOCK_OK;
    if (err->sys_errno == EACCES)
        err->status = JUSTALOCK_DENIED;
    return err->status;
}

/* Credentials are the configured service's: another url never gets them. */
static enum justalock_status fill_service(struct cli_context *c,
                                          const char *url,
                                          struct justalock_error *err)
{
    const struct config *f = c->config;
    struct keeper_service *s = &c->service;
    bool same = url == NULL || urls_are_same(url, f->service.url);
    enum justalock_status st;

    st = copy_text(s->url, sizeof(s->url), same ? f->service.url : url, "url",
                   err);
    if (st == JUSTALOCK_OK)
        st = copy_text(s->ca_file, sizeof(s->ca_file), f->service.ca_file,
                       "ca_file", err);
    if (st == JUSTALOCK_OK)
        st = copy_text(s->proxy, sizeof(s->proxy), f->service.proxy, "proxy",
                       err);
    if (st != JUSTALOCK_OK || !same)
        return st;
    st = copy_text(s->cert_file, sizeof(s->cert_file), f->service.cert_file,
                   "cert_file", err);
    if (st == JUSTALOCK_OK)
        st = copy_text(s->key_file, sizeof(s->key_file), f->service.key_file,
                       "key_file", err);
    return st == JUSTALOCK_OK ? load_token(c, err) : st;
}

enum justalock_status cli_context_open(struct cli_context *c, const char *path,
                                       const char *url, bool with_service,
                                       struct justalock_error *err)
{
    enum justalock_status st;

    memset(c, 0, sizeof(*c));
    memset(err, 0, sizeof(*err));
    url = env_or(url, "JUSTALOCK_URL");
    if (url != NULL && with_service) {
        st = urls_check(url, err);
        if (st != JUSTALOCK_OK)
            return st;
    }
    st = cli_config_load(env_or(path, "JUSTALOCK_CONFIG"), &c->config, err);
    if (st == JUSTALOCK_OK)
        st = load_secret(c, err);
    if (st == JUSTALOCK_OK && with_service)
        st = fill_service(c, url, err);
    if (st != JUSTALOCK_OK)
        cli_context_close(c);
    return st;
}

void cli_context_close(struct cli_context *c)
{
    if (c->has_secret)
        secret_wipe(&c->secret);
    c->has_secret = false;
    if (c->config != NULL)
        config_free(c->config);
    c->config = NULL;
}

enum justalock_status cli_context_lock(const struct cli_context *c,
                                       const char *name,
                                       struct config_lock *ret_policy,
                                       struct lock_id *ret_id,
                                       struct justalock_error *err)
{
    enum justalock_status st;

    st = parse_name(name, "lock", err);
    if (st == JUSTALOCK_OK)
        st =
            config_policy(c->config, name, CONFIG_FOR_COMMAND, ret_policy, err);
    if (st == JUSTALOCK_OK)
        st = config_user_allowed(ret_policy, (uint32_t)getuid(), err);
    if (st == JUSTALOCK_OK)
        st = config_lock_id(c->config, c->has_secret ? &c->secret : NULL, name,
                            ret_policy, ret_id, err);
    return st;
}

enum justalock_status cli_context_id(const struct cli_context *c,
                                     const char *name, struct lock_id *ret_id,
                                     struct justalock_error *err)
{
    static const enum config_for kinds[] = {CONFIG_FOR_COMMAND,
                                            CONFIG_FOR_SLURM, CONFIG_FOR_PAM};
    struct config_lock policy;
    enum justalock_status st = JUSTALOCK_DENIED;

    for (size_t i = 0; i < 3 && st == JUSTALOCK_DENIED; i++)
        st = config_policy(c->config, name, kinds[i], &policy, err);
    if (st != JUSTALOCK_OK && st != JUSTALOCK_DENIED)
        return st;
    if (st == JUSTALOCK_DENIED) {
        /* No definition, and "adhoc" is off: nobody may take it, but it has
         * an id all the same. */
        memset(&policy, 0, sizeof(policy));
    }
    return config_lock_id(c->config, c->has_secret ? &c->secret : NULL, name,
                          &policy, ret_id, err);
}

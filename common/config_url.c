/* SPDX-License-Identifier: MIT */
/*
 * config_url.c - reads what says where a service is: one server or several,
 * and the proxy before it. Asks nobody.
 */
#include <string.h>

#include "config_parts.h"
#include "urls.h"

static bool has_form(const char *text, const char *const *forms)
{
    for (; *forms != NULL; forms++) {
        size_t len = strlen(*forms);

        if (strncmp(text, *forms, len) == 0 && text[len] != '\0' &&
            (text[len] != '/' || (*forms)[len - 1] == ':'))
            return true;
    }
    return false;
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

void config_read_proxy(struct config_loader *l, size_t index, char **field)
{
    static const char *const forms[] = {"http://", "https://", "socks5h://",
                                        "socks5://", NULL};
    static const char what[] = "http://..., https://... or socks5h://...";
    const char *text = config_clean_text(l, index, CONFIG_PATH_MAX, what);

    if (text == NULL)
        return;
    if (!is_printable(text) || !has_form(text, forms))
        config_want(l, index, what);
    else
        config_set_text(l, field, text);
}

/* A text, or the texts of a list joined by commas, into text. */
static bool join_urls(struct config_loader *l, size_t index, char *text)
{
    const struct config_node *n = &l->text->nodes[index];
    bool is_list = n->kind == CONFIG_KIND_ARRAY;
    size_t child = is_list ? n->first : index;
    size_t at = 0;

    if (child == 0)
        config_want(l, index, "one server at least");
    while (child != 0) {
        const char *one = config_clean_text(
            l, child, CONFIG_URL_MAX, "https://..., http://... or unix:/path");
        size_t len = one == NULL ? 0 : strlen(one);

        if (one == NULL)
            return false;
        if (at + len + 1 > CONFIG_URL_MAX + 1 ||
            (is_list && strchr(one, ',') != NULL)) {
            config_fault(l, l->text->file, n->line, n->column,
                         "%s: each is one server without a comma, all of them "
                         "%d bytes at most",
                         l->path, CONFIG_URL_MAX);
            return false;
        }
        if (at > 0)
            text[at - 1] = ',';
        memcpy(text + at, one, len + 1);
        at += len + 1;
        child = is_list ? l->text->nodes[child].next : 0;
    }
    return at > 0;
}

void config_read_url(struct config_loader *l, size_t index, char **field)
{
    char text[CONFIG_URL_MAX + 1];
    struct justalock_error e;

    if (!join_urls(l, index, text))
        return;
    if (urls_check(text, &e) != JUSTALOCK_OK) {
        /* All of its texts begin with "url: ". */
        config_fault(l, l->text->file, l->text->nodes[index].line,
                     l->text->nodes[index].column, "%s%s", l->path,
                     e.text + strcspn(e.text, ":"));
        return;
    }
    config_set_text(l, field, text);
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_config.c - any text as a configuration. What is taken is shown, and
 * what is shown is taken and shows the same; json-c, which is laxer, must take
 * what our parser takes and see as many members.
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "config.h"
#include "config_parts.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static char *show(const struct config *c, bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    require(out != NULL);
    config_show(c, out, json);
    require(fclose(out) == 0);
    return text;
}

static void comes_back(const char *text, const char *json)
{
    struct config *c = NULL;
    char *again;

    require(config_parse("shown", text, strlen(text), &c, NULL, NULL) ==
            JUSTALOCK_OK);
    again = show(c, true);
    require(strcmp(again, json) == 0);
    free(again);
    config_free(c);
}

static void ask(const struct config *c)
{
    static const enum config_for kinds[] = {CONFIG_FOR_SLURM, CONFIG_FOR_PAM,
                                            CONFIG_FOR_COMMAND};
    static const struct config_names names = {"al/ice", "n1", "sshd", "%bob"};
    char name[PARSE_NAME_MAX + 1];

    for (size_t i = 0; i < c->locks_len && i < 20; i++)
        for (size_t k = 0; k < 3; k++) {
            struct config_lock policy;
            struct justalock_error err;

            if (config_expand(c->locks[i].name, &names, name, sizeof(name),
                              NULL) != JUSTALOCK_OK)
                continue;
            require(config_template_match(c->locks[i].name, name));
            require(config_find(c, name) != NULL);
            (void)!config_policy(c, name, kinds[k], &policy, &err);
        }
    (void)config_warn(c, NULL);
}

/* With a newline: json-c waits for the end of a comment in the last line. */
static void compare(const char *text, size_t size)
{
    struct json_tokener *tok = json_tokener_new_ex(CONFIG_TEXT_DEPTH + 2);
    struct json_object *root;
    char *copy = malloc(size + 1);

    require(tok != NULL && copy != NULL);
    memcpy(copy, text, size);
    copy[size] = '\n';
    root = json_tokener_parse_ex(tok, copy, (int)size + 1);
    require(root != NULL && json_object_is_type(root, json_type_object));
    json_object_put(root);
    json_tokener_free(tok);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct justalock_error err = {.text = ""};
    char *report = NULL, *json, *commented;
    size_t report_len = 0;
    FILE *out = open_memstream(&report, &report_len);
    struct config *c = NULL;
    enum justalock_status st;

    require(out != NULL);
    st = config_parse("f.json", (const char *)data, size, &c, out, &err);
    require(fclose(out) == 0);
    require((st == JUSTALOCK_OK) == (report_len == 0));
    free(report);
    if (st != JUSTALOCK_OK) {
        require(st == JUSTALOCK_CONFIG && err.status == st && c == NULL);
        require(strncmp(err.text, "f.json:", 7) == 0);
        require(parse_is_clean_text(err.text, strlen(err.text)));
        return 0;
    }
    compare((const char *)data, size);
    json = show(c, true);
    commented = show(c, false);
    comes_back(json, json);
    comes_back(commented, json);
    ask(c);
    free(json);
    free(commented);
    config_free(c);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_config_schema.c - the keys that the code knows, the commented example,
 * the JSON Schema and the manual page name the same ones. Run from the top.
 */
#include <stdlib.h>

#include "config_parts.h"
#include "test.h"

#define KEYS_MAX 128

struct keys {
    char path[KEYS_MAX][64]; /* "locks.*.lifetime" */
    size_t len;
};

static void add(struct keys *k, const char *base, const char *name)
{
    char path[64];

    assert_true(k->len < KEYS_MAX);
    (void)snprintf(path, sizeof(path), "%s%s%s", base, base[0] ? "." : "",
                   name);
    for (size_t i = 0; i < k->len; i++)
        if (strcmp(k->path[i], path) == 0)
            return;
    memcpy(k->path[k->len++], path, sizeof(path));
}

static bool has(const struct keys *k, const char *path)
{
    for (size_t i = 0; i < k->len; i++)
        if (strcmp(k->path[i], path) == 0)
            return true;
    return false;
}

static void same(const struct keys *code, const struct keys *other,
                 const char *what)
{
    for (size_t i = 0; i < code->len; i++)
        if (!has(other, code->path[i]))
            fail_msg("%s does not have %s", what, code->path[i]);
    for (size_t i = 0; i < other->len; i++)
        if (!has(code, other->path[i]))
            fail_msg("%s has %s, the code does not", what, other->path[i]);
    assert_true(code->len > 30);
}

static void code_keys(struct keys *k, const struct config_key *keys,
                      const char *base)
{
    for (; keys->name != NULL; keys++) {
        char below[64];

        add(k, base, keys->name);
        (void)snprintf(below, sizeof(below), "%s%s%s%s", base,
                       base[0] ? "." : "", keys->name,
                       keys->type == CONFIG_TYPE_LOCKS ||
                               keys->type == CONFIG_TYPE_RULES
                           ? ".*"
                           : "");
        if (keys->members != NULL)
            code_keys(k, keys->members, below);
    }
}

static void unexpected(void *ctx, const struct config_text *t, unsigned line,
                       unsigned column, const char *text)
{
    (void)ctx;
    fail_msg("%s:%u:%u: %s", t->file, line, column, text);
}

static char *read_whole(const char *file, size_t *ret_len)
{
    FILE *f = fopen(file, "r");
    char *data = calloc(1, CONFIG_FILE_MAX + 1);

    assert_non_null(data);
    if (f == NULL)
        fail_msg("%s: run from the top of the repository", file);
    *ret_len = fread(data, 1, CONFIG_FILE_MAX, f);
    assert_true(*ret_len > 0);
    assert_int_equal(fclose(f), 0);
    return data;
}

static void parse_file(struct config_text *t, const char *file)
{
    size_t len;
    char *data = read_whole(file, &len);

    assert_int_equal(config_text_parse(t, file, data, len, unexpected, NULL),
                     JUSTALOCK_OK);
    free(data);
}

/* The members of locks and the elements of rules are '*'. */
static void example_keys(struct keys *k, const struct config_text *t,
                         size_t index, const char *base)
{
    for (size_t i = t->nodes[index].first; i != 0; i = t->nodes[i].next) {
        const struct config_node *n = &t->nodes[i];
        bool any = n->key == NULL || strcmp(base, "locks") == 0;
        char below[64];

        if (n->key == NULL && n->kind != CONFIG_KIND_OBJECT)
            continue; /* a list of texts */
        if (!any)
            add(k, base, n->key);
        (void)snprintf(below, sizeof(below), "%s%s%s", base, base[0] ? "." : "",
                       any ? "*" : n->key);
        example_keys(k, t, i, below);
    }
}

static size_t member(const struct config_text *t, size_t index, const char *key)
{
    for (size_t i = t->nodes[index].first; i != 0; i = t->nodes[i].next)
        if (t->nodes[i].key != NULL && strcmp(t->nodes[i].key, key) == 0)
            return i;
    return 0;
}

static void schema_keys(struct keys *k, const struct config_text *t,
                        size_t index, const char *base)
{
    size_t properties = member(t, index, "properties");
    size_t more = member(t, index, "additionalProperties");
    size_t items = member(t, index, "items");
    char below[64];

    if (properties != 0) {
        /* As strict as the code. */
        assert_true(more != 0);
        assert_int_equal(t->nodes[more].kind, CONFIG_KIND_FALSE);
        for (size_t i = t->nodes[properties].first; i != 0;
             i = t->nodes[i].next) {
            add(k, base, t->nodes[i].key);
            (void)snprintf(below, sizeof(below), "%s%s%s", base,
                           base[0] ? "." : "", t->nodes[i].key);
            schema_keys(k, t, i, below);
        }
        return;
    }
    (void)snprintf(below, sizeof(below), "%s.*", base);
    if (more != 0)
        schema_keys(k, t, more, below);
    if (items != 0)
        schema_keys(k, t, items, below);
}

static void test_example(void **state)
{
    struct keys code = {.len = 0}, example = {.len = 0};
    struct config_text t;
    struct config *c;
    struct justalock_error err;
    size_t len;
    char *data = read_whole("config/justalock.json", &len);

    (void)state;
    code_keys(&code, config_top_keys, "");
    parse_file(&t, "config/justalock.json");
    example_keys(&example, &t, 0, "");
    config_text_done(&t);
    /* What stands under "locks" need not stand under "defaults" again. */
    for (const struct config_key *k = config_lock_keys + 2; k->name; k++)
        add(&example, "defaults", k->name);
    same(&code, &example, "config/justalock.json");
    assert_ok(config_parse("config/justalock.json", data, len, &c, NULL, &err),
              err);
    config_free(c);
    free(data);
}

static void test_schema(void **state)
{
    struct keys code = {.len = 0}, schema = {.len = 0};
    struct config_text t;

    (void)state;
    code_keys(&code, config_top_keys, "");
    parse_file(&t, "config/justalock.schema.json");
    schema_keys(&schema, &t, 0, "");
    config_text_done(&t);
    same(&code, &schema, "config/justalock.schema.json");
}

/* The manual's ".It Cm a , b" under ".Ss service", ".Ss locks", ... */
static void test_manual(void **state)
{
    struct keys code = {.len = 0}, manual = {.len = 0}, flat = {.len = 0};
    size_t len;
    char *data = read_whole("config/justalock.json.5", &len);

    (void)state;
    code_keys(&code, config_top_keys, "");
    for (size_t i = 0; i < code.len; i++) {
        const char *dot = strrchr(code.path[i], '.');

        add(&flat, "", dot == NULL ? code.path[i] : dot + 1);
    }
    for (char *p = data, *end; *p != '\0'; p = end) {
        char *save = NULL;

        end = p + strcspn(p, "\n");
        end += *end == '\n';
        if (strncmp(p, ".It Cm ", 7) != 0)
            continue;
        end[-1] = '\0';
        for (char *w = strtok_r(p + 7, " ,", &save); w != NULL;
             w = strtok_r(NULL, " ,", &save))
            if (strcmp(w, "Cm") != 0)
                add(&manual, "", w);
    }
    free(data);
    same(&flat, &manual, "config/justalock.json.5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

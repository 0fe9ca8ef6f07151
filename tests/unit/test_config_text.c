/* SPDX-License-Identifier: MIT */
/*
 * test_config_text.c - config_text.c: what JSON is and what is not, where each
 * node stands, what strings decode to, and allocation failures.
 */
#include <stdlib.h>

#include "config_text.h"
#include "test.h"

struct faults {
    unsigned count;
    unsigned line, column; /* of the first */
    char text[240];
};

static void note(void *ctx, const struct config_text *t, unsigned line,
                 unsigned column, const char *text)
{
    struct faults *f = ctx;

    assert_string_equal(t->file, "f.json");
    if (f->count++ == 0) {
        f->line = line;
        f->column = column;
        (void)snprintf(f->text, sizeof(f->text), "%s", text);
    }
}

static void parse(struct config_text *t, const char *data)
{
    struct faults f = {0};

    if (config_text_parse(t, "f.json", data, strlen(data), note, &f) !=
        JUSTALOCK_OK)
        fail_msg("%s: %u:%u: %s", data, f.line, f.column, f.text);
    assert_int_equal(f.count, 0);
}

static void refuse_bytes(const char *data, size_t len, unsigned line,
                         unsigned column, const char *part)
{
    struct config_text t;
    struct faults f = {0};

    if (config_text_parse(&t, "f.json", data, len, note, &f) !=
        JUSTALOCK_CONFIG)
        fail_msg("taken: %s", data);
    config_text_done(&t);
    assert_has(f.text, part);
    if (f.line != line || f.column != column)
        fail_msg("%s: %u:%u, not %u:%u", data, f.line, f.column, line, column);
}

static void refuse(const char *data, unsigned line, unsigned column,
                   const char *part)
{
    refuse_bytes(data, strlen(data), line, column, part);
}

static const struct config_node *child(const struct config_text *t,
                                       const struct config_node *of,
                                       unsigned number)
{
    size_t i = of->first;

    while (number-- > 0)
        i = t->nodes[i].next;
    assert_true(i != 0);
    return &t->nodes[i];
}

static void test_nodes(void **state)
{
    static const char text[] = "// first\n"
                               "{ /* \"no\": 1, */ \"a\": 12,\n"
                               "\t\"\xc3\xbc\": [true,\n"
                               "  {\"b\": -1.5e+3}, null, []], \"c\": {} }\n";
    struct config_text t;
    const struct config_node *n;

    (void)state;
    parse(&t, text);
    n = child(&t, &t.nodes[0], 0);
    assert_string_equal(n->key, "a");
    assert_string_equal(n->text, "12");
    assert_int_equal(n->key_line, 2);
    assert_int_equal(n->key_column, 18);
    assert_int_equal(n->column, 23);
    n = child(&t, &t.nodes[0], 1);
    assert_string_equal(n->key, "\xc3\xbc");
    assert_int_equal(n->kind, CONFIG_KIND_ARRAY);
    assert_int_equal(n->key_line, 3);
    assert_int_equal(n->key_column, 2);
    /* Columns count characters, not bytes. */
    assert_int_equal(n->column, 7);
    assert_int_equal(child(&t, n, 0)->kind, CONFIG_KIND_TRUE);
    assert_int_equal(child(&t, n, 2)->kind, CONFIG_KIND_NULL);
    assert_int_equal(child(&t, n, 3)->first, 0);
    assert_null(child(&t, n, 3)->key);
    n = child(&t, child(&t, n, 1), 0);
    assert_string_equal(n->key, "b");
    assert_string_equal(n->text, "-1.5e+3");
    assert_int_equal(n->line, 4);
    assert_int_equal(n->column, 9);
    n = child(&t, &t.nodes[0], 2);
    assert_int_equal(n->kind, CONFIG_KIND_OBJECT);
    assert_int_equal(n->next, 0);
    config_text_done(&t);
}

static void test_strings(void **state)
{
    struct config_text t;

    (void)state;
    parse(&t, "{\"a\\\"\\u0062\": \"// /* \\\\ \\/ \\b\\f\\n\\r\\t \\u00fc "
              "\\u20AC \\ud83d\\ude00 }\"}");
    assert_string_equal(t.nodes[1].key, "a\"b");
    assert_string_equal(
        t.nodes[1].text,
        "// /* \\ / \b\f\n\r\t \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 }");
    config_text_done(&t);
    refuse("{\"a\": \"\\ud83d\"}", 1, 8, "surrogate");
    refuse("{\"a\": \"\\ude00\\ud83d\"}", 1, 8, "surrogate");
    refuse("{\"a\": \"\\ud83d\\u0041\"}", 1, 8, "surrogate");
    refuse("{\"a\": \"x\\u0000\"}", 1, 9, "u0000");
    refuse("{\"a\": \"\\u12g4\"}", 1, 8, "four hex");
    refuse("{\"a\": \"\\u12", 1, 8, "four hex");
    refuse("{\"a\": \"\\x41\"}", 1, 8, "escape");
    refuse("{\"a\": \"\\", 1, 8, "escape");
    refuse("{\"a\": \"b\n\"}", 1, 7, "does not end");
    refuse("{\"a\": \"b", 1, 7, "does not end");
    refuse("{\"a\": \"b\tc\"}", 1, 9, "control");
    refuse("{\"a\": \"b\x01\"}", 1, 9, "control");
    refuse("{\"a\": \"\x7f\"}", 1, 8, "control");
    refuse("{\"a\": \"\xc2\x85\"}", 1, 8, "control");
    refuse("{\"a\": \"\xff\"}", 1, 8, "UTF-8");
    refuse("// \xed\xa0\x80\n{}", 1, 4, "UTF-8");
    refuse_bytes("{\"a\":\0 1}", 9, 1, 6, "control");
}

static void test_syntax(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *part;
    } bad[] = {
        {"", 1, 1, "object"},
        {" \n ", 2, 2, "object"},
        {"[]", 1, 1, "object"},
        {"1", 1, 1, "object"},
        {"\xef\xbb\xbf{}", 1, 1, "object"},
        {"{", 1, 2, "key"},
        {"{\n\"a\"", 2, 4, "colon"},
        {"{\"a\":", 1, 6, "too early"},
        {"{\"a\":1", 1, 7, "too early"},
        {"{\"a\":[1", 1, 8, "too early"},
        {"{\"a\":1,", 1, 8, "key"},
        {"{\"a\":1,}", 1, 8, "comma stands before this brace"},
        {"{\"a\":[1,]}", 1, 9, "comma stands before this bracket"},
        {"{\"a\":[,1]}", 1, 7, "value"},
        {"{,}", 1, 2, "key"},
        {"{\"a\":1 \"b\":2}", 1, 8, "comma is expected"},
        {"{\"a\" 1}", 1, 6, "colon"},
        {"{'a':1}", 1, 2, "double quotes"},
        {"{\"a\":'b'}", 1, 6, "double quotes"},
        {"{a:1}", 1, 2, "key"},
        {"{\"a\":NaN}", 1, 6, "value"},
        {"{\"a\":Infinity}", 1, 6, "value"},
        {"{\"a\":True}", 1, 6, "value"},
        {"{\"a\":nul}", 1, 6, "value"},
        {"{\"a\":nullx}", 1, 6, "value"},
        {"{\"a\":01}", 1, 6, "number"},
        {"{\"a\":-}", 1, 6, "number"},
        {"{\"a\":1.}", 1, 6, "number"},
        {"{\"a\":1e}", 1, 6, "number"},
        {"{\"a\":1e+}", 1, 6, "number"},
        {"{\"a\":+1}", 1, 6, "value"},
        {"{\"a\":.5}", 1, 6, "value"},
        {"{\"a\":0x1}", 1, 7, "comma is expected"},
        {"{\"a\":1_0}", 1, 7, "comma is expected"},
        {"{\"a\":}", 1, 6, "value"},
        {"{} {}", 1, 4, "behind"},
        {"{}]", 1, 3, "behind"},
        {"{} /* x", 1, 4, "does not end"},
        {"{\n/*/}", 2, 1, "does not end"},
        {"{\"a\":1 # x\n}", 1, 8, "comma"},
        {"# x\n{}", 1, 1, "object"},
        {"{\"a\": # x\n1}", 1, 7, "//"},
        {"{\"a\":(1)}", 1, 6, "value"},
        {"{\"a\":[1}", 1, 8, "comma"},
    };
    struct config_text t;

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++)
        refuse(bad[i].text, bad[i].line, bad[i].column, bad[i].part);
    parse(&t, "{}");
    config_text_done(&t);
    parse(&t, "/**/{/***/}//");
    config_text_done(&t);
    parse(&t, "{\"a\":0,\"b\":-0.0e-0,\"c\":1e999}\r\n");
    config_text_done(&t);
}

static void test_depth(void **state)
{
    char text[200];
    struct config_text t;

    (void)state;
    for (unsigned depth = CONFIG_TEXT_DEPTH; depth < CONFIG_TEXT_DEPTH + 2;
         depth++) {
        size_t arrays = depth - 1; /* and the object around them */

        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', arrays);
        memset(text + 5 + arrays, ']', arrays);
        memcpy(text + 5 + 2 * arrays, "}", 2);
        if (depth > CONFIG_TEXT_DEPTH) {
            refuse(text, 1, 5 + (unsigned)arrays, "deep");
        } else {
            parse(&t, text);
            config_text_done(&t);
        }
    }
}

static void test_doubles(void **state)
{
    struct config_text t;
    struct faults f = {0};
    static const char three[] =
        "{\"x\": 1, \"x\": 2,\n\"y\":[{\"x\":1}], \"x\":3}";

    (void)state;
    refuse("{\"a\": 1,\n \"b\": {\"a\": 1},\n  \"a\": 2}", 3, 3, "twice");
    refuse("{\"a\": 1,\n \"a\": 2}", 2, 2, "line 1 column 2");
    /* The same key in other words. */
    refuse("{\"ab\": 1, \"a\\u0062\": 2}", 1, 11, "\"ab\"");
    refuse("{\"a\": [{\"b\":1}, {\"b\":1,\"b\":1}]}", 1, 24, "twice");
    parse(&t, "{\"a\": {\"b\":1}, \"b\": {\"b\":1}, \"A\": 1}");
    config_text_done(&t);
    assert_int_equal(
        config_text_parse(&t, "f.json", three, strlen(three), note, &f),
        JUSTALOCK_CONFIG);
    assert_int_equal(f.count, 2);
    config_text_done(&t);
}

/* As many members as fit one file; a slow search for doubles would show. */
static void test_many(void **state)
{
    size_t cap = 1024 * 1024, len = 1;
    char *text = malloc(cap);
    struct config_text t;
    struct faults f = {0};
    unsigned count = 0;

    (void)state;
    assert_non_null(text);
    text[0] = '{';
    for (; len + 20 < cap; count++)
        len += (size_t)snprintf(text + len, cap - len, "%s\"%x\":0",
                                count == 0 ? "" : ",", count);
    text[len++] = '}';
    assert_int_equal(config_text_parse(&t, "f.json", text, len, note, &f),
                     JUSTALOCK_OK);
    assert_int_equal(t.nodes_len, count + 1);
    assert_int_equal(t.nodes[count].line, 1);
    config_text_done(&t);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),   cmocka_unit_test(test_strings),
        cmocka_unit_test(test_syntax),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_doubles), cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

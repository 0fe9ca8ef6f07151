/* SPDX-License-Identifier: MIT */
/*
 * test_cli_cmd_list.c - `justalock list` at an agent that the test plays: each
 * state as text, JSON and name, refusals, answers that stop half way, come out
 * of turn or slowly, and no memory for a line.
 */
#include "cli_no_memory.h"
#include "played_agent.h"

static struct wire_msg *item(enum wire_item_state state, const char *name)
{
    struct wire_msg *m = agent_word(WIRE_ITEM);

    m->item_state = (uint8_t)state;
    (void)snprintf(m->locks, sizeof(m->locks), "%s", name);
    (void)snprintf(m->item_work, sizeof(m->item_work), "job 812");
    m->item_since_s = 86400;
    return m;
}

static void held(const char *name)
{
    struct wire_msg *m = item(WIRE_ITEM_HELD, name);

    m->item_left_ms = 41999;
    m->item_pids = 1;
    m->has_token = 1;
    m->token = UINT64_MAX;
}

static int list(const char *option)
{
    char socket[160];

    agent_up();
    (void)snprintf(socket, sizeof(socket), "--socket=%s", agent_path);
    return call(cmd_list, "list", socket, option, (char *)NULL);
}

static void lists(int want, const char *option)
{
    int code = list(option);

    if (code != want)
        fail_msg("status %d, not %d: %s", code, want, said_err);
    agent_down();
}

/* Of the last line. */
static void json_is(const char *key, const char *want)
{
    struct json_object *o;

    lists(CLI_OK, "--json");
    assert_int_equal(call_json(&o), 1);
    assert_string_equal(json_text(o, key), want);
    (void)json_object_put(o);
}

static void nothing_is_nothing(void **state)
{
    (void)state;
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, NULL);
    assert_string_equal(said, "");
}

static void what_is_held(void **state)
{
    (void)state;
    held("scratch");
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, NULL);
    assert_string_equal(said,
                        "held     scratch  job 812  since 1970-01-02 00:00:00, "
                        "sure for 41 s, token 18446744073709551615, 1 "
                        "process\n");
    held("scratch");
    agent_verdict(WIRE_GO, "");
    json_is("left_ms", "41999");
    assert_string_equal(said, "{\"lock\":\"scratch\",\"state\":\"held\","
                              "\"work\":\"job 812\",\"since\":86400,"
                              "\"processes\":1,\"left_ms\":41999,"
                              "\"token\":18446744073709551615}");
    held("scratch");
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, "--names");
    assert_string_equal(said, "scratch\n");
}

static void who_has_what_is_waited_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct wire_msg *m = item(WIRE_ITEM_WAITING, "a,b");

        memcpy(m->item_holder, "12", 3); /* a name, and no slot */
        m->item_left_ms = -1;
        agent_verdict(WIRE_GO, "");
        if (i == 0) {
            lists(CLI_OK, NULL);
            assert_string_equal(said, "waiting  a,b  job 812  since 1970-01-02 "
                                      "00:00:00, held by 12, 0 processes\n");
        } else {
            json_is("holder", "12");
            assert_null(strstr(said, "slot"));
            assert_null(strstr(said, "left_ms"));
            assert_null(strstr(said, "token"));
        }
    }
}

static void the_slot_of_a_pool(void **state)
{
    static const struct {
        const char *slot, *part;
    } all[] = {{"0", ", slot 0"},
               {"1023", ", slot 1023"},
               {"1024", NULL},
               {"x", NULL},
               {"", NULL}};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        held("pool");
        (void)snprintf(agent_words[0].item_holder, 8, "%s", all[i].slot);
        agent_verdict(WIRE_GO, "");
        lists(CLI_OK, NULL);
        if (all[i].part != NULL)
            assert_has(said, all[i].part);
        else
            assert_null(strstr(said, "slot"));
        assert_null(strstr(said, "held by"));
    }
    held("pool");
    memcpy(agent_words[0].item_holder, "7", 2);
    agent_verdict(WIRE_GO, "");
    json_is("slot", "7");
}

static void every_state_has_a_word(void **state)
{
    static const char *const words[] = {"?",    "waiting", "held", "ending",
                                        "lost", "kept",    "?"};

    (void)state;
    for (unsigned i = 0; i < LENGTH(words); i++) {
        (void)item(i, "a");
        agent_verdict(WIRE_GO, "");
        json_is("state", words[i]);
    }
}

static void a_time_that_no_calendar_has(void **state)
{
    struct wire_msg *m = item(WIRE_ITEM_ENDING, "a");

    (void)state;
    m->item_since_s = INT64_MAX;
    m->item_left_ms = -1;
    m = item(WIRE_ITEM_KEPT, "b");
    m->item_since_s = INT64_MAX;
    m->item_left_ms = 5000;
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, NULL);
    assert_has(said, "ending   a  job 812  since ?, 0 processes");
    assert_has(said, "kept     b  job 812  since ?, sure for 5 s, 0 processes");
}

/* As long as the wire allows, of characters that JSON escapes. */
static void the_longest_line_is_json(void **state)
{
    struct wire_msg *m = item(WIRE_ITEM_WAITING, "");
    struct json_object *o;

    (void)state;
    memset(m->locks, '"', WIRE_LIST_MAX);
    memset(m->item_work, '\\', WIRE_FIELD_MAX);
    m->item_work[WIRE_FIELD_MAX] = '\0';
    memset(m->item_holder, '"', WIRE_FIELD_MAX);
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, "--json");
    assert_int_equal(call_json(&o), 1);
    assert_int_equal(strlen(json_text(o, "lock")), WIRE_LIST_MAX);
    assert_int_equal(strlen(json_text(o, "holder")), WIRE_FIELD_MAX);
    (void)json_object_put(o);
}

static void no_control_character_comes_through(void **state)
{
    static const char *const options[] = {NULL, "--json", "--names"};

    (void)state;
    for (size_t i = 0; i < LENGTH(options); i++) {
        held("a\033[2J");
        agent_verdict(WIRE_GO, "");
        lists(CLI_NET, options[i]);
        assert_string_equal(said, "");
        assert_null(strchr(said_err, '\033'));
    }
}

static void a_refusal_has_its_status(void **state)
{
    static const struct {
        enum wire_verdict v;
        int code;
    } all[] = {{WIRE_REFUSED_NET, CLI_NET},
               {WIRE_REFUSED_DENIED, CLI_DENIED},
               {WIRE_REFUSED_CONFIG, CLI_CONFIG},
               {WIRE_REFUSED_BAD, CLI_USAGE},
               {WIRE_REFUSED_LOCAL, CLI_LOCAL}};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        agent_verdict(all[i].v, "because");
        lists(all[i].code, NULL);
        assert_string_equal(said_err, "justalock: because\n");
    }
}

static void an_answer_that_stops(void **state)
{
    (void)state;
    held("a");
    lists(CLI_NET, "--names"); /* after a row */
    assert_string_equal(said, "a\n");
    assert_has(said_err, "has closed the connection");
    agent_up();
    agent_down(); /* nobody is there */
    assert_call(CLI_NET, cmd_list, "list", "--socket", agent_path);
    assert_has(said_err, "no justalock-agent answers at ");
    held("a");
    held("b");
    agent_cut = 30;
    lists(CLI_NET, "--names");
    assert_string_equal(said, "a\n");
    assert_has(said_err, "wrong fields");
}

/* It is no end of the list, though no word of it refuses anything. */
static void a_word_out_of_turn(void **state)
{
    (void)state;
    held("a");
    (void)agent_word(WIRE_NOTE);
    agent_verdict(WIRE_GO, "");
    lists(CLI_NET, "--names");
    assert_string_equal(said, "a\n");
    assert_has(said_err, "out of turn (message type 64)");
}

/* Each word in time, all of them in more than LIMIT_MS. */
static void a_slow_agent_is_heard(void **state)
{
    (void)state;
    agent_pause_ms = 2600;
    held("a");
    agent_verdict(WIRE_GO, "");
    lists(CLI_OK, "--names");
    assert_string_equal(said, "a\n");
}

static void a_silent_agent_is_not_waited_for(void **state)
{
    struct clock_time begun = clock_now();

    (void)state;
    agent_hangs = true;
    lists(CLI_NET, NULL);
    assert_in_range(clock_elapsed_ms(begun, clock_now()), 4900, 20000);
    assert_has(said_err, "does not answer in time");
}

/* Said, and never a list that lacks a line. */
static void no_memory_is_said(void **state)
{
    int code = CLI_LOCAL;

    (void)state;
    for (no_memory_begin(); no_memory_next();) {
        held("a");
        agent_verdict(WIRE_GO, "");
        code = list("--json");
        agent_down();
        if (code == CLI_OK) {
            assert_has(said, "}\n");
            continue;
        }
        assert_true(code == CLI_LOCAL || code == CLI_USAGE);
        assert_has(said_err, "justalock: ");
        assert_string_equal(said, "");
    }
    assert_int_equal(code, CLI_OK);
    assert_true(no_memory_at > 2); /* the request, and the line */
}

static void a_wrong_call(void **state)
{
    (void)state;
    assert_call(CLI_USAGE, cmd_list, "list", "a");
    assert_has(said_err, "it takes no name");
    assert_call(CLI_USAGE, cmd_list, "list", "--nope");
    assert_has(said_err, "justalock list --help");
    assert_call(CLI_USAGE, cmd_list, "list", "--socket=");
}

static int down(void **state)
{
    (void)state;
    call_before = call_after = NULL;
    agent_down();
    return 0;
}

#define TEST(fn) cmocka_unit_test_teardown(fn, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_nothing),
        TEST(what_is_held),
        TEST(who_has_what_is_waited_for),
        TEST(the_slot_of_a_pool),
        TEST(every_state_has_a_word),
        TEST(a_time_that_no_calendar_has),
        TEST(the_longest_line_is_json),
        TEST(no_control_character_comes_through),
        TEST(a_refusal_has_its_status),
        TEST(an_answer_that_stops),
        TEST(a_word_out_of_turn),
        TEST(a_slow_agent_is_heard),
        TEST(a_silent_agent_is_not_waited_for),
        TEST(no_memory_is_said),
        TEST(a_wrong_call),
    };

    if (setenv("TZ", "UTC", 1) != 0)
        return 1;
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

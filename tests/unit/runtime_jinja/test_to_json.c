#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <stdio.h>
#include <string.h>

#define V(literal) value_of(&r, literal)

static const struct json_style plain = {.indent = -1};

/* The text itself, or "TypeError: …" */
static const char *json(struct run *r, const char *literal, const struct json_style *style)
{
    struct value v;
    static char text[2048];
    if (!value_json(r, value_of(r, literal), style, &v))
        return outcome(r, false, v);
    snprintf(text, sizeof text, "%.*s", (int)v.as.string->n_bytes, v.as.string->data);
    return text;
}

TEST(values_are_written_as_python_dumps_them)
{
    struct run r = start_run();
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"None", "null"},
        {"[True, False, 1, -1.5]", "[true, false, 1, -1.5]"},
        {"[1e16, 1e-05, 1.0]", "[1e+16, 1e-05, 1.0]"},
        {"[nan, inf, -inf]", "[NaN, Infinity, -Infinity]"},
        {"(1, ())", "[1, []]"},
        {"{'a': {}, 'b': [1, 2]}", "{\"a\": {}, \"b\": [1, 2]}"},
        {"{1: 1, 2.5: 2, True: 3, None: 4, inf: 5}",
         "{\"1\": 3, \"2.5\": 2, \"null\": 4, \"Infinity\": 5}"},
        {"{False: 0}", "{\"false\": 0}"},
        {"m'<b>'", "\"<b>\""},
        {"'\"\\\\/\\n\\t\x08\x0C\r\x01\x7F'", "\"\\\"\\\\/\\n\\t\\b\\f\\r\\u0001\x7F\""},
        {"'é中😀\u2028'", "\"é中😀\u2028\""},
        {"x", "TypeError: Object of type Undefined is not JSON serializable"},
        {"{(1,): 2}", "TypeError: keys must be str, int, float, bool or None, not tuple"},
        {"{x: 2}", "TypeError: keys must be str, int, float, bool or None, not Undefined"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(json(&r, cases[i].value, &plain), cases[i].want);
    arena_release(&r.arena);
}

TEST(ascii_is_kept_to_when_it_is_asked_for)
{
    struct run r = start_run();
    const struct json_style style = {.indent = -1, .ensure_ascii = true};
    CHECK_STR(json(&r, "'aé中😀\x7F'", &style), "\"a\\u00e9\\u4e2d\\ud83d\\ude00\\u007f\"");
    arena_release(&r.arena);
}

TEST(an_indentation_puts_every_item_on_its_line)
{
    struct run r = start_run();
    CHECK_STR(
        json(&r, "{'a': [1, {}], 'b': [], 'c': {'d': 2}}", &(const struct json_style){.indent = 2}),
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": 2\n  }\n}");
    CHECK_STR(json(&r, "[1, [2]]", &(const struct json_style){.indent = 0}), "[\n1,\n[\n2\n]\n]");
    const struct json_style tabs = {.indent = -1, .indent_text = V("'\\t'").as.string};
    CHECK_STR(json(&r, "[1, [2]]", &tabs), "[\n\t1,\n\t[\n\t\t2\n\t]\n]");
    arena_release(&r.arena);
}

TEST(separators_can_be_chosen)
{
    struct run r = start_run();
    struct json_style style = {
        .indent = -1, .item_separator = V("','").as.string, .key_separator = V("' = '").as.string};
    CHECK_STR(json(&r, "{'a': [1, 2], 'b': 3}", &style), "{\"a\" = [1,2],\"b\" = 3}");
    style.indent = 1;
    style.item_separator = V("'; '").as.string;
    CHECK_STR(json(&r, "[1, 2]", &style), "[\n 1; \n 2\n]");
    arena_release(&r.arena);
}

TEST(keys_are_sorted_when_it_is_asked_for)
{
    struct run r = start_run();
    const struct json_style style = {.indent = -1, .sort_keys = true};
    CHECK_STR(json(&r, "{'b': 1, 'a': {'z': 1, 'y': 2}, 'C': 3, '': 4, 'é': 5}", &style),
              "{\"\": 4, \"C\": 3, \"a\": {\"y\": 2, \"z\": 1}, \"b\": 1, \"é\": 5}");
    CHECK_STR(json(&r, "{3: 1, 1.5: 2, True: 3}", &style), "{\"true\": 3, \"1.5\": 2, \"3\": 1}");
    CHECK_STR(json(&r, "{1: 1, 'a': 2}", &style),
              "TypeError: '<' not supported between instances of 'str' and 'int'");
    arena_release(&r.arena);
}

TEST(many_keys_are_sorted)
{
    struct run r = start_run();
    struct dict *dict = dict_make(&r);
    char want[2048] = "{";
    for (int i = 0; i < 100; i++) {
        CHECK(dict_set(&r, dict, value_int(i * 37 % 100), value_none()));
        snprintf(want + strlen(want), 32, "%s\"%d\": null", i > 0 ? ", " : "", i);
    }
    snprintf(want + strlen(want), 2, "}");
    struct value v;
    const struct json_style style = {.indent = -1, .sort_keys = true};
    CHECK(value_json(&r, value_dict(dict), &style, &v));
    CHECK_STR(marked(&r, v), want);
    arena_release(&r.arena);
}

TEST(what_a_user_wrote_is_marked_and_the_quotes_are_not)
{
    struct run r = start_run();
    struct value v;
    CHECK(value_json(&r, V("{u'k': [u'a\"é', 'b'], 'c': u''}"), &plain, &v));
    CHECK_STR(marked(&r, v), "{\"‹k›\": [\"‹a\\\"é›\", \"b\"], \"c\": \"\"}");
    const struct json_style ascii = {.indent = -1, .ensure_ascii = true};
    CHECK(value_json(&r, V("u'é'"), &ascii, &v));
    CHECK_STR(marked(&r, v), "\"‹\\u00e9›\"");
    arena_release(&r.arena);
}

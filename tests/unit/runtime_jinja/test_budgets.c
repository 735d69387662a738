#include "base/bytes.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(a_loop_without_end_is_ended)
{
    check_fails("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                NULL, "LimitExceeded: the template takes more than");
    check_fails_within("{% for a in range(1000) %}{% endfor %}", NULL,
                       (struct jinja_limits){.max_steps = 100}, "more than");
}

TEST(a_text_without_end_is_ended)
{
    check_fails("{{ 'x' * 1000000000000 }}", NULL, "LimitExceeded");
    check_fails("{% set x = 'x' * 1000000 %}{% for a in range(1000) %}{{ x }}{% endfor %}", NULL,
                "LimitExceeded");
    check_fails_within("{{ 'x' * 1000 }}", NULL, (struct jinja_limits){.max_output_bytes = 100},
                       "LimitExceeded");
}

TEST(a_list_without_end_is_ended)
{
    check_fails("{{ [1] * 1000000000000 }}", NULL, "LimitExceeded");
    check_fails("{{ range(1000000000) }}", NULL,
                "OverflowError: Range too big. The sandbox blocks "
                "ranges larger than MAX_RANGE (100000).");
}

/* x: a blank and 6,000 letters beyond ASCII; y: as long, in ASCII. */
static void add_long_texts(struct bytes *json)
{
    bytes_add_text(json, "{'x': ' ");
    for (int i = 0; i < 6000; i++)
        bytes_add_text(json, "é");
    bytes_add_text(json, "', 'y': '%");
    for (int i = 0; i < 12000; i++)
        bytes_add_text(json, "-");
    bytes_add_text(json, "d'}");
}

TEST(a_look_at_a_long_text_costs_steps)
{
    static const char *const looks[] = {
        "x in {'a': 1}",         "x|trim",         "'a'.strip(x)",         "'a'.rstrip(y)",
        "(x ~ '') is sameas(x)", "y % 1",          "y.format(1)",          "y.removeprefix(x)",
        "'a'.startswith((x,))",  "[{}]|sum(y, 0)", "[]|sort(attribute=y)", "x.split('é', 1)",
        "y.removesuffix(y)",
    };
    struct bytes json = {0}, source = {0};
    add_long_texts(&json);
    bytes_add_char(&json, '\0');
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        bytes_clear(&source);
        bytes_printf(&source, "{%% set z = %s %%}", looks[i]);
        bytes_add_char(&source, '\0');
        check_fails_within(source.data, json.data, (struct jinja_limits){.max_steps = 150},
                           "the template takes more than");
    }
    bytes_release(&json);
    bytes_release(&source);
}

TEST(a_look_through_many_things_costs_steps)
{
    struct bytes source = {0};
    bytes_add_text(&source, "{% macro m(");
    for (int i = 0; i < 500; i++)
        bytes_printf(&source, "a%d, ", i);
    bytes_add_text(&source, "z) %}{% endmacro %}{{ m() }}");
    bytes_add_char(&source, '\0');
    check_fails_within(source.data, NULL, (struct jinja_limits){.max_steps = 5000}, "more than");
    bytes_clear(&source);
    bytes_add_text(&source, "{% with a = 1");
    for (int i = 0; i < 500; i++)
        bytes_printf(&source, ", a%d = 1", i);
    bytes_add_text(&source, " %}{% for i in range(500) %}{{ zz }}{% endfor %}{% endwith %}");
    bytes_add_char(&source, '\0');
    check_fails_within(source.data, NULL, (struct jinja_limits){.max_steps = 20000}, "more than");
    bytes_release(&source);
    check_fails_within(
        "{{ ('{z}' * 100).format_map(dict(range(100)|map('string')|batch(2)|map('list'),"
        " z='')) }}",
        NULL, (struct jinja_limits){.max_steps = 3000}, "more than");
    check_fails_within("{{ ('abc ' * 100)|urlize(extra_schemes=['tel:'] * 100) }}", NULL,
                       (struct jinja_limits){.max_steps = 5000}, "more than");
}

TEST(iterators_in_iterators_do_not_exhaust_the_stack)
{
    check_fails("{% set ns = namespace(g=[1]) %}{% for i in range(60000) %}"
                "{% set ns.g = ns.g|map('string') %}{% endfor %}{{ ns.g|list }}",
                NULL, "RecursionError: maximum recursion depth exceeded");
    check_text(
        "{{ [1]"
        "|select|select|select|select|select|select|select|select|select|select|select|select"
        "|list }}",
        NULL, "[1]");
}

/* All hashes end with the same 9 bits. */
TEST(keys_that_were_chosen_to_collide_end_a_rendering)
{
    static const char *const keys[] = {
        "k11c",   "k252",   "k390",   "k429",   "k4c8",   "k5f9",   "k6ae",   "kb8c",  "kc2a",
        "kccd",   "kd35",   "kddd",   "k180c",  "k19c1",  "k1ac2",  "k1ac5",  "k1af8", "k1b6f",
        "k1c07",  "k1d94",  "k1dcb",  "k1e66",  "k2327",  "k2412",  "k2453",  "k2e68", "k2f97",
        "k3490",  "k3896",  "k3c78",  "k3eb9",  "k4036",  "k4213",  "k4264",  "k45e0", "k4830",
        "k49e7",  "k4bd3",  "k4c58",  "k4e21",  "k4e32",  "k5045",  "k5359",  "k542f", "k554d",
        "k5693",  "k584f",  "k5bb9",  "k5be7",  "k5de2",  "k5ea5",  "k60fd",  "k6384", "k6862",
        "k6931",  "k6c07",  "k6ca6",  "k6d41",  "k6dea",  "k6e49",  "k70d8",  "k710e", "k7118",
        "k7315",  "k7467",  "k750d",  "k765f",  "k7666",  "k77b4",  "k782b",  "k79a3", "k7bb7",
        "k7ec7",  "k8067",  "k8192",  "k81d3",  "k82ad",  "k82c0",  "k845d",  "k89e9", "k8b04",
        "k8b74",  "k9213",  "k933b",  "k955d",  "k965c",  "k9998",  "k99d5",  "k9a41", "k9be7",
        "k9c41",  "ka109",  "ka1d3",  "ka26f",  "ka2e3",  "ka5d7",  "ka8c3",  "ka965", "kaa15",
        "kac17",  "kac4a",  "kac6f",  "kae3b",  "kae76",  "kae8c",  "kaed2",  "kaf5c", "kb012",
        "kb436",  "kb4e0",  "kb551",  "kb600",  "kb763",  "kb7c0",  "kb8ae",  "kbaee", "kbb9e",
        "kbc56",  "kbce8",  "kbdcc",  "kc146",  "kc1f7",  "kc4cc",  "kc864",  "kca2f", "kcaa6",
        "kcc6a",  "kcc9c",  "kcd78",  "kce35",  "kce55",  "kd05e",  "kd5bc",  "kd70f", "kd97e",
        "kda60",  "kdfb0",  "kdfc1",  "ke255",  "ke2cc",  "ke32b",  "ke9b4",  "keb1c", "kebe9",
        "keea8",  "kef70",  "kef86",  "kf1fe",  "kf476",  "kf573",  "kf691",  "kfb47", "kfd77",
        "k1004d", "k10470", "k104d4", "k10e9e", "k1114f", "k1129d", "k115f4",
    };
    struct bytes json = {0};
    bytes_add_text(&json, "{'x': {'a': 0");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        bytes_printf(&json, ", '%s': 0", keys[i]);
    bytes_add_text(&json, "}}");
    bytes_add_char(&json, '\0');
    check_fails("{{ x }}", json.data, "LimitExceeded: an object whose keys were chosen to collide");
    bytes_clear(&json);
    bytes_add_text(&json, "{'x': {'a': 0");
    for (int i = 0; i < 20000; i++)
        bytes_printf(&json, ", 'k%d': 0", i);
    bytes_add_text(&json, "}}");
    bytes_add_char(&json, '\0');
    check_text("{{ x|length }}", json.data, "20001");
    bytes_release(&json);
}

TEST(budgets_grow_with_what_comes_in)
{
    check_text("{% for c in x %}{% endfor %}{{ x|length }}", "{'x': 'abcdefghij'}", "10");
}

TEST(an_error_names_the_place_and_shows_the_line)
{
    check_fails(
        "a\n{{ 1 }}\n  {{ x.y.z }}\nb", "{'x': {}}",
        "line 3, column 10: UndefinedError: 'dict object' has no attribute 'y': {{ x.y.z }}");
}

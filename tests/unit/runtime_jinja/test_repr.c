#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V(literal) value_of(&r, literal)

static void check_repr(double d, const char *want)
{
    char text[33];
    text[float_repr(d, text)] = '\0';
    CHECK_STR(text, want);
}

TEST(floats_are_written_with_the_fewest_digits_that_read_back)
{
    static const struct {
        double d;
        const char *want;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {100, "100.0"},
        {1e15, "1000000000000000.0"},
        {9999999999999998, "9999999999999998.0"},
        {1e16, "1e+16"},
        {1.5e300, "1.5e+300"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {0.00001, "1e-05"},
        {123456789.125, "123456789.125"},
        {0x1p-44, "5.684341886080802e-14"}, /* its nearest 16 digits do not read back */
        {0x1p-1074, "5e-324"},
        {0x1p-1022, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e22, "5e+22"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {-NAN, "nan"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_repr(cases[i].d, cases[i].want);
}

TEST(every_power_of_two_reads_back_and_is_short)
{
    for (int power = -1074; power < 1024; power++) {
        char text[33];
        const double d = ldexp(1, power);
        text[float_repr(d, text)] = '\0';
        CHECK(strtod(text, NULL) == d);
        CHECK(strlen(text) <= 23);
    }
}

TEST(a_repr_is_that_of_python)
{
    struct run r = start_run();
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"None", "None"},
        {"[True, False]", "[True, False]"},
        {"x", "Undefined"},
        {"[]", "[]"},
        {"()", "()"},
        {"(1,)", "(1,)"},
        {"(1, 2)", "(1, 2)"},
        {"{}", "{}"},
        {"{'a': [1.0, ()], 2: None}", "{'a': [1.0, ()], 2: None}"},
        {"'it'", "'it'"},
        {"'it\\'s'", "\"it's\""},
        {"'\"'", "'\"'"},
        {"'\"\\''", "'\"\\''"},
        {"'\\\\'", "'\\\\'"},
        {"'\\n\\t\\0\x7F'", "'\\n\\t\\x00\\x7f'"},
        {"'é中😀'", "'é中😀'"},
        {"'\u00A0\u200B\uFEFF'", "'\\xa0\\u200b\\ufeff'"},
        {"'\xF4\x8F\xBF\xBF'", "'\\U0010ffff'"},
        {"m'<b>'", "Markup('<b>')"},
        {"-9223372036854775808", "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(outcome(&r, true, V(cases[i].value)), cases[i].want);
    arena_release(&r.arena);
}

TEST(the_escape_of_a_users_character_is_the_users)
{
    struct run r = start_run();
    struct value v;
    CHECK(value_repr(&r, V("['a\\n', u'b\\nc', {u'é': 1}]"), &v));
    CHECK_STR(marked(&r, v), "['a\\n', '‹b\\nc›', {'‹é›': 1}]");
    CHECK(value_ascii(&r, V("['é', u'é']"), &v));
    CHECK_STR(marked(&r, v), "['\\xe9', '‹\\xe9›']");
    arena_release(&r.arena);
}

TEST(a_text_is_its_own_text_and_an_undefined_value_has_none)
{
    struct run r = start_run();
    struct value v;
    CHECK_STR(outcome(&r, value_text(&r, V("m'<'"), &v), v), "Markup('<')");
    CHECK_STR(outcome(&r, value_text(&r, V("x"), &v), v), "''");
    CHECK_STR(outcome(&r, value_text(&r, V("['a']"), &v), v), "\"['a']\"");
    CHECK_STR(outcome(&r, value_text(&r, V("1e16"), &v), v), "'1e+16'");
    arena_release(&r.arena);
}

TEST(ascii_escapes_all_beyond_it)
{
    struct run r = start_run();
    struct value v;
    CHECK(value_ascii(&r, V("'aé中😀'"), &v));
    CHECK_STR(marked(&r, v), "'a\\xe9\\u4e2d\\U0001f600'");
    arena_release(&r.arena);
}

TEST(a_value_that_holds_one_thing_many_times_ends_at_the_budget)
{
    struct run r = start_run();
    struct value v = V("['abcdefgh']");
    for (int i = 0; i < 40; i++) { /* 2^40 texts in all */
        struct list *list = list_make(&r, 2);
        CHECK(list_add(&r, list, v) && list_add(&r, list, v));
        v = value_list(list);
    }
    CHECK(!value_repr(&r, v, &v));
    CHECK_EQ(r.exception, LIMIT_EXCEEDED);
    arena_release(&r.arena);
}

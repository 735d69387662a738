#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <string.h>

#define V(literal) value_of(&r, literal)

struct format {
    const char *format, *values, *want;
};

/* values: a tuple, or a dict of keywords */
static bool format_with(struct run *r, const char *format, const char *values, struct value *out)
{
    const struct value v = value_of(r, values);
    struct arguments args = {0};
    struct keyword keywords[4];
    if (v.kind == VALUE_TUPLE) {
        args.positional = v.as.list->items;
        args.n_positional = (int)v.as.list->n;
    } else {
        for (uint32_t i = 0; i < v.as.dict->n; i++)
            keywords[i] =
                (struct keyword){v.as.dict->items[i].key.as.string, v.as.dict->items[i].value};
        args.keywords = keywords;
        args.n_keywords = (int)v.as.dict->n;
    }
    return string_format(r, value_of(r, format).as.string, &args, out);
}

static void check_formats(const struct format *formats, size_t n)
{
    struct run r = start_run();
    for (size_t i = 0; i < n; i++) {
        struct value v;
        const bool ok = format_with(&r, formats[i].format, formats[i].values, &v);
        const char *got = outcome(&r, ok, v);
        if (strcmp(got, formats[i].want) != 0)
            test_fail(__FILE__, __LINE__, "%s.format%s\n  is   %s\n  want %s", formats[i].format,
                      formats[i].values, got, formats[i].want);
    }
    arena_release(&r.arena);
}
#define CHECK_FORMATS(formats) check_formats(formats, sizeof(formats) / sizeof *(formats))

TEST(fields_take_arguments_by_place_and_by_name)
{
    static const struct format formats[] = {
        {"'{} {}'", "(1, 'a')", "'1 a'"},
        {"'{1} {0} {1}'", "(1, 2)", "'2 1 2'"},
        {"'{a}-{b}'", "{'a': 1, 'b': None}", "'1-None'"},
        {"'{{}} {{{}}}'", "(1,)", "'{} {1}'"},
        {"'{0.real} {0}'", "(5,)", "'5 5'"},
        {"'{0[1]} {0[-1]}'", "([7, 8],)", "'8 '"}, /* -1 is a text, and no attribute */
        {"'{a[b]}{a.b}{a[0]}'", "{'a': {'b': 1, 0: 2}}", "'112'"},
        {"'{0[}]}'", "({'}': 3},)", "'3'"},
        {"''", "()", "''"},
        {"'{}'", "(x,)", "''"},
    };
    CHECK_FORMATS(formats);
}

TEST(what_is_not_there_is_named)
{
    static const struct format formats[] = {
        {"'{}'", "()", "IndexError: tuple index out of range"},
        {"'{5}'", "(1,)", "IndexError: tuple index out of range"},
        {"'{a}'", "(1,)", "KeyError: 'a'"},
        {"'{-1}'", "(1,)", "KeyError: '-1'"},
        {"'{.real}'", "(1,)", "KeyError: ''"},
        {"'{0.x.y}'", "(1,)", "UndefinedError: 'int object' has no attribute 'x'"},
        {"'{0.x}'", "(x,)", "UndefinedError: 'x' is undefined"},
        {"'{0.__class__}'", "(1,)", "''"}, /* an undefined value, not used */
        {"'{0.__class__.y}'", "(1,)",
         "SecurityError: access to attribute '__class__' of 'int' object is unsafe."},
    };
    CHECK_FORMATS(formats);
}

TEST(a_malformed_format_is_refused_with_pythons_words)
{
#define SWITCHED \
    "ValueError: cannot switch from manual field specification to automatic field numbering"
    static const struct format formats[] = {
        {"'{'", "(1,)", "ValueError: Single '{' encountered in format string"},
        {"'}'", "(1,)", "ValueError: Single '}' encountered in format string"},
        {"'{0}}'", "(1,)", "ValueError: Single '}' encountered in format string"},
        {"'{0'", "(1,)", "ValueError: expected '}' before end of string"},
        {"'{0[a}'", "(1,)", "ValueError: expected '}' before end of string"},
        {"'{a{b}}'", "(1,)", "ValueError: unexpected '{' in field name"},
        {"'{0!'", "(1,)", "ValueError: end of string while looking for conversion specifier"},
        {"'{0!r'", "(1,)", "ValueError: unmatched '{' in format spec"},
        {"'{0!}'", "(1,)", "ValueError: unmatched '{' in format spec"},
        {"'{0!rx}'", "(1,)", "ValueError: expected ':' after conversion specifier"},
        {"'{0!x}'", "(1,)", "ValueError: Unknown conversion specifier x"},
        {"'{0:'", "(1,)", "ValueError: unmatched '{' in format spec"},
        {"'{0.}'", "(1,)", "ValueError: Empty attribute in format string"},
        {"'{0[]}'", "(1,)", "ValueError: Empty attribute in format string"},
        {"'{0[1]x}'", "(1,)",
         "ValueError: Only '.' or '[' may follow ']' in format field specifier"},
        {"'{99999999999999999999}'", "(1,)",
         "ValueError: Too many decimal digits in format string"},
        {"'{}{0}'", "(1,)", SWITCHED},
        {"'{0}{}'", "(1,)", SWITCHED},
        {"'{0:{}}'", "(1, 2)", SWITCHED},
        {"'{}{0.real}'", "(1,)", "'11'"}, /* only a bare number counts as manual */
        {"'{0:{1:{2}}}'", "(1, 2, 3)", "ValueError: Max string recursion exceeded"},
    };
    CHECK_FORMATS(formats);
}

TEST(a_specification_may_hold_fields)
{
    static const struct format formats[] = {
        {"'{:{}}|'", "('a', 3)", "'a  |'"},
        {"'{0:{1}{2}}|'", "('a', '>', 3)", "'  a|'"},
        {"'{!r:>5}|{!s:.1}|{!a}'", "('a', 'bc', 'é')", "\"  'a'|b|'\\\\xe9'\""},
    };
    CHECK_FORMATS(formats);
}

TEST(texts_are_set_into_their_width)
{
    static const struct format formats[] = {
        {"'{:5}|{:>5}|{:^5}|{:*<5}|'", "('a', 'a', 'a', 'a')", "'a    |    a|  a  |a****|'"},
        {"'{:é^6.2}|{:05}|'", "('中中中', 'abc')", "'éé中中éé|abc00|'"},
        {"'{:.0}|{:10s}|'", "('abc', 'é')", "'|é         |'"},
        {"'{:d}'", "('a',)", "ValueError: Unknown format code 'd' for object of type 'str'"},
        {"'{:+}'", "('a',)", "ValueError: Sign not allowed in string format specifier"},
        {"'{: }'", "('a',)", "ValueError: Space not allowed in string format specifier"},
        {"'{:#}'", "('a',)",
         "ValueError: Alternate form (#) not allowed in string format specifier"},
        {"'{:=5}'", "('a',)", "ValueError: '=' alignment not allowed in string format specifier"},
        {"'{:,}'", "('a',)", "ValueError: Cannot specify ',' with 's'."},
    };
    CHECK_FORMATS(formats);
}

TEST(whole_numbers_are_written_in_every_type)
{
    static const struct format formats[] = {
        {"'{:b} {:o} {:x} {:X} {:c} {:n} {:d}'", "(5, 8, 255, 255, 233, 7, True)",
         "'101 10 ff FF é 7 1'"},
        {"'{:#b} {:#o} {:#x} {:#X} {:#d}'", "(5, 8, -255, 255, 1)", "'0b101 0o10 -0xff 0XFF 1'"},
        {"'{:5}|{:<5}|{:^6}|{:05}|{:=+6}|{:*>4}'", "(42, 42, 42, -42, 42, 42)",
         "'   42|42   |  42  |-0042|+   42|**42'"},
        {"'{:,} {:_} {:_x} {:_b}'", "(1234567, -1234567, 1234567, 21)",
         "'1,234,567 -1_234_567 12_d687 1_0101'"},
        {"'{:010,}|{:011,}|{:012,}|{:+#013_x}'", "(1234567, 1234567, 1234567, 1234567)",
         "'01,234,567|001,234,567|0,001,234,567|+0x0_0012_d687'"},
        {"'{:x<010,d}'", "(1234567,)", "'1,234,567x'"},
        {"'{:.1f} {:e} {:%}'", "(2, 1500, 1)", "'2.0 1.500000e+03 100.000000%'"},
        {"'{} {:5}|'", "(True, True)", "'True     1|'"},
        {"'{:}'", "(-9223372036854775808,)", "'-9223372036854775808'"},
        {"'{:s}'", "(1,)", "ValueError: Unknown format code 's' for object of type 'int'"},
        {"'{:y}'", "(True,)", "ValueError: Unknown format code 'y' for object of type 'bool'"},
        {"'{:1 }'", "(1,)", "ValueError: Unknown format code '\\x20' for object of type 'int'"},
        {"'{:.1d}'", "(1,)", "ValueError: Precision not allowed in integer format specifier"},
        {"'{:+c}'", "(1,)", "ValueError: Sign not allowed with integer format specifier 'c'"},
        {"'{:c}'", "(-1,)", "OverflowError: %c arg not in range(0x110000)"},
        {"'{:,x}'", "(1,)", "ValueError: Cannot specify ',' with 'x'."},
        {"'{:,_}'", "(1,)", "ValueError: Cannot specify both ',' and '_'."},
        {"'{:.}'", "(1,)", "ValueError: Format specifier missing precision"},
        {"'{:5 d}'", "(1,)", "ValueError: Invalid format specifier '5 d' for object of type 'int'"},
        {"'{:99999999999999999999}'", "(1,)",
         "ValueError: Too many decimal digits in format string"},
    };
    CHECK_FORMATS(formats);
}

TEST(floats_are_written_in_every_type)
{
    static const struct format formats[] = {
        {"'{} {:f} {:.2f} {:e} {:g} {:%} {:n}'", "(1.5, 1.5, 2.675, 1.5, 1e10, 0.5, 2.5)",
         "'1.5 1.500000 2.67 1.500000e+00 1e+10 50.000000% 2.5'"},
        {"'{:.5} {:.3} {:.3} {:.0}'", "(1234567.891, 100.0, 3.0, 0.5)",
         "'1.2346e+06 1e+02 3.0 0.5'"},
        {"'{:#} {:#.0f} {:#.3} {:#.3g}'", "(1e16, 1.0, 1.0, 1.0)", "'1.e+16 1. 1.00 1.00'"},
        {"'{:,.2f} {:_.1f} {:,}'", "(1234567.891, 12345.0, 1e15)",
         "'1,234,567.89 12_345.0 1,000,000,000,000,000.0'"},
        {"'{:010.2f}|{:+010,.1f}|{:>9.1f}'", "(-3.14159, 1234.5, 2.25)",
         "'-000003.14|+001,234.5|      2.2'"},
        {"'{} {:F} {:010} {:%}'", "(nan, inf, -inf, inf)", "'nan INF -000000inf inf%'"},
        {"'{:.1f} {:z.1f} {:z}'", "(-0.01, -0.01, -0.0)", "'-0.0 0.0 0.0'"},
        {"'{:d}'", "(1.0,)", "ValueError: Unknown format code 'd' for object of type 'float'"},
    };
    CHECK_FORMATS(formats);
}

TEST(other_values_have_no_specification)
{
    static const struct format formats[] = {
        {"'{} {} {}'", "([1], (), {})", "'[1] () {}'"},
        {"'{:5}'", "(None,)", "TypeError: unsupported format string passed to NoneType.__format__"},
        {"'{:5}'", "([1],)", "TypeError: unsupported format string passed to list.__format__"},
        {"'{:5}'", "(x,)", "TypeError: unsupported format string passed to Undefined.__format__"},
    };
    CHECK_FORMATS(formats);
}

TEST(markup_escapes_what_its_fields_hold)
{
    static const struct format formats[] = {
        {"m'<{}>'", "('<',)", "Markup('<&lt;>')"},
        {"m'{:>3}'", "('<',)", "Markup('  &lt;')"},
        {"m'{}'", "(m'<',)", "Markup('<')"},
        {"m'{!s}'", "(m'<',)", "Markup('&lt;')"},
        {"m'{!r}'", "('<',)", "Markup('&#39;&lt;&#39;')"},
        {"m'{:5}'", "(m'<',)", "ValueError: Unsupported format specification for Markup."},
        {"m'{a}'", "()", "KeyError: 'a'"},
        {"'{}'", "(m'<',)", "'<'"},
    };
    CHECK_FORMATS(formats);
}

TEST(what_a_user_wrote_stays_the_users_when_it_is_formatted)
{
    struct run r = start_run();
    struct value v;
    CHECK(format_with(&r, "'a{}{:.2}{:>3}{!r}'", "(u'é', u'xyz', u'z', u'q')", &v));
    CHECK_STR(marked(&r, v), "a‹éxy›  ‹z›'‹q›'");
    CHECK(format_with(&r, "u'{{{}}}'", "(1,)", &v));
    CHECK_STR(marked(&r, v), "‹{1}›");
    CHECK(format_with(&r, "u'{0[1]}{0[0]:.1}'", "('ab',)", &v)); /* they chose the pieces */
    CHECK_STR(marked(&r, v), "‹ba›");
    CHECK(format_with(&r, "'{:c}{}'", "(60, 60)", &v));
    CHECK_STR(marked(&r, v), "‹<›60");
    CHECK(format_with(&r, "'{:{}}'", "(1, u'é>3')", &v)); /* so is what they format */
    CHECK_STR(marked(&r, v), "‹éé1›");
    arena_release(&r.arena);
}

TEST(a_huge_field_ends_at_the_budget)
{
    static const char *const formats[] = {"'{:1000000000}'", "'{:01000000000}'",
                                          "'{:01000000000,}'", "'{:9223372036854775807}'",
                                          "'{:.1000000000f}'"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct run r = start_run();
        struct value v;
        CHECK(!format_with(&r, formats[i], "(1,)", &v));
        CHECK_EQ(r.exception, LIMIT_EXCEEDED);
        CHECK(r.n_bytes < 10000);
        arena_release(&r.arena);
    }
}

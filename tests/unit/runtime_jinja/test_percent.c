#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <string.h>

#define V(literal) value_of(&r, literal)

struct print {
    const char *format, *values, *want;
};

static void check_prints(const struct print *prints, size_t n)
{
    struct run r = start_run();
    for (size_t i = 0; i < n; i++) {
        struct value v;
        const bool ok = string_percent(&r, V(prints[i].format).as.string, V(prints[i].values), &v);
        const char *got = outcome(&r, ok, v);
        if (strcmp(got, prints[i].want) != 0)
            test_fail(__FILE__, __LINE__, "%s %% %s\n  is   %s\n  want %s", prints[i].format,
                      prints[i].values, got, prints[i].want);
    }
    arena_release(&r.arena);
}
#define CHECK_PRINTS(prints) check_prints(prints, sizeof(prints) / sizeof *(prints))

TEST(whole_numbers_are_printed_as_python_does)
{
    static const struct print prints[] = {
        {"'%d'", "5", "'5'"},
        {"'%5d|%-5d|'", "(42, 42)", "'   42|42   |'"},
        {"'%05d'", "-42", "'-0042'"},
        {"'%+d % d'", "(5, 5)", "'+5  5'"},
        {"'%.5d'", "-42", "'-00042'"},
        {"'%8.3d|%-8.3d|%08.3d|'", "(5, 5, 5)", "'     005|005     |00000005|'"},
        {"'%x %X %o'", "(255, 255, 8)", "'ff FF 10'"},
        {"'%#x %#X %#o'", "(255, 255, 8)", "'0xff 0XFF 0o10'"},
        {"'%#08x'", "-255", "'-0x000ff'"},
        {"'%#.5x'", "10", "'0x0000a'"},
        {"'%x'", "-9223372036854775808", "'-8000000000000000'"},
        {"'%d'", "-9223372036854775808", "'-9223372036854775808'"},
        {"'%d %i %u'", "(3.99, -3.99, True)", "'3 -3 1'"},
        {"'%ld %hd'", "(1, 2)", "'1 2'"},
        {"'%d'", "inf", "OverflowError: cannot convert float infinity to integer"},
        {"'%d'", "nan", "ValueError: cannot convert float NaN to integer"},
        {"'%d'", "1e30", "NotSupported: whole numbers beyond 64 bits are not supported"},
        {"'%u'", "'a'", "TypeError: %u format: a real number is required, not str"},
        {"'%x'", "1.5", "TypeError: %x format: an integer is required, not float"},
        {"'%d'", "x", "UndefinedError: 'x' is undefined"},
        {"'%x'", "x", "TypeError: %x format: an integer is required, not Undefined"},
    };
    CHECK_PRINTS(prints);
}

TEST(floats_are_printed_as_python_does)
{
    static const struct print prints[] = {
        {"'%f %.0f %.2f'", "(1, 2.5, 3.14159)", "'1.000000 2 3.14'"},
        {"'%#.0f'", "1.0", "'1.'"},
        {"'%e %E'", "(12345.678, 0.0)", "'1.234568e+04 0.000000E+00'"},
        {"'%g %g %G %#g'", "(1e20, 0.0001, 1e-10, 1.0)", "'1e+20 0.0001 1E-10 1.00000'"},
        {"'%010.3f'", "-3.14159", "'-00003.142'"},
        {"'%+f %F %f'", "(nan, inf, -inf)", "'+nan INF -inf'"},
        {"'%010f'", "inf", "'0000000inf'"},
        {"'%f'", "-0.0", "'-0.000000'"},
        {"'%.3f'", "9007199254740993", "'9007199254740992.000'"},
        {"'%f'", "'a'", "TypeError: must be real number, not str"},
    };
    CHECK_PRINTS(prints);
}

TEST(a_float_has_as_many_decimals_as_are_asked_for)
{
    struct run r = start_run();
    struct value v;
    CHECK(string_percent(&r, V("'%.3000f'").as.string, V("0.5"), &v));
    CHECK_EQ(v.as.string->n_bytes, 3002);
    CHECK_EQ(v.as.string->data[2], '5');
    CHECK_EQ(v.as.string->data[3001], '0');
    CHECK(string_percent(&r, V("'%.1074f'").as.string, V("5e-324"), &v));
    CHECK_EQ(v.as.string->data[1075], '5');
    CHECK(string_percent(&r, V("'%.2000e'").as.string, V("1.5"), &v));
    CHECK_EQ(v.as.string->n_bytes, 2006);
    CHECK_EQ(v.as.string->data[2005], '0');
    CHECK(string_percent(&r, V("'%.2000g'").as.string, V("1.5"), &v));
    CHECK_EQ(v.as.string->n_bytes, 3);
    arena_release(&r.arena);
}

TEST(texts_are_printed_and_cut_in_characters)
{
    static const struct print prints[] = {
        {"'%s %s %s'", "(1, 'a', None)", "'1 a None'"},
        {"'%r %a'", "('é', 'é')", "\"'é' '\\\\xe9'\""},
        {"'%.2s|%5.1s|%-3s|%05s|'", "('é中a', 'é中', 'é', 'ab')", "'é中|    é|é  |   ab|'"},
        {"'%c%c%3c'", "('é', 233, 65)", "'éé  A'"},
        {"'%s'", "[1, 'a']", "\"[1, 'a']\""},
        {"'%s'", "(1,)", "'1'"},
        {"'%s'", "x", "''"},
        {"'%%|%s%%'", "1", "'%|1%'"},
        {"'%c'", "'ab'", "TypeError: %c requires int or char"},
        {"'%c'", "1.5", "TypeError: %c requires int or char"},
        {"'%c'", "1114112", "OverflowError: %c arg not in range(0x110000)"},
        {"'%c'", "55296", "NotSupported: surrogates are no characters"},
    };
    CHECK_PRINTS(prints);
}

TEST(widths_and_precisions_may_be_values)
{
    static const struct print prints[] = {
        {"'%*d|%-*d|%*d|'", "(4, 1, 4, 1, -4, 1)", "'   1|1   |1   |'"},
        {"'%.*f %.*f'", "(2, 3.14159, -2, 3.14159)", "'3.14 3'"},
        {"'%*d'", "('a', 3)", "TypeError: * wants int"},
        {"'%99999999999999999999d'", "1", "ValueError: width too big"},
        {"'%.99999999999d'", "1", "ValueError: precision too big"},
    };
    CHECK_PRINTS(prints);
}

TEST(values_are_found_by_their_keys)
{
    static const struct print prints[] = {
        {"'%(a)s-%(b)05.1f'", "{'a': 1, 'b': 2.25}", "'1-002.2'"},
        {"'%(a(b))s'", "{'a(b)': 1}", "'1'"},
        {"'%(a)s'", "{'b': 1}", "KeyError: 'a'"},
        {"'%(a)s'", "5", "TypeError: format requires a mapping"},
        {"'%(a)s'", "[1]", "TypeError: list indices must be integers or slices, not str"},
        {"'%(a)s'", "x", "UndefinedError: 'x' is undefined"},
        {"'%(a)s %s'", "{'a': 1}", "TypeError: not enough arguments for format string"},
        {"'%s'", "{'a': 1}", "\"{'a': 1}\""},
        {"'%(a'", "{}", "ValueError: incomplete format key"},
    };
    CHECK_PRINTS(prints);
}

TEST(too_many_and_too_few_values_are_refused)
{
    static const struct print prints[] = {
        {"'%s %s'", "1", "TypeError: not enough arguments for format string"},
        {"'%s'", "()", "TypeError: not enough arguments for format string"},
        {"'%s'", "(1, 2)", "TypeError: not all arguments converted during string formatting"},
        {"'a'", "5", "TypeError: not all arguments converted during string formatting"},
        {"'a'", "()", "'a'"},
        {"'a'", "[1]", "'a'"}, /* what can be asked for keys need not be used */
        {"'a'", "{}", "'a'"},
        {"'a'", "x", "'a'"},
    };
    CHECK_PRINTS(prints);
}

TEST(an_unknown_format_is_named_with_its_place_in_characters)
{
    static const struct print prints[] = {
        {"'%y'", "1", "ValueError: unsupported format character 'y' (0x79) at index 1"},
        {"'é%5y'", "1", "ValueError: unsupported format character 'y' (0x79) at index 3"},
        {"'%é'", "1", "ValueError: unsupported format character '?' (0xe9) at index 1"},
        {"'%5%'", "()", "TypeError: not enough arguments for format string"},
        {"'%'", "1", "ValueError: incomplete format"},
        {"'%5'", "1", "ValueError: incomplete format"},
        {"'%l'", "1", "ValueError: incomplete format"},
    };
    CHECK_PRINTS(prints);
}

TEST(markup_escapes_the_values_it_prints)
{
    static const struct print prints[] = {
        {"m'<%s>'", "'<'", "Markup('<&lt;>')"},
        {"m'%s'", "m'<'", "Markup('<')"},
        {"m'%r'", "'<'", "Markup('&#39;&lt;&#39;')"},
        {"m'%.2s|%5s|'", "('<ab', '<')", "Markup('&l| &lt;|')"},
        {"m'%s'", "['<']", "Markup('[&#39;&lt;&#39;]')"},
        {"m'%(a)s'", "{'a': '&'}", "Markup('&amp;')"},
        {"m'%d %.1f'", "(5, 2)", "Markup('5 2.0')"},
        {"m'%x'", "5", "TypeError: %x format: an integer is required, not _MarkupEscapeHelper"},
        {"'%s'", "m'<'", "'<'"},
    };
    CHECK_PRINTS(prints);
}

TEST(what_a_user_wrote_stays_the_users_when_it_is_printed)
{
    struct run r = start_run();
    struct value v;
    CHECK(string_percent(&r, V("'a%sb%.2s|%5s|%r'").as.string, V("(u'éé', u'xyz', u'z', [u'q'])"),
                         &v));
    CHECK_STR(marked(&r, v), "a‹éé›b‹xy›|    ‹z›|['‹q›']");
    CHECK(string_percent(&r, V("u'<%s>%%'").as.string, V("'a'"), &v));
    CHECK_STR(marked(&r, v), "‹<a>%›"); /* whose directive could have been %.1s as well */
    CHECK(string_percent(&r, V("'<%c%d'").as.string, V("(60, 60)"), &v));
    CHECK_STR(marked(&r, v), "<‹<›60");
    arena_release(&r.arena);
}

TEST(a_huge_width_ends_at_the_budget)
{
    static const char *const formats[] = {"'%1000000000d'", "'%.1000000000d'", "'%.1000000000f'",
                                          "'%9223372036854775807s'", "'%#.2147483647g'"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct run r = start_run();
        struct value v;
        CHECK(!string_percent(&r, V(formats[i]).as.string, V("1"), &v));
        CHECK_EQ(r.exception, LIMIT_EXCEEDED);
        CHECK(r.n_bytes < 10000);
        arena_release(&r.arena);
    }
}

#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <string.h>

#define V(literal) value_of(&r, literal)

struct sum {
    const char *a, *op, *b, *want;
};

static void check_sums(const struct sum *sums, size_t n)
{
    static const char *const ops[] = {"+", "-", "*", "/", "//", "%", "**"};
    struct run r = start_run();
    for (size_t i = 0; i < n; i++) {
        int op = 0;
        while (strcmp(ops[op], sums[i].op) != 0)
            op++;
        struct value v;
        const bool ok = value_binary(&r, (enum arithmetic)op, V(sums[i].a), V(sums[i].b), &v);
        const char *got = outcome(&r, ok, v);
        if (strcmp(got, sums[i].want) != 0)
            test_fail(__FILE__, __LINE__, "%s %s %s\n  is   %s\n  want %s", sums[i].a, sums[i].op,
                      sums[i].b, got, sums[i].want);
    }
    arena_release(&r.arena);
}
#define CHECK_SUMS(sums) check_sums(sums, sizeof(sums) / sizeof *(sums))

TEST(whole_numbers_divide_downwards)
{
    static const struct sum sums[] = {
        {"7", "//", "2", "3"},      {"-7", "//", "2", "-4"},
        {"7", "//", "-2", "-4"},    {"-7", "//", "-2", "3"},
        {"7", "%", "3", "1"},       {"-7", "%", "3", "2"},
        {"7", "%", "-3", "-2"},     {"-7", "%", "-3", "-1"},
        {"6", "//", "-3", "-2"},    {"-6", "%", "3", "0"},
        {"True", "+", "True", "2"}, {"7", "/", "2", "3.5"},
        {"6", "/", "3", "2.0"},     {"-9223372036854775808", "%", "-1", "0"},
    };
    CHECK_SUMS(sums);
}

TEST(a_quotient_of_large_numbers_is_rounded_once)
{
    static const struct sum sums[] = {
        {"9223372036854775807", "/", "9223372036854775806", "1.0"},
        {"9007199254740993", "/", "1", "9007199254740992.0"},
        {"9007199254740995", "/", "1", "9007199254740996.0"},
        {"-9223372036854775808", "/", "3", "-3.0744573456182584e+18"},
        {"1", "/", "9223372036854775807", "1.0842021724855044e-19"},
        {"0", "/", "9223372036854775807", "0.0"},
        {"2511367696699101910", "/", "3537361228429970459", "0.7099551147095465"}, /* above half */
        {"9223372036854774783", "/", "9223372036854775807", "0.9999999999999999"},
    };
    CHECK_SUMS(sums);
}

TEST(whole_numbers_beyond_64_bits_are_refused)
{
#define REFUSED "NotSupported: whole numbers beyond 64 bits are not supported"
    static const struct sum sums[] = {
        {"9223372036854775807", "+", "1", REFUSED},
        {"-9223372036854775808", "-", "1", REFUSED},
        {"4611686018427387904", "*", "2", REFUSED},
        {"-9223372036854775808", "//", "-1", REFUSED},
        {"2", "**", "63", REFUSED},
        {"10", "**", "1000000000000", REFUSED},
        {"-2", "**", "63", "-9223372036854775808"},
        {"3", "**", "39", "4052555153018976267"},
        {"1", "**", "1000000000000", "1"},
        {"-1", "**", "9223372036854775807", "-1"},
        {"0", "**", "0", "1"},
    };
    CHECK_SUMS(sums);
    struct run r = start_run();
    struct value v;
    CHECK_STR(outcome(&r, value_negative(&r, V("-9223372036854775808"), &v), v), REFUSED);
    arena_release(&r.arena);
}

TEST(floats_divide_as_python_does)
{
    static const struct sum sums[] = {
        {"7.5", "//", "2", "3.0"},
        {"-7.5", "//", "2", "-4.0"},
        {"-7.5", "%", "2", "0.5"},
        {"7.5", "%", "-2", "-0.5"},
        {"-4.0", "%", "2", "0.0"},
        {"4.0", "%", "-2", "-0.0"},
        {"1.0", "//", "0.1", "9.0"},
        {"1.0", "%", "0.1", "0.09999999999999995"},
        {"281306550.0446741", "//", "0.0062476521743633565", "45025962104.0"}, /* rounded below */
        {"-0.0", "//", "1", "-0.0"},
        {"5", "%", "inf", "5.0"},
        {"-5", "%", "inf", "inf"},
        {"-5", "//", "inf", "-1.0"},
        {"2", "**", "-1", "0.5"},
        {"2.5", "**", "2", "6.25"},
        {"1", "+", "0.5", "1.5"},
        {"9007199254740993", "+", "0.0", "9007199254740992.0"},
    };
    CHECK_SUMS(sums);
}

TEST(a_division_by_zero_says_which_kind_it_was)
{
    static const struct sum sums[] = {
        {"1", "/", "0", "ZeroDivisionError: division by zero"},
        {"1", "//", "0", "ZeroDivisionError: integer division or modulo by zero"},
        {"1", "%", "0", "ZeroDivisionError: integer modulo by zero"},
        {"1.0", "/", "0", "ZeroDivisionError: float division by zero"},
        {"1", "//", "0.0", "ZeroDivisionError: float floor division by zero"},
        {"1", "%", "0.0", "ZeroDivisionError: float modulo"},
        {"0", "**", "-1", "ZeroDivisionError: 0.0 cannot be raised to a negative power"},
        {"10.0", "**", "400", "OverflowError: (34, 'Numerical result out of range')"},
        {"-8", "**", "0.5", "NotSupported: complex numbers are not supported"},
    };
    CHECK_SUMS(sums);
}

TEST(texts_and_lists_are_added_and_repeated)
{
    static const struct sum sums[] = {
        {"'a'", "+", "'b'", "'ab'"},
        {"[1]", "+", "[2]", "[1, 2]"},
        {"(1,)", "+", "()", "(1,)"},
        {"'ab'", "*", "2", "'abab'"},
        {"2", "*", "'ab'", "'abab'"},
        {"'ab'", "*", "-1", "''"},
        {"'ab'", "*", "True", "'ab'"},
        {"[1, 2]", "*", "2", "[1, 2, 1, 2]"},
        {"2", "*", "(1,)", "(1, 1)"},
        {"[]", "*", "9223372036854775807", "[]"},
        {"''", "*", "9223372036854775807", "''"},
    };
    CHECK_SUMS(sums);
}

TEST(operands_of_the_wrong_type_are_named)
{
    static const struct sum sums[] = {
        {"'a'", "+", "1", "TypeError: can only concatenate str (not \"int\") to str"},
        {"[1]", "+", "(1,)", "TypeError: can only concatenate list (not \"tuple\") to list"},
        {"1", "+", "'a'", "TypeError: unsupported operand type(s) for +: 'int' and 'str'"},
        {"{}", "+", "{}", "TypeError: unsupported operand type(s) for +: 'dict' and 'dict'"},
        {"m'a'", "+", "1", "TypeError: unsupported operand type(s) for +: 'Markup' and 'int'"},
        {"'a'", "*", "1.5", "TypeError: can't multiply sequence by non-int of type 'float'"},
        {"None", "*", "[1]", "TypeError: can't multiply sequence by non-int of type 'NoneType'"},
        {"m'a'", "*", "'b'", "TypeError: 'str' object cannot be interpreted as an integer"},
        {"'a'", "**", "2",
         "TypeError: unsupported operand type(s) for ** or pow(): 'str' and 'int'"},
        {"None", "%", "2", "TypeError: unsupported operand type(s) for %: 'NoneType' and 'int'"},
        {"x", "-", "1", "UndefinedError: 'x' is undefined"},
        {"'a'", "+", "x", "UndefinedError: 'x' is undefined"},
    };
    CHECK_SUMS(sums);
}

TEST(markup_escapes_what_is_added_to_it)
{
    static const struct sum sums[] = {
        {"m'<b>'", "+", "'<'", "Markup('<b>&lt;')"}, {"'<'", "+", "m'<b>'", "Markup('&lt;<b>')"},
        {"m'<'", "+", "m'>'", "Markup('<>')"},       {"m''", "+", "'&'", "Markup('&amp;')"},
        {"m'<'", "*", "2", "Markup('<<')"},
    };
    CHECK_SUMS(sums);
}

TEST(sums_and_products_of_texts_keep_the_marks)
{
    struct run r = start_run();
    struct value v;
    CHECK(value_binary(&r, OP_ADD, V("'a'"), V("u'b'"), &v));
    CHECK_STR(marked(&r, v), "a‹b›");
    CHECK(value_binary(&r, OP_MUL, v, V("3"), &v));
    CHECK_STR(marked(&r, v), "a‹b›a‹b›a‹b›");
    CHECK(value_binary(&r, OP_MUL, V("u'é'"), V("3"), &v));
    CHECK_STR(marked(&r, v), "‹ééé›");
    CHECK(value_binary(&r, OP_ADD, V("m'<'"), V("u'<'"), &v));
    CHECK_STR(marked(&r, v), "<‹&lt;›");
    arena_release(&r.arena);
}

TEST(a_product_that_would_not_fit_is_refused_at_once)
{
    static const char *const texts[] = {"'a'", "'abc'", "[1]"};
    static const char *const counts[] = {"1000000000", "6148914691236517206",
                                         "9223372036854775807"};
    for (size_t i = 0; i < 9; i++) {
        struct run r = start_run();
        struct value v;
        CHECK(!value_binary(&r, OP_MUL, V(texts[i % 3]), V(counts[i / 3]), &v));
        CHECK_EQ(r.exception, LIMIT_EXCEEDED);
        CHECK(r.n_bytes < 10000);
        arena_release(&r.arena);
    }
}

TEST(a_sign_wants_a_number)
{
    struct run r = start_run();
    struct value v;
    CHECK_STR(outcome(&r, value_negative(&r, V("True"), &v), v), "-1");
    CHECK_STR(outcome(&r, value_positive(&r, V("True"), &v), v), "1");
    CHECK_STR(outcome(&r, value_negative(&r, V("0.0"), &v), v), "-0.0");
    CHECK_STR(outcome(&r, value_positive(&r, V("'a'"), &v), v),
              "TypeError: bad operand type for unary +: 'str'");
    CHECK_STR(outcome(&r, value_negative(&r, V("x"), &v), v), "UndefinedError: 'x' is undefined");
    arena_release(&r.arena);
}

/* How expressions are read. Every want is what jinja2 3.1.2 gives. */
#include "tests/unit/runtime_jinja/rendering.h"

#include "tests/test.h"

TEST(operators_bind_as_in_the_reference)
{
    check_text("{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ -1|abs }} {{ 1 - 2 - 3 }}", NULL, "64 4 1 -4");
    check_fails("{{ 2 + 3 * 4 ~ 5 + 1 }}", NULL,
                "TypeError: unsupported operand type(s) for +: 'int' and 'str'");
    check_text("{{ 1 ~ 2 + 3 ~ 4 }}", NULL, "1234");
    check_text("{{ 7 // 2 * 2 % 4 / 2 }}", NULL, "1.0");
    check_text("{{ not 1 == 2 and 3 > 2 > 1 or false }}", NULL, "True");
    check_text("{{ 1 < 2 < 2 }} {{ 1 in [1] in [[1]] }} {{ 1 not in [2] }} {{ not 1 in [1] }}",
               NULL, "False True True False");
    check_text("{{ 1 if 0 else 2 if 0 else 3 }} {{ 1 if 2 if 0 else 3 }}", NULL, "3 3");
    check_text("{{ [1, 2]|length + 1 }} {{ 'a' ~ 'b'|upper }} {{ 'ab'|upper|lower|length }}", NULL,
               "3 aB 2");
    check_text("{{ + 1 - -1 }} {{ --1 }} {{ - + 1 }}", NULL, "2 1 -1");
    check_text("{{ 1 or 2 and 3 }} {{ (1 or 2) and 3 }}", NULL, "1 3");
    check_text("{{ 'x' 'y' * 2 }}", NULL, "xyxy");
}

TEST(tests_take_an_argument_with_or_without_parentheses)
{
    check_text("{{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 4 is not divisibleby 3 }}",
               NULL, "True False True");
    check_text("{{ 1 is defined and 2 is odd or true }} {{ 3 is odd }}", NULL, "True True");
    check_text("{{ 1 is eq 1 if 2 else 3 }} {{ 1 is in [1] }}", NULL, "True True");
    check_fails("{{ 4 is divisibleby [2, 3][0] }} {{ 4 is sameas -1 }}", NULL,
                "TypeError: test_sameas() missing 1 required positional argument: 'other'");
    check_text("{{ not 1 is odd }} {{ -1 is odd }} {{ 2 is odd|upper }}", NULL, "False True FALSE");
    check_fails("{{ 1 is defined if x }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'x'");
    check_fails("{{ 1 is defined is true }}", NULL,
                "TemplateSyntaxError: You cannot chain multiple tests with is");
    check_text("{{ 1 is none or 1 }}", NULL, "1");
}

TEST(subscripts_and_attributes)
{
    check_text("{{ 'abcdef'[1:4] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[:-1] }} {{ 'abcdef'[4:] }} {{ "
               "'abcdef'[:] }}{{ 'abcdef'[5:1:-2] }}",
               NULL, "bcd ace abcde ef abcdeffd");
    check_text(
        "{{ {(1, 2): 'x'}[1, 2] }} {{ {'a': {'b': 3}}.a.b }} {{ {'a': 1}['a'] }} {{ [1][] }}", NULL,
        "x 3 1 ");
    check_text("{{ [5, 6].1 }} {{ 'a'.upper().lower() }} {{ [[1]][0][0] }}", NULL, "6 a 1");
    check_fails("{{ x[0:1, 2] }}", NULL, "TemplateSyntaxError: invalid syntax");
    check_fails("{{ [1][0,] }}", NULL, "TemplateSyntaxError: unexpected ']'");
    check_fails("{{ a.'b' }}", NULL, "TemplateSyntaxError: expected name or number");
    check_fails("{{ a. }}", NULL, "TemplateSyntaxError: expected name or number");
    check_fails("{{ a[1 }}", NULL, "TemplateSyntaxError: unexpected '}', expected ']'");
    check_fails("{{ a[:::] }}", NULL, "TemplateSyntaxError: unexpected ':'");
}

TEST(tuples_lists_and_dicts)
{
    check_text("{{ 1, 2 }} {{ 1, }} {{ () }} {{ (1,) }} {{ (1) }} {{ [1, 2,] }} {{ {'a': 1, 'b': "
               "2,} }} {{ [] }} {{ {} }}",
               NULL, "(1, 2) (1,) () (1,) 1 [1, 2] {'a': 1, 'b': 2} [] {}");
    check_fails("{{ [,] }}", NULL, "TemplateSyntaxError: unexpected ','");
    check_fails("{{ {1} }}", NULL, "TemplateSyntaxError: expected token ':', got '}'");
    check_fails("{{ {1: 2 3: 4} }}", NULL,
                "TemplateSyntaxError: expected token ',', got 'integer'");
    check_fails("{{ [1 2] }}", NULL, "TemplateSyntaxError: expected token ',', got 'integer'");
    check_fails("{{ , }}", NULL, "TemplateSyntaxError: unexpected ','");
    check_fails("{{ }}", NULL,
                "TemplateSyntaxError: Expected an expression, got 'end of print statement'");
}

TEST(calls)
{
    check_text("{{ dict(a=1, **{'b': 2}) }} {{ dict(*[], **{}) }} {{ range(*[1, 3])|list }} {{ "
               "dict(a=1,) }} {{ range(2, *[4])|list }}",
               NULL, "{'a': 1, 'b': 2} {} [1, 2] {'a': 1} [2, 3]");
    check_text("{{ dict(a=1, *[]) }} {{ 'a'.upper () }}", NULL, "{'a': 1} A");
    check_fails("{{ f(*a, 1) }}", NULL,
                "TemplateSyntaxError: invalid syntax for function call expression");
    check_fails("{{ f(a=1, 1) }}", NULL,
                "TemplateSyntaxError: invalid syntax for function call expression");
    check_fails("{{ f(**a, b=1) }}", NULL,
                "TemplateSyntaxError: invalid syntax for function call expression");
    check_fails("{{ f(**a, **b) }}", NULL,
                "TemplateSyntaxError: invalid syntax for function call expression");
    check_fails("{{ f(*a, *b) }}", NULL,
                "TemplateSyntaxError: invalid syntax for function call expression");
    check_fails("{{ f(,) }}", NULL, "TemplateSyntaxError: unexpected ','");
    check_fails("{{ f(1 2) }}", NULL, "TemplateSyntaxError: expected token ',', got 'integer'");
    check_fails("{{ f(1, }}", NULL, "TemplateSyntaxError: unexpected '}', expected ')'");
    check_fails("{{ f(a=1, a=2) }}", NULL, "TemplateSyntaxError: keyword argument repeated: a");
    check_fails("{% call f(caller=1) %}{% endcall %}", NULL,
                "TemplateSyntaxError: keyword argument repeated: caller");
}

TEST(brackets_must_fit)
{
    check_fails("{{ (1] }}", NULL, "TemplateSyntaxError: unexpected ']', expected ')'");
    check_fails("{{ ) }}", NULL, "TemplateSyntaxError: unexpected ')'");
    check_fails("{{ {1: (2} }}", NULL, "TemplateSyntaxError: unexpected '}', expected ')'");
    check_fails("{% if (a %}", NULL, "TemplateSyntaxError: unexpected '}', expected ')'");
    check_text("{{ {'a': {}}}}", NULL, "{'a': {}}");
    check_text("{% set x = {'a': {}} %}{{ x }}", NULL, "{'a': {}}");
}

/* Tests. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(kinds_of_values)
{
    check_text(
        "{% for x in [true, 1, 1.5, 'a', none, [], (), {}] %}{{ x is boolean }} {{ x is number }} "
        "{{ x is integer }} {{ x is float }} {{ x is string }} {{ x is none }} {{ x is sequence }} "
        "{{ x is iterable }} {{ x is mapping }} {{ x is true }} {{ x is callable }}\n{% endfor %}",
        NULL,
        "True True False False False False False False False True False\nFalse True True False "
        "False False False False False False False\nFalse True False True False False False False "
        "False False False\nFalse False False False True False True True False False False\nFalse "
        "False False False False True False False False False False\nFalse False False False False "
        "False True True False False False\nFalse False False False False False True True False "
        "False False\nFalse False False False False False True True True False False\n");
    check_text(
        "{{ missing is defined }}{{ missing is undefined }}{{ missing is sequence }}{{ missing is "
        "iterable }}{{ missing is callable }}{{ missing is mapping }}{{ missing is none }}",
        NULL, "FalseTrueTrueTrueTrueFalseFalse");
    check_text("{{ range is callable }}{{ range(3) is sequence }}{{ range(3) is iterable }}{{ "
               "{}.items() is sequence }}{{ 'a'.upper is callable }}{{ namespace() is iterable "
               "}}{{ false is false }}{{ 0 is false }}{{ 1 is true }}",
               NULL, "TrueTrueTrueFalseTrueFalseTrueFalseFalse");
}

TEST(arithmetic_tests)
{
    check_text("{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ "
               "-1 is odd }}{{ 2.0 is even }}",
               NULL, "TrueTrueTrueFalseTrueTrue");
    check_fails("{{ 'a' is odd }}", NULL,
                "TypeError: not all arguments converted during string formatting");
    check_fails("{{ 1 is divisibleby 0 }}", NULL, "ZeroDivisionError: integer modulo by zero");
    check_fails("{{ none is even }}", NULL,
                "TypeError: unsupported operand type(s) for %: 'NoneType' and 'int'");
    check_fails("{{ 1 is divisibleby }}", NULL,
                "TypeError: test_divisibleby() missing 1 required positional argument: 'num'");
}

TEST(comparing_tests)
{
    check_text(
        "{{ 1 is eq 1.0 }}{{ 1 is equalto 2 }}{{ 1 is ne 2 }}{{ 1 is lt 2 }}{{ 1 is lessthan 1 "
        "}}{{ 1 is le 1 }}{{ 2 is gt 1 }}{{ 2 is greaterthan 2 }}{{ 2 is ge 2 }}{{ 1 is in [1] "
        "}}{{ 'a' is in 'abc' }}{{ [1, 2, 3]|select('>', 1)|list }}{{ [1, 2]|select('==', 2)|list "
        "}}{{ [1, 2]|select('!=', 2)|list }}{{ [1, 2]|select('<=', 1)|list }}",
        NULL, "TrueFalseTrueTrueFalseTrueTrueFalseTrueTrueTrue[2, 3][2][1][1]");
    check_fails("{{ 1 is lt 'a' }}", NULL,
                "TypeError: '<' not supported between instances of 'int' and 'str'");
    check_fails("{{ 1 is eq }}", NULL, "TypeError: eq expected 2 arguments, got 1");
    check_fails("{{ 1 is eq(1, 2) }}", NULL, "TypeError: eq expected 2 arguments, got 3");
    check_fails("{{ missing is gt 1 }}", NULL, "UndefinedError: 'missing' is undefined");
    check_fails("{{ 1 is in 5 }}", NULL, "TypeError: argument of type 'int' is not iterable");
}

TEST(the_same_thing)
{
    check_text("{{ none is sameas none }}{{ true is sameas 1 }}{% set x = [] %}{{ x is sameas x "
               "}}{{ [] is sameas [] }}{{ 1 is sameas 1.0 }}",
               NULL, "TrueFalseTrueFalseFalse");
}

TEST(letters_names_and_markup)
{
    check_text("{{ 'ab' is lower }}{{ 'aB' is lower }}{{ 'AB' is upper }}{{ 5 is lower }}{{ "
               "'upper' is filter }}{{ 'nosuch' is filter }}{{ 'odd' is test }}{{ 5 is test }}{{ "
               "'a' is escaped }}{{ 'a'|safe is escaped }}{{ 'tojson' is filter }}",
               NULL, "TrueFalseTrueFalseTrueFalseTrueFalseFalseTrueTrue");
    check_fails("{{ [] is filter }}", NULL, "TypeError: unhashable type: 'list'");
    check_fails("{{ 1 is odd(2) }}", NULL,
                "TypeError: test_odd() takes 1 positional argument but 2 were given");
    check_fails("{{ 1 is callable(2) }}", NULL,
                "TypeError: callable() takes exactly one argument (2 given)");
    check_fails("{{ 1 is defined(x=2) }}", NULL,
                "TypeError: test_defined() got an unexpected keyword argument 'x'");
}

/* Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(arguments_go_by_place_and_by_name)
{
    check_text("{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}"
               "{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=4) }} [{{ m() }}]",
               NULL, "121 131 124 [2]");
}

TEST(a_parameter_without_a_value_is_undefined)
{
    check_fails("{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}", NULL,
                "UndefinedError: parameter 'a' was not provided");
}

TEST(what_a_macro_does_not_take_is_refused)
{
    check_fails("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", NULL,
                "TypeError: macro 'm' takes not more than 1 argument(s)");
    check_fails("{% macro m(a) %}{% endmacro %}{{ m(x=2) }}", NULL,
                "TypeError: macro 'm' takes no keyword argument 'x'");
    check_fails("{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}", NULL,
                "TypeError: macro 'm' was invoked with two values for the special caller argument. "
                "This is most likely a bug.");
}

TEST(defaults_come_after_all_arguments_found_their_places)
{
    check_fails("{% macro m(a=1 % (1, 2)) %}{% endmacro %}{{ m(x=2) }}", NULL,
                "TypeError: macro 'm' takes no keyword argument 'x'");
    check_text("{% set b = 9 %}{% macro m(a=b, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m() }}",
               NULL, "[2]");
}

TEST(varargs_and_kwargs_take_the_rest)
{
    check_text("{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
               NULL, "1(2,){'x': 3}");
    check_text("{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1], **{'b': 2}) }}", NULL,
               "12");
}

TEST(a_call_block_is_the_caller)
{
    check_text("{% macro m(n) %}<{{ caller(n) }}>{% endmacro %}"
               "{% call(x) m(7) %}{{ x }}!{% endcall %}",
               NULL, "<7!>");
}

TEST(a_macro_can_call_itself)
{
    check_text("{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}"
               "{{ m(3) }}",
               NULL, "3210");
    check_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", NULL, "RecursionError");
}

TEST(a_macro_shows_what_it_is)
{
    check_text("{% macro m(a, b) %}{% endmacro %}{{ m }} {{ m.name }} {{ m.arguments }}", NULL,
               "<Macro 'm'> m ('a', 'b')");
}

/* Which value a name has where. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(what_a_loop_sets_is_gone_after_each_turn)
{
    check_text(
        "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 9 %}{{ x }}{% endfor %}{{ x }}",
        NULL, "19191");
}

TEST(an_if_has_no_scope_of_its_own)
{
    check_text("{% if true %}{% set x = 1 %}{% endif %}{{ x }}", NULL, "1");
    check_text("{% if false %}{% set x = 1 %}{% endif %}[{{ x }}]", "{'x': 5}", "[5]");
}

TEST(a_namespace_carries_values_out_of_a_loop)
{
    check_text("{% set ns = namespace(n=0) %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}"
               "{% endfor %}{{ ns.n }}",
               NULL, "6");
    check_fails("{% set x = 1 %}{% set x.y = 2 %}", NULL,
                "TemplateRuntimeError: cannot assign attribute on non-namespace object");
}

TEST(a_macro_sees_what_was_set_around_it_when_it_is_called)
{
    check_text("{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", NULL,
               "2");
    check_text("{% macro m() %}{% set x = 3 %}{{ x }}{% endmacro %}{{ m() }}[{{ x }}]", NULL,
               "3[]");
}

TEST(the_values_of_with_do_not_see_each_other)
{
    check_text("{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", NULL,
               "211");
}

TEST(blocks_of_text_keep_what_they_set)
{
    check_text("{% set x %}a{% set y = 1 %}{{ y }}{% endset %}{{ x }}[{{ y }}]", NULL, "a1[]");
    check_text("{% filter upper %}a{% set y = 1 %}{% endfilter %}[{{ y }}]", NULL, "A[]");
    check_text("{% generation %}a{% set y = 1 %}{% endgeneration %}[{{ y }}]", NULL, "a[]");
}

TEST(a_block_sees_the_outermost_variables_only)
{
    check_text("{% for i in [1] %}{% block b %}[{{ i }}]{% endblock %}{% endfor %}", NULL, "[]");
    check_text("{% for i in [1] %}{% block b scoped %}[{{ i }}]{% endblock %}{% endfor %}", NULL,
               "[1]");
}

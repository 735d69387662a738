/* How statements are read, and which are refused. Every want is what jinja2 3.1.2 gives. */
#include "tests/unit/runtime_jinja/rendering.h"

#include "tests/test.h"

TEST(tags_must_be_complete_and_known)
{
    check_fails(
        "{{ a", NULL,
        "TemplateSyntaxError: unexpected end of template, expected 'end of print statement'.");
    check_fails("{{ a b }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'b'");
    check_fails("{{ a |", NULL,
                "TemplateSyntaxError: unexpected end of template, expected 'name'.");
    check_fails("{{ a|1 }}", NULL, "TemplateSyntaxError: expected token 'name', got 'integer'");
    check_fails("{% if", NULL, "TemplateSyntaxError: unexpected 'end of template'");
    check_fails("{% %}", NULL, "TemplateSyntaxError: tag name expected");
    check_fails("{% 1 %}", NULL, "TemplateSyntaxError: tag name expected");
    check_fails("{% foo %}", NULL, "TemplateSyntaxError: Encountered unknown tag 'foo'.");
    check_fails("{% endfor %}", NULL, "TemplateSyntaxError: Encountered unknown tag 'endfor'.");
    check_fails(
        "{% if a %}", NULL,
        "TemplateSyntaxError: Unexpected end of template. Jinja was looking for the following "
        "tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'.");
    check_fails("{% for a in b %}{% if c %}{% endfor %}", NULL,
                "TemplateSyntaxError: Encountered unknown tag 'endfor'. You probably made a "
                "nesting mistake. Jinja is expecting this tag, but currently looking for 'elif' or "
                "'else' or 'endif'. The innermost block that needs to be closed is 'if'.");
    check_fails(
        "{% for a in b %}{% foo %}", NULL,
        "TemplateSyntaxError: Encountered unknown tag 'foo'. Jinja was looking for the following "
        "tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'.");
    check_fails("{% if a %}{% elif b %}{% else %}{% elif c %}{% endif %}", NULL,
                "TemplateSyntaxError: Encountered unknown tag 'elif'. Jinja was looking for the "
                "following tags: 'endif'. The innermost block that needs to be closed is 'if'.");
    check_fails("{% for a in b %}{% else %}{% else %}", NULL,
                "TemplateSyntaxError: Encountered unknown tag 'else'. Jinja was looking for the "
                "following tags: 'endfor'. The innermost block that needs to be closed is 'for'.");
    check_fails(
        "{% macro m() %}{% call f() %}", NULL,
        "TemplateSyntaxError: Unexpected end of template. Jinja was looking for the following "
        "tags: 'endcall'. The innermost block that needs to be closed is 'call'.");
    check_text("{% if a: %}x{% endif %}y", NULL, "y");
    check_fails("{% if a b %}", NULL,
                "TemplateSyntaxError: expected token 'end of statement block', got 'b'");
    check_fails(
        "{% block a %}", NULL,
        "TemplateSyntaxError: Unexpected end of template. Jinja was looking for the following "
        "tags: 'endblock'. The innermost block that needs to be closed is 'block'.");
    check_fails("{% block a-b %}{% endblock %}", NULL,
                "TemplateSyntaxError: Block names in Jinja have to be valid Python identifiers and "
                "may not contain hyphens, use an underscore instead.");
    check_text("{% block a %}1{% endblock a %}", NULL, "1");
    check_fails("{% block a %}1{% endblock b %}", NULL,
                "TemplateSyntaxError: expected token 'end of statement block', got 'b'");
    check_fails("{% call x %}{% endcall %}", NULL, "TemplateSyntaxError: expected call");
    check_text("{% print 1, 2 %}{% print %}{% print 'a' %}", NULL, "12a");
    check_text("{% filter upper|replace('A', 'b') %}a{% endfilter %}{% set x | upper %}c{% endset "
               "%}{{ x }}",
               NULL, "bC");
    check_fails("{% filter %}{% endfilter %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'end of statement block'");
    check_text("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{% with %}c{% endwith %}{% with (a, "
               "b) = (3, 4) %}{{ b }}{% endwith %}",
               NULL, "3c4");
    check_fails("{% with a %}{% endwith %}", NULL,
                "TemplateSyntaxError: expected token '=', got 'end of statement block'");
}

TEST(targets)
{
    check_text("{% set a, b = 1, 2 %}{{ b }}{% set (a, (b, c)) = (1, (2, 3)) %}{{ c }}", NULL,
               "23");
    check_text("{% for a, b in [(1, 2)] %}{{ b }}{% endfor %}{% for (a, b), c in [((1, 2), 3)] "
               "%}{{ b + c }}{% endfor %}",
               NULL, "25");
    check_fails("{% for x, in y %}", NULL, "TemplateSyntaxError: expected token 'in', got 'y'");
    check_fails("{% set true = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'const'");
    check_fails("{% set a.b.c = 1 %}", NULL,
                "TemplateSyntaxError: expected token 'end of statement block', got '.'");
    check_fails("{% set a, b.c = 1 %}", NULL,
                "TemplateSyntaxError: expected token 'end of statement block', got '.'");
    check_fails("{% set [a] = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'list'");
    check_fails("{% set {} = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'dict'");
    check_fails("{% set (a.b) = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'getattr'");
    check_fails("{% set (a, b.c) = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'tuple'");
    check_fails("{% set (a + b) = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'add'");
    check_fails("{% set (a|b) = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'filter'");
    check_fails("{% set 1 = 1 %}", NULL, "TemplateSyntaxError: can't assign to 'const'");
    check_fails("{% set 'a'.b = 1 %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'string'");
    check_fails("{% set ns.1 = 1 %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'integer'");
    check_fails("{% for 1 in x %}", NULL, "TemplateSyntaxError: can't assign to 'const'");
    check_fails("{% for a.b in x %}", NULL, "TemplateSyntaxError: expected token 'in', got '.'");
    check_fails("{% macro none() %}{% endmacro %}", NULL,
                "TemplateSyntaxError: can't assign to 'name'");
    check_fails("{% macro m(1) %}{% endmacro %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'integer'");
    check_fails("{% macro m(true) %}{% endmacro %}", NULL,
                "TemplateSyntaxError: can't assign to 'name'");
    check_fails("{% macro m(a=1, b) %}{% endmacro %}", NULL,
                "TemplateSyntaxError: non-default argument follows default argument");
    check_fails("{% macro m(a a) %}{% endmacro %}", NULL,
                "TemplateSyntaxError: expected token ',', got 'a'");
    check_fails("{% macro m %}{% endmacro %}", NULL,
                "TemplateSyntaxError: expected token '(', got 'end of statement block'");
}

TEST(there_is_nothing_to_include)
{
    check_fails("{% include 'x' %}", NULL, "TypeError: no loader for this environment specified");
    check_fails("{% include 'x' ignore missing with context %}", NULL,
                "TypeError: no loader for this environment specified");
    check_fails("{% include ['x', 'y'] without context %}", NULL,
                "TypeError: no loader for this environment specified");
    check_text(
        "{% if false %}{% include 'x' ignore missing %}{% import 'a' as b with context %}{% from "
        "'a' import b as c, d with context %}{% from 'a' import b without context %}{% endif %}ok",
        NULL, "ok");
    check_fails("{% include x.y %}", NULL, "UndefinedError: 'x' is undefined");
    check_fails("{% extends 'x' %}", NULL, "TypeError: no loader for this environment specified");
    check_fails("{% import 'x' %}", NULL,
                "TemplateSyntaxError: expected token 'as', got 'end of statement block'");
    check_fails("{% import 'x' as none %}", NULL, "TemplateSyntaxError: can't assign to 'name'");
    check_fails("{% from 'x' import _a %}", NULL,
                "TemplateAssertionError: names starting with an underline can not be imported");
    check_fails("{% from 'x' import a, %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'end of statement block'");
    check_fails("{% from 'x' import %}", NULL,
                "TemplateSyntaxError: expected token 'name', got 'end of statement block'");
    check_fails("{% for a in b %}{% extends 'x' %}{% endfor %}", NULL,
                "TemplateAssertionError: cannot use extend from a non top-level scope");
    check_fails("{% macro m() %}{% extends 'x' %}{% endmacro %}", NULL,
                "TemplateAssertionError: cannot use extend from a non top-level scope");
}

TEST(filters_and_tests_must_exist_but_in_branches)
{
    check_fails("{{ 1|nof }}", NULL, "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{{ 1|a.b }}", NULL, "TemplateAssertionError: No filter named 'a.b'.");
    check_fails("{{ 1|nof1|nof2 }}", NULL, "TemplateAssertionError: No filter named 'nof2'.");
    check_fails("{{ 1 is nope }}", NULL, "TemplateAssertionError: No test named 'nope'.");
    check_fails("{{ 1 is not nope }}", NULL, "TemplateAssertionError: No test named 'nope'.");
    check_fails("{% set x | nof %}{% endset %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_text("{{ 2 if true else 1|nof }}", NULL, "2");
    check_fails("{{ 1|nof if true }}", NULL, "TemplateRuntimeError: No filter named 'nof' found.");
    check_fails("{% if true %}{{ 1|nof }}{% endif %}", NULL,
                "TemplateRuntimeError: No filter named 'nof' found.");
    check_text("{% if false %}{{ 1|nof is nope }}{% set a = b|nof %}{% with a = b|nof %}{% endwith "
               "%}{% call f(a|nof) %}{% endcall %}{% for a in b|nof %}{% endfor %}{% endif %}ok",
               NULL, "ok");
    check_fails("{% if 1|nof %}{% endif %}", NULL,
                "TemplateRuntimeError: No filter named 'nof' found.");
    check_fails("{% if 0 %}{% for a in b %}{{ a|nof }}{% endfor %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% for a in b if a|nof %}{% endfor %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% for a in b %}{% else %}{{ 1|nof }}{% endfor %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% filter nof %}{% endfilter %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% set a | nof %}{% endset %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% with %}{{ 1|nof }}{% endwith %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% macro m(a=1|nof) %}{% endmacro %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% autoescape 1|nof %}{% endautoescape %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% call f() %}{{ 1|nof }}{% endcall %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% generation %}{{ 1|nof }}{% endgeneration %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% if 0 %}{% block b %}{{ 1|nof }}{% endblock %}{% endif %}", NULL,
                "TemplateAssertionError: No filter named 'nof'.");
    check_fails("{% macro m() %}{{ 1|nof1 }}{% endmacro %}{{ 1|nof2 }}", NULL,
                "TemplateAssertionError: No filter named 'nof1'.");
    check_fails("{% filter nof1 %}{{ 1|nof2 }}{% endfilter %}", NULL,
                "TemplateAssertionError: No filter named 'nof2'.");
    check_fails("{{ 1|nof }}{% foo %}", NULL,
                "TemplateSyntaxError: Encountered unknown tag 'foo'.");
}

TEST(loops_and_breaks)
{
    check_text("{% for a in [1, 2, 3] %}{% if a == 2 %}{% break %}{% endif %}{{ a }}{% endfor %}",
               NULL, "1");
    check_text(
        "{% for a in [1, 2, 3] %}{% if a == 2 %}{% continue %}{% endif %}{{ a }}{% endfor %}", NULL,
        "13");
    check_fails("{% break %}", NULL, "TemplateSyntaxError: 'break' outside loop");
    check_fails("{% continue %}", NULL, "TemplateSyntaxError: 'continue' not properly in loop");
    check_fails("{% for a in [1] %}{% else %}{% break %}{% endfor %}", NULL,
                "TemplateSyntaxError: 'break' outside loop");
    check_text("{% for a in [1, 2] %}{% for b in [] %}{% else %}{% break %}{% endfor %}{{ a }}{% "
               "endfor %}",
               NULL, "");
    check_fails("{% for a in [1] %}{% for b in [] recursive %}{% else %}{% break %}{% endfor %}{% "
                "endfor %}",
                NULL, "TemplateSyntaxError: 'break' outside loop");
    check_text("{% for a in [1] recursive %}{% break %}{% endfor %}", NULL, "");
    check_fails("{% for a in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", NULL,
                "TemplateSyntaxError: 'break' outside loop");
    check_fails("{% for a in [1] %}{% call f() %}{% break %}{% endcall %}{% endfor %}", NULL,
                "TemplateSyntaxError: 'break' outside loop");
    check_fails("{% for a in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
                NULL, "TemplateSyntaxError: 'break' outside loop");
    check_fails("{% for a in [1] %}{% block b %}{% break %}{% endblock %}{% endfor %}", NULL,
                "TemplateSyntaxError: 'break' outside loop");
    check_text("{% for a in [1, 2] %}{% with %}{{ a }}{% break %}{% endwith %}{% endfor %}", NULL,
               "1");
    check_fails("{% for loop in [1] %}{% endfor %}", NULL,
                "TemplateAssertionError: Can't assign to special loop variable in for-loop target");
    check_fails("{% for a, loop in [1] %}{% endfor %}", NULL,
                "TemplateAssertionError: Can't assign to special loop variable in for-loop target");
    check_fails("{% for a in [1] %}{% set loop = 1 %}{% endfor %}", NULL,
                "TemplateAssertionError: Can't assign to special loop variable in for-loop target");
    check_fails("{% for a in [1] %}{% macro m() %}{% set loop = 1 %}{% endmacro %}{% endfor %}",
                NULL,
                "TemplateAssertionError: Can't assign to special loop variable in for-loop target");
    check_fails("{% for a in [1] %}{% set loop %}{% endset %}{% endfor %}", NULL,
                "TemplateAssertionError: Can't assign to special loop variable in for-loop target");
    check_text("{% for a in [1] %}{% with loop = 1 %}{{ loop }}{% endwith %}{% endfor %}{% set "
               "loop = 2 %}{{ loop }}",
               NULL, "12");
    check_text("{% for a in [1] %}{% macro loop(loop) %}{% endmacro %}{% endfor %}", NULL, "");
}

TEST(blocks_and_macros_are_checked)
{
    check_fails("{% block a %}{% endblock %}{% if 1 %}{% block a %}{% endblock %}{% endif %}", NULL,
                "TemplateAssertionError: block 'a' defined twice");
    check_fails("{% block a %}{% block a %}{% endblock %}{% endblock %}", NULL,
                "TemplateAssertionError: block 'a' defined twice");
    check_fails("{% block a required %} {# c #} {% endblock %}", NULL,
                "TemplateRuntimeError: Required block 'a' not found");
    check_text("{% if false %}{% block a required %}{% endblock %}{% endif %}b", NULL, "b");
    check_fails("{% block a required %} x {% endblock %}", NULL,
                "TemplateSyntaxError: Required blocks can only contain comments or whitespace");
    check_fails("{% block a required %}{{ 1 }}{% endblock %}", NULL,
                "TemplateSyntaxError: Required blocks can only contain comments or whitespace");
    check_fails("{% macro m(caller) %}{{ caller() }}{% endmacro %}", NULL,
                "TemplateAssertionError: When defining macros or call blocks the special "
                "\"caller\" argument must be omitted or be given a default.");
    check_text("{% macro m(caller) %}{% endmacro %}", NULL, "");
    check_text("{% macro m(caller=1) %}{{ caller }}{% endmacro %}{{ m() }}", NULL, "1");
    check_fails("{% call(caller) f() %}{{ caller }}{% endcall %}", NULL,
                "TemplateAssertionError: When defining macros or call blocks the special "
                "\"caller\" argument must be omitted or be given a default.");
    check_text("{% macro m(varargs) %}{{ varargs }}{% endmacro %}{{ m(1) }}", NULL, "1");
    check_text("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, a=2) }}", NULL,
               "(1,){'a': 2}");
    check_fails("{% macro m() %}{% set varargs = 1 %}{{ varargs }}{% endmacro %}{{ m(1) }}", NULL,
                "TypeError: macro 'm' takes not more than 0 argument(s)");
    check_text("{% macro m() %}{% if 0 %}{{ kwargs }}{% endif %}{% endmacro %}{{ m(a=1) }}ok", NULL,
               "ok");
    check_text("{% macro m() %}{% macro n() %}{{ varargs }}{% endmacro %}{% endmacro %}{{ "
               "m.catch_varargs }}{{ m.catch_kwargs }}{{ m.caller }}",
               NULL, "TrueFalseFalse");
    check_fails("{% macro m(a, a) %}{% endmacro %}", NULL,
                "TemplateSyntaxError: duplicate argument 'a' in function definition");
}

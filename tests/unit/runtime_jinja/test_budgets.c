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

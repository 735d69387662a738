/* Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(loop_knows_where_it_is)
{
    check_text("{% for c in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
               "{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
               NULL, "1032TrueFalse3 2121FalseFalse3 3210FalseTrue3 ");
}

TEST(loop_knows_its_neighbours)
{
    check_text("{% for c in 'abc' %}[{{ loop.previtem }}{{ c }}{{ loop.nextitem }}]{% endfor %}",
               NULL, "[ab][abc][bc]");
    check_fails("{% for c in 'a' %}{{ loop.nextitem.x }}{% endfor %}", NULL,
                "UndefinedError: there is no next item");
}

TEST(a_condition_of_the_loop_counts_before_the_turns)
{
    check_text("{% for i in [1, 2, 3, 4] if i is even %}{{ i }}{{ loop.index }}{{ loop.length }} "
               "{% else %}none{% endfor %}",
               NULL, "212 422 ");
    check_text("{% for i in [1] if i > 1 %}x{% else %}none{% endfor %}", NULL, "none");
}

TEST(a_recursive_loop_goes_deeper)
{
    check_text("{% for t in tree recursive %}{{ loop.depth }}{{ t.n }}{% if t.c %}({{ loop(t.c) }})"
               "{% endif %}{% endfor %}",
               "{'tree': [{'n': 'a', 'c': [{'n': 'b'}, {'n': 'c'}]}, {'n': 'd'}]}", "1a(2b2c)1d");
    check_fails("{% for i in [1] %}{{ loop([2]) }}{% endfor %}", NULL,
                "TypeError: The loop must have the 'recursive' marker to be called recursively.");
}

TEST(break_and_continue_steer_the_innermost_loop)
{
    check_text(
        "{% for i in [1, 2] %}{% for j in [1, 2, 3] %}{% if j == 2 %}{% continue %}{% endif %}"
        "{{ i }}{{ j }} {% endfor %}{% if i == 1 %}{% break %}{% endif %}{% endfor %}",
        NULL, "11 13 ");
}

TEST(cycle_and_changed_go_by_the_turn)
{
    check_text("{% for i in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }} "
               "{% endfor %}",
               NULL, "aTrue bFalse aTrue ");
}

TEST(items_are_unpacked_as_python_does)
{
    check_text("{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}", "{'d': {'a': 1, 'b': 2}}",
               "a1b2");
    check_text("{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", NULL,
               "123");
    check_fails("{% for a, b in [[1]] %}{% endfor %}", NULL,
                "ValueError: not enough values to unpack (expected 2, got 1)");
    check_fails("{% for a, b in [[1, 2, 3]] %}{% endfor %}", NULL,
                "ValueError: too many values to unpack (expected 2)");
    check_fails("{% for a, b in [1] %}{% endfor %}", NULL,
                "TypeError: cannot unpack non-iterable int object");
}

TEST(items_of_a_filter_come_as_they_are_asked_for)
{
    check_text("{% set g = [1, 2, 3]|map('string') %}{% for x in g %}{{ x }}{% break %}{% endfor %}"
               "[{{ g|list|join }}]",
               NULL, "1[23]");
    check_text("{% set g = [1, 2, 3]|map('string') %}{% for x in g %}{{ x }}{{ loop.last }}"
               "{% break %}{% endfor %}[{{ g|list|join }}]",
               NULL, "1False[3]");
}

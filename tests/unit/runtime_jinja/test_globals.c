/* Global functions. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(ranges_reach_over_all_numbers_of_64_bits)
{
    check_fails("{{ range(0, -5, -1).index(x) }}", "{'x': -9223372036854775808}",
                "ValueError: -9223372036854775808 is not in range");
    check_text("{% set last = 9223372036854775807 %}{% set r = range(-last, last, last // 2 + 1) %}"
               "{{ r|list }}{{ r|reverse|list }}{{ r[3] }} {{ r.index(r[3]) }}",
               NULL,
               "[-9223372036854775807, -4611686018427387903, 1, 4611686018427387905]"
               "[4611686018427387905, 1, -4611686018427387903, -9223372036854775807]"
               "4611686018427387905 3");
    check_text("{% set last = 9223372036854775807 %}{% set r = range(last, -last, -last - 1) %}"
               "{{ r|list }}{{ r|reverse|list }}{{ r.index(-1) }}{{ r.count(x) }}",
               "{'x': -9223372036854775808}",
               "[9223372036854775807, -1][-1, 9223372036854775807]10");
}

TEST(ranges_are_sequences_of_numbers)
{
    check_text("{{ range(3) }}{{ range(1, 7, 2)|list }}{{ range(5, 0, -2)|list }}{{ "
               "range(3)|length }}{{ range(10)[3] }}{{ range(10)[-1] }}{{ range(10)[2:8:3] }}{{ "
               "range(5) == range(0, 5) }}{{ range(0) == range(3, 3) }}{{ 3 in range(5) }}{{ "
               "range(5).index(2) }}{{ range(1, 9, 2).step }}{{ range(3)|reverse|list }}{{ "
               "range(0, 10, 3)|last }}{{ range(0)|first is undefined }}",
               NULL, "range(0, 3)[1, 3, 5][5, 3, 1]339range(2, 8, 3)TrueTrueTrue22[2, 1, 0]9True");
    check_fails(
        "{{ range(100001) }}", NULL,
        "OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
    check_text("{{ range(100000)|length }}", NULL, "100000");
    check_fails("{{ range() }}", NULL, "TypeError: range expected at least 1 argument, got 0");
    check_fails("{{ range(1, 2, 3, 4) }}", NULL,
                "TypeError: range expected at most 3 arguments, got 4");
    check_fails("{{ range('a') }}", NULL,
                "TypeError: 'str' object cannot be interpreted as an integer");
    check_fails("{{ range(1.5) }}", NULL,
                "TypeError: 'float' object cannot be interpreted as an integer");
    check_fails("{{ range(1, 2, 0) }}", NULL, "ValueError: range() arg 3 must not be zero");
    check_fails("{{ range(x=1) }}", NULL,
                "TypeError: safe_range() got an unexpected keyword argument 'x'");
    check_fails("{{ range(3).index(7) }}", NULL, "ValueError: 7 is not in range");
    check_fails("{{ range(3)() }}", NULL, "TypeError: 'range' object is not callable");
}

TEST(dicts_are_made_of_pairs_and_names)
{
    check_text("{{ dict() }}{{ dict(a=1, b=2) }}{{ dict({'a': 1}, b=2) }}{{ dict([('a', 1), ['b', "
               "2], 'xy']) }}{{ dict({'a': 1}.items()) }}",
               NULL, "{}{'a': 1, 'b': 2}{'a': 1, 'b': 2}{'a': 1, 'b': 2, 'x': 'y'}{'a': 1}");
    check_fails("{{ dict(1) }}", NULL, "TypeError: 'int' object is not iterable");
    check_fails("{{ dict([1]) }}", NULL,
                "TypeError: cannot convert dictionary update sequence element #0 to a sequence");
    check_fails("{{ dict(['abc']) }}", NULL,
                "ValueError: dictionary update sequence element #0 has length 3; 2 is required");
    check_fails("{{ dict(1, 2) }}", NULL, "TypeError: dict expected at most 1 argument, got 2");
    check_fails("{{ dict([[[], 1]]) }}", NULL, "TypeError: unhashable type: 'list'");
    check_fails("{{ dict(missing) }}", NULL, "UndefinedError: 'missing' is undefined");
}

TEST(namespaces_hold_what_is_set)
{
    check_text("{% set ns = namespace(a=1) %}{% set ns.b = 2 %}{{ ns.a }}{{ ns.b }}{{ ns.c is "
               "undefined }}{{ ns }}{{ ns['a'] }}",
               NULL, "12True<Namespace {'a': 1, 'b': 2}>1");
    check_text("{% set ns = namespace({'a': 1}, b=2) %}{{ ns }}", NULL,
               "<Namespace {'a': 1, 'b': 2}>");
    check_fails("{% set ns = namespace() %}{{ ns.x.y }}", NULL,
                "UndefinedError: 'jinja2.utils.Namespace object' has no attribute 'x'");
    check_fails("{% set ns = 1 %}{% set ns.x = 1 %}", NULL,
                "TemplateRuntimeError: cannot assign attribute on non-namespace object");
    check_fails("{% set ns.x = 1 // 0 %}", NULL,
                "TemplateRuntimeError: cannot assign attribute on non-namespace object");
    check_fails("{{ namespace(1) }}", NULL, "TypeError: 'int' object is not iterable");
    check_fails("{{ namespace()|list }}", NULL, "TypeError: 'Namespace' object is not iterable");
    check_fails("{{ namespace()|length }}", NULL,
                "TypeError: object of type 'Namespace' has no len()");
}

TEST(cyclers_go_round)
{
    check_text("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ "
               "c.current }}{{ c.reset() }}{{ c.current }}{{ c.pos }}{{ c.items }}",
               NULL, "ababNonea0('a', 'b')");
    check_fails("{{ cycler() }}", NULL, "RuntimeError: at least one item has to be provided");
    check_fails("{{ cycler(1).next(1) }}", NULL,
                "TypeError: Cycler.next() takes 1 positional argument but 2 were given");
    check_fails("{{ cycler(1)() }}", NULL, "TypeError: 'Cycler' object is not callable");
}

TEST(joiners_are_silent_once)
{
    check_text("{% set j = joiner() %}[{{ j() }}]a{{ j() }}b{{ j() }}", NULL, "[]a, b, ");
    check_text("{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j.used }}", NULL, "|True");
    check_fails(
        "{{ joiner(1, 2) }}", NULL,
        "TypeError: Joiner.__init__() takes from 1 to 2 positional arguments but 3 were given");
    check_fails("{{ joiner()(1) }}", NULL,
                "TypeError: Joiner.__call__() takes 1 positional argument but 2 were given");
    check_fails("{{ joiner(x=1) }}", NULL,
                "TypeError: Joiner.__init__() got an unexpected keyword argument 'x'");
}

TEST(templates_can_give_up)
{
    check_fails("{{ raise_exception('no, ' ~ 1) }}", NULL, "TemplateError: no, 1");
    check_fails("{{ raise_exception(none) }}", NULL, "TemplateError: None");
    check_fails("{{ raise_exception() }}", NULL,
                "TypeError: raise_exception() missing 1 required positional argument: 'message'");
    check_fails("{{ raise_exception(1, 2) }}", NULL,
                "TypeError: raise_exception() takes 1 positional argument but 2 were given");
}

TEST(what_is_no_global_is_undefined)
{
    check_text("{{ nosuch }}{{ open is undefined }}{{ __import__ is undefined }}", NULL,
               "TrueTrue");
    check_fails("{{ nosuch() }}", NULL, "UndefinedError: 'nosuch' is undefined");
}

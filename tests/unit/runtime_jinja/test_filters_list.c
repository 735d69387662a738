/* Filters of lists. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

/* v is what the templates can see */
static const char v[] = "{'words': ['b', 'A', 'c', 'a'], 'rows': [{'id': 2, 'name': 'x', 'sub': "
                        "{'k': 1}}, {'id': 1, 'name': 'X', 'sub': {'k': 3}}, {'id': 1, 'name': "
                        "'a', 'sub': {'k': 2}}], 'd': {'b': 1, 'A': 3, 'a': 2}}";

TEST(first_and_last_are_of_what_has_an_order)
{
    check_text("{{ words|first }}{{ words|last }}{{ d|first }}{{ d|last }}{{ 'xyz'|first }}{{ "
               "'xyz'|last }}{{ range(3)|last }}",
               v, "babaxz2");
    check_text("{{ []|first is undefined }}{{ ([]|last)|default('none') }}", v, "Truenone");
    check_fails("{{ []|first + 1 }}", v, "UndefinedError: No first item, sequence was empty.");
    check_fails("{{ []|last + 1 }}", v, "UndefinedError: No last item, sequence was empty.");
    check_fails("{{ 5|first }}", v, "TypeError: 'int' object is not iterable");
    check_fails("{{ 5|last }}", v, "TypeError: 'int' object is not reversible");
    check_fails("{{ words|map('upper')|last }}", v,
                "TypeError: 'generator' object is not reversible");
}

TEST(sums_begin_with_a_number)
{
    check_text("{{ [1, 2.5]|sum }},{{ rows|sum('id') }},{{ rows|sum(attribute='sub.k', start=10) "
               "}},{{ []|sum }},{{ [[1], [2]]|sum(start=[]) }}",
               v, "3.5,4,16,0,[1, 2]");
    check_fails("{{ words|sum }}", v,
                "TypeError: unsupported operand type(s) for +: 'int' and 'str'");
    check_fails("{{ words|sum(start='') }}", v,
                "TypeError: sum() can't sum strings [use ''.join(seq) instead]");
    check_fails("{{ 5|sum }}", v, "TypeError: 'int' object is not iterable");
}

TEST(the_smallest_and_the_largest_ignore_case)
{
    check_text(
        "{{ words|min }}{{ words|max }}{{ words|min(true) }}{{ words|max(case_sensitive=true) }}",
        v, "AcAc");
    check_text("{{ rows|min(attribute='id') }}", v, "{'id': 1, 'name': 'X', 'sub': {'k': 3}}");
    check_text("{{ rows|max(attribute='sub.k') }}", v, "{'id': 1, 'name': 'X', 'sub': {'k': 3}}");
    check_text("{{ []|min is undefined }}", v, "True");
    check_fails("{{ []|max + 1 }}", v, "UndefinedError: No aggregated item, sequence was empty.");
    check_fails("{{ [1, 'a']|max }}", v,
                "TypeError: '>' not supported between instances of 'str' and 'int'");
    check_fails("{{ ['a', 1]|min }}", v,
                "TypeError: '<' not supported between instances of 'int' and 'str'");
}

TEST(sorting_is_stable_and_ignores_case)
{
    check_text("{{ words|sort }}", v, "['A', 'a', 'b', 'c']");
    check_text("{{ words|sort(true) }}", v, "['c', 'b', 'A', 'a']");
    check_text("{{ words|sort(case_sensitive=true) }}", v, "['A', 'a', 'b', 'c']");
    check_text("{{ rows|sort(attribute='id')|map(attribute='name')|list }}", v, "['X', 'a', 'x']");
    check_text("{{ rows|sort(attribute='id', reverse=true)|map(attribute='name')|list }}", v,
               "['x', 'X', 'a']");
    check_text("{{ rows|sort(attribute='name,id')|map(attribute='id')|list }}", v, "[1, 1, 2]");
    check_text("{{ rows|sort(attribute='sub.k')|map(attribute='sub.k')|join }}", v, "123");
    check_text("{{ [3, 1.5, true]|sort }}", v, "[True, 1.5, 3]");
    check_text("{{ 'cab'|sort }}", v, "['a', 'b', 'c']");
    check_fails("{{ [1, 'a']|sort }}", v,
                "TypeError: '<' not supported between instances of 'str' and 'int'");
    check_fails("{{ rows|sort }}", v,
                "TypeError: '<' not supported between instances of 'dict' and 'dict'");
    check_fails("{{ words|sort(reverse='x') }}", v,
                "TypeError: 'str' object cannot be interpreted as an integer");
    check_text("{{ [none, none]|sort }}", v, "[None, None]");
}

TEST(many_items_are_sorted_too)
{
    check_text("{% set x = range(300)|map('string')|sort %}{{ x[:4] }}{{ x[-3:] }}", v,
               "['0', '1', '10', '100']['97', '98', '99']");
    check_text("{{ (range(200)|list + range(200)|list)|sort|unique|list == range(200)|list }}", v,
               "True");
    check_text("{% for k in range(90)|sort(reverse=true) %}{% if loop.index0 + k != 89 %}wrong{% "
               "endif %}{% endfor %}",
               v, "");
}

TEST(dicts_are_sorted_by_key_or_value)
{
    check_text("{{ d|dictsort }}", v, "[('A', 3), ('a', 2), ('b', 1)]");
    check_text("{{ d|dictsort(true) }}", v, "[('A', 3), ('a', 2), ('b', 1)]");
    check_text("{{ d|dictsort(by='value', reverse=true) }}", v, "[('A', 3), ('a', 2), ('b', 1)]");
    check_fails("{{ d|dictsort(by='x') }}", v,
                "FilterArgumentError: You can only sort by either \"key\" or \"value\"");
    check_fails("{{ []|dictsort }}", v, "AttributeError: 'list' object has no attribute 'items'");
    check_fails("{{ missing|dictsort }}", v, "UndefinedError: 'missing' is undefined");
}

TEST(groups_have_names_and_lists)
{
    check_text("{% for g in rows|groupby('id') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}",
               v, "1:2 2:1 ");
    check_text("{% for name, items in rows|groupby('name') %}{{ name }}={{ "
               "items|map(attribute='id')|join('+') }} {% endfor %}",
               v, "a=1 x=2+1 ");
    check_text(
        "{% for name, items in rows|groupby('name', case_sensitive=true) %}{{ name }} {% endfor %}",
        v, "X a x ");
    check_text("{{ rows|groupby('nosuch', default='?')|map('first')|list }}", v, "['?']");
    check_text(
        "{{ (rows|groupby('id'))[0] }}", v,
        "(1, [{'id': 1, 'name': 'X', 'sub': {'k': 3}}, {'id': 1, 'name': 'a', 'sub': {'k': 2}}])");
    check_fails("{{ rows|groupby('nosuch') }}", v,
                "UndefinedError: 'dict object' has no attribute 'nosuch'");
    check_text("{{ (rows|groupby('id'))[0]['x'] is undefined }}{{ (rows|groupby('id'))[0][-2] }}",
               v, "True1");
}

TEST(attributes_are_paths)
{
    check_text("{{ rows|map(attribute='sub.k')|list }}", v, "[1, 3, 2]");
    check_text("{{ [[1, [2, 3]]]|map(attribute='1.0')|list }}", v, "[2]");
    check_text("{{ rows|map(attribute='nosuch')|list }}", v, "[Undefined, Undefined, Undefined]");
    check_text("{{ rows|map(attribute='nosuch', default='-')|list }}", v, "['-', '-', '-']");
    check_text("{{ rows|map(attribute='sub.nosuch.x', default={})|list }}", v, "[{}, {}, {}]");
    check_text("{{ [[1]]|map(attribute=0)|list }}", v, "[1]");
    check_text("{{ words|map(attribute='upper')|list|length }}", v, "4");
}

TEST(map_applies_filters)
{
    check_text("{{ words|map('upper')|list }}", v, "['B', 'A', 'C', 'A']");
    check_text("{{ words|map('replace', 'a', 'z')|join }}", v, "bAcz");
    check_text("{{ words|map('center', width=3)|list }}", v, "[' b ', ' A ', ' c ', ' a ']");
    check_text("{{ missing|map('nosuch')|list }}", v, "[]");
    check_fails("{{ words|map('nosuch')|list }}", v,
                "TemplateRuntimeError: No filter named 'nosuch'.");
    check_fails("{{ words|map()|list }}", v, "FilterArgumentError: map requires a filter argument");
    check_fails("{{ words|map(attribute='a', x=1)|list }}", v,
                "FilterArgumentError: Unexpected keyword argument 'x'");
    check_fails("{{ words|map(nosuch)|list }}", v,
                "TemplateRuntimeError: No filter named Undefined. ('nosuch' is undefined; did you "
                "forget to quote the callable name?)");
    check_fails("{{ 5|map('upper')|list }}", v, "TypeError: 'int' object is not iterable");
    check_fails("{{ words|map([])|list }}", v, "TypeError: unhashable type: 'list'");
}

TEST(select_applies_tests)
{
    check_text("{{ [0, 1, 2, '', 'a']|select|list }}{{ [0, 1, '']|reject|list }}", v,
               "[1, 2, 'a'][0, '']");
    check_text(
        "{{ [1, 2, 3, 4]|select('even')|list }}{{ [1, 2, 3, 4]|reject('divisibleby', 3)|list }}", v,
        "[2, 4][1, 2, 4]");
    check_text("{{ rows|selectattr('id', 'eq', 1)|map(attribute='name')|list }}{{ "
               "rows|rejectattr('sub.k', 'gt', 1)|list|length }}",
               v, "['X', 'a']1");
    check_text("{{ rows|selectattr('nosuch')|list }}", v, "[]");
    check_fails("{{ words|select('nosuch')|list }}", v,
                "TemplateRuntimeError: No test named 'nosuch'.");
    check_fails("{{ words|selectattr()|list }}", v,
                "FilterArgumentError: Missing parameter for attribute name");
    check_text("{{ words|select('in', 'ab')|join }}", v, "ba");
}

TEST(generators_are_walked_once)
{
    check_text("{% set g = words|map('upper') %}{{ g|join }}[{{ g|join }}]", v, "BACA[]");
    check_text("{% set g = words|reverse %}{{ g|first }}{{ g|join }}", v, "acAb");
    check_text("{% set g = [1, 2, 3]|select %}{% for x in g %}{{ x }}{% if x == 2 %}{% break %}{% "
               "endif %}{% endfor %}{{ g|list }}",
               v, "12[3]");
}

TEST(generators_find_their_errors_when_they_are_walked)
{
    check_text("{% set g = words|map('nosuch') %}fine", v, "fine");
    check_text("{% set g = words|slice('x') %}fine", v, "fine");
    check_fails("{{ words|slice('x')|list }}", v,
                "TypeError: unsupported operand type(s) for //: 'int' and 'str'");
    check_text("{% set g = 5|unique %}fine", v, "fine");
    check_fails("{{ 5|unique|list }}", v, "TypeError: 'int' object is not iterable");
}

TEST(batches_and_slices_can_be_filled)
{
    check_text("{{ [1, 2, 3, 4, 5]|batch(2)|list }}{{ [1, 2, 3]|batch(2, 'x')|list }}", v,
               "[[1, 2], [3, 4], [5]][[1, 2], [3, 'x']]");
    check_text("{{ [1, 2, 3]|batch(0)|list }}{{ [1, 2]|batch('a')|list }}", v,
               "[[], [1, 2, 3]][[1, 2]]");
    check_fails("{{ [1, 2]|batch('a', 'x')|list }}", v,
                "TypeError: '<' not supported between instances of 'int' and 'str'");
    check_text("{{ [1, 2, 3, 4, 5]|slice(3)|list }}{{ [1, 2, 3, 4]|slice(3, 'x')|list }}", v,
               "[[1, 2], [3, 4], [5]][[1, 2], [3, 'x'], [4, 'x']]");
    check_fails("{{ [1]|slice(0)|list }}", v,
                "ZeroDivisionError: integer division or modulo by zero");
    check_text("{{ [1]|slice(-1)|list }}", v, "[]");
    check_text("{{ 'abcd'|batch(3)|map('join')|list }}", v, "['abc', 'd']");
}

TEST(unique_keeps_the_first)
{
    check_text(
        "{{ ['a', 'A', 'b', 'a']|unique|list }}{{ ['a', 'A']|unique(true)|list }}{{ [1, 1.0, true, "
        "2]|unique|list }}{{ rows|unique(attribute='id')|map(attribute='name')|list }}",
        v, "['a', 'b']['a', 'A'][1, 2]['x', 'X']");
    check_fails("{{ [[1]]|unique|list }}", v, "TypeError: unhashable type: 'list'");
}

TEST(joined_items_become_texts)
{
    check_text("{{ [1, 'a', none, 2.0]|join('-') }}{{ []|join }}{{ rows|join(', ', "
               "attribute='name') }}{{ 'abc'|join(1) }}{{ d|join }}",
               v, "1-a-None-2.0x, X, aa1b1cbAa");
    check_fails("{{ 5|join }}", v, "TypeError: 'int' object is not iterable");
}

TEST(reversed_texts_are_texts_and_all_else_is_walked)
{
    check_text(
        "{{ 'aé😀'|reverse }}{{ [1, 2]|reverse|list }}{{ d|reverse|list }}{{ d.items()|reverse|list "
        "}}{{ range(4)|reverse|join }}{{ (1, 2)|reverse|list }}{{ words|map('upper')|reverse }}",
        v, "😀éa[2, 1]['a', 'A', 'b'][('a', 2), ('A', 3), ('b', 1)]3210[2, 1]['A', 'C', 'A', 'B']");
    check_fails("{{ 5|reverse }}", v, "FilterArgumentError: argument must be iterable");
}

TEST(defaults_are_for_undefined_and_on_demand_for_false)
{
    check_fails("{{ missing|default('x') }}{{ none|default('x') }}{{ ''|default('x', true) }}{{ "
                "0|d('x', boolean=true) }}{{ missing.x|default }}",
                v, "UndefinedError: 'missing' is undefined");
    check_fails("{{ missing.x.y|default('x') }}", v, "UndefinedError: 'missing' is undefined");
}

TEST(attr_looks_at_attributes_only)
{
    check_text("{{ d|attr('b') }}{{ d|attr('b') is undefined }}{{ d|attr('items') is callable }}{{ "
               "'a'|attr('upper')() }}{{ 5|attr('real') }}{{ d|attr('__class__') }}{{ d|attr('b') "
               "is defined }}",
               v, "TrueTrueA5False");
    check_fails("{{ (d|attr('b')).x }}", v, "UndefinedError: 'dict object' has no attribute 'b'");
    check_fails("{{ (d|attr('__class__')).x }}", v,
                "SecurityError: access to attribute '__class__' of 'dict' object is unsafe.");
}

TEST(items_of_a_mapping)
{
    check_text("{{ d|items|list }}{{ missing|items|list }}", v, "[('b', 1), ('A', 3), ('a', 2)][]");
    check_fails("{{ [1]|items|list }}", v, "TypeError: Can only get item pairs from a mapping.");
    check_text("{% set x = [1]|items %}lazy", v, "lazy");
}

TEST(lengths)
{
    check_text("{{ words|length }}{{ d|count }}{{ missing|length }}{{ 'aé'|length }}", v, "4302");
    check_fails("{{ 5|length }}", v, "TypeError: object of type 'int' has no len()");
    check_fails("{{ words|map('upper')|length }}", v,
                "TypeError: object of type 'generator' has no len()");
    check_fails("{{ words|length(1) }}", v,
                "TypeError: len() takes exactly one argument (2 given)");
}

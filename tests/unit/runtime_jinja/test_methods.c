/* Methods. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(texts_are_searched_within_bounds)
{
    check_text("{{ 'abcabc'.find('c') }},{{ 'abcabc'.find('c', 3) }},{{ 'abcabc'.find('c', 3, 5) "
               "}},{{ 'abcabc'.rfind('b') }},{{ 'abc'.find('x') }},{{ 'éaéb'.find('b') }},{{ "
               "'abc'.find('', 9) }},{{ 'abc'.find('', 3) }},{{ 'abc'.rfind('') }},{{ "
               "'abc'.find('c', -1) }},{{ 'aaa'.count('a', 1) }},{{ 'aé'.count('') }},{{ "
               "'aaaa'.count('aa') }},{{ 'abc'.index('b') }},{{ 'abc'.rindex('c', none, none) }}",
               NULL, "2,5,-1,4,-1,3,-1,3,3,2,2,3,2,1,2");
    check_fails("{{ 'a'.index('b') }}", NULL, "ValueError: substring not found");
    check_fails("{{ 'a'.find(1) }}", NULL, "TypeError: must be str, not int");
    check_fails("{{ 'a'.find() }}", NULL, "TypeError: find() takes at least 1 argument (0 given)");
    check_fails("{{ 'a'.find('a', 'b') }}", NULL,
                "TypeError: slice indices must be integers or None or have an __index__ method");
    check_fails("{{ 'a'.find('a', 1, 2, 3) }}", NULL,
                "TypeError: find() takes at most 3 arguments (4 given)");
    check_fails("{{ 'a'.find(sub='a') }}", NULL, "TypeError: find() takes no keyword arguments");
}

TEST(beginnings_and_ends_can_be_several)
{
    check_text("{{ 'hello'.startswith('he') }}{{ 'hello'.startswith(('x', 'h')) }}{{ "
               "'hello'.endswith('lo', 0, 4) }}{{ 'hello'.endswith(()) }}{{ 'hello'.startswith('', "
               "9) }}{{ 'hello'.removeprefix('he') }}{{ 'hello'.removesuffix('x') }}",
               NULL, "TrueTrueFalseFalseFalsellohello");
    check_fails("{{ 'a'.startswith(1) }}", NULL,
                "TypeError: startswith first arg must be str or a tuple of str, not int");
    check_fails("{{ 'a'.endswith((1,)) }}", NULL,
                "TypeError: tuple for endswith must only contain str, not int");
    check_fails("{{ 'a'.removeprefix(none) }}", NULL,
                "TypeError: removeprefix() argument must be str, not None");
}

TEST(texts_are_split_from_both_sides)
{
    check_text("{{ ' a  b c '.split() }}{{ ' a  b c '.split(none, 1) }}{{ ' a  b c '.rsplit(none, "
               "1) }}{{ 'a,b,,c'.split(',') }}{{ 'a,b,c'.rsplit(',', 1) }}{{ 'a,b,c'.split(',', "
               "maxsplit=0) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'aaa'.split('aa') }}{{ "
               "'aaa'.rsplit('aa') }}{{ 'a\\u2003b'.split() }}",
               NULL,
               "['a', 'b', 'c']['a', 'b c '][' a  b', 'c']['a', 'b', '', 'c']['a,b', "
               "'c']['a,b,c'][]['']['', 'a']['a', '']['a', 'b']");
    check_text("{{ 'a\\nb\\r\\nc\\u2028d\\x0be'.splitlines() }}{{ 'a\\nb\\n'.splitlines(true) }}{{ "
               "''.splitlines() }}{{ '\\n\\n'.splitlines() }}",
               NULL, "['a', 'b', 'c', 'd', 'e']['a\\n', 'b\\n'][]['', '']");
    check_text("{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=') }}{{ 'a'.partition('x') "
               "}}{{ 'a'.rpartition('x') }}",
               NULL, "('a', '=', 'b=c')('a=b', '=', 'c')('a', '', '')('', '', 'a')");
    check_fails("{{ 'a'.split('') }}", NULL, "ValueError: empty separator");
    check_fails("{{ 'a'.split(1) }}", NULL, "TypeError: must be str or None, not int");
    check_fails("{{ 'a'.split(sep='a', x=1) }}", NULL,
                "TypeError: 'x' is an invalid keyword argument for split()");
    check_fails("{{ 'a'.split('a', sep='b') }}", NULL,
                "TypeError: argument for split() given by name ('sep') and position (1)");
    check_fails("{{ 'a'.split(1, 2, 3) }}", NULL,
                "TypeError: split() takes at most 2 arguments (3 given)");
    check_fails("{{ 'a'.partition('') }}", NULL, "ValueError: empty separator");
}

TEST(texts_are_stripped_and_padded)
{
    check_text("[{{ '  a '.strip() }}{{ ' a '.lstrip() }}{{ ' a '.rstrip() }}{{ "
               "'xyaxy'.strip('yx') }}{{ 'éaé'.strip('é') }}]",
               NULL, "[aa  aaa]");
    check_text("[{{ 'a'.ljust(3) }}{{ 'a'.rjust(3, '*') }}{{ 'ab'.center(5, 'é') }}{{ "
               "'abc'.center(4) }}{{ '-5'.zfill(4) }}{{ '+'.zfill(3) }}{{ 'abc'.zfill(2) }}{{ "
               "'a\\tb\\n\\tc'.expandtabs(4) }}{{ 'a\\tb'.expandtabs(0) }}]",
               NULL, "[a  **aééabéabc -005+00abca   b\n    cab]");
    check_fails("{{ 'a'.center(3, 'ab') }}", NULL,
                "TypeError: The fill character must be exactly one character long");
    check_fails("{{ 'a'.ljust(3, 1) }}", NULL,
                "TypeError: The fill character must be a unicode character, not int");
    check_fails("{{ 'a'.ljust('b') }}", NULL,
                "TypeError: 'str' object cannot be interpreted as an integer");
    check_fails("{{ 'a'.ljust() }}", NULL, "TypeError: ljust expected at least 1 argument, got 0");
    check_fails("{{ 'a'.strip('a', 'b') }}", NULL,
                "TypeError: strip expected at most 1 argument, got 2");
    check_fails("{{ 'a'.zfill() }}", NULL,
                "TypeError: str.zfill() takes exactly one argument (0 given)");
}

TEST(texts_join_texts_only)
{
    check_text("{{ ','.join(['a', 'b']) }}{{ '-'.join('abc') }}{{ ''.join([]) }}{{ ','.join({'a': "
               "1}) }}{{ ','.join(missing) }}",
               NULL, "a,ba-b-ca");
    check_fails("{{ ','.join([1]) }}", NULL,
                "TypeError: sequence item 0: expected str instance, int found");
    check_fails("{{ ','.join(5) }}", NULL, "TypeError: can only join an iterable");
    check_fails("{{ ','.join() }}", NULL,
                "TypeError: str.join() takes exactly one argument (0 given)");
}

TEST(replace_has_a_count)
{
    check_text("{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'.replace('', '-', 1) }}{{ "
               "'aaa'.replace('aa', 'b') }}",
               NULL, "bba-abcba");
    check_fails("{{ 'a'.replace('a') }}", NULL,
                "TypeError: replace expected at least 2 arguments, got 1");
    check_fails("{{ 'a'.replace(1, 'b') }}", NULL,
                "TypeError: replace() argument 1 must be str, not int");
    check_fails("{{ 'a'.replace('a', none) }}", NULL,
                "TypeError: replace() argument 2 must be str, not None");
    check_fails("{{ 'a'.replace('a', 'b', 'c') }}", NULL,
                "TypeError: 'str' object cannot be interpreted as an integer");
    check_fails("{{ 'a'.replace(old='a', new='b') }}", NULL,
                "TypeError: str.replace() takes no keyword arguments");
}

TEST(questions_about_texts)
{
    check_text("{{ 'aB1'.isalnum() }}{{ 'aé'.isalpha() }}{{ 'a'.isascii() }}{{ '٣'.isdecimal() "
               "}}{{ '²'.isdigit() }}{{ '½'.isnumeric() }}{{ '½'.isdigit() }}{{ ''.isalpha() }}{{ "
               "''.isascii() }}{{ 'a_1'.isidentifier() }}{{ '1a'.isidentifier() }}{{ "
               "'ab'.islower() }}{{ 'AB1'.isupper() }}{{ '1'.isupper() }}{{ ' \\n'.isspace() }}{{ "
               "'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ 'a\\n'.isprintable() }}",
               NULL,
               "TrueTrueTrueTrueTrueTrueFalseFalseTrueTrueFalseTrueTrueFalseTrueTrueFalseFalse");
    check_fails("{{ 'a'.isalpha(1) }}", NULL,
                "TypeError: str.isalpha() takes no arguments (1 given)");
    check_fails("{{ 'a'.isalpha(x=1) }}", NULL,
                "TypeError: str.isalpha() takes no keyword arguments");
}

TEST(letters_of_methods)
{
    check_text("{{ 'ßa'.upper() }}{{ 'ΑΣ'.lower() }}{{ \"they're bill's\".title() }}{{ "
               "'ǆ'.capitalize() }}{{ 'ß'.casefold() }}{{ 'aBß'.swapcase() }}{{ 'ŉab'.title() }}",
               NULL, "SSAαςThey'Re Bill'SǅssAbSSʼNab");
    check_fails("{{ 'a'.upper(1) }}", NULL, "TypeError: str.upper() takes no arguments (1 given)");
}

TEST(formats_of_methods)
{
    check_text("{{ '{}-{x}-{0[0]}'.format('ab', x=1) }}{{ '{a}'.format_map({'a': 1}) }}", NULL,
               "ab-1-a1");
    check_fails("{{ 'a'.format_map() }}", NULL,
                "TypeError: format_map() takes exactly one argument 1 given");
    check_fails("{{ '{}'.format() }}", NULL, "IndexError: tuple index out of range");
    check_fails("{{ '{a}'.format() }}", NULL, "KeyError: 'a'");
}

TEST(lists_and_tuples_can_be_searched)
{
    check_text("{{ [1, 2, 1.0].count(1) }}{{ [1, 2].index(2) }}{{ [1, 2, 1].index(1, 1) }}{{ (1, "
               "2).index(2) }}{{ (1, 1).count(1) }}{{ [1].copy() }}",
               NULL, "21212[1]");
    check_fails("{{ [1].index('x') }}", NULL, "ValueError: 'x' is not in list");
    check_fails("{{ (1,).index(2) }}", NULL, "ValueError: tuple.index(x): x not in tuple");
    check_fails("{{ [1].index() }}", NULL, "TypeError: index expected at least 1 argument, got 0");
    check_fails("{{ [1].index(1, 'a') }}", NULL,
                "TypeError: slice indices must be integers or have an __index__ method");
}

TEST(what_changes_a_value_is_refused)
{
    check_fails("{{ [].append(1) }}", NULL,
                "SecurityError: access to attribute 'append' of 'list' object is unsafe.");
    check_fails("{{ [1].sort() }}", NULL,
                "SecurityError: access to attribute 'sort' of 'list' object is unsafe.");
    check_fails("{{ {}.update({}) }}", NULL,
                "SecurityError: access to attribute 'update' of 'dict' object is unsafe.");
    check_fails("{{ {}.setdefault('a', 1) }}", NULL,
                "SecurityError: access to attribute 'setdefault' of 'dict' object is unsafe.");
    check_text("{{ [].append is undefined }}[{{ [].append }}]", NULL, "True[]");
}

TEST(dicts_give_views_of_themselves)
{
    check_text("{{ {'a': 1}.items() }}{{ {'a': 1}.keys() }}{{ {'a': 1}.values() }}{{ "
               "{}.keys()|length }}{{ 'a' in {'a': 1}.keys() }}{{ ('a', 1) in {'a': 1}.items() "
               "}}{{ 1 in {'a': 1}.values() }}{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ "
               "v }}{% endfor %}{{ {'a': 1}.keys() == {'a': 2}.keys() }}",
               NULL, "dict_items([('a', 1)])dict_keys(['a'])dict_values([1])0TrueTrueTruea1b2True");
    check_text("{{ {'a': 1}.get('a') }}{{ {}.get('a') }}{{ {}.get('a', 2) }}{{ {'a': 1}.copy() "
               "}}{{ {}.fromkeys('ab', 0) }}",
               NULL, "1None2{'a': 1}{'a': 0, 'b': 0}");
    check_fails("{{ {}.get([]) }}", NULL, "TypeError: unhashable type: 'list'");
    check_fails("{{ {}.get() }}", NULL, "TypeError: get expected at least 1 argument, got 0");
    check_fails("{{ {}.items(1) }}", NULL, "TypeError: dict.items() takes no arguments (1 given)");
    check_fails("{{ [] in {}.keys() }}", NULL, "TypeError: unhashable type: 'list'");
    check_text("{{ {}.items()[0] is undefined }}", NULL, "True");
}

TEST(numbers_have_parts)
{
    check_text("{{ (5).real }}{{ (5).imag }}{{ (1.5).is_integer() }}{{ (2.0).is_integer() }}{{ "
               "(255).bit_length() }}{{ (5).numerator }}{{ (5).denominator }}{{ true.real }}{{ "
               "(7).bit_count() }}{{ (3).as_integer_ratio() }}",
               NULL, "50FalseTrue85113(3, 1)");
    check_fails("{{ (5).nosuch() }}", NULL,
                "UndefinedError: 'int object' has no attribute 'nosuch'");
    check_fails("{{ (5).bit_length(1) }}", NULL,
                "TypeError: int.bit_length() takes no arguments (1 given)");
}

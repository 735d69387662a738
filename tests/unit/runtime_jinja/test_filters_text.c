/* Filters of texts. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(letters_change_their_case_as_python_changes_them)
{
    check_text("{{ 'straße ΑΣ ΑΣ, ǆ ŉ'|upper }}", NULL, "STRASSE ΑΣ ΑΣ, Ǆ ʼN");
    check_text("{{ 'ΑΣ ΑΣΑ Σ İ'|lower }}", NULL, "ας ασα σ i̇");
    check_text("{{ 'ǆabc DEF'|capitalize }}", NULL, "ǅabc def");
    check_text("{{ 'ßeta ONE'|capitalize }}", NULL, "Sseta one");
    check_text("{{ 5|upper }}{{ none|lower }}{{ missing|capitalize }}", NULL, "5none");
    check_fails("{{ 'a'|upper(1) }}", NULL,
                "TypeError: do_upper() takes 1 positional argument but 2 were given");
}

TEST(a_title_begins_words_behind_some_characters_only)
{
    check_text("{{ \"it's a-b (c) <d> [e] {f}/g\\th\"|title }}", NULL,
               "It's A-B (C) <D> [E] {F}/g\tH");
    check_text("{{ 'ßx ǆy'|title }}", NULL, "SSx Ǆy");
    check_text("{{ ''|title }}", NULL, "");
}

TEST(words_are_counted_by_letters_digits_and_underscores)
{
    check_text("{{ 'one two_three, 4-5 naïve'|wordcount }}", NULL, "5");
    check_text("{{ ''|wordcount }}", NULL, "0");
    check_text("{{ 12.5|wordcount }}", NULL, "2");
}

TEST(texts_are_centered_and_trimmed)
{
    check_text("[{{ 'ab'|center(5) }}][{{ 'abc'|center(6) }}][{{ 'ab'|center(1) }}][{{ "
               "7|center(width=3) }}]",
               NULL, "[  ab ][ abc  ][ab][ 7 ]");
    check_text("{{ 'x'|center|length }}", NULL, "80");
    check_text(
        "[{{ '\\u2003 a b \\n'|trim }}][{{ 'xxaxx'|trim('x') }}][{{ 'abcb'|trim(chars='ab') }}]",
        NULL, "[a b][a][c]");
    check_fails("{{ 'a'|trim(1) }}", NULL, "TypeError: strip arg must be None or str");
    check_fails("{{ 'a'|center('b') }}", NULL,
                "TypeError: 'str' object cannot be interpreted as an integer");
}

TEST(replacements_are_counted)
{
    check_text("{{ 'aaaa'|replace('a', 'b', 2) }}", NULL, "bbaa");
    check_text("{{ 'abc'|replace('', '-') }}", NULL, "-a-b-c-");
    check_text("{{ 'abc'|replace('', '-', 2) }}", NULL, "-a-bc");
    check_text("{{ 112|replace(1, 2) }}", NULL, "222");
    check_fails("{{ 'a'|replace('a') }}", NULL,
                "TypeError: do_replace() missing 1 required positional argument: 'new'");
    check_text("{{ 'aXbX'|replace('X', '') }}", NULL, "ab");
}

TEST(lines_are_indented)
{
    check_text("{{ 'a\\nb\\n\\nc'|indent }}", NULL, "a\n    b\n\n    c");
    check_text("{{ 'a\\nb\\n\\nc'|indent(2, true, true) }}", NULL, "  a\n  b\n  \n  c");
    check_text("{{ 'a\\nb'|indent('> ', first=true) }}", NULL, "> a\n> b");
    check_text("{{ 'a\\r\\nb\\u2028c'|indent(1) }}", NULL, "a\n b\n c");
    check_text("{{ ''|indent(2, true) }}", NULL, "  ");
    check_fails("{{ 1|indent }}", NULL,
                "TypeError: unsupported operand type(s) for +=: 'int' and 'str'");
    check_fails("{{ [1]|indent }}", NULL,
                "AttributeError: 'list' object has no attribute 'splitlines'");
    check_fails("{{ missing|indent }}", NULL, "UndefinedError: 'missing' is undefined");
    check_fails("{{ 'a'|indent(1.5) }}", NULL,
                "TypeError: can't multiply sequence by non-int of type 'float'");
}

TEST(long_texts_are_truncated_between_words)
{
    check_text("{{ 'foo bar baz qux'|truncate(9) }}", NULL, "foo...");
    check_text("{{ 'foo bar baz qux'|truncate(9, true) }}", NULL, "foo ba...");
    check_text("{{ 'foo bar baz qux'|truncate(11) }}", NULL, "foo bar baz qux");
    check_text("{{ 'foo bar baz qux'|truncate(11, false, '...', 0) }}", NULL, "foo bar...");
    check_text("{{ 'foobarbaz'|truncate(5, leeway=0) }}", NULL, "fo...");
    check_fails("{{ 'a b'|truncate(2) }}", NULL, "AssertionError: expected length >= 3, got 2");
    check_fails("{{ 'abc'|truncate(5, leeway=-1) }}", NULL,
                "AssertionError: expected leeway >= 0, got -1");
    check_fails("{{ 5|truncate }}", NULL, "TypeError: object of type 'int' has no len()");
    check_fails("{{ ['a', 'b', 'c']|truncate(1, end='', leeway=0) }}", NULL,
                "AttributeError: 'list' object has no attribute 'rsplit'");
}

TEST(lines_are_wrapped_between_words_and_at_hyphens)
{
    check_text("{{ 'hello world foo bar'|wordwrap(10) }}", NULL, "hello\nworld foo\nbar");
    check_text("{{ 'a-b cc-dd--ee---f x-1'|wordwrap(3) }}", NULL,
               "a-b\ncc-\ndd\n--\nee\n---\nf\nx-1");
    check_text("{{ 'abcdefghij kl'|wordwrap(4) }}", NULL, "abcd\nefgh\nij\nkl");
    check_text("{{ 'abcdefghij kl'|wordwrap(4, false) }}", NULL, "abcdefghij\nkl");
    check_text("{{ 'self-contained well-known'|wordwrap(9, break_on_hyphens=false) }}", NULL,
               "self-cont\nained wel\nl-known");
    check_text("{{ 'one\\ntwo three\\n\\nfour'|wordwrap(4, wrapstring='|') }}", NULL,
               "one|two |thre|e||four");
    check_text("{{ 'aa    bb   '|wordwrap(3) }}", NULL, "aa\nbb");
    check_fails("{{ 'a'|wordwrap(0) }}", NULL, "ValueError: invalid width 0 (must be > 0)");
    check_text("{{ ''|wordwrap(0) }}", NULL, "");
    check_fails("{{ 1|wordwrap }}", NULL,
                "AttributeError: 'int' object has no attribute 'splitlines'");
}

TEST(formats_take_places_or_names)
{
    check_text("{{ '%s, %d'|format('a', 3) }}", NULL, "a, 3");
    check_text("{{ '%(x)s'|format(x=1) }}", NULL, "1");
    check_fails(
        "{{ '%s'|format(1, x=2) }}", NULL,
        "FilterArgumentError: can't handle positional and keyword arguments at the same time");
    check_text("{{ 'x'|format }}", NULL, "x");
    check_fails("{{ '%d'|format('a') }}", NULL,
                "TypeError: %d format: a real number is required, not str");
}

TEST(wrong_arguments_are_refused_as_python_refuses_them)
{
    check_fails("{{ 'a'|center(1, 2) }}", NULL,
                "TypeError: do_center() takes from 1 to 2 positional arguments but 3 were given");
    check_fails("{{ 'a'|replace(new='b') }}", NULL,
                "TypeError: do_replace() missing 1 required positional argument: 'old'");
    check_fails("{{ 'a'|indent(1, width=2) }}", NULL,
                "TypeError: do_indent() got multiple values for argument 'width'");
    check_fails("{{ 'a'|title(x=1) }}", NULL,
                "TypeError: do_title() got an unexpected keyword argument 'x'");
    check_fails("{{ 'a'|truncate(nosuch=1) }}", NULL,
                "TypeError: do_truncate() got an unexpected keyword argument 'nosuch'");
    check_fails("{{ 'a'|string(1) }}", NULL,
                "TypeError: soft_str() takes 1 positional argument but 2 were given");
    check_fails("{{ [1]|join(value=3) }}", NULL,
                "TypeError: sync_do_join() got multiple values for argument 'value'");
    check_fails(
        "{{ [1]|join('', none, 3) }}", NULL,
        "TypeError: sync_do_join() takes from 2 to 4 positional arguments but 5 were given");
}

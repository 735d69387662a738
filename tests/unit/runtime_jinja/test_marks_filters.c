/* What users wrote stays known through filters and methods, character by character. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(letters_made_of_letters_of_users_are_the_users)
{
    check_marks("{{ ('a' + x + 'b')|upper }}", "{'x': 'ßc'}", "A‹SSC›B");
    check_marks("{{ (x + 'AB')|lower }}{{ (x + ' ab')|title }}", "{'x': 'İ'}", "‹i̇›ab‹İ› Ab");
    check_marks("{{ ('x' + x)|capitalize }}{{ ('x' + x).swapcase() }}", "{'x': 'Q'}", "X‹q›X‹q›");
}

TEST(padding_is_ours_and_fills_keep_their_writer)
{
    check_marks("{{ x|center(5) }}|{{ x.rjust(3, '*') }}", "{'x': 'u'}", "  ‹u›  |**‹u›");
    check_marks("{{ 'a'.ljust(3, x) }}|{{ x.zfill(3) }}", "{'x': '-'}", "a‹--›|‹-›00");
    check_marks("{{ x|indent(2, true) }}|{{ 'a\\nb'|indent(x) }}", "{'x': 'u\\nv'}",
                "  ‹u\n›  ‹v›|a\n‹u\nv›b");
    check_marks("{{ x.expandtabs(2) }}", "{'x': 'u\\tv'}", "‹u v›");
}

TEST(replacements_keep_both_writers)
{
    check_marks("{{ x|replace('a', '<') }}", "{'x': 'bab'}", "‹b›<‹b›");
    check_marks("{{ 'bab'|replace('a', x) }}", "{'x': 'u'}", "b‹u›b");
    check_marks("{{ 'ab'.replace('', x) }}", "{'x': '-'}", "‹-›a‹-›b‹-›");
}

TEST(parts_of_texts_keep_their_writers)
{
    check_marks("{{ ('a b ' + x)|truncate(5, true, '', 0) }}", "{'x': 'cd'}", "a b ‹c›");
    check_marks("{{ ('aa ' + x + ' bb')|wordwrap(4) }}", "{'x': 'uu vv'}", "aa\n‹uu›\n‹vv›\nbb");
    check_marks("{{ ('a,' + x).rsplit(',', 1)|join(';') }}", "{'x': 'b,c'}", "a,‹b›;‹c›");
    check_marks("{{ ('a=' + x).partition('=')|join('|') }}", "{'x': 'b'}", "a|=|‹b›");
    check_marks("{{ ('a' + x)|reverse }}", "{'x': 'bc'}", "‹cb›a");
    check_marks("{{ ('a' + x)|list|join('-') }}", "{'x': 'bc'}", "a-‹b›-‹c›");
    check_marks("{{ ('a' + x)|batch(2)|map('join')|list|last }}", "{'x': 'bc'}", "‹c›");
    check_marks("{{ ('[' + x + ']').removeprefix('[') }}{{ (x + 'a').strip('a') }}", "{'x': 'u'}",
                "‹u›]‹u›");
}

TEST(what_is_escaped_stays_its_writers)
{
    check_marks("{{ ('<' + x)|e }}", "{'x': '<'}", "&lt;‹&lt;›");
    check_marks("{{ ('<b>' + x + '</b> &amp;')|striptags }}", "{'x': 'u  &amp; v'}", "‹u & v› &");
    check_marks("{{ ('/a ' + x)|urlencode }}", "{'x': '/ü'}", "/a%20‹/%C3%BC›");
    check_marks("{{ {x: 'a', 'b': x}|xmlattr }}", "{'x': 'u'}", " ‹u›=\"a\" b=\"‹u›\"");
    check_marks("{{ ('see ' + x)|urlize }}", "{'x': 'ab.com'}",
                "see <a href=\"https://‹ab.com›\" rel=\"noopener\">‹ab.com›</a>");
    check_marks("{{ {'a': x}|pprint }}", "{'x': 'u'}", "{'a': '‹u›'}");
}

TEST(what_is_chosen_among_items_keeps_its_writer)
{
    check_marks("{{ ['b', x]|sort|join }}{{ ['b', x]|min }}{{ [x, 'b']|max }}", "{'x': 'a'}",
                "‹a›b‹a›b");
    check_marks("{{ [{'k': x}]|map(attribute='k')|join }}{{ [x, x]|unique|first }}", "{'x': 'u'}",
                "‹uu›");
    check_marks("{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}", "{'d': {'a': 'u'}}",
                "‹a›=‹u›;");
    check_marks("{{ '%s:%s'|format(x, 'b') }}", "{'x': 'u'}", "‹u›:b");
}

TEST(ends_of_lines_keep_their_writers)
{
    check_marks("{{ ('a\\n' + x + '\\nb')|indent(1) }}", "{'x': 'u\\r\\n\\nv'}",
                "a\n ‹u\n\n› ‹v›\n b");
    check_marks("{{ ('a\\n' + x)|wordwrap(2) }}", "{'x': 'u\\n\\n\\nvw'}", "a\n‹u\n\n\nvw›");
    check_marks("{{ ('a ' + x)|striptags }}", "{'x': ' b'}", "a‹ b›");
}

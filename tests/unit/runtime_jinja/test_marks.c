/* What users wrote stays known, whatever the template does with it. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(what_is_printed_is_the_users)
{
    check_marks("<s>{{ x }}</s>", "{'x': 'hello'}", "<s>‹hello›</s>");
    check_marks("<s>{{ n }}{{ x.y }}</s>", "{'n': 1, 'x': {'y': 'ä'}}", "<s>1‹ä›</s>");
}

TEST(joined_texts_keep_their_marks)
{
    check_marks("{{ '<s>' + x + '</s>' }}", "{'x': 'hello'}", "<s>‹hello›</s>");
    check_marks("{{ '<s>' ~ x ~ 1 }}", "{'x': 'hello'}", "<s>‹hello›1");
    check_marks("{{ ['a', x, 'b']|join('-') }}", "{'x': 'u'}", "a-‹u›-b");
    check_marks("{{ x * 2 ~ '|' }}", "{'x': 'u'}", "‹uu›|");
}

TEST(cuts_keep_their_marks)
{
    check_marks("{{ ('<s>' + x + '</s>')[1:5] }}", "{'x': 'hello'}", "s>‹he›");
    check_marks("{% for p in ('a,' + x).split(',') %}{{ p }};{% endfor %}", "{'x': 'b,c'}",
                "a;‹b›;‹c›;");
    check_marks("{{ (' ' + x + ' ')|trim }}|{{ (' a ' + x).strip() }}", "{'x': ' u '}",
                "‹u›|a ‹ u›");
}

TEST(filters_and_formats_keep_marks)
{
    check_marks("{{ ('a' + x)|upper }}", "{'x': 'b'}", "A‹B›");
    check_marks("{{ ('a' + x)|replace('b', 'c') }}", "{'x': 'bd'}", "ac‹d›");
    check_marks("{{ {'k': x}|tojson }}", "{'x': 'a\\nb'}", "{\"k\": \"‹a\\nb›\"}");
    check_marks("{{ 'a %s b' % x }}{{ 'c {} d'.format(x) }}", "{'x': 'u'}", "a ‹u› bc ‹u› d");
    check_marks("{{ x|default('none') }}{{ y|default('none') }}", "{'x': 'u'}", "‹u›none");
}

TEST(blocks_and_macros_keep_marks)
{
    check_marks("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}", "{'x': 'u'}", "<‹u›>");
    check_marks("{% set y %}<{{ x }}>{% endset %}{{ y }}", "{'x': 'u'}", "<‹u›>");
    check_marks("{% filter upper %}a{{ x }}{% endfilter %}", "{'x': 'u'}", "A‹U›");
}

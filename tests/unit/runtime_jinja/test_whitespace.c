/* Which white space a template keeps. Every want is what jinja2 3.1.2 gives. */
#include "tests/unit/runtime_jinja/rendering.h"

#include "tests/test.h"

TEST(one_newline_at_the_very_end_is_dropped)
{
    check_text("a\n", NULL, "a");
    check_text("a\n\n", NULL, "a\n");
    check_text("\n", NULL, "");
    check_text("a\r\n", NULL, "a");
    check_text("a\r", NULL, "a");
    check_text("a\r\nb\rc\n\rd", NULL, "a\nb\nc\n\nd");
    check_text("{{ 1 }}\n", NULL, "1");
}

TEST(a_block_tag_takes_the_newline_behind_it)
{
    check_text("{% if true %}\na\n{% endif %}\nb", NULL, "a\nb");
    check_text("{% if true %}\n\na{% endif %}\n\nb", NULL, "\na\nb");
    check_text("{% if true %} \na{% endif %}", NULL, " \na");
    check_text("{% set x = 1 %}\r\na", NULL, "a");
    check_text("{# c #}\na", NULL, "a");
    check_text("{# c #} \na", NULL, " \na");
    check_text("{{ 1 }}\na", NULL, "1\na");
    check_text("{% raw %}\na{% endraw %}\nb", NULL, "\nab");
}

TEST(blanks_before_a_block_tag_go_when_nothing_else_stands_in_its_line)
{
    check_text("  {% if true %}a{% endif %}", NULL, "a");
    check_text("a\n \t {% if true %}b{% endif %}", NULL, "a\nb");
    check_text("a  {% if true %}b{% endif %}", NULL, "a  b");
    check_text("  {# c #}a", NULL, "a");
    check_text("x  {# c #}a", NULL, "x  a");
    check_text("  {{ 1 }}", NULL, "  1");
    check_text("a\n  {{ 1 }}", NULL, "a\n  1");
    check_text("{% if true %}  {% if true %}b{% endif %}{% endif %}", NULL, "  b");
    check_text("{% if true %}\n  {% if true %}b{% endif %}{% endif %}", NULL, "b");
    check_text("  {% raw %}  {% endraw %}b", NULL, "  b");
    check_text("  {% raw %}a\n  {% endraw %}b", NULL, "a\nb");
    check_text("{# c #}\n  {% set a = 1 %}b", NULL, "b");
    check_text("\302\240\343\200\200{% set a = 1 %}b", NULL, "b");
    check_text("a\n\302\240{% set a = 1 %}b", NULL, "a\nb");
}

TEST(a_minus_takes_all_white_space_on_its_side)
{
    check_text("a \n\n {%- if true -%} \n\n b \n {%- endif -%} \n c", NULL, "abc");
    check_text("a \n {{- 1 -}} \n b", NULL, "a1b");
    check_text("a \n {#- c -#} \n b", NULL, "ab");
    check_text("a \n {%- raw -%} \n b \n {%- endraw -%} \n c", NULL, "abc");
    check_text("a\302\240{{- 1 -}}\342\200\203b", NULL, "a1b");
    check_text("{{-1}}", NULL, "1");
    check_text("{{- -1 -}} a", NULL, "-1a");
    check_text("{{ 1-}} a", NULL, "1a");
    check_text("a {{-'x'-}} b", NULL, "axb");
    check_text("{#-#}a", NULL, "a");
    check_text("a {#--#} b", NULL, "ab");
}

TEST(a_plus_keeps_white_space)
{
    check_text("  {%+ if true %}a{% endif %}", NULL, "  a");
    check_text("{% if true +%}\na{% endif +%}\nb", NULL, "\na\nb");
    check_text("  {#+ c +#}\na", NULL, "  \na");
    check_text("  {%+ raw %}a  {%+ endraw +%}\nb", NULL, "  a  \nb");
    check_text("{% raw %}a{% endraw +%}\nb", NULL, "a\nb");
    check_text("{{+ 1 }}", NULL, "1");
    check_text("{{+1}}", NULL, "1");
}

TEST(a_tag_that_ends_the_line_starts_a_new_one)
{
    check_text("{% if true %}\n  {% endif %}a", NULL, "a");
    check_text("{% if true +%}\n  {% endif %}a", NULL, "\na");
    check_text("{{ 1 -}}\n  {% set a = 1 %}b", NULL, "1b");
    check_text("{# c -#}\n\n  {% set a = 1 %}b", NULL, "b");
}

TEST(raw_blocks_are_text)
{
    check_text("{% raw %}{{ a }}{% if %}{# x #}{% endraw %}", NULL, "{{ a }}{% if %}{# x #}");
    check_text("{%raw%}{%{%endraw%}", NULL, "{%");
    check_text("{% raw %}{% endraw x %}{%-  endraw  -%}  b", NULL, "{% endraw x %}b");
    check_text("{% raw %}{% endraws %}{% endraw %}", NULL, "{% endraws %}");
    check_text("a{% raw %}", NULL, "a");
    check_fails("{% raw %}a", NULL, "TemplateSyntaxError: Missing end of raw directive");
    check_fails("{% raw +%}", NULL, "TemplateSyntaxError: Encountered unknown tag 'raw'.");
    check_fails("{% rawx %}", NULL, "TemplateSyntaxError: Encountered unknown tag 'rawx'.");
}

TEST(comments_are_left_out)
{
    check_text("a{# b {{ c }} {% d %} #}e", NULL, "ae");
    check_text("{# a #} b #}", NULL, " b #}");
    check_text("{#}#}a", NULL, "a");
    check_text("{##}a", NULL, "a");
    check_text("a{#", NULL, "a");
    check_fails("a{# b", NULL, "TemplateSyntaxError: Missing end of comment tag");
    check_fails("a{##", NULL, "TemplateSyntaxError: Missing end of comment tag");
}

TEST(braces_in_text_are_text)
{
    check_text("{ a } {a {b} } { %", NULL, "{ a } {a {b} } { %");
    check_fails("{ {% if true %}{{% endif %}", NULL, "TemplateSyntaxError: unexpected '%'");
    check_text("}} %} #}", NULL, "}} %} #}");
}

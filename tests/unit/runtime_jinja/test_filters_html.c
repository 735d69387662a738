/* Filters of HTML, addresses and code. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(escaped_texts_are_not_escaped_again)
{
    check_text("{{ '<a href=\"x\">\\'&'|e }}{{ '<'|e|e }}{{ '<'|safe|escape }}{{ '<'|e|forceescape "
               "}}{{ 5|e }}{{ '<b>'|e|upper }}",
               NULL, "&lt;a href=&#34;x&#34;&gt;&#39;&amp;&lt;<&amp;lt;5&LT;B&GT;");
}

TEST(markup_escapes_what_it_is_joined_with)
{
    check_text(
        "{{ '<b>'|safe + '<' }}{{ '<' + '<b>'|safe }}{{ '<%s>'|safe|format('<') }}{{ ('<'|safe) ~ "
        "'<' }}{{ '-'|safe ~ 1 }}{{ 'a'|safe|replace('a', '<') }}{{ ('<'|safe).join(['<', 'x']) }}",
        NULL, "<b>&lt;&lt;<b><&lt;><<-1<&lt;<x");
}

TEST(autoescape_escapes_what_is_no_markup)
{
    check_text("{% autoescape true %}<{{ '<' }}{{ '<'|safe }}{{ ['<', '<'|safe]|join('&') }}{{ "
               "'a'|replace('a', '<') }}{{ {'a': '<'}|xmlattr }}{{ '<' ~ '>' }}{{ ('<'|safe) ~ '>' "
               "}}{% endautoescape %}{{ '<' }}",
               NULL, "<&lt;<&lt;&amp;<&lt; a=\"&lt;\"&lt;&gt;<&gt;<");
}

TEST(tags_and_comments_are_taken_out_and_entities_read)
{
    check_text("{{ '<p>a &amp; b<!-- <x> --> c</p>'|striptags }}", NULL, "a & b c");
    check_text("{{ 'a\\n <b>  b</b>\\t'|striptags }}|{{ '1 < 2'|striptags }}|{{ "
               "'&#65;&#x42;&#0;&#128;&#xD800;&#1;'|striptags }}|{{ '&notit; &notin; &amp &nosuch; "
               "&nGt;'|striptags }}|{{ 'x<!-- open'|striptags }}",
               NULL, "a b|1 < 2|AB�€�|¬it; ∉ & &nosuch; ≫⃒|x<!-- open");
}

TEST(attributes_of_xml)
{
    check_text("{{ {'class': 'a<', 'x': none, 'n': 1}|xmlattr }}|{{ {'a': 1}|xmlattr(false) }}|{{ "
               "{}|xmlattr }}",
               NULL, " class=\"a&lt;\" n=\"1\"|a=\"1\"|");
    check_fails("{{ [1]|xmlattr }}", NULL,
                "AttributeError: 'list' object has no attribute 'items'");
    check_fails("{{ missing|xmlattr }}", NULL, "UndefinedError: 'missing' is undefined");
}

TEST(addresses_are_encoded)
{
    check_text("{{ 'a b/ü?&=~'|urlencode }}|{{ {'a b': 'c/d', 'e': 1}|urlencode }}|{{ [('a', '&'), "
               "['b', none]]|urlencode }}|{{ 5|urlencode }}",
               NULL, "a%20b/%C3%BC%3F%26%3D~|a+b=c%2Fd&e=1|a=%26&b=None|5");
    check_fails("{{ [1]|urlencode }}", NULL, "TypeError: cannot unpack non-iterable int object");
    check_fails("{{ ['abc']|urlencode }}", NULL,
                "ValueError: too many values to unpack (expected 2)");
    check_fails("{{ ['a']|urlencode }}", NULL,
                "ValueError: not enough values to unpack (expected 2, got 1)");
}

TEST(what_looks_like_an_address_becomes_a_link)
{
    check_text("{{ 'see http://example.com/x?a=1&b=2, or www.a-b.org.'|urlize }}", NULL,
               "see <a href=\"http://example.com/x?a=1&amp;b=2\" "
               "rel=\"noopener\">http://example.com/x?a=1&amp;b=2</a>, or <a "
               "href=\"https://www.a-b.org\" rel=\"noopener\">www.a-b.org</a>.");
    check_text("{{ '(https://example.com) <foo.net> me@example.org mailto:a@b.co x@y'|urlize }}",
               NULL,
               "(<a href=\"https://example.com\" rel=\"noopener\">https://example.com</a>) &lt;<a "
               "href=\"https://foo.net\" rel=\"noopener\">foo.net</a>&gt; <a "
               "href=\"mailto:me@example.org\">me@example.org</a> <a "
               "href=\"mailto:a@b.co\">a@b.co</a> x@y");
    check_text("{{ 'http://192.168.0.1:80/ http://[::1]/ http://localhost'|urlize }}", NULL,
               "<a href=\"http://192.168.0.1:80/\" rel=\"noopener\">http://192.168.0.1:80/</a> <a "
               "href=\"http://[::1]/\" rel=\"noopener\">http://[::1]/</a> <a "
               "href=\"http://localhost\" rel=\"noopener\">http://localhost</a>");
    check_text("{{ 'https://example.com/long/path'|urlize(10, true, '_blank', 'x noopener') }}",
               NULL,
               "<a href=\"https://example.com/long/path\" rel=\"nofollow noopener x\" "
               "target=\"_blank\">https://ex...</a>");
    check_text("{{ 'tel:123 ftp://x'|urlize(extra_schemes=['tel:', 'ftp://']) }}", NULL,
               "<a href=\"tel:123\" rel=\"noopener\">tel:123</a> <a href=\"ftp://x\" "
               "rel=\"noopener\">ftp://x</a>");
    check_fails("{{ 'a'|urlize(extra_schemes=['x']) }}", NULL,
                "FilterArgumentError: 'x' is not a valid URI scheme prefix.");
    check_text("{{ 'example.com example.xyz foo.bar.info:8080/a xn--a.com "
               "http://xn--9aa.xn--p1ai'|urlize }}",
               NULL,
               "<a href=\"https://example.com\" rel=\"noopener\">example.com</a> example.xyz <a "
               "href=\"https://foo.bar.info:8080/a\" rel=\"noopener\">foo.bar.info:8080/a</a> <a "
               "href=\"https://xn--a.com\" rel=\"noopener\">xn--a.com</a> <a "
               "href=\"http://xn--9aa.xn--p1ai\" rel=\"noopener\">http://xn--9aa.xn--p1ai</a>");
}

TEST(json_is_that_of_transformers)
{
    check_text("{{ {'a': [1, 2.0, none, true, 'é\"\\n<']}|tojson }}", NULL,
               "{\"a\": [1, 2.0, null, true, \"é\\\"\\n<\"]}");
    check_text("{{ {'b': 1, 'a': [1, {}]}|tojson(indent=2) }}", NULL,
               "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    {}\n  ]\n}");
    check_text("{{ {'b': 1, 'a': 'é'}|tojson(true, none, (',', ':'), true) }}", NULL,
               "{\"a\":\"\\u00e9\",\"b\":1}");
    check_text("{{ []|tojson(1) }}{{ [1]|tojson(indent='--') }}", NULL, "[][\n--1\n]");
    check_fails("{{ missing|tojson }}", NULL,
                "TypeError: Object of type Undefined is not JSON serializable");
    check_fails("{{ [1]|tojson(separators=1) }}", NULL,
                "TypeError: cannot unpack non-iterable int object");
    check_fails("{{ [1]|tojson(indent=1.5) }}", NULL,
                "TypeError: can't multiply sequence by non-int of type 'float'");
}

TEST(pprint_breaks_at_eighty_characters)
{
    check_text("{{ {'b': 1, 'a': [1, 'x']}|pprint }}", NULL, "{'a': [1, 'x'], 'b': 1}");
    check_text("{{ range(40)|list|pprint }}", NULL,
               "[0,\n 1,\n 2,\n 3,\n 4,\n 5,\n 6,\n 7,\n 8,\n 9,\n 10,\n 11,\n 12,\n 13,\n 14,\n "
               "15,\n 16,\n 17,\n 18,\n 19,\n 20,\n 21,\n 22,\n 23,\n 24,\n 25,\n 26,\n 27,\n "
               "28,\n 29,\n 30,\n 31,\n 32,\n 33,\n 34,\n 35,\n 36,\n 37,\n 38,\n 39]");
    check_text("{{ {'k' * 30: 'v' * 30, 'a' * 20: ['w' * 40, ('x' * 50,)]}|pprint }}", NULL,
               "{'aaaaaaaaaaaaaaaaaaaa': ['wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww',\n            "
               "              ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',)],\n "
               "'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk': 'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv'}");
    check_text("{{ ('word ' * 30)|pprint }}", NULL,
               "('word word word word word word word word word word word word word word word '\n "
               "'word word word word word word word word word word word word word word word ')");
    check_text("{{ ['line one\\nline two ' * 8]|pprint }}", NULL,
               "['line one\\n'\n 'line two line one\\n'\n 'line two line one\\n'\n 'line two line "
               "one\\n'\n 'line two line one\\n'\n 'line two line one\\n'\n 'line two line "
               "one\\n'\n 'line two line one\\n'\n 'line two ']");
    check_text("{{ {1: 2, 'a': 3}|pprint }}{{ ()|pprint }}", NULL, "{1: 2, 'a': 3}()");
}

/* Numbers, texts and names. Every want is what jinja2 3.1.2 gives. */
#include "tests/unit/runtime_jinja/rendering.h"

#include "tests/test.h"

TEST(numbers)
{
    check_text("{{ [1_000, 0x_fF, 0b1_0, 0o17, 00, 0X1f] }}", NULL, "[1000, 255, 2, 15, 0, 31]");
    check_text("{{ [1.5, 1e3, 1.5e-3, 1_0.2_5, 01.5, 1E+2] }}", NULL,
               "[1.5, 1000.0, 0.0015, 10.25, 1.5, 100.0]");
    check_text("{{ 9223372036854775807 }}", NULL, "9223372036854775807");
    check_text("{{ [[1, 2], 3].0.1 }}", NULL, "2");
    check_text("{{ 1.5.6 is undefined }}", NULL, "True");
    check_fails("{{ 1abc }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'abc'");
    check_fails("{{ 01 }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'integer'");
    check_fails("{{ 1_ }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got '_'");
    check_fails("{{ 0x }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'x'");
    check_text("{{ 1.e5 is undefined }}", NULL, "True");
}

TEST(strings)
{
    check_text("{{ '\\n\\t\\\\\\'\\\"\\a\\x41\\101é\\u00e9\\U0001f600' }}", NULL,
               "\n\t\\'\"\007AAéé😀");
    check_text("{{ \"a\\qb\\é\\€\\😀\" }}", NULL, "a\\qb\\xe9\\u20ac\\U0001f600");
    check_text("{{ 'a\\\nb' }}", NULL, "ab");
    check_text("{{ 'a' \"b\" 'c'|upper }}", NULL, "ABC");
    check_text("{{ \"it's\" 'a \"q\"' }}", NULL, "it'sa \"q\"");
    check_fails("{{ '\\x4' }}", NULL, "TemplateSyntaxError: truncated \\xXX escape");
    check_fails("{{ '\\u12' }}", NULL, "TemplateSyntaxError: truncated \\uXXXX escape");
    check_fails("{{ '\\U0001f6' }}", NULL, "TemplateSyntaxError: truncated \\UXXXXXXXX escape");
    check_fails("{{ '\\U00110000' }}", NULL, "TemplateSyntaxError: illegal Unicode character");
    check_fails("{{ '\\N' }}", NULL, "TemplateSyntaxError: malformed \\N character escape");
    check_fails("{{ 'abc }}", NULL, "TemplateSyntaxError: unexpected char \"'\" at 3");
    check_fails("{{ 'abc\\' }}", NULL, "TemplateSyntaxError: unexpected char \"'\" at 3");
    check_text("{{ '\\777\\18' }}", NULL, "ǿ\0018");
}

TEST(names)
{
    check_text("{{ é }}{{ _a1 }}{{ 名前 }}", NULL, "");
    check_fails("{{ ² }}", NULL, "TemplateSyntaxError: Invalid character in identifier");
    check_fails("{{ a² }}", NULL, "TemplateSyntaxError: Invalid character in identifier");
    check_fails("{{ ٣ }}", NULL, "TemplateSyntaxError: Invalid character in identifier");
    check_text("{{ if }}{{ and }}{{ True }}{{ none }}{{ false }}", NULL, "TrueNoneFalse");
    check_fails("{{ not }}", NULL, "TemplateSyntaxError: unexpected 'end of print statement'");
}

TEST(characters_that_are_no_tokens)
{
    check_fails("{{ a ? }}", NULL, "TemplateSyntaxError: unexpected char '?' at 5");
    check_fails("é{{ é ! }}", NULL, "TemplateSyntaxError: unexpected char '!' at 6");
    check_fails("{{ a \\ b }}", NULL, "TemplateSyntaxError: unexpected char '\\\\' at 5");
    check_fails("{{ $ }}", NULL, "TemplateSyntaxError: unexpected char '$' at 3");
    check_fails("{{ ' }}", NULL, "TemplateSyntaxError: unexpected char \"'\" at 3");
    check_fails("{{ \" }}", NULL, "TemplateSyntaxError: unexpected char '\"' at 3");
    check_fails("{{ & }}", NULL, "TemplateSyntaxError: unexpected char '&' at 3");
    check_fails("{{ a b ? }}", NULL,
                "TemplateSyntaxError: expected token 'end of print statement', got 'b'");
}

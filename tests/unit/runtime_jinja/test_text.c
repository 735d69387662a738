#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/text.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <stdio.h>
#include <string.h>

#define V(literal) value_of(&r, literal)

/* "ab", then "cd" of a user, "é" of ours, "😀" of a user, "z" */
static struct value mixed(struct run *r)
{
    struct builder b;
    struct value v;
    builder_init(&b, r);
    CHECK(builder_add_text(&b, "ab") && builder_add(&b, "c", 1, true) &&
          builder_add(&b, "d", 1, true) && builder_add_char(&b, 0xE9, false) &&
          builder_add_char(&b, 0x1F600, true) && builder_add_text(&b, "z") && builder_end(&b, &v));
    return v;
}

TEST(a_builder_joins_marks_that_touch)
{
    struct run r = start_run();
    const struct value v = mixed(&r);
    CHECK_STR(marked(&r, v), "ab‹cd›é‹😀›z");
    CHECK_EQ(v.as.string->n_marks, 2);
    CHECK_EQ(v.as.string->n_chars, 7);
    arena_release(&r.arena);
}

TEST(a_cut_takes_the_marks_with_it)
{
    struct run r = start_run();
    const struct string *s = mixed(&r).as.string;
    struct value v;
    CHECK(string_part(&r, s, 3, 6, &v));
    CHECK_STR(marked(&r, v), "‹d›é");
    CHECK_EQ(v.as.string->n_chars, 2);
    CHECK(string_part(&r, s, 1, 11, &v));
    CHECK_STR(marked(&r, v), "b‹cd›é‹😀›z");
    CHECK(string_part(&r, v.as.string, 1, 3, &v)); /* of a cut */
    CHECK_STR(marked(&r, v), "‹cd›");
    CHECK(string_part(&r, s, 3, 3, &v));
    CHECK_EQ(v.as.string->n_marks, 0);
    CHECK(string_part(&r, s, 0, s->n_bytes, &v));
    CHECK(v.as.string == s);
    arena_release(&r.arena);
}

TEST(every_cut_of_a_marked_text_marks_the_same_bytes)
{
    struct run r = start_run();
    const struct string *s = mixed(&r).as.string;
    for (size_t begin = 0; begin < s->n_bytes; begin++) {
        for (size_t end = begin; end <= s->n_bytes; end++) {
            struct builder b;
            struct value cut, added;
            CHECK(string_part(&r, s, begin, end, &cut));
            builder_init(&b, &r);
            CHECK(builder_add_part(&b, s, begin, end) && builder_end(&b, &added));
            for (size_t at = begin; at < end; at++) {
                const bool want = string_has_user(s, at, at + 1);
                CHECK_EQ(string_has_user(cut.as.string, at - begin, at - begin + 1), want);
                CHECK_EQ(string_has_user(added.as.string, at - begin, at - begin + 1), want);
            }
        }
    }
    arena_release(&r.arena);
}

TEST(a_text_without_bytes_can_be_built_and_cut)
{
    struct run r = start_run();
    struct builder b;
    struct value v;
    builder_init(&b, &r);
    CHECK(builder_add(&b, NULL, 0, true) && builder_end(&b, &v));
    CHECK_EQ(v.as.string->n_bytes, 0);
    CHECK_EQ(v.as.string->n_marks, 0);
    CHECK(string_part(&r, v.as.string, 0, 0, &v));
    CHECK_EQ(string_find(v.as.string, v.as.string, 0), 0);
    arena_release(&r.arena);
}

TEST(a_builder_grows_in_linear_memory)
{
    struct run r = start_run();
    struct builder b;
    struct value v;
    builder_init(&b, &r);
    for (int i = 0; i < 1000000; i++)
        CHECK(builder_add(&b, "x", 1, i % 2 == 0));
    CHECK(builder_end(&b, &v));
    CHECK_EQ(v.as.string->n_marks, 500000);
    CHECK(r.n_bytes < 24 * 1000000);
    arena_release(&r.arena);
}

TEST(a_builder_prints_texts_longer_than_its_own_room)
{
    struct run r = start_run();
    struct builder b;
    struct value v;
    builder_init(&b, &r);
    CHECK(builder_printf(&b, "%0600d|", 7) && builder_printf(&b, "%s", "é") && builder_end(&b, &v));
    CHECK_EQ(v.as.string->n_bytes, 603);
    CHECK_EQ(v.as.string->n_chars, 602);
    CHECK_EQ(v.as.string->data[599], '7');
    arena_release(&r.arena);
}

TEST(what_does_not_fit_the_budget_is_refused_before_it_is_made)
{
    struct run r = start_run();
    struct builder b;
    builder_init(&b, &r);
    CHECK(!builder_add_fill(&b, "abcd", 4, false, SIZE_MAX / 2));
    CHECK_EQ(r.exception, LIMIT_EXCEEDED);
    CHECK(r.n_bytes < 1000);
    arena_release(&r.arena);
}

TEST(places_of_characters_and_bytes_agree)
{
    struct run r = start_run();
    const struct string *s = V("'aé中😀b'").as.string;
    static const size_t want[] = {0, 1, 3, 6, 10, 11, 11};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK_EQ(string_byte_of(s, i), want[i]);
    CHECK_EQ(string_byte_of(V("'abc'").as.string, 2), 2);
    CHECK_EQ(string_byte_of(V("'abc'").as.string, 9), 3);
    arena_release(&r.arena);
}

TEST(a_needle_is_found_from_a_place_on)
{
    struct run r = start_run();
    const struct string *s = V("'abcabc'").as.string;
    CHECK_EQ(string_find(s, V("'bc'").as.string, 0), 1);
    CHECK_EQ(string_find(s, V("'bc'").as.string, 2), 4);
    CHECK(string_find(s, V("'bc'").as.string, 5) == SIZE_MAX);
    CHECK_EQ(string_find(s, V("''").as.string, 6), 6);
    CHECK(string_find(s, V("''").as.string, 7) == SIZE_MAX);
    arena_release(&r.arena);
}

TEST(escaping_keeps_what_is_the_users)
{
    struct run r = start_run();
    struct builder b;
    struct value v;
    builder_init(&b, &r);
    CHECK(builder_add_escaped(&b, V("'a<'").as.string) &&
          builder_add_escaped(&b, V("u'&\\'x'").as.string) && builder_end(&b, &v));
    CHECK_STR(marked(&r, v), "a&lt;‹&amp;&#39;x›");
    arena_release(&r.arena);
}

TEST(characters_have_pythons_properties)
{
    static const struct {
        uint32_t c;
        const char *has; /* s space, a alpha, d digit, D decimal, n numeric, u upper, l lower,
                            t title, p printable */
    } cases[] = {
        {'a', "alp"},    {'Z', "aup"},     {'5', "dDnp"},     {' ', "sp"},    {'\n', "s"},
        {0x1C, "s"},     {0x7F, ""},       {0xA0, "s"},       {0xAA, "alp"},  {0xB2, "dnp"},
        {0xBD, "np"},    {0xC9, "aup"},    {0x1C5, "atp"},    {0x345, "lp"},  {0x661, "dDnp"},
        {0x2028, "s"},   {0x200B, ""},     {0x2160, "nup"},   {0x24D0, "lp"}, {0x3000, "s"},
        {0x4E00, "anp"}, {0x4E01, "ap"},   {0xFEFF, ""},      {0xE000, ""},   {0x378, ""},
        {0x1F600, "p"},  {0x10A40, "dnp"}, {0x1D7CE, "dDnp"}, {0x10FFFF, ""}, {0xAD, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t c = cases[i].c;
        char has[16];
        snprintf(has, sizeof has, "%s%s%s%s%s%s%s%s%s", char_is_space(c) ? "s" : "",
                 char_is_alpha(c) ? "a" : "", char_is_digit(c) ? "d" : "",
                 char_is_decimal(c) ? "D" : "", char_is_numeric(c) ? "n" : "",
                 char_is_upper(c) ? "u" : "", char_is_lower(c) ? "l" : "",
                 char_is_title(c) ? "t" : "", char_is_printable(c) ? "p" : "");
        if (strcmp(has, cases[i].has) != 0)
            test_fail(__FILE__, __LINE__, "U+%04X has %s, want %s", c, has, cases[i].has);
    }
}

#include "base/bytes.h"
#include "base/error.h"
#include "base/utf8.h"
#include "runtime/text/normal_form.h"
#include "runtime/text/pattern.h"
#include "runtime/text/unicode.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static void check_nfc(const char *text, const char *want)
{
    struct normal_form_work work = {0};
    struct bytes out = {0};
    if (!normal_form_run(NORMAL_FORM_C, &work, text, strlen(text), &out))
        bytes_add_text(&out, text);
    CHECK_STR(out.data, want);
    normal_form_work_release(&work);
    bytes_release(&out);
}

TEST(nfc_composes_orders_and_leaves_the_rest)
{
    check_nfc("plain", "plain");
    check_nfc("e\xCC\x81", "\xC3\xA9");
    check_nfc("xe\xCC\x81y", "x\xC3\xA9y");
    check_nfc("a\xCC\x96\xCC\x81", "\xC3\xA1\xCC\x96"); /* passes a mark of a lower class */
    check_nfc("a\xCC\x81\xCC\x96", "\xC3\xA1\xCC\x96");
    check_nfc("\xE2\x84\xAB", "\xC3\x85");                             /* the Angstrom sign */
    check_nfc("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"); /* three jamo */
    check_nfc("\xED\x95\x98\xE1\x86\xAB", "\xED\x95\x9C");             /* two of them composed */
    check_nfc("\xEA\xB0\x80\xE1\x86\xA7", "\xEA\xB0\x80\xE1\x86\xA7"); /* U+11A7 is no final */
    check_nfc("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"); /* excluded from composition */
}

/* One run of many marks, with the classes falling: a sort by exchange would take 10^11 steps. */
TEST(a_million_marks_are_ordered_in_time)
{
    enum { N = 1 << 20 };
    struct bytes text = {0}, out = {0};
    struct normal_form_work work = {0};
    bytes_add_char(&text, 'x');
    for (int i = 0; i < N; i++)
        bytes_add_text(&text, i % 2 ? "\xCC\x96" : "\xCC\x88"); /* classes 220 and 230 */
    CHECK(normal_form_run(NORMAL_FORM_C, &work, text.data, text.len, &out));
    CHECK_EQ(out.len, 3 + 2 * (N - 1)); /* x and the first U+0308 are one of three bytes */
    CHECK(memcmp(out.data, "\xE1\xBA\x8D\xCC\x96\xCC\x96", 7) == 0);
    CHECK(memcmp(out.data + out.len - 4, "\xCC\x88\xCC\x88", 4) == 0);
    normal_form_work_release(&work);
    bytes_release(&text);
    bytes_release(&out);
}

/* utf8proc, as a whole and slowly, for what it gets right. */
TEST(nfc_is_that_of_the_library_for_every_character_alone)
{
    struct normal_form_work work = {0};
    struct bytes out = {0};
    for (int32_t c = 1; c < 0x110000; c++) {
        char text[5] = "";
        if ((c >= 0xD800 && c < 0xE000) || c == 0x11938) /* 11938: newer than the reference */
            continue;
        const size_t n = utf8_write(text, (uint32_t)c);
        utf8proc_uint8_t *want = utf8proc_NFC((const utf8proc_uint8_t *)text);
        CHECK(want != NULL);
        bytes_clear(&out);
        if (!normal_form_run(NORMAL_FORM_C, &work, text, n, &out))
            bytes_add(&out, text, n);
        CHECK_STR(out.data, (const char *)want);
        free(want);
    }
    normal_form_work_release(&work);
    bytes_release(&out);
}

TEST(stand_ins_have_the_same_length_and_an_old_category)
{
    int n = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        if (c >= 0xD800 && c < 0xE000)
            continue;
        const uint32_t old = unicode_stand_in(c);
        n += old != c;
        CHECK_EQ(utf8_write(text, c), utf8_write(text, old));
        CHECK_EQ(unicode_stand_in(old), old);
        CHECK(old == c || utf8proc_category((int32_t)old) != UTF8PROC_CATEGORY_CN);
        const utf8proc_category_t known = utf8proc_category((int32_t)c);
        if (known != UTF8PROC_CATEGORY_CN) /* the library knows the new one as well */
            CHECK_EQ(utf8proc_category((int32_t)old), known);
    }
    CHECK_EQ(n, 10302);
}

TEST(spaces_are_the_25_of_unicode)
{
    int n = 0;
    for (uint32_t c = 0; c < 0x110000; c++)
        n += unicode_is_space(c);
    CHECK_EQ(n, 25);
    CHECK(!unicode_is_space(0x180E));
    CHECK(!unicode_is_space(0x200B));
}

static int matches(const char *regex, const char *text)
{
    struct pattern *p;
    struct error err = {0};
    struct bytes room = {0};
    struct span match;
    bool found;
    pattern_create(&p, regex, &err);
    CHECK_STR(err.text, "");
    struct pattern_work *work = pattern_work_create();
    pattern_work_limit(work, strlen(text));
    CHECK(pattern_find(p, work, unicode_settle(text, strlen(text), &room), strlen(text), 0, &match,
                       &found, &err));
    pattern_work_destroy(work);
    pattern_destroy(p);
    bytes_release(&room);
    return found ? (int)(match.end - match.begin) : -1;
}

TEST(patterns_mean_what_they_mean_in_ruby)
{
    CHECK_EQ(matches("\\p{L}+", "\xF0\xB1\x8D\x90"), 4); /* a letter since Unicode 15 */
    CHECK_EQ(matches("\\s", "\xE1\xA0\x8E"), -1);        /* U+180E is no space */
    CHECK_EQ(matches("[^\\s\\p{L}\\p{N}]", "\xE1\xA0\x8E"), 3);
    CHECK_EQ(matches("\\w+", "a\xCC\x81_1-"), 5); /* a mark is part of a word */
    CHECK_EQ(matches("\\h+", "beefy"), 4);        /* hexadecimal digits */
    CHECK_EQ(matches("b$", "ab\nc"), 1);          /* at every line */
    CHECK_EQ(matches("a.b", "a\nb"), -1);
    CHECK_EQ(matches("(?m:a.b)", "a\nb"), 3); /* Ruby's m */
    CHECK_EQ(matches("\\u0041", "A"), 1);
    CHECK_EQ(matches("[]a]+", "]a"), 2);
    CHECK_EQ(matches("[[:alpha:]]+", "ab1"), 2);
    CHECK_EQ(matches("(?i:'s)", "'\xC5\xBF"), 3); /* the long s */
}

TEST(patterns_that_would_mean_something_else_are_refused)
{
    static const char *const patterns[] = {
        "[a&&[b]]", "[a[b]]",  "a{1,2}+", "(?~a)", "\\Ra",
        "[\\W]",    "(*UTF)a", "a\\",     "\\K",   "(?<name>a)\\k<name>"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct pattern *p;
        struct error err = {0};
        if (pattern_create(&p, patterns[i], &err))
            test_fail(__FILE__, __LINE__, "%s is taken", patterns[i]);
        CHECK_EQ(err.kind, ERROR_UNSUPPORTED);
    }
}

#include "base/bytes.h"
#include "base/error.h"
#include "base/utf8.h"
#include "runtime/text/normalize/grapheme.h"
#include "runtime/text/normalize/normal_form.h"
#include "runtime/text/normalize/unicode_old.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/split/unicode_script.h"
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
    struct pattern_scan scan = {0};
    CHECK(pattern_next(p, work, unicode_settle(text, strlen(text), &room), strlen(text), &scan,
                       &match, &found, &err));
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
    CHECK_EQ(matches("[[:punct:]]+", "$-a"), 2);  /* signs too */
    CHECK_EQ(matches("\\w+", "\xC2\xBD"), 2);     /* a half is a word, */
    CHECK_EQ(matches("[\\w]+", "\xC2\xBD"), -1);  /* but not in a class */
    CHECK_EQ(matches("\\w", "\xE2\x80\x8D"), -1); /* a joiner is none */
    CHECK_EQ(matches("\\bb\\b", "a\xCC\x81"
                                "b"),
             -1); /* a mark is part of a word */
    CHECK_EQ(matches("a\\B", "ab"), 1);
    CHECK_EQ(matches("\\p{Han}", "\xE3\x80\x81"), -1);     /* U+3001 is used with Han, not Han */
    CHECK_EQ(matches("\\p{Han}", "\xF0\xB1\x8D\x90"), 4);  /* an ideograph since Unicode 15 */
    CHECK_EQ(matches("\\p{Han}", "\xF0\x9E\x93\x90"), -1); /* another new letter */
    CHECK_EQ(matches("\\p{^L}", "a1"), 1);
    CHECK_EQ(matches("(?i:'s)", "'\xC5\xBF"), 3); /* the long s */
}

TEST(patterns_that_would_mean_something_else_are_refused)
{
    static const char *const patterns[] = {
        "[a&&[b]]", "[a[b]]", "a{1,2}+", "(?~a)",   "\\Ra", "[[:graph:]]", "\\pL",
        "\\p{L&}",  "[\\b]",  "[\\W]",   "(*UTF)a", "a\\",  "\\K",         "(?<name>a)\\k<name>"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct pattern *p;
        struct error err = {0};
        if (pattern_create(&p, patterns[i], &err))
            test_fail(__FILE__, __LINE__, "%s is taken", patterns[i]);
        CHECK_EQ(err.kind, ERROR_UNSUPPORTED);
    }
}

/* The numbers are those of the reference library, asked for each character. */
TEST(old_categories_have_as_many_characters_as_in_the_library)
{
    int n_marks = 0, n_nonspacing = 0, n_punctuation = 0, n_upper = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t lower[2];
        if (c >= 0xD800 && c < 0xE000)
            continue;
        n_marks += unicode_old_is_mark(c);
        n_nonspacing += unicode_old_is_nonspacing(c);
        n_punctuation += unicode_old_is_punctuation(c);
        n_upper += unicode_lower(c, lower) == 2 || lower[0] != c;
    }
    CHECK_EQ(n_marks, 2097);
    CHECK_EQ(n_nonspacing, 1567);
    CHECK_EQ(n_punctuation, 726);
    CHECK_EQ(n_upper, 1488);
}

TEST(scripts_are_equal_or_not)
{
    CHECK_EQ(unicode_script('a'), unicode_script(0xE9));
    CHECK(unicode_script('a') != unicode_script('1'));
    CHECK_EQ(unicode_script(0x3042), unicode_script(0x4E00)); /* Hiragana goes as Han */
    CHECK_EQ(unicode_script(0x30FC), unicode_script(0x4E00));
    CHECK_EQ(unicode_script(' '), UNICODE_SCRIPT_ANY);
    CHECK_EQ(unicode_script(0x0378), UNICODE_SCRIPT_ANY); /* not assigned */
}

static void check_clusters(const char *text, const char *want)
{
    struct bytes got = {0};
    for (size_t at = 0, n = strlen(text); at < n;) {
        const size_t end = grapheme_end(text, n, at);
        bytes_printf(&got, "%s%zu", at ? " " : "", end - at);
        at = end;
    }
    CHECK_STR(got.data, want);
    bytes_release(&got);
}

TEST(clusters_end_where_a_reader_sees_an_end)
{
    check_clusters("ab", "1 1");
    check_clusters("a\xCC\x81\xCC\x81"
                   "b",
                   "5 1");
    check_clusters("\r\n\n\r", "2 1 1");
    check_clusters("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7!", "11 1");   /* joined */
    check_clusters("\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xF0\x9F\x87\xAB", "8 4"); /* flags */
    check_clusters("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "9");               /* jamo */
    /* KA, virama, TA: one conjunct (GB9c), but not without the virama */
    check_clusters("\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xA4", "9");
    check_clusters("\xE0\xA4\x95\xE0\xA4\xA4", "3 3");
}

/* Each normalizer alone. What is wanted here was checked against Hugging Face's library, 0.23. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/normalize/normalizer.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <jansson.h>
#include <string.h>

#define WORDS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }
#define MODEL "'model':{'vocab':{'a':0},'merges':[]}"

static bool open_normalizer(struct normalizer *n, const char *stage, struct error *err)
{
    struct bytes text = {0};
    bytes_add_text(&text, stage);
    for (size_t i = 0; i < text.len; i++)
        text.data[i] = text.data[i] == '\'' ? '"' : text.data[i];
    json_t *json = json_loadb(text.data, text.len, 0, NULL);
    CHECK(json != NULL);
    const bool ok = normalizer_parse(n, json, err);
    json_decref(json);
    bytes_release(&text);
    return ok;
}

/* Normalizes; *n_first as normalizer_run() has it, and `want` "" checks nothing but that. */
static void check_first(const char *stage, const char *text, const char *want, size_t first,
                        size_t want_first)
{
    struct normalizer n;
    struct error err = {0};
    size_t n_bytes = strlen(text);
    struct normalizer_work work = {.patterns = pattern_work_create()};
    open_normalizer(&n, stage, &err);
    CHECK_STR(err.text, "");
    pattern_work_limit(work.patterns, n_bytes);
    CHECK(normalizer_run(&n, &work, &text, &n_bytes, &first, &err));
    struct bytes got = {0};
    bytes_add(&got, text, n_bytes);
    CHECK_STR(got.data ? got.data : "", want);
    CHECK_EQ(first, want_first);
    bytes_release(&got);
    pattern_work_destroy(work.patterns);
    normalizer_work_release(&work);
    normalizer_release(&n);
}

static void check(const char *stage, const char *text, const char *want)
{
    check_first(stage, text, want, 0, 0);
}

TEST(the_four_forms_compose_and_decompose)
{
    check("{'type':'NFC'}", "e\xCC\x81\xEF\xAC\x81", "\xC3\xA9\xEF\xAC\x81");
    check("{'type':'NFD'}", "\xC3\xA9\xEF\xAC\x81", "e\xCC\x81\xEF\xAC\x81");
    check("{'type':'NFKC'}", "e\xCC\x81\xEF\xAC\x81",
          "\xC3\xA9"
          "fi");
    check("{'type':'NFKD'}", "\xC3\xA9\xEF\xAC\x81",
          "e\xCC\x81"
          "fi");
    check("{'type':'NFD'}", "\xED\x95\x9C", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"); /* Hangul */
    check("{'type':'NFKC'}", "\xE3\x8B\xBF", "\xE3\x8B\xBF"); /* U+32FF: newer than the tables */
    check("{'type':'NFKD'}", "\xC2\xBD",
          "1\xE2\x81\x84"
          "2");
}

TEST(lower_case_looks_at_no_neighbour)
{
    check("{'type':'Lowercase'}", "ABC\xC3\x84\xCE\xA3", "abc\xC3\xA4\xCF\x83"); /* final sigma */
    check("{'type':'Lowercase'}", "\xC4\xB0", "i\xCC\x87");                      /* I with a dot */
    check("{'type':'Lowercase'}", "\xEA\x9F\x8B", "\xC9\xA4"); /* U+A7CB, Unicode 16 */
}

TEST(strip_takes_white_space_of_all_kinds)
{
    check("{'type':'Strip','strip_left':true,'strip_right':false}",
          " \xE3\x80\x80"
          "a ",
          "a ");
    check("{'type':'Strip','strip_left':false,'strip_right':true}", " a \n\xC2\xA0", " a");
    check("{'type':'Strip','strip_left':true,'strip_right':true}", " \t ", "");
    check("{'type':'Strip','strip_left':false,'strip_right':false}", " a ", " a ");
}

TEST(accents_are_the_marks_of_unicode_9)
{
    check("{'type':'StripAccents'}", "a\xCC\x81\xC3\xA9", "a\xC3\xA9");
    check("{'type':'StripAccents'}", "a\xE1\xB3\xB2", "a");             /* U+1CF2: was a mark */
    check("{'type':'StripAccents'}", "a\xE0\xA2\x98", "a\xE0\xA2\x98"); /* U+0898: is younger */
}

TEST(replace_takes_a_text_or_a_pattern)
{
    check("{'type':'Replace','pattern':{'String':'ab'},'content':'x'}", "abcabab", "xcxx");
    check("{'type':'Replace','pattern':{'Regex':' {2,}'},'content':'_'}", "a  b   c d", "a_b_c d");
    check("{'type':'Replace','pattern':{'Regex':'b*'},'content':'x'}", "abbc", "xaxcx");
    check("{'type':'Replace','pattern':{'String':''},'content':'x'}", "ab", "xaxbx");
    check("{'type':'Replace','pattern':{'Regex':'a'},'content':''}", "aaa", "");
    check("{'type':'Replace','pattern':{'Regex':'b*'},'content':'x'}", "", "");
}

TEST(bert_cleans_cuts_ideographs_out_and_strips)
{
#define BERT(clean, chinese, accents, lower)                                          \
    "{'type':'BertNormalizer','clean_text':" clean ",'handle_chinese_chars':" chinese \
    ",'strip_accents':" accents ",'lowercase':" lower "}"
    check(BERT("true", "false", "null", "false"),
          "a\tb\x01\xC2\xA0"
          "c\xEF\xBF\xBD",
          "a b c");
    check(BERT("false", "true", "null", "false"),
          "a\xE4\xB8\xAD"
          "b",
          "a \xE4\xB8\xAD b");
    check(BERT("false", "false", "null", "true"), "\xC3\x84", "a"); /* null: as lowercase */
    check(BERT("false", "false", "false", "true"), "\xC3\x84", "\xC3\xA4");
    check(BERT("false", "false", "true", "false"), "\xC3\x84", "A");
}

TEST(nmt_and_byte_level_map_single_characters)
{
    check("{'type':'Nmt'}", "a\x01\n\xE2\x80\x8B\xE2\x96\x81z", "a   z");
    check("{'type':'ByteLevel'}", "a \xC3\xA9", "a\xC4\xA0\xC3\x83\xC2\xA9");
}

/* {"a": "xy"}: the unit of 'a', at 97, has a leaf at 98. */
static struct bytes charsmap_stage(void)
{
    static unsigned char blob[4 + 4 * 256 + 3];
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    blob[0] = 0;
    blob[1] = 4; /* 1024 bytes */
    unsigned char *unit_a = blob + 4 + 4 * 97, *value = blob + 4 + 4 * 98;
    const uint32_t unit = 3U << 10 | 1 << 8 | 'a'; /* 97 ^ 3 is 98 */
    for (int i = 0; i < 4; i++)
        unit_a[i] = (unsigned char)(unit >> (8 * i));
    value[3] = 0x80; /* text at 0 */
    memcpy(blob + 4 + 4 * 256, "xy", 3);
    struct bytes stage = {0};
    bytes_add_text(&stage, "{'type':'Precompiled','precompiled_charsmap':'");
    for (size_t i = 0; i < sizeof blob; i += 3) { /* 1031 bytes: two are left at the end */
        const unsigned b0 = blob[i], b1 = i + 1 < sizeof blob ? blob[i + 1] : 0;
        const unsigned b2 = i + 2 < sizeof blob ? blob[i + 2] : 0;
        bytes_add_char(&stage, digits[b0 >> 2]);
        bytes_add_char(&stage, digits[(b0 & 3) << 4 | b1 >> 4]);
        bytes_add_char(&stage, i + 1 < sizeof blob ? digits[(b1 & 15) << 2 | b2 >> 6] : '=');
        bytes_add_char(&stage, i + 2 < sizeof blob ? digits[b2 & 63] : '=');
    }
    bytes_add_text(&stage, "'}");
    return stage;
}

TEST(a_charsmap_maps_the_shortest_prefix_it_has)
{
    struct bytes stage = charsmap_stage();
    check(stage.data, "bab", "bxyb");
    check(stage.data, "a\xCC\x81", "xy");          /* a cluster, of which a prefix is mapped */
    check(stage.data, "a\xCC\x81\xCC\x81\xCC\x81", /* too long: character by character */
          "xy\xCC\x81\xCC\x81\xCC\x81");
    check_first(stage.data, "ab", "xyb", 1, 2);
    bytes_release(&stage);
}

TEST(a_charsmap_stops_where_the_text_gets_too_long)
{
    struct bytes stage = charsmap_stage();
    struct normalizer n;
    struct error err = {0};
    struct normalizer_work work = {.max_bytes = 7};
    const char *text = "aaab";
    size_t n_bytes = 3, n_first = 0;
    open_normalizer(&n, stage.data, &err);
    CHECK(normalizer_run(&n, &work, &text, &n_bytes, &n_first, &err));
    CHECK_EQ(n_bytes, 6);
    text = "aaaa";
    n_bytes = 4;
    CHECK(!normalizer_run(&n, &work, &text, &n_bytes, &n_first, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "more than 7 bytes") != NULL);
    CHECK(work.room[0].len <= 7);
    normalizer_work_release(&work);
    normalizer_release(&n);
    bytes_release(&stage);
}

TEST(charsmaps_that_are_damaged_are_refused_or_map_nothing)
{
#define CHARSMAP(base64) "'normalizer':{'type':'Precompiled','precompiled_charsmap':" base64 "},"
    check_refused(CHARSMAP("null") MODEL, ERROR_INPUT, WORDS("normalizer", "precompiled_charsmap"));
    check_refused(CHARSMAP("''") MODEL, ERROR_INPUT, WORDS("precompiled_charsmap"));
    check_refused(CHARSMAP("'AAA'") MODEL, ERROR_INPUT, WORDS("precompiled_charsmap", "base64"));
    check_refused(CHARSMAP("'AAAA*A=='") MODEL, ERROR_INPUT, WORDS("base64"));
    check_refused(CHARSMAP("'A==='") MODEL, ERROR_INPUT, WORDS("base64"));
    check_refused(CHARSMAP("'BAAAAA=='") MODEL, ERROR_INPUT, WORDS("trie"));     /* 4 bytes, none */
    check_refused(CHARSMAP("'AwAAAAAAAA=='") MODEL, ERROR_INPUT, WORDS("trie")); /* 3 bytes */
    check_refused(CHARSMAP("'/////w=='") MODEL, ERROR_INPUT, WORDS("trie"));
    check_refused(CHARSMAP("'AAAAAP8='") MODEL, ERROR_INPUT, WORDS("UTF-8")); /* text FF */
    /* one unit, which points far outside */
    check("{'type':'Precompiled','precompiled_charsmap':'BAAAAP////8='}", "abc\xC3\xA9",
          "abc\xC3\xA9");
    check("{'type':'Precompiled','precompiled_charsmap':'AAAAAA=='}", "abc", "abc"); /* no unit */
}

TEST(the_begin_of_a_text_is_followed_through_normalizers)
{
    check_first("{'type':'Prepend','prepend':'__'}", "ab", "__ab", 1, 3);
    check_first("{'type':'Strip','strip_left':true,'strip_right':true}", " ab", "ab", 1, 0);
    check_first("{'type':'Replace','pattern':{'String':'a'},'content':'xyz'}", "aa", "xyzxyz", 1,
                3);
    check_first("{'type':'Replace','pattern':{'String':'aa'},'content':'xyz'}", "aab", "xyzb", 1,
                0);
    check_first("{'type':'NFD'}",
                "\xC3\xA9"
                "b",
                "e\xCC\x81"
                "b",
                2, 3);
    check_first("{'type':'Nmt'}",
                "\x01"
                "ab",
                "ab", 1, 0);
}

TEST(normalizers_with_wrong_settings_are_refused)
{
#define NORMALIZER(stage) "'normalizer':" stage "," MODEL
    check_refused(NORMALIZER("{'type':'Strip','strip_left':true}"), ERROR_INPUT,
                  WORDS("normalizer", "Strip", "strip_right"));
    check_refused(NORMALIZER("{'type':'BertNormalizer','clean_text':true}"), ERROR_INPUT,
                  WORDS("BertNormalizer", "handle_chinese_chars"));
    check_refused(NORMALIZER("{'type':'Replace','pattern':{},'content':'a'}"), ERROR_INPUT,
                  WORDS("Replace", "pattern"));
    check_refused(NORMALIZER("{'type':'Replace','pattern':{'String':'a'}}"), ERROR_INPUT,
                  WORDS("Replace", "content"));
    check_refused(NORMALIZER("{'type':'Replace','pattern':{'Regex':'(a'},'content':''}"),
                  ERROR_UNSUPPORTED, WORDS("Replace", "(a"));
    check_refused(NORMALIZER("{'type':'Prepend'}"), ERROR_INPUT, WORDS("Prepend", "prepend"));
}

TEST(an_added_token_that_is_made_longer_without_end_is_refused)
{
    struct bytes members = {0}, many = {0};
    for (int i = 0; i < 1 << 15; i++)
        bytes_add_char(&many, 'b');
    bytes_printf(&members,
                 "'normalizer':{'type':'Sequence','normalizers':["
                 "{'type':'Replace','pattern':{'String':'a'},'content':'%s'},"
                 "{'type':'Replace','pattern':{'String':'%s'},'content':'c'}]},"
                 "'added_tokens':[{'content':'a','id':0,'normalized':true}]," MODEL,
                 many.data, many.data);
    check_refused(members.data, ERROR_INPUT, WORDS("added_tokens\"[0]", "after replacing"));
    bytes_release(&members);
    bytes_release(&many);
}

/* A thousand times the text in each of three steps would be a gigabyte. */
TEST(a_text_that_is_made_longer_without_end_is_refused)
{
    struct bytes members = {0}, thousand = {0};
    for (int i = 0; i < 1024; i++)
        bytes_add_char(&thousand, 'a');
    bytes_add_text(&members, "'normalizer':{'type':'Sequence','normalizers':[");
    for (int i = 0; i < 3; i++)
        bytes_printf(&members, "%s{'type':'Replace','pattern':{'String':'a'},'content':'%s'}",
                     i ? "," : "", thousand.data);
    bytes_add_text(&members, "]}," MODEL);
    struct tokenizer *t = small_tokenizer(members.data);
    struct encoder *e = encoder_create(t);
    struct ids ids = {0};
    struct error err = {0};
    CHECK(!encoder_encode(e, "a", 1, NULL, &ids, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "replacing") != NULL);
    encoder_destroy(e);
    tokenizer_close(t);
    bytes_release(&members);
    bytes_release(&thousand);
}

/* Each pre-tokenizer and post-processor alone: the words are seen by a model of whole words, of
 * which only the spelling matters. Checked against Hugging Face's library, release 0.23. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/split/pre_tokenizer.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <jansson.h>
#include <string.h>

#define WORDS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }
#define MODEL "'model':{'vocab':{'a':0,'b':1,'c':2},'merges':[]}"

/* The words, with '|' between. The first `first` bytes stem from the first character. */
static void check_from(const char *stage, const char *text, size_t first, const char *want)
{
    struct bytes quoted = {0}, got = {0};
    struct pre_tokenizer p;
    struct error err = {0};
    struct pre_tokenizer_work work = {.patterns = pattern_work_create()};
    size_t n_steps = SIZE_MAX;
    bool done;
    bytes_add_text(&quoted, stage);
    for (size_t i = 0; i < quoted.len; i++)
        quoted.data[i] = quoted.data[i] == '\'' ? '"' : quoted.data[i];
    json_t *json = json_loadb(quoted.data, quoted.len, 0, NULL);
    CHECK(json != NULL);
    pre_tokenizer_parse(&p, json, &err);
    CHECK_STR(err.text, "");
    pattern_work_limit(work.patterns, strlen(text));
    pre_tokenizer_begin(&work, text, strlen(text), first);
    CHECK(pre_tokenizer_step(&p, &work, &n_steps, &done, &err));
    CHECK(done);
    for (size_t i = 0; i < work.spans.n; i++)
        bytes_printf(&got, "%s%.*s", i ? "|" : "",
                     (int)(work.spans.data[i].end - work.spans.data[i].begin),
                     work.text + work.spans.data[i].begin);
    CHECK_STR(got.data ? got.data : "", want);
    pre_tokenizer_work_release(&work);
    pattern_work_destroy(work.patterns);
    pre_tokenizer_release(&p);
    json_decref(json);
    bytes_release(&quoted);
    bytes_release(&got);
}

static void check(const char *stage, const char *text, const char *want)
{
    check_from(stage, text, 1, want);
}

#define LINE         "\xE2\x96\x81" /* U+2581 */
#define META(others) "{'type':'Metaspace','replacement':'\\u2581'" others "}"

TEST(metaspace_marks_spaces_and_cuts_before_them)
{
    check(META(""), "a b  c", LINE "a|" LINE "b|" LINE "|" LINE "c");
    check(META(""), " a", LINE "a"); /* it has one already */
    check(META(""), LINE "a", LINE "a");
    check(META(",'split':false"), "a b", LINE "a" LINE "b");
    check(META(",'prepend_scheme':'never'"), "a b", "a|" LINE "b");
    check(META(",'add_prefix_space':true,'prepend_scheme':'never'"), "a", "a");
    check(META(",'add_prefix_space':false"), "a", "a"); /* as files were before the scheme */
    check("{'type':'Metaspace','replacement':'_'}", "a b", "_a|_b");
}

TEST(metaspace_first_marks_only_what_begins_the_text)
{
    check(META(",'prepend_scheme':'first'"), "a b", LINE "a|" LINE "b");
    check_from(META(",'prepend_scheme':'first'"), "a b", 0, "a|" LINE "b");
    /* a stage before cuts, and the second part does not begin the text */
    const char *const two = "{'type':'Sequence','pretokenizers':[{'type':'Digits',"
                            "'individual_digits':true}," META(",'prepend_scheme':'first'") "]}";
    check(two, "1a", LINE "1|a");
    const char *const always = "{'type':'Sequence','pretokenizers':[{'type':'Digits',"
                               "'individual_digits':true}," META("") "]}";
    check(always, "1a", LINE "1|" LINE "a");
}

TEST(white_space_and_punctuation_cut)
{
    check("{'type':'WhitespaceSplit'}",
          " a b,c \n\xE3\x80\x80"
          "d",
          "a|b,c|d");
    check("{'type':'Whitespace'}", "a b,c!? d_e", "a|b|,|c|!?|d_e");
    check("{'type':'Whitespace'}", "  ", "");
    check("{'type':'BertPreTokenizer'}", "a b,c!?", "a|b|,|c|!|?");
    check("{'type':'Punctuation'}", "a,b", "a|,|b");
    check("{'type':'Punctuation','behavior':'Removed'}", "a,b", "a|b");
    check("{'type':'Punctuation','behavior':'MergedWithPrevious'}", "a,b", "a,|b");
    check("{'type':'Punctuation'}",
          "$a\xE2\x80\x94"
          "b",
          "$|a|\xE2\x80\x94|b");
    check("{'type':'Punctuation'}",
          "a\xE2\xB9\x83"
          "b",
          "a\xE2\xB9\x83"
          "b"); /* U+2E43 is young */
}

TEST(a_delimiter_goes_and_any_character_can_be_one)
{
    check("{'type':'CharDelimiterSplit','delimiter':'-'}", "-a--b", "a|b");
    check("{'type':'CharDelimiterSplit','delimiter':'\\u00e9'}",
          "a\xC3\xA9"
          "b",
          "a|b");
}

TEST(fixed_length_counts_characters)
{
    check("{'type':'FixedLength','length':2}",
          "a\xC3\xA9"
          "bcd",
          "a\xC3\xA9|bc|d");
    check("{'type':'FixedLength'}", "abcdefg", "abcde|fg");
}

TEST(scripts_cut_and_spaces_go_with_what_is_before)
{
    check("{'type':'UnicodeScripts'}", "ab \xD0\xB1\xD0\xB2 c", "ab |\xD0\xB1\xD0\xB2 |c");
    check("{'type':'UnicodeScripts'}", "\xE3\x81\x82\xE3\x82\xA2\xE6\x97\xA5\xE3\x83\xBC",
          "\xE3\x81\x82\xE3\x82\xA2\xE6\x97\xA5\xE3\x83\xBC"); /* Hiragana, Katakana, Han, ー */
    check("{'type':'UnicodeScripts'}", "a1", "a|1");
    check("{'type':'UnicodeScripts'}", " a", "a"); /* as the library does: the space is lost */
}

TEST(digits_are_numbers_of_all_kinds)
{
    check("{'type':'Digits','individual_digits':true}", "a12\xC2\xBD", "a|1|2|\xC2\xBD");
    check("{'type':'Digits','individual_digits':false}", "a12b", "a|12|b");
}

TEST(pre_tokenizers_with_wrong_settings_are_refused)
{
#define PRE(stage) "'pre_tokenizer':" stage "," MODEL
    check_refused(PRE("{'type':'Metaspace'}"), ERROR_INPUT, WORDS("Metaspace", "replacement"));
    check_refused(PRE("{'type':'Metaspace','replacement':'ab'}"), ERROR_INPUT,
                  WORDS("Metaspace", "replacement", "one character"));
    check_refused(PRE("{'type':'Metaspace','replacement':''}"), ERROR_INPUT, WORDS("replacement"));
    check_refused(PRE("{'type':'Metaspace','replacement':'a','prepend_scheme':'x'}"),
                  ERROR_UNSUPPORTED, WORDS("prepend_scheme"));
    check_refused(PRE("{'type':'Metaspace','replacement':'a','add_prefix_space':false,"
                      "'prepend_scheme':'first'}"),
                  ERROR_INPUT, WORDS("add_prefix_space", "prepend_scheme"));
    check_refused(PRE("{'type':'Punctuation','behavior':'x'}"), ERROR_UNSUPPORTED,
                  WORDS("Punctuation", "behavior"));
    check_refused(PRE("{'type':'FixedLength','length':0}"), ERROR_INPUT,
                  WORDS("FixedLength", "length"));
    check_refused(PRE("{'type':'CharDelimiterSplit'}"), ERROR_INPUT, WORDS("delimiter"));
    check_refused(PRE("{'type':'Digits'}"), ERROR_INPUT, WORDS("individual_digits"));
}

/* The byte alphabet doubles what is not ASCII. */
TEST(a_text_that_is_rewritten_without_end_is_refused)
{
    struct bytes stage = {0}, text = {0};
    bytes_add_text(&stage, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (int i = 0; i < 20; i++)
        bytes_printf(&stage,
                     "%s{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}",
                     i ? "," : "");
    bytes_add_text(&stage, "]}");
    for (int i = 0; i < 1 << 11; i++)
        bytes_add_text(&text, "\xC3\xA9");
    struct pre_tokenizer p;
    struct error err = {0};
    struct pre_tokenizer_work work = {0};
    size_t n_steps = SIZE_MAX;
    bool done;
    json_t *json = json_loadb(stage.data, stage.len, 0, NULL);
    CHECK(pre_tokenizer_parse(&p, json, &err));
    pre_tokenizer_begin(&work, text.data, text.len, 0);
    CHECK(!pre_tokenizer_step(&p, &work, &n_steps, &done, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    pre_tokenizer_work_release(&work);
    pre_tokenizer_release(&p);
    json_decref(json);
    bytes_release(&stage);
    bytes_release(&text);
}

TEST(ids_without_end_around_a_text_are_refused)
{
    struct bytes members = {0};
    bytes_add_text(&members, "'post_processor':{'type':'Sequence','processors':[");
    for (int i = 0; i < 65; i++)
        bytes_printf(&members, "%s{'type':'BertProcessing','cls':['a',0],'sep':['a',0]}",
                     i ? "," : "");
    bytes_add_text(&members, "]}," MODEL);
    check_refused(members.data, ERROR_INPUT,
                  (const char *const[]){"post_processor", "processors\"[64]", "64 ids", NULL});
    bytes_release(&members);
}

static void check_template(const char *stage, const char *want)
{
    struct bytes members = {0};
    bytes_printf(&members, "'post_processor':%s," MODEL, stage);
    struct tokenizer *t = small_tokenizer(members.data);
    const struct encode_options special = {.add_special_tokens = true};
    check_ids_with(t, "b", &special, want);
    check_ids(t, "b", "1");
    tokenizer_close(t);
    bytes_release(&members);
}

TEST(bert_and_roberta_put_one_token_on_either_side)
{
    check_template("{'type':'BertProcessing','cls':['a',0],'sep':['c',2]}", "0 1 2");
    check_template("{'type':'RobertaProcessing','cls':['a',0],'sep':['c',2],'trim_offsets':true}",
                   "0 1 2");
    check_template("{'type':'Sequence','processors':["
                   "{'type':'BertProcessing','cls':['a',0],'sep':['c',2]},"
                   "{'type':'BertProcessing','cls':['b',1],'sep':['b',1]}]}",
                   "1 0 1 2 1");
}

/* "before | between | after" of a pair; "no pairs". */
static void check_pairs(const char *stage, const char *want)
{
    struct bytes members = {0}, got = {0};
    bytes_printf(&members, "%s%s%s" MODEL, *stage ? "'post_processor':" : "", stage,
                 *stage ? "," : "");
    struct tokenizer *t = small_tokenizer(members.data);
    struct tokenizer_frame frame;
    if (!tokenizer_pair_frame(t, &frame)) {
        bytes_add_text(&got, "no pairs");
    } else {
        const struct ids *part[] = {frame.before, frame.between, frame.after};
        for (int p = 0; p < 3; p++) {
            bytes_add_text(&got, p > 0 ? "|" : "");
            for (size_t i = 0; i < part[p]->n; i++)
                bytes_printf(&got, "%d", part[p]->data[i]);
        }
    }
    CHECK_STR(got.data, want);
    tokenizer_close(t);
    bytes_release(&members);
    bytes_release(&got);
}

TEST(pairs_of_texts_have_tokens_around_and_between_them)
{
#define TEMPLATE(pair)                                                             \
    "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'A'}}],'pair':" pair \
    ",'special_tokens':{'a':{'ids':[0]},'b':{'ids':[1]}}}"
#define TEXT(name)  "{'Sequence':{'id':'" name "'}}"
#define TOKEN(name) "{'SpecialToken':{'id':'" name "'}}"
    check_pairs("", "||");
    check_pairs("{'type':'ByteLevel'}", "||");
    check_pairs("{'type':'BertProcessing','cls':['a',0],'sep':['c',2]}", "0|2|2");
    check_pairs("{'type':'RobertaProcessing','cls':['a',0],'sep':['c',2]}", "0|22|2");
    check_pairs(TEMPLATE("[" TOKEN("a") "," TEXT("A") "," TOKEN("b") "," TOKEN("a") "," TEXT(
                    "B") "," TOKEN("b") "]"),
                "0|10|1");
    check_pairs("{'type':'Sequence','processors':[{'type':'ByteLevel'}," TEMPLATE(
                    "[" TEXT("A") "," TOKEN("b") "," TEXT("B") "]") "]}",
                "|1|");
    check_pairs(TEMPLATE("[" TEXT("B") "," TEXT("A") "]"), "no pairs");
    check_pairs(TEMPLATE("[" TEXT("A") "]"), "no pairs");
    check_pairs(TEMPLATE("[" TEXT("A") "," TEXT("B") "," TEXT("B") "," TOKEN("a") "]"), "no pairs");
    check_pairs(TEMPLATE("[" TEXT("A") "," TOKEN("x") "," TEXT("B") "]"), "no pairs");
    check_pairs(TEMPLATE("null"), "no pairs");
    check_pairs("{'type':'Sequence','processors':["
                "{'type':'BertProcessing','cls':['a',0],'sep':['c',2]},"
                "{'type':'BertProcessing','cls':['b',1],'sep':['b',1]}]}",
                "no pairs");
}

TEST(the_longest_token_is_known)
{
    struct tokenizer *t = small_tokenizer(MODEL);
    CHECK_EQ(tokenizer_longest(t), 1);
    tokenizer_close(t);
}

TEST(post_processors_that_make_no_sense_are_refused)
{
#define POST(stage) "'post_processor':" stage "," MODEL
    check_refused(POST("{'type':'BertProcessing','cls':['a',0]}"), ERROR_INPUT,
                  WORDS("BertProcessing", "sep"));
    check_refused(POST("{'type':'BertProcessing','cls':['a',0],'sep':['x',3]}"), ERROR_INPUT,
                  WORDS("BertProcessing", "sep", "vocabulary"));
    check_refused(POST("{'type':'RobertaProcessing','cls':0,'sep':['x',2]}"), ERROR_INPUT,
                  WORDS("RobertaProcessing", "cls"));
    check_refused(
        POST("{'type':'Sequence','processors':[{'type':'TemplateProcessing','single':["
             "{'SpecialToken':{'id':'a'}},{'Sequence':{'id':'A'}}],'special_tokens':"
             "{'a':{'ids':[0]}}},{'type':'BertProcessing','cls':['a',0],'sep':['c',2]}]}"),
        ERROR_UNSUPPORTED, WORDS("BertProcessing", "TemplateProcessing"));
}

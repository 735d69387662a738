/* The models besides BPE, on vocabularies small enough to see. What is wanted here was checked
 * against Hugging Face's library, release 0.23. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/model/token_trie.h"
#include "runtime/text/model/vocabulary.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <string.h>

#define WORDS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }
#define UNIGRAM(vocab) "'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0]," vocab "]}"

static void check_once(const char *members, const char *text, const char *want)
{
    struct tokenizer *t = small_tokenizer(members);
    check_ids(t, text, want);
    tokenizer_close(t);
}

static void check_encode_fails(const char *members, const char *text, const char *word)
{
    struct tokenizer *t = small_tokenizer(members);
    struct encoder *e = encoder_create(t);
    struct ids ids = {0};
    struct error err = {0};
    CHECK(!encoder_encode(e, text, strlen(text), NULL, &ids, &err));
    check_steps(e, text, strlen(text), NULL, 1, NULL);
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, word) != NULL);
    CHECK_EQ(ids.n, 0);
    ids_release(&ids);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(unigram_takes_the_largest_sum_of_scores)
{
    check_once(UNIGRAM("['a',-1],['b',-1],['ab',-3],['c',-1],['bc',-1.5]"), "abc", "1 5");
    check_once(UNIGRAM("['a',-1],['b',-1],['ab',-1.5]"), "ab", "3");
}

TEST(of_equal_sums_the_one_found_first_stays)
{
    /* to the same end: the token that begins first, "ab", is offered before "b" */
    check_once(UNIGRAM("['a',-1],['b',-1],['ab',-2]"), "ab", "3");
}

TEST(unknown_neighbours_are_one_token)
{
    check_once(UNIGRAM("['a',-1]"), "axya", "1 0 1");
    check_once(UNIGRAM("['a',-1]"), "x\xC3\xA9", "0");
}

TEST(unknown_neighbours_that_are_a_token_together_are_that_token)
{
    /* an unknown character scores 90, so two are better than "xy"; and together they are it */
    static const char *const members =
        "'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',100],['a',100],['xy',100]]}";
    check_once(members, "xy", "2");
    check_once(members, "xyx", "0");
}

TEST(unigram_writes_the_bytes_of_what_is_unknown)
{
    check_once("'model':{'type':'Unigram','unk_id':0,'byte_fallback':true,'vocab':[['<unk>',0],"
               "['a',-1],['<0xC3>',-9],['<0xA9>',-9]]}",
               "a\xC3\xA9z", "1 0"); /* 'z' has no byte, so the whole run has none */
    check_once("'model':{'type':'Unigram','unk_id':0,'byte_fallback':true,'vocab':[['<unk>',0],"
               "['a',-1],['<0xC3>',-9],['<0xA9>',-9]]}",
               "a\xC3\xA9", "1 2 3");
}

TEST(a_token_that_comes_twice_is_found_with_its_last_id_and_score)
{
    struct tokenizer *t = small_tokenizer(UNIGRAM("['a',-1],['b',-1],['a',-9]"));
    size_t n_bytes;
    check_ids(t, "a", "3");
    CHECK_EQ(tokenizer_vocab(t), 4);
    CHECK(memcmp(tokenizer_token(t, 1, &n_bytes), "a", 1) == 0);
    tokenizer_close(t);
}

/* The library reads this as …383, and strtod() as …385: one unit in the last place. */
TEST(scores_are_rounded_as_the_library_rounds_them)
{
    const char *const text = "[[\"a\",-14.656161736019385],[\"b\",1e5],[\"c\",0.1],[\"d\",-0]]";
    struct vocabulary v;
    double *scores;
    struct error err = {0};
    const struct json_part part = {.n_bytes = strlen(text), .n_items = 4};
    CHECK(vocabulary_parse_scored(&v, &scores, text, &part, &err));
    CHECK(scores[0] == -14.656161736019383);
    CHECK(scores[1] == 1e5);
    CHECK(scores[2] == 0.1);
    CHECK(scores[3] == 0);
    vocabulary_release(&v);
    memory_free(scores);
}

/* ---- words that come apart at U+2581 ---- */

#define M "\xE2\x96\x81"
#define MARKED(merges, more)                                                                      \
    "'model':{'type':'BPE','vocab':{'?':0,'a':1,'b':2,'" M "':3,'" M "a':4,'ab':5,'b" M "':6,'" M \
    "" M "':7,'a" M "a':8},'merges':[" merges "]" more "}"
#define UNKNOWN ",'unk_token':'?'"

static void check_marked(const char *members, const char *text, const char *want)
{
    struct tokenizer *t = small_tokenizer(members);
    check_tokens(t, text, want);
    tokenizer_close(t);
}

TEST(words_in_a_word_come_apart_at_marks_and_are_merged_as_before)
{
    static const char *const members = MARKED("'" M " a','a b','" M " " M "'", UNKNOWN);
    check_marked(members, "ab" M "ab" M M "ab", "ab|" M "a|b|" M "|" M "a|b");
    check_marked(members, "x" M "y" M M M "a" M, "?|" M "|?|" M M "|" M "a|" M);
}

TEST(they_do_not_where_a_merge_joins_a_mark_with_what_stands_before_it)
{
    check_marked(MARKED("'b " M "','" M " a','a b'", UNKNOWN), "ab" M "a", "a|b" M "|a");
}

TEST(nor_where_what_stands_between_two_marks_vanishes_or_becomes_one)
{
    check_marked(MARKED("'" M " " M "'", ""), M "x" M, M M);
    check_marked(MARKED("'" M " " M "'", ",'unk_token':'" M "'"), "x" M, M M);
}

TEST(nor_where_the_whole_word_may_be_a_token)
{
    check_marked(MARKED("'" M " a'", UNKNOWN ",'ignore_merges':true"), "a" M "a", "a" M "a");
}

TEST(a_unigram_without_unk_id_fails_only_where_it_needs_one)
{
    const char *const members = "'model':{'type':'Unigram','vocab':[['a',-1]]}";
    check_once(members, "aa", "0 0");
    check_encode_fails(members, "ab", "unk_id");
}

TEST(a_million_letters_take_a_step_for_each_token_that_fits)
{
    enum { N = 1 << 20 };
    struct tokenizer *t = small_tokenizer(UNIGRAM("['a',-3],['aa',-4],['aaaa',-5]"));
    struct encoder *e = encoder_create(t);
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    CHECK(bytes_reserve(&text, N));
    memset(text.data, 'a', N);
    CHECK(encoder_encode(e, text.data, N, NULL, &ids, &err));
    CHECK_EQ(ids.n, N / 4);
    CHECK_EQ(ids.data[0], 3);
    ids_release(&ids);
    bytes_release(&text);
    encoder_destroy(e);
    tokenizer_close(t);
}

#define PIECES(vocab)                                                               \
    "'model':{'type':'WordPiece','unk_token':'?','continuing_subword_prefix':'##'," \
    "'max_input_chars_per_word':6,'vocab':{'?':0," vocab "}}"

TEST(word_piece_takes_the_longest_piece_each_time)
{
    check_once(PIECES("'un':1,'##aff':2,'##able':3,'##a':4"), "unaff", "1 2");
    check_once(PIECES("'un':1,'##a':4,'##ff':5,'##af':6"), "unaff", "0"); /* never back */
    check_once(PIECES("'a':1"), "##a", "0");
    check_once(PIECES("'a':1,'##b':2"), "", "");
}

TEST(a_word_with_too_many_characters_is_unknown)
{
    check_once(PIECES("'\\u00e9':1,'##\\u00e9':2"),
               "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "1 2 2 2 2 2");
    check_once(PIECES("'\\u00e9':1,'##\\u00e9':2"),
               "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "0");
}

TEST(word_level_knows_whole_words)
{
    check_once("'pre_tokenizer':{'type':'WhitespaceSplit'},'model':{'type':'WordLevel','vocab':"
               "{'a':0,'ab':1,'?':2},'unk_token':'?'}",
               "ab a b", "1 0 2");
    check_encode_fails("'model':{'type':'WordLevel','vocab':{'a':0},'unk_token':'?'}", "b",
                       "unk_token");
}

TEST(a_model_without_type_is_known_by_its_keys)
{
    check_once("'model':{'vocab':[['<unk>',0],['a',-1]],'unk_id':0}", "a", "1");
    check_once("'model':{'vocab':{'a':0,'##b':1},'unk_token':'a','continuing_subword_prefix':'##',"
               "'max_input_chars_per_word':9}",
               "ab", "0 1");
    check_once("'model':{'vocab':{'ab':0},'unk_token':'ab'}", "ab", "0");
    check_once("'model':{'vocab':{'a':0,'b':1,'ab':2},'merges':['a b']}", "ab", "2");
}

/* All tokens that begin somewhere, as a walk finds them. */
static void check_walk(const struct token_trie *trie, const char *text, const char *want)
{
    struct bytes got = {0};
    struct token_trie_place place = {0};
    for (; *text != '\0' && token_trie_step(trie, &place, (unsigned char)*text); text++) {
        const int32_t id = token_trie_id(trie, &place);
        bytes_printf(&got, id < 0 ? "." : "%d", id);
    }
    CHECK_STR(got.data ? got.data : "", want);
    bytes_release(&got);
}

TEST(a_walk_finds_the_tokens_that_begin_here)
{
    const char *const text = "{\"a\":0,\"abcd\":1,\"abce\":2,\"b\":3,\"\":4,\"abcdef\":5}";
    struct vocabulary v;
    struct token_trie trie;
    struct error err = {0};
    const struct json_part part = {.n_bytes = strlen(text), .n_items = 6};
    CHECK(vocabulary_parse(&v, text, &part, &err));
    CHECK(token_trie_build(&trie, &v, &err));
    check_walk(&trie, "abcdefg", "0..1.5");
    check_walk(&trie, "abcx", "0..");
    check_walk(&trie, "abce", "0..2");
    check_walk(&trie, "bb", "3");
    check_walk(&trie, "x", "");
    CHECK(trie.n_nodes <= 2 * 5 + 1);
    token_trie_release(&trie);
    vocabulary_release(&v);
}

TEST(models_that_make_no_sense_are_refused)
{
    check_refused("'model':{'type':'Unigram','vocab':[]}", ERROR_INPUT, WORDS("model", "vocab"));
    check_refused("'model':{'type':'Unigram','vocab':{'a':0}}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','unk_id':0}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','unk_id':1,'vocab':[['a',0]]}", ERROR_INPUT,
                  WORDS("unk_id"));
    check_refused("'model':{'type':'Unigram','unk_id':-1,'vocab':[['a',0]]}", ERROR_INPUT,
                  WORDS("unk_id"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',NaN]]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',1e400]]}", ERROR_INPUT,
                  WORDS("vocab", "absurdly large"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',01]]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',1.]]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',1e]]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a','1']]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a',1,2]]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':[['a']]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'Unigram','vocab':['a',1]}", ERROR_INPUT, WORDS("vocab"));
    check_refused("'model':{'type':'WordPiece','vocab':{'a':0},'unk_token':'a'}", ERROR_INPUT,
                  WORDS("continuing_subword_prefix"));
    check_refused("'model':{'type':'WordLevel','vocab':{'a':0}}", ERROR_INPUT, WORDS("unk_token"));
}

TEST(a_token_longer_than_a_walk_may_be_is_refused)
{
    struct bytes members = {0};
    bytes_add_text(&members, "'model':{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['");
    for (int i = 0; i <= TOKEN_TRIE_MAX_TOKEN_BYTES; i++)
        bytes_add_char(&members, 'a');
    bytes_add_text(&members, "',-1]]}");
    check_refused(members.data, ERROR_INPUT, WORDS("vocab", "1025 bytes"));
    bytes_release(&members);
}

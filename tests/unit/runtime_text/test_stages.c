/* Each stage of a tokenizer.json alone, on vocabularies small enough to see. What is wanted here
 * was checked against Hugging Face's library, release 0.23. */
#include "base/bytes.h"
#include "base/system.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define VOCAB                                                                                      \
    "'vocab':{'a':0,'b':1,'c':2,' ':3,'ab':4,'abc':5,'bc':6,'1':7,'2':8,'12':9,'aa':10,'\\u00c5':" \
    "11,'-':12,'a ':13}"
#define MERGES "'merges':['a b','ab c','b c','1 2','a a',['a',' ']]"
#define MODEL  "'model':{'type':'BPE'," VOCAB "," MERGES "}"
#define SPLIT(pattern, behavior, invert)                                            \
    "'pre_tokenizer':{'type':'Split','pattern':{" pattern "},'behavior':'" behavior \
    "','invert':" invert "},"

static void check_once(const char *members, const char *text, const char *want)
{
    struct tokenizer *t = small_tokenizer(members);
    check_tokens(t, text, want);
    tokenizer_close(t);
}

TEST(merges_go_by_their_place_in_the_file)
{
    check_once(MODEL, "abc", "abc");
    check_once(MODEL, "aaa", "aa|a"); /* the leftmost of equal ones */
    check_once(MODEL, "bcab", "bc|ab");
    check_once(MODEL, "", "");
    check_once("'model':{'type':'BPE'," VOCAB ",'merges':['b c','a b','ab c']}", "abc", "a|bc");
}

TEST(a_pair_that_comes_twice_counts_where_it_comes_last)
{
    check_once("'model':{" VOCAB ",'merges':['a b','b c','a b']}", "abc", "a|bc");
}

TEST(a_character_outside_of_the_vocabulary_is_left_out_or_unknown)
{
    check_once(MODEL, "axb", "ab"); /* as if it were not there */
    check_once("'model':{'unk_token':'c'," VOCAB "," MERGES "}", "axxb", "a|c|c|b");
    check_once("'model':{'unk_token':'c','fuse_unk':true," VOCAB "," MERGES "}", "axxb", "a|c|b");
}

TEST(byte_fallback_writes_the_bytes_of_a_character)
{
    check_once("'model':{'byte_fallback':true,'vocab':{'a':0,'<0xC3>':1,'<0xA9>':2},'merges':[]}",
               "a\xC3\xA9", "a|<0xC3>|<0xA9>");
}

TEST(ignore_merges_takes_a_word_of_the_vocabulary_whole)
{
    check_once("'model':{'ignore_merges':true," VOCAB ",'merges':[]}", "abc", "abc");
    check_once("'model':{'ignore_merges':true," VOCAB ",'merges':[]}", "abca", "a|b|c|a");
}

TEST(affixes_mark_the_place_in_a_word)
{
    check_once("'model':{'continuing_subword_prefix':'##','end_of_word_suffix':'$',"
               "'vocab':{'a':0,'##b':1,'##c$':2,'ab':3,'abc$':4},"
               "'merges':['a ##b','ab ##c$']}",
               "abc", "abc$");
}

TEST(split_does_what_its_behavior_says)
{
    check_once(SPLIT("'String':'-'", "Removed", "false") MODEL, "a-b", "a|b");
    check_once(SPLIT("'String':'-'", "Isolated", "false") MODEL, "ab-c", "ab|-|c");
    check_once(SPLIT("'Regex':'b'", "Isolated", "false") MODEL, "abc", "a|b|c");
    check_once(SPLIT("'Regex':'a'", "MergedWithPrevious", "false") MODEL, "baab", "b|a|a|b");
    check_once(SPLIT("'Regex':'1'", "MergedWithPrevious", "false") MODEL, "a12", "a|1|2");
    check_once(SPLIT("'Regex':'1'", "MergedWithNext", "false") MODEL, "a112", "a|1|12");
    check_once(SPLIT("'Regex':'a'", "Contiguous", "false") MODEL, "aaab", "aa|a|b");
    check_once(SPLIT("'Regex':'[ab]+'", "Removed", "true") MODEL, "abcab", "ab|ab");
}

TEST(an_empty_match_cuts_without_taking_anything)
{
    check_once(SPLIT("'Regex':'(?=c)'", "Isolated", "false") MODEL, "abcabc", "ab|c|ab|c");
    check_once(SPLIT("'Regex':'x*'", "Isolated", "false") MODEL, "ab", "a|b");
}

TEST(a_word_ends_where_another_stage_cut_it)
{
    check_once("'pre_tokenizer':{'type':'Sequence','pretokenizers':["
               "{'type':'Split','pattern':{'String':'-'},'behavior':'Removed'},"
               "{'type':'Digits','individual_digits':true}]}," MODEL,
               "ab12-12", "ab|1|2|1|2");
    check_once("'pre_tokenizer':{'type':'Digits','individual_digits':false}," MODEL, "ab12",
               "ab|12");
}

TEST(lookahead_sees_no_further_than_the_word)
{
    /* the first stage cuts behind 'a', so the second never sees the 'b' */
    check_once("'pre_tokenizer':{'type':'Sequence','pretokenizers':["
               "{'type':'Split','pattern':{'Regex':'a'},'behavior':'Isolated'},"
               "{'type':'Split','pattern':{'Regex':'a(?=b)'},'behavior':'Removed'}]}," MODEL,
               "ab", "a|b");
}

TEST(nfc_composes_before_anything_is_cut)
{
    check_once("'normalizer':{'type':'NFC'}," MODEL, "aA\xCC\x8A", "a|\xC3\x85");
    check_once("'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'}]}," MODEL,
               "A\xCC\x8A", "\xC3\x85");
    check_once(MODEL, "aA\xCC\x8A", "a");
}

/* A model of single bytes, byte b with id b, and what stands before it in the file. */
static struct tokenizer *byte_tokenizer(const char *before)
{
    struct bytes members = {0};
    bytes_printf(&members, "%s'model':{'merges':[],'vocab':{", before);
    for (int byte = 0, next = 0x100; byte < 256; byte++) {
        const bool visible = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
        bytes_printf(&members, "%s'\\u%04x':%d", byte ? "," : "", visible ? byte : next, byte);
        next += !visible;
    }
    bytes_add_text(&members, "}}");
    struct tokenizer *t = small_tokenizer(members.data);
    bytes_release(&members);
    return t;
}

static void check_bytes(const char *before, const char *text, const char *want)
{
    struct tokenizer *t = byte_tokenizer(before);
    check_ids(t, text, want);
    tokenizer_close(t);
}

#define BYTES(prefix_space, regex)                                                               \
    "'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':" prefix_space ",'use_regex':" regex \
    "},'decoder':{'type':'ByteLevel'},"

TEST(byte_level_writes_every_byte)
{
    check_bytes(BYTES("false", "true"), "a \xC3\xA9\n\x7F\xC2\xAD", "97 32 195 169 10 127 194 173");
}

TEST(a_prefix_space_is_added_once_and_never_to_nothing)
{
    check_bytes(BYTES("true", "true"), "a b", "32 97 32 98");
    check_bytes(BYTES("true", "true"), " a", "32 97");
    check_bytes(BYTES("true", "true"), "", "");
}

TEST(stages_behind_byte_level_see_its_alphabet)
{
    check_bytes("'pre_tokenizer':{'type':'Sequence','pretokenizers':["
                "{'type':'ByteLevel','add_prefix_space':false},"
                "{'type':'Split','pattern':{'String':'\\u0120'},'behavior':'Removed'}]},",
                "a b", "97 98");
}

static void check_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids, bool skip,
                         const char *want)
{
    struct bytes text = {0};
    CHECK(detokenizer_decode(t, ids, n_ids, skip, &text));
    CHECK_STR(text.data ? text.data : "", want);
    bytes_release(&text);
}

TEST(broken_characters_are_shown_once_per_part)
{
    struct tokenizer *t = byte_tokenizer(BYTES("false", "true"));
    check_decode(t, (int32_t[]){0xE4, 0xBD, 0xA0, 0x41}, 4, false,
                 "\xE4\xBD\xA0"
                 "A");
    check_decode(t, (int32_t[]){0xE4, 0xBD}, 2, false, "\xEF\xBF\xBD");
    check_decode(t, (int32_t[]){0xE4, 0xBD, 0x41}, 3, false,
                 "\xEF\xBF\xBD"
                 "A");
    check_decode(t, (int32_t[]){0x80, 0x80}, 2, false, "\xEF\xBF\xBD\xEF\xBF\xBD");
    check_decode(t, (int32_t[]){0xED, 0xA0, 0x80}, 3, false,
                 "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"); /* a surrogate is no character */
    check_decode(t, (int32_t[]){0x41, 9999, -1, 0x42}, 4, false, "AB");
    tokenizer_close(t);
}

TEST(a_character_is_held_back_until_it_is_whole)
{
    struct tokenizer *t = byte_tokenizer(BYTES("false", "true"));
    struct detokenizer d;
    struct bytes out = {0};
    detokenizer_init(&d, t, false);
    static const unsigned char smile[] = {0xF0, 0x9F, 0x98, 0x80};
    for (int i = 0; i < 3; i++) {
        CHECK(detokenizer_add(&d, smile[i], &out));
        CHECK_EQ(out.len, 0);
    }
    CHECK(detokenizer_add(&d, smile[3], &out));
    CHECK_EQ(out.len, 4);
    CHECK(detokenizer_add(&d, smile[0], &out));
    CHECK(detokenizer_flush(&d, &out));
    CHECK_STR(out.data, "\xF0\x9F\x98\x80\xEF\xBF\xBD");
    CHECK(detokenizer_add(&d, 'a', &out)); /* a new stream has nothing pending */
    CHECK_STR(out.data, "\xF0\x9F\x98\x80\xEF\xBF\xBD"
                        "a");
    bytes_release(&out);
    detokenizer_release(&d);
    tokenizer_close(t);
}

TEST(without_a_decoder_tokens_are_joined_by_spaces)
{
    struct tokenizer *t = small_tokenizer(MODEL);
    check_decode(t, (int32_t[]){0, 4, 5}, 3, false, "a ab abc");
    tokenizer_close(t);
}

/* Llama 2's stages: U+2581 for the space, and bytes for what is not in the vocabulary. */
#define PIECES                                                                                   \
    "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'\\u2581'},"     \
    "{'type':'Replace','pattern':{'String':' '},'content':'\\u2581'}]},"                         \
    "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'\\u2581'}," \
    "'content':' '},{'type':'ByteFallback'},{'type':'Fuse'},"                                    \
    "{'type':'Strip','content':' ','start':1,'stop':0}]},"                                       \
    "'model':{'byte_fallback':true,'vocab':{'\\u2581':0,'a':1,'\\u2581a':2,'<0xE4>':3,"          \
    "'<0xBD>':4,'<0xA0>':5},'merges':['\\u2581 a']}"

TEST(spaces_become_part_of_the_pieces_and_come_back)
{
    struct tokenizer *t = small_tokenizer(PIECES);
    check_ids(t, "a a", "2 2");
    check_ids(t, "  a", "0 0 2");
    check_ids(t, "", "");
    check_decode(t, (int32_t[]){2, 2}, 2, false, "a a");
    check_decode(t, (int32_t[]){0, 0, 2}, 3, false, "  a"); /* one is stripped */
    check_decode(t, (int32_t[]){1, 2}, 2, false, "a a");
    tokenizer_close(t);
}

TEST(a_run_of_fallback_bytes_is_text_as_a_whole_or_not_at_all)
{
    struct tokenizer *t = small_tokenizer(PIECES);
    check_ids(t, "\xE4\xBD\xA0", "0 3 4 5");
    check_decode(t, (int32_t[]){1, 3, 4, 5, 1}, 5, false,
                 "a\xE4\xBD\xA0"
                 "a");
    check_decode(t, (int32_t[]){3, 4, 5, 3}, 4, false,
                 "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check_decode(t, (int32_t[]){3, 1, 4}, 3, false,
                 "\xEF\xBF\xBD"
                 "a\xEF\xBF\xBD");
    tokenizer_close(t);
}

#define ADDED(content, id, flags)                 \
    "{'content':'" content "','id':" id "," flags \
    "'single_word':false,'lstrip':false,'rstrip':false,'normalized':false,'special':true}"

TEST(added_tokens_are_found_leftmost_and_longest)
{
    struct tokenizer *t = small_tokenizer("'added_tokens':[" ADDED("<x>", "20", "") "," ADDED(
        "<x><y>", "21", "") "," ADDED("<y>", "22", "") "]," MODEL);
    check_ids(t, "a<x>b", "0 20 1");
    check_ids(t, "<x><y>", "21");
    check_ids(t, "<x><x><y><y>", "20 21 22");
    check_ids(t, "<x", "");
    CHECK_EQ(tokenizer_vocab(t), 23);
    CHECK_EQ(tokenizer_find(t, "<x>", 3), 20);
    check_decode(t, (int32_t[]){0, 20, 1}, 3, true, "a b");
    tokenizer_close(t);
}

TEST(text_that_spells_a_special_token_is_text_where_the_caller_says_so)
{
    struct tokenizer *t = small_tokenizer("'added_tokens':[" ADDED("ab", "4", "") "," ADDED(
        "bb", "21", "") ",{'content':'cc','id':22,'special':false}]," MODEL);
    const struct encode_options all = {.special_as_text = true};
    check_ids(t, "abcc", "4 22");
    check_ids_with(t, "abbbcc", &all, "4 1 1 22"); /* 4 by merging, and cc is not special */
    /* only the first "bb" lies in the range */
    const struct text_range first = {0, 2};
    const struct encode_options range = {.plain = &first, .n_plain = 1};
    check_ids_with(t, "bb-bb", &range, "1 1 12 21");
    /* a token that only begins in the range is text too, and hides no token behind it */
    const struct text_range begin = {0, 1};
    const struct encode_options cut = {.plain = &begin, .n_plain = 1};
    check_ids_with(t, "bbb", &cut, "1 21");
    tokenizer_close(t);
}

TEST(added_tokens_take_spaces_and_respect_words_as_their_flags_say)
{
    struct tokenizer *t = small_tokenizer("'added_tokens':[{'content':'<l>','id':20,'lstrip':true},"
                                          "{'content':'<r>','id':21,'rstrip':true},{'content':'bb',"
                                          "'id':22,'single_word':true}]," MODEL);
    check_ids(t, "a  <l> a", "0 20 3 0");
    check_ids(t, "a <r>\xE2\x80\x83 a", "13 21 0");
    check_ids(t, "bb abb -bb", "22 3 4 1 3 12 22");
    tokenizer_close(t);
}

TEST(a_normalized_token_is_found_in_normalized_text)
{
    struct tokenizer *t =
        small_tokenizer("'normalizer':{'type':'NFC'},'added_tokens':["
                        "{'content':'\\u00c5','id':11,'normalized':false},"
                        "{'content':'A\\u030a!','id':21,'normalized':true}]," MODEL);
    check_ids(t, "\xC3\x85\xC3\x85!", "11 11");
    check_ids(t, "\x41\xCC\x8A!", "21");
    check_ids(t, "a\x41\xCC\x8A", "0 11");
    tokenizer_close(t);
}

TEST(a_special_token_that_ends_before_plain_text_is_not_hidden_by_a_longer_one)
{
    struct tokenizer *t = small_tokenizer("'added_tokens':[" ADDED("<x>", "20", "") "," ADDED(
        "<x>a", "21",
        "") ",{'content':'bc','id':6},{'content':'bca','id':22,'special':true}]," MODEL);
    const struct text_range last = {3, 4};
    const struct encode_options range = {.plain = &last, .n_plain = 1};
    check_ids(t, "<x>a", "21");
    check_ids_with(t, "<x>a", &range, "20 0");
    const struct text_range tail = {2, 3};
    const struct encode_options cut = {.plain = &tail, .n_plain = 1};
    check_ids_with(t, "bca", &cut, "6 0");
    tokenizer_close(t);
}

TEST(spaces_of_plain_text_go_with_the_token_beside_them)
{
    struct tokenizer *t = small_tokenizer(
        "'added_tokens':[{'content':'<l>','id':20,'lstrip':true,'special':true}]," MODEL);
    const struct text_range spaces = {0, 3};
    const struct encode_options range = {.plain = &spaces, .n_plain = 1};
    check_ids(t, "a  <l>", "0 20");
    check_ids_with(t, "a  <l>", &range, "0 20");
    tokenizer_close(t);
}

TEST(plain_text_is_followed_through_the_normalizer)
{
    struct tokenizer *t = small_tokenizer(
        "'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'Lowercase'},"
        "{'type':'Replace','pattern':{'String':' '},'content':'bb'}]},"
        "'added_tokens':[{'content':'<S>','id':20,'normalized':true,'special':true}]," MODEL);
    const struct encode_options all = {.special_as_text = true};
    const struct text_range range[] = {{4, 8}, {12, 15}};
    const struct encode_options plain = {.plain = range, .n_plain = 2};
    check_ids(t, "<s> A<S>a<S><S><s>", "20 1 1 0 20 0 20 20 20");
    check_ids_with(t, "<s> A<S>a<S><S><s>", &plain, "20 1 1 10 20 20");
    check_ids_with(t, "<s> A<S>a<S><S><s>", &all, "1 1 10");
    /* the mark goes into the letter before it, which is then neither inside nor outside */
    const struct text_range mark = {4, 9};
    const struct encode_options composed = {.plain = &mark, .n_plain = 1};
    check_ids_with(t, "<s>A\xCC\x8A<s>", &composed, "");
    tokenizer_close(t);
}

TEST(spaces_that_tokens_take_again_and_again_are_looked_at_once)
{
    enum { N = 1 << 20 };
    struct tokenizer *t = small_tokenizer("'added_tokens':[{'content':' ','id':3,'rstrip':true,"
                                          "'special':true}]," MODEL);
    struct encoder *e = encoder_create(t);
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    CHECK(bytes_reserve(&text, N));
    memset(text.data, ' ', N);
    CHECK(encoder_encode(e, text.data, N, NULL, &ids, &err));
    CHECK_EQ(ids.n, N); /* as the reference has it: each takes the rest */
    ids_release(&ids);
    bytes_release(&text);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(the_template_stands_around_the_text)
{
    struct tokenizer *t = small_tokenizer(
        "'post_processor':{'type':'Sequence','processors':[{'type':'ByteLevel'},"
        "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'c','type_id':0}},"
        "{'Sequence':{'id':'A','type_id':0}},{'SpecialToken':{'id':'x','type_id':0}}],"
        "'pair':[],'special_tokens':{'c':{'id':'c','ids':[2],'tokens':['c']},"
        "'x':{'id':'x','ids':[7,8],'tokens':['1','2']}}}]}," MODEL);
    const struct encode_options special = {.add_special_tokens = true};
    check_ids_with(t, "a", &special, "2 0 7 8");
    check_ids_with(t, "", &special, "2 7 8");
    check_ids(t, "a", "0");
    tokenizer_close(t);
}

TEST(text_that_is_no_utf_8_is_refused_with_the_place)
{
    struct tokenizer *t = small_tokenizer(MODEL);
    struct encoder *e = encoder_create(t);
    struct ids ids = {0};
    struct error err = {0};
    CHECK(!encoder_encode(e, "aa\xFF", 3, NULL, &ids, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "at byte 2") != NULL);
    CHECK_EQ(ids.n, 0);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(a_million_equal_letters_take_no_million_million_steps)
{
    enum { N = 1 << 20 };
    struct tokenizer *t =
        small_tokenizer("'model':{'vocab':{'a':0,'aa':1,'aaaa':2},'merges':['a a','aa aa']}");
    struct encoder *e = encoder_create(t);
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    CHECK(bytes_reserve(&text, N));
    memset(text.data, 'a', N);
    CHECK(encoder_encode(e, text.data, N - 1, NULL, &ids, &err));
    CHECK_EQ(ids.n, N / 4 + 1); /* 3 letters are left: aa and a */
    CHECK_EQ(ids.data[ids.n - 2], 1);
    ids_release(&ids);
    bytes_release(&text);
    encoder_destroy(e);
    tokenizer_close(t);
}

/* Of this program, without what its allocator keeps of freed memory. */
static int64_t bytes_in_use(void)
{
    malloc_trim(0);
    return system_resident_bytes();
}

TEST(a_long_text_leaves_no_scratch_memory_behind)
{
    enum { N = 4 << 20 };
    struct tokenizer *t = small_tokenizer(MODEL);
    struct encoder *e = encoder_create(t);
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    CHECK(bytes_reserve(&text, N));
    memset(text.data, 'c', N);
    const int64_t before = bytes_in_use();
    CHECK(encoder_encode(e, text.data, N, NULL, &ids, &err));
    CHECK_EQ(ids.n, N);
    ids_release(&ids);
    CHECK(SANITIZED || bytes_in_use() - before < 2 << 20); /* it took 12 bytes a letter */
    bytes_release(&text);
    encoder_destroy(e);
    tokenizer_close(t);
}

/* As some patterns in use have it: groups of three digits from the end, so that each group looks at
 * all digits behind it. */
TEST(a_pattern_that_looks_at_all_the_rest_again_and_again_is_stopped)
{
    enum { FEW = 9000, MANY = 3 << 14 };
    struct tokenizer *t = small_tokenizer(SPLIT(
        "'Regex':'\\\\p{N}{1,3}(?=(?:\\\\p{N}{3})*(?:\\\\P{N}|$))'", "Isolated", "false") MODEL);
    struct encoder *e = encoder_create(t);
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    CHECK(bytes_reserve(&text, MANY));
    memset(text.data, '1', MANY);
    CHECK(encoder_encode(e, text.data, FEW, NULL, &ids, &err));
    CHECK_EQ(ids.n, FEW);
    CHECK(!encoder_encode(e, text.data, MANY, NULL, &ids, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_EQ(ids.n, FEW);
    ids_release(&ids);
    bytes_release(&text);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(a_pattern_that_tries_everything_is_stopped)
{
    struct tokenizer *t = small_tokenizer(SPLIT("'Regex':'(a|aa)+$'", "Isolated", "false") MODEL);
    struct encoder *e = encoder_create(t);
    struct ids ids = {0};
    struct error err = {0};
    char text[64];
    memset(text, 'a', sizeof text);
    text[63] = 'b';
    CHECK(!encoder_encode(e, text, sizeof text, NULL, &ids, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_EQ(ids.n, 0);
    ids_release(&ids);
    encoder_destroy(e);
    tokenizer_close(t);
}

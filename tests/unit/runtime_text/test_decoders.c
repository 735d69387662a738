/* Each decoder alone, and in orders that nobody uses. What is wanted here was checked against
 * Hugging Face's library, release 0.23. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <string.h>

#define WORDS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }
enum { MAX_TOKENS = 16, MAX_MEMBERS = 4096 };

/* A tokenizer whose ids are the tokens of `tokens`, which are separated by '|'. */
static struct tokenizer *open_decoder(const char *decoder, const char *tokens, int *n_tokens)
{
    struct bytes members = {0};
    bytes_printf(&members, "'decoder':%s,'model':{'type':'Unigram','vocab':[['", decoder);
    *n_tokens = 1;
    for (; *tokens != '\0'; tokens++) {
        *n_tokens += *tokens == '|';
        if (*tokens == '|')
            bytes_add_text(&members, "',0],['");
        else if (*tokens == '\'') /* small_tokenizer() makes '"' of it */
            bytes_add_text(&members, "\\u0027");
        else
            bytes_add_char(&members, *tokens);
    }
    bytes_add_text(&members, "',0]]}");
    struct tokenizer *t = small_tokenizer(members.data);
    bytes_release(&members);
    return t;
}

/* The tokens one after the other, at once and as a stream. */
static void check(const char *decoder, const char *tokens, const char *want)
{
    int n;
    struct tokenizer *t = open_decoder(decoder, tokens, &n);
    struct bytes all = {0}, stream = {0};
    int32_t ids[MAX_TOKENS];
    CHECK(n <= MAX_TOKENS);
    for (int i = 0; i < n; i++)
        ids[i] = tokenizer_find(t, "", 0) == i ? 0 : i;
    CHECK(detokenizer_decode(t, ids, (size_t)n, false, &all));
    CHECK_STR(all.data ? all.data : "", want);
    struct detokenizer d;
    detokenizer_init(&d, t, false);
    for (int round = 0; round < 2; round++) { /* a stream that has ended begins anew */
        bytes_clear(&stream);
        for (int i = 0; i < n; i++)
            CHECK(detokenizer_add(&d, ids[i], &stream));
        CHECK(detokenizer_flush(&d, &stream));
        CHECK_STR(stream.data ? stream.data : "", want);
    }
    detokenizer_release(&d);
    bytes_release(&all);
    bytes_release(&stream);
    tokenizer_close(t);
}

#define SEQUENCE(steps) "{'type':'Sequence','decoders':[" steps "]}"
#define FUSE            "{'type':'Fuse'}"
#define LINE            "\xE2\x96\x81" /* U+2581 */

TEST(metaspace_gives_spaces_and_none_in_the_first_token)
{
#define META(scheme) "{'type':'Metaspace','replacement':'\\u2581','prepend_scheme':'" scheme "'}"
    check(META("always"), LINE "a" LINE LINE "b|" LINE "c", "ab c");
    check(META("first"), LINE "a|" LINE "b", "a b");
    check(META("never"), LINE "a|" LINE "b", " a b");
    check(SEQUENCE(FUSE "," META("always")), LINE "a|" LINE "b", "ab"); /* one token, the first */
}

TEST(word_piece_joins_what_has_the_prefix)
{
#define PIECE(cleanup) "{'type':'WordPiece','prefix':'##','cleanup':" cleanup "}"
    check(PIECE("false"), "##a|##b##c|d|.", "##ab##c d .");
    check(PIECE("true"), "it|'s|.|I|do not|x .y", "it's. I don't x.y");
    check(PIECE("true"), "a .", "a."); /* the first token is cleaned too */
    check(SEQUENCE(FUSE "," PIECE("true")), "a| .|##b", "a.##b");
}

TEST(the_end_of_a_word_is_a_space_but_in_the_last_token)
{
#define WORD_END "{'type':'BPEDecoder','suffix':'</w>'}"
    check(WORD_END, "a</w>|b|c</w></w>|d</w>", "a bc  d");
    check(WORD_END, "a</w>", "a");
    check(SEQUENCE(FUSE "," WORD_END), "a</w>|b</w>", "ab");
}

TEST(ctc_drops_repeats_and_pads)
{
#define CTC(cleanup) \
    "{'type':'CTC','pad_token':'<p>','word_delimiter_token':'_','cleanup':" cleanup "}"
    check(CTC("true"), "<p>|h|e|l|<p>|l |o|_|_ .|x", "hell o  .x");
    check(CTC("false"), "a_|<p>b", "a_b");
    struct tokenizer *t;
    int n;
    t = open_decoder(CTC("true"), "a|b|<p>", &n);
    struct bytes text = {0};
    CHECK(detokenizer_decode(t, (int32_t[]){0, 0, 2, 0, 1, 1}, 6, false, &text));
    CHECK_STR(text.data, "aab");
    bytes_release(&text);
    tokenizer_close(t);
}

TEST(strip_cuts_the_ends_of_each_token)
{
#define STRIP(start, stop) "{'type':'Strip','content':' ','start':" start ",'stop':" stop "}"
    check(STRIP("1", "0"), "  a | b", " a b");
    check(STRIP("0", "2"), " a   |b ", " a b");
    check(SEQUENCE(FUSE "," STRIP("1", "2")), "  a   |   ", " a    ");
    check(SEQUENCE(FUSE "," STRIP("0", "1")), "a | b|  | ", "a  b  ");
}

TEST(replace_behind_fuse_sees_across_tokens)
{
#define REPLACE(pattern, content) \
    "{'type':'Replace','pattern':{" pattern "},'content':'" content "'}"
    check(REPLACE("'String':'ab'", "x"), "a|b|ab", "abx");
    check(SEQUENCE(FUSE "," REPLACE("'String':'aab'", "x")), "a|a|a|b|a|aa|b", "axax");
    check(REPLACE("'Regex':'b+'", "x"), "abb|b|c", "axxc");
    check(SEQUENCE(FUSE "," REPLACE("'Regex':'b+'", "x")), "abb|b|c", "axc");
    check(REPLACE("'String':''", "x"), "ab|c", "xaxbxxcx");
}

TEST(fallback_bytes_behind_other_steps)
{
#define FALLBACK "{'type':'ByteFallback'}"
    check(FALLBACK, "<0xE4>|<0xBD>|<0xA0>|a|<0xFF>",
          "\xE4\xBD\xA0"
          "a\xEF\xBF\xBD");
    check(SEQUENCE(FUSE "," FALLBACK), "<0x|41>", "A");
    check(SEQUENCE(FUSE "," FALLBACK), "<0x41>|a", "<0x41>a");
    check(SEQUENCE(FUSE "," FALLBACK), "<0xFF>", "\xEF\xBF\xBD");
    check(FALLBACK, "<0x+4>|<0xG0>|<0x4>", "\x04<0xG0><0x4>"); /* a number may have a sign */
}

TEST(byte_level_behind_fuse_is_all_or_nothing)
{
#define BYTES "{'type':'ByteLevel'}"
    check(BYTES,
          "\xC4\xA0"
          "a|\xC4\xA0\xE4\xB8\xAD",
          " a\xC4\xA0\xE4\xB8\xAD");
    check(SEQUENCE(FUSE "," BYTES),
          "\xC4\xA0"
          "a|b",
          " ab");
    check(SEQUENCE(FUSE "," BYTES),
          "\xC4\xA0"
          "a|\xE4\xB8\xAD",
          "\xC4\xA0"
          "a\xE4\xB8\xAD");
    check(SEQUENCE(BYTES "," WORD_END), "a</w>|\xC3\xA4", "a\xEF\xBF\xBD"); /* byte E4 alone */
}

TEST(a_sequence_of_nothing_joins_without_spaces)
{
    check("{'type':'Sequence','decoders':[]}", "a|b", "ab");
    check("null", "a|b", "a b");
}

/* What is certain is shown at once: held back is only what the next token may change. */
TEST(no_step_holds_back_more_than_it_must)
{
    int n;
    struct tokenizer *t =
        open_decoder(SEQUENCE(FUSE "," REPLACE("'String':'aab'", "x")), "c|a|b", &n);
    struct detokenizer d;
    struct bytes out = {0};
    detokenizer_init(&d, t, false);
    static const struct {
        int32_t id;
        const char *shown;
    } steps[] = {{0, "c"}, {1, "c"}, {1, "c"}, {1, "ca"}, {2, "cax"}, {1, "cax"}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        CHECK(detokenizer_add(&d, steps[i].id, &out));
        CHECK_STR(out.data, steps[i].shown);
    }
    CHECK(detokenizer_flush(&d, &out));
    CHECK_STR(out.data, "caxa");
    detokenizer_release(&d);
    bytes_release(&out);
    tokenizer_close(t);
}

TEST(a_special_token_that_is_normalized_is_shown_as_it_is_found)
{
    struct tokenizer *t = small_tokenizer(
        "'normalizer':{'type':'Lowercase'},'added_tokens':[{'id':1,'content':'<S>','special':true,"
        "'normalized':true},{'id':2,'content':'<E>','special':true,'normalized':false}],"
        "'model':{'vocab':{'a':0},'merges':[]}");
    struct bytes text = {0};
    CHECK(detokenizer_decode(t, (int32_t[]){0, 1, 2}, 3, false, &text));
    CHECK_STR(text.data, "a <s> <E>");
    bytes_clear(&text);
    CHECK(detokenizer_decode(t, (int32_t[]){0, 1, 2}, 3, true, &text));
    CHECK_STR(text.data, "a <s>"); /* as the library does: no special token is spelled so */
    CHECK(tokenizer_is_special(t, 1));
    bytes_release(&text);
    tokenizer_close(t);
}

TEST(a_token_that_the_one_before_took_as_spaces_gives_no_id)
{
    struct tokenizer *t = small_tokenizer("'added_tokens':[{'id':1,'content':'\\n','lstrip':true,"
                                          "'rstrip':true}],'model':{'vocab':{'a':0},'merges':[]}");
    check_ids(t, "a\n\n\na", "0 1 0");
    tokenizer_close(t);
    t = small_tokenizer("'added_tokens':[{'id':1,'content':'\\n','rstrip':true}],"
                        "'model':{'vocab':{'a':0},'merges':[]}");
    check_ids(t, "a\n\na", "0 1 1 0"); /* as the library does: the second is there, and was taken */
    tokenizer_close(t);
}

TEST(decoders_with_wrong_settings_are_refused)
{
#define DECODER(stage) "'decoder':" stage ",'model':{'vocab':{'a':0},'merges':[]}"
    check_refused(DECODER("{'type':'Strip','content':'ab','start':0,'stop':0}"), ERROR_INPUT,
                  WORDS("Strip", "content"));
    check_refused(DECODER("{'type':'Strip','content':'a','start':-1,'stop':0}"), ERROR_INPUT,
                  WORDS("Strip", "start"));
    check_refused(DECODER("{'type':'WordPiece','cleanup':true}"), ERROR_INPUT,
                  WORDS("WordPiece", "prefix"));
    check_refused(DECODER("{'type':'BPEDecoder','suffix':''}"), ERROR_UNSUPPORTED,
                  WORDS("BPEDecoder", "suffix"));
    check_refused(DECODER("{'type':'CTC','pad_token':'','cleanup':true}"), ERROR_INPUT,
                  WORDS("CTC", "word_delimiter_token"));
    check_refused(DECODER("{'type':'Metaspace','replacement':'a','prepend_scheme':'x'}"),
                  ERROR_UNSUPPORTED, WORDS("Metaspace", "prepend_scheme"));
    struct bytes many = {0};
    bytes_add_text(&many, "{'type':'Sequence','decoders':[" CTC("true"));
    for (int i = 0; i < 5; i++)
        bytes_add_text(&many, "," CTC("true"));
    bytes_add_text(&many, "]}");
    struct bytes members = {0};
    bytes_printf(&members, "'decoder':%s,'model':{'vocab':{'a':0},'merges':[]}", many.data);
    check_refused(members.data, ERROR_INPUT, WORDS("decoder", "steps"));
    bytes_release(&many);
    bytes_release(&members);
}

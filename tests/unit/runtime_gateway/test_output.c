/* Ids to text of one choice, over a tokenizer of single bytes and a few words. */
#include "base/error.h"
#include "runtime/gateway/intake.h"
#include "runtime/gateway/output.h"
#include "runtime/jinja/jinja.h"
#include "runtime/text/encoder.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

/* Token i < 4 is a letter, 4 and 5 are the two bytes of U+00E9, 6 is a word, 7 is special. In the
 * byte alphabet of byte-level BPE, byte C3 is spelled U+00C3 and byte A9 U+00A9. */
static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":7,\"content\":\"<end>\",\"single_word\":false,"
    "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
    "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"\xc3\x83\":4,"
    "\"\xc2\xa9\":5,\"abcab\":6},\"merges\":[]}}";

enum { A, B, C, D, E_FIRST, E_SECOND, ABCAB, END };

static struct intake open_intake(void)
{
    const struct folder folder = folder_make();
    struct intake intake;
    struct error err = {0};
    folder_write(&folder, "tokenizer.json", tokenizer_json, sizeof tokenizer_json - 1);
    const bool good = intake_open(&intake, folder.path, &err);
    folder_remove(&folder);
    if (!good)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return intake;
}

static void add(struct output *output, int32_t token, enum finish_reason finish)
{
    output_add(output, &(struct link_token){.token = token, .finish = finish, .stop_token = -1});
}

static void add_all(struct output *output, const int32_t *token, int n)
{
    for (int i = 0; i < n; i++)
        add(output, token[i], FINISH_NONE);
}

static void released_is(const struct output *output, const char *want)
{
    char got[64];
    snprintf(got, sizeof got, "%.*s", (int)output->n_released,
             output->text.data ? output->text.data : "");
    CHECK_STR(got, want);
}

TEST(text_is_released_in_whole_characters)
{
    struct intake intake = open_intake();
    const struct output_rules rules = {.tokenizer = intake.tokenizer, .skip_special_tokens = true};
    struct output output;
    output_init(&output, &rules);
    add(&output, A, FINISH_NONE);
    add(&output, E_FIRST, FINISH_NONE);
    released_is(&output, "a");
    add(&output, E_SECOND, FINISH_NONE);
    released_is(&output, "a\xc3\xa9");
    add(&output, E_FIRST, FINISH_LENGTH); /* cut inside a character */
    released_is(&output, "a\xc3\xa9\xef\xbf\xbd");
    CHECK_EQ(output.finish, FINISH_LENGTH);
    CHECK_EQ(output.tokens.n, 4);
    output_release(&output);
    intake_close(&intake);
}

TEST(tokens_alone_make_no_text)
{
    struct intake intake = open_intake();
    const struct output_rules rules = {.tokenizer = intake.tokenizer, .no_text = true};
    const int32_t tokens[] = {A, B};
    const struct link_beam beam = {.token = tokens, .n_tokens = 2, .finish = FINISH_LENGTH};
    struct output output;
    output_init(&output, &rules);
    add_all(&output, tokens, 2);
    add(&output, E_FIRST, FINISH_LENGTH); /* nothing is held back, either */
    released_is(&output, "");
    CHECK_EQ(output.tokens.n, 3);
    output_release(&output);
    output_init(&output, &rules);
    output_add_beam(&output, &beam, 0);
    released_is(&output, "");
    CHECK_EQ(output.tokens.n, 2);
    output_release(&output);
    intake_close(&intake);
}

TEST(a_stop_string_is_found_across_tokens_and_nothing_of_it_is_released)
{
    struct intake intake = open_intake();
    static const char *const stop[] = {"cad"};
    const struct output_rules rules = {.tokenizer = intake.tokenizer, .stop = stop, .n_stop = 1};
    struct output output;
    output_init(&output, &rules);
    add_all(&output, (int32_t[]){B, C}, 2);
    released_is(&output, "b"); /* c may begin it */
    add(&output, A, FINISH_NONE);
    released_is(&output, "b");
    add(&output, B, FINISH_NONE); /* it did not */
    released_is(&output, "bcab");
    add_all(&output, (int32_t[]){C, A, D}, 3);
    released_is(&output, "bcab");
    CHECK_EQ(output.finish, FINISH_STOP);
    CHECK_STR(output.stop_text, "cad");
    CHECK_EQ(output.tokens.n, 7);
    add(&output, A, FINISH_NONE); /* a token that was on its way */
    CHECK_EQ(output.tokens.n, 7);
    output_release(&output);
    intake_close(&intake);
}

TEST(the_stop_string_that_is_complete_first_wins)
{
    struct intake intake = open_intake();
    static const char *const stop[] = {"cab", "bc", "abca"};
    struct output_rules rules = {.tokenizer = intake.tokenizer, .stop = stop, .n_stop = 3};
    struct output output;
    output_init(&output, &rules);
    add(&output, ABCAB, FINISH_NONE); /* one token holds all three */
    CHECK_STR(output.stop_text, "bc");
    released_is(&output, "a");
    output_release(&output);

    rules.include_stop = true;
    output_init(&output, &rules);
    add(&output, ABCAB, FINISH_NONE);
    released_is(&output, "abc");
    output_release(&output);
    intake_close(&intake);
}

TEST(a_stop_string_that_stays_in_the_text_holds_nothing_back)
{
    struct intake intake = open_intake();
    static const char *const stop[] = {"abd"};
    const struct output_rules rules = {
        .tokenizer = intake.tokenizer, .stop = stop, .n_stop = 1, .include_stop = true};
    struct output output;
    output_init(&output, &rules);
    add_all(&output, (int32_t[]){A, B}, 2);
    released_is(&output, "ab"); /* whatever comes, this is part of the answer */
    add(&output, D, FINISH_NONE);
    CHECK_EQ(output.finish, FINISH_STOP);
    released_is(&output, "abd");
    output_release(&output);
    intake_close(&intake);
}

TEST(no_stop_string_is_looked_for_before_min_tokens)
{
    struct intake intake = open_intake();
    static const char *const stop[] = {"ab"};
    const struct output_rules rules = {
        .tokenizer = intake.tokenizer, .stop = stop, .n_stop = 1, .min_tokens = 3};
    struct output output;
    output_init(&output, &rules);
    add_all(&output, (int32_t[]){A, B, A}, 3);
    CHECK_EQ(output.finish, FINISH_NONE);
    add(&output, B, FINISH_NONE); /* completes one after the third token */
    CHECK_EQ(output.finish, FINISH_STOP);
    released_is(&output, "ab");
    output_release(&output);
    intake_close(&intake);
}

TEST(a_stop_string_in_the_last_token_overrides_the_length)
{
    struct intake intake = open_intake();
    static const char *const stop[] = {"d"};
    const struct output_rules rules = {.tokenizer = intake.tokenizer, .stop = stop, .n_stop = 1};
    struct output output;
    output_init(&output, &rules);
    add(&output, A, FINISH_NONE);
    add(&output, D, FINISH_LENGTH);
    CHECK_EQ(output.finish, FINISH_STOP);
    released_is(&output, "a");
    output_release(&output);
    intake_close(&intake);
}

TEST(the_end_token_is_in_the_ids_and_not_in_the_text)
{
    struct intake intake = open_intake();
    const struct output_rules rules = {.tokenizer = intake.tokenizer};
    struct output output;
    output_init(&output, &rules);
    add(&output, A, FINISH_NONE);
    add(&output, END, FINISH_STOP);
    released_is(&output, "a");
    CHECK_EQ(output.tokens.n, 2);
    output_release(&output);
    intake_close(&intake);
}

static bool ends_with_special(struct intake *intake, const struct text_range *users)
{
    struct ids ids = {0};
    struct error err = {0};
    struct jinja_output prompt = {.users = (struct text_range *)users, .n_users = users != NULL};
    bytes_add_text(&prompt.text, "d<end>");
    CHECK(users != NULL ? intake_chat(intake, &prompt, false, &ids, &err)
                        : intake_text(intake, "d<end>", 6, &ids, &err));
    const bool special = ids.n == 2 && ids.data[0] == D && ids.data[1] == END;
    for (size_t i = 0; !special && i < ids.n; i++)
        CHECK(ids.data[i] != END);
    ids_release(&ids);
    bytes_release(&prompt.text);
    return special;
}

TEST(rows_of_a_prompt_come_in_order_or_are_refused)
{
    struct intake intake = open_intake();
    const struct output_rules rules = {.tokenizer = intake.tokenizer};
    static const struct link_logprob entry[] = {{1, -1, 1}, {2, -2, 2}, {3, -3, 1}};
    static const int32_t end[] = {2, 3};
    struct link_prompt_logprobs rows = {
        .position = 1, .logprob = entry, .end = end, .n_positions = 2};
    struct output output;
    output_init(&output, &rules);
    CHECK(output_add_prompt(&output, &rows));
    CHECK(!output_add_prompt(&output, &rows)); /* positions 1 and 2 again */
    rows.position = 4;
    CHECK(!output_add_prompt(&output, &rows)); /* 3 is missing */
    rows.position = 3;
    rows.n_positions = 1;
    CHECK(output_add_prompt(&output, &rows));
    CHECK_EQ(output.prompt.end.n, 3);
    CHECK_EQ(output.prompt.n_entries, 5);
    CHECK_EQ(output.prompt.end.data[2], 5);
    CHECK_EQ(output.prompt.entry[2].token, 3);
    output_release(&output);
    intake_close(&intake);
}

TEST(a_beam_is_a_whole_answer_with_a_score)
{
    struct intake intake = open_intake();
    const struct output_rules rules = {.tokenizer = intake.tokenizer};
    static const int32_t token[] = {A, E_FIRST, E_SECOND, B};
    struct link_beam beam = {.token = token,
                             .n_tokens = 4,
                             .cumulative_logprob = -3,
                             .score = -0.5,
                             .finish = FINISH_STOP};
    struct output output;
    output_init(&output, &rules);
    output_add_beam(&output, &beam, 7);
    released_is(&output, "a\xc3\xa9"); /* not the token that ended it */
    CHECK_EQ(output.tokens.n, 4);
    CHECK(output.cumulative_logprob == -3 && output.score == -0.5);
    CHECK(output.finish == FINISH_STOP && output.cached_tokens == 7);
    output_release(&output);
    output_init(&output, &rules);
    beam.finish = FINISH_LENGTH;
    output_add_beam(&output, &beam, 0);
    released_is(&output, "a\xc3\xa9"
                         "b");
    output_release(&output);
    intake_close(&intake);
}

static void refuses_words(struct intake *intake, const char *const *word, int n, const char *why)
{
    struct ids id = {0}, end = {0};
    struct error err = {0};
    CHECK(!intake_bad_words(intake, word, n, &id, &end, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, why) == NULL)
        test_fail(__FILE__, __LINE__, "refused with '%s', want '%s'", err.text, why);
    ids_release(&id);
    ids_release(&end);
}

TEST(a_bad_word_is_bad_at_the_begin_of_a_word_and_inside)
{
    struct intake intake;
    struct error err = {0};
    struct ids id = {0}, end = {0}, inside = {0}, begin = {0};
    static const char *const words[] = {" time", "."};
    CHECK(intake_open(&intake, SOURCE_DIR "/demo/model", &err));
    CHECK(encoder_encode(intake.encoder, "time", 4, NULL, &inside, &err));
    CHECK(encoder_encode(intake.encoder, " time", 5, NULL, &begin, &err));
    CHECK(inside.data[0] != begin.data[0]);
    CHECK(intake_bad_words(&intake, words, 2, &id, &end, &err));
    CHECK_EQ(end.data[0], inside.n);
    CHECK(memcmp(id.data, inside.data, inside.n * sizeof *id.data) == 0);
    if (inside.n == begin.n) { /* as many tokens: it is a word of its own */
        CHECK_EQ(end.data[1], inside.n + begin.n);
        CHECK_EQ(id.data[inside.n], begin.data[0]);
    }
    const char *many[PARAMS_MAX_BAD_WORDS + 1];
    for (int i = 0; i <= PARAMS_MAX_BAD_WORDS; i++)
        many[i] = "fox";
    refuses_words(&intake, many, PARAMS_MAX_BAD_WORDS + 1, "too many");
    refuses_words(&intake, (const char *const[]){"a", "  "}, 2, "an empty word");
    ids_release(&id);
    ids_release(&end);
    ids_release(&inside);
    ids_release(&begin);
    intake_close(&intake);
}

TEST(a_salt_becomes_bytes_that_no_other_salt_has)
{
    struct bytes one = {0}, two = {0};
    struct error err = {0};
    static char long_salt[5000];
    memset(long_salt, 'x', sizeof long_salt - 1);
    CHECK(intake_cache_key("a", &one, &err) && intake_cache_key("b", &two, &err));
    CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) != 0);
    CHECK(intake_cache_key(NULL, &one, &err));
    CHECK_EQ(one.len, 0);
    CHECK(!intake_cache_key("", &one, &err));
    err = (struct error){0};
    CHECK(!intake_cache_key(long_salt, &one, &err));
    CHECK(strstr(err.text, "4999 bytes, at most") != NULL);
    bytes_release(&one);
    bytes_release(&two);
}

TEST(what_users_write_spells_no_special_token)
{
    struct intake intake = open_intake();
    CHECK(ends_with_special(&intake, &(struct text_range){0, 1}));  /* ours: <end> */
    CHECK(!ends_with_special(&intake, &(struct text_range){1, 6})); /* theirs */
    CHECK(!ends_with_special(&intake, &(struct text_range){0, 2})); /* in part */
    CHECK(!ends_with_special(&intake, NULL));                       /* all of it */
    intake_close(&intake);
}

TEST(prompt_ids_are_read_and_checked)
{
    struct ids ids = {0};
    struct error err = {0};
    CHECK(intake_ids("1,2, 3", 10, &ids, &err));
    CHECK_EQ(ids.n, 3);
    CHECK(intake_ids("[0, 9]", 10, &ids, &err));
    CHECK_EQ(ids.data[1], 9);
    static const char *const bad[] = {
        "", "1,", "1;2", "10", "-1", "[1", "1]", "99999999999999999999", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct error){0};
        CHECK(!intake_ids(bad[i], 10, &ids, &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
    }
    ids_release(&ids);
}

TEST(an_end_without_a_token_adds_none_and_gives_what_was_held_back)
{
    struct intake intake = open_intake();
    const char *const stops[] = {"cd"};
    const struct output_rules rules = {.tokenizer = intake.tokenizer, .stop = stops, .n_stop = 1};
    struct output output;
    output_init(&output, &rules);
    add_all(&output, (const int32_t[]){A, B, C}, 3);
    released_is(&output, "ab");
    add(&output, -1, FINISH_ABORT);
    released_is(&output, "abc");
    CHECK_EQ(output.finish, FINISH_ABORT);
    CHECK_EQ(output.tokens.n, 3);
    output_release(&output);
    intake_close(&intake);
}

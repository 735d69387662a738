/* The rules before temperature, one by one: which tokens are out, and which are moved. */
#include "kernels/device.h"
#include "runtime/sample/rules.h"
#include "tests/test.h"
#include "tests/unit/runtime_sample/whole_row.h"

#include <float.h>
#include <math.h>

enum { VOCAB = 60 };

static float logits[VOCAB], value[VOCAB];

static struct sample_row row_with(const struct sampling_params *params, const int32_t *token,
                                  int n_prompt, int n_tokens)
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = value[i] = (float)i / 8;
    return (struct sample_row){.logits = logits,
                               .params = params,
                               .token = token,
                               .n_prompt = n_prompt,
                               .n_tokens = n_tokens};
}

static int n_out(void)
{
    int n = 0;
    for (int i = 0; i < VOCAB; i++)
        n += value[i] == -INFINITY;
    return n;
}

TEST(without_lists_a_row_is_copied_as_it_is)
{
    const struct sampling_params params = params_default();
    const struct sample_row row = row_with(&params, NULL, 0, 0);
    CHECK(!rules_edit_logits(&row));
    value[3] = NAN;
    rules_copy_allowed(value, &row, VOCAB);
    rules_mask_bad_words(value, &row);
    rules_add_biases(value, &row);
    for (int i = 0; i < VOCAB; i++)
        CHECK(value[i] == logits[i]);
}

TEST(only_allowed_ids_stay)
{
    struct sampling_params params = params_default();
    params.allowed_id = (const int32_t[]){59, 7, 7, 0};
    params.n_allowed_ids = 4;
    const struct sample_row row = row_with(&params, NULL, 0, 0);
    CHECK(rules_edit_logits(&row));
    rules_copy_allowed(value, &row, VOCAB);
    for (int i = 0; i < VOCAB; i++)
        CHECK(value[i] == (i == 0 || i == 7 || i == 59 ? logits[i] : -INFINITY));
}

/* Words 10 | 11 12 | 13 14 15 | 16 17, after a prompt of 16 13 and an output of 14 11. */
static const int32_t bad_id[] = {10, 11, 12, 13, 14, 15, 14, 11, 17}, bad_end[] = {1, 3, 6, 9};

TEST(the_last_token_of_a_bad_word_is_out_behind_its_begin)
{
    static const int32_t token[] = {1, 2, 14, 11};
    struct sampling_params params = params_default();
    params.bad_id = bad_id;
    params.bad_end = bad_end;
    params.n_bad_words = 4;
    const struct sample_row row = row_with(&params, token, 2, 4);
    CHECK(rules_edit_logits(&row));
    rules_mask_bad_words(value, &row);
    CHECK(value[10] == -INFINITY); /* a word of one token always */
    CHECK(value[12] == -INFINITY); /* behind 11 */
    CHECK(value[17] == -INFINITY); /* behind 14 11 */
    CHECK_EQ(n_out(), 3);
}

TEST(a_bad_word_does_not_begin_in_the_prompt)
{
    static const int32_t token[] = {1, 14, 11};
    struct sampling_params params = params_default();
    params.bad_id = bad_id;
    params.bad_end = bad_end;
    params.n_bad_words = 4;
    struct sample_row row = row_with(&params, token, 2, 3);
    rules_mask_bad_words(value, &row);
    CHECK(value[12] == -INFINITY && value[17] != -INFINITY); /* 11 is output, 14 is not */
    CHECK_EQ(n_out(), 2);
    row = row_with(&params, token, 3, 3);
    rules_mask_bad_words(value, &row);
    CHECK_EQ(n_out(), 1); /* nothing but the word of one token */
}

TEST(biases_are_added_in_order_and_bring_nothing_back)
{
    struct sampling_params params = params_default();
    params.bias =
        (const struct token_bias[]){{5, 1.5f}, {6, -100}, {5, 0x1p-24f}, {8, 100}, {9, 3}};
    params.n_biases = 5;
    const struct sample_row row = row_with(&params, NULL, 0, 0);
    CHECK(rules_edit_logits(&row));
    value[8] = -INFINITY;
    value[9] = FLT_MAX;
    rules_add_biases(value, &row);
    CHECK(value[5] == 5.0f / 8 + 1.5f + 0x1p-24f);
    CHECK(value[6] == 6.0f / 8 - 100);
    CHECK(value[8] == -INFINITY);
    CHECK(value[9] == FLT_MAX);
    CHECK(value[7] == logits[7]);
}

static bool close_to(float got, double want) { return fabs((double)got - want) < 1e-6; }

TEST(penalties_count_prompt_and_output_as_they_should)
{
    static int32_t counts[VOCAB];
    const int32_t token[] = {10, 11, 11, 20, 20, 10}; /* a prompt of 3, an output of 3 */
    struct sampling_params params = params_default();
    const struct sample_row row = {.params = &params, .token = token, .n_prompt = 3, .n_tokens = 6};
    CHECK(!rules_edit_logits(&row));
    params.repetition_penalty = 2;
    params.frequency_penalty = 0.25f;
    params.presence_penalty = 0.5f;
    CHECK(rules_edit_logits(&row));
    for (int i = 0; i < VOCAB; i++)
        value[i] = i == 11 ? -3 : 6;
    rules_penalize(value, &row, counts);
    CHECK(close_to(value[11], -6.0));               /* prompt only: repetition, once */
    CHECK(close_to(value[20], 3 - 2 * 0.25 - 0.5)); /* output, twice */
    CHECK(close_to(value[10], 3 - 1 * 0.25 - 0.5)); /* both */
    CHECK(close_to(value[12], 6));                  /* neither */
    for (int i = 0; i < VOCAB; i++)
        CHECK_EQ(counts[i], 0);
}

TEST(an_extreme_penalty_stays_finite)
{
    static int32_t counts[VOCAB];
    const int32_t token[] = {1};
    struct sampling_params params = params_default();
    const struct sample_row row = {.params = &params, .token = token, .n_prompt = 1, .n_tokens = 1};
    params.repetition_penalty = 1e-30f;
    value[1] = 1e20f;
    rules_penalize(value, &row, counts);
    CHECK(value[1] == FLT_MAX);
}

TEST(ends_are_out_until_min_tokens)
{
    const int32_t token[8] = {1}, eos[] = {2, 3};
    struct sampling_params params = params_default();
    struct sample_row row = {.params = &params, .token = token, .n_prompt = 1, .n_tokens = 3};
    params.min_tokens = 3;
    params.n_stop_ids = 1;
    params.stop_id[0] = 9;
    CHECK(rules_edit_logits(&row)); /* two of three are there */
    for (int i = 0; i < VOCAB; i++)
        value[i] = 1;
    rules_mask_ends(value, &row, eos, 2);
    for (int i = 0; i < VOCAB; i++)
        CHECK((value[i] == -INFINITY) == (i == 2 || i == 3 || i == 9));
    row.n_tokens = 4;
    CHECK(!rules_edit_logits(&row));
    value[2] = 1;
    rules_mask_ends(value, &row, eos, 2);
    CHECK(value[2] == 1);
}

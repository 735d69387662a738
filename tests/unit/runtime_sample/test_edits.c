/* The rules before penalties, one by one: which tokens are out, and which are moved. */
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

TEST(the_log_sum_exp_of_what_is_left_is_right)
{
    cpu_float_mode_set();
    for (int round = 0; round < 300; round++) {
        double sum = 0;
        for (int i = 0; i < VOCAB; i++) {
            value[i] = (i * 37 + round) % (1 + round % 5) == 0
                           ? (float)((i * 101 + round * 7) % 97) / 97 * (float)(round % 50) - 30
                           : -INFINITY;
            sum += exp((double)value[i]);
        }
        const double want = log(sum), got = (double)log_sum_exp_of_whole_row(value, VOCAB);
        if (!(fabs(got - want) <= 2e-6 + 1e-7 * fabs(want)))
            test_fail(__FILE__, __LINE__, "round %d: %.9g, want %.9g", round, got, want);
    }
    for (int i = 0; i < VOCAB; i++)
        value[i] = i == 17 ? -3.7f : -INFINITY;
    CHECK(log_sum_exp_of_whole_row(value, VOCAB) == -3.7f); /* the only one: probability 1 */
}

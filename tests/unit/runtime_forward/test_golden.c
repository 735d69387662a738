/* Our float32 against transformers' float32: every logit of the last positions of every prompt, and
 * the tokens that greedy decoding picks after it. Each prompt, and what follows it, in one step and
 * cut in pieces, on one rank and on several. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/golden.h"
#include "tests/unit/runtime_forward/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double largest(const float *row, int n)
{
    double max = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, fabs((double)row[i]));
    return max;
}

static void check_row(const char *what, int row, const float *got, const float *want, int vocab)
{
    const double bound = 1e-4 * largest(want, vocab);
    for (int i = 0; i < vocab; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= bound))
            test_fail(__FILE__, __LINE__, "%s, row %d, token %d: %.9g, want %.9g within %.3g", what,
                      row, i, (double)got[i], (double)want[i], bound);
}

static int32_t best(const float *row, int vocab)
{
    int32_t top = 0;
    for (int i = 1; i < vocab; i++)
        top = row[i] > row[top] ? i : top;
    return top;
}

static void check_prompt(const char *name, const struct setup *setup,
                         const struct golden_prompt *prompt, int chunk)
{
    const size_t vocab = (size_t)prompt->vocab;
    const int first = prompt->n_ids - prompt->n_rows, n = prompt->n_ids + prompt->n_greedy - 1;
    float *logits = memory_alloc((size_t)n * vocab, sizeof *logits);
    const struct sequence sequence = {
        .ids = prompt->ids, .n_ids = n, .chunk = chunk, .logits = logits};
    run_layout(setup, &sequence, 1, prompt->vocab);
    for (int row = 0; row < prompt->n_rows; row++)
        check_row(name, row, logits + (size_t)(first + row) * vocab,
                  prompt->logits + (size_t)row * vocab, prompt->vocab);
    for (int i = 0; i < prompt->n_greedy; i++)
        CHECK_EQ(best(logits + (size_t)(prompt->n_ids - 1 + i) * vocab, prompt->vocab),
                 prompt->greedy[i]);
    memory_free(logits);
}

static void check_model(const char *name)
{
    struct golden golden = golden_open(name);
    struct setup setup = {.folder = golden.folder,
                          .dtype = "float32",
                          .n_threads = 1,
                          .kv_dtype = DTYPE_F32,
                          .block_tokens = 16};
    struct model_config config;
    struct error err = {0};
    if (!model_config_read(&config, golden.folder, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    struct golden_prompt prompt;
    int n_prompts = 0;
    for (; golden_prompt_read(&prompt, &golden, n_prompts); n_prompts++) {
        memcpy(prompt.ids + prompt.n_ids, prompt.greedy,
               (size_t)prompt.n_greedy * sizeof *prompt.ids);
        for (setup.tp_size = 1; setup.tp_size <= 2; setup.tp_size++) {
            const int chunks[] = {GOLDEN_MAX_IDS, prompt.n_ids, 7, 1};
            for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
                if (setup.tp_size <= model_max_tp(&config))
                    check_prompt(name, &setup, &prompt, chunks[i]);
        }
    }
    golden_close(&golden);
    CHECK(n_prompts >= 3);
}

static float number_of(const struct weight *weight, int64_t row, int64_t column)
{
    const int64_t at = row * weight->row_stride + column;
    return weight->dtype == DTYPE_F32 ? ((const float *)weight->data)[at]
                                      : bf16_to_f32(((const bf16 *)weight->data)[at]);
}

/* The head of a rank over the hidden state of the last position. */
static void check_scores(const char *name, const struct golden *golden,
                         const struct golden_prompt *prompt, const float *hidden)
{
    struct model *model;
    struct error err = {0};
    float scores[8];
    CHECK(model_open(&model, golden->folder, "bfloat16",
                     &(struct model_place){.tp_rank = 1, .tp_size = 2, .pp_stages = 1}, &err));
    CHECK_EQ(model->config.n_labels, prompt->n_scores);
    CHECK(model->config.n_labels <= 8);
    for (int label = 0; label < model->config.n_labels; label++) {
        double sum = model->score_bias.data ? (double)number_of(&model->score_bias, 0, label) : 0;
        for (int i = 0; i < prompt->hidden_size; i++)
            sum += (double)hidden[i] * (double)number_of(&model->score, label, i);
        scores[label] = (float)sum;
    }
    check_row(name, 0, scores, prompt->scores, prompt->n_scores);
    model_close(model);
}

static void check_hidden(const char *name)
{
    struct golden golden = golden_open(name);
    struct setup setup = {.folder = golden.folder,
                          .dtype = "float32",
                          .n_threads = 1,
                          .kv_dtype = DTYPE_F32,
                          .block_tokens = 16};
    struct model_config config;
    struct error err = {0};
    CHECK(model_config_read(&config, golden.folder, &err));
    struct golden_prompt prompt;
    int n_prompts = 0;
    for (; golden_prompt_read(&prompt, &golden, n_prompts); n_prompts++) {
        const size_t width = (size_t)config.hidden;
        float *hidden = memory_alloc((size_t)prompt.n_ids * width, sizeof *hidden);
        CHECK_EQ(prompt.hidden_size, config.hidden);
        for (setup.tp_size = 1; setup.tp_size <= 2; setup.tp_size++)
            for (int chunk = 7; chunk <= 70; chunk *= 10) {
                const struct sequence sequence = {
                    .ids = prompt.ids, .n_ids = prompt.n_ids, .chunk = chunk, .hidden = hidden};
                run_layout(&setup, &sequence, 1, config.vocab);
                for (int row = 0; row < prompt.n_hidden; row++)
                    check_row(name, row,
                              hidden + (size_t)(prompt.n_ids - prompt.n_hidden + row) * width,
                              prompt.hidden + (size_t)row * width, config.hidden);
            }
        if (prompt.scores != NULL)
            check_scores(name, &golden, &prompt, hidden + (size_t)(prompt.n_ids - 1) * width);
        memory_free(hidden);
    }
    golden_close(&golden);
    CHECK(n_prompts >= 3);
}

TEST(golden_llama_tiny) { check_model("llama-tiny"); }
TEST(golden_llama_with_biases_everywhere) { check_model("llama-bias"); }
TEST(golden_llama_with_sixteen_leaves) { check_model("llama-16"); }
TEST(golden_llama_stored_in_bf16) { check_model("llama-bf16"); }
TEST(golden_llama_stored_in_f16) { check_model("llama-f16"); }
TEST(golden_llama_with_llama3_rope_and_another_head_dim) { check_model("llama-rope3"); }
TEST(golden_llama_with_linear_rope) { check_model("llama-linear"); }
TEST(golden_llama_with_dynamic_rope) { check_model("llama-dynamic"); }
TEST(golden_llama_with_yarn) { check_model("llama-yarn"); }
TEST(golden_llama_with_yarn_and_all_its_parameters) { check_model("llama-yarn-set"); }
TEST(golden_llama_with_longrope) { check_model("llama-longrope"); }
TEST(golden_llama_with_the_rope_parameters_of_transformers_5)
{
    check_model("llama-rope-parameters");
}
TEST(golden_qwen2_with_fourteen_heads_over_two) { check_model("qwen2-uneven"); }
TEST(golden_qwen2_untied_in_two_files) { check_model("qwen2-untied"); }
TEST(golden_qwen2_whose_upper_layers_have_a_window) { check_model("qwen2-window"); }
TEST(golden_mistral_with_a_window) { check_model("mistral-window"); }
TEST(golden_mistral_with_wide_heads_and_no_window) { check_model("mistral-nemo"); }
TEST(golden_phi3_with_a_window) { check_model("phi3-window"); }
TEST(golden_phi3_with_heads_rotated_in_part_by_longrope) { check_model("phi3-longrope"); }
TEST(golden_qwen3_with_norms_of_wide_heads) { check_model("qwen3-wide"); }
TEST(golden_qwen3_with_biases_and_a_window) { check_model("qwen3-biased"); }
TEST(golden_gemma2_with_both_caps) { check_model("gemma2-capped"); }
TEST(golden_gemma2_without_caps_stored_in_bf16) { check_model("gemma2-bf16"); }
TEST(golden_gemma3_with_a_pattern_of_windows) { check_model("gemma3-pattern"); }
TEST(golden_gemma3_with_the_config_of_transformers_5) { check_model("gemma3-types"); }
TEST(golden_scores_of_a_classifier) { check_hidden("llama-scores"); }
TEST(golden_value_and_tokens_of_one_model)
{
    check_hidden("mistral-value");
    check_model("mistral-value");
}
TEST(golden_hidden_states_of_a_model_without_a_head) { check_hidden("qwen3-embedding"); }
TEST(golden_hidden_states_of_a_gemma_without_a_head) { check_hidden("gemma3-embedding"); }

/* As far from the reference as numbers of 8 bits are, and no further: a scale of another position
 * or head would be far off. */
TEST(logits_over_an_int8_cache_are_near_the_reference)
{
    struct golden golden = golden_open("llama-tiny");
    const struct setup setup = {.folder = golden.folder,
                                .dtype = "float32",
                                .tp_size = 1,
                                .n_threads = 1,
                                .kv_dtype = DTYPE_I8,
                                .block_tokens = 16};
    struct golden_prompt prompt;
    for (int number = 0; golden_prompt_read(&prompt, &golden, number); number++) {
        const size_t vocab = (size_t)prompt.vocab;
        float *logits = memory_alloc((size_t)prompt.n_ids * vocab, sizeof *logits);
        const struct sequence sequence = {
            .ids = prompt.ids, .n_ids = prompt.n_ids, .chunk = 7, .logits = logits};
        run_layout(&setup, &sequence, 1, prompt.vocab);
        double worst = 0;
        for (size_t i = 0; i < (size_t)prompt.n_rows * vocab; i++) {
            const float got = logits[(size_t)(prompt.n_ids - prompt.n_rows) * vocab + i];
            worst = fmax(worst, fabs((double)got - (double)prompt.logits[i]) /
                                    largest(prompt.logits + i / vocab * vocab, prompt.vocab));
        }
        CHECK(worst > 1e-4); /* it is another format */
        CHECK(worst < 0.05);
        printf("  prompt of %d: %.4f of the largest logit\n", prompt.n_ids, worst);
        memory_free(logits);
    }
    golden_close(&golden);
}

/* Our GPU kernels' float32 against transformers' float32: every logit of the last positions of the
 * prompts, and the tokens that greedy decoding picks after them. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/dtype.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/golden.h"
#include "tests/unit/runtime_forward/layout.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

#include <math.h>
#include <string.h>

static void check_row(const char *what, const float *got, const float *want, int vocab,
                      double tolerance)
{
    double largest = 0;
    for (int i = 0; i < vocab; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (int i = 0; i < vocab; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * largest))
            test_fail(__FILE__, __LINE__, "%s, token %d: %.9g, want %.9g within %.3g of %.9g", what,
                      i, (double)got[i], (double)want[i], tolerance, largest);
}

static int32_t best(const float *row, int vocab)
{
    int32_t top = 0;
    for (int i = 1; i < vocab; i++)
        top = row[i] > row[top] ? i : top;
    return top;
}

/* One prompt of a model and what greedy decoding says after it, `chunk` tokens a step. */
static void check_model(const char *name, const struct setup *like, int chunk, double tolerance)
{
    struct golden golden = golden_open(name);
    struct golden_prompt prompt;
    struct setup setup = *like;
    setup.folder = golden.folder;
    setup.block_tokens = 16;
    setup.n_threads = 1;
    CHECK(golden_prompt_read(&prompt, &golden, 1));
    memcpy(prompt.ids + prompt.n_ids, prompt.greedy, (size_t)prompt.n_greedy * sizeof *prompt.ids);
    const size_t vocab = (size_t)prompt.vocab;
    const int first = prompt.n_ids - prompt.n_rows, n = prompt.n_ids + prompt.n_greedy - 1;
    float *logits = memory_alloc((size_t)n * vocab, sizeof *logits);
    const struct sequence sequence = {
        .ids = prompt.ids, .n_ids = n, .chunk = chunk, .logits = logits};
    run_layout(&setup, &sequence, 1, prompt.vocab);
    for (int row = 0; row < prompt.n_rows; row++)
        check_row(name, logits + (size_t)(first + row) * vocab, prompt.logits + (size_t)row * vocab,
                  prompt.vocab, tolerance);
    for (int i = 0; i < prompt.n_greedy; i++)
        CHECK_EQ(best(logits + (size_t)(prompt.n_ids - 1 + i) * vocab, prompt.vocab),
                 prompt.greedy[i]);
    memory_free(logits);
    golden_close(&golden);
}

static void check_float32(const char *name, int most_ranks)
{
    static const int chunks[] = {GOLDEN_MAX_IDS, 7, 1};
    struct setup setup = {.gpu = &exact_gpus, .dtype = "float32", .kv_dtype = DTYPE_F32};
    for (int i = SANITIZED ? 1 : 0; i < (SANITIZED ? 2 : 3); i++)
        for (setup.tp_size = SANITIZED ? most_ranks : 1; setup.tp_size <= most_ranks;
             setup.tp_size *= 2)
            check_model(name, &setup, chunks[i], 1e-4);
}

TEST(golden_llama_on_gpus) { check_float32("llama-tiny", 2); }
TEST(golden_llama_with_sixteen_leaves_on_gpus) { check_float32("llama-16", 4); }

TEST(golden_llama_on_gpus_of_two_stages)
{
    struct setup setup = {
        .gpu = &exact_gpus, .dtype = "float32", .kv_dtype = DTYPE_F32, .pp_stages = 2};
    for (setup.tp_size = SANITIZED ? 4 : 1; setup.tp_size <= 4; setup.tp_size *= 2)
        check_model("llama-16", &setup, 7, 1e-4);
}

TEST(golden_llama_with_biases_everywhere_on_gpus) { check_float32("llama-bias", 2); }
TEST(golden_qwen2_with_fourteen_heads_over_two_on_gpus) { check_float32("qwen2-uneven", 2); }
TEST(golden_mistral_with_a_window_on_gpus) { check_float32("mistral-window", 2); }
TEST(golden_phi3_with_heads_rotated_in_part_on_gpus) { check_float32("phi3-longrope", 2); }
TEST(golden_qwen3_with_norms_of_wide_heads_on_gpus) { check_float32("qwen3-wide", 2); }
TEST(golden_gemma2_with_both_caps_on_gpus) { check_float32("gemma2-capped", 2); }
TEST(golden_gemma3_with_a_pattern_of_windows_on_gpus) { check_float32("gemma3-pattern", 2); }

/* Products of 16 bits are rounded once, so a logit may be off by a few of their last places. */
TEST(golden_llama_stored_in_f16_computes_in_f16_on_a_gpu)
{
    const struct setup setup = {
        .gpu = &exact_gpus, .dtype = "auto", .kv_dtype = DTYPE_F16, .tp_size = 1};
    check_model("llama-f16", &setup, 7, 1e-2);
}

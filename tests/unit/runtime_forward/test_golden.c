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
        memory_free(prompt.logits);
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

/* Our float32 against transformers' float32: every logit of the last positions of every prompt, and
 * the tokens that greedy decoding picks after it. Each prompt in one step, and cut in pieces. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/forward/forward.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/golden.h"
#include "tests/unit/runtime_forward/runner.h"

#include "kernels/dtype.h"

#include <math.h>

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

static void step(struct runner *runner, const struct feed *feed, struct step_result *result)
{
    struct error err = {0};
    if (!runner_step(runner, feed, 1, result, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void check_greedy(const char *name, struct runner *runner, struct golden_prompt *prompt,
                         int32_t first)
{
    int32_t token = first;
    for (int i = 0; i < prompt->n_greedy; i++) {
        CHECK_EQ(token, prompt->greedy[i]);
        const int n = prompt->n_ids + i;
        struct step_result result;
        prompt->ids[n] = token;
        step(runner, &(struct feed){.ids = prompt->ids, .n_computed = n, .n_new = 1, .n_logits = 1},
             &result);
        token = best(result.logits, result.vocab);
    }
    (void)name;
}

static void check_prompt(const char *name, struct runner *runner, struct golden_prompt *prompt,
                         int chunk)
{
    struct step_result result = {0};
    for (int done = 0; done < prompt->n_ids; done += chunk) {
        const int left = prompt->n_ids - done, n_new = left < chunk ? left : chunk;
        const struct feed feed = {
            .ids = prompt->ids, .n_computed = done, .n_new = n_new, .n_logits = n_new};
        step(runner, &feed, &result);
        CHECK_EQ(result.vocab, prompt->vocab);
        CHECK_EQ(result.n_logits, n_new);
        for (int r = 0; r < n_new; r++) {
            const int row = done + r - (prompt->n_ids - prompt->n_rows);
            const size_t vocab = (size_t)prompt->vocab;
            if (row >= 0)
                check_row(name, row, result.logits + (size_t)r * vocab,
                          prompt->logits + (size_t)row * vocab, prompt->vocab);
        }
    }
    const float *last = result.logits + (size_t)(result.n_logits - 1) * (size_t)result.vocab;
    check_greedy(name, runner, prompt, best(last, result.vocab));
}

static void check_model(const char *name)
{
    struct golden golden = golden_open(name);
    const struct setup setup = {.folder = golden.folder,
                                .dtype = "float32",
                                .tp_size = 1,
                                .n_threads = 1,
                                .kv_dtype = DTYPE_F32,
                                .block_tokens = 16};
    struct golden_prompt prompt;
    int n_prompts = 0;
    for (; golden_prompt_read(&prompt, &golden, n_prompts); n_prompts++) {
        const int chunks[] = {prompt.n_ids, 7};
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            struct runner runner;
            struct error err = {0};
            if (!runner_open(&runner, &setup, NULL, 0, prompt.n_ids, 1,
                             prompt.n_ids + prompt.n_greedy, &err))
                test_fail(__FILE__, __LINE__, "%s", err.text);
            check_prompt(name, &runner, &prompt, chunks[i]);
            runner_close(&runner);
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

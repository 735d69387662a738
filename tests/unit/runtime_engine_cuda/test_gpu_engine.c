/* Tokens and the bits of all log-probabilities of twelve requests over emulated GPUs. In the first
 * layout every row comes home and the host picks from it; where plans run ahead the GPU picks, and
 * its tokens go into the next step before the host has seen them. All must say the same. */
#include "tests/test.h"
#include "tests/unit/runtime_engine/dozen.h"
#include "tests/unit/runtime_engine/job.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

#include <string.h>

static const char llama[] = SOURCE_DIR "/tests/golden/llama-bf16";

/* Sanitizers take a minute for what takes seconds else: they see the first layouts. */
#define COMPARE(folder, layouts) \
    dozen_compare_gpus(folder, layouts, SANITIZED ? 3 : (int)(sizeof layouts / sizeof *layouts))

TEST(a_gpu_picks_what_the_host_picks_and_runs_ahead_of_it)
{
    static const struct dozen_gpu_layout layouts[] = {
        {&eager_gpus, false, {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1}}, /* the host picks */
        {&exact_gpus, false, {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1}},
        {&exact_gpus, true, {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1}},
        {&exact_gpus, true, {1, 1, NULL, 7, 12, 96, true, 0, NULL, 1}}, /* chunks */
        {&exact_gpus, true, {1, 1, NULL, 64, 3, 96, false, 0, NULL, 1}},
        {&eager_gpus,
         true,
         {1, 1, NULL, 64, 12, 7, false, 0, NULL, 1}}, /* they preempt each other */
        {&exact_gpus, true, {1, 1, NULL, 64, 12, 96, false, 2, NULL, 1}}, /* drafts of n-grams */
        {&exact_gpus, true, {1, 1, NULL, 64, 12, 96, true, 0, llama, 1}}, /* and of a model */
    };
    COMPARE(llama, layouts);
}

TEST(so_do_several_gpus)
{
    static const struct dozen_gpu_layout layouts[] = {
        {&exact_gpus, false, {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1}},
        {&exact_gpus, true, {2, 1, NULL, 64, 12, 96, false, 0, NULL, 1}},
        {&exact_gpus, true, {2, 1, NULL, 64, 12, 96, false, 0, llama, 1}},
        {&exact_gpus, true, {4, 1, NULL, 1024, 12, 96, true, 0, NULL, 1}},
        {&eager_gpus, true, {2, 1, NULL, 7, 5, 20, true, 2, NULL, 1}},
    };
    COMPARE(llama, layouts);
}

TEST(so_do_stages_of_gpus)
{
    static const struct dozen_gpu_layout layouts[] = {
        {&exact_gpus, false, {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1}},
        {&exact_gpus, false, {1, 1, NULL, 64, 12, 96, false, 0, NULL, 2}},
        {&exact_gpus, false, {2, 1, NULL, 64, 12, 96, true, 0, NULL, 2}},
        {&exact_gpus, false, {1, 1, NULL, 20, 12, 96, false, 0, llama, 2}},
    };
    COMPARE(llama, layouts);
}

TEST(a_gpu_runs_ahead_over_layers_that_see_a_window)
{
    static const struct dozen_gpu_layout layouts[] = {
        {&eager_gpus, false, {1, 1, NULL, 1024, 12, 400, false, 0, NULL, 1}},
        {&exact_gpus, true, {1, 1, NULL, 64, 12, 400, true, 0, NULL, 1}},
        {&exact_gpus, true, {2, 1, NULL, 64, 5, 48, false, 0, NULL, 1}},
    };
    COMPARE(SOURCE_DIR "/tests/golden/gemma3-pattern", layouts);
}

/* ---- sleep ---- */

TEST(gpus_that_slept_give_the_same_bits)
{
    static struct job job;
    const struct job_settings settings = {.folder = llama,
                                          .dtype = "auto",
                                          .gpu = &exact_gpus,
                                          .tp_size = 2,
                                          .n_threads = 1,
                                          .max_tokens = 64,
                                          .max_sequences = 4,
                                          .max_model_len = 128,
                                          .n_kv_blocks = 32,
                                          .runs_ahead = true};
    static const int32_t prompt[] = {5, 17, 40, 3, 9, 28, 11, 60};
    struct sampling_params params = params_default();
    params.max_tokens = 8;
    params.ignore_eos = true;
    params.logprobs = 2;
    job_open(&job, &settings);
    for (int i = 0; i < 3; i++) {
        job_submit(&job, i, prompt, sizeof prompt / sizeof *prompt, &params);
        job_wait(&job, -1, i + 1);
        CHECK_EQ(job.answer[i].n_tokens, 8);
        CHECK(memcmp(job.answer[i].token, job.answer[0].token, sizeof job.answer[0].token) == 0);
        CHECK(memcmp(job.answer[i].logprobs, job.answer[0].logprobs,
                     sizeof job.answer[0].logprobs) == 0);
        job_sleep(&job, i == 0 ? LINK_NO_CACHE : LINK_NO_WEIGHTS);
        job_sleep(&job, LINK_NOT_ASLEEP);
    }
    job_close(&job, false);
}

/* Tokens and the bits of all log-probabilities of twelve requests over emulated GPUs. In the first
 * layout every row comes home and the host picks from it; where plans run ahead the GPU picks, and
 * its tokens go into the next step before the host has seen them. All must say the same. */
#include "tests/test.h"
#include "tests/unit/runtime_engine/dozen.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

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

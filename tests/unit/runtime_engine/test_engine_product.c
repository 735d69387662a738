/* One answer at every scale: ranks, stages, threads, kernels, chunks, neighbours. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/dozen.h"

TEST(tokens_and_logprob_bits_do_not_depend_on_the_layout)
{
    static const struct dozen_layout layouts[] = {
        {1, 1, "scalar", 1024, 12, 96, false, 0, NULL, 1}, /* all at once, on plain kernels */
        {1, 1, NULL, 1024, 1, 96, false, 0, NULL, 1},      /* one after the other */
        {1, 2, NULL, 1024, 12, 96, false, 0, NULL, 1},
        {1, 1, NULL, 1, 3, 96, false, 0, NULL, 1},  /* a token a step */
        {1, 1, NULL, 7, 12, 96, false, 0, NULL, 1}, /* chunks */
        {1, 2, NULL, 64, 5, 96, true, 0, NULL, 1},
        {1, 1, NULL, 64, 12, 7, false, 0, NULL, 1}, /* a cache with room for one of the long ones */
        {2, 1, NULL, 1024, 12, 96, false, 0, NULL, 1},
        {2, 2, NULL, 7, 4, 20, true, 0, NULL, 1},
        {2, 1, "scalar", 64, 12, 96, false, 2, NULL, 1},
        {3, 1, NULL, 64, 12, 96, false, 0, NULL, 1}, /* an odd number */
        {4, 1, NULL, 1024, 2, 96, true, 0, NULL, 1},
    };
    dozen_compare(SOURCE_DIR "/tests/golden/llama-bf16", layouts, sizeof layouts / sizeof *layouts);
}

/* Two layers make two stages at most. */
TEST(nor_on_the_stages_of_a_pipeline)
{
    static const char draft[] = SOURCE_DIR "/tests/golden/llama-bf16";
    static const struct dozen_layout layouts[] = {
        {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 1},
        {1, 1, NULL, 1024, 12, 96, false, 0, NULL, 2},
        {1, 2, NULL, 1024, 1, 96, false, 0, NULL, 2},
        {1, 1, NULL, 7, 12, 96, true, 0, NULL, 2},
        {1, 1, NULL, 64, 12, 7, false, 0, NULL, 2},
        {2, 1, NULL, 64, 5, 20, true, 2, NULL, 2},
        {3, 1, NULL, 1024, 12, 96, false, 0, NULL, 2},
        {1, 1, NULL, 64, 12, 96, false, 0, draft, 2},
        {2, 1, "scalar", 20, 12, 96, true, 0, draft, 2},
    };
    dozen_compare(SOURCE_DIR "/tests/golden/llama-bf16", layouts, sizeof layouts / sizeof *layouts);
}

/* Eight heads: more ranks, and a number that cuts the tree of sums unevenly. */
TEST(the_demo_model_answers_the_same_on_any_number_of_ranks_and_stages)
{
    static const struct dozen_layout layouts[] = {
        {1, 2, NULL, 1024, 12, 96, false, 0, NULL, 1}, {5, 1, NULL, 64, 12, 96, false, 0, NULL, 1},
        {8, 1, NULL, 1024, 4, 40, true, 3, NULL, 1},   {1, 1, NULL, 64, 12, 96, false, 0, NULL, 3},
        {2, 1, NULL, 1024, 4, 40, true, 3, NULL, 3},   {4, 1, NULL, 64, 12, 96, true, 0, NULL, 2},
    };
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    dozen_compare(SOURCE_DIR "/demo/model", layouts, sizeof layouts / sizeof *layouts);
}

/* Layers that see a window forget their old blocks, and those of one model may see differently far:
 * several block tables of a sequence out of one pool. */
TEST(layers_that_see_a_window_do_not_show_how_they_were_computed)
{
    static const char *const folders[] = {SOURCE_DIR "/tests/golden/mistral-window",
                                          SOURCE_DIR "/tests/golden/gemma2-capped",
                                          SOURCE_DIR "/tests/golden/gemma3-pattern"};
    static const char draft[] = SOURCE_DIR "/tests/golden/mistral-window";
    static const struct dozen_layout layouts[] = {
        {1, 1, NULL, 1024, 12, 400, false, 0, NULL, 1}, {1, 2, NULL, 7, 12, 400, true, 0, NULL, 1},
        {2, 1, NULL, 64, 5, 400, true, 3, NULL, 1},     {1, 1, NULL, 64, 12, 48, false, 0, NULL, 1},
        {1, 1, NULL, 1, 12, 48, true, 2, NULL, 1},      {2, 1, NULL, 20, 3, 48, true, 0, NULL, 1},
        {1, 1, NULL, 64, 12, 400, true, 0, draft, 1},   {2, 1, NULL, 64, 5, 48, false, 0, draft, 1},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        dozen_compare(folders[i], layouts, sizeof layouts / sizeof *layouts);
}

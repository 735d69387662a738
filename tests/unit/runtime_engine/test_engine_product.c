/* One answer at every scale: twelve different requests, through the whole engine, in every layout
 * of ranks, threads, kernels, chunks and neighbours: the same tokens and the same bits of their
 * log-probabilities. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <string.h>

enum { N_REQUESTS = 12, LONGEST = 70, VOCAB = 64 };

static int32_t prompts[N_REQUESTS][LONGEST];
static int lengths[N_REQUESTS];
static struct sampling_params params[N_REQUESTS];

static void make_requests(void)
{
    uint64_t state = 4;
    for (int i = 0; i < N_REQUESTS; i++) {
        lengths[i] = 1 + i * i * 69 / 121;
        for (int t = 0; t < lengths[i]; t++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            prompts[i][t] = (int32_t)(state >> 40) % VOCAB;
        }
        params[i] = params_default();
        params[i].max_tokens = 6 + i * 2;
        params[i].seed = (uint64_t)i / 2;
        params[i].logprobs = i % 4;
        params[i].temperature = i % 3 == 0 ? 0 : 0.8f;
        params[i].top_k = i % 4 == 1 ? 20 : 0;
        params[i].top_p = i % 5 == 2 ? 0.9f : 1;
        params[i].min_p = i % 5 == 3 ? 0.02f : 0;
        params[i].presence_penalty = i % 4 == 3 ? 0.6f : 0;
    }
}

struct layout {
    int tp_size, n_threads;
    const char *kernels;
    int max_tokens, max_sequences, n_kv_blocks;
    bool prefix_caching;
    int ngram_max;
    const char *draft;
    int pp_stages; /* 0: one */
};

static void run(const char *folder, const struct layout *layout, struct answer *answers)
{
    static struct job job;
    const struct job_settings settings = {.folder = folder,
                                          .dtype = "auto",
                                          .kernels = layout->kernels,
                                          .tp_size = layout->tp_size,
                                          .pp_stages = layout->pp_stages,
                                          .n_threads = layout->n_threads,
                                          .max_tokens = layout->max_tokens,
                                          .max_sequences = layout->max_sequences,
                                          .max_model_len = 128,
                                          .n_kv_blocks = layout->n_kv_blocks,
                                          .prefix_caching = layout->prefix_caching,
                                          .ngram_max = layout->ngram_max,
                                          .draft = layout->draft,
                                          .max_drafts = 3};
    job_open(&job, &settings);
    for (int i = 0; i < N_REQUESTS; i++)
        job_submit(&job, i, prompts[i], lengths[i], &params[i]);
    job_wait(&job, -1, N_REQUESTS);
    memcpy(answers, job.answer, N_REQUESTS * sizeof *answers);
    job_close(&job, false);
}

/* The first layout is the measure of the others. */
static void compare(const char *folder, const struct layout *layouts, int n_layouts)
{
    static struct answer want[N_REQUESTS], got[N_REQUESTS];
    make_requests();
    run(folder, &layouts[0], want);
    for (int i = 0; i < N_REQUESTS; i++) {
        CHECK_EQ(want[i].n_ends, 1);
        CHECK_EQ(want[i].n_tokens, params[i].max_tokens);
    }
    for (int k = 1; k < n_layouts; k++) {
        run(folder, &layouts[k], got);
        for (int i = 0; i < N_REQUESTS; i++)
            if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                test_fail(__FILE__, __LINE__, "layout %d: request %d has another answer", k, i);
    }
}

TEST(tokens_and_logprob_bits_do_not_depend_on_the_layout)
{
    static const struct layout layouts[] = {
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
    compare(SOURCE_DIR "/tests/golden/llama-bf16", layouts, sizeof layouts / sizeof *layouts);
}

/* Two layers make two stages at most. */
TEST(nor_on_the_stages_of_a_pipeline)
{
    static const char draft[] = SOURCE_DIR "/tests/golden/llama-bf16";
    static const struct layout layouts[] = {
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
    compare(SOURCE_DIR "/tests/golden/llama-bf16", layouts, sizeof layouts / sizeof *layouts);
}

/* Eight heads: more ranks, and a number that cuts the tree of sums unevenly. */
TEST(the_demo_model_answers_the_same_on_any_number_of_ranks_and_stages)
{
    static const struct layout layouts[] = {
        {1, 2, NULL, 1024, 12, 96, false, 0, NULL, 1}, {5, 1, NULL, 64, 12, 96, false, 0, NULL, 1},
        {8, 1, NULL, 1024, 4, 40, true, 3, NULL, 1},   {1, 1, NULL, 64, 12, 96, false, 0, NULL, 3},
        {2, 1, NULL, 1024, 4, 40, true, 3, NULL, 3},   {4, 1, NULL, 64, 12, 96, true, 0, NULL, 2},
    };
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    compare(SOURCE_DIR "/demo/model", layouts, sizeof layouts / sizeof *layouts);
}

/* Layers that see a window forget their old blocks, and those of one model may see differently far:
 * several block tables of a sequence out of one pool. */
TEST(layers_that_see_a_window_do_not_show_how_they_were_computed)
{
    static const char *const folders[] = {SOURCE_DIR "/tests/golden/mistral-window",
                                          SOURCE_DIR "/tests/golden/gemma2-capped",
                                          SOURCE_DIR "/tests/golden/gemma3-pattern"};
    static const char draft[] = SOURCE_DIR "/tests/golden/mistral-window";
    static const struct layout layouts[] = {
        {1, 1, NULL, 1024, 12, 400, false, 0, NULL, 1}, {1, 2, NULL, 7, 12, 400, true, 0, NULL, 1},
        {2, 1, NULL, 64, 5, 400, true, 3, NULL, 1},     {1, 1, NULL, 64, 12, 48, false, 0, NULL, 1},
        {1, 1, NULL, 1, 12, 48, true, 2, NULL, 1},      {2, 1, NULL, 20, 3, 48, true, 0, NULL, 1},
        {1, 1, NULL, 64, 12, 400, true, 0, draft, 1},   {2, 1, NULL, 64, 5, 48, false, 0, draft, 1},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        compare(folders[i], layouts, sizeof layouts / sizeof *layouts);
}

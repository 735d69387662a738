#include "tests/unit/runtime_engine/dozen.h"

#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <string.h>

enum { DOZEN = 12, LONGEST = 70, VOCAB = 64 };

static int32_t prompts[DOZEN][LONGEST];
static int lengths[DOZEN];
static struct sampling_params params[DOZEN];

static void make_requests(void)
{
    uint64_t state = 4;
    for (int i = 0; i < DOZEN; i++) {
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

static void run(const char *folder, const struct dozen_gpu_layout *on, struct answer *answers)
{
    const struct dozen_layout *layout = &on->layout;
    static struct job job;
    const struct job_settings settings = {.folder = folder,
                                          .dtype = "auto",
                                          .kernels = layout->kernels,
                                          .tp_size = layout->tp_size,
                                          .pp_stages = layout->pp_stages,
                                          .n_threads = layout->n_threads,
                                          .max_tokens = layout->max_tokens,
                                          .max_sequences = layout->max_sequences,
                                          .max_model_len = DOZEN_MODEL_LEN,
                                          .n_kv_blocks = layout->n_kv_blocks,
                                          .prefix_caching = layout->prefix_caching,
                                          .ngram_max = layout->ngram_max,
                                          .draft = layout->draft,
                                          .gpu = on->gpu,
                                          .runs_ahead = on->runs_ahead,
                                          .max_drafts = 3};
    job_open(&job, &settings);
    for (int i = 0; i < DOZEN; i++)
        job_submit(&job, i, prompts[i], lengths[i], &params[i]);
    job_wait(&job, -1, DOZEN);
    memcpy(answers, job.answer, DOZEN * sizeof *answers);
    job_close(&job, false);
}

void dozen_compare_gpus(const char *folder, const struct dozen_gpu_layout *layouts, int n_layouts)
{
    static struct answer want[DOZEN], got[DOZEN];
    make_requests();
    run(folder, &layouts[0], want);
    for (int i = 0; i < DOZEN; i++) {
        CHECK_EQ(want[i].n_ends, 1);
        CHECK_EQ(want[i].n_tokens, params[i].max_tokens);
    }
    for (int k = 1; k < n_layouts; k++) {
        run(folder, &layouts[k], got);
        for (int i = 0; i < DOZEN; i++)
            if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                test_fail(__FILE__, __LINE__,
                          "%s, layout %d (tp %d, pp %d): request %d has another answer", folder, k,
                          layouts[k].layout.tp_size, layouts[k].layout.pp_stages, i);
    }
}

void dozen_compare(const char *folder, const struct dozen_layout *layouts, int n_layouts)
{
    struct dozen_gpu_layout all[16] = {{0}};
    CHECK(n_layouts <= 16);
    for (int k = 0; k < n_layouts; k++)
        all[k].layout = layouts[k];
    dozen_compare_gpus(folder, all, n_layouts);
}

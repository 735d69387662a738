/* Vectors of prompts: the mean is that of the last ones of all prefixes, added up in order; the
 * same bits in every layout; and scores as the reference has them. */
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"
#include "tests/unit/runtime_forward/golden.h"

#include <math.h>
#include <string.h>

enum { N_PROMPTS = 6, LONGEST = 70 };

static const char *const folder = SOURCE_DIR "/tests/golden/llama-bf16";
static const int lengths[N_PROMPTS] = {1, 16, 17, 40, LONGEST, 33};

static void make_prompt(int i, int32_t *token)
{
    for (int t = 0; t < lengths[i]; t++)
        token[t] = t < 32 ? (t * 7 + 3) % 61 : (t * 5 + i * 11) % 61; /* they begin alike */
}

static struct job_settings plain_job(void)
{
    return (struct job_settings){.folder = folder,
                                 .dtype = "auto",
                                 .tp_size = 1,
                                 .n_threads = 1,
                                 .max_tokens = 256,
                                 .max_sequences = 16,
                                 .max_model_len = 128,
                                 .n_kv_blocks = 96};
}

static void submit_pooled(struct job *job, int request, int prompt, int n, enum pooling pooling)
{
    int32_t token[LONGEST];
    struct sampling_params params = params_default();
    make_prompt(prompt, token);
    params.pooling = pooling;
    job_submit(job, request, token, n, &params);
}

/* Both kinds of every prompt: LAST of prompt i is answer 2 i, MEAN 2 i + 1. */
static int submit_all(struct job *job)
{
    for (int i = 0; i < 2 * N_PROMPTS; i++)
        submit_pooled(job, i, i / 2, lengths[i / 2], i % 2 ? POOLING_MEAN : POOLING_LAST);
    return 2 * N_PROMPTS;
}

TEST(the_mean_is_the_sum_of_the_rows_in_order_divided_once)
{
    static struct job job;
    const struct job_settings settings = plain_job();
    job_open(&job, &settings);
    for (int i = 0; i < lengths[3]; i++)
        submit_pooled(&job, i, 3, i + 1, POOLING_LAST);
    submit_pooled(&job, lengths[3], 3, lengths[3], POOLING_MEAN);
    job_wait(&job, -1, lengths[3] + 1);
    const struct answer *mean = &job.answer[lengths[3]];
    CHECK(mean->n_values > 0);
    for (int k = 0; k < mean->n_values; k++) {
        float sum = 0;
        for (int i = 0; i < lengths[3]; i++)
            sum += job.answer[i].value[k];
        sum /= (float)lengths[3];
        CHECK(memcmp(&sum, &mean->value[k], sizeof sum) == 0);
    }
    job_close(&job, false);
}

struct layout {
    int tp_size, pp_stages, n_flights, max_tokens, max_sequences, n_kv_blocks;
    bool prefix_caching;
    int ngram_max;
};

TEST(vectors_do_not_depend_on_the_layout)
{
    static const struct layout layouts[] = {
        {1, 1, 1, 1, 1, 96, false, 0},   {1, 1, 1, 7, 16, 96, false, 3},
        {2, 1, 2, 64, 4, 96, true, 0},   {3, 1, 1, 20, 16, 7, true, 0},
        {4, 1, 3, 256, 16, 96, true, 0}, {1, 1, 1, 256, 16, 7, false, 0},
        {1, 2, 2, 7, 16, 96, true, 3},   {2, 2, 1, 256, 16, 7, false, 0},
    };
    static struct job job;
    static struct answer want[2 * N_PROMPTS];
    struct job_settings settings = plain_job();
    job_open(&job, &settings);
    job_wait(&job, -1, submit_all(&job));
    memcpy(want, job.answer, sizeof want);
    job_close(&job, false);
    CHECK(memcmp(want[0].value, want[1].value, sizeof want[0].value) == 0); /* of one token */
    CHECK(memcmp(want[8].value, want[9].value, sizeof want[8].value) != 0);
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        settings.tp_size = layouts[k].tp_size;
        settings.pp_stages = layouts[k].pp_stages;
        settings.n_flights = layouts[k].n_flights;
        settings.max_tokens = layouts[k].max_tokens;
        settings.max_sequences = layouts[k].max_sequences;
        settings.n_kv_blocks = layouts[k].n_kv_blocks;
        settings.prefix_caching = layouts[k].prefix_caching;
        settings.ngram_max = layouts[k].ngram_max;
        settings.max_drafts = 2;
        job_open(&job, &settings);
        job_wait(&job, -1, submit_all(&job));
        for (int i = 0; i < 2 * N_PROMPTS; i++)
            if (memcmp(&job.answer[i], &want[i], sizeof *want) != 0)
                test_fail(__FILE__, __LINE__, "layout %zu, vector %d", k, i);
        job_close(&job, false);
    }
}

TEST(the_prefix_cache_saves_work_for_last_tokens_and_none_for_means)
{
    static struct job job;
    struct job_settings settings = plain_job();
    settings.prefix_caching = true;
    job_open(&job, &settings);
    job_wait(&job, -1, submit_all(&job));
    for (int i = 2; i <= 3; i++)
        submit_pooled(&job, 40 + i, 4, LONGEST, i % 2 ? POOLING_MEAN : POOLING_LAST);
    job_wait(&job, -1, 2 * N_PROMPTS + 2);
    CHECK_EQ(job.costs[42].cached_tokens, LONGEST / 16 * 16);
    CHECK_EQ(job.costs[43].cached_tokens, 0);
    CHECK(memcmp(&job.answer[42], &job.answer[8], sizeof job.answer[0]) == 0);
    CHECK(memcmp(&job.answer[43], &job.answer[9], sizeof job.answer[0]) == 0);
    job_close(&job, false);
}

static void check_scores(const char *name, int tp_size, int pp_stages)
{
    static struct job job;
    struct golden golden = golden_open(name);
    struct job_settings settings = plain_job();
    struct sampling_params params = params_default();
    struct golden_prompt prompt;
    params.pooling = POOLING_LAST;
    settings.folder = golden.folder;
    settings.dtype = "float32";
    settings.tp_size = tp_size;
    settings.pp_stages = pp_stages;
    settings.max_tokens = 16;
    job_open(&job, &settings);
    int n = 0;
    for (; golden_prompt_read(&prompt, &golden, n); n++) {
        job_submit(&job, n, prompt.ids, prompt.n_ids, &params);
        job_wait(&job, n, 1);
        CHECK(prompt.n_scores > 0);
        CHECK_EQ(job.answer[n].n_values, prompt.n_scores);
        float largest = 0;
        for (int k = 0; k < prompt.n_scores; k++)
            largest = fmaxf(largest, fabsf(prompt.scores[k]));
        for (int k = 0; k < prompt.n_scores; k++)
            CHECK(fabsf(job.answer[n].value[k] - prompt.scores[k]) <= 1e-4f * largest);
    }
    CHECK(n > 0);
    job_close(&job, false);
    golden_close(&golden);
}

TEST(heads_of_scores_and_of_a_value_give_what_the_reference_gives)
{
    check_scores("llama-scores", 1, 1);
    check_scores("llama-scores", 2, 1);
    check_scores("llama-scores", 2, 2);
    check_scores("mistral-value", 1, 1);
}

TEST(a_model_without_a_vocabulary_is_asked_for_tokens_in_vain)
{
    static struct job job;
    struct job_settings settings = plain_job();
    struct sampling_params params = params_default();
    const int32_t prompt[] = {5, 6, 7};
    settings.folder = SOURCE_DIR "/tests/golden/llama-scores";
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, 3, &params);
    params.pooling = POOLING_MEAN;
    job_submit(&job, 1, prompt, 3, &params);
    job_wait(&job, -1, 2);
    CHECK_EQ(job.answer[0].failure.kind, ERROR_INPUT);
    CHECK(strstr(job.answer[0].failure.text, "LlamaForSequenceClassification") != NULL);
    CHECK_EQ(job.answer[1].n_values, 3);
    job_close(&job, false);
}

/* Plans that run ahead of the tokens of the plan before them change no answer: a part of the
 * product that runtime_engine_long runs whole, and what ends in the middle. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

#include <string.h>

static struct answer want[MIX_REQUESTS];

static void record_plain(void)
{
    const struct mix_layout plain = mix_plain();
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    mix_run(&plain, want, true);
    mix_check_answers(want);
}

TEST(plans_that_run_ahead_do_not_show)
{
    static const struct mix_layout layouts[] = {
        {1024, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 1, 1, MIX_AHEAD, false, 1},
        {64, MIX_NO_CACHE, 8, DRAFTER_NONE, 4, 2, 1, MIX_AHEAD, false, 1},
        {7, MIX_COLD, 32, DRAFTER_NONE, 1, 1, 2, MIX_AHEAD, false, 1},
        {1, MIX_NO_CACHE, 1, DRAFTER_NONE, 4, 1, 1, MIX_AHEAD, false, 1},
        {64, MIX_WARM, 8, DRAFTER_NONE, 1, 2, 1, MIX_AHEAD, false, 1},
        {1024, MIX_WARM, 32, DRAFTER_NONE, 4, 3, 1, MIX_AHEAD, false, 1},
    };
    record_plain();
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        mix_run(&layouts[i], want, false);
}

TEST(nor_do_they_where_requests_preempt_each_other)
{
    static const struct mix_layout layouts[] = {
        {1024, MIX_TINY, 8, DRAFTER_NONE, 1, 1, 1, MIX_AHEAD, false, 1},
        {64, MIX_TINY, 32, DRAFTER_NONE, 4, 2, 1, MIX_AHEAD, false, 1},
        {7, MIX_TINY, 8, DRAFTER_NONE, 1, 1, 2, MIX_AHEAD, false, 1},
    };
    record_plain();
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        CHECK(mix_run(&layouts[i], want, false).counts.n_preemptions > 0);
}

/* Drafts and stages have no use for it, and go on as they are. */
TEST(who_cannot_run_ahead_does_not)
{
    struct mix_layout drafts = {64, MIX_COLD, 8, DRAFTER_NGRAM, 1, 1, 1, MIX_AHEAD, false, 1};
    const struct mix_layout stages = {64, MIX_COLD, 8, DRAFTER_NONE, 1, 1, 1, MIX_AHEAD, false, 2};
    record_plain();
    CHECK(mix_run(&drafts, want, false).n_accepted > 0);
    drafts.drafter = DRAFTER_MODEL;
    CHECK(mix_run(&drafts, want, false).n_accepted > 0);
    mix_run(&stages, want, false);
}

enum { N_REQUESTS = 8, N_PROMPT = 12, N_NEW = 40 };

static struct job_settings ahead_settings(int tp_size)
{
    struct mix_layout layout = mix_plain();
    layout.n_flights = MIX_AHEAD;
    layout.tp_size = tp_size;
    return mix_settings(&layout);
}

static void submit(struct job *job, int i, int max_tokens)
{
    int32_t prompt[N_PROMPT];
    struct sampling_params params = params_default();
    for (int t = 0; t < N_PROMPT; t++)
        prompt[t] = (t % 5) * 37 + i + 5;
    params.max_tokens = max_tokens;
    params.ignore_eos = true;
    params.seed = (uint64_t)i;
    job_submit(job, i, prompt, N_PROMPT, &params);
}

TEST(one_plan_is_made_for_each_token_and_not_two)
{
    static struct job job;
    const struct job_settings settings = ahead_settings(1);
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    job_open(&job, &settings);
    submit(&job, 0, N_NEW);
    job_wait(&job, -1, 1);
    job_close(&job, false);
    CHECK_EQ(job.answer[0].n_tokens, N_NEW);
    CHECK_EQ(job.counts.n_plans, N_NEW + 1); /* and the stop */
}

TEST(a_stop_id_ends_a_request_though_its_next_row_is_on_the_way)
{
    static struct job job;
    const struct job_settings settings = ahead_settings(2);
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    job_open(&job, &settings);
    submit(&job, 0, N_NEW);
    job_wait(&job, -1, 1);
    const int32_t *all = job.answer[0].token;
    int first = 0; /* where the last token comes for the first time */
    while (all[first] != all[N_NEW / 2])
        first++;
    int32_t prompt[N_PROMPT];
    struct sampling_params params = params_default();
    for (int t = 0; t < N_PROMPT; t++)
        prompt[t] = (t % 5) * 37 + 5;
    params.max_tokens = N_NEW;
    params.ignore_eos = true;
    params.n_stop_ids = 1;
    params.stop_id[0] = all[N_NEW / 2];
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 2);
    CHECK_EQ(job.answer[1].n_tokens, first + 1);
    CHECK_EQ(job.answer[1].finish, FINISH_STOP);
    CHECK(memcmp(job.answer[1].token, all, (size_t)(first + 1) * sizeof *all) == 0);
    job_close(&job, false);
    CHECK_EQ(job.counts.n_plans, N_NEW + first + 2 + 1); /* one row more than there are tokens */
    CHECK_EQ(job.counts.n_free_blocks, job.counts.n_blocks);
}

/* Some are cancelled, the others have the tokens that they have without neighbours. */
TEST(requests_that_are_cancelled_on_the_way_leave_nothing_behind)
{
    static struct job job;
    static struct answer alone[N_REQUESTS];
    struct job_settings settings = ahead_settings(1);
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    job_open(&job, &settings);
    for (int i = 0; i < N_REQUESTS; i++) {
        submit(&job, i, N_NEW);
        job_wait(&job, i, N_NEW);
    }
    memcpy(alone, job.answer, sizeof alone);
    job_close(&job, false);
    settings.tp_size = 2;
    job_open(&job, &settings);
    for (int i = 0; i < N_REQUESTS; i++)
        submit(&job, i, N_NEW);
    for (int i = 1; i < N_REQUESTS; i += 2) {
        job_wait(&job, i, 1 + i);
        job_cancel(&job, i);
    }
    for (int i = 0; i < N_REQUESTS; i += 2) {
        job_wait(&job, i, N_NEW);
        CHECK(memcmp(&job.answer[i], &alone[i], sizeof *alone) == 0);
    }
    job_close(&job, false);
    for (int i = 1; i < N_REQUESTS; i += 2)
        CHECK(memcmp(job.answer[i].token, alone[i].token,
                     (size_t)job.answer[i].n_tokens * sizeof(int32_t)) == 0);
    CHECK_EQ(job.counts.n_free_blocks, job.counts.n_blocks);
}

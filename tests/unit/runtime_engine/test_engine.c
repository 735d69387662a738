/* The engine as the gateway sees it, on a golden model: many requests at once, whole. */
#include "base/memory.h"
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdio.h>
#include <string.h>

static const char *const folder = SOURCE_DIR "/tests/golden/llama-bf16";

static struct job_settings small_job(void)
{
    return (struct job_settings){.folder = folder,
                                 .dtype = "auto",
                                 .tp_size = 1,
                                 .n_threads = 1,
                                 .max_tokens = 64,
                                 .max_sequences = 4,
                                 .max_model_len = 128,
                                 .n_kv_blocks = 32};
}

static struct sampling_params greedy(int max_tokens)
{
    struct sampling_params params = params_default();
    params.temperature = 0;
    params.max_tokens = max_tokens;
    return params;
}

static const int32_t prompt[] = {5, 17, 40, 3, 9, 28, 11, 60, 2, 33, 7, 19};
enum { N_PROMPT = sizeof prompt / sizeof *prompt };

static void check_same(const struct answer *got, const struct answer *want)
{
    CHECK_EQ(got->n_tokens, want->n_tokens);
    CHECK(memcmp(got->token, want->token, sizeof got->token) == 0);
    CHECK(memcmp(got->logprobs, want->logprobs, sizeof got->logprobs) == 0);
    CHECK_EQ(got->finish, want->finish);
}

TEST(a_request_ends_by_length_with_one_token_a_message)
{
    static struct job job;
    const struct job_settings settings = small_job();
    const struct sampling_params params = greedy(9);
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 1);
    CHECK_EQ(job.answer[0].n_tokens, 9);
    CHECK_EQ(job.answer[0].finish, FINISH_LENGTH);
    CHECK_EQ(job.answer[0].stop_token, -1);
    job_close(&job, false);
}

TEST(stop_ids_and_end_ids_end_a_request)
{
    static struct job job;
    struct job_settings settings = small_job();
    struct sampling_params params = greedy(20);
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 1);
    const int32_t fifth = job.answer[0].token[4];
    int first = 0; /* where this token comes for the first time */
    while (job.answer[0].token[first] != fifth)
        first++;
    params.n_stop_ids = 1;
    params.stop_id[0] = fifth;
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 2);
    CHECK_EQ(job.answer[1].n_tokens, first + 1);
    CHECK_EQ(job.answer[1].finish, FINISH_STOP);
    CHECK_EQ(job.answer[1].stop_token, fifth);
    params.min_tokens = 18; /* it may not come before */
    job_submit(&job, 2, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 3);
    CHECK(job.answer[2].n_tokens >= 18);
    for (int i = 0; i < 18; i++)
        CHECK(job.answer[2].token[i] != fifth);
    job_close(&job, false);

    settings.eos_id = &fifth;
    settings.n_eos_ids = 1;
    params = greedy(20);
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    params.ignore_eos = true;
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 2);
    CHECK_EQ(job.answer[0].n_tokens, first + 1);
    CHECK_EQ(job.answer[0].finish, FINISH_STOP);
    CHECK_EQ(job.answer[0].stop_token, -1);
    CHECK_EQ(job.answer[1].n_tokens, 20);
    job_close(&job, false);
}

TEST(a_wrong_request_fails_alone)
{
    static struct job job;
    const struct job_settings settings = small_job();
    struct sampling_params params = greedy(4);
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, 0, &params);
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    params.top_p = 3;
    job_submit(&job, 2, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 3);
    CHECK_EQ(job.answer[0].failure.kind, ERROR_INPUT);
    CHECK_STR(job.answer[0].failure.text, "the prompt is empty");
    CHECK_EQ(job.answer[1].n_tokens, 4);
    CHECK_STR(job.answer[2].failure.text, "top_p must be in (0, 1], got 3");
    job_close(&job, false);
}

/* One request in the only place, two that wait. The first is cancelled after its second token, the
 * last while it waits. False when the engine was quicker than the cancel. */
static bool cancel_in_time(void)
{
    static struct job job;
    struct job_settings settings = small_job();
    struct sampling_params params = greedy(JOB_MAX_TOKENS);
    settings.max_sequences = 1;
    settings.max_model_len = 512;
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    params.max_tokens = 3;
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    job_submit(&job, 2, prompt, N_PROMPT, &params);
    job_wait(&job, 0, 2);
    job_cancel(&job, 0);
    job_cancel(&job, 2);
    job_cancel(&job, 30); /* nobody */
    job_wait(&job, 1, 3);
    const bool in_time = job.answer[0].n_ends == 0 && job.answer[2].n_tokens == 0;
    const int n_tokens = job.answer[0].n_tokens;
    job_submit(&job, 3, prompt, N_PROMPT, &params);
    job_wait(&job, 3, 3);
    CHECK_EQ(job.answer[1].n_tokens, 3);
    CHECK_EQ(job.answer[3].n_tokens, 3);
    CHECK(!in_time || (job.answer[0].n_tokens == n_tokens && job.answer[2].n_tokens == 0));
    job_close(&job, false);
    return in_time;
}

TEST(a_cancelled_request_makes_room_and_says_no_more)
{
    int tries = 0;
    while (!cancel_in_time())
        CHECK(++tries < 50);
}

TEST(a_replayed_request_goes_on_with_the_same_tokens)
{
    static struct job job;
    const struct job_settings settings = small_job();
    struct sampling_params params = params_default();
    params.max_tokens = 20;
    params.seed = 77;
    params.frequency_penalty = 0.5f;
    params.repetition_penalty = 1.2f;
    params.logprobs = 2;
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 1);
    const struct answer *whole = &job.answer[0];
    for (int cut = 1; cut < 20; cut += 6) {
        job_replay(&job, cut, prompt, N_PROMPT, whole->token, cut, &params);
        job_wait(&job, cut, 20);
        CHECK_EQ(job.answer[cut].n_tokens, 20 - cut);
        for (int i = cut; i < 20; i++) {
            CHECK_EQ(job.answer[cut].token[i - cut], whole->token[i]);
            CHECK(memcmp(&job.answer[cut].logprobs[i - cut], &whole->logprobs[i],
                         sizeof whole->logprobs[i]) == 0);
        }
    }
    job_close(&job, false);
}

TEST(seeds_and_choices_differ_and_repeat)
{
    static struct job job;
    const struct job_settings settings = small_job();
    struct sampling_params params = params_default();
    params.max_tokens = 16;
    job_open(&job, &settings);
    for (int i = 0; i < 4; i++) {
        params.seed = 100 + (uint64_t)i % 2;
        job_submit(&job, i, prompt, N_PROMPT, &params);
    }
    job_wait(&job, -1, 4);
    check_same(&job.answer[2], &job.answer[0]);
    check_same(&job.answer[3], &job.answer[1]);
    CHECK(memcmp(job.answer[0].token, job.answer[1].token, sizeof job.answer[0].token) != 0);
    job_close(&job, false);
}

TEST(all_ranks_end_when_the_gateway_goes_away)
{
    static struct job job;
    struct job_settings settings = small_job();
    const struct sampling_params params = greedy(60);
    settings.tp_size = 2;
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, 0, 1);
    job_close(&job, true); /* in the middle of a request */
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 1);
    job_close(&job, true); /* while they sleep */
}

TEST(a_request_larger_than_the_cache_is_refused_and_one_that_fits_runs)
{
    static struct job job;
    struct job_settings settings = small_job();
    struct sampling_params params = greedy(20);
    settings.n_kv_blocks = 2; /* 32 positions */
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    params.max_tokens = 21;
    job_submit(&job, 1, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 2);
    CHECK_EQ(job.answer[0].n_tokens, 20);
    CHECK_EQ(job.answer[1].failure.kind, ERROR_INPUT);
    CHECK(strstr(job.answer[1].failure.text, "33 tokens") != NULL);
    job_close(&job, false);
}

static void submit_until(struct job *job, int request, int64_t deadline_ns, int max_tokens)
{
    const struct sampling_params params = greedy(max_tokens);
    job_send(
        job, request,
        &(struct link_submit){
            .prompt = prompt, .n_prompt = N_PROMPT, .params = params, .deadline_ns = deadline_ns});
}

TEST(a_request_ends_without_a_token_when_its_time_is_over)
{
    static struct job job;
    struct job_settings settings = small_job();
    settings.max_sequences = 1;
    settings.max_model_len = JOB_MAX_TOKENS;
    settings.n_flights = 2;
    job_open(&job, &settings);
    const int64_t now = clock_now_ns();
    submit_until(&job, 0, now + 3600LL * 1000000000, 4);
    submit_until(&job, 1, now - 1, 4);                  /* while it waits */
    submit_until(&job, 2, now + 10 * 1000 * 1000, 400); /* while it runs, or waits */
    submit_until(&job, 3, 0, 4);
    job_wait(&job, -1, 4);
    CHECK_EQ(job.answer[0].finish, FINISH_LENGTH);
    CHECK_EQ(job.answer[1].finish, FINISH_ABORT);
    CHECK_EQ(job.answer[1].n_tokens, 0);
    CHECK(job.answer[2].finish == FINISH_ABORT || job.answer[2].n_tokens == 400);
    CHECK_EQ(job.answer[3].finish, FINISH_LENGTH);
    job_close(&job, false);
    CHECK_EQ(job.counts.n_running + job.counts.n_waiting, 0);
    CHECK_EQ(job.counts.n_free_blocks, job.counts.n_blocks);
}

TEST(a_request_whose_rules_leave_no_token_says_so)
{
    static struct job job;
    const struct job_settings settings = small_job();
    struct sampling_params params = greedy(4);
    static const int32_t one[] = {7}, end[] = {1};
    params.allowed_id = one;
    params.n_allowed_ids = 1;
    params.bad_id = one;
    params.bad_end = end;
    params.n_bad_words = 1;
    job_open(&job, &settings);
    job_submit(&job, 0, prompt, N_PROMPT, &params);
    job_wait(&job, -1, 1);
    CHECK_EQ(job.answer[0].failure.kind, ERROR_INPUT);
    CHECK(strstr(job.answer[0].failure.text, "no token is left") != NULL);
    job_close(&job, false);
}

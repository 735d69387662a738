/* Requests of every kind that come, wait, are preempted and cancelled as chance has it, in a pool
 * that is too small for them: whoever stays gets the answer it has alone, whoever leaves a part of
 * it, and no block is lost. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

#include <string.h>

enum { N_BEAMS = 4, N_POOLED = 8, N_ALL = MIX_REQUESTS + N_BEAMS + N_POOLED };

static struct answer want[N_ALL];

static uint32_t draw(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static void submit_other(struct job *job, int i)
{
    int32_t prompt[60];
    struct sampling_params params = params_default();
    const int n = 5 + i * 7 % 50, number = i - MIX_REQUESTS;
    for (int t = 0; t < n; t++)
        prompt[t] = (t % 9) * 31 + i;
    if (number < N_BEAMS) {
        params.beam_width = 2 + number % 2;
        params.max_tokens = 12;
    } else {
        params.pooling = number % 2 ? POOLING_MEAN : POOLING_LAST;
    }
    job_submit(job, i, prompt, n, &params);
}

static void submit(struct job *job, int i, uint64_t *state)
{
    if (i < MIX_REQUESTS)
        mix_submit(job, i, i, (int)draw(state, 3) - 1, draw(state, 4));
    else
        submit_other(job, i);
}

/* The answers that all have without any neighbour. */
static void run_alone(void)
{
    static struct job job;
    uint64_t state = 1;
    const struct mix_layout plain = mix_plain();
    struct job_settings settings = mix_settings(&plain);
    settings.max_sequences = 4;
    job_open(&job, &settings);
    for (int i = 0; i < N_ALL; i++) {
        submit(&job, i, &state);
        job_wait(&job, i, 1 << 20);
    }
    memcpy(want, job.answer, sizeof want);
    job_close(&job, false);
}

static void check_part(const struct answer *got, const struct answer *whole)
{
    CHECK(got->n_tokens <= whole->n_tokens && got->n_prompt <= whole->n_prompt);
    CHECK(memcmp(got->token, whole->token, (size_t)got->n_tokens * sizeof *got->token) == 0);
    CHECK(memcmp(got->logprobs, whole->logprobs, (size_t)got->n_tokens * sizeof *got->logprobs) ==
          0);
    CHECK(memcmp(got->prompt, whole->prompt, (size_t)got->n_prompt * sizeof *got->prompt) == 0);
}

struct events {
    int n_cancelled; /* before their end */
    uint64_t n_preemptions;
};

/* Every request once, in a drawn order; about a fifth of them is cancelled. */
static struct events run_crowd(const struct job_settings *settings, uint64_t seed)
{
    struct events events = {0};
    static struct job job;
    uint64_t state = seed;
    int order[N_ALL];
    bool is_cancelled[N_ALL] = {false};
    for (int i = 0; i < N_ALL; i++) {
        const int at = (int)draw(&state, (uint32_t)i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    job_open(&job, settings);
    for (int i = 0; i < N_ALL; i++) {
        submit(&job, order[i], &state);
        if (draw(&state, 4) == 0) { /* lets it work for a while */
            const int other = order[draw(&state, (uint32_t)i + 1)];
            if (!is_cancelled[other])
                job_wait(&job, other, 1 + (int)draw(&state, 6));
        }
        if (draw(&state, 4) == 0) {
            const int other = order[draw(&state, (uint32_t)i + 1)];
            job_cancel(&job, other);
            is_cancelled[other] = true;
        }
    }
    for (int i = 0; i < N_ALL; i++)
        if (!is_cancelled[i])
            job_wait(&job, i, 1 << 20);
    job_close(&job, false);
    for (int i = 0; i < N_ALL; i++) {
        if (is_cancelled[i] && job.answer[i].n_ends == 0) {
            check_part(&job.answer[i], &want[i]);
            events.n_cancelled++;
        } else if (memcmp(&job.answer[i], &want[i], sizeof *want) != 0)
            test_fail(__FILE__, __LINE__, "seed %d: request %d has another answer", (int)seed, i);
    }
    CHECK_EQ(job.counts.n_running + job.counts.n_waiting, 0);
    CHECK_EQ(job.counts.n_free_blocks, job.counts.n_blocks);
    events.n_preemptions = job.counts.n_preemptions;
    return events;
}

TEST(a_crowd_in_a_small_pool_gets_the_answers_of_each_alone_and_loses_no_block)
{
    static const struct mix_layout layouts[] = {
        {64, MIX_TINY, 16, DRAFTER_MODEL, 1, 1, 1, 1, false, 1},
        {40, MIX_TINY, 8, DRAFTER_NGRAM, 1, 2, 1, 3, false, 1},
        {200, MIX_WARM, 32, DRAFTER_MODEL, 1, 1, 2, 2, false, 1},
        {64, MIX_TINY, 32, DRAFTER_NONE, 1, 1, 1, 2, false, 1},
        {64, MIX_TINY, 16, DRAFTER_MODEL, 1, 1, 1, 2, false, 2},
        {40, MIX_TINY, 32, DRAFTER_NGRAM, 1, 1, 1, 3, false, 3},
        {64, MIX_TINY, 16, DRAFTER_NONE, 1, 1, 1, MIX_AHEAD, false, 1},
        {40, MIX_WARM, 32, DRAFTER_NONE, 1, 2, 1, MIX_AHEAD, false, 1},
    };
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    run_alone();
    struct events all = {0};
    enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };
    for (int i = 0; i < 2 * N_LAYOUTS; i++) {
        struct job_settings settings = mix_settings(&layouts[i % N_LAYOUTS]);
        settings.by_priority = i >= N_LAYOUTS;
        settings.n_kv_blocks += 4; /* the beams need more than one sequence does */
        const struct events events = run_crowd(&settings, (uint64_t)i + 1);
        all.n_cancelled += events.n_cancelled;
        all.n_preemptions += events.n_preemptions;
    }
    CHECK(all.n_cancelled > 10 && all.n_preemptions > 10);
}

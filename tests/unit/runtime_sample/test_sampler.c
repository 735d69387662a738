#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/sample/sampler.h"
#include "tests/test.h"
#include "tests/unit/runtime_sample/whole_row.h"

#include <math.h>
#include <string.h>

enum { VOCAB = 1000, N_ROWS = 24 };

static const int32_t eos_id = 2;
static const int32_t tokens[] = {5, 6, 7, 8};

static struct device *open_device(int n_threads)
{
    struct device *device = NULL;
    struct error err = {0};
    if (!device_open_cpu(&device, "scalar", n_threads, 0, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return device;
}

static void fill(float *logits, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        logits[i] = (float)(seed >> 40) * 0x1p-20f - 8;
    }
}

static struct sample_row row_of(const float *logits, const struct sampling_params *params)
{
    return (struct sample_row){
        .logits = logits, .params = params, .token = tokens, .n_prompt = 2, .n_tokens = 4};
}

static struct picked pick_one(const float *logits, const struct sampling_params *params)
{
    struct device *device = open_device(1);
    struct sampler *sampler;
    struct picked picked = {0};
    const struct sample_row row = row_of(logits, params);
    sampler_create(&sampler,
                   &(struct sampler_settings){
                       .device = device, .vocab = VOCAB, .eos_id = &eos_id, .n_eos_ids = 1});
    sampler_pick(sampler, &row, 1, &picked);
    sampler_destroy(sampler);
    device_close(device);
    return picked;
}

TEST(greedy_takes_the_lowest_of_equal_tokens)
{
    float logits[VOCAB];
    struct sampling_params params = params_default();
    params.temperature = 0;
    params.top_k = 1; /* greedy: filters do not matter */
    fill(logits, VOCAB, 1);
    logits[300] = logits[17] = logits[999] = 20;
    CHECK_EQ(pick_one(logits, &params).token, 17);
    params.min_tokens = 16; /* with min_tokens and penalties on, they come first */
    params.n_stop_ids = 1;
    params.stop_id[0] = 17;
    CHECK_EQ(pick_one(logits, &params).token, 300);
}

TEST(a_row_is_picked_by_its_seed_and_position_alone)
{
    float logits[VOCAB];
    struct sampling_params params = params_default();
    params.seed = 12345678901234u;
    fill(logits, VOCAB, 2);
    CHECK_EQ(pick_one(logits, &params).token, pick_of_whole_row(logits, VOCAB, params.seed, 4));
}

TEST(threads_and_neighbours_do_not_matter)
{
    float *logits = memory_alloc(N_ROWS * VOCAB, sizeof *logits);
    struct sampling_params params[N_ROWS];
    struct sample_row row[N_ROWS];
    struct picked alone[N_ROWS], together[N_ROWS];
    fill(logits, N_ROWS * VOCAB, 3);
    for (int i = 0; i < N_ROWS; i++) {
        params[i] = params_default();
        params[i].seed = (uint64_t)i * 77;
        params[i].temperature = (float)(i % 4) * 0.5f;
        params[i].top_k = i % 3 * 20;
        params[i].top_p = i % 2 ? 0.8f : 1;
        params[i].min_p = i % 5 ? 0 : 0.05f;
        params[i].presence_penalty = i % 6 ? 0 : 1;
        params[i].logprobs = i % 7 - 1;
        row[i] = row_of(logits + i * VOCAB, &params[i]);
        alone[i] = pick_one(row[i].logits, &params[i]);
        CHECK(alone[i].token >= 0);
        CHECK_EQ(alone[i].n_logprobs > 0, params[i].logprobs >= 0);
    }
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        struct device *device = open_device(n_threads);
        struct sampler *sampler;
        sampler_create(&sampler,
                       &(struct sampler_settings){
                           .device = device, .vocab = VOCAB, .eos_id = &eos_id, .n_eos_ids = 1});
        for (int again = 0; again < 2; again++) { /* the scratch memory forgets */
            memset(together, 0, sizeof together);
            sampler_pick(sampler, row, N_ROWS, together);
            CHECK(memcmp(alone, together, sizeof alone) == 0);
        }
        sampler_destroy(sampler);
        device_close(device);
    }
    memory_free(logits);
}

TEST(a_row_that_is_no_number_gives_no_token_and_spares_the_others)
{
    static float logits[3 * VOCAB];
    struct sampling_params params = params_default();
    struct sample_row row[3];
    struct picked picked[3] = {0};
    fill(logits, 3 * VOCAB, 4);
    logits[VOCAB + 700] = NAN;
    params.logprobs = 2;
    for (int i = 0; i < 3; i++)
        row[i] = row_of(logits + i * VOCAB, &params);
    struct device *device = open_device(2);
    struct sampler *sampler;
    sampler_create(&sampler,
                   &(struct sampler_settings){
                       .device = device, .vocab = VOCAB, .eos_id = &eos_id, .n_eos_ids = 1});
    sampler_pick(sampler, row, 3, picked);
    CHECK(picked[0].token >= 0 && picked[2].token >= 0);
    CHECK_EQ(picked[1].token, -1);
    CHECK_EQ(picked[1].n_logprobs, 0);
    for (int i = 0; i < VOCAB; i++)
        logits[VOCAB + i] = -INFINITY;
    params.temperature = 0;
    sampler_pick(sampler, row, 3, picked);
    CHECK_EQ(picked[1].token, -1);
    sampler_destroy(sampler);
    device_close(device);
}

TEST(where_min_tokens_forbids_everything_there_is_no_token)
{
    float logits[VOCAB];
    struct sampling_params params = params_default();
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    logits[eos_id] = 1;
    params.min_tokens = 16;
    params.top_k = 5;
    params.top_p = 0.5f;
    params.min_p = 0.1f;
    CHECK_EQ(pick_one(logits, &params).token, -1);
}

TEST(logprobs_are_raw_and_ranked)
{
    float logits[VOCAB];
    struct sampling_params params = params_default();
    for (int i = 0; i < VOCAB; i++)
        logits[i] = 0;
    logits[10] = 5;
    logits[20] = logits[21] = 4;
    logits[30] = 3;
    params.temperature = 0;
    params.logprobs = 4;
    params.n_stop_ids = 1;
    params.stop_id[0] = 10; /* the best is not allowed: the pick is the second */
    params.min_tokens = 16;
    const struct picked picked = pick_one(logits, &params);
    const double lse = log((VOCAB - 4) + exp(5) + 2 * exp(4) + exp(3));
    static const struct token_logprob want[] = {{20, 4, 3}, {10, 5, 1}, {21, 4, 3}, {30, 3, 4}};
    CHECK_EQ(picked.token, 20);
    CHECK_EQ(picked.n_logprobs, 4); /* the picked one is among the four best */
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(picked.logprob[i].token, want[i].token);
        CHECK_EQ(picked.logprob[i].rank, want[i].rank);
        CHECK(fabs((double)picked.logprob[i].logprob - ((double)want[i].logprob - lse)) < 1e-5);
    }

    params.logprobs = 0;
    CHECK_EQ(pick_one(logits, &params).n_logprobs, 1);
    params.logprobs = 1;
    CHECK_EQ(pick_one(logits, &params).n_logprobs, 2);
    params.logprobs = 5; /* of the many at 0 the lowest id, with the rank of all of them */
    const struct picked five = pick_one(logits, &params);
    CHECK_EQ(five.n_logprobs, 5);
    CHECK_EQ(five.logprob[4].token, 0);
    CHECK_EQ(five.logprob[4].rank, VOCAB);
}

/* What a seed gives is promised: not only the same in every layout, but the same tomorrow. A
 * change of this number is a change of docs/numerics.md, "Sampling". */
TEST(the_picks_of_a_seed_stay_what_they_are)
{
    static float logits[VOCAB];
    struct sampling_params params = params_default();
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    struct device *device = open_device(1);
    struct sampler *sampler;
    sampler_create(&sampler,
                   &(struct sampler_settings){
                       .device = device, .vocab = VOCAB, .eos_id = &eos_id, .n_eos_ids = 1});
    for (int i = 0; i < 600; i++) {
        struct picked picked = {0};
        fill(logits, VOCAB, (uint64_t)i);
        params.seed = (uint64_t)i << 30;
        params.temperature = 0.3f + (float)(i % 5) * 0.4f;
        params.top_k = i % 3 == 1 ? 40 : 0;
        params.top_p = i % 4 == 1 ? 0.7f : 1;
        params.min_p = i % 7 == 1 ? 0.1f : 0;
        params.repetition_penalty = i % 2 ? 1 : 1.3f;
        const struct sample_row row = row_of(logits, &params);
        sampler_pick(sampler, &row, 1, &picked);
        hash = (hash ^ (uint64_t)picked.token) * 0x100000001b3u;
    }
    sampler_destroy(sampler);
    device_close(device);
    CHECK_EQ(hash, 4410510586703736995);
}

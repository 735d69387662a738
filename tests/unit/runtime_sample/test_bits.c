/* Whole rows as models give them, through every rule, down to the last bit of every
 * log-probability: the numbers below are those of the first version of the sampler, which walked
 * over every token of every row. docs/numerics.md, "Sampling", promises them. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/sample/sampler.h"
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_VOCAB = 128256, N_TOKENS = 40 };

static const int32_t eos_id[] = {2, 64};

static uint64_t random_state;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static uint64_t mix(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

enum shape { BELL, PEAKED, FLAT, TIED, FAR, EXTREME, N_SHAPES };

static float draw(enum shape shape)
{
    float sum = 0; /* of 12: nearly a normal distribution */
    for (int k = 0; k < 12; k++)
        sum += (float)(random_bits() >> 8) * 0x1p-24f;
    const float bell = sum - 6, flat = (float)(random_bits() >> 8) * 0x1p-24f;
    switch (shape) {
    case BELL:
        return bell * 3;
    case PEAKED:
        return random_bits() % 2048 == 0 ? 14 + bell * 2 : bell * 2;
    case FLAT:
        return flat * 0.25f;
    case TIED:
        return (float)(int)(bell * 2) + (random_bits() % 4 == 0 ? -INFINITY : 0);
    case FAR:
        return flat * 300 - 150;
    default:
        return random_bits() % 512 == 0 ? FLT_MAX * (flat - 0.5f) * 2 : bell * 1e30f;
    }
}

static struct sampling_params params_of(int i)
{
    static const float temperature[] = {1, 0.6f, 1.7f, 0.001f, 0, 1, 0.3f};
    static const int32_t top_k[] = {0, 40, 0, 1, 0, 1500, 0, 7, 0, 0, 300};
    static const float top_p[] = {1, 0.9f, 1, 0.5f, 0.999f, 0.05f, 1};
    static const float min_p[] = {0, 0, 0.05f, 0, 0, 1e-6f, 0, 0, 0.5f};
    static const int32_t logprobs[] = {LOGPROBS_OFF, 0, 20, 5};
    struct sampling_params p = params_default();
    p.temperature = temperature[i % 7];
    p.top_k = top_k[i % 11];
    p.top_p = top_p[i / 2 % 7];
    p.min_p = min_p[i / 3 % 9];
    p.logprobs = logprobs[i % 4];
    p.prompt_logprobs = i % 21;
    p.beam_width = 1 + i % PARAMS_MAX_BEAMS;
    p.seed = (uint64_t)i * 0x9E3779B97F4A7C15u;
    p.repetition_penalty = i % 5 == 4 ? 1.2f : 1;
    p.frequency_penalty = i % 10 == 4 ? 0.5f : 0;
    p.min_tokens = i % 6 == 5 ? 100 : 0;
    return p;
}

/* Of n_rows rows, seven of nine sampled, one of a prompt, one of a beam. */
static uint64_t hash_rows(int vocab, int n_rows, enum shape shape, bool processed)
{
    static int32_t token[N_TOKENS];
    float *logits = memory_alloc((size_t)vocab, sizeof *logits);
    uint64_t hash = 0xcbf29ce484222325u;
    struct device *device = NULL;
    struct sampler *sampler;
    struct error err = {0};
    if (!device_open_cpu(&device, "scalar", 2, 0, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    sampler_create(&sampler, &(struct sampler_settings){.device = device,
                                                        .vocab = vocab,
                                                        .eos_id = eos_id,
                                                        .n_eos_ids = 2,
                                                        .processed_logprobs = processed});
    random_state = (uint64_t)vocab * 16 + shape;
    for (int i = 0; i < n_rows; i++) {
        static const int32_t allowed[] = {3, 70, 66, 199, 100};
        struct sampling_params params = params_of(i);
        struct picked picked = {0};
        if (i % 13 == 12) {
            params.allowed_id = allowed;
            params.n_allowed_ids = 5;
        }
        for (int k = 0; k < vocab; k++)
            logits[k] = draw(shape);
        for (int k = 0; k < N_TOKENS; k++)
            token[k] = (int32_t)(random_bits() % (uint32_t)vocab);
        const struct sample_row row = {.logits = logits,
                                       .params = &params,
                                       .token = token,
                                       .n_prompt = 10,
                                       .n_tokens = 11 + i % 28,
                                       .kind = i % 9 == 7   ? ROW_PROMPT
                                               : i % 9 == 8 ? ROW_BEAM
                                                            : ROW_SAMPLE};
        sampler_pick(sampler, &row, 1, &picked);
        hash = mix(hash, &picked.token, sizeof picked.token);
        hash = mix(hash, picked.logprob, (size_t)picked.n_logprobs * sizeof *picked.logprob);
    }
    sampler_destroy(sampler);
    device_close(device);
    memory_free(logits);
    return hash;
}

static void check_hashes(int vocab, int n_rows, const uint64_t want[2][N_SHAPES])
{
    for (int processed = 0; processed < 2; processed++)
        for (int shape = 0; shape < N_SHAPES; shape++) {
            const uint64_t got = hash_rows(vocab, n_rows, shape, processed == 1);
            if (got != want[processed][shape])
                test_fail(__FILE__, __LINE__, "vocab %d, processed %d, shape %d: 0x%llx", vocab,
                          processed, shape, (unsigned long long)got);
        }
}

TEST(rows_of_a_small_vocabulary_keep_their_bits)
{
    static const uint64_t want[2][N_SHAPES] = {
        {0xa2dd8af05eba7298u, 0xb00d8929e297ae6au, 0x51929a5b35351cf6u, 0xd7b55cfe6cf99f28u,
         0x4d39a8ce85ca3375u, 0xe90576850353c1e3u},
        {0x4f973e1ef171dc9du, 0x4cae82a3006ef712u, 0x2b22a46a6be2bf1du, 0xb0eb6d946a8677a7u,
         0x15b0c7ad6b54558du, 0x8813631c466ddaedu}};
    check_hashes(2051, 100, want);
}

TEST(rows_of_a_large_vocabulary_keep_their_bits)
{
    static const uint64_t want[2][N_SHAPES] = {
        {0x71ae39fdc8e08d12u, 0x24ede81adb1597c0u, 0x6cd9bee4b83a6007u, 0xc38545fd0c3ff03du,
         0x1e37a780e3bf0dbcu, 0xde0c80ec83e633fdu},
        {0xf02dd8bc138ba9aau, 0xc2d87a1c17ea7fe6u, 0xe005215dddae9cd5u, 0xf36662e93477fc34u,
         0xf194aca452ee7943u, 0x40992407c78bcd41u}};
    check_hashes(MOST_VOCAB, 13, want);
}

/* With --numerics exact the bits of every logit do not depend on the number of ranks and stages, on
 * how a prompt is cut, on what else is in the batch, and on whether a step is padded and recorded.
 */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/layout.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_IDS = 40 };

struct subject {
    char folder[512];
    struct model_config config;
    int32_t ids[N_IDS];
    float *logits; /* [N_IDS, vocab] */
    size_t n_bytes;
    struct setup setup;
};

static struct subject subject_open(const char *name, const char *dtype, int kv_dtype)
{
    struct subject s = {
        .setup = {.dtype = dtype, .kv_dtype = kv_dtype, .n_threads = 1, .block_tokens = 16}};
    struct error err = {0};
    snprintf(s.folder, sizeof s.folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    CHECK(model_config_read(&s.config, s.folder, &err));
    for (int i = 0; i < N_IDS; i++)
        s.ids[i] = (int32_t)((uint32_t)(i + 1) * 2654435761u % (uint32_t)s.config.vocab);
    s.n_bytes = (size_t)N_IDS * (size_t)s.config.vocab * sizeof(float);
    s.logits = memory_alloc(s.n_bytes, 1);
    return s;
}

static uint64_t run(struct subject *s, const struct gpu_setup *gpu, int tp_size, int pp_stages,
                    int chunk)
{
    s->setup.gpu = gpu;
    s->setup.folder = s->folder;
    s->setup.tp_size = tp_size;
    s->setup.pp_stages = pp_stages;
    memset(s->logits, 0xff, s->n_bytes); /* NaN: nothing is left from before */
    const struct sequence sequence = {
        .ids = s->ids, .n_ids = N_IDS, .chunk = chunk, .logits = s->logits};
    run_layout(&s->setup, &sequence, 1, s->config.vocab);
    return hash_bytes(s->logits, s->n_bytes);
}

static void check_product(const char *name, const char *dtype, int kv_dtype, int most_ranks,
                          int most_stages)
{
    static const int chunks[] = {1, 6, N_IDS};
    struct subject s = subject_open(name, dtype, kv_dtype);
    const uint64_t want = run(&s, &eager_gpus, 1, 1, N_IDS);
    for (size_t i = 0; i < s.n_bytes / sizeof(float); i++)
        CHECK(s.logits[i] - s.logits[i] == 0);
    for (int tp = SANITIZED ? most_ranks : 1; tp <= most_ranks; tp *= 2)
        for (int pp = 1; pp <= most_stages && tp * pp <= 4; pp++)
            for (int c = SANITIZED ? 1 : 0; c < (SANITIZED ? 2 : 3); c++)
                for (int eager = 0; eager < 2; eager++)
                    if (run(&s, eager ? &eager_gpus : &exact_gpus, tp, pp, chunks[c]) != want)
                        test_fail(__FILE__, __LINE__,
                                  "%s: tp %d, pp %d, chunks of %d, %s: other bits", name, tp, pp,
                                  chunks[c], eager ? "eager" : "recorded");
    memory_free(s.logits);
}

TEST(one_hash_of_gpus_over_ranks_stages_chunks_and_records_in_bf16)
{
    check_product("llama-16", "bfloat16", DTYPE_BF16, 4, 2);
}

TEST(one_hash_of_gpus_in_float32) { check_product("llama-16", "float32", DTYPE_F32, 2, 2); }

TEST(one_hash_of_gpus_with_an_int8_cache)
{
    check_product("gemma2-capped", "bfloat16", DTYPE_I8, 2, 1);
}

TEST(one_hash_of_gpus_with_two_ropes_and_four_kv_groups)
{
    check_product("gemma3-pattern", "bfloat16", DTYPE_BF16, 1, 2);
}

TEST(one_hash_of_gpus_with_fourteen_heads_over_two)
{
    check_product("qwen2-uneven", "bfloat16", DTYPE_BF16, 2, 1);
}

/* As near to what a CPU computes from the same numbers as one rounding of each is. */
TEST(a_gpu_is_as_near_to_a_cpu_as_their_formats_are)
{
    struct subject s = subject_open("llama-16", "bfloat16", DTYPE_BF16);
    run(&s, NULL, 1, 1, N_IDS);
    const size_t n = s.n_bytes / sizeof(float);
    float *cpu = memory_alloc(s.n_bytes, 1);
    memcpy(cpu, s.logits, s.n_bytes);
    const struct gpu_setup *const gpus[] = {&exact_gpus, &fast_gpus};
    for (int g = 0; g < 2; g++)
        for (int tp = 1; tp <= 2; tp++) {
            double largest = 0, worst = 0;
            run(&s, gpus[g], tp, 1, 6);
            for (size_t i = 0; i < n; i++) {
                CHECK(s.logits[i] - s.logits[i] == 0);
                largest = fmax(largest, fabs((double)cpu[i]));
                worst = fmax(worst, fabs((double)cpu[i] - (double)s.logits[i]));
            }
            CHECK(worst < 0.03 * largest);
        }
    memory_free(cpu);
    memory_free(s.logits);
}

/* Sequences that begin at different steps: batches of one, two and three, whose sizes are padded to
 * one, two and four. */
TEST(a_sequence_in_a_padded_batch_has_the_bits_that_it_has_alone)
{
    enum { N = 3 };
    struct subject s = subject_open("gemma3-pattern", "bfloat16", DTYPE_BF16);
    for (int tp = 1; tp <= 2; tp++) {
        struct sequence sequences[N] = {{.ids = s.ids, .n_ids = 30, .chunk = 1},
                                        {.ids = s.ids + 10, .n_ids = 20, .chunk = 1},
                                        {.ids = s.ids + 7, .n_ids = 25, .chunk = 1}};
        float *alone[N];
        s.setup.gpu = &exact_gpus;
        s.setup.folder = s.folder;
        s.setup.tp_size = tp;
        for (int i = 0; i < N; i++) {
            sequences[i].logits = alone[i] = memory_alloc(s.n_bytes, 1);
            run_layout(&s.setup, &sequences[i], 1, s.config.vocab);
            sequences[i].logits = memory_alloc(s.n_bytes, 1);
            sequences[i].first_step = 4 * i;
        }
        run_layout(&s.setup, sequences, N, s.config.vocab);
        for (int i = 0; i < N; i++) {
            const size_t n = (size_t)sequences[i].n_ids * (size_t)s.config.vocab * sizeof(float);
            CHECK(memcmp(sequences[i].logits, alone[i], n) == 0);
            memory_free(sequences[i].logits);
            memory_free(alone[i]);
        }
    }
    memory_free(s.logits);
}

/* The promise of docs/numerics.md, as one hash: the bits of every logit do not depend on the number
 * of ranks, threads, the instruction set, how a prompt is cut, or what else is in the batch. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/kernels/amx_emulated.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/layout.h"

#include <stdio.h>
#include <string.h>

enum { MAX_IDS = 320, MAX_LEVELS = 8 };

struct subject {
    char folder[512];
    const char *dtype;
    int kv_dtype, n_ids, block_tokens;
    struct model_config config;
    int32_t ids[MAX_IDS];
    float *logits; /* [n_ids, vocab] */
};

static struct subject subject_open(const char *folder, const char *dtype, int n_ids)
{
    struct subject subject = {.dtype = dtype,
                              .kv_dtype = strcmp(dtype, "bfloat16") == 0 ? DTYPE_BF16 : DTYPE_F32,
                              .n_ids = n_ids,
                              .block_tokens = 32};
    struct error err = {0};
    snprintf(subject.folder, sizeof subject.folder, "%s/%s", SOURCE_DIR, folder);
    if (!model_config_read(&subject.config, subject.folder, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    for (int i = 0; i < n_ids; i++)
        subject.ids[i] =
            (int32_t)((uint32_t)(i + 1) * 2654435761u % (uint32_t)subject.config.vocab);
    subject.logits = memory_alloc((size_t)n_ids * (size_t)subject.config.vocab, sizeof(float));
    return subject;
}

static size_t logits_bytes(const struct subject *subject)
{
    return (size_t)subject->n_ids * (size_t)subject->config.vocab * sizeof(float);
}

/* The hash of all logits in one layout. */
static uint64_t run(const struct subject *subject, const struct ops *ops, int tp_size,
                    int n_threads, int chunk)
{
    const struct setup setup = {.folder = subject->folder,
                                .dtype = subject->dtype,
                                .tp_size = tp_size,
                                .n_threads = n_threads,
                                .ops = ops,
                                .kv_dtype = subject->kv_dtype,
                                .block_tokens = subject->block_tokens};
    const struct sequence sequence = {
        .ids = subject->ids, .n_ids = subject->n_ids, .chunk = chunk, .logits = subject->logits};
    memset(subject->logits, 0xff, logits_bytes(subject)); /* NaN: nothing is left from before */
    run_layout(&setup, &sequence, 1, subject->config.vocab);
    return hash_bytes(subject->logits, logits_bytes(subject));
}

static void check_finite(const struct subject *subject)
{
    const size_t n = logits_bytes(subject) / sizeof(float);
    for (size_t i = 0; i < n; i++)
        CHECK(subject->logits[i] - subject->logits[i] == 0);
}

struct level {
    const struct ops *ops;
    bool is_fast;
};

/* The levels that this machine runs, and AMX on an emulator, so that it is always among them. */
static int list_levels(struct level levels[MAX_LEVELS])
{
    int n = 0;
    for (int i = 0; i < n_cpu_levels; i++) {
        const struct ops *const ops = &cpu_levels[i].ops;
        if ((cpu_features() & cpu_levels[i].needs) == cpu_levels[i].needs)
            levels[n++] = (struct level){.ops = ops, .is_fast = i > 0};
        else
            printf("  because this CPU has no %s, that level is left out\n", ops->name);
    }
    levels[n++] = (struct level){.ops = &amx_emulated_ops, .is_fast = false};
    return n;
}

/* Every size with every chunk at the fast levels; at the slow ones the edges, one rank and one
 * chunk. With sanitizers everything is ten times slower: the edges, and one corner. */
static bool is_run(const struct level *level, bool first_size, bool last_chunk)
{
    const bool on_edge = first_size || last_chunk, at_corner = first_size && last_chunk;
    if (SANITIZED)
        return level->is_fast ? on_edge : at_corner;
    return level->is_fast || on_edge;
}

/* Threads alternate. */
static void check_product(struct subject *subject)
{
    static const int sizes[] = {1, 2, 3, 4, 5, 8, 16}, chunks[] = {1, 7, 64, MAX_IDS};
    enum { N_SIZES = sizeof sizes / sizeof *sizes, N_CHUNKS = sizeof chunks / sizeof *chunks };
    const int most = model_max_tp(&subject->config);
    struct level levels[MAX_LEVELS];
    const int n_levels = list_levels(levels);
    const uint64_t want = run(subject, levels[0].ops, 1, 1, MAX_IDS);
    check_finite(subject);

    int n_layouts = 1;
    for (int level = 0; level < n_levels; level++)
        for (int s = 0; s < N_SIZES && sizes[s] <= most; s++)
            for (int c = 0; c < N_CHUNKS; c++) {
                if (!is_run(&levels[level], s == 0, c == N_CHUNKS - 1))
                    continue;
                const int n_threads = 1 + (s + c) % 2;
                const struct ops *ops = levels[level].ops;
                const uint64_t got = run(subject, ops, sizes[s], n_threads, chunks[c]);
                n_layouts++;
                if (got != want)
                    test_fail(__FILE__, __LINE__,
                              "%s, tp %d, %d threads, chunks of %d: other bits than scalar, tp 1",
                              ops->name, sizes[s], n_threads, chunks[c]);
            }
    printf("  one hash, %016llx, over %d layouts\n", (unsigned long long)want, n_layouts);
}

static void check_model(const char *folder, const char *dtype, int n_ids)
{
    struct subject subject = subject_open(folder, dtype, n_ids);
    check_product(&subject);
    memory_free(subject.logits);
}

TEST(one_hash_over_levels_ranks_threads_and_chunks_in_bf16)
{
    check_model("tests/golden/llama-16", "bfloat16", 70);
}

TEST(one_hash_over_levels_ranks_threads_and_chunks_in_float32)
{
    check_model("tests/golden/llama-16", "float32", 70);
}

TEST(one_hash_with_fourteen_heads_over_two_and_biases)
{
    check_model("tests/golden/qwen2-uneven", "bfloat16", 70);
}

TEST(one_hash_with_biases_everywhere) { check_model("tests/golden/llama-bias", "bfloat16", 70); }

TEST(one_hash_with_head_dim_24) { check_model("tests/golden/qwen2-untied", "bfloat16", 70); }

TEST(one_hash_across_a_chunk_of_attention)
{
    check_model("tests/golden/llama-rope3", "bfloat16", 300);
}

TEST(one_hash_with_windows_on_all_layers)
{
    check_model("tests/golden/mistral-window", "bfloat16", 300);
}

TEST(one_hash_with_layers_in_two_kv_groups)
{
    check_model("tests/golden/qwen2-window", "bfloat16", 70);
}

TEST(one_hash_with_weights_stacked_in_one_tensor)
{
    check_model("tests/golden/phi3-window", "bfloat16", 70);
}

TEST(one_hash_with_heads_rotated_in_part)
{
    check_model("tests/golden/phi3-longrope", "bfloat16", 70);
}

TEST(one_hash_with_norms_of_heads) { check_model("tests/golden/qwen3-wide", "bfloat16", 70); }

TEST(one_hash_with_caps_and_norms_around_the_branches)
{
    check_model("tests/golden/gemma2-capped", "bfloat16", 70);
}

TEST(one_hash_with_two_ropes_and_four_kv_groups)
{
    check_model("tests/golden/gemma3-pattern", "bfloat16", 300);
}

TEST(one_hash_with_two_ropes_in_float32)
{
    check_model("tests/golden/gemma3-types", "float32", 70);
}

TEST(one_hash_with_an_int8_cache)
{
    static const char *const names[] = {"tests/golden/llama-16", "tests/golden/gemma2-capped"};
    for (int i = 0; i < 2; i++) {
        struct subject subject = subject_open(names[i], "bfloat16", 70);
        subject.kv_dtype = DTYPE_I8;
        check_product(&subject);
        memory_free(subject.logits);
    }
}

TEST(one_hash_of_the_demo_model)
{
    if (!file_exists(SOURCE_DIR "/demo/model/config.json"))
        SKIP("demo/model is not there");
    if (SANITIZED)
        SKIP("with sanitizers it takes minutes, and small models run the same code");
    check_model("demo/model", "bfloat16", 70);
}

/* The block size is where the numbers lie, not how they are added. */
TEST(the_size_of_a_kv_block_does_not_show)
{
    struct subject subject = subject_open("tests/golden/llama-rope3", "bfloat16", 300);
    uint64_t first = 0;
    for (int block_tokens = 16; block_tokens <= 256; block_tokens *= 2) {
        subject.block_tokens = block_tokens;
        const uint64_t hash = run(&subject, NULL, 1, 1, 50);
        first = block_tokens == 16 ? hash : first;
        CHECK(hash == first);
    }
    memory_free(subject.logits);
}

/* Three sequences that join at different steps with different chunks, on three ranks. */
TEST(a_sequence_in_a_batch_has_the_bits_that_it_has_alone)
{
    enum { N = 3 };
    struct subject subject = subject_open("tests/golden/llama-16", "bfloat16", 70);
    const size_t n_bytes = logits_bytes(&subject);
    const int vocab = subject.config.vocab;
    struct setup setup = {.folder = subject.folder,
                          .dtype = subject.dtype,
                          .tp_size = 3,
                          .n_threads = 2,
                          .kv_dtype = DTYPE_BF16,
                          .block_tokens = 16};
    struct sequence sequences[N] = {{.ids = subject.ids, .n_ids = 70, .chunk = 33},
                                    {.ids = subject.ids + 20, .n_ids = 50, .chunk = 1},
                                    {.ids = subject.ids + 7, .n_ids = 30, .chunk = 8}};
    float *alone[N];
    for (int s = 0; s < N; s++) {
        sequences[s].logits = alone[s] = memory_alloc(n_bytes, 1);
        run_layout(&setup, &sequences[s], 1, vocab);
        sequences[s].logits = memory_alloc(n_bytes, 1);
        sequences[s].first_step = s;
    }
    run_layout(&setup, sequences, N, vocab);
    for (int s = 0; s < N; s++) {
        const size_t n = (size_t)sequences[s].n_ids * (size_t)vocab * sizeof(float);
        CHECK(memcmp(sequences[s].logits, alone[s], n) == 0);
        memory_free(sequences[s].logits);
        memory_free(alone[s]);
    }
    memory_free(subject.logits);
}

/* Only some rows of a step are projected: the last ones of two sequences. */
TEST(wanted_rows_have_the_bits_that_they_have_among_all)
{
    struct subject subject = subject_open("tests/golden/llama-16", "bfloat16", 70);
    const int vocab = subject.config.vocab;
    float *some[2] = {memory_alloc(logits_bytes(&subject), 1),
                      memory_alloc(logits_bytes(&subject), 1)};
    struct sequence sequences[2] = {{.ids = subject.ids, .n_ids = 70, .chunk = 20},
                                    {.ids = subject.ids, .n_ids = 60, .chunk = 30}};
    for (int tp_size = 1; tp_size <= 3; tp_size += 2) {
        struct setup setup = {.folder = subject.folder,
                              .dtype = subject.dtype,
                              .tp_size = tp_size,
                              .n_threads = 1,
                              .kv_dtype = DTYPE_BF16,
                              .block_tokens = 16};
        run(&subject, NULL, tp_size, 1, 70);
        for (int last_rows = 1; last_rows <= 5; last_rows += 4) {
            for (int s = 0; s < 2; s++) {
                memset(some[s], 0xff, logits_bytes(&subject));
                sequences[s].last_rows = last_rows;
                sequences[s].logits = some[s];
            }
            run_layout(&setup, sequences, 2, vocab);
            for (int s = 0; s < 2; s++)
                for (int row = 0; row < sequences[s].n_ids; row++) {
                    const int left = sequences[s].n_ids - row;
                    const int in_step = row % sequences[s].chunk + 1;
                    const size_t at = (size_t)row * (size_t)vocab;
                    const bool is_last = in_step > sequences[s].chunk - last_rows;
                    if (is_last || left <= last_rows)
                        CHECK(memcmp(some[s] + at, subject.logits + at,
                                     (size_t)vocab * sizeof *some[s]) == 0);
                    else
                        CHECK(some[s][at] != some[s][at]); /* untouched */
                }
        }
    }
    memory_free(some[0]);
    memory_free(some[1]);
    memory_free(subject.logits);
}

/* The whole product that the promise is about, none left out: every level x ranks x threads x
 * chunks, through engine and workers, on the demo model in bf16. One hash of all tokens and of
 * the bits of all log-probabilities. */
#include "base/system.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "tests/kernels/amx_emulated.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdio.h>

enum { N_REQUESTS = 4, LONGEST = 70, N_NEW = 8, VOCAB = 2048 };

static const int sizes[] = {1, 2, 3, 4, 5, 8}, threads[] = {1, 2}, chunks[] = {1, 7, 64, 1024};
static const int lengths[N_REQUESTS] = {1, 9, LONGEST, 20};

static uint64_t hash_more(uint64_t hash, const void *data, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) /* FNV-1a */
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
    return hash;
}

static void submit_all(struct job *job)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        int32_t prompt[LONGEST];
        struct sampling_params params = params_default();
        for (int t = 0; t < lengths[i]; t++)
            prompt[t] = (t * t * 31 + i * 977 + t * 7 + 5) % VOCAB;
        params.max_tokens = N_NEW;
        params.logprobs = 5;
        params.temperature = i == 0 ? 0 : 1;
        params.top_p = i == 2 ? 0.9f : 1;
        params.seed = (uint64_t)i;
        job_submit(job, i, prompt, lengths[i], &params);
    }
}

static uint64_t hash_of(const struct ops *ops, int tp_size, int n_threads, int chunk)
{
    static struct job job;
    uint64_t hash = 0xcbf29ce484222325;
    job_open(&job, &(struct job_settings){.folder = SOURCE_DIR "/demo/model",
                                          .dtype = "bfloat16",
                                          .ops = ops,
                                          .tp_size = tp_size,
                                          .n_threads = n_threads,
                                          .max_tokens = chunk,
                                          .max_sequences = N_REQUESTS,
                                          .max_model_len = 128,
                                          .n_kv_blocks = 64});
    submit_all(&job);
    job_wait(&job, -1, N_REQUESTS);
    for (int i = 0; i < N_REQUESTS; i++) {
        const struct answer *answer = &job.answer[i];
        CHECK_EQ(answer->n_tokens, N_NEW);
        hash = hash_more(hash, answer->token, N_NEW * sizeof *answer->token);
        hash = hash_more(hash, answer->logprobs, N_NEW * sizeof *answer->logprobs);
    }
    job_close(&job, false);
    return hash;
}

/* Checks 48 layouts of a level against *hash, or sets it. */
static int run_level(const struct ops *ops, uint64_t *hash)
{
    int n = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
            for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++, n++) {
                const uint64_t got = hash_of(ops, sizes[s], threads[t], chunks[c]);
                if (*hash == 0)
                    *hash = got;
                if (got != *hash)
                    test_fail(__FILE__, __LINE__, "%s, tp %d, %d threads, chunk %d: %016llx",
                              ops->name, sizes[s], threads[t], chunks[c], (unsigned long long)got);
            }
    printf("  %s: %d layouts, %016llx\n", ops->name, n, (unsigned long long)*hash);
    fflush(stdout);
    return n;
}

TEST(one_hash_over_every_level_rank_thread_and_chunk)
{
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    uint64_t hash = 0;
    for (int i = 0; i < n_cpu_levels; i++) {
        if ((cpu_levels[i].needs & ~cpu_features()) == 0)
            run_level(&cpu_levels[i].ops, &hash);
        else
            printf("  not run here: %s\n", cpu_levels[i].ops.name);
    }
    run_level(&amx_emulated_ops, &hash);
}

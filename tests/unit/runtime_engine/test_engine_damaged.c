/* A model with a damaged weight: one row of its embedding is NaN, so whoever has that token in
 * its prompt gets logits that are no numbers, and nobody else may notice. */
#include "base/memory.h"
#include "base/system.h"
#include "runtime/model/safetensors.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdio.h>
#include <string.h>

enum { DAMAGED = 63, N_PROMPT = 40 };

static const char *const model = SOURCE_DIR "/tests/golden/llama-bf16";

static void copy_config(const struct folder *folder)
{
    char *text;
    size_t n_bytes;
    struct error err = {0};
    if (!file_read(&text, &n_bytes, SOURCE_DIR "/tests/golden/llama-bf16/config.json", 1 << 20,
                   &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    folder_write(folder, "config.json", text, n_bytes);
    memory_free(text);
}

/* The weights with the row of token DAMAGED set to NaN. */
static void copy_weights(const struct folder *folder)
{
    char path[512];
    struct safetensors file;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    if (!safetensors_open(&file, path, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    const struct tensor *table = safetensors_find(&file, "model.embed_tokens.weight");
    CHECK(table != NULL && strcmp(table->format, "BF16") == 0);
    const size_t row_bytes = (size_t)table->shape[1] * 2;
    const size_t at = (size_t)(table->data - file.map.data) + DAMAGED * row_bytes;
    unsigned char *copy = memory_alloc(file.map.n_bytes, 1);
    memcpy(copy, file.map.data, file.map.n_bytes);
    for (size_t i = 0; i < row_bytes; i += 2) { /* 0x7fc0 */
        copy[at + i] = 0xc0;
        copy[at + i + 1] = 0x7f;
    }
    folder_write(folder, "model.safetensors", copy, file.map.n_bytes);
    memory_free(copy);
    safetensors_close(&file);
}

/* What else a request can ask of the damaged token. */
enum { N_OTHERS = 4 };
static void submit_others(struct job *job, const int32_t *bad)
{
    struct sampling_params params[N_OTHERS];
    for (int i = 0; i < N_OTHERS; i++)
        params[i] = params_default();
    params[0].prompt_logprobs = 1;
    params[1].beam_width = 2;
    params[2].pooling = POOLING_MEAN;
    params[3].pooling = POOLING_LAST;
    for (int i = 0; i < N_OTHERS; i++)
        job_submit(job, 7 + i, bad, N_PROMPT, &params[i]);
}

static void check_damage(int tp_size, int pp_stages)
{
    static struct job job;
    struct folder folder = folder_make();
    copy_config(&folder);
    copy_weights(&folder);
    const struct job_settings settings = {.folder = folder.path,
                                          .dtype = "auto",
                                          .tp_size = tp_size,
                                          .pp_stages = pp_stages,
                                          .n_threads = 1,
                                          .max_tokens = 64,
                                          .max_sequences = 3,
                                          .max_model_len = 64,
                                          .n_kv_blocks = 12};
    int32_t good[N_PROMPT], bad[N_PROMPT];
    struct sampling_params params = params_default();
    params.max_tokens = 20;
    params.logprobs = 1;
    for (int i = 0; i < N_PROMPT; i++)
        good[i] = bad[i] = i;
    bad[20] = DAMAGED;

    job_open(&job, &settings);
    job_submit(&job, 0, good, N_PROMPT, &params);
    job_wait(&job, 0, 1000); /* alone, before any damage */
    job_submit(&job, 1, good, N_PROMPT, &params);
    job_submit(&job, 2, bad, N_PROMPT, &params);
    job_submit(&job, 3, good, N_PROMPT, &params);
    job_wait(&job, -1, 4);
    for (int i = 4; i < 7; i++) /* in the blocks where the damage was */
        job_submit(&job, i, good, N_PROMPT, &params);
    job_wait(&job, -1, 7);
    submit_others(&job, bad);
    job_wait(&job, -1, 7 + N_OTHERS);
    job_close(&job, false);
    folder_remove(&folder);

    CHECK_EQ(job.answer[2].n_tokens, 0);
    CHECK_EQ(job.answer[2].failure.kind, ERROR_SYSTEM);
    CHECK(strncmp(job.answer[2].failure.text, "non_finite_logits:", 18) == 0);
    for (int i = 7; i < 7 + N_OTHERS; i++) {
        CHECK_EQ(job.answer[i].failure.kind, ERROR_SYSTEM);
        CHECK_EQ(job.answer[i].n_tokens + job.answer[i].n_values + job.answer[i].n_beams, 0);
    }
    for (int i = 1; i < 7; i++)
        if (i != 2)
            CHECK(memcmp(&job.answer[i], &job.answer[0], sizeof job.answer[0]) == 0);
}

TEST(logits_that_are_no_numbers_end_their_request_and_no_other)
{
    check_damage(2, 1);
    check_damage(1, 2);
}

/* A rank that sleeps gives the memory of its GPU back, and goes on as before when it wakes up. */
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/runner.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

#include <stdio.h>
#include <string.h>

enum { N_IDS = 12, N_STEPS = 6 };

struct sleeper {
    char folder[512];
    struct runner runner;
    int32_t ids[N_IDS + N_STEPS];
};

static void sleeper_open(struct sleeper *s)
{
    struct error err = {0};
    snprintf(s->folder, sizeof s->folder, "%s/tests/golden/llama-bf16", SOURCE_DIR);
    const struct setup setup = {.gpu = &exact_gpus,
                                .folder = s->folder,
                                .dtype = "auto",
                                .tp_size = 1,
                                .n_threads = 1,
                                .kv_dtype = DTYPE_BF16,
                                .block_tokens = 16};
    for (int i = 0; i < N_IDS + N_STEPS; i++)
        s->ids[i] = 3 + 7 * i;
    if (!runner_open(&s->runner, &setup, NULL, 0, 32, 2, 64, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static uint64_t hash_row(uint64_t hash, const float *row, int n)
{
    const unsigned char *bytes = (const unsigned char *)row;
    for (size_t i = 0; i < (size_t)n * sizeof *row; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* A prompt, then one token after the other: steps that are recorded. */
static uint64_t say_it_all(struct sleeper *s)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int step = 0; step <= N_STEPS; step++) {
        struct step_result result;
        struct error err = {0};
        const int n_before = step == 0 ? 0 : N_IDS + step - 1;
        const struct feed feed = {
            .ids = s->ids, .n_computed = n_before, .n_new = step == 0 ? N_IDS : 1, .n_logits = 1};
        if (!runner_step(&s->runner, &feed, 1, &result, &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
        hash = hash_row(hash, result.logits, result.vocab);
    }
    return hash;
}

static size_t free_bytes(const struct sleeper *s)
{
    size_t n_free, n_all;
    device_memory(s->runner.device, &n_free, &n_all);
    return n_free;
}

TEST(a_rank_that_slept_gives_the_same_bits)
{
    struct sleeper s = {.folder = ""};
    struct error err = {0};
    sleeper_open(&s);
    const uint64_t want = say_it_all(&s);
    for (int i = 0; i < 2; i++) {
        const size_t before = free_bytes(&s);
        const size_t held =
            forward_bytes(s.runner.forward).kv + (size_t)s.runner.model->device_bytes;
        forward_sleep(s.runner.forward);
        model_device_release(s.runner.model);
        CHECK(free_bytes(&s) >= before + held);
        CHECK(gpu_setup_load(s.runner.model, s.runner.device, &err));
        CHECK(forward_wake(s.runner.forward, &err));
        CHECK(say_it_all(&s) == want);
    }
    runner_close(&s.runner);
}

TEST(a_rank_may_end_in_its_sleep)
{
    struct sleeper s = {.folder = ""};
    sleeper_open(&s);
    forward_sleep(s.runner.forward);
    model_device_release(s.runner.model);
    runner_close(&s.runner);
}

/* Stages that compute for longer than the deadline of a call: a plan with many rows is under way,
 * and nobody is lost. Each row takes its time in every norm, so a prompt of N_LONG tokens takes a
 * stage more than a second, and a token a few hundredths of it. */
#include "base/system.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

enum { N_LONG = 64, N_SHORT = 4 };

static const int64_t deadline_ns = 800LL * 1000 * 1000;
static const int64_t row_ns = 6LL * 1000 * 1000;

static struct ops quick;

static void slow_norm(struct device *device, const struct rms_norm_args *args)
{
    system_sleep_ns(args->n_tokens * row_ns);
    quick.rms_norm(device, args);
}

static struct ops slow_ops(void)
{
    struct device *device = NULL;
    struct error err = {0};
    CHECK(device_open_cpu(&device, "scalar", 1, 0, &err));
    quick = *device->ops;
    device_close(device);
    struct ops slow = quick;
    slow.rms_norm = slow_norm;
    return slow;
}

static struct job_settings slow_job(const char *folder, const struct ops *slow, int pp_stages)
{
    return (struct job_settings){.folder = folder,
                                 .dtype = "auto",
                                 .ops = slow,
                                 .deadline_ns = deadline_ns,
                                 .tp_size = 1,
                                 .pp_stages = pp_stages,
                                 .n_threads = 1,
                                 .max_tokens = N_LONG,
                                 .max_sequences = N_SHORT + 1,
                                 .max_model_len = 2 * N_LONG,
                                 .n_kv_blocks = 64};
}

/* Short requests are answered, half of them with a rule that wants whole rows at rank 0, when a
 * long prompt comes. */
static void answer_beside_long_prompt(const char *folder, int tp_size, int pp_stages)
{
    static struct job job;
    const struct ops slow = slow_ops();
    struct job_settings settings = slow_job(folder, &slow, pp_stages);
    settings.tp_size = tp_size;
    int32_t prompt[N_LONG];
    for (int i = 0; i < N_LONG; i++)
        prompt[i] = i % 50;
    job_open(&job, &settings);
    for (int i = 0; i < N_SHORT; i++) {
        struct sampling_params params = params_default();
        params.max_tokens = 12;
        params.presence_penalty = i % 2 == 0 ? 0.5f : 0;
        job_submit(&job, i, prompt + i, 1, &params);
    }
    job_wait(&job, 0, 3);
    struct sampling_params params = params_default();
    params.max_tokens = 2;
    job_submit(&job, N_SHORT, prompt, N_LONG, &params);
    job_wait(&job, -1, N_SHORT + 1);
    job_close(&job, false);
}

TEST(results_wait_for_a_first_stage_that_has_a_long_prompt)
{
    answer_beside_long_prompt(SOURCE_DIR "/tests/golden/llama-bf16", 1, 2);
}

TEST(tensor_ranks_wait_for_one_whose_neighbour_has_a_long_prompt)
{
    answer_beside_long_prompt(SOURCE_DIR "/tests/golden/gemma3-types", 2, 3);
}

/* In a step of seconds, as long on each of the stages. False: a pulse was late, as where the
 * machine stands still. */
static bool hears_pulses_within_a_step(int pp_stages)
{
    static struct job job;
    const struct ops slow = slow_ops();
    const struct job_settings settings =
        slow_job(SOURCE_DIR "/tests/golden/llama-bf16", &slow, pp_stages);
    struct sampling_params params = params_default();
    const int32_t prompt[N_LONG] = {1, 2, 3};
    params.max_tokens = 1;
    job_open(&job, &settings);
    const int64_t begin_ns = clock_now_ns();
    job_submit(&job, 0, prompt, N_LONG, &params);
    job_wait(&job, -1, 1);
    const int64_t step_ns = clock_now_ns() - begin_ns;
    CHECK(step_ns > 1500LL * 1000 * 1000);
    const bool heard = job.n_pulses >= 3 && job.oldest_ns < 1200LL * 1000 * 1000; /* of two s */
    job_close(&job, false);
    return heard;
}

static void check_pulses_within_a_step(int pp_stages)
{
    int n_tries = 0;
    while (!hears_pulses_within_a_step(pp_stages))
        CHECK(++n_tries < 5);
}

TEST(a_long_step_is_progress) { check_pulses_within_a_step(1); }

TEST(a_wait_for_a_stage_with_a_long_step_is_progress) { check_pulses_within_a_step(2); }

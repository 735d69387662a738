/* A record of plans that ran ahead of their tokens is run again on other ranks and stages. */
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

static struct job job;

/* The first requests of the mix that are not more than `n`. */
static uint64_t record(const char *path, int n, bool runs_ahead)
{
    struct mix_layout layout = mix_plain();
    layout.n_flights = runs_ahead ? MIX_AHEAD : 1;
    struct job_settings settings = mix_settings(&layout);
    settings.record = path;
    job_open(&job, &settings);
    for (int r = 0; r < n; r++)
        mix_submit(&job, r, r, 0, 0);
    job_wait(&job, -1, n);
    job_close(&job, false);
    CHECK(n > 1 || job.answer[0].finish == FINISH_LENGTH);
    settings.record = NULL;
    job_run_record(&job, &settings, path);
    CHECK(job.report.n_steps > 5);
    return job.report.hash;
}

/* One sequence has the same plans, whether they wait for the tokens or not. */
TEST(tokens_that_a_record_refers_to_are_those_that_were_picked)
{
    struct folder folder = folder_make();
    const struct file_path waiting = folder_path(&folder, "a"), ahead = folder_path(&folder, "b");
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    CHECK_EQ(record(ahead.text, 1, true), record(waiting.text, 1, false));
    folder_remove(&folder);
}

TEST(a_record_of_plans_that_ran_ahead_has_one_hash_on_all_ranks_and_stages)
{
    static const struct mix_layout layouts[] = {
        {1024, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 2, 1, 1, false, 1},
        {1024, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 1, 1, 0, false, 2},
        {1024, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 2, 2, 0, false, 3},
    };
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    const uint64_t want = record(path.text, MIX_PROMPTS, true);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct job_settings settings = mix_settings(&layouts[i]);
        job_run_record(&job, &settings, path.text);
        CHECK_EQ(job.report.hash, want);
    }
    folder_remove(&folder);
}

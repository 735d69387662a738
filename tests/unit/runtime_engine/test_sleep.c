/* Engines that sleep: they give memory back, and say the same when they are awake. */
#include "base/memory.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdio.h>
#include <string.h>

static const char *const folder = SOURCE_DIR "/tests/golden/llama-bf16";
static const int32_t prompt[] = {5, 17, 40, 3,  9,  28, 11, 60, 2,  33,
                                 7, 19, 5,  17, 40, 3,  9,  28, 11, 60};
enum { N_PROMPT = sizeof prompt / sizeof *prompt, N_ANSWER = 12 };

static struct job_settings sleepy_job(void)
{
    return (struct job_settings){.folder = folder,
                                 .dtype = "auto",
                                 .tp_size = 1,
                                 .n_threads = 1,
                                 .max_tokens = 64,
                                 .max_sequences = 4,
                                 .max_model_len = 128,
                                 .n_kv_blocks = 32,
                                 .prefix_caching = true};
}

static void ask(struct job *job, int request)
{
    struct sampling_params params = params_default();
    params.max_tokens = N_ANSWER;
    params.temperature = 0;
    params.ignore_eos = true;
    params.logprobs = 3;
    job_submit(job, request, prompt, N_PROMPT, &params);
}

static void check_same(const struct job *job, int a, int b)
{
    const struct answer *x = &job->answer[a], *y = &job->answer[b];
    CHECK_EQ(x->n_tokens, N_ANSWER);
    CHECK_EQ(y->n_tokens, N_ANSWER);
    CHECK(memcmp(x->token, y->token, sizeof x->token) == 0);
    CHECK(memcmp(x->logprobs, y->logprobs, sizeof x->logprobs) == 0);
}

/* Twice, so that what is given back is what the waking took. */
static void sleep_between_answers(const struct job_settings *settings)
{
    static struct job job;
    job_open(&job, settings);
    ask(&job, 0);
    job_wait(&job, -1, 1);
    for (int i = 1; i <= 4; i++) {
        const enum link_sleep level = i % 2 == 1 ? LINK_NO_CACHE : LINK_NO_WEIGHTS;
        job_sleep(&job, level);
        CHECK_EQ(job.sleep, level);
        job_sleep(&job, LINK_NOT_ASLEEP);
        CHECK_EQ(job.sleep, LINK_NOT_ASLEEP);
        ask(&job, i);
        job_wait(&job, -1, i + 1);
        check_same(&job, 0, i);
        CHECK_EQ(job.costs[i].cached_tokens, 0); /* no block has what it had */
    }
    job_close(&job, false);
}

TEST(an_engine_that_slept_gives_the_same_bits)
{
    const struct job_settings settings = sleepy_job();
    sleep_between_answers(&settings);
}

TEST(weights_that_were_copies_are_the_same_after_a_sleep)
{
    struct job_settings settings = sleepy_job();
    settings.folder = SOURCE_DIR "/tests/golden/llama-f16";
    settings.dtype = "bfloat16";
    sleep_between_answers(&settings);
}

TEST(all_ranks_of_all_stages_sleep_and_wake)
{
    struct job_settings settings = sleepy_job();
    settings.tp_size = settings.pp_stages = 2;
    sleep_between_answers(&settings);
}

TEST(a_draft_model_sleeps_too)
{
    struct job_settings settings = sleepy_job();
    settings.draft = folder;
    settings.max_drafts = 3;
    sleep_between_answers(&settings);
}

TEST(who_runs_is_done_before_the_engine_sleeps)
{
    static struct job job;
    const struct job_settings settings = sleepy_job();
    job_open(&job, &settings);
    ask(&job, 0);
    job_sleep(&job, LINK_NO_CACHE);
    CHECK_EQ(job.answer[0].n_ends, 1);
    CHECK_EQ(job.answer[0].n_tokens, N_ANSWER);
    job_close(&job, false);
}

TEST(what_comes_in_the_sleep_is_answered_after_it)
{
    static struct job job;
    const struct job_settings settings = sleepy_job();
    job_open(&job, &settings);
    job_sleep(&job, LINK_NO_WEIGHTS);
    ask(&job, 0);
    job_hear(&job, 50LL * 1000 * 1000);
    CHECK_EQ(job.answer[0].n_tokens, 0);
    job_sleep(&job, LINK_NOT_ASLEEP);
    job_wait(&job, -1, 1);
    CHECK_EQ(job.answer[0].n_tokens, N_ANSWER);
    job_close(&job, false);
}

TEST(a_sleep_gets_deeper_and_no_lighter)
{
    static struct job job;
    const struct job_settings settings = sleepy_job();
    job_open(&job, &settings);
    job_sleep(&job, LINK_NOT_ASLEEP); /* it never slept: an answer all the same */
    CHECK_EQ(job.sleep, LINK_NOT_ASLEEP);
    job_sleep(&job, LINK_NO_CACHE);
    job_sleep(&job, LINK_NO_WEIGHTS);
    CHECK_EQ(job.sleep, LINK_NO_WEIGHTS);
    job_sleep(&job, LINK_NO_CACHE);
    CHECK_EQ(job.sleep, LINK_NO_WEIGHTS);
    job_close(&job, false); /* it may end in its sleep */
}

TEST(a_record_has_the_sleep_in_it)
{
    static struct job job;
    struct job_settings settings = sleepy_job();
    const struct folder place = folder_make();
    const struct file_path path = folder_path(&place, "plans");
    settings.record = path.text;
    sleep_between_answers(&settings);
    settings.record = NULL;
    settings.tp_size = 2;
    job_run_record(&job, &settings, path.text);
    folder_remove(&place);
    CHECK(job.report.hash != 0);
    CHECK_EQ(job.report.n_tokens, 5 * (N_PROMPT + N_ANSWER - 1));
}

/* ---- memory ---- */

/* Resident pages of the files of a folder, in kB. */
static long resident_of(const char *name)
{
    char line[512];
    bool in_file = false;
    long kb = 0, n = 0;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, "kB") == NULL)
            in_file = strstr(line, name) != NULL;
        if (in_file && sscanf(line, "Rss: %ld kB", &n) == 1)
            kb += n;
    }
    fclose(maps);
    return kb;
}

TEST(memory_falls_with_the_depth_of_the_sleep)
{
    static struct job job;
    const struct job_settings settings = sleepy_job();
    job_open(&job, &settings);
    ask(&job, 0);
    job_wait(&job, -1, 1);
    const int64_t awake = memory_account().mapped;
    const long weights_kb = resident_of("llama-bf16");
    CHECK(weights_kb > 0);
    job_sleep(&job, LINK_NO_CACHE);
    const int64_t without_cache = memory_account().mapped;
    /* K and V of 32 blocks of 16 positions in 2 layers, at least one KV head of 16 */
    CHECK(awake - without_cache >= 2LL * 32 * 16 * 2 * 16 * 2);
    job_sleep(&job, LINK_NO_WEIGHTS);
    CHECK_EQ(resident_of("llama-bf16"), 0);
    job_sleep(&job, LINK_NOT_ASLEEP);
    CHECK_EQ(memory_account().mapped, awake);
    job_close(&job, false);
}

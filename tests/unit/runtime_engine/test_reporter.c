/* What an engine says of itself. */
#include "base/memory.h"
#include "base/system.h"
#include "parallel/heart.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/reporter.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/runtime_engine/job.h"
#include "tests/unit/runtime_link/ends.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t ms = 1000000;
static const int32_t prompt[] = {5, 17, 40, 3,  9,  28, 11, 60, 2,  33,
                                 7, 19, 5,  17, 40, 3,  9,  28, 11, 60};
enum { N_PROMPT = sizeof prompt / sizeof *prompt, N_ANSWER = 9 };

static struct job_settings small_job(void)
{
    return (struct job_settings){.folder = SOURCE_DIR "/tests/golden/llama-bf16",
                                 .dtype = "auto",
                                 .tp_size = 1,
                                 .n_threads = 1,
                                 .max_tokens = 64,
                                 .max_sequences = 4,
                                 .max_model_len = 128,
                                 .n_kv_blocks = 32,
                                 .prefix_caching = true};
}

/* The engine has told the last statistics of what it was asked when it is idle. */
static void ask(struct job *job, int request)
{
    struct sampling_params params = params_default();
    params.max_tokens = N_ANSWER;
    params.temperature = 0;
    params.ignore_eos = true;
    job_submit(job, request, prompt, N_PROMPT, &params);
    const uint64_t before = job->stats.generated_tokens;
    job_wait(job, request, N_ANSWER);
    for (int i = 0; i < 200 && job->stats.generated_tokens < before + N_ANSWER; i++)
        job_hear(job, 100 * ms);
}

TEST(an_engine_that_becomes_idle_tells_all_that_it_did)
{
    static struct job job;
    struct job_settings settings = small_job();
    settings.tp_size = 2;
    job_open(&job, &settings);
    ask(&job, 0);
    CHECK_EQ(job.stats.prompt_tokens, N_PROMPT);
    CHECK_EQ(job.stats.generated_tokens, N_ANSWER);
    CHECK_EQ(job.stats.plans, N_ANSWER);
    CHECK_EQ(job.stats.running + job.stats.waiting, 0);
    CHECK_EQ(job.stats.kv_blocks, settings.n_kv_blocks);
    CHECK_EQ(job.stats.kv_blocks_used, 0);
    CHECK(job.stats.busy_ns > 0 && job.stats.comm_ns > 0);
    CHECK(job.stats.comm_calls > N_ANSWER && job.stats.comm_bytes > job.stats.comm_calls);
    ask(&job, 1); /* a block of the prompt is in the cache */
    CHECK_EQ(job.stats.cache_hits, 16);
    CHECK_EQ(job.stats.prompt_tokens, N_PROMPT + N_PROMPT - 16);
    CHECK_EQ(job.stats.generated_tokens, 2 * N_ANSWER);
    job_close(&job, false);
}

TEST(an_idle_engine_says_nothing_unasked)
{
    static struct job job;
    const struct job_settings settings = small_job();
    job_open(&job, &settings);
    ask(&job, 0);
    const int n_stats = job.n_stats, n_pulses = job.n_pulses;
    job_hear(&job, 800 * ms);
    CHECK_EQ(job.n_stats, n_stats);
    CHECK_EQ(job.n_pulses, n_pulses);
    const int64_t asked_ns = clock_now_ns();
    job_ping(&job);
    for (int i = 0; i < 200 && job.n_pulses == n_pulses; i++)
        job_hear(&job, 100 * ms);
    CHECK_EQ(job.n_pulses, n_pulses + 1);
    CHECK(job.progress_ns >= asked_ns);
    job_close(&job, false);
}

/* ---- without an engine ---- */

struct alone {
    struct ends ends;
    struct ranks ranks;
    struct scheduler *scheduler;
    struct reporter *reporter;
};

static void alone_open(struct alone *alone)
{
    static const int32_t eos_id = 1;
    struct error err = {0};
    *alone = (struct alone){.ends = ends_make()};
    CHECK(comm_open_self(&alone->ranks.tp, &err));
    CHECK(comm_open_self(&alone->ranks.world, &err));
    scheduler_create(&alone->scheduler, &(struct scheduler_settings){.limits = {.max_tokens = 64,
                                                                                .max_sequences = 4,
                                                                                .max_logits = 4,
                                                                                .block_tokens = 16,
                                                                                .n_kv_blocks = 8,
                                                                                .n_kv_groups = 1,
                                                                                .max_model_len = 64,
                                                                                .vocab = 64},
                                                                     .eos_id = &eos_id,
                                                                     .n_eos_ids = 1,
                                                                     .max_requests = 4,
                                                                     .max_request_bytes = 1 << 20});
    reporter_create(&alone->reporter, alone->ends.engine, &alone->ranks, alone->scheduler);
}

static void alone_close(struct alone *alone)
{
    reporter_destroy(alone->reporter);
    scheduler_destroy(alone->scheduler);
    comm_close(alone->ranks.tp);
    comm_close(alone->ranks.world);
    ends_release(&alone->ends);
}

TEST(when_all_that_was_left_is_cancelled_an_engine_says_that_it_is_idle)
{
    struct alone alone;
    struct error err = {0};
    struct sampling_params params = params_default();
    const struct request_source source = {
        .id = 7, .prompt = prompt, .n_prompt = N_PROMPT, .params = &params};
    alone_open(&alone);
    params.max_tokens = N_ANSWER;
    CHECK(scheduler_submit(alone.scheduler, &source, &err));
    reporter_count_time(alone.reporter, 1);
    CHECK(reporter_tell(alone.reporter, false, &err));
    CHECK_EQ(receive_event(alone.ends.gateway).stats.waiting, 1);
    CHECK(scheduler_cancel(alone.scheduler, source.id));
    CHECK(reporter_tell(alone.reporter, false, &err));
    CHECK_EQ(receive_event(alone.ends.gateway).stats.waiting, 0);
    alone_close(&alone);
}

/* ---- two ranks, the other one a process ---- */

struct pair {
    struct ends ends;
    struct heart heart;
    struct ranks ranks;
    struct reporter *reporter;
    _Atomic int *ticks; /* the other rank does something in each round */
    void *memory;
    pid_t other;
};

static void be_the_other(struct pair *pair)
{
    struct watchdog *dog;
    struct error err = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the test fails */
    watchdog_open(&dog, &(struct watchdog_settings){
                            .memory = pair->memory, .rank = 1, .n_ranks = 2, .world_rank = 1});
    if (!watchdog_start(dog, &err))
        _exit(1);
    for (;;) {
        if (*pair->ticks != 0)
            watchdog_tick(dog);
        system_sleep_ns(10 * ms);
    }
}

static void pair_open(struct pair *pair)
{
    struct error err = {0};
    *pair = (struct pair){.ends = ends_make(), .memory = shared_memory_map(watchdog_bytes(2))};
    pair->ticks = shared_memory_map(4096);
    pair->other = fork();
    if (pair->other == 0)
        be_the_other(pair);
    pair->ranks = (struct ranks){.world_size = 2, .local_size = 2, .tp_size = 2, .pp_stages = 1};
    pair->ranks.settings.heart = &pair->heart;
    CHECK(comm_open_self(&pair->ranks.tp, &err));
    CHECK(comm_open_self(&pair->ranks.world, &err));
    watchdog_open(&pair->ranks.watchdog,
                  &(struct watchdog_settings){.memory = pair->memory, .n_ranks = 2});
    CHECK(watchdog_start(pair->ranks.watchdog, &err));
    reporter_create(&pair->reporter, pair->ends.engine, &pair->ranks, NULL);
    system_sleep_ns(600 * ms); /* they have heard each other */
}

static void pair_close(struct pair *pair)
{
    kill(pair->other, SIGKILL);
    waitpid(pair->other, NULL, 0);
    reporter_destroy(pair->reporter);
    watchdog_close(pair->ranks.watchdog);
    comm_close(pair->ranks.tp);
    comm_close(pair->ranks.world);
    munmap(pair->memory, watchdog_bytes(2));
    munmap((void *)pair->ticks, 4096);
    ends_release(&pair->ends);
}

/* When all ranks made progress last, as an answer to a ping has it. */
static int64_t progress_by_answer(struct pair *pair)
{
    struct error err = {0};
    CHECK(reporter_answer(pair->reporter, &err));
    return receive_event(pair->ends.gateway).progress_ns;
}

/* The same, as the heart has it while rank 0 waits. */
static int64_t progress_by_wait(struct pair *pair)
{
    pair->heart.next_ns = 0;
    heart_look(&pair->heart, true);
    return receive_event(pair->ends.gateway).progress_ns;
}

/* It goes on for a second: each look after that finds it young, but where the machine stands still.
 */
static void check_progress_goes_on(struct pair *pair, int64_t (*look)(struct pair *pair))
{
    const int64_t begin_ns = clock_now_ns();
    int64_t progress_ns;
    do {
        CHECK(clock_now_ns() - begin_ns < 20000 * ms);
        system_sleep_ns(50 * ms);
        progress_ns = look(pair);
    } while (progress_ns < begin_ns + 500 * ms || clock_now_ns() - progress_ns >= 1000 * ms);
}

/* Whether the last of it is of at most half a second after a rank stood still, whenever it is
 * looked at: two seconds later it is over. */
static bool progress_ends(struct pair *pair, int64_t (*look)(struct pair *pair),
                          int64_t stood_still_ns)
{
    while (clock_now_ns() - look(pair) < 2000 * ms)
        system_sleep_ns(20 * ms);
    return look(pair) - stood_still_ns < 500 * ms;
}

static bool stop_and_look(void)
{
    struct pair pair;
    pair_open(&pair);
    check_progress_goes_on(&pair, progress_by_answer);
    kill(pair.other, SIGSTOP);
    const bool ends = progress_ends(&pair, progress_by_answer, clock_now_ns());
    pair_close(&pair);
    return ends;
}

static bool hang_and_look(void)
{
    struct pair pair;
    pair_open(&pair);
    *pair.ticks = 1;
    check_progress_goes_on(&pair, progress_by_wait);
    *pair.ticks = 0; /* it hangs, and beats on */
    const bool ends = progress_ends(&pair, progress_by_wait, clock_now_ns());
    pair_close(&pair);
    return ends;
}

/* Rank 0 may stand still between the last beat of the other one and its own look at it, but not
 * each time. */
static bool is_so_once(bool (*is_so)(void))
{
    int n_tries = 0;
    while (!is_so())
        if (++n_tries == 5)
            return false;
    return true;
}

TEST(a_rank_that_is_stopped_is_no_progress_within_two_and_a_half_seconds)
{
    CHECK(is_so_once(stop_and_look));
}

TEST(while_rank_0_waits_progress_is_what_others_do) { CHECK(is_so_once(hang_and_look)); }

/* A warm step of the engine, in which no request arrives or ends, allocates nothing: the linker
 * sends every allocation of ours through the counters here (--wrap, in CMakeLists.txt). All threads
 * of all ranks count, but not the one of the test, which is the gateway. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_int n_allocations;
static _Thread_local bool is_gateway;

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t count, size_t n_bytes);
void *__real_realloc(void *p, size_t n_bytes);
void *__real_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t count, size_t n_bytes);
void *__wrap_realloc(void *p, size_t n_bytes);
void *__wrap_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset);

static void count(void)
{
    if (!is_gateway)
        atomic_fetch_add(&n_allocations, 1);
}

void *__wrap_malloc(size_t n_bytes)
{
    count();
    return __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t n, size_t n_bytes)
{
    count();
    return __real_calloc(n, n_bytes);
}

void *__wrap_realloc(void *p, size_t n_bytes)
{
    count();
    return __real_realloc(p, n_bytes);
}

void *__wrap_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset)
{
    count();
    return __real_mmap(address, n_bytes, protection, flags, fd, offset);
}

enum { N_REQUESTS = 12, N_PROMPT = 30, WARM = 16, INTERVAL = 24, TRIES = 12 };

static void submit_all(struct job *job)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        int32_t prompt[N_PROMPT];
        struct sampling_params params = params_default();
        for (int t = 0; t < N_PROMPT; t++)
            prompt[t] = (t % 6) * 37 + i + 5;
        params.max_tokens = JOB_MAX_TOKENS - 1;
        params.ignore_eos = true;
        params.seed = (uint64_t)i;
        params.temperature = i % 2 == 0 ? 0 : 1;
        params.top_p = i % 3 == 0 ? 0.9f : 1;
        params.top_k = i % 4 == 0 ? 50 : 0;
        params.frequency_penalty = i % 4 == 1 ? 0.3f : 0;
        params.repetition_penalty = i % 4 == 3 ? 1.1f : 1;
        params.logprobs = i % 3 == 2 ? LOGPROBS_OFF : JOB_MAX_LOGPROBS - 1;
        params.prompt_logprobs = i % 5 == 0 ? 2 : LOGPROBS_OFF;
        job_submit(job, i, prompt, N_PROMPT, &params);
    }
}

static void wait_for(struct job *job, int n_tokens)
{
    for (int i = 0; i < N_REQUESTS; i++)
        job_wait(job, i, n_tokens);
    for (int i = 0; i < N_REQUESTS; i++)
        CHECK_EQ(job->answer[i].n_ends, 0);
}

/* A gateway that the machine did not let read in time makes the link keep more: that is no step of
 * the engine. So one interval of many without allocations is what is asked for. */
static void check_steps(struct job_settings settings)
{
    static struct job job;
    int before = 0, after = 1;
    settings.folder = SOURCE_DIR "/demo/model";
    settings.dtype = "auto";
    settings.n_threads = 2;
    settings.max_tokens = 256;
    settings.max_sequences = N_REQUESTS;
    settings.max_model_len = N_PROMPT + JOB_MAX_TOKENS;
    settings.n_kv_blocks = 32 * N_REQUESTS;
    settings.prefix_caching = true;
    settings.max_drafts = 3;
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    is_gateway = true;
    job_open(&job, &settings);
    submit_all(&job);
    wait_for(&job, WARM);
    CHECK(atomic_load(&n_allocations) > 0); /* the counters count */
    for (int i = 1; i <= TRIES && before != after; i++) {
        before = atomic_load(&n_allocations);
        wait_for(&job, WARM + i * INTERVAL);
        after = atomic_load(&n_allocations);
    }
    for (int i = 0; i < N_REQUESTS; i++)
        job_cancel(&job, i);
    job_close(&job, false);
    CHECK_EQ(after, before);
    for (int i = 0; i < N_REQUESTS && (settings.ngram_max > 0 || settings.draft != NULL); i++)
        CHECK(job.costs[i].n_drafted > 0); /* these steps had guesses */
}

TEST(a_warm_step_of_many_sequences_allocates_nothing)
{
    check_steps((struct job_settings){.tp_size = 1});
}

TEST(nor_does_one_on_two_ranks_with_two_plans_in_flight)
{
    check_steps((struct job_settings){.tp_size = 2, .n_flights = 2});
}

TEST(nor_does_one_that_runs_ahead)
{
    check_steps((struct job_settings){.tp_size = 2, .runs_ahead = true});
}

TEST(nor_does_one_on_two_stages_of_a_pipeline)
{
    check_steps((struct job_settings){.tp_size = 1, .pp_stages = 2});
}

TEST(nor_does_one_with_guesses_of_n_grams)
{
    check_steps((struct job_settings){.tp_size = 1, .ngram_max = 3});
}

TEST(nor_does_one_with_a_draft_model)
{
    check_steps((struct job_settings){.tp_size = 2, .draft = SOURCE_DIR "/demo/draft"});
    check_steps(
        (struct job_settings){.tp_size = 1, .pp_stages = 2, .draft = SOURCE_DIR "/demo/draft"});
}

/* A warm step allocates nothing: the linker sends every allocation of ours through the counters
 * here (--wrap, in CMakeLists.txt). */
#include "base/error.h"
#include "kernels/dtype.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/runtime_forward/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_int n_allocations;

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t count, size_t n_bytes);
void *__real_realloc(void *p, size_t n_bytes);
void *__real_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t count, size_t n_bytes);
void *__wrap_realloc(void *p, size_t n_bytes);
void *__wrap_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t n_bytes)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t count, size_t n_bytes)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_calloc(count, n_bytes);
}

void *__wrap_realloc(void *p, size_t n_bytes)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_realloc(p, n_bytes);
}

void *__wrap_mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset)
{
    atomic_fetch_add(&n_allocations, 1);
    return __real_mmap(address, n_bytes, protection, flags, fd, offset);
}

enum { N_IDS = 40 };

struct counted {
    const char *folder;
    int tp_size, pp_stages;
    void *memory;
    pthread_barrier_t barrier; /* no rank opens or closes while another one counts */
    int before, after;
};

static bool run_counted(struct runner *runner, struct counted *counted, int rank, struct error *err)
{
    int32_t ids[N_IDS];
    for (int i = 0; i < N_IDS; i++)
        ids[i] = i * 37 % 160;
    bool ok = true;
    int done = 0;
    for (int step = 0; ok && done < N_IDS; step++) {
        if (step == 1) { /* the first one is the warm-up */
            pthread_barrier_wait(&counted->barrier);
            if (rank == 0)
                counted->before = atomic_load(&n_allocations);
            pthread_barrier_wait(&counted->barrier);
        }
        const int n_new = step % 3 == 2 ? 1 : 12; /* prompts and single tokens */
        const int n = n_new < N_IDS - done ? n_new : N_IDS - done;
        const struct feed feed = {
            .ids = ids, .n_computed = done, .n_new = n, .n_logits = 1, .n_hidden = 1};
        runner->copy[0][0] = runner_block(runner, 0, 0, 0);
        runner->copy[0][1] = 0; /* belongs to nobody */
        runner->n_copies = 1;
        struct step_result result;
        ok = runner_step(runner, &feed, 1, &result, err);
        done += n;
    }
    pthread_barrier_wait(&counted->barrier);
    if (rank == 0)
        counted->after = atomic_load(&n_allocations);
    pthread_barrier_wait(&counted->barrier);
    return ok;
}

static bool run_rank(void *context, int rank, struct error *err)
{
    struct counted *counted = context;
    const struct setup setup = {.folder = counted->folder,
                                .dtype = "bfloat16",
                                .tp_size = counted->tp_size,
                                .pp_stages = counted->pp_stages,
                                .n_threads = 2,
                                .kv_dtype = DTYPE_BF16,
                                .block_tokens = 16};
    struct runner runner;
    if (!runner_open(&runner, &setup, counted->memory, rank, 16, 1, N_IDS, err))
        return false;
    const bool ok = run_counted(&runner, counted, rank, err);
    runner_close(&runner);
    return ok;
}

static void check_folder(const char *folder, int tp_size, int pp_stages)
{
    const int n_ranks = tp_size * pp_stages;
    const size_t n_bytes = ranks_threads_bytes(tp_size, pp_stages);
    struct counted counted = {.folder = folder,
                              .tp_size = tp_size,
                              .pp_stages = pp_stages,
                              .memory = shared_memory_map(n_bytes)};
    CHECK_EQ(pthread_barrier_init(&counted.barrier, NULL, (unsigned)n_ranks), 0);
    check_ranks(n_ranks, run_rank, &counted);
    pthread_barrier_destroy(&counted.barrier);
    CHECK(counted.before > 0); /* the counters count */
    CHECK_EQ(counted.after, counted.before);
    munmap(counted.memory, n_bytes);
}

TEST(a_warm_step_allocates_nothing)
{
    check_folder(SOURCE_DIR "/tests/golden/llama-16", 3, 1);
    check_folder(SOURCE_DIR "/tests/golden/gemma3-pattern", 3, 1);
}

TEST(a_warm_step_of_a_stage_allocates_nothing)
{
    check_folder(SOURCE_DIR "/tests/golden/llama-16", 2, 2);
    check_folder(SOURCE_DIR "/tests/golden/gemma3-pattern", 1, 3);
}

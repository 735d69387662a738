#include "tests/unit/parallel/threads.h"

#include "tests/test.h"

#include <pthread.h>
#include <sys/mman.h>

struct rank_thread {
    pthread_t thread;
    bool (*run)(void *context, int rank, struct error *err);
    void *context;
    int rank;
    struct error *err;
};

static void *rank_main(void *argument)
{
    struct rank_thread *self = argument;
    const bool ok = self->run(self->context, self->rank, self->err);
    if (!ok && self->err->kind == ERROR_NONE)
        error_set(self->err, ERROR_INPUT, "failed without an error");
    return NULL;
}

void run_ranks(int size, bool (*rank)(void *context, int rank, struct error *err), void *context,
               struct error err[MAX_TEST_RANKS])
{
    struct rank_thread threads[MAX_TEST_RANKS];
    CHECK(size <= MAX_TEST_RANKS);
    for (int r = 0; r < size; r++) {
        err[r] = (struct error){0};
        threads[r] =
            (struct rank_thread){.run = rank, .context = context, .rank = r, .err = err + r};
        CHECK(pthread_create(&threads[r].thread, NULL, rank_main, &threads[r]) == 0);
    }
    for (int r = 0; r < size; r++)
        pthread_join(threads[r].thread, NULL);
}

void check_ranks(int size, bool (*rank)(void *context, int rank, struct error *err), void *context)
{
    struct error err[MAX_TEST_RANKS];
    run_ranks(size, rank, context, err);
    for (int r = 0; r < size; r++)
        if (err[r].kind != ERROR_NONE)
            test_fail(__FILE__, __LINE__, "rank %d of %d: %s", r, size, err[r].text);
}

void *shared_memory_map(size_t n_bytes)
{
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

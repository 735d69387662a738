/* The verdict over the records of all ranks, and the exchange between threads. Real ranks with
 * other files: tests/commands/test_ranks.py. */
#include "base/error.h"
#include "launcher/rank/build_id.h"
#include "launcher/rank/handshake.h"
#include "parallel/ranks.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdio.h>
#include <sys/mman.h>

enum { MANY = 40 };

const char build_id[] = "0123456789abcdef"; /* that of the programs is made by CMake */

static void records_make(struct handshake *all, int n)
{
    for (int rank = 0; rank < n; rank++)
        all[rank] = (struct handshake){.mark = {1, 2, 3, 4, 0}, .kernels = "avx2"};
}

TEST(ranks_that_have_the_same_may_go_on)
{
    struct handshake all[3];
    struct error err = {0};
    records_make(all, 3);
    CHECK(handshake_compare(all, 3, &err));
    CHECK_EQ(err.kind, ERROR_NONE);
}

TEST(kernels_may_differ)
{
    struct handshake all[2];
    struct error err = {0};
    records_make(all, 2);
    snprintf(all[1].kernels, sizeof all[1].kernels, "avx512");
    CHECK(handshake_compare(all, 2, &err));
}

TEST(all_ranks_that_differ_from_the_first_are_named)
{
    struct handshake all[4];
    struct error err = {0};
    records_make(all, 4);
    all[2].mark[MARK_CHECKPOINT] = all[3].mark[MARK_CHECKPOINT] = 5;
    CHECK(!handshake_compare(all, 4, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, "ranks 2, 3 have another checkpoint than rank 0: every host needs the same "
                        "files of the model");
}

TEST(what_explains_the_rest_comes_first)
{
    struct handshake all[2];
    struct error err = {0};
    records_make(all, 2);
    for (int mark = 0; mark < N_MARKS; mark++)
        all[1].mark[mark] = 9;
    CHECK(!handshake_compare(all, 2, &err));
    CHECK_STR(err.text, "rank 1 has another build of phalanx-rank than rank 0: every host needs "
                        "the same program");
}

TEST(a_draft_model_that_only_one_has_is_refused)
{
    struct handshake all[2];
    struct error err = {0};
    records_make(all, 2);
    all[1].mark[MARK_DRAFT] = 7;
    CHECK(!handshake_compare(all, 2, &err));
    CHECK_STR(err.text, "rank 1 has another draft model than rank 0: every host needs the same "
                        "files of it");
}

TEST(a_long_list_of_ranks_is_cut_and_counted)
{
    struct handshake all[MANY];
    struct error err = {0};
    records_make(all, MANY);
    for (int rank = 1; rank < MANY; rank++)
        all[rank].mark[MARK_OPTIONS] = 5;
    CHECK(!handshake_compare(all, MANY, &err));
    CHECK_STR(err.text, "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 31 more have other options than rank 0: "
                        "give all ranks the same, but for --threads, --kernels and paths");
}

static bool exchange(void *memory, int rank, struct error *err)
{
    const struct ranks_settings settings = {
        .tp_size = 3, .pp_stages = 1, .comm = "shm", .settings = {.deadline_ns = 60000000000}};
    struct ranks ranks;
    struct handshake mine;
    records_make(&mine, 1);
    mine.mark[MARK_CONFIG] = rank == 1 ? 8 : 3;
    mine.gpu_bytes = 100 - rank;
    int64_t gpu_bytes = 0;
    if (!ranks_open_threads(&ranks, memory, rank, &settings, err))
        return false;
    const bool same = handshake_exchange(&mine, &ranks, &gpu_bytes, err);
    CHECK_EQ(gpu_bytes, 98); /* the smallest */
    ranks_close(&ranks, false);
    return same;
}

TEST(all_ranks_come_to_the_same_verdict)
{
    const size_t n_bytes = ranks_threads_bytes(3, 1);
    void *memory = shared_memory_map(n_bytes);
    struct error err[MAX_TEST_RANKS];
    run_ranks(3, exchange, memory, err);
    for (int rank = 0; rank < 3; rank++) {
        CHECK_EQ(err[rank].kind, ERROR_INPUT);
        CHECK_STR(err[rank].text, "rank 1 has another config.json than rank 0: every host needs "
                                  "the same files of the model");
    }
    munmap(memory, n_bytes);
}

/* Ranks as threads: coordinates and groups of every layout, without MPI. */
#include "parallel/ranks.h"
#include "parallel/ranks_place.h"
#include "parallel/watchdog.h"
#include "tests/test.h"
#include "tests/unit/parallel/comm_cases.h"
#include "tests/unit/parallel/threads.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct layout {
    void *memory;
    struct ranks_settings settings;
};

static bool is_group(const struct comm *comm, int rank, int size, struct error *err)
{
    const char *name = size == 1 ? "self" : "shm";
    if (comm->rank == rank && comm->size == size && strcmp(comm->ops->name, name) == 0)
        return true;
    return error_set(err, ERROR_INPUT, "rank %d of %d over %s, want %d of %d over %s", comm->rank,
                     comm->size, comm->ops->name, rank, size, name);
}

/* Each stage sums on its own while the others do; then all talk in the world. */
static bool layout_rank(void *context, int rank, struct error *err)
{
    const struct layout *layout = context;
    const int tp_size = layout->settings.tp_size, pp_stages = layout->settings.pp_stages;
    struct ranks ranks;
    if (!ranks_open_threads(&ranks, layout->memory, rank, &layout->settings, err))
        return false;
    bool ok = is_group(ranks.world, rank, tp_size * pp_stages, err) &&
              is_group(ranks.tp, rank % tp_size, tp_size, err);
    if (ok && (ranks.pp_stage != rank / tp_size || ranks.tp_rank != rank % tp_size ||
               ranks.world_rank != rank || ranks.world_size != tp_size * pp_stages))
        ok = error_set(err, ERROR_INPUT, "stage %d, tp rank %d", ranks.pp_stage, ranks.tp_rank);
    ok = ok && case_mixture(ranks.tp, err) && case_send_receive(ranks.world, err) &&
         case_mixture(ranks.tp, err) && case_mixture(ranks.world, err);
    ranks_close(&ranks, !ok);
    return ok;
}

static void check_layout(int tp_size, int pp_stages)
{
    const size_t n_bytes = ranks_threads_bytes(tp_size, pp_stages);
    struct layout layout = {
        .memory = shared_memory_map(n_bytes),
        .settings = {.tp_size = tp_size,
                     .pp_stages = pp_stages,
                     .comm = "auto",
                     .settings = {.deadline_ns = (int64_t)60 * 1000 * 1000 * 1000}},
    };
    check_ranks(tp_size * pp_stages, layout_rank, &layout);
    munmap(layout.memory, n_bytes);
}

/* Ranks `bad` and after it have an error. */
struct agreement {
    struct layout layout;
    int bad;
};

static bool agreeing_rank(void *context, int rank, struct error *err)
{
    const struct agreement *a = context;
    struct ranks ranks;
    struct error mine = {0}, verdict;
    char want[64] = "";
    if (!ranks_open_threads(&ranks, a->layout.memory, rank, &a->layout.settings, err))
        return false;
    if (rank >= a->bad)
        error_set(&mine, ERROR_SYSTEM, "no memory at %d", rank);
    if (a->bad == 0)
        snprintf(want, sizeof want, "no memory at 0");
    else if (a->bad < ranks.world_size)
        snprintf(want, sizeof want, "rank %d: no memory at %d", a->bad, a->bad);
    const bool agreed = ranks_agree(&ranks, rank >= a->bad ? &mine : NULL, &verdict, err);
    ranks_close(&ranks, !agreed);
    return agreed && (strcmp(verdict.text, want) == 0 ||
                      error_set(err, ERROR_INPUT, "\"%s\", want \"%s\"", verdict.text, want));
}

TEST(ranks_agree_on_the_first_error)
{
    const size_t n_bytes = ranks_threads_bytes(2, 2);
    for (int bad = 0; bad <= 4; bad++) {
        struct agreement a = {
            .bad = bad,
            .layout = {.memory = shared_memory_map(n_bytes),
                       .settings = {.tp_size = 2,
                                    .pp_stages = 2,
                                    .comm = "auto",
                                    .settings = {.deadline_ns = (int64_t)60 * 1000000000}}}};
        check_ranks(4, agreeing_rank, &a);
        munmap(a.layout.memory, n_bytes);
    }
}

TEST(one_rank_as_a_thread_is_alone) { check_layout(1, 1); }
TEST(tensor_groups_are_the_innermost) { check_layout(3, 2); }
TEST(a_pipeline_without_tensor_groups_talks_in_the_world) { check_layout(1, 3); }
TEST(a_tensor_group_without_a_pipeline_is_the_world) { check_layout(4, 1); }

TEST(each_rank_takes_an_equal_part_of_what_the_host_shares)
{
    for (int tp_size = 1; tp_size <= 4; tp_size++)
        for (int pp_stages = 1; pp_stages <= 3; pp_stages++) {
            const struct ranks_settings settings = {
                .tp_size = tp_size, .pp_stages = pp_stages, .comm = "auto"};
            const size_t n_ranks = (size_t)(tp_size * pp_stages);
            const size_t groups = n_ranks > 1 ? ranks_threads_bytes(tp_size, pp_stages) : 0;
            const size_t all = groups + watchdog_bytes((int)n_ranks);
            CHECK_EQ(ranks_bytes_each(&settings), all / n_ranks);
        }
}

TEST(over_mpi_ranks_share_the_watchdog_alone)
{
    const struct ranks_settings settings = {.tp_size = 2, .pp_stages = 1, .comm = "mpi"};
    const size_t two_groups = 2 * 2 * 1000 * 1000; /* 2 MB each, and some */
    CHECK(ranks_bytes_each(&settings) > two_groups);
    CHECK(ranks_bytes_each(&settings) < 2 * two_groups);
}

TEST(closing_what_was_never_opened_is_fine)
{
    struct ranks ranks = {0};
    ranks_close(&ranks, false);
    ranks_close(&ranks, true);
    CHECK(ranks.world == NULL);
}

TEST(ranks_spin_where_their_own_host_has_a_cpu_for_each_of_their_threads)
{
    struct ranks_settings settings = {.tp_size = 8, .pp_stages = 4, .settings = {.spin_ns = 7}};
    CHECK_EQ(ranks_spin_ns(&settings, 8, 8), 7); /* 24 ranks are on other hosts */
    CHECK_EQ(ranks_spin_ns(&settings, 9, 8), 0);
    settings.cpus_each = 2;
    CHECK_EQ(ranks_spin_ns(&settings, 4, 8), 7);
    CHECK_EQ(ranks_spin_ns(&settings, 5, 8), 0);
}

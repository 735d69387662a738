/* Ranks as processes that mpirun started: CTest runs each of these with 1 to 4 ranks, one test a
 * job, because MPI starts once in a process. All ranks run the same test; a failure of one is the
 * failure of the job. */
#include "base/error.h"
#include "base/system.h"
#include "parallel/ranks.h"
#include "tests/test.h"
#include "tests/unit/parallel/comm_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t ms = 1000 * 1000;

/* Ranks that mpirun started, from the environment, because MPI does not run yet. */
static int job_size(void)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (size == NULL)
        SKIP("it wants Open MPI's mpirun");
    return (int)strtol(size, NULL, 10);
}

static struct ranks_settings settings_make(int tp_size, int pp_stages, const char *comm)
{
    return (struct ranks_settings){
        .tp_size = tp_size,
        .pp_stages = pp_stages,
        .comm = comm,
        .settings = {.deadline_ns = 60000 * ms, .spin_ns = 20 * 1000},
    };
}

static void open_or_fail(struct ranks *ranks, int tp_size, int pp_stages, const char *comm)
{
    struct error err = {0};
    const struct ranks_settings settings = settings_make(tp_size, pp_stages, comm);
    if (!ranks_open(ranks, &settings, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void run_cases(struct comm *comm)
{
    struct error err = {0};
    if (!case_tree_reduce(comm, &err) || !case_all_gather(comm, &err) ||
        !case_broadcast(comm, &err) || !case_send_receive(comm, &err) || !case_mixture(comm, &err))
        test_fail(__FILE__, __LINE__, "%s, rank %d of %d: %s", comm->ops->name, comm->rank,
                  comm->size, err.text);
}

static void check_group(const struct comm *comm, const char *name, int rank, int size)
{
    CHECK_STR(comm->ops->name, size == 1 ? "self" : name);
    CHECK_EQ(comm->rank, rank);
    CHECK_EQ(comm->size, size);
}

/* Mappings of ours in this process; none has a name in /dev/shm. */
static int count_mappings(bool *all_deleted)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;
    CHECK(maps != NULL);
    *all_deleted = true;
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "/dev/shm/#")) {
            count++;
            *all_deleted = *all_deleted && strstr(line, "(deleted)");
        }
    fclose(maps);
    return count;
}

TEST(shm_gives_the_bits_of_one_rank_and_leaves_no_file)
{
    const int size = job_size();
    struct ranks ranks;
    bool all_deleted;
    open_or_fail(&ranks, size, 1, "auto");
    CHECK_EQ(ranks.local_rank, ranks.world_rank);
    CHECK_EQ(ranks.local_size, size);
    check_group(ranks.world, "shm", ranks.world_rank, size);
    check_group(ranks.tp, "shm", ranks.world_rank, size);
    CHECK_EQ(count_mappings(&all_deleted), size > 1);
    CHECK(all_deleted);
    run_cases(ranks.tp);
    run_cases(ranks.world);
    ranks_close(&ranks, false);
    CHECK_EQ(count_mappings(&all_deleted), 0);
}

TEST(mpi_gives_the_bits_of_one_rank_and_shares_a_page_at_most)
{
    const int size = job_size();
    struct ranks ranks;
    open_or_fail(&ranks, size, 1, "mpi");
    check_group(ranks.world, "mpi", ranks.world_rank, size);
    check_group(ranks.tp, "mpi", ranks.world_rank, size);
    CHECK(ranks.shared_bytes <= 4096); /* the watchdog's */
    run_cases(ranks.tp);
    run_cases(ranks.world);
    ranks_close(&ranks, false);
}

/* Two ranks a stage where that goes, else one. */
static void check_stages(const char *comm)
{
    const int size = job_size();
    const int tp_size = size % 2 == 0 ? 2 : 1;
    struct ranks ranks;
    open_or_fail(&ranks, tp_size, size / tp_size, comm);
    const char *name = strcmp(comm, "mpi") == 0 ? "mpi" : "shm";
    CHECK_EQ(ranks.pp_stage * tp_size + ranks.tp_rank, ranks.world_rank);
    check_group(ranks.world, name, ranks.world_rank, size);
    check_group(ranks.tp, name, ranks.tp_rank, tp_size);
    run_cases(ranks.tp);
    run_cases(ranks.world);
    ranks_close(&ranks, false);
}

TEST(stages_of_a_pipeline_have_groups_of_their_own_over_shm) { check_stages("shm"); }
TEST(stages_of_a_pipeline_have_groups_of_their_own_over_mpi) { check_stages("mpi"); }

/* The last rank does not come to the sum; the others must name it. It stays alive meanwhile. */
static void check_missing(const char *comm)
{
    const int size = job_size();
    struct ranks_settings settings = settings_make(size, 1, comm);
    settings.settings.deadline_ns = 2000 * ms;
    struct ranks ranks;
    struct error err = {0};
    if (size == 1)
        SKIP("it wants two ranks");
    CHECK(ranks_open(&ranks, &settings, &err));
    float x[8] = {0};
    const bool last = ranks.world_rank == size - 1;
    bool ok = ranks.tp->ops->tree_reduce(ranks.tp, NULL, x, x, size, 8, &err);
    const int64_t begin = clock_now_ns();
    if (last)
        system_sleep_ns(4000 * ms);
    else
        ok = ok && !ranks.tp->ops->tree_reduce(ranks.tp, NULL, x, x, size, 8, &err);
    const int64_t took = clock_now_ns() - begin;
    ranks_close(&ranks, false); /* clean, so that mpirun has nothing to say */
    CHECK(ok);
    if (last)
        return;
    char want[128];
    snprintf(want, sizeof want, "tree_reduce #2: rank %d did not come within 2.0 s", size - 1);
    CHECK_STR(err.text, want);
    CHECK_EQ(err.kind, ERROR_PEER);
    CHECK(took >= 2000 * ms && took < 20000 * ms);
}

TEST(a_missing_rank_is_named_over_shm) { check_missing("shm"); }
TEST(a_missing_rank_is_named_over_mpi) { check_missing("mpi"); }

/* The root comes late, beyond the deadline, several times; the others wake within 50 ms, but for
 * when the machine is busy with something else. */
TEST(an_idle_rank_waits_beyond_the_deadline_over_mpi)
{
    struct ranks_settings settings = settings_make(job_size(), 1, "mpi");
    settings.settings.deadline_ns = 100 * ms;
    struct ranks ranks;
    struct error err = {0};
    CHECK(ranks_open(&ranks, &settings, &err));
    int64_t least_late = INT64_MAX;
    bool ok = true;
    for (int round = 0; ok && round < 5; round++) {
        if (ranks.world_rank == 0)
            system_sleep_ns(200 * ms);
        int64_t sent_at = clock_now_ns();
        ok = ranks.world->ops->broadcast(ranks.world, &sent_at, sizeof sent_at, 0, true, &err);
        const int64_t late = clock_now_ns() - sent_at;
        least_late = late < least_late ? late : least_late;
    }
    ranks_close(&ranks, false);
    if (!ok)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    if (least_late > 50 * ms)
        test_fail(__FILE__, __LINE__, "woken %lld ms late", (long long)(least_late / ms));
}

/* ---------------------------------------------------------------------- what must be refused -- */

TEST(a_world_of_another_size_is_refused_on_every_rank)
{
    const int size = job_size();
    const struct ranks_settings settings = settings_make(size + 1, 2, "auto");
    struct ranks ranks;
    struct error err = {0};
    char want[32];
    CHECK(!ranks_open(&ranks, &settings, &err));
    ranks_close(&ranks, false);
    CHECK_EQ(err.kind, ERROR_INPUT);
    snprintf(want, sizeof want, "mpirun -n %d", 2 * (size + 1));
    CHECK(strstr(err.text, want));
}

/* Run where /dev/shm has 1 MB (small_shm.sh). */
TEST(a_small_shared_memory_is_an_error_with_the_size_needed_on_every_rank)
{
    const int size = job_size();
    if (getenv("SMALL_SHM") == NULL)
        SKIP("it wants a /dev/shm of 1 MB");
    const struct ranks_settings settings = settings_make(size, 1, "auto");
    struct ranks ranks;
    struct error err = {0};
    CHECK(!ranks_open(&ranks, &settings, &err));
    ranks_close(&ranks, false);
    CHECK_EQ(err.kind, ERROR_UNSUPPORTED);
    CHECK(strstr(err.text, "rank 0: the ranks of this host need"));
    CHECK(strstr(err.text, "MB of shared memory in /dev/shm"));
    CHECK(strstr(err.text, "--comm mpi"));
}

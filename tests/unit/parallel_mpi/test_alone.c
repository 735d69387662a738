/* What a process finds that no mpirun started; and that MPI is not started then. */
#include "base/error.h"
#include "parallel/launch_place.h"
#include "parallel/ranks.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static const struct ranks_settings alone = {
    .tp_size = 1, .pp_stages = 1, .comm = "auto", .settings = {.deadline_ns = 1000000000}};

/* Whatever started the tests, the test is about what `name` says. */
static void clear_environment(void)
{
    static const char *const names[] = {
        "OMPI_COMM_WORLD_RANK", "PMIX_RANK",    "PMI_RANK",     "PMI_SIZE",
        "MV2_COMM_WORLD_RANK",  "SLURM_PROCID", "SLURM_NTASKS", "ENVIRONMENT",
        "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

TEST(a_process_started_by_hand_is_a_world_of_one_without_mpi)
{
    struct ranks ranks;
    struct error err = {0};
    clear_environment();
    CHECK(!launch_has_world());
    CHECK(ranks_open(&ranks, &alone, &err));
    CHECK_EQ(ranks.world_size, 1);
    CHECK_EQ(ranks.local_size, 1);
    CHECK_EQ(ranks.pp_stages, 1);
    CHECK(ranks.finish == NULL && ranks.shared == NULL);
    CHECK_STR(ranks.world->ops->name, "self");
    CHECK_STR(ranks.tp->ops->name, "self");
    ranks_close(&ranks, false);
    CHECK(ranks.tp == NULL);
}

TEST(each_launcher_is_known_by_its_environment)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "MV2_COMM_WORLD_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        clear_environment();
        setenv(names[i], "1", 1);
        CHECK(launch_has_world());
    }
    clear_environment();
}

TEST(two_ranks_without_a_launcher_are_refused_with_the_remedy)
{
    struct ranks_settings settings = alone;
    settings.tp_size = 2;
    struct ranks ranks;
    struct error err = {0};
    clear_environment();
    CHECK(!ranks_open(&ranks, &settings, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, "-tp 2 and -pp 1 want 2 ranks, and 1 was started: use mpirun -n 2, or let "
                        "phalanx start them");
}

TEST(an_unknown_transport_is_refused)
{
    struct ranks_settings settings = alone;
    settings.comm = "tcp";
    struct ranks ranks;
    struct error err = {0};
    clear_environment();
    CHECK(!ranks_open(&ranks, &settings, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, "--comm tcp: want auto, shm, mpi or nccl");
}

TEST(nccl_is_for_gpus)
{
    struct ranks_settings settings = alone;
    settings.comm = "nccl";
    struct ranks ranks;
    struct error err = {0};
    clear_environment();
    CHECK(!ranks_open(&ranks, &settings, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text,
              "--comm nccl is for GPUs, and the ranks compute on CPUs: use --comm auto, or "
              "--device cuda");
    settings.gpus = true;
    err = (struct error){0};
    CHECK(ranks_open(&ranks, &settings, &err));
    CHECK_STR(ranks.world->ops->name, "self");
    ranks_close(&ranks, false);
}

static void check_srun(const char *step_tasks, const char *tasks, const char *batch, bool allowed)
{
    struct error err = {0};
    clear_environment();
    setenv("SLURM_PROCID", "0", 1);
    if (step_tasks != NULL)
        setenv("SLURM_STEP_NUM_TASKS", step_tasks, 1);
    if (tasks != NULL)
        setenv("SLURM_NTASKS", tasks, 1);
    if (batch != NULL)
        setenv("ENVIRONMENT", batch, 1);
    CHECK_EQ(ranks_check_launcher(&err), allowed);
    struct ranks ranks = {0};
    struct error open_err = {0};
    CHECK_EQ(ranks_open(&ranks, &alone, &open_err), allowed);
    if (allowed) {
        ranks_close(&ranks, false);
    } else {
        CHECK_EQ(open_err.kind, ERROR_INPUT);
        CHECK(strstr(open_err.text, "srun started 2 tasks"));
        CHECK(strstr(open_err.text, "srun --mpi=pmix"));
    }
    clear_environment();
}

TEST(several_tasks_of_srun_without_pmix_are_refused_with_the_remedy)
{
    check_srun("2", "2", NULL, false);
    check_srun("2", "4", "BATCH", false);
    check_srun(NULL, "2", NULL, false);
}

TEST(one_task_of_srun_and_a_batch_script_are_worlds_of_one)
{
    check_srun("1", "4", NULL, true);
    check_srun(NULL, "4", "BATCH", true);
    check_srun(NULL, "1", NULL, true);
    check_srun(NULL, NULL, NULL, true);
    check_srun("", "none", NULL, true);
}

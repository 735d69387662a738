/* What the variables of launchers say. */
#include "parallel/launch_place.h"

#include "tests/test.h"

#include <stdlib.h>

static void be_in(const char *const variables[][2], size_t n)
{
    clearenv();
    for (size_t i = 0; i < n; i++)
        setenv(variables[i][0], variables[i][1], 1);
}
#define BE_IN(...)                                              \
    do {                                                        \
        const char *const variables[][2] = {__VA_ARGS__};       \
        be_in(variables, sizeof variables / sizeof *variables); \
    } while (0)

TEST(without_a_launcher_there_is_no_world)
{
    clearenv();
    CHECK_EQ(launch_rank(), 0);
    CHECK_EQ(launch_size(), 0);
}

TEST(mpirun_and_mpiexec_say_rank_and_size)
{
    BE_IN({"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"});
    CHECK_EQ(launch_rank(), 2);
    CHECK_EQ(launch_size(), 4);
    BE_IN({"PMI_RANK", "1"}, {"PMI_SIZE", "3"});
    CHECK_EQ(launch_rank(), 1);
    CHECK_EQ(launch_size(), 3);
}

TEST(srun_with_pmix_says_the_size_by_its_step)
{
    BE_IN({"PMIX_RANK", "1"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"});
    CHECK_EQ(launch_rank(), 1);
    CHECK_EQ(launch_size(), 2);
}

TEST(mpirun_inside_a_job_of_slurm_counts_before_the_job)
{
    BE_IN({"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_RANK", "1"},
          {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"});
    CHECK_EQ(launch_rank(), 1);
    CHECK_EQ(launch_size(), 2);
}

TEST(a_number_that_is_none_says_nothing)
{
    BE_IN({"OMPI_COMM_WORLD_RANK", "x"}, {"OMPI_COMM_WORLD_SIZE", "-3"});
    CHECK_EQ(launch_rank(), 0);
    CHECK_EQ(launch_size(), 0);
}

TEST(what_a_launcher_said_can_be_forgotten)
{
    BE_IN({"OMPI_COMM_WORLD_RANK", "1"}, {"PMIX_RANK", "1"}, {"OMPI_MCA_btl", "self"},
          {"PATH", "/bin"}, {"PMI_RANK", "1"}, {"PMIX_SERVER_URI", "x"},
          {"MV2_COMM_WORLD_RANK", "1"});
    launch_forget();
    CHECK_EQ(launch_rank(), 0);
    CHECK(getenv("PMIX_SERVER_URI") == NULL);
    CHECK(getenv("OMPI_MCA_btl") == NULL);
    CHECK(getenv("PATH") != NULL);
}

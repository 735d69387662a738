/* How mpirun is called: its environment. */
#include "launcher/job/mpirun.h"

#include "base/memory.h"
#include "launcher/job/mpirun_files.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its value; NULL: it is not there. It must be there once. */
static const char *value_of(char *const *environment, const char *name)
{
    const size_t n = strlen(name);
    const char *value = NULL;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, n) != 0 || (*environment)[n] != '=')
            continue;
        CHECK(value == NULL);
        value = *environment + n + 1;
    }
    return value;
}

TEST(mpirun_has_our_environment_and_settings_of_its_own)
{
    struct arena arena = {0};
    const struct mpirun_files none = {0};
    setenv("PHALANX_TEST", "a=b", 1);
    unsetenv("OMPI_MCA_opal_signal");
    char **environment = mpirun_environment(&none, &arena);
    CHECK_STR(value_of(environment, "PHALANX_TEST"), "a=b");
    CHECK_STR(value_of(environment, "PATH"), getenv("PATH"));
    CHECK_STR(value_of(environment, "OMPI_MCA_rmaps_base_oversubscribe"), "1");
    CHECK_STR(value_of(environment, "OMPI_MCA_opal_signal"), "");
    CHECK(value_of(environment, "OMPI_MCA_orte_tmpdir_base") == NULL);
    CHECK(getenv("OMPI_MCA_opal_signal") == NULL); /* this program keeps its own */
    unsetenv("PHALANX_TEST");
    arena_release(&arena);
}

TEST(a_setting_of_the_user_wins)
{
    struct arena arena = {0};
    const struct mpirun_files none = {0};
    setenv("OMPI_MCA_rmaps_base_mapping_policy", "node", 1);
    char **environment = mpirun_environment(&none, &arena);
    CHECK_STR(value_of(environment, "OMPI_MCA_rmaps_base_mapping_policy"), "node");
    unsetenv("OMPI_MCA_rmaps_base_mapping_policy");
    arena_release(&arena);
}

TEST(mpirun_is_told_of_folders_that_are_removed_after_it)
{
    struct arena arena = {0};
    const struct mpirun_files files = {.segments = "/dev/shm/a", .sessions = "/tmp"};
    char **environment = mpirun_environment(&files, &arena);
    CHECK_STR(value_of(environment, "OMPI_MCA_btl_vader_backing_directory"), "/dev/shm/a");
    CHECK_STR(value_of(environment, "OMPI_MCA_orte_tmpdir_base"), "/tmp");
    arena_release(&arena);
}

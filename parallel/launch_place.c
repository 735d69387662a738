#include "parallel/launch_place.h"

#include "base/memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Open MPI; MPICH, Intel MPI and srun --mpi=pmi2; MVAPICH2; srun, with PMIx or without: its tasks
 * are no world. The first that is there counts: mpirun inside a job of Slurm leaves that job's own
 * variables in place. */
static const char *const variables[][2] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"},
    {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},   {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
};
enum { N_WORLDS = 4, MAX_PROCESSES = 1 << 20 };

/* A number from the environment; `missing` when it is not there or none that can be. */
static int number_of(const char *variable, int missing)
{
    const char *text = getenv(variable);
    char *rest;
    if (text == NULL || *text == '\0')
        return missing;
    const long number = strtol(text, &rest, 10);
    return *rest == '\0' && number >= 0 && number <= MAX_PROCESSES ? (int)number : missing;
}

/* variables[i] of the launcher that started this process; NULL: none did. */
static const char *const *launcher(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i][0]) != NULL)
            return variables[i];
    return NULL;
}

bool launch_has_world(void)
{
    for (int i = 0; i < N_WORLDS; i++)
        if (getenv(variables[i][0]) != NULL)
            return true;
    return false;
}

int launch_rank(void) { return launcher() != NULL ? number_of(launcher()[0], 0) : 0; }

int launch_size(void) { return launcher() != NULL ? number_of(launcher()[1], 0) : 0; }

/* A batch script carries the variables of its job too, but is one process: there, only what srun
 * sets for a step counts. (man sbatch, man srun: output environment variables.) */
int launch_slurm_tasks(void)
{
    if (number_of("SLURM_PROCID", -1) < 0)
        return 1;
    const char *environment = getenv("ENVIRONMENT");
    const bool batch = environment != NULL && strcmp(environment, "BATCH") == 0;
    const int tasks = number_of("SLURM_STEP_NUM_TASKS", batch ? 1 : number_of("SLURM_NTASKS", 1));
    return tasks > 1 ? tasks : 1;
}

void launch_forget(void)
{
    static const char *const prefixes[] = {"OMPI_", "PMIX_", "PMI_", "MV2_COMM_"};
    extern char **environ;
    for (size_t at = 0; environ != NULL && environ[at] != NULL;) {
        const char *entry = environ[at];
        const size_t n = strcspn(entry, "=");
        bool gone = false;
        for (size_t i = 0; !gone && i < sizeof prefixes / sizeof *prefixes; i++)
            if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0) {
                char *name = memory_alloc(n + 1, 1);
                memcpy(name, entry, n);
                gone = unsetenv(name) == 0; /* the entries behind it move up */
                memory_free(name);
            }
        at += !gone;
    }
}

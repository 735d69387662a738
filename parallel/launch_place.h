/* parallel/launch_place.h: where this process stands among those that a launcher started
 * together, from the environment alone: before MPI says it, and without MPI.
 */
#pragma once
#include <stdbool.h>

/* Whether a launcher has made a world of these processes: mpirun, mpiexec, srun with PMIx. */
bool launch_has_world(void);

/* Number of this process in the world; 0 where no launcher says one. Also under a bare srun, whose
 * tasks are no world: for who may speak. */
int launch_rank(void);

/* Processes in the world; 0 where no launcher says it. */
int launch_size(void);

/* Tasks that srun started together with this one; 1 without srun. */
int launch_slurm_tasks(void);

/* From here on this process and its children are no rank of anything. What the user has set for
 * MPI (OMPI_MCA_...) goes too: it was meant for the job that runs. */
void launch_forget(void);

/* launcher/job/users_job.h: this program as one process of an MPI job that the user started: mpirun
 * -n 4 phalanx ..., or a step of Slurm with PMIx.
 *
 * Its processes become the ranks. In the place of rank 0 stand three: the one that the launcher
 * knows, which only waits; the rank; and the gateway, which runs the command and has the user's
 * standard input and output. They end together, with the exit code of the gateway.
 *
 *   mpirun ─┬─> phalanx ─┬─> phalanx, the gateway <──┐
 *           │            └─> phalanx-rank, rank 0 <──┴── the link
 *           └─> phalanx-rank, ranks 1 …
 */
#pragma once
#include <stdbool.h>

struct error;
struct options;

/* True when this process is one of such a job. */
bool users_job_is_here(void);

/* For commands that start no ranks: ERROR_INPUT when there are several processes. */
bool users_job_check_alone(const struct options *options, struct error *err);

/* For commands that start ranks. Sets the sizes that were not given from the size of the world,
 * and returns with options->engine_fd set in the gateway alone: the other processes become ranks,
 * or wait and end here. ERROR_INPUT, before anything is started, where rank 0 would be: sizes that
 * are not the world's, or not the model's; -dp; a model that is not there. */
bool users_job_enter(struct options *options, struct error *err);

/* All processes meet the same error before there are ranks, and rank 0 tells it. Ends any other one
 * with `code`, when rank 0 was heard: a launcher may end the job with the first that fails. */
void users_job_leave_the_word_to_rank_0(int code);

/* launcher/job.h: the processes of the ranks, started and ended.
 *
 * One rank is a plain child process; more are started by mpirun. They die with this process
 * (a dead gateway ends the link and sends SIGTERM to mpirun), and this process never leaves them
 * behind. Their socket lies in a folder that only this user can enter and that is gone as soon
 * as the link stands.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct options;

struct job {
    pid_t pid; /* the rank, or mpirun; 0: none */
    int watch; /* pidfd of it */
    int listener;
    char folder[64], socket[96];
};

/* Starts the ranks of `options` on `model_folder`. ERROR_INPUT when mpirun is needed and not
 * installed. */
bool job_start(struct job *job, const struct options *options, const char *model_folder,
               struct error *err);

/* Waits for rank 0 to connect. When the job ends before: the error that its exit status
 * means. *interrupt not 0 ends the wait with ERROR_LIMIT. */
bool job_link(struct job *job, int *fd, const volatile sig_atomic_t *interrupt, struct error *err);

/* After the end of the link (ERROR_PEER): waits a moment for the job to end, and when its exit
 * status says more than that a rank is gone, *err says that instead. Always false. */
bool job_explain(struct job *job, struct error *err);

/* Waits `grace_ns` for the job to end by itself, then SIGTERM, then SIGKILL. Safe on a zero job. */
void job_end(struct job *job, int64_t grace_ns);

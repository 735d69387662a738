/* launcher/job/job.h: the processes of the ranks, started and ended.
 *
 * One rank is a plain child process; more are started by mpirun. They die with this process
 * (a dead gateway ends the link and sends SIGTERM to mpirun), and this process never leaves them
 * behind. Their socket lies in a folder that only this user can enter and that is gone as soon
 * as the link stands.
 */
#pragma once
#include "launcher/job/mpirun_files.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct options;

struct job {
    pid_t pid;    /* the rank, or mpirun; 0: none */
    int watch;    /* pidfd of it, for poll(); -1: there is none, and one has to look */
    int listener; /* for poll() until rank 0 has connected, then -1 */
    int keeper;   /* keeper.h; 0: none */
    bool is_over_hosts;
    bool by_mpirun, is_stopped; /* is_stopped: a rank that is our child */
    char folder[72], socket[96];
    struct mpirun_files files;
};

/* Starts the ranks of `options` on `model_folder`, as this one of its replicas. ERROR_INPUT when
 * mpirun is needed and not installed. job_end() also after a failure. */
bool job_start(struct job *job, const struct options *options, const char *model_folder,
               int replica, struct error *err);

/* Whether rank 0 has connected: *fd, once, or -1. Never waits. */
bool job_accept(struct job *job, int *fd, struct error *err);

/* All ranks are ready. */
void job_settle(struct job *job);

/* Whether the processes have ended by themselves, and how: an exit status, or JOB_SIGNALLED and
 * the signal. Never waits; true once. */
bool job_has_ended(struct job *job, int *exit_status);
enum { JOB_SIGNALLED = 128 }; /* as mpirun and shells say it */
/* What that status means. Always false. ERROR_PEER: a rank was lost. */
bool job_failure(int exit_status, struct error *err);
/* Whether the only rank was stopped (SIGSTOP) and not continued; mpirun's ranks look after each
 * other. */
bool job_is_stopped(struct job *job);

/* Asks for the end with SIGTERM; then, `force`, ends it with SIGKILL. Safe on a zero job. */
void job_signal(struct job *job, bool force);
/* Waits until the time of clock_now_ns() for the job to end. False: it goes on. */
bool job_ends_by(struct job *job, int64_t deadline_ns);
enum { JOB_KILL_GRACE_MS = 2000 }; /* for the system to end what was killed */
/* No file of it stays; a process that SIGKILL has not ended is not ours any more. Never waits. Safe
 * on a zero job. */
void job_release(struct job *job);
/* Ends what is left of it, with SIGKILL and that grace, and releases it. Safe on a zero job. */
void job_end(struct job *job);
/* No file of a job that has ended stays, whoever started it. */
void job_remove_files(struct job *job);

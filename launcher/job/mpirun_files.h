/* launcher/job/mpirun_files.h: what Open MPI keeps on this host, and leaves behind when mpirun is
 * killed: its session folder, and segments of its ranks in /dev/shm.
 *
 * The segments go to a folder of ours, which is removed when all ranks have mapped them: then no
 * death of anything leaves them. The session folder is removed after mpirun if mpirun did not.
 * Settings of the user's own win, and then nothing is removed.
 */
#pragma once
#include <sys/types.h>

struct mpirun_files {  /* all zero: none */
    char segments[40]; /* folder; "": Open MPI's own choice */
    char sessions[64]; /* folder of session folders, likewise */
};

/* Of ranks on this host alone. `sessions` is a folder that can be written. */
void mpirun_files_make(struct mpirun_files *out, const char *sessions);
/* In the child that becomes mpirun. */
void mpirun_files_set_environment(const struct mpirun_files *files);
/* Every rank is ready: removes what needs no name any more. */
void mpirun_files_settle(struct mpirun_files *files);
/* `mpirun` has ended. */
void mpirun_files_remove(struct mpirun_files *files, pid_t mpirun);

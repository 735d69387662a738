/* launcher/job/mpirun_files.h: what Open MPI keeps on this host, and leaves behind when mpirun is
 * killed: its session folder, and segments of its ranks in /dev/shm.
 *
 * The segments go to a folder of ours, which is removed when all ranks have mapped them: then no
 * death of anything leaves them. The session folder is removed after mpirun if mpirun did not.
 * Settings of the user's own win, and then nothing is removed.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct arena;

struct mpirun_files {  /* all zero: none */
    char segments[40]; /* folder; "": Open MPI's own choice */
    char sessions[64]; /* folder of session folders, likewise */
};

/* The names, of ranks on this host alone, and nothing is made yet. `sessions` is a folder that can
 * be written; `tag` nobody else has. */
void mpirun_files_choose(struct mpirun_files *out, const char *sessions, uint64_t tag);
/* Makes the folder of the segments; where that cannot be, it is Open MPI's own choice. */
void mpirun_files_make(struct mpirun_files *files);
/* What tells mpirun of them, as its environment has it: out[] of "NAME=value" in `arena`, at most
 * so many, and a NULL. */
enum { MPIRUN_FILES_SETTINGS = 2 };
void mpirun_files_settings(const struct mpirun_files *files, struct arena *arena, char **out);
/* Every rank is ready: removes what needs no name any more. */
void mpirun_files_settle(struct mpirun_files *files);
/* `mpirun` has ended. */
void mpirun_files_remove(struct mpirun_files *files, pid_t mpirun);

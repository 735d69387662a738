/* launcher/job/mpirun.h: how mpirun is called when phalanx starts the ranks.
 *
 * What it must do differently from its defaults is said in its environment (OMPI_MCA_*), where the
 * user's own settings win, so that the command line is the common one, `mpirun -n N program`, and
 * other launchers take it.
 */
#pragma once
#include <stdbool.h>

struct arena;
struct error;
struct mpirun_files;
struct options;

enum { MPIRUN_WORDS_MAX = 8 };

/* Fills word[] with mpirun and its own options, for the ranks and the --hostfile of `options`;
 * their number in *n, 0 where one rank needs no mpirun. Texts live in `arena`. ERROR_INPUT when it
 * is not installed, and for a file of hosts that cannot hold the ranks, or does not begin with this
 * host, beside whose gateway rank 0 must be. */
bool mpirun_words(char *word[MPIRUN_WORDS_MAX], int *n, const struct options *options,
                  struct arena *arena, struct error *err);

/* What mpirun is started with, up to a NULL: the environment of this program, which stays as it is,
 * and settings that it lacks. In `arena`, but for texts of the environment itself. */
char **mpirun_environment(const struct mpirun_files *files, struct arena *arena);

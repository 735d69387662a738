/* parallel/comm_mpi.h: the communicator between hosts. Private to parallel/.
 */
#pragma once
#include "parallel/comm.h"

enum { NO_GROUP = -1 };

/* Splits the ranks of the job into groups: those with the same color, in the order of their keys.
 * Collective over all ranks; one with the color NO_GROUP takes part, and *out is NULL. */
bool comm_open_mpi(struct comm **out, int color, int key, const struct comm_settings *settings,
                   struct error *err);

/* "what: text of the code", ERROR_PEER. Always false. */
bool mpi_error(struct error *err, const char *what, int code);

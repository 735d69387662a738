/* parallel/comm_mpi.h: the communicator between hosts. Private to parallel/.
 *
 * Its sizes are here, and known without MPI.
 */
#pragma once
#include "parallel/comm.h"
#include "parallel/pieces.h"

enum {
    NO_GROUP = -1,
    SEGMENT_FLOATS = 256 << 10, /* of the parts of one rank: how much a sum takes at a time */
    ONE_SHOT_BYTES = 32 << 10,  /* largest sum that more than two ranks add whole */
};

/* Floats that the other ranks send for one segment of a sum: everything of the one other rank, or
 * all small parts, or all parts of a slice. */
static inline size_t comm_mpi_others_floats(int size)
{
    const size_t one_shot = (size_t)size * (ONE_SHOT_BYTES / sizeof(float));
    const size_t slices = SEGMENT_FLOATS + (size_t)MAX_LEAVES * LINE_FLOATS;
    return one_shot > slices ? one_shot : slices;
}

/* Bytes that a communicator of `size` ranks has for payloads. */
static inline size_t comm_mpi_bytes(int size)
{
    return (SEGMENT_FLOATS + comm_mpi_others_floats(size)) * sizeof(float);
}

/* Splits the ranks of the job into groups: those with the same color, in the order of their keys.
 * Collective over all ranks; one with the color NO_GROUP takes part, and *out is NULL. */
bool comm_open_mpi(struct comm **out, int color, int key, const struct comm_settings *settings,
                   struct error *err);

/* "what: text of the code", ERROR_PEER. Always false. */
bool mpi_error(struct error *err, const char *what, int code);

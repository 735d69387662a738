/* parallel/comm_nccl.h: ranks that have a GPU each, with NCCL on the stream of their device.
 *
 * Only calls with the device are NCCL's. Broadcasts and calls without a device are those of the
 * group that the same ranks have for memory of the host: step plans need deadlines and idle waits,
 * which NCCL has not.
 *
 * A call is queued, and the device waits for the other ranks, not the host. So a rank that never
 * came, an error of NCCL's and a rank that the watchdog lost come out of device_wait(), which looks
 * here every few milliseconds; the thread of the watchdog looks too, where the host is stuck
 * itself. NCCL is then told to give up, so the device is free again, and nothing waits for it in
 * vain.
 *
 * docs/decisions/0021-nccl.md says why it is so.
 */
#pragma once
#include "parallel/comm.h"

enum { NCCL_PIECE_FLOATS = 1 << 20 }; /* of each part: how much an exact sum takes at a time */

/* Parts that all ranks of a group have together, at most. */
static inline int comm_nccl_most_parts(int size)
{
    return (size & (size - 1)) == 0 ? size : MAX_LEAVES;
}

static inline size_t comm_nccl_piece_floats(size_t most_floats)
{
    return most_floats < NCCL_PIECE_FLOATS ? most_floats : NCCL_PIECE_FLOATS;
}

/* Memory of the device that one takes for itself, where exact sums gather the parts. What NCCL
 * takes beside it, it does not say: the device shows it after the opening. */
static inline size_t comm_nccl_bytes(int size, bool exact, size_t most_floats)
{
    const size_t n_floats =
        (size_t)comm_nccl_most_parts(size) * comm_nccl_piece_floats(most_floats);
    return exact ? n_floats * sizeof(float) : 0;
}

/* A comm_open_gpu_fn. Collective over the ranks of `host`, which are two at least; every rank has a
 * GPU of its own. ERROR_UNSUPPORTED when NCCL is too old; ERROR_PEER when a rank does not come by
 * the deadline. A step is run once before it is recorded: NCCL connects ranks when they first talk.
 * To be closed before the device. */
bool comm_open_nccl(struct comm **out, const struct comm_gpu_settings *gpu,
                    const struct comm_settings *settings, struct error *err);

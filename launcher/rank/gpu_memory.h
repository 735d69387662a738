/* launcher/rank/gpu_memory.h: what a rank takes of the memory of its GPU.
 *
 * Arithmetic over models that may be measured ones: for the ranks, and for `phalanx plan`, which
 * counts where there is no GPU.
 */
#pragma once
#include "launcher/rank/bytes.h"
#include "launcher/rank/memory.h"

#include <stdint.h>

struct options;
struct rank_compute;
struct rank_models;
struct ranks;

/* What nobody can count beforehand: of the driver, the libraries and NCCL, when all is open; and
 * what is kept free for graphs, and for kernels when they first run. */
enum { GPU_CONTEXT_BYTES = 600 << 20 };
int64_t gpu_reserve_bytes(int64_t gpu_bytes); /* of a GPU with so much memory */

/* Of the models of a rank, all 0 on a CPU; of the ranks only the numbers count. The cache is in it
 * where it is made. */
struct gpu_bytes gpu_bytes_of(const struct rank_models *m, const struct ranks *ranks);
int64_t gpu_pinned_bytes(const struct rank_models *m); /* of the host, for its GPU */
/* The most numbers that a step sums over the ranks at once. */
int64_t gpu_most_floats(const struct rank_models *m);

/* What the cache of a rank may take whose weights are loaded; on a CPU too. */
struct kv_room rank_kv_room(const struct rank_models *m, const struct options *options,
                            const struct rank_compute *compute, const struct ranks *ranks);

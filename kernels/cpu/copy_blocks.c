/* Copies of blocks of the cache: bytes only, so one kernel for all levels. */
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"

#include <string.h>

/* Block `from` of a plane of n_bytes a block to block `to`. */
static void copy(void *plane, size_t n_bytes, int from, int to)
{
    memcpy((char *)plane + (size_t)to * n_bytes, (char *)plane + (size_t)from * n_bytes, n_bytes);
}

static void copy_item(void *context, int i, int thread)
{
    (void)thread;
    const struct copy_blocks_args *a = context;
    const struct kv_cache *c = a->cache;
    const int from = a->pair[2 * i], to = a->pair[2 * i + 1];
    const size_t n_positions = (size_t)c->n_kv_heads * (size_t)c->block_tokens;
    const size_t n_bytes = n_positions * (size_t)c->head_dim * dtype_bytes(c->dtype);
    copy(c->k, n_bytes, from, to);
    copy(c->v, n_bytes, from, to);
    if (c->dtype == DTYPE_I8) {
        copy(c->k_scale, n_positions * sizeof(float), from, to);
        copy(c->v_scale, n_positions * sizeof(float), from, to);
    }
}

void scalar_copy_blocks(struct device *device, const struct copy_blocks_args *args)
{
    struct copy_blocks_args context = *args;
    team_run(device->team, copy_item, &context, args->n_pairs);
}

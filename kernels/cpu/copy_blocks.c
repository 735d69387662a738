/* What has one kernel for all levels: copies of blocks of the cache, which are memory only, and
 * nothing. */
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"

static void copy(void *numbers, size_t bytes, const int32_t *pair)
{
    char *p = numbers;
    memcpy(p + (size_t)pair[1] * bytes, p + (size_t)pair[0] * bytes, bytes);
}

static void copy_blocks_item(void *context, int i, int thread)
{
    (void)thread;
    const struct copy_blocks_args *a = context;
    const struct kv_cache *c = a->cache;
    const int32_t *pair = a->pair + 2 * (size_t)i;
    const size_t positions = (size_t)c->n_kv_heads * (size_t)c->block_tokens;
    const size_t bytes = positions * (size_t)c->head_dim * dtype_bytes(c->dtype);
    copy(c->k, bytes, pair);
    copy(c->v, bytes, pair);
    if (c->dtype == DTYPE_I8) {
        copy(c->k_scale, positions * sizeof(float), pair);
        copy(c->v_scale, positions * sizeof(float), pair);
    }
}

void scalar_copy_blocks(struct device *device, const struct copy_blocks_args *args)
{
    struct copy_blocks_args context = *args;
    team_run(device->team, copy_blocks_item, &context, args->n_pairs);
}

/* The threads find their work as they go. */
void scalar_attention_work(struct device *device, const struct attention_work_args *args)
{
    (void)device;
    (void)args;
}

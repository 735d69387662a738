/* Attention: what all its kernels are told, and the choice among them. The order of every sum:
 * docs/numerics.md, "Attention". */
#include "kernels/cuda/attention_f32.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

static bool rows_are_segments(const struct kv_cache *cache)
{
    const size_t row_bytes = (size_t)cache->head_dim * dtype_bytes(cache->dtype);
    return row_bytes % SEGMENT == 0;
}

/* As many blocks as run at once: those of narrow heads two on a multiprocessor. */
static int blocks_of(const struct device *device, int head_dim)
{
    return cuda_multiprocessors(device) * (head_dim <= 128 ? 2 : 1);
}

static struct attention_launch launch_of(struct device *device, const struct attention_args *args)
{
    const float log2e = 0x1.715476p0f;
    struct attention_launch a = {};
    a.args = *args;
    a.cache = *args->cache;
    a.leaves = *args->leaves;
    a.args.cache = NULL; /* these two are of the host: kernels have the copies */
    a.args.leaves = NULL;
    a.work = static_cast<const struct attention_work *>(args->work);
    a.to_cap = args->softcap > 0.0f ? args->scale / args->softcap : 0.0f;
    a.to_log2 = (args->softcap > 0.0f ? args->softcap : args->scale) * log2e;
    while (1 << a.block_shift < a.cache.block_tokens)
        a.block_shift++;
    a.aligned = rows_are_segments(&a.cache);
    const size_t row_bytes = (size_t)(2 + a.cache.head_dim) * sizeof(float);
    a.partial = static_cast<float *>(cuda_workspace(device));
    a.n_partial_rows = (int64_t)(cuda_workspace_bytes_reserved(device) / row_bytes);
    a.n_blocks = blocks_of(device, a.cache.head_dim);
    return a;
}

void cuda_attention(struct device *device, const struct attention_args *args)
{
    check(args->work != NULL && args->scale > 0.0f);
    for (int l = 0; l < args->leaves->n_leaves; l++) /* whole heads */
        check(args->leaves->leaf[l].k_end % args->cache->head_dim == 0);
    const struct attention_launch a = launch_of(device, args);
    if (a.cache.dtype == DTYPE_BF16)
        attention_bf16(device, a);
    else if (a.cache.dtype == DTYPE_F16)
        attention_f16(device, a);
    else if (a.cache.dtype == DTYPE_I8)
        attention_i8(device, a);
    else
        GPU_LAUNCH(device, attention_f32, dim3((unsigned)args->n_tokens, (unsigned)args->n_heads),
                   dim3(CHUNK), 0, a);
}

/* One allocation, cut by place, the scales of a place before its numbers: the pages come from the
 * system as blocks are first written. */
#include "runtime/forward/kv_store.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/model/model.h"

/* K, or V, of one block in one place, and its scales. */
struct plane {
    size_t numbers_bytes, scales_bytes;
};

static struct plane plane_of(const struct model *model, int block_tokens, enum dtype dtype)
{
    const size_t n_rows = (size_t)span_length(model->share.kv_heads) * (size_t)block_tokens;
    return (struct plane){.numbers_bytes =
                              n_rows * (size_t)model->config.head_dim * dtype_bytes(dtype),
                          .scales_bytes = dtype == DTYPE_I8 ? n_rows * sizeof(float) : 0};
}

size_t kv_store_block_bytes(const struct model *model, int n_places, int block_tokens,
                            enum dtype dtype)
{
    const struct plane plane = plane_of(model, block_tokens, dtype);
    return 2 * (size_t)n_places * (plane.numbers_bytes + plane.scales_bytes);
}

bool kv_store_init(struct kv_store *out, const struct model *model, struct device *device,
                   int n_places, int n_blocks, int block_tokens, enum dtype dtype,
                   struct error *err)
{
    check(n_places > 0 && n_blocks > 0 && block_tokens > 0);
    *out = (struct kv_store){.device = device, .n_places = n_places};
    if (__builtin_mul_overflow(kv_store_block_bytes(model, n_places, block_tokens, dtype),
                               (size_t)n_blocks, &out->n_bytes))
        return error_set(err, ERROR_INPUT, "KV cache of %d blocks: more than the address space",
                         n_blocks);
    if (!device_alloc(device, &out->memory, out->n_bytes, err))
        return error_in(err, "KV cache of %zu MiB (%d blocks of %d positions on this rank)",
                        out->n_bytes >> 20, n_blocks, block_tokens);

    const struct plane plane = plane_of(model, block_tokens, dtype);
    const size_t scales_bytes = plane.scales_bytes * (size_t)n_blocks; /* a multiple of 64 */
    const size_t numbers_bytes = plane.numbers_bytes * (size_t)n_blocks;
    char *at = out->memory;
    out->place = memory_alloc((size_t)n_places, sizeof *out->place);
    for (int i = 0; i < n_places; i++, at += 2 * (scales_bytes + numbers_bytes)) {
        char *const numbers = at + 2 * scales_bytes;
        out->place[i] = (struct kv_cache){.k = numbers,
                                          .v = numbers + numbers_bytes,
                                          .dtype = dtype,
                                          .n_kv_heads = span_length(model->share.kv_heads),
                                          .head_dim = model->config.head_dim,
                                          .block_tokens = block_tokens};
        if (dtype == DTYPE_I8) {
            out->place[i].k_scale = (float *)(void *)at;
            out->place[i].v_scale = (float *)(void *)(at + scales_bytes);
        }
    }
    return true;
}

void kv_store_sleep(struct kv_store *store)
{
    device_free(store->device, store->memory, store->n_bytes);
    store->memory = NULL;
}

bool kv_store_wake(struct kv_store *store, const struct model *model, int n_blocks,
                   struct error *err)
{
    const struct kv_store before = *store;
    const struct kv_cache like = before.place[0];
    memory_free(before.place);
    return kv_store_init(store, model, before.device, before.n_places, n_blocks, like.block_tokens,
                         like.dtype, err);
}

void kv_store_release(struct kv_store *store)
{
    if (store->memory != NULL)
        device_free(store->device, store->memory, store->n_bytes);
    memory_free(store->place);
    *store = (struct kv_store){0};
}

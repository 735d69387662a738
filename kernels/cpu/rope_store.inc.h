/* kernels/cpu/rope_store.inc.h: rotating, and writing to the cache, once for all levels; as
 * rows.inc.h. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/cpu/row_parts.inc.h"

/* One head, rotated, to elements at .. of `out`. */
static void rotate(void *out, enum dtype dtype, size_t at, const float *x, const float *cos_sin,
                   int half, int head_dim)
{
    for (int i = 0; i < half; i += VEC_LANES) {
        const int n = half - i;
        const struct vec c = load_part(cos_sin + i, n), s = load_part(cos_sin + half + i, n);
        const struct vec x1 = load_part(x + i, n), x2 = load_part(x + half + i, n);
        store_as(out, dtype, at + i, vec_sub(vec_mul(x1, c), vec_mul(x2, s)), n);
        store_as(out, dtype, at + half + i, vec_add(vec_mul(x2, c), vec_mul(x1, s)), n);
    }
    for (int i = 2 * half; i < head_dim; i += VEC_LANES)
        store_as(out, dtype, at + i, load_part(x + i, head_dim - i), head_dim - i);
}

/* Positions lie in pairs: element i of this one is every second from `at` on. */
static void store_value(void *cache, enum dtype dtype, size_t at, const float *x, int head_dim)
{
    for (int i = 0; i < head_dim; i++) {
        if (dtype == DTYPE_F32)
            ((float *)cache)[at + 2 * (size_t)i] = x[i];
        else
            ((bf16 *)cache)[at + 2 * (size_t)i] = bf16_from_f32(x[i]);
    }
}

static void rope_store_item(void *context, int t, int thread)
{
    (void)thread;
    const struct rope_store_args *a = context;
    const struct kv_cache *cache = a->cache;
    const size_t head_dim = (size_t)cache->head_dim, n_kv = (size_t)cache->n_kv_heads;
    const size_t row = (size_t)t, n_heads = (size_t)a->n_heads;
    const float *cos_sin = a->cos_sin + row * 2 * (size_t)a->half;
    for (size_t h = 0; h < n_heads; h++) {
        const size_t at = (row * n_heads + h) * head_dim;
        rotate(a->q_out, cache->dtype, at, a->q + at, cos_sin, a->half, cache->head_dim);
    }
    const size_t block = (size_t)(a->slot[t] / cache->block_tokens);
    const size_t in_block = (size_t)(a->slot[t] % cache->block_tokens);
    for (size_t h = 0; h < n_kv; h++) {
        const size_t from = (row * n_kv + h) * head_dim;
        const size_t head_at = (block * n_kv + h) * (size_t)cache->block_tokens * head_dim;
        rotate(cache->k, cache->dtype, head_at + in_block * head_dim, a->k + from, cos_sin, a->half,
               cache->head_dim);
        store_value(cache->v, cache->dtype, head_at + in_block / 2 * head_dim * 2 + in_block % 2,
                    a->v + from, cache->head_dim);
    }
}

void LEVEL(rope_store)(struct device *device, const struct rope_store_args *args)
{
    struct rope_store_args context = *args;
    team_run(device->team, rope_store_item, &context, args->n_tokens);
}

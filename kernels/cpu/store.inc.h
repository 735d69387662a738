/* kernels/cpu/store.inc.h: rotating q and k, and writing k and v to the cache, once for all levels.
 * The order of every operation is that of docs/numerics.md, "Rows" and "Attention". */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/part.inc.h"
#include "kernels/device.h"

/* The first n lanes to elements at, at + 1, ... of `p`. */
static inline void store_as(void *p, enum dtype dtype, size_t at, struct vec a, int n)
{
    if (dtype == DTYPE_F32) {
        store_part((float *)p + at, a, n);
        return;
    }
    bf16 rounded[VEC_LANES];
    vec_store_bf16(rounded, a);
    memcpy((bf16 *)p + at, rounded, (size_t)min_of(n, VEC_LANES) * sizeof *rounded);
}

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

/* n numbers, at most MAX_HEAD_DIM, as whole ones in [-127, 127] times the scale that is returned.
 * `out` has room for whole vectors. */
static float quantise(int8_t *out, const float *x, int n)
{
    const struct vec nothing = vec_set(0.0f), whole = vec_set(0x1.8p23f);
    struct vec largest = nothing, zero = nothing; /* zero stays 0 as long as all are finite */
    for (int i = 0; i < n; i += VEC_LANES) {
        const struct vec v = load_part(x + i, n - i);
        largest = vec_max(vec_max(v, vec_sub(nothing, v)), largest);
        zero = vec_fma(v, nothing, zero);
    }
    const float scale = vec_sum(zero) == 0.0f ? vec_largest(largest) / 127.0f : NAN;
    for (int i = 0; i < n; i += VEC_LANES) {
        const struct vec v = load_part(x + i, n - i);
        const struct vec q = scale > 0 ? vec_div(v, vec_set(scale)) : nothing;
        vec_store_bytes(out + i, vec_add(q, whole)); /* the low bits are q to nearest, ties even */
    }
    return scale;
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

/* Where one position and head lies in the cache. */
struct place {
    size_t key, value, scale; /* first elements of k, v and k_scale or v_scale */
};

static struct place place_of(const struct kv_cache *cache, int slot, size_t head)
{
    const size_t tokens = (size_t)cache->block_tokens, head_dim = (size_t)cache->head_dim;
    const size_t block = (size_t)slot / tokens, in_block = (size_t)slot % tokens;
    const size_t first = (block * (size_t)cache->n_kv_heads + head) * tokens;
    return (struct place){.key = (first + in_block) * head_dim,
                          .value = (first + in_block / 2 * 2) * head_dim + in_block % 2,
                          .scale = first + in_block};
}

static void store_quantised(const struct rope_store_args *a, struct place at, const float *k,
                            const float *v, const float *cos_sin)
{
    const struct kv_cache *cache = a->cache;
    const size_t head_dim = (size_t)cache->head_dim;
    float rotated[MAX_HEAD_DIM];
    int8_t bytes[MAX_HEAD_DIM + VEC_LANES];
    rotate(rotated, DTYPE_F32, 0, k, cos_sin, a->half, cache->head_dim);
    cache->k_scale[at.scale] = quantise(bytes, rotated, cache->head_dim);
    memcpy((int8_t *)cache->k + at.key, bytes, head_dim);
    cache->v_scale[at.scale] = quantise(bytes, v, cache->head_dim);
    for (size_t i = 0; i < head_dim; i++)
        ((int8_t *)cache->v)[at.value + 2 * i] = bytes[i];
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
        rotate(a->q_out, kv_query_dtype(cache->dtype), at, a->q + t * a->row_stride + h * head_dim,
               cos_sin, a->half, cache->head_dim);
    }
    for (size_t h = 0; a->slot[t] >= 0 && h < n_kv; h++) {
        const size_t from = (size_t)(t * a->row_stride) + h * head_dim;
        const struct place at = place_of(cache, a->slot[t], h);
        if (cache->dtype == DTYPE_I8) {
            store_quantised(a, at, a->k + from, a->v + from, cos_sin);
            continue;
        }
        rotate(cache->k, cache->dtype, at.key, a->k + from, cos_sin, a->half, cache->head_dim);
        store_value(cache->v, cache->dtype, at.value, a->v + from, cache->head_dim);
    }
}

void LEVEL(rope_store)(struct device *device, const struct rope_store_args *args)
{
    struct rope_store_args context = *args;
    team_run(device->team, rope_store_item, &context, args->n_tokens);
}

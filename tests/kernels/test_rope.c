/* Rotary embedding and the writing of K and V: against plain arithmetic, at every place of a
 * block, for both formats of the cache. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/math.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void angles(struct device *device)
{
    enum { TOKENS = 17, HALF = 5 };
    const float inv_freq[HALF] = {1, 0.3f, 0.01f, 1e-4f, 0};
    int32_t position[TOKENS];
    for (int t = 0; t < TOKENS; t++)
        position[t] = t * t * 8191;
    struct buffer out = buffer_make(TOKENS * 2 * HALF);
    op_rope_angles(device, &(struct rope_angles_args){.cos_sin = out.data,
                                                      .position = position,
                                                      .inv_freq = inv_freq,
                                                      .n_tokens = TOKENS,
                                                      .half = HALF,
                                                      .scale = 1.25f});
    for (int t = 0; t < TOKENS; t++)
        for (int i = 0; i < HALF; i++) {
            const float angle = (float)position[t] * inv_freq[i];
            const double c = 1.25 * cos((double)angle), s = 1.25 * sin((double)angle);
            const float *row = out.data + t * 2 * HALF;
            CHECK(fabs((double)row[i] - c) <= 3 * 0x1p-23 * fabs(c));
            CHECK(fabs((double)row[HALF + i] - s) <= 3 * 0x1p-23 * fabs(s));
        }
    buffer_check_guards(&out, "rope_angles");
    buffer_free(&out);
}

static float stored(enum dtype dtype, float x)
{
    return dtype == DTYPE_BF16 ? bf16_to_f32(bf16_from_f32(x)) : x;
}

static float read_at(const void *p, enum dtype dtype, size_t i)
{
    return dtype == DTYPE_BF16 ? bf16_to_f32(((const bf16 *)p)[i]) : ((const float *)p)[i];
}

/* Element i of head x, rotated: products and sum rounded one by one. */
static float rotated(const float *x, const float *cos_sin, int half, int i)
{
    const float *c = cos_sin, *s = cos_sin + half;
    if (i < half) {
        const float a = x[i] * c[i], b = x[half + i] * s[i];
        return a - b;
    }
    if (i < 2 * half) {
        const float a = x[i] * c[i - half], b = x[i - half] * s[i - half];
        return a + b;
    }
    return x[i];
}

struct rope_case {
    struct kv_cache cache;
    struct rope_store_args args;
    size_t n_cache;
    int32_t slot[40];
};

static float *reals(uint64_t seed, size_t n)
{
    float *p = malloc((n + 1) * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = number_at(seed, i, 0);
    return p;
}

static void *nans(enum dtype dtype, size_t n)
{
    void *p = malloc((n + 1) * dtype_bytes(dtype));
    memset(p, 0xff, n * dtype_bytes(dtype));
    return p;
}

static void check_q(const struct rope_case *c)
{
    const struct rope_store_args *a = &c->args;
    const int d = c->cache.head_dim;
    for (int t = 0; t < a->n_tokens; t++)
        for (int h = 0; h < a->n_heads; h++)
            for (int i = 0; i < d; i++) {
                const size_t head = (size_t)((t * a->n_heads + h) * d);
                const float want = rotated(a->q + t * a->row_stride + h * d,
                                           a->cos_sin + t * 2 * a->half, a->half, i);
                CHECK(read_at(a->q_out, c->cache.dtype, head + (size_t)i) ==
                      stored(c->cache.dtype, want));
            }
}

static void check_cache(const struct rope_case *c)
{
    const struct rope_store_args *a = &c->args;
    const int d = c->cache.head_dim, n_kv = c->cache.n_kv_heads, in = c->cache.block_tokens;
    size_t n_numbers = 0;
    for (size_t i = 0; i < c->n_cache; i++)
        n_numbers += !isnan(read_at(c->cache.k, c->cache.dtype, i)) +
                     !isnan(read_at(c->cache.v, c->cache.dtype, i));
    int n_stored = 0;
    for (int t = 0; t < a->n_tokens; t++)
        n_stored += a->slot[t] >= 0;
    CHECK_EQ(n_numbers, 2 * (size_t)(n_stored * n_kv * d));
    for (int t = 0; t < a->n_tokens; t++)
        for (int h = 0; a->slot[t] >= 0 && h < n_kv; h++)
            for (int i = 0; i < d; i++) {
                const int block = a->slot[t] / in, place = a->slot[t] % in;
                const size_t head = (size_t)((block * n_kv + h) * in * d);
                const size_t k_at = head + (size_t)(place * d + i);
                const size_t v_at = head + (size_t)(place / 2 * 2 * d + i * 2 + place % 2);
                const int64_t from = t * a->row_stride + h * d;
                const float *k = a->k + from, *v = a->v + from;
                const float want = rotated(k, a->cos_sin + t * 2 * a->half, a->half, i);
                CHECK(read_at(c->cache.k, c->cache.dtype, k_at) == stored(c->cache.dtype, want));
                CHECK(read_at(c->cache.v, c->cache.dtype, v_at) == stored(c->cache.dtype, v[i]));
            }
}

static void store(struct device *device, enum dtype dtype, int n_tokens, int head_dim, int half)
{
    enum { HEADS = 3, KV_HEADS = 2, BLOCK_TOKENS = 16, BLOCKS = 4 };
    const size_t n_q = (size_t)(n_tokens * HEADS * head_dim);
    const size_t stride = (size_t)((HEADS + 2 * KV_HEADS) * head_dim + 3);
    struct rope_case c = {.n_cache = (size_t)(BLOCKS * KV_HEADS * BLOCK_TOKENS * head_dim)};
    c.cache = (struct kv_cache){.k = nans(dtype, c.n_cache),
                                .v = nans(dtype, c.n_cache),
                                .dtype = dtype,
                                .n_kv_heads = KV_HEADS,
                                .head_dim = head_dim,
                                .block_tokens = BLOCK_TOKENS};
    for (int t = 0; t < n_tokens; t++)
        c.slot[t] = t % 7 == 6 ? -1 : (t * 11 + 5) % (BLOCKS * BLOCK_TOKENS);
    float *q = reals(1, (size_t)n_tokens * stride), *k = q + HEADS * head_dim;
    float *cos_sin = reals(4, (size_t)(n_tokens * 2 * half));
    c.args = (struct rope_store_args){.q_out = nans(dtype, n_q),
                                      .q = q,
                                      .k = k,
                                      .v = k + KV_HEADS * head_dim,
                                      .row_stride = (int64_t)stride,
                                      .cos_sin = cos_sin,
                                      .slot = c.slot,
                                      .cache = &c.cache,
                                      .n_tokens = n_tokens,
                                      .n_heads = HEADS,
                                      .half = half};
    op_rope_store(device, &c.args);
    check_q(&c);
    check_cache(&c);
    free(c.cache.k);
    free(c.cache.v);
    free(c.args.q_out);
    free(q);
    free(cos_sin);
}

static void store_shapes(struct device *device)
{
    static const struct {
        int head_dim, half;
    } heads[] = {{2, 1}, {16, 8}, {20, 10}, {64, 32}, {80, 16}, {128, 64}, {7, 2}};
    static const int tokens[] = {0, 1, 3, 17, 40};
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            store(device, DTYPE_BF16, tokens[t], heads[h].head_dim, heads[h].half);
            store(device, DTYPE_F32, tokens[t], heads[h].head_dim, heads[h].half);
        }
}

static void on_every_level(void (*check_level)(struct device *))
{
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, 1 + level % 3);
        if (device != NULL)
            check_level(device);
        device_close(device);
    }
}

TEST(rope_angles_are_cos_and_sin_of_the_rounded_product) { on_every_level(angles); }
TEST(rope_store_rotates_rounds_and_writes_only_its_slots) { on_every_level(store_shapes); }

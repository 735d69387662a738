/* Rotated heads and what is written to the cache have the bits of the CPU, where V lies in pairs
 * of positions there, and as K does on a GPU. */
#include "tests/kernels/levels.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 5, BLOCK_TOKENS = 16, N_BLOCKS = 2, SLOTS = N_BLOCKS * BLOCK_TOKENS };
static const int32_t slot[TOKENS] = {17, -1, 2, 31, 0};

TEST(angles_are_those_of_the_cpu)
{
    enum { HALF = 200, N = TOKENS * 2 * HALF };
    static const int32_t position[TOKENS] = {0, 1, 4095, 131071, 16777215};
    struct both both;
    both_open(&both);
    float inv_freq[HALF], want[N], got[N];
    for (int i = 0; i < HALF; i++)
        inv_freq[i] = powf(10000.0f, (float)-i / HALF);
    struct rope_angles_args args = {.cos_sin = want,
                                    .position = position,
                                    .inv_freq = inv_freq,
                                    .n_tokens = TOKENS,
                                    .half = HALF,
                                    .scale = 1.25f};
    op_rope_angles(both.cpu, &args);
    args.cos_sin = gpu_array(&both, NULL, sizeof got);
    args.position = gpu_array(&both, position, sizeof position);
    args.inv_freq = gpu_array(&both, inv_freq, sizeof inv_freq);
    op_rope_angles(both.device, &args);
    gpu_read(&both, got, args.cos_sin, sizeof got);
    for (int i = 0; i < N; i++)
        CHECK(same_number(got[i], want[i]));
    both_close(&both);
}

/* ---- rope_store ---- */

struct heads {
    int n_heads, n_kv_heads, head_dim, half, gap;
};

struct caches {
    unsigned char *k, *v;     /* full of 0xff before */
    float *k_scale, *v_scale; /* the same */
    unsigned char *q;
    size_t cache_bytes, scale_bytes, q_bytes;
};

static struct caches caches_make(const struct heads *h, enum dtype dtype)
{
    const size_t places = (size_t)SLOTS * (size_t)h->n_kv_heads;
    struct caches c = {.cache_bytes = places * (size_t)h->head_dim * dtype_bytes(dtype),
                       .scale_bytes = places * sizeof(float),
                       .q_bytes = (size_t)(TOKENS * h->n_heads * h->head_dim) *
                                  dtype_bytes(kv_query_dtype(dtype))};
    c.k = malloc(c.cache_bytes);
    c.v = malloc(c.cache_bytes);
    c.k_scale = malloc(c.scale_bytes);
    c.v_scale = malloc(c.scale_bytes);
    c.q = malloc(c.q_bytes);
    memset(c.k, 0xff, c.cache_bytes);
    memset(c.v, 0xff, c.cache_bytes);
    memset(c.k_scale, 0xff, c.scale_bytes);
    memset(c.v_scale, 0xff, c.scale_bytes);
    return c;
}

static void caches_free(struct caches *c)
{
    free(c->k);
    free(c->v);
    free(c->k_scale);
    free(c->v_scale);
    free(c->q);
}

static struct kv_cache kv_cache_of(const struct heads *h, const struct caches *c, enum dtype dtype)
{
    return (struct kv_cache){.k = c->k,
                             .v = c->v,
                             .k_scale = c->k_scale,
                             .v_scale = c->v_scale,
                             .dtype = dtype,
                             .n_kv_heads = h->n_kv_heads,
                             .head_dim = h->head_dim,
                             .block_tokens = BLOCK_TOKENS};
}

/* Number i of a place as float32: of a whole number itself. */
static float number_in(const void *array, enum dtype dtype, size_t i)
{
    return dtype == DTYPE_I8 ? ((const int8_t *)array)[i] : widened(array, dtype, i);
}

/* The CPU has no cache of F16: there its cache is F32, and rounded here. */
static void compare_caches(const struct heads *h, enum dtype dtype, enum dtype cpu_dtype,
                           const struct caches *got, const struct caches *want)
{
    const enum dtype q_dtype = kv_query_dtype(dtype);
    const size_t n_q = got->q_bytes / dtype_bytes(q_dtype), d = (size_t)h->head_dim;
    for (size_t i = 0; i < n_q; i++)
        CHECK(same_number(widened(got->q, q_dtype, i),
                          rounded(widened(want->q, kv_query_dtype(cpu_dtype), i), q_dtype)));
    for (size_t place = 0; place < (size_t)SLOTS * (size_t)h->n_kv_heads; place++)
        for (size_t i = 0; i < d; i++) {
            const size_t in_pairs = place / 2 * 2 * d + 2 * i + place % 2;
            CHECK(same_number(number_in(got->k, dtype, place * d + i),
                              rounded(number_in(want->k, cpu_dtype, place * d + i), dtype)));
            CHECK(same_number(number_in(got->v, dtype, place * d + i),
                              rounded(number_in(want->v, cpu_dtype, in_pairs), dtype)));
        }
    for (size_t place = 0; dtype == DTYPE_I8 && place < got->scale_bytes / sizeof(float); place++) {
        CHECK(same_number(got->k_scale[place], want->k_scale[place]));
        CHECK(same_number(got->v_scale[place], want->v_scale[place]));
    }
}

static void run_on_gpu(struct both *both, const struct heads *h, enum dtype dtype,
                       struct rope_store_args args, size_t row_bytes, const float *rows,
                       struct caches *got)
{
    struct kv_cache cache = kv_cache_of(h, got, dtype);
    float *on_gpu = gpu_array(both, rows, row_bytes);
    args.q = on_gpu + (args.q - rows);
    args.k = on_gpu + (args.k - rows);
    args.v = on_gpu + (args.v - rows);
    args.cos_sin =
        gpu_array(both, args.cos_sin, TOKENS * 2 * (size_t)args.half * sizeof *args.cos_sin);
    args.slot = gpu_array(both, slot, sizeof slot);
    args.q_out = gpu_array(both, NULL, got->q_bytes);
    cache.k = gpu_array(both, NULL, got->cache_bytes);
    cache.v = gpu_array(both, NULL, got->cache_bytes);
    cache.k_scale = gpu_array(both, NULL, got->scale_bytes);
    cache.v_scale = gpu_array(both, NULL, got->scale_bytes);
    args.cache = &cache;
    op_rope_store(both->device, &args);
    gpu_read(both, got->q, args.q_out, got->q_bytes);
    gpu_read(both, got->k, cache.k, got->cache_bytes);
    gpu_read(both, got->v, cache.v, got->cache_bytes);
    gpu_read(both, got->k_scale, cache.k_scale, got->scale_bytes);
    gpu_read(both, got->v_scale, cache.v_scale, got->scale_bytes);
}

static void check_rope_store(const struct heads *h, enum dtype dtype)
{
    struct both both;
    both_open(&both);
    const enum dtype cpu_dtype = dtype == DTYPE_F16 ? DTYPE_F32 : dtype;
    const int n_q = h->n_heads * h->head_dim, n_kv = h->n_kv_heads * h->head_dim;
    const int stride = n_q + 2 * n_kv + h->gap;
    const size_t n = TOKENS * (size_t)stride, n_angles = TOKENS * 2 * (size_t)h->half;
    float *rows = malloc(n * sizeof *rows), *angles = malloc(n_angles * sizeof *angles);
    for (size_t i = 0; i < n; i++)
        rows[i] = number_at(31, i, 0);
    for (size_t i = 0; i < n_angles; i++)
        angles[i] = number_at(32, i, 0);
    memset(rows + n_q + n_kv, 0, (size_t)h->head_dim * sizeof *rows); /* a value of zeros */
    rows[2 * stride + n_q] = INFINITY;
    rows[3 * stride + n_q + n_kv] = NAN;

    struct caches want = caches_make(h, cpu_dtype), got = caches_make(h, dtype);
    const struct kv_cache cache = kv_cache_of(h, &want, cpu_dtype);
    struct rope_store_args args = {.q_out = want.q,
                                   .q = rows,
                                   .k = rows + n_q,
                                   .v = rows + n_q + n_kv,
                                   .row_stride = stride,
                                   .cos_sin = angles,
                                   .slot = slot,
                                   .cache = &cache,
                                   .n_tokens = TOKENS,
                                   .n_heads = h->n_heads,
                                   .half = h->half};
    op_rope_store(both.cpu, &args);
    run_on_gpu(&both, h, dtype, args, n * sizeof *rows, rows, &got);
    compare_caches(h, dtype, cpu_dtype, &got, &want);
    caches_free(&want);
    caches_free(&got);
    free(rows);
    free(angles);
    both_close(&both);
}

TEST(heads_are_rotated_and_stored_as_on_the_cpu)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_I8};
    static const struct heads shapes[] = {
        {.n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .half = 32},
        {.n_heads = 9, .n_kv_heads = 3, .head_dim = 80, .half = 16, .gap = 4},
        {.n_heads = 3, .n_kv_heads = 1, .head_dim = 20, .half = 10, .gap = 1},
        {.n_heads = 1, .n_kv_heads = 1, .head_dim = 256, .half = 128, .gap = 3},
        {.n_heads = 1, .n_kv_heads = 1, .head_dim = 7, .half = 3}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int d = 0; d < 4; d++)
            check_rope_store(&shapes[s], dtypes[d]);
}

/* ---- copies ---- */

TEST(copied_blocks_are_whole_and_others_stay)
{
    enum { BLOCKS = 5, KV_HEADS = 3, DIM = 20, PLACES = KV_HEADS * BLOCK_TOKENS };
    enum { BYTES = BLOCKS * PLACES * DIM };
    static const int32_t pair[2][2] = {{4, 1}, {0, 2}};
    static int8_t cpu_k[BYTES], cpu_v[BYTES], got[BYTES];
    static float cpu_scale[2][BLOCKS * PLACES], got_scale[BLOCKS * PLACES];
    struct both both;
    both_open(&both);
    for (int i = 0; i < BYTES; i++) {
        cpu_k[i] = (int8_t)(i * 7 % 251);
        cpu_v[i] = (int8_t)(i * 11 % 241);
    }
    for (int i = 0; i < 2 * BLOCKS * PLACES; i++)
        cpu_scale[i % 2][i / 2] = number_at(41, (uint64_t)i, 0);
    struct kv_cache on_cpu = {.k = cpu_k,
                              .v = cpu_v,
                              .k_scale = cpu_scale[0],
                              .v_scale = cpu_scale[1],
                              .dtype = DTYPE_I8,
                              .n_kv_heads = KV_HEADS,
                              .head_dim = DIM,
                              .block_tokens = BLOCK_TOKENS};
    struct kv_cache on_gpu = on_cpu;
    on_gpu.k = gpu_array(&both, cpu_k, sizeof cpu_k);
    on_gpu.v = gpu_array(&both, cpu_v, sizeof cpu_v);
    on_gpu.k_scale = gpu_array(&both, cpu_scale[0], sizeof cpu_scale[0]);
    on_gpu.v_scale = gpu_array(&both, cpu_scale[1], sizeof cpu_scale[1]);
    struct copy_blocks_args args = {.cache = &on_cpu, .pair = pair[0], .n_pairs = 2};
    op_copy_blocks(both.cpu, &args);
    args.cache = &on_gpu;
    args.pair = gpu_array(&both, pair, sizeof pair);
    op_copy_blocks(both.device, &args);
    gpu_read(&both, got, on_gpu.k, sizeof got);
    CHECK(memcmp(got, cpu_k, sizeof got) == 0);
    gpu_read(&both, got, on_gpu.v, sizeof got);
    CHECK(memcmp(got, cpu_v, sizeof got) == 0);
    gpu_read(&both, got_scale, on_gpu.k_scale, sizeof got_scale);
    CHECK(memcmp(got_scale, cpu_scale[0], sizeof got_scale) == 0);
    gpu_read(&both, got_scale, on_gpu.v_scale, sizeof got_scale);
    CHECK(memcmp(got_scale, cpu_scale[1], sizeof got_scale) == 0);
    both_close(&both);
}

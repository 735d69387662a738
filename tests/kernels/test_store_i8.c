/* Keys and values as whole numbers with a scale: what rope_store writes for a cache of I8, every
 * byte of it, at every place of a block. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KV_HEADS = 2, BLOCK_TOKENS = 16, BLOCKS = 3, POSITIONS = BLOCKS * KV_HEADS * BLOCK_TOKENS };
enum { MAX_TOKENS = 40 };

struct image { /* a cache, and what is to be in it */
    int8_t *k, *v, *want_k, *want_v;
    float k_scale[POSITIONS], v_scale[POSITIONS], want_k_scale[POSITIONS], want_v_scale[POSITIONS];
    int head_dim;
};

static struct image *image_make(int head_dim)
{
    struct image *m = malloc(sizeof *m);
    memset(m, 0xa5, sizeof *m); /* the scales too */
    const size_t n = (size_t)(POSITIONS * head_dim);
    int8_t **numbers[] = {&m->k, &m->v, &m->want_k, &m->want_v};
    for (int i = 0; i < 4; i++) {
        *numbers[i] = malloc(n);
        memset(*numbers[i], 0xa5, n);
    }
    m->head_dim = head_dim;
    return m;
}

static void image_check_and_free(struct image *m)
{
    const size_t n = (size_t)(POSITIONS * m->head_dim);
    CHECK(memcmp(m->k, m->want_k, n) == 0);
    CHECK(memcmp(m->v, m->want_v, n) == 0);
    CHECK(memcmp(m->k_scale, m->want_k_scale, sizeof m->k_scale) == 0);
    CHECK(memcmp(m->v_scale, m->want_v_scale, sizeof m->v_scale) == 0);
    free(m->k);
    free(m->v);
    free(m->want_k);
    free(m->want_v);
    free(m);
}

/* By docs/numerics.md; near the numbers themselves to half a step. */
static float quantised(int8_t *q, const float *x, int n)
{
    float largest = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        finite = finite && fabsf(x[i]) < INFINITY;
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    const float scale = finite ? largest / 127.0f : NAN;
    for (int i = 0; i < n; i++) {
        q[i] = scale > 0 ? (int8_t)rintf(x[i] / scale) : 0;
        if (finite && scale > 0)
            CHECK(fabs((double)q[i] * (double)scale - (double)x[i]) <= 0.5001 * (double)scale);
    }
    return scale;
}

static void want_position(struct image *m, int slot, int head, const float *k, const float *v)
{
    const int d = m->head_dim, block = slot / BLOCK_TOKENS, in_block = slot % BLOCK_TOKENS;
    const int first = (block * KV_HEADS + head) * BLOCK_TOKENS;
    int8_t q[MAX_HEAD_DIM];
    m->want_k_scale[first + in_block] = quantised(q, k, d);
    for (int i = 0; i < d; i++)
        m->want_k[(first + in_block) * d + i] = q[i];
    m->want_v_scale[first + in_block] = quantised(q, v, d);
    for (int i = 0; i < d; i++)
        m->want_v[first * d + in_block / 2 * 2 * d + 2 * i + in_block % 2] = q[i];
}

/* Element i of a head, rotated: products and sum rounded one by one. */
static float rotated(const float *x, const float *cos_sin, int half, int i)
{
    const int j = i % half;
    const float c = cos_sin[j], s = cos_sin[half + j];
    if (i >= 2 * half)
        return x[i];
    const float a = x[i] * c, b = i < half ? x[half + j] * s : x[j] * s;
    return i < half ? a - b : a + b;
}

struct store_case {
    int n_tokens, head_dim, half;
    float *k, *v, *cos_sin; /* as in struct rope_store_args */
    int32_t slot[MAX_TOKENS];
};

static void run(struct device *device, const struct store_case *c)
{
    const size_t n = (size_t)(c->n_tokens * c->head_dim);
    bf16 *q_out = malloc(n * sizeof *q_out + 1);
    struct image *m = image_make(c->head_dim);
    const struct kv_cache cache = {.k = m->k,
                                   .v = m->v,
                                   .k_scale = m->k_scale,
                                   .v_scale = m->v_scale,
                                   .dtype = DTYPE_I8,
                                   .n_kv_heads = KV_HEADS,
                                   .head_dim = c->head_dim,
                                   .block_tokens = BLOCK_TOKENS};
    op_rope_store(device, &(struct rope_store_args){.q_out = q_out,
                                                    .q = c->k, /* the first head of each row */
                                                    .k = c->k,
                                                    .v = c->v,
                                                    .row_stride = (int64_t)KV_HEADS * c->head_dim,
                                                    .cos_sin = c->cos_sin,
                                                    .slot = c->slot,
                                                    .cache = &cache,
                                                    .n_tokens = c->n_tokens,
                                                    .n_heads = 1,
                                                    .half = c->half});
    for (int t = 0; t < c->n_tokens; t++) {
        const float *cos_sin = c->cos_sin + t * 2 * c->half;
        for (int h = 0; h < KV_HEADS; h++) {
            const size_t at = (size_t)((t * KV_HEADS + h) * c->head_dim);
            float k[MAX_HEAD_DIM];
            for (int i = 0; i < c->head_dim; i++)
                k[i] = rotated(c->k + at, cos_sin, c->half, i);
            want_position(m, c->slot[t], h, k, c->v + at);
        }
        for (int i = 0; i < c->head_dim; i++) {
            const float *q = c->k + (size_t)(t * KV_HEADS * c->head_dim);
            CHECK_EQ(q_out[t * c->head_dim + i].bits,
                     bf16_from_f32(rotated(q, cos_sin, c->half, i)).bits);
        }
    }
    image_check_and_free(m);
    free(q_out);
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

static float *reals(uint64_t seed, int n)
{
    float *p = malloc(((size_t)n + 1) * sizeof *p);
    for (int i = 0; i < n; i++)
        p[i] = number_at(seed, (uint64_t)i, 0);
    return p;
}

static void shapes(struct device *device)
{
    static const struct {
        int head_dim, half;
    } heads[] = {{2, 1}, {7, 2}, {16, 8}, {20, 10}, {64, 32}, {80, 16}, {128, 64}, {512, 256}};
    static const int tokens[] = {0, 1, 3, 17, MAX_TOKENS};
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            const int n = tokens[t] * KV_HEADS * heads[h].head_dim;
            struct store_case c = {.n_tokens = tokens[t],
                                   .head_dim = heads[h].head_dim,
                                   .half = heads[h].half,
                                   .k = reals(2, n),
                                   .v = reals(3, n),
                                   .cos_sin = reals(4, tokens[t] * 2 * heads[h].half)};
            for (int i = 0; i < tokens[t]; i++)
                c.slot[i] = (i * 11 + 5) % (BLOCKS * BLOCK_TOKENS);
            run(device, &c);
            free(c.k);
            free(c.v);
            free(c.cos_sin);
        }
}

TEST(rope_store_quantises_each_position_and_head_and_writes_only_its_slots)
{
    on_every_level(shapes);
}

/* Without rotation, so that the numbers are those of keys and values both. */
static void run_plain(struct device *device, const float *x, int head_dim)
{
    float both[KV_HEADS * MAX_HEAD_DIM];
    for (int h = 0; h < KV_HEADS; h++)
        memcpy(both + h * head_dim, x, (size_t)head_dim * sizeof *x);
    float cos_sin[] = {1, 0};
    run(device, &(struct store_case){.n_tokens = 1,
                                     .head_dim = head_dim,
                                     .half = 1,
                                     .k = both,
                                     .v = both,
                                     .cos_sin = cos_sin,
                                     .slot = {7}});
}

static void extremes(struct device *device)
{
    static const float heads[][6] = {
        {127, 0.5f, -0.5f, 1.5f, -2.5f, 2.5f},   /* ties go to the even number */
        {-127, 3.5f, -3.5f, 126.5f, -126.5f, 0}, /* the largest is negative */
        {0, -0.0f, 0, -0.0f, 0, 0},              /* no number but 0 */
        {0x1p-130f, -0x1p-140f, 0, 0, 0, 0},     /* denormals count as 0 */
        {0x1p-120f, 0x1p-121f, 0, 0, 0, 0},      /* so does their scale */
        {0x1p-119f, -0x1p-120f, 0x1p-126f, 0, 0, 0},
        {FLT_MAX, -FLT_MAX, FLT_MAX / 2, 1, 0, 0}, /* not near infinity */
        {1e-3f, 1e3f, -1e3f, 500, 0, 0},
        {1.9999999f, 0.3f, -1.9999999f, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        run_plain(device, heads[i], 6);
}

TEST(ties_zeros_denormals_and_the_largest_numbers_are_quantised_as_written)
{
    on_every_level(extremes);
}

static void not_finite(struct device *device)
{
    enum { DIM = 37, SLOT = 3 };
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (int at = 0; at < DIM; at += 4) {
            float x[DIM], scales[2][BLOCK_TOKENS] = {{0}};
            for (int i = 0; i < DIM; i++)
                x[i] = i == at ? bad[b] : (float)i;
            int8_t k[BLOCK_TOKENS * DIM], v[BLOCK_TOKENS * DIM];
            bf16 q[DIM];
            const struct kv_cache cache = {.k = k,
                                           .v = v,
                                           .k_scale = scales[0],
                                           .v_scale = scales[1],
                                           .dtype = DTYPE_I8,
                                           .n_kv_heads = 1,
                                           .head_dim = DIM,
                                           .block_tokens = BLOCK_TOKENS};
            op_rope_store(device, &(struct rope_store_args){.q_out = q,
                                                            .q = x,
                                                            .k = x,
                                                            .v = x,
                                                            .row_stride = DIM,
                                                            .cos_sin = (const float[]){1, 0},
                                                            .slot = &(const int32_t){SLOT},
                                                            .cache = &cache,
                                                            .n_tokens = 1,
                                                            .n_heads = 1,
                                                            .half = 1});
            for (int i = 0; i < BLOCK_TOKENS; i++)
                CHECK(!isnan(scales[0][i]) == (i != SLOT) && !isnan(scales[1][i]) == (i != SLOT));
        }
}

TEST(a_number_that_is_not_finite_gives_a_scale_that_is_nan) { on_every_level(not_finite); }

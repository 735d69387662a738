/* kernels/cpu/matmul.inc.h: matmul over 16 float32 lanes, for every level with vectors.
 *
 * A lane is an output, so 16 rows of weights are transposed on the way in: a register then holds
 * the same pair of K of 16 outputs, its even and odd elements are a shift and a mask away, and an
 * activation is one number for all lanes. No lane is wasted on a token that is not there.
 * Up to FEW_TOKENS tokens have a loop of their own, few_matmul.inc.h.
 *
 * Both sides are widened to float32 first, k_step elements of K at a time:
 *
 *     weights [K blocks][even, odd][16][PANEL]           16 KB, in L1
 *     x       [groups][K blocks][even, odd][16][tokens]  from L2
 *
 * The weights of a panel are read from the checkpoint once for all tokens of the item; x is widened
 * once for all its outputs. What is left is a loop of loads and FMA.
 *
 * A level includes its vec_*.inc.h first, and then says:
 *     LANE_VECS      vectors of outputs in the inner loop
 *     LANE_TOKENS    tokens in it; LANE_VECS * LANE_TOKENS chains live in registers
 *     load_f16(p)    16 binary16 as float32
 *     vec_load_transposed(m, row, at)    m[i] = the i-th float32 from row[0] + at, row[1] + at, ...
 */
#pragma once
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/matmul_driver.h"
#include "kernels/device.h"

#include <string.h>

enum {
    LANES = 16,
    PAIRS = K_BLOCK / 2,
    STEP_BLOCKS = 4, /* of K_BLOCK in a step of K */
    FEW_TOKENS = 4,  /* few_matmul.inc.h: each count is compiled on its own */
};

struct wide_weights { /* one panel, one block of K */
    float at[2][PAIRS][PANEL];
};

struct matmul_scratch {
    struct wide_weights weights[STEP_BLOCKS];
    float x[ITEM_TOKENS * STEP_BLOCKS * K_BLOCK];
};
_Static_assert(sizeof(struct matmul_scratch) <= KERNEL_SCRATCH_BYTES, "scratch is too small");

/* The rows of 16 outputs. Behind the last output it goes on with that one: their sums are never
 * stored, and nothing is read that is not ours. */
struct lane_rows {
    const char *row[LANES];
    size_t element_bytes;
};

static inline struct lane_rows lane_rows(const void *weight, enum dtype dtype, int64_t row_stride,
                                         int n_rows)
{
    struct lane_rows rows = {.element_bytes = dtype_bytes(dtype)};
    for (int i = 0; i < LANES; i++) {
        const int64_t row = min_int(i, n_rows - 1);
        rows.row[i] = (const char *)weight + row * row_stride * (int64_t)rows.element_bytes;
    }
    return rows;
}

static inline struct vec load_wide(const char *p, enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BF16:
        return vec_load_bf16((const bf16 *)(const void *)p);
    case DTYPE_F16:
        return load_f16(p);
    default:
        return vec_load(p);
    }
}

/* K_BLOCK elements of 16 rows as they lie at row[], all of them readable. */
static inline void widen_block(struct wide_weights *to, int lane, const struct lane_rows *rows,
                               int k, enum dtype dtype, bool as_pairs)
{
    struct vec m[LANES];
    if (as_pairs) {
        vec_load_transposed(m, rows->row, (size_t)k * sizeof(bf16));
        for (int i = 0; i < PAIRS; i++) {
            vec_store(&to->at[0][i][lane], vec_even(m[i]));
            vec_store(&to->at[1][i][lane], vec_odd(m[i]));
        }
        return;
    }
    for (int half = 0; half < K_BLOCK; half += LANES) {
        for (int i = 0; i < LANES; i++)
            m[i] = load_wide(rows->row[i] + (size_t)(k + half) * rows->element_bytes, dtype);
        vec_transpose(m);
        for (int i = 0; i < LANES; i++)
            vec_store(&to->at[i % 2][(half + i) / 2][lane], m[i]);
    }
}

/* The last block of a leaf, on its own: n elements of 16 rows, then zeros. */
struct tail {
    float element[LANES][K_BLOCK]; /* room for the widest format */
};

static inline struct lane_rows copy_tail(struct tail *to, const struct lane_rows *rows, int k,
                                         int n)
{
    struct lane_rows copied = {.element_bytes = rows->element_bytes};
    memset(to, 0, sizeof *to);
    for (int i = 0; i < LANES; i++) {
        memcpy(to->element[i], rows->row[i] + (size_t)k * rows->element_bytes,
               (size_t)n * rows->element_bytes);
        copied.row[i] = (const char *)to->element[i];
    }
    return copied;
}

/* How many bytes behind an element of these 16 rows the one lies that is wanted when they are done:
 * in the next 16 rows, or in the first ones further on. It is fetched into L2 when this one is
 * used, so every block of K is on its way for as long as a run of rows takes. 0: there is none. */
static inline ptrdiff_t fetch_distance(const struct matmul_block *block, int row)
{
    int64_t elements = 0;
    if (row + LANES < block->n_rows)
        elements = LANES * block->row_stride;
    else if (block->n_k < block->n_k_left)
        elements = block->n_k - row * block->row_stride;
    return (ptrdiff_t)elements * (ptrdiff_t)dtype_bytes(block->weight_dtype);
}

static inline void fetch_ahead(const struct lane_rows *rows, ptrdiff_t at)
{
    for (int i = 0; i < LANES; i++)
        __builtin_prefetch(rows->row[i] + at, 0, 2);
}

static inline void widen_lanes(struct wide_weights *to, const struct matmul_block *block,
                               int first_row, int lane, bool as_pairs)
{
    const int row = min_int(first_row + lane, block->n_rows - 1);
    const size_t row_bytes = (size_t)block->row_stride * dtype_bytes(block->weight_dtype);
    const struct lane_rows rows =
        lane_rows((const char *)block->weight + (size_t)row * row_bytes, block->weight_dtype,
                  block->row_stride, block->n_rows - row);
    const ptrdiff_t distance = fetch_distance(block, first_row + lane);
    for (int k = 0; k < block->n_k; k += K_BLOCK, to++) {
        for (int line = 0; distance != 0 && line < K_BLOCK * (int)rows.element_bytes; line += 64)
            fetch_ahead(&rows, distance + k * (ptrdiff_t)rows.element_bytes + line);
        if (block->n_k - k >= K_BLOCK) {
            widen_block(to, lane, &rows, k, block->weight_dtype, as_pairs);
        } else {
            struct tail tail;
            const struct lane_rows copied = copy_tail(&tail, &rows, k, block->n_k - k);
            widen_block(to, lane, &copied, 0, block->weight_dtype, as_pairs);
        }
    }
}

static inline void widen_panel(struct wide_weights *to, const struct matmul_block *block,
                               int first_row)
{
    /* Pairs of BF16 cost half the transposition; as numbers they are the same. */
    if (block->weight_dtype == DTYPE_BF16)
        for (int lane = 0; lane < PANEL; lane += LANES)
            widen_lanes(to, block, first_row, lane, true);
    else
        for (int lane = 0; lane < PANEL; lane += LANES)
            widen_lanes(to, block, first_row, lane, false);
}

static inline int step_blocks(const struct matmul_block *block)
{
    return (block->n_k + K_BLOCK - 1) / K_BLOCK;
}

/* The numbers of one group lie together, as many as it has tokens. */
static inline float *x_group(struct matmul_scratch *scratch, const struct matmul_block *block,
                             int group)
{
    return scratch->x + (size_t)group * TOKEN_GROUP * (size_t)step_blocks(block) * K_BLOCK;
}

/* Packed x has [pairs][tokens][2]: a block of K is 16 * tokens pairs in a row. */
static inline void widen_group(float *to, const bf16 *pairs, int tokens, int k_padded)
{
    for (int k = 0; k < k_padded; k += K_BLOCK, to += tokens * K_BLOCK)
        for (int i = 0; i < PAIRS * tokens; i += LANES, pairs += 2 * LANES) {
            const struct vec both = vec_load(pairs);
            vec_store(to + i, vec_even(both));
            vec_store(to + PAIRS * tokens + i, vec_odd(both));
        }
}

static inline void widen_x_f32(float *to, const struct matmul_block *block, int group)
{
    const int tokens = block_group_tokens(block, group);
    for (int t = 0; t < tokens; t++) {
        const float *row = block_row(block, group * TOKEN_GROUP + t);
        for (int k = 0; k < step_blocks(block) * K_BLOCK; k++) {
            float *b = to + k / K_BLOCK * K_BLOCK * tokens;
            const int pair = k % K_BLOCK / 2;
            b[(k % 2 * PAIRS + pair) * tokens + t] = k < block->n_k ? row[k] : 0;
        }
    }
}

static inline void widen_x(float *to, const struct matmul_block *block, int group)
{
    if (block->x_dtype == DTYPE_BF16)
        widen_group(to, block_group(block, group), block_group_tokens(block, group),
                    step_blocks(block) * K_BLOCK);
    else
        widen_x_f32(to, block, group);
}

/* c[t, 0 .. LANE_VECS * 16) += x[t] * w over n_blocks of K, for n_tokens tokens, a constant. */
static inline __attribute__((always_inline)) void multiply(float *c, size_t c_stride,
                                                           const float *w, const float *x,
                                                           size_t x_tokens, int n_blocks,
                                                           const int n_tokens)
{
    for (int b = 0; b < n_blocks; b++) {
        struct vec sum[2][LANE_TOKENS][LANE_VECS];
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; odd++) {
#pragma GCC unroll 8
            for (int t = 0; t < n_tokens; t++)
                for (int v = 0; v < LANE_VECS; v++)
                    sum[odd][t][v] = vec_set(0);
#pragma GCC unroll 2
            for (int i = 0; i < PAIRS; i++, w += PANEL, x += x_tokens) {
                struct vec weight[LANE_VECS];
                for (int v = 0; v < LANE_VECS; v++)
                    weight[v] = vec_load(w + v * LANES);
#pragma GCC unroll 8
                for (int t = 0; t < n_tokens; t++) {
                    const struct vec one = vec_set(x[t]);
                    for (int v = 0; v < LANE_VECS; v++)
                        sum[odd][t][v] = vec_fma(one, weight[v], sum[odd][t][v]);
                }
            }
        }
#pragma GCC unroll 8
        for (int t = 0; t < n_tokens; t++)
            for (int v = 0; v < LANE_VECS; v++) {
                float *at = c + (size_t)t * c_stride + v * LANES;
                vec_store(at, vec_add(vec_load(at), vec_add(sum[0][t][v], sum[1][t][v])));
            }
    }
}

static inline void multiply_tokens(float *c, size_t c_stride, const float *w, const float *x,
                                   size_t x_tokens, int n_blocks, int n_tokens)
{
    _Static_assert(LANE_TOKENS == 6 || LANE_TOKENS == 8, "the switch below");
    switch (n_tokens) {
    case 1:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 1);
        break;
    case 2:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 2);
        break;
    case 3:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 3);
        break;
    case 4:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 4);
        break;
    case 5:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 5);
        break;
    case 6:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, 6);
        break;
    case 7:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, LANE_TOKENS < 7 ? LANE_TOKENS : 7);
        break;
    default:
        multiply(c, c_stride, w, x, x_tokens, n_blocks, LANE_TOKENS);
    }
}

/* One panel of outputs, all tokens of a group, split into equal runs of at most LANE_TOKENS. */
static inline void multiply_group(float *c, size_t c_stride, const struct wide_weights *weights,
                                  const float *x, int tokens, int n_blocks)
{
    int left = (tokens + LANE_TOKENS - 1) / LANE_TOKENS; /* runs */
    for (int t = 0, n; t < tokens; t += n, left--) {
        n = (tokens - t + left - 1) / left;
        for (int lane = 0; lane < PANEL; lane += LANE_VECS * LANES)
            multiply_tokens(c + (size_t)t * c_stride + lane, c_stride, &weights->at[0][0][lane],
                            x + t, (size_t)tokens, n_blocks, n);
    }
}

static void accumulate(const struct matmul_block *block)
{
    struct matmul_scratch *scratch = block->scratch;
    const int n_blocks = step_blocks(block);
    const int n_groups = (block->n_tokens + TOKEN_GROUP - 1) / TOKEN_GROUP;
    const size_t c_stride = (size_t)round_up_int(block->n_rows, PANEL);
    for (int group = 0; group < n_groups; group++)
        widen_x(x_group(scratch, block, group), block, group);

    for (int row = 0; row < block->n_rows; row += PANEL) {
        widen_panel(scratch->weights, block, row);
        for (int group = 0; group < n_groups; group++)
            multiply_group(block->c + (size_t)group * TOKEN_GROUP * c_stride + row, c_stride,
                           scratch->weights, x_group(scratch, block, group),
                           block_group_tokens(block, group), n_blocks);
    }
}

#include "kernels/cpu/few_matmul.inc.h"

void LEVEL(matmul)(struct device *device, const struct matmul_args *args)
{
    static const struct matmul_kernel many = {
        .accumulate = accumulate,
        .store = matmul_store_rows,
        .k_step = STEP_BLOCKS * K_BLOCK,
        .item_tokens = 256,
        .unit_rows = ITEM_ROWS,
        .c_bytes = 512 << 10,
    };
    if (!few_matmul(device, args))
        matmul_drive(device, args, &many);
}

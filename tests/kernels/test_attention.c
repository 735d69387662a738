/* Attention of every level: against float64, against the written order, and against answers that
 * are known exactly. */
#include "kernels/cpu/cpu_ops.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static const struct attention_shape shapes[] = {
    /* one token, the smallest of everything */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 1,
     .n_kv_heads = 1,
     .head_dim = 2,
     .block_tokens = 16,
     .n_sequences = 1,
     .n_new = {1}},
    /* decoding beside prompts, groups of 2, odd lengths, one sequence without new tokens */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 16,
     .block_tokens = 16,
     .n_sequences = 5,
     .sequence = {0, 1, 2, 3, 4},
     .n_computed = {0, 15, 31, 7, 300},
     .n_new = {33, 1, 2, 0, 1}},
    /* a group of 7, a head_dim that is no multiple of 16 or 32 */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 14,
     .n_kv_heads = 2,
     .head_dim = 20,
     .block_tokens = 32,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {250, 255},
     .n_new = {17, 1}},
    /* several chunks, 80 elements: leaves of the output that need padding */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 6,
     .n_kv_heads = 3,
     .head_dim = 80,
     .block_tokens = 64,
     .n_sequences = 1,
     .n_computed = {500},
     .n_new = {20}},
    {.dtype = DTYPE_F32,
     .out_dtype = DTYPE_F32,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 20,
     .block_tokens = 16,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 511, 256},
     .n_new = {40, 3, 1}},
    {.dtype = DTYPE_F32,
     .out_dtype = DTYPE_F32,
     .n_heads = 2,
     .n_kv_heads = 2,
     .head_dim = 64,
     .block_tokens = 256,
     .n_sequences = 1,
     .n_new = {257}},
    /* sliding windows: within a chunk, over an edge, with whole chunks behind it */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 32,
     .block_tokens = 16,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 250, 700},
     .n_new = {20, 20, 5},
     .window = 7},
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_F32,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 64,
     .block_tokens = 128,
     .n_sequences = 1,
     .n_computed = {400},
     .n_new = {200},
     .window = 256},
    /* a group larger than the rows of a tile, all on one KV head */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 40,
     .n_kv_heads = 1,
     .head_dim = 128,
     .block_tokens = 32,
     .n_sequences = 1,
     .n_computed = {30},
     .n_new = {5}},
    /* single tokens, where the cache is read in place: from one position to four chunks, group of 4
     * and of 7, windows that begin anywhere */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 8,
     .n_kv_heads = 2,
     .head_dim = 64,
     .block_tokens = 32,
     .block_step = 5,
     .n_sequences = 5,
     .sequence = {0, 1, 2, 3, 4},
     .n_computed = {0, 31, 300, 777, 1023},
     .n_new = {1, 1, 1, 1, 1}},
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_F32,
     .n_heads = 14,
     .n_kv_heads = 2,
     .head_dim = 32,
     .block_tokens = 64,
     .n_sequences = 4,
     .sequence = {0, 1, 2, 3},
     .n_computed = {50, 300, 511, 900},
     .n_new = {1, 1, 1, 1},
     .window = 301},
    /* capped scores, packed and in place */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_F32,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 64,
     .block_tokens = 32,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 600, 270},
     .n_new = {20, 1, 1},
     .softcap = 1.5f},
    {.dtype = DTYPE_F32,
     .out_dtype = DTYPE_F32,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 20,
     .block_tokens = 16,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {250, 40},
     .n_new = {10, 1},
     .window = 30,
     .softcap = 50},
    /* whole numbers with scales: the smallest head, odd ones, wide ones, groups, windows, a cap */
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_BF16,
     .n_heads = 1,
     .n_kv_heads = 1,
     .head_dim = 1,
     .block_tokens = 16,
     .n_sequences = 1,
     .n_new = {3}},
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_BF16,
     .n_heads = 6,
     .n_kv_heads = 2,
     .head_dim = 20,
     .block_tokens = 16,
     .block_step = 5,
     .n_sequences = 4,
     .sequence = {0, 1, 2, 3},
     .n_computed = {0, 255, 31, 530},
     .n_new = {40, 3, 1, 1}},
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_F32,
     .n_heads = 14,
     .n_kv_heads = 2,
     .head_dim = 64,
     .block_tokens = 32,
     .n_sequences = 5,
     .sequence = {0, 1, 2, 3, 4},
     .n_computed = {0, 31, 300, 777, 250},
     .n_new = {1, 1, 1, 1, 12}},
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_BF16,
     .n_heads = 3,
     .n_kv_heads = 3,
     .head_dim = 80,
     .block_tokens = 64,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {240, 700, 90},
     .n_new = {33, 1, 1},
     .window = 67,
     .softcap = 2},
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_BF16,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 128,
     .block_tokens = 128,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {300, 5},
     .n_new = {1, 20}},
    {.dtype = DTYPE_I8,
     .out_dtype = DTYPE_BF16,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = MAX_HEAD_DIM,
     .block_tokens = 16,
     .n_sequences = 1,
     .n_computed = {255},
     .n_new = {3}},
    /* the widest head */
    {.dtype = DTYPE_BF16,
     .out_dtype = DTYPE_BF16,
     .n_heads = 3,
     .n_kv_heads = 1,
     .head_dim = MAX_HEAD_DIM,
     .block_tokens = 16,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {255, 0},
     .n_new = {3, 50}},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

TEST(attention_is_near_float64_in_the_written_order_and_equal_on_all_levels)
{
    for (int shape = 0; shape < N_SHAPES; shape++) {
        struct attention_case *first = case_make(&shapes[shape]);
        struct device *scalar = level_open(0, 1);
        case_run(first, scalar);
        for (int r = 0; r < first->n_rows; r += SANITIZED ? 11 : r < 40 ? 1 : 13)
            for (int h = 0; h < first->shape.n_heads; h += h < 4 ? 1 : 3)
                case_check_row(first, "scalar", shape, r, h);
        device_close(scalar);
        for (int level = 1; level < n_cpu_levels; level++) {
            struct device *device = level_open(level, 1);
            if (device == NULL)
                continue;
            struct attention_case *c = case_make(&shapes[shape]);
            case_run(c, device);
            case_check_same_rows(cpu_levels[level].ops.name, first, c);
            case_free(c);
            device_close(device);
        }
        case_free(first);
    }
}

/* Runs `shape` on every level with so many threads and calls check(). */
static void on_every_level(const struct attention_shape *shape, int n_threads,
                           void (*prepare)(struct attention_case *),
                           void (*check_case)(const struct attention_case *))
{
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, n_threads);
        if (device == NULL)
            continue;
        struct attention_case *c = case_make(shape);
        if (prepare)
            prepare(c);
        case_run(c, device);
        check_case(c);
        case_free(c);
        device_close(device);
    }
}

/* ---- answers that are known ---- */

enum { KNOWN_POSITIONS = 600, KNOWN_DIM = 24 };
static const struct attention_shape known = {.dtype = DTYPE_BF16,
                                             .out_dtype = DTYPE_F32,
                                             .n_heads = 4,
                                             .n_kv_heads = 2,
                                             .head_dim = KNOWN_DIM,
                                             .block_tokens = 16,
                                             .block_step = 7,
                                             .n_sequences = 1,
                                             .n_computed = {KNOWN_POSITIONS - 70},
                                             .n_new = {70},
                                             .whole = true};

static float value_of(int position, int kv_head, int i)
{
    return whole_at(5, (uint64_t)position, (uint64_t)(kv_head * 64 + i));
}

static void set_values(struct attention_case *c)
{
    for (int p = 0; p < KNOWN_POSITIONS; p++)
        for (int kv = 0; kv < c->shape.n_kv_heads; kv++)
            for (int i = 0; i < KNOWN_DIM; i++)
                case_set_value(c, 0, p, kv, i, value_of(p, kv, i));
}

/* Which position a query head of a row looks at: any before it, over all chunks. */
static int target_of(int position, int head)
{
    return (position * 37 + head * 211) % (position + 1);
}

/* Keys are the 10 bits of their position as +-1, a query is 2048 times those of its target: every
 * bit that differs costs 2 * 2048 / 8 = 512, and exp of that is exactly 0. */
static void look_at_one(struct attention_case *c)
{
    set_values(c);
    for (int p = 0; p < KNOWN_POSITIONS; p++)
        for (int kv = 0; kv < 2; kv++)
            for (int i = 0; i < KNOWN_DIM; i++)
                case_set_key(c, 0, p, kv, i, i >= 10 ? 0 : p >> i & 1 ? 1 : -1);
    for (int r = 0; r < c->n_rows; r++)
        for (int h = 0; h < 4; h++) {
            const int target = target_of(KNOWN_POSITIONS - 70 + r, h);
            for (int i = 0; i < KNOWN_DIM; i++)
                case_set_query(c, r, h, i, i >= 10 ? 0 : target >> i & 1 ? 2048 : -2048);
        }
}

static void check_one(const struct attention_case *c)
{
    for (int r = 0; r < c->n_rows; r++)
        for (int h = 0; h < 4; h++)
            for (int i = 0; i < KNOWN_DIM; i++)
                CHECK_EQ((int)case_out(c, r, h, i),
                         (int)value_of(target_of(KNOWN_POSITIONS - 70 + r, h), h / 2, i));
}

TEST(a_query_that_matches_one_key_gets_the_value_of_that_position_exactly)
{
    on_every_level(&known, 1, look_at_one, check_one);
}

static void look_at_all(struct attention_case *c)
{
    set_values(c);
    for (int r = 0; r < c->n_rows; r++)
        for (int h = 0; h < 4; h++)
            for (int i = 0; i < KNOWN_DIM; i++)
                case_set_query(c, r, h, i, 0);
}

/* All weights are 1, so every sum is a whole number: the mean, rounded twice. */
static void check_mean(const struct attention_case *c)
{
    for (int r = 0; r < c->n_rows; r++)
        for (int h = 0; h < 4; h++)
            for (int i = 0; i < KNOWN_DIM; i++) {
                const int n = KNOWN_POSITIONS - 70 + r + 1;
                const int first = c->shape.window && n > c->shape.window ? n - c->shape.window : 0;
                float sum = 0;
                for (int p = first; p < n; p++)
                    sum += value_of(p, h / 2, i);
                CHECK(case_out(c, r, h, i) == sum * (1.0f / (float)(n - first)));
            }
}

TEST(a_query_of_zeros_gets_the_mean_of_the_values_exactly)
{
    on_every_level(&known, 2, look_at_all, check_mean);
    for (int window = 1; window < 400; window += window < 4 ? 1 : 61) {
        struct attention_shape shape = known;
        shape.window = window;
        on_every_level(&shape, 1, look_at_all, check_mean);
    }
}

/* ---- padding ---- */

/* Leaves of `width` elements, each padded to `padded`. */
static void check_padding(const struct attention_shape *shape, int width, int padded)
{
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        struct attention_case *c = case_make(shape);
        case_run(c, device);
        for (int r = 0; r < c->n_rows; r++)
            for (int k = 0; k < c->args.out.k_padded; k++)
                if (k % padded >= width)
                    CHECK(case_padded_out(c, r, k) == 0);
        case_free(c);
        device_close(device);
    }
}

TEST(padding_between_the_leaves_of_the_output_is_zero)
{
    struct attention_shape odd = shapes[3];
    odd.head_dim = 20;
    odd.n_new[0] = 33;
    check_padding(&odd, 2 * 20, 64);
    check_padding(&shapes[0], 2, 32);
}

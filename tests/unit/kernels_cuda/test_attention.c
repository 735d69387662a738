/* Attention of a GPU is near float64, for every format, size of head, window and cap, and for as
 * many rows as any of its kernels takes. */
#include "kernels/cuda_bytes.h"
#include "kernels/device.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/gpu_attention.h"

#include <math.h>
#include <stdio.h>

static const struct attention_shape shapes[] = {
    /* the smallest */
    {.dtype = DTYPE_BF16, .n_heads = 1, .n_kv_heads = 1, .head_dim = 8, .n_new = {1}},
    /* decoding, from one position to three chunks */
    {.dtype = DTYPE_BF16,
     .n_heads = 8,
     .n_kv_heads = 2,
     .head_dim = 64,
     .n_sequences = 5,
     .sequence = {0, 1, 2, 3, 4},
     .n_computed = {0, 31, 300, 255, 530},
     .n_new = {1, 1, 1, 1, 1}},
    /* more chunks than are combined at once */
    {.dtype = DTYPE_BF16,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 8,
     .n_computed = {8500},
     .n_new = {1}},
    /* a prompt of several tiles */
    {.dtype = DTYPE_BF16, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .n_new = {70}},
    /* prompts beside decoding, over chunks, a sequence without new tokens */
    {.dtype = DTYPE_BF16,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 128,
     .n_sequences = 4,
     .sequence = {0, 1, 2, 3},
     .n_computed = {250, 40, 7, 0},
     .n_new = {20, 1, 0, 5}},
    /* heads that are no whole segments, or not as wide as a tile */
    {.dtype = DTYPE_BF16,
     .n_heads = 14,
     .n_kv_heads = 2,
     .head_dim = 20,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {250, 255},
     .n_new = {12, 1}},
    {.dtype = DTYPE_BF16,
     .n_heads = 6,
     .n_kv_heads = 3,
     .head_dim = 80,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {240, 511},
     .n_new = {40, 2}},
    {.dtype = DTYPE_BF16, .n_heads = 2, .n_kv_heads = 2, .head_dim = 16, .n_new = {66}},
    /* wide heads: several slices, and two passes */
    {.dtype = DTYPE_BF16,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 256,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {230, 300},
     .n_new = {40, 1}},
    {.dtype = DTYPE_BF16,
     .n_heads = 3,
     .n_kv_heads = 1,
     .head_dim = MAX_HEAD_DIM,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {255, 0},
     .n_new = {3, 23}},
    /* windows and caps */
    {.dtype = DTYPE_BF16,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 32,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 270, 700},
     .n_new = {50, 1, 40},
     .window = 67,
     .softcap = 1.5f},
    /* whole numbers */
    {.dtype = DTYPE_I8,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 64,
     .n_sequences = 4,
     .sequence = {0, 1, 2, 3},
     .n_computed = {0, 31, 300, 240},
     .n_new = {40, 1, 1, 33}},
    {.dtype = DTYPE_I8,
     .n_heads = 14,
     .n_kv_heads = 2,
     .head_dim = 20,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {255, 300, 0},
     .n_new = {10, 1, 3},
     .window = 100,
     .softcap = 2},
    {.dtype = DTYPE_I8,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 256,
     .n_sequences = 2,
     .sequence = {0, 1},
     .n_computed = {250, 20},
     .n_new = {33, 1}},
    /* the reference mode */
    {.dtype = DTYPE_F32,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 20,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 511, 256},
     .n_new = {20, 2, 1},
     .window = 130,
     .softcap = 50},
    {.dtype = DTYPE_F32, .n_heads = 1, .n_kv_heads = 1, .head_dim = 300, .n_new = {3}},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* Every row and head of a case that has run. */
static void check_near(const struct attention_case *c, int shape)
{
    double want[MAX_HEAD_DIM], bound[MAX_HEAD_DIM];
    for (int r = 0; r < c->n_rows; r++)
        for (int h = 0; h < c->shape.n_heads; h++) {
            case_want(c, r, h, want, bound);
            for (int i = 0; i < c->shape.head_dim; i++)
                if (!(fabs((double)case_out(c, r, h, i) - want[i]) <= bound[i]))
                    test_fail(__FILE__, __LINE__,
                              "shape %d row %d head %d element %d is %g, want %g within %g", shape,
                              r, h, i, (double)case_out(c, r, h, i), want[i], bound[i]);
        }
}

/* With a seed and blocks of 32 positions, where the table does not say otherwise. */
static struct attention_shape shape_at(int i, enum dtype out_dtype)
{
    struct attention_shape shape = shapes[i];
    shape.out_dtype = out_dtype;
    shape.block_tokens = 16 << i % 3;
    shape.block_step = 5;
    shape.seed = (uint64_t)i;
    if (shape.n_sequences == 0)
        shape.n_sequences = 1;
    return shape;
}

TEST(attention_is_near_float64)
{
    for (int i = 0; i < N_SHAPES; i++) {
        const bool reference = shapes[i].dtype == DTYPE_F32;
        const struct attention_shape shape =
            shape_at(i, i % 4 == 1 || reference ? DTYPE_F32 : DTYPE_BF16);
        struct attention_case *c = gpu_attention_of(&shape, &(struct gpu_attention){0});
        check_near(c, i);
        case_free(c);
    }
}

TEST(attention_of_f16_is_near_float64)
{
    for (int i = 0; i < N_SHAPES; i++) {
        if (shapes[i].dtype != DTYPE_BF16)
            continue;
        const struct attention_shape shape = shape_at(i, DTYPE_F32);
        struct attention_case *c = gpu_attention_of(&shape, &(struct gpu_attention){.f16 = true});
        check_near(c, i);
        case_free(c);
    }
}

TEST(query_heads_of_kv_heads_need_not_be_equally_many)
{
    static const int32_t kv_of_head[] = {0, 0, 0, 0, 0, 0, 1, 2, 2, 2};
    const struct attention_shape shape = {.dtype = DTYPE_BF16,
                                          .out_dtype = DTYPE_BF16,
                                          .n_heads = 10,
                                          .n_kv_heads = 3,
                                          .head_dim = 32,
                                          .block_tokens = 16,
                                          .n_sequences = 3,
                                          .sequence = {0, 1, 2},
                                          .n_computed = {300, 20, 250},
                                          .n_new = {1, 8, 13}};
    struct attention_case *c = case_make(&shape);
    for (int h = 0; h < shape.n_heads; h++)
        c->kv_of_head[h] = kv_of_head[h];
    gpu_attention_run(c, &(struct gpu_attention){0});
    check_near(c, -1);
    case_free(c);
}

TEST(attention_needs_workspace_for_all_results_of_a_small_job)
{
    const struct step_needs needs = {
        .n_sequences = 2, .n_heads = 8, .n_kv_heads = 2, .head_dim = 64, .max_positions = 1000};
    /* 64 rows of each KV head, 4 chunks, m and l beside each output */
    CHECK_EQ(attention_workspace_bytes(&needs), 2 * 2 * 64 * 4 * (2 + 64) * 4);
}

TEST(attention_needs_no_more_workspace_than_the_limit_however_large_the_job)
{
    const struct step_needs needs = {.n_sequences = 4096,
                                     .n_heads = 128,
                                     .n_kv_heads = 128,
                                     .head_dim = MAX_HEAD_DIM,
                                     .max_positions = 1 << 30};
    CHECK_EQ(attention_workspace_bytes(&needs), ATTENTION_WORKSPACE_LIMIT);
}

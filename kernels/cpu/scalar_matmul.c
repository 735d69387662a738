/* Matmul in plain C: the canonical order as it is written down. Right everywhere, fast nowhere:
 * the last resort of the product and the first thing to read before writing a kernel. It is not the
 * reference of the tests (tests/kernels/ref_f64.c is). */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/matmul_driver.h"
#include "kernels/fma.h"

#include <math.h>

/* One block of K as float32, with zeros after the last element. */
struct wide_block {
    float element[K_BLOCK];
};

static struct wide_block weight_block(const struct matmul_block *block, int row, int k)
{
    struct wide_block wide = {0};
    for (int i = 0; i < min_int(K_BLOCK, block->n_k - k); i++)
        wide.element[i] =
            widened(block->weight, block->weight_dtype, row * block->row_stride + k + i);
    return wide;
}

static struct wide_block packed_block(const struct matmul_block *block, int token, int k)
{
    const int group = token / TOKEN_GROUP, tokens = block_group_tokens(block, group);
    const bf16 *pairs = block_group(block, group) + token % TOKEN_GROUP * 2;
    struct wide_block wide;
    for (int i = 0; i < K_BLOCK; i++)
        wide.element[i] = bf16_to_f32(pairs[(k + i) / 2 * tokens * 2 + i % 2]);
    return wide;
}

static struct wide_block row_block(const struct matmul_block *block, int token, int k)
{
    struct wide_block wide = {0};
    for (int i = 0; i < min_int(K_BLOCK, block->n_k - k); i++)
        wide.element[i] = block_row(block, token)[k + i];
    return wide;
}

WITH_FMA_IF_THERE static float dot(const struct wide_block *x, const struct wide_block *w)
{
    float even = 0, odd = 0;
    for (int i = 0; i < K_BLOCK; i += 2) {
        even = fmaf(x->element[i], w->element[i], even);
        odd = fmaf(x->element[i + 1], w->element[i + 1], odd);
    }
    return even + odd;
}

static void accumulate(const struct matmul_block *block,
                       struct wide_block (*x_block)(const struct matmul_block *, int token, int k))
{
    const int rows_padded = round_up_int(block->n_rows, PANEL);
    struct wide_block *weights = block->scratch; /* of one block of K, [n_rows] */
    for (int k = 0; k < block->n_k; k += K_BLOCK) {
        for (int row = 0; row < block->n_rows; row++)
            weights[row] = weight_block(block, row, k);
        for (int token = 0; token < block->n_tokens; token++) {
            const struct wide_block x = x_block(block, token, k);
            for (int row = 0; row < block->n_rows; row++)
                block->c[token * rows_padded + row] += dot(&x, &weights[row]);
        }
    }
}

static void accumulate_bf16(const struct matmul_block *block) { accumulate(block, packed_block); }
static void accumulate_f32(const struct matmul_block *block) { accumulate(block, row_block); }

_Static_assert(ITEM_ROWS * sizeof(struct wide_block) <= KERNEL_SCRATCH_BYTES,
               "scratch is too small");

void scalar_matmul(struct device *device, const struct matmul_args *args)
{
    const struct matmul_kernel kernel = {
        .accumulate = args->x.dtype == DTYPE_BF16 ? accumulate_bf16 : accumulate_f32,
        .store = matmul_store_rows,
        .k_step = 256,
        .item_tokens = 64,
        .unit_rows = ITEM_ROWS,
        .c_bytes = 512 << 10,
    };
    matmul_drive(device, args, &kernel);
}

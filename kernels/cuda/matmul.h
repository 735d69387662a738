/* kernels/cuda/matmul.h: the matmul of a GPU: who computes it, and in what order it adds.
 *
 *   matmul.c         op_matmul(): chooses one of those below by mode, rows and formats
 *   matmul_order.c   the order, from leaves; bytes of workspace
 *   few_rows.cu      16 bits, up to 16 rows: at the speed of memory. Both modes
 *   exact_matmul.cu  16 bits, many rows, in the written order
 *   matmul_lt.c      16 bits, many rows, --numerics fast: cuBLASLt; add_bias.cu is its bias
 *   lt_choices.c     which of its algorithms was the fastest, in a file
 *   f32_matmul.cu    operands in float32: the reference mode
 *
 * The order of a dot product on a GPU, whatever the number of rows: each leaf is cut into segments
 * of K_SEGMENT elements from its start; a segment is one chain from +0, ascending; segments are
 * added from left to right, leaves by their postfix program (kernels/tensor.h).
 * In the 16-bit formats K is the padded one, and a link of the chain is one instruction
 * gpu_mma() with the weight for A and the operand for B. Block b of 32 elements is two links, s = 0
 * and 1; the elements of a link are 32 b + 8 j + 4 s + i, where j and i = 0 .. 3 say their place:
 * pair i / 2, lane j of the fragment. So a lane needs 16 bytes beside each other for both links.
 * With float32 operands a link is fmaf() with one element, over the K that is not padded.
 *
 * The workspace (cuda_workspace()) is used by one kernel at a time: as cuBLASLt likes, or for the
 * sums of leaves that wait to be added in exact_matmul.cu.
 */
#pragma once
#include "kernels/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct step_needs;

enum { K_SEGMENT = 512 };

struct k_order {
    int n_leaves, n_parts, n_segments;
    int depth;                         /* most sums that wait at a time, the growing one too */
    int leaf_begin[MAX_LEAVES + 1];    /* the last one: all of K */
    int first_segment[MAX_LEAVES + 1]; /* of a leaf; the last one: n_segments */
    int n_merges[MAX_LEAVES];          /* additions after a leaf */
};
/* Of the padded K, or of the plain one. */
struct k_order k_order_of(const struct leaves *leaves, bool is_padded);

/* One matmul, as a kernel takes it. */
struct matmul_job {
    float *out;                                  /* [n_parts, n_tokens, out_stride] */
    const void *x, *weight;                      /* [n_tokens, x_stride], [n_out, weight_stride] */
    const void *bias;                            /* [n_out] or NULL; with one leaf only */
    float *waiting;                              /* exact_matmul.cu: of the workspace */
    int64_t out_stride, x_stride, weight_stride; /* elements */
    int n_tokens, n_out;
    enum dtype dtype, weight_dtype, bias_dtype; /* of x; F32 meets any weight */
    struct k_order order;
};

/* Each computes the whole job; x and weight are aligned to 16 bytes for the first two, their
 * strides are multiples of 8 elements, and their dtype is BF16 or F16. */
void few_rows_matmul(struct device *device, const struct matmul_job *job);
void exact_matmul(struct device *device, const struct matmul_job *job);
void f32_matmul(struct device *device, const struct matmul_job *job);
/* One leaf: x times weight over all of leaf_begin[1], in an order of its own. */
void lt_matmul(struct device *device, const struct matmul_job *job);
/* out += bias, after lt_matmul(). */
void add_bias(struct device *device, const struct matmul_job *job);

/* Of the workspace, for the matmuls of a job with these needs. Needs no GPU. */
size_t matmul_workspace_bytes(const struct step_needs *needs);
/* Blocks that exact_matmul() can have at a time with so much workspace, at most `wanted`; each
 * computes tiles of edge * edge. */
int exact_matmul_blocks(const struct k_order *order, int edge, size_t workspace_bytes, int wanted);

enum {
    LT_WORKSPACE_BYTES = 32 << 20,
    EXACT_TILE = 128,          /* edge of the large tiles of exact_matmul.cu */
    MAX_MULTIPROCESSORS = 160, /* that the workspace is made for; more are not used */
};

#ifdef __cplusplus
}
#endif

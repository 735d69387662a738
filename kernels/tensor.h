/* kernels/tensor.h: what goes into a matmul, and how a sum over K is cut.
 *
 * Three shapes of numbers meet in a matmul:
 *   struct weight    as it lies in the checkpoint: row-major, one output a row
 *   struct operand   activations, in the layout that the matrix unit wants
 *   float *          results: row-major [n_tokens, n_out]
 *
 * Operand, dtype BF16. Tokens come in groups of 16 (the last group may be smaller); a group of
 * T tokens is laid out as AMX operand B (Intel SDM, TDPBF16PS), pairs of K beside each other:
 *
 *     [k_padded / 2][T tokens][2]        group g starts at element g * 16 * k_padded
 *
 * so one token alone is a plain row. Each leaf of K starts at a multiple of 32 and is padded
 * with zeros to one: k_padded = sum over the leaves of their lengths rounded up to 32. Where
 * every leaf is a multiple of 32 (nearly always) that is K itself.
 *
 * Operand, dtype F32 (the reference mode, and checkpoints in F16): plain rows [n_tokens, K].
 *
 * On a GPU an operand is rows whatever its format, [n_tokens, k_padded]; F16 exists there only.
 * Where the format has 16 bits the rows of a weight on a GPU are padded in the same places as the
 * operand, so that element k of one meets element k of the other, and each begins at a multiple of
 * 16 bytes.
 */
#pragma once
#include "kernels/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    K_BLOCK = 32,     /* elements of K in one step of the canonical order (docs/numerics.md) */
    TOKEN_GROUP = 16, /* tokens of an operand group */
    MAX_LEAVES = 16,  /* leaves of one K that a rank can have */
    MAX_PARTS = 8,    /* maximal subtrees of a run of leaves: at most 2 * log2(16) */
};

/* One leaf of the fixed reduction tree, as a postfix program: sum the elements up to k_end into
 * a new partial sum, push it, then n_merges times replace the two topmost a, b by a + b.
 * parallel/tree.h makes these. */
struct leaf {
    int k_end;    /* one past the last element of this rank's K; ascending */
    int n_merges; /* additions after this leaf */
};

/* How the K of this rank is cut. n_parts sums remain at the end (one, but for rank counts that
 * cut a subtree): the outputs [n_parts, n_tokens, n_out] that parallel/comm.h tree_reduce sends. */
struct leaves {
    struct leaf leaf[MAX_LEAVES];
    int n_leaves, n_parts;
};

/* All of K as one leaf: column-parallel layers and the vocabulary. */
static inline struct leaves leaves_one(int k)
{
    struct leaves leaves; /* no literal: kernels of GPUs include this from C++ */
    memset(&leaves, 0, sizeof leaves);
    leaves.leaf[0].k_end = k;
    leaves.n_leaves = leaves.n_parts = 1;
    return leaves;
}

struct weight {
    const void *data; /* [n_out rows of row_stride elements]; aligned to its element only, on a GPU
                         to 16 bytes */
    enum dtype dtype;
    int64_t row_stride; /* elements from one output to the next; > n_in for a cut of columns */
};

struct operand {
    void *data;       /* aligned to 64 bytes */
    enum dtype dtype; /* BF16 (packed) or F32 (rows); on a GPU F16 too, and all in rows */
    int n_tokens;
    int k;        /* elements of a token */
    int k_padded; /* as above; equal to k for F32 */
};

int leaves_k(const struct leaves *leaves); /* elements of this rank's K: the end of the last leaf */
int leaves_k_padded(const struct leaves *leaves);
/* k_end ascends, no merge finds fewer than two sums, and n_parts of them remain. */
bool leaves_valid(const struct leaves *leaves);
/* An operand of n_tokens over `data`, which has room for operand_bytes(). */
struct operand operand_make(void *data, enum dtype dtype, int n_tokens,
                            const struct leaves *leaves);
size_t operand_bytes(enum dtype dtype, int n_tokens, const struct leaves *leaves);

/* parallel/tree.h: the fixed tree that every sum across ranks follows.
 *
 * A K that ranks share (the inputs of o_proj and down_proj) is cut into leaves by the model
 * alone, never by the number of ranks. The sum of all leaves is
 *
 *     tree(lo, hi) = leaf lo                                if hi - lo == 1
 *                  = tree(lo, mid) + tree(mid, hi)          mid = lo + ceil((hi - lo) / 2)
 *
 * so its bits do not depend on who computed which leaf. A rank owns a run of leaves and sends
 * the maximal whole subtrees of its run, its parts: one where the number of ranks is a power of
 * two (the runs are then nodes of the tree), a few otherwise.
 *
 *     14 leaves on 3 ranks: runs [0,5) [5,10) [10,14)
 *     parts of rank 0: (0,4) (4,5)                          all of it drawn in parallel/README.md
 *
 * Pure arithmetic. At most MAX_LEAVES leaves, and at least one for each rank: the caller refuses
 * anything else before. docs/numerics.md says why; docs/decisions/ has the price.
 */
#pragma once
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    int lo, hi; /* [lo, hi) */
};

static inline int tree_mid(struct span node) { return node.lo + (node.hi - node.lo + 1) / 2; }

/* The run of leaves of `rank`. For a power of two the runs are cut by tree_mid(); otherwise they
 * are as equal as possible, the larger first. n_ranks <= n_leaves. */
struct span tree_run(int n_leaves, int n_ranks, int rank);

/* The maximal subtrees of tree(0, n_leaves) inside `run`, left to right; their number. */
int tree_parts(int n_leaves, struct span run, struct span part[MAX_PARTS]);

/* k_end[i], i < n_leaves: where leaf i of the whole K ends (in elements). Gives the program of
 * one rank: k_end relative to the begin of its run, merges, number of parts. */
struct leaves tree_leaves(const int *k_end, int n_leaves, struct span run);

/* Cuts `total` items into `n` runs as equal as possible, the larger first; end[i] is one past
 * the last item of run i. */
void tree_cut(int total, int n, int *end);

/* The parts of all ranks in order, and how they are added up. */
struct tree_layout {
    int n_leaves, n_ranks;
    int n_parts;                    /* of all ranks together, at most n_leaves */
    int first_part[MAX_LEAVES + 1]; /* rank r has [first_part[r], first_part[r + 1]) */
    int most_parts;                 /* of one rank */
    int n_merges[MAX_LEAVES];       /* postfix, as in struct leaf: additions after part p */
};
struct tree_layout tree_layout_make(int n_leaves, int n_ranks);

/* sum = tree(0, n_leaves) of the parts of all ranks; each has `count` floats. `sum` may be one
 * of the parts, but may not overlap one otherwise. The parts stay as they are. */
void tree_sum(const struct tree_layout *layout, float *sum, const float *const *part, size_t count);

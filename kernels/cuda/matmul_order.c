/* The order of the sums of a matmul, and what its kernels need beside their arguments. No GPU is
 * needed for this: `phalanx plan` asks too. */
#include "base/check.h"
#include "kernels/cuda/matmul.h"
#include "kernels/device.h"

static int round_up(int n, int step) { return (n + step - 1) / step * step; }

struct k_order k_order_of(const struct leaves *leaves, bool is_padded)
{
    struct k_order order = {.n_leaves = leaves->n_leaves, .n_parts = leaves->n_parts};
    int begin = 0, waiting = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        const struct leaf *leaf = &leaves->leaf[i];
        const int length = leaf->k_end - begin;
        const int padded = is_padded ? round_up(length, K_BLOCK) : length;
        order.leaf_begin[i + 1] = order.leaf_begin[i] + padded;
        order.first_segment[i + 1] = order.first_segment[i] + (padded + K_SEGMENT - 1) / K_SEGMENT;
        order.n_merges[i] = leaf->n_merges;
        if (order.depth < waiting + 1)
            order.depth = waiting + 1;
        waiting += 1 - leaf->n_merges;
        begin = leaf->k_end;
    }
    order.n_segments = order.first_segment[order.n_leaves];
    return order;
}

/* Sums of leaves wait in `out` as far as there are parts, and the others in the workspace. */
static size_t waiting_bytes(int n_levels, int edge)
{
    return (size_t)n_levels * (size_t)edge * (size_t)edge * sizeof(float);
}

int exact_matmul_blocks(const struct k_order *order, int edge, size_t workspace_bytes, int wanted)
{
    const int n_levels = order->depth - 1 - order->n_parts;
    if (n_levels <= 0)
        return wanted;
    const size_t room = workspace_bytes / waiting_bytes(n_levels, edge);
    check(room > 0);
    return room < (size_t)wanted ? (int)room : wanted;
}

/* While a tree over n leaves is added, at most ceil(log2(n)) sums wait beside the growing one, of
 * which one is in `out`; a job of few tokens has few blocks. */
size_t matmul_workspace_bytes(const struct step_needs *needs)
{
    int n_levels = 0;
    for (int covered = 2; covered < needs->n_leaves; covered *= 2)
        n_levels++;
    const size_t tiles = (size_t)(round_up(needs->n_tokens, EXACT_TILE) / EXACT_TILE) *
                         (size_t)(round_up(needs->n_out, EXACT_TILE) / EXACT_TILE);
    const size_t blocks = tiles < MAX_MULTIPROCESSORS ? tiles : MAX_MULTIPROCESSORS;
    const size_t exact = blocks * waiting_bytes(n_levels, EXACT_TILE);
    return exact > LT_WORKSPACE_BYTES ? exact : LT_WORKSPACE_BYTES;
}

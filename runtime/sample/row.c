/* The loops over a block are of independent lanes, straight, and long enough that the compiler
 * makes vectors of them before it thinks of unrolling. */
#include "runtime/sample/row.h"

#include "base/check.h"

#include <math.h>

enum { LANES = 16 };

_Static_assert((int)ROW_BLOCK == 4 * LANES, "largest_of_block() takes four a lane");

int row_count_blocks(int n) { return (n + ROW_BLOCK - 1) / ROW_BLOCK; }

static inline float larger(float a, float b) { return a > b ? a : b; }

/* *any_nan becomes not 0 where there is one; the answer means nothing then. */
static inline float largest_of_block(const float *x, int *any_nan)
{
    float most[LANES], four[4];
    int nan = 0;
    for (int j = 0; j < LANES; j++) {
        const float a = x[j], b = x[j + LANES], c = x[j + 2 * LANES], d = x[j + 3 * LANES];
        nan |= (a != a) | (b != b) | (c != c) | (d != d);
        most[j] = larger(larger(a, b), larger(c, d));
    }
    for (int j = 0; j < 4; j++)
        four[j] = larger(larger(most[j], most[j + 4]), larger(most[j + 8], most[j + 12]));
    *any_nan |= nan;
    return larger(larger(four[0], four[1]), larger(four[2], four[3]));
}

void row_open(struct row *row, const float *logits, int n, float *block_max)
{
    check(n > 0);
    *row = (struct row){
        .logits = logits, .n = n, .n_blocks = row_count_blocks(n), .block_max = block_max};
    int any_nan = 0;
    const int n_whole = n / ROW_BLOCK;
    for (int b = 0; b < n_whole; b++)
        block_max[b] = largest_of_block(logits + b * ROW_BLOCK, &any_nan);
    if (n_whole < row->n_blocks) {
        float block[ROW_BLOCK];
        for (int i = 0; i < ROW_BLOCK; i++)
            block[i] = n_whole * ROW_BLOCK + i < n ? logits[n_whole * ROW_BLOCK + i] : -INFINITY;
        block_max[n_whole] = largest_of_block(block, &any_nan);
    }

    int best = 0;
    for (int b = 1; b < row->n_blocks; b++)
        best = block_max[b] > block_max[best] ? b : best;
    row->max = block_max[best];
    row->peak = -1;
    if (any_nan || isinf(row->max))
        return;
    row->peak = best * ROW_BLOCK;
    while (logits[row->peak] != row->max)
        row->peak++;
}

static int block_end(const struct row *row, int block)
{
    return block + 1 < row->n_blocks ? (block + 1) * ROW_BLOCK : row->n;
}

int row_count_at_least(const struct row *row, float least)
{
    int count = 0;
    for (int b = 0; b < row->n_blocks; b++)
        if (row->block_max[b] >= least)
            for (int i = b * ROW_BLOCK; i < block_end(row, b); i++)
                count += row->logits[i] >= least;
    return count;
}

/* An insertion into a short list; after the first few thousand logits it hardly ever happens. */
int row_find_best(const struct row *row, int k, int32_t *token)
{
    check(k >= 0 && k <= ROW_MAX_BEST);
    const float *x = row->logits;
    int n_best = 0;
    for (int b = 0; b < row->n_blocks && k > 0; b++) {
        if (n_best == k && !(row->block_max[b] > x[token[k - 1]]))
            continue;
        for (int i = b * ROW_BLOCK; i < block_end(row, b); i++) {
            if (n_best == k && !(x[i] > x[token[k - 1]]))
                continue;
            int at = n_best < k ? n_best++ : k - 1;
            for (; at > 0 && x[i] > x[token[at - 1]]; at--)
                token[at] = token[at - 1];
            token[at] = i;
        }
    }
    return n_best;
}

/* runtime/sample/row.h: one row of logits, and the largest one of each block of it, by which walks
 * over the row leave out most blocks. Exact, so the order of a walk never shows. */
#pragma once
#include <stdint.h>

enum { ROW_BLOCK = 64 };

struct row {
    const float *logits; /* [n], borrowed */
    int n, n_blocks;
    float *block_max; /* [n_blocks], borrowed */
    float max;
    int32_t peak; /* the lowest id that has it; -1: nothing above -inf, a NaN, or a +inf, and then
                     the row is not to be walked over */
};

int row_count_blocks(int n);
/* Fills the struct and block_max[row_count_blocks(n)]; n >= 1. */
void row_open(struct row *row, const float *logits, int n, float *block_max);

/* Tokens with at least this logit. */
int row_count_at_least(const struct row *row, float least);

/* The k best, by descending logit and ascending id; their number, min(k, n). k <= ROW_MAX_BEST. */
enum { ROW_MAX_BEST = 32 };
int row_find_best(const struct row *row, int k, int32_t *token);

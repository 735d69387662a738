/* runtime/sample/row.h: walks over one row of logits, [vocab]. Exact, so the order of the walk
 * never shows. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct row_peak {
    float max;
    int32_t token; /* the lowest id that has it; -1: nothing above -inf, a NaN, or a +inf */
};
struct row_peak row_find_peak(const float *row, int n);

/* Tokens with at least this logit. */
int row_count_at_least(const float *row, int n, float least);

/* The k best, by descending logit and ascending id; their number, min(k, n). k <= ROW_MAX_BEST. */
enum { ROW_MAX_BEST = 32 };
int row_find_best(const float *row, int n, int k, int32_t *token);

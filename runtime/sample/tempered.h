/* runtime/sample/tempered.h: a row divided by its temperature, without the tokens that the filters
 * took out.
 *
 * Nothing of it is written down: a block is made out of the logits where it is read, and most are
 * never read. Division is monotonic, so the largest of a block stays the largest.
 */
#pragma once
#include "runtime/sample/row.h"

/* A token that may stay; the order of these is descending value, then ascending id. */
struct candidate {
    float value;
    int32_t token;
};

struct tempered {
    const struct row *row; /* borrowed; its peak is not -1 */
    float temperature;
    float *block_max; /* [row->n_blocks], borrowed; at least the largest value that is left of each
                         block. -INFINITY: nothing is */
    float max;        /* -INFINITY: nothing is left at all */
    float least;      /* values less max below this are out (min_p) */
    struct candidate last; /* all behind it are out (top_k, top_p) */
};

/* A temperature below 0.01 is taken as that. */
void tempered_init(struct tempered *t, const struct row *row, float temperature, float *block_max);
/* Drops what is behind these bounds, besides what was dropped before. */
void tempered_drop_below(struct tempered *t, float least);
void tempered_drop_behind(struct tempered *t, struct candidate last);

/* Where the value of token block * ROW_BLOCK + i is, at i, -INFINITY where it is out or there is
 * none: in the logits themselves, or in `buffer`. */
const float *tempered_read(const struct tempered *t, int block, float buffer[ROW_BLOCK]);
/* The whole row; `value` may be its logits. */
void tempered_write(const struct tempered *t, float *value);

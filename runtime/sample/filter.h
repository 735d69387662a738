/* runtime/sample/filter.h: min_p, top_k and top_p, in this order, and the sum of what they leave.
 *
 * The same bits whatever the order of a walk: sums of probabilities are whole numbers
 * (docs/numerics.md, "Sampling").
 */
#pragma once
#include "runtime/request/params.h"
#include "runtime/sample/tempered.h"

/* Working memory of one thread. */
struct filter_scratch {
    struct candidate *candidate; /* [vocab] */
    float *bin_mass;             /* exp(-distance) at the begin of each bin of filter.c, * 2^40 */
};
void filter_scratch_init(struct filter_scratch *scratch, int vocab);
void filter_scratch_release(struct filter_scratch *scratch);

/* A row of which nothing is left (t->max) must not come here. */
void filter_apply(struct tempered *t, struct filter_scratch *scratch,
                  const struct sampling_params *params);

/* log(sum(exp(value))) of what is left. */
float filter_log_sum_exp(const struct tempered *t, const struct filter_scratch *scratch);

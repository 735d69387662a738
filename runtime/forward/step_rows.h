/* runtime/forward/step_rows.h: what the layers read of a plan, in memory that their device reads.
 *
 * On the host that is the plan itself, with positions and slots beside it. For a GPU the arrays are
 * laid out anew, and uploaded as one. Where each of them lies then, and every number that a kernel
 * gets as an argument, follows from three counts alone, and these may be padded: so a step can be
 * recorded once and run again for other plans (buckets.h).
 *
 *   rows of padding       token 0 at position 0, not stored, behind the last sequence
 *   sequences of padding  have no rows and no blocks
 *   logits of padding     of the row of the same number, and nothing is picked from them
 */
#pragma once
#include "kernels/ops.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row_counts {
    int n_tokens, n_sequences, n_logits;
};

struct step_rows {
    struct row_counts n; /* with the padding */
    int n_hidden, n_copies;
    const int32_t *token, *position; /* [n_tokens] */
    const int32_t *slot;             /* [n_kv_groups, n_tokens] */
    const int32_t *first_row;        /* [n_sequences + 1] */
    const int32_t *n_computed;       /* [n_sequences] */
    const int32_t *first_block;      /* [n_sequences + 1] at its stride for each KV group, into */
    const int32_t *block;            /* what lies at its stride for each KV group */
    size_t first_block_stride, block_stride; /* one of them is 0 */
    const int32_t *logits_row, *hidden_row, *copy;
    const struct pick_spec *pick; /* [n_logits]; NULL on the host */
};

/* On the host: positions and slots go into `memory`, of step_rows_host_bytes(). */
size_t step_rows_host_bytes(const struct plan_limits *limits);
void step_rows_in_place(struct step_rows *out, const struct step_plan *plan,
                        const struct step_view *view, const struct plan_limits *limits,
                        void *memory);

/* For a GPU: everything is written to `staged`, to be copied to the same place of `memory`, to
 * which the pointers of *out go; returns how many bytes. Both have room for step_rows_gpu_bytes()
 * of the largest counts, and are aligned to 64 bytes. `counts`: at least those of the plan;
 * n_logits may only be padded where every row is wanted. */
size_t step_rows_gpu_bytes(const struct plan_limits *limits, const struct row_counts *most);
size_t step_rows_stage(struct step_rows *out, const struct step_plan *plan,
                       const struct step_view *view, const struct plan_limits *limits,
                       const struct row_counts *counts, void *staged, const void *memory);

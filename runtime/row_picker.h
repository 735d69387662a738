/* runtime/row_picker.h: tokens from the rows of logits of a plan, where they are made: on the last
 * stage of a pipeline, by what the plan says (PLAN_PICK).
 *
 * With the sampler of rank 0, whose picks are a function of a row and a few numbers: the same bits.
 * A GPU has picked by itself, and what it picked is said here in the words of the sampler.
 */
#pragma once
#include <stdbool.h>

struct device;
struct picked;
struct plan_limits;
struct row_picker;
struct step_result;
struct step_view;

struct row_picker_settings {
    struct device *device;            /* borrowed */
    const struct plan_limits *limits; /* of the model; read at creation */
    bool processed_logprobs;          /* --logprobs-mode */
};

void row_picker_create(struct row_picker **out, const struct row_picker_settings *settings);
void row_picker_destroy(struct row_picker *picker); /* NULL is fine */

/* picked[i] of row i of the logits of a checked plan, but of those that are wanted whole
 * (PICK_ROW). Valid until the next call. Allocates nothing. */
const struct picked *row_picker_run(struct row_picker *picker, const struct step_view *view,
                                    const struct step_result *result);

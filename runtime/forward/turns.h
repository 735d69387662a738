/* runtime/forward/turns.h: what a step gives, on its way from the device to the host.
 *
 * A GPU computes while the host goes on: so there are two places, in turn, for what a step reads
 * and for what it gives, and the next step is prepared while the last one runs. Where the device is
 * the host, a step is done when it was asked for, and what it gives stays where it is.
 */
#pragma once
#include "runtime/forward/forward.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct error;
struct forward;
struct pick_result;
struct step_rows;

enum { TURNS = 2 };

/* Memory of the host, and nothing on a device that is the host. */
struct turn {
    void *staged;             /* step_rows_stage() */
    float *logits;            /* [max_logits, vocab] */
    float *hidden;            /* [max_tokens, hidden_size] */
    struct pick_result *pick; /* [max_logits] */
    uint64_t mark;            /* the device is done with all of it */
    int64_t begin_ns;         /* when the step was asked for, */
    int n_tokens;             /* of so many rows; 0: none yet */
    struct step_result result;
};

struct turns {
    struct turn turn[TURNS];
    uint64_t n_begun, n_collected;
    size_t staged_bytes, logits_bytes, pick_bytes; /* of each; the device copies from and to them */
    size_t hidden_bytes; /* of each; pages that nobody asks for are never there */
};

bool turns_init(struct forward *f, struct error *err);
void turns_release(struct forward *f); /* all zero is fine */

/* The turn of a step of n_tokens rows, when the one before the last is over. ERROR_SYSTEM,
 * ERROR_PEER: of the device. */
bool turns_begin(struct forward *f, int n_tokens, struct turn **out, struct error *err);
/* Queues the way home of what a step of these rows left on the device. */
void turns_end(struct forward *f, struct turn *turn, const struct step_plan *plan,
               const struct step_view *view, const struct step_rows *rows);

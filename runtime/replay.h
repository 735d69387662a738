/* runtime/replay.h: the plans of a record once more, with neither scheduler nor gateway: where time
 * goes, and whether two layouts compute the same.
 *
 * The hash is over the bits of all logits and hidden states of all steps, of both models, in order:
 * the same record gives the same hash with every number of ranks, stages, threads and instruction
 * set. One step is run at a time, so that its time is that of all stages, one after the other; a
 * plan that ran ahead of the tokens of the plan before (step_plan.h) gets them as ids, picked from
 * the rows that came home.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct device;
struct error;
struct plan_models;
struct plan_record;

struct replay_report {
    uint64_t hash;
    int64_t n_steps, n_tokens; /* n_tokens: rows of the target, prompts too */
    int64_t median_ns, p90_ns, total_ns;
};

/* On rank 0; the other ranks are workers (worker.h), and have their stop at the end. The models
 * were created with the limits of the record. device: whose threads pick tokens. */
bool replay_run(struct plan_record *record, const struct plan_models *models, struct device *device,
                struct replay_report *out, struct error *err);

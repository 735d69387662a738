/* runtime/worker.h: what every rank but the first does: receive a plan, run its layers, pass it on,
 * again. On the last stage of a pipeline tensor rank 0 sends home what the plan gave.
 */
#pragma once
#include <stdbool.h>

struct device;
struct error;
struct plan_models;
struct worker;

/* Borrowed. */
struct worker_settings {
    const struct plan_models *models;
    struct device *device;   /* of the host: samples */
    bool processed_logprobs; /* --logprobs-mode, as at rank 0 */
};

void worker_create(struct worker **out, const struct worker_settings *settings);
void worker_destroy(struct worker *worker); /* NULL is fine */

/* Until the plan that says stop: true. ERROR_PEER: another rank is gone, or a plan is damaged or
 * not the next one. */
bool worker_run(struct worker *worker, struct error *err);

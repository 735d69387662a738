/* runtime/worker.h: what every rank but the first does: receive a plan, run it, again. */
#pragma once
#include <stdbool.h>

struct error;
struct plan_models;
struct ranks;

/* Until the plan that says stop: true. ERROR_PEER: another rank is gone, or a plan is damaged or
 * not the next one. */
bool worker_run(const struct ranks *ranks, const struct plan_models *models, struct error *err);

/* runtime/worker.h: what every rank but the first does: receive a plan, run it, again. */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>

struct error;
struct forward;
struct ranks;

/* Until the plan that says stop: true. ERROR_PEER: another rank is gone, or a plan is damaged or
 * not the next one. `forward` was created with the same limits. */
bool worker_run(const struct ranks *ranks, struct forward *forward,
                const struct plan_limits *limits, struct error *err);

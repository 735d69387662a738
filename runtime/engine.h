/* runtime/engine.h: rank 0: requests in, tokens out.
 *
 * One thread: it takes commands from the link between steps, plans a step, runs it together with
 * the other ranks (worker.h), picks tokens, and sends those of a step in one message. Without
 * work it sleeps on the link.
 *
 * What the gateway can rely on, per request:
 *   - a request that cannot be taken gives one LINK_FAILED of its id (ERROR_INPUT, ERROR_LIMIT);
 *   - otherwise one token a message, until one has a finish reason, or until a LINK_FAILED
 *     (ERROR_SYSTEM: its logits are no finite numbers); then the id is free again;
 *   - after a cancel nothing more is sent for the id, but tokens that were on their way when the
 *     cancel was sent still arrive. A cancel of an unknown id does nothing.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>

struct device;
struct engine;
struct error;
struct forward;
struct link;
struct ranks;

enum {
    ENGINE_MAX_REQUESTS = 65536
}; /* waiting and running; the gateway's queue ends long before */

/* Borrowed for the life of the engine, but the ids, which are copied. */
struct engine_settings {
    struct plan_limits limits;
    const int32_t *eos_id; /* [n_eos_ids] */
    int n_eos_ids;
    const struct ranks *ranks;
    struct device *device;
    struct forward *forward; /* created with the same limits */
    struct link *link;
};

void engine_create(struct engine **out, const struct engine_settings *settings);
void engine_destroy(struct engine *engine); /* NULL is fine */

/* Until the gateway says stop, or its end of the link is gone: true, and the other ranks have
 * their last plan. ERROR_PEER: another rank is gone, the job must end. */
bool engine_run(struct engine *engine, struct error *err);

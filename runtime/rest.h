/* runtime/rest.h: memory that a rank gives back while nobody asks for anything, and takes again.
 *
 *                     on a CPU                              on a GPU
 *   PLAN_NO_CACHE     the KV cache                          the KV cache and the weights
 *   PLAN_NO_WEIGHTS   weights too: copies, and pages of     the same
 *                     the files
 *   PLAN_AWAKE        all is there again, the KV cache empty
 *
 * A GPU reads its weights from the files again, which the system still has in its cache unless it
 * needed the memory: so nothing is kept on the host. What is small stays: activations, tables.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>

struct error;
struct plan_models;

/* This rank's part of a plan with `rest`, between steps; then waits for all ranks, as long as they
 * need. From one to the other, or to what it is already; but from sleep only to a deeper one or
 * awake. ERROR_PEER: a rank is gone, or one could not wake, which all are told; then the ranks can
 * only end. */
bool rest_run(const struct plan_models *models, enum plan_rest rest, struct error *err);

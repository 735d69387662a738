/* runtime/pooler.h: hidden states of a request -> its vector, and what the head of the model makes
 * of it.
 *
 * Rows come in order of position, a step at a time: POOLING_LAST keeps that of the last token,
 * POOLING_MEAN adds them up in float32 in that order and divides once. So the vector has the same
 * bits however the prompt was cut into steps. A model with a head of scores gives those of the
 * vector instead.
 */
#pragma once
#include "runtime/request/params.h"

#include <stdbool.h>

struct batch;
struct device;
struct error;
struct model;
struct pooler;
struct request;
struct step_result;

/* Both borrowed. */
void pooler_create(struct pooler **out, struct device *device, const struct model *model);
void pooler_destroy(struct pooler *pooler); /* NULL is fine */

/* ERROR_INPUT: a request for tokens to a model that has none to give. */
bool pooler_check(const struct pooler *pooler, const struct sampling_params *params,
                  struct error *err);

/* Row i of the hidden states of a batch, before its commit, i ascending. The finished vector when
 * this was the last one of its request, valid until the next call; else NULL. Allocates nothing. */
const float *pooler_take(struct pooler *pooler, const struct batch *batch,
                         const struct step_result *result, int i, int *n_values);

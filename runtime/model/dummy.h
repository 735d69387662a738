/* runtime/model/dummy.h: a checkpoint whose weights are made up (--load-format dummy).
 *
 * Its tensors are those that config.json promises, in the format that it names, and have no data:
 * each number is a function of the tensor's name and of its place there, made when a rank asks for
 * it. So every rank of every layout has the same model, and nothing is held but its own part.
 * Matrices keep the size of what they are multiplied with, norms are near 1: logits stay finite,
 * and mean nothing.
 *
 * Only runtime/model includes this.
 */
#pragma once
#include "kernels/dtype.h"

#include <stdbool.h>
#include <stdint.h>

struct checkpoint;
struct model;
struct tensor;

/* Of a model whose config is read. checkpoint_close() afterwards. */
void dummy_checkpoint(struct checkpoint *out, struct model *model, const char *folder);
bool tensor_is_dummy(const struct tensor *tensor);
/* Elements [first, first + n) of such a tensor, rounded to the format that it has, then to
 * `wanted`.
 */
void dummy_numbers(void *to, enum dtype wanted, const struct tensor *tensor, int64_t first,
                   int64_t n);

/* runtime/sample/pick.h: one token out of a row, by the Gumbel maximum.
 *
 *   token = argmax over i of  value[i] + g(i)      g = -log(-log(U)), U uniform in (0, 1)
 *
 * picks i with probability softmax(value)[i] (Gumbel 1954; Maddison, Tarlow, Minka 2014,
 * arXiv:1411.0030). The noise is a pure function of (seed, position, token), so the pick does not
 * depend on batch, order, or what was rejected before. docs/numerics.md, "Sampling".
 */
#pragma once
#include "runtime/sample/tempered.h"

/* What a Philox block is for: the third word of its counter. */
enum noise_tag { NOISE_PICK = 0 };

/* g of 32 random bits: E = -log(U) with U = (bits + 0.5) / 2^32, g = -log(E). Between about -3.13
 * and 22.88. */
float gumbel(uint32_t bits);

/* The token with the highest value plus noise; the lower id of two equal ones. -1: none is left. */
int32_t pick_token(const struct tempered *t, uint64_t seed, int position);

/* launcher/bench/random.h: random numbers of a bench: the same seed, the same load, on every
 * machine. */
#pragma once
#include <stdint.h>

/* Sebastiano Vigna's splitmix64: one state, every seed is as good as another. */
uint64_t random_next(uint64_t *state);
double random_uniform(uint64_t *state); /* in (0, 1) */
/* Of the gamma distribution with this shape > 0 and the mean 1. Shape 1 is exponential. */
double random_gamma(uint64_t *state, double shape);

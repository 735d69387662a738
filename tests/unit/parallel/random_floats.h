/* tests/unit/parallel/random_floats.h: floats whose sum depends on the order, the same each run.
 *
 * Signs and sizes differ (2^-12 to 2^12), so nearly every other order of additions gives other
 * bits. Source of the generator: Steele, Lea & Flood 2014, SplitMix64. */
#pragma once
#include <math.h>
#include <stdint.h>

struct random_floats {
    uint64_t state;
};

static inline struct random_floats random_floats_make(uint64_t seed)
{
    return (struct random_floats){.state = seed * 0x9e3779b97f4a7c15u};
}

static inline uint64_t random_bits(struct random_floats *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline float random_float(struct random_floats *random)
{
    const uint64_t bits = random_bits(random);
    const float mantissa = (float)((int64_t)(bits & 0xffffff) - 0x800000) * 0x1p-23f;
    return ldexpf(mantissa, (int)(bits >> 32) % 25 - 12);
}

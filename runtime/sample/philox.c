#include "runtime/sample/philox.h"

static const uint32_t multiplier_0 = 0xD2511F53u, multiplier_1 = 0xCD9E8D57u;
static const uint32_t weyl_0 = 0x9E3779B9u; /* golden ratio */
static const uint32_t weyl_1 = 0xBB67AE85u; /* sqrt(3) - 1 */

enum { ROUNDS = 10 };

/* Unrolled here, so that in a loop over counters each round becomes one of vectors, and what is
 * the same for all counters of the first rounds is done once. */
static inline void mix(uint32_t out[4], uint32_t x0, uint32_t x1, uint32_t x2, uint32_t x3,
                       uint32_t k0, uint32_t k1)
{
#pragma GCC unroll 10
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t product_0 = (uint64_t)multiplier_0 * x0;
        const uint64_t product_1 = (uint64_t)multiplier_1 * x2;
        x0 = (uint32_t)(product_1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)product_1;
        x2 = (uint32_t)(product_0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)product_0;
        k0 += weyl_0;
        k1 += weyl_1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    mix(out, counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
}

void philox4x32_run(uint32_t out[4 * PHILOX_RUN], const uint32_t counter[4],
                    const uint32_t second[PHILOX_RUN], const uint32_t key[2])
{
    const uint32_t c0 = counter[0], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int j = 0; j < PHILOX_RUN; j++) {
        uint32_t word[4];
        mix(word, c0, second[j], c2, c3, k0, k1);
        for (int w = 0; w < 4; w++)
            out[w * PHILOX_RUN + j] = word[w];
    }
}

#include "runtime/sample/philox.h"

static const uint32_t multiplier_0 = 0xD2511F53u, multiplier_1 = 0xCD9E8D57u;
static const uint32_t weyl_0 = 0x9E3779B9u; /* golden ratio */
static const uint32_t weyl_1 = 0xBB67AE85u; /* sqrt(3) - 1 */

enum { ROUNDS = 10 };

void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
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

/* The functions of kernels have the bits of those of the host. */
#include "kernels/math.h"
#include "runtime/sample/philox.h"
#include "runtime/sample/pick.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"
#include "tests/unit/kernels_cuda/functions.h"

#include <math.h>
#include <string.h>

enum { STEP = SANITIZED ? 60013 : 4001 }; /* of bits: no power of two, so that all of them change */

static void must_equal(const char *what, float x, float got, float want)
{
    if (!same_number(got, want))
        test_fail(__FILE__, __LINE__, "%s(%a) is %a, want %a", what, (double)x, (double)got,
                  (double)want);
}

TEST(exp_tanh_log_sin_and_cos_are_those_of_the_cpu)
{
    struct both both;
    both_open(&both); /* for its way with denormals */
    for (uint64_t i = 0; i <= UINT32_MAX; i += STEP) {
        const uint32_t bits = (uint32_t)i;
        float x, got[2], want[2];
        memcpy(&x, &bits, sizeof x);
        must_equal("exp", x, kernel_exp(x), math_exp(x));
        must_equal("tanh", x, kernel_tanh(x), math_tanh(x));
        must_equal("log", x, kernel_log(x), math_log(x));
        if (!(fabsf(x) <= 0x1p24f))
            continue;
        kernel_sincos(x, &got[0], &got[1]);
        math_sincos(x, &want[0], &want[1]);
        must_equal("sin", x, got[0], want[0]);
        must_equal("cos", x, got[1], want[1]);
    }
    both_close(&both);
}

TEST(noise_is_that_of_the_sampler_and_below_its_bound)
{
    for (uint64_t i = 0; i <= UINT32_MAX; i += STEP) {
        const uint32_t bits = i == 0 ? UINT32_MAX : (uint32_t)i;
        must_equal("gumbel", (float)bits, kernel_gumbel(bits), gumbel(bits));
        CHECK(kernel_gumbel(bits) <= kernel_gumbel_bound(bits));
    }
}

TEST(random_bits_are_those_of_the_sampler)
{
    const uint64_t seed = 0xfedcba9876543210u;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t got[4], want[4];
        const uint32_t counter[4] = {977 * i, 31 * i, NOISE_PICK, 0};
        kernel_noise_bits(got, seed, counter[0], counter[1]);
        philox4x32(want, counter, key);
        CHECK(memcmp(got, want, sizeof got) == 0);
    }
}

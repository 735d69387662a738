/* exp, tanh, log, sin and cos against long double over all of their range, in steps small enough to
 * meet every exponent many thousand times. */
#include "kernels/device.h"
#include "kernels/math.h"
#include "tests/test.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - want| in units of the last place of `want`. */
static double ulps(float got, long double want)
{
    int exponent;
    (void)frexpl(want, &exponent);
    const long double ulp = ldexpl(1, (exponent < -125 ? -125 : exponent) - 24);
    return (double)(fabsl((long double)got - want) / ulp);
}

static void check_ulps(const char *name, float x, float got, long double want)
{
    if (!(ulps(got, want) <= 2))
        test_fail(__FILE__, __LINE__, "%s(%a) is %a, want %La: %.2f ulp", name, (double)x,
                  (double)got, want, ulps(got, want));
}

TEST(exp_is_within_2_ulp)
{
    cpu_float_mode_set();
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 1009)
        for (int sign = 0; sign < 2; sign++) {
            const float x = of_bits(bits | (uint32_t)sign << 31);
            if (x >= -87.33f && x <= 88.72f)
                check_ulps("exp", x, math_exp(x), expl(x));
            else
                CHECK(math_exp(x) == (sign ? 0.0f : INFINITY));
        }
}

TEST(exp_at_its_limits)
{
    cpu_float_mode_set();
    CHECK(math_exp(0.0f) == 1);
    CHECK(math_exp(-0.0f) == 1);
    CHECK(math_exp(INFINITY) == INFINITY);
    CHECK(math_exp(-INFINITY) == 0 && !signbit(math_exp(-INFINITY)));
    CHECK(isnan(math_exp(NAN)));
    CHECK(math_exp(nextafterf(-87.33f, -INFINITY)) == 0);
    CHECK(math_exp(-87.33f) >= 0x1p-126f);
    CHECK(math_exp(nextafterf(88.72f, INFINITY)) == INFINITY);
    CHECK(math_exp(88.72f) < INFINITY);
}

TEST(tanh_is_within_2_ulp)
{
    cpu_float_mode_set();
    for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 1009)
        check_ulps("tanh", of_bits(bits), math_tanh(of_bits(bits)), tanhl(of_bits(bits)));
    for (uint32_t bits = 0x3e000000u; bits < 0x41200000u; bits += 31) /* 1/8 to 10 */
        check_ulps("tanh", of_bits(bits), math_tanh(of_bits(bits)), tanhl(of_bits(bits)));
}

/* Every float around both sides of the edge between the two ways; elsewhere pairs of neighbours. */
TEST(tanh_never_falls)
{
    cpu_float_mode_set();
    float last = 0;
    for (uint32_t bits = 0x3f1f0000u; bits < 0x3f210000u; bits++) {
        const float t = math_tanh(of_bits(bits));
        CHECK(t >= last);
        last = t;
    }
    for (uint32_t bits = 0x38000000u; bits < 0x41400000u; bits += 31)
        CHECK(math_tanh(of_bits(bits)) <= math_tanh(of_bits(bits + 1)));
}

TEST(tanh_at_its_limits_and_its_signs)
{
    cpu_float_mode_set();
    CHECK(math_tanh(INFINITY) == 1 && math_tanh(-INFINITY) == -1);
    CHECK(math_tanh(0x1p127f) == 1 && math_tanh(-0x1p127f) == -1);
    CHECK(math_tanh(0.0f) == 0 && !signbit(math_tanh(0.0f)));
    CHECK(math_tanh(-0.0f) == 0 && signbit(math_tanh(-0.0f)));
    CHECK(isnan(math_tanh(NAN)));
    for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 10007)
        CHECK(math_tanh(-of_bits(bits)) == -math_tanh(of_bits(bits)));
}

TEST(log_is_within_2_ulp)
{
    cpu_float_mode_set();
    for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 1013)
        check_ulps("log", of_bits(bits), math_log(of_bits(bits)), logl(of_bits(bits)));
    for (uint32_t bits = 0x3f780000u; bits < 0x3f880000u; bits += 3) /* around 1 */
        check_ulps("log", of_bits(bits), math_log(of_bits(bits)), logl(of_bits(bits)));
}

TEST(log_at_its_limits)
{
    cpu_float_mode_set();
    CHECK(math_log(1.0f) == 0);
    CHECK(math_log(0.0f) == -INFINITY);
    CHECK(math_log(-0.0f) == -INFINITY);
    CHECK(math_log(INFINITY) == INFINITY);
    CHECK(isnan(math_log(-1.0f)));
    CHECK(isnan(math_log(-INFINITY)));
    CHECK(isnan(math_log(NAN)));
}

static void check_sincos(float x)
{
    float sin, cos;
    math_sincos(x, &sin, &cos);
    check_ulps("sin", x, sin, sinl(x));
    check_ulps("cos", x, cos, cosl(x));
}

TEST(sin_and_cos_are_within_2_ulp_up_to_2_to_the_24)
{
    cpu_float_mode_set();
    for (uint32_t bits = 0x00800000u; bits <= 0x4b800000u; bits += 1019) {
        check_sincos(of_bits(bits));
        check_sincos(-of_bits(bits));
    }
    /* the floats nearest to multiples of pi / 2, where one of the two nearly vanishes */
    for (int n = 1; n < 10000000; n += n < 1000 ? 1 : 397)
        check_sincos((float)(n * 1.5707963267948966));
}

TEST(sin_and_cos_of_zero_and_nan)
{
    float sin, cos;
    math_sincos(0.0f, &sin, &cos);
    CHECK(sin == 0 && cos == 1);
    math_sincos(NAN, &sin, &cos);
    CHECK(isnan(sin) && isnan(cos));
}

/* Results of other machines and other versions are compared with ours bit by bit, so a change of
 * these functions that is still accurate is a change of the numerics (docs/numerics.md). */
static uint64_t hash_more(uint64_t hash, float x) /* FNV-1a over 32-bit words */
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (hash ^ bits) * 0x100000001b3u;
}

static void check_hash(uint64_t hash, uint64_t want)
{
    if (hash != want)
        test_fail(__FILE__, __LINE__, "the hash is %#llx", (unsigned long long)hash);
}

TEST(exp_log_sin_and_cos_keep_their_bits)
{
    cpu_float_mode_set();
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < 1u << 20; i++) {
        const float x = of_bits(i << 12 | (i * 2654435761u >> 20));
        float of_x[4] = {0, 0, 0, 0};
        if (x >= -100 && x <= 100)
            of_x[0] = math_exp(x);
        if (x >= 0x1p-126f && x < INFINITY)
            of_x[1] = math_log(x);
        if (fabsf(x) <= 0x1p24f)
            math_sincos(x, &of_x[2], &of_x[3]);
        for (int j = 0; j < 4; j++)
            hash = hash_more(hash, of_x[j]);
    }
    check_hash(hash, 0xa97ceb9a4340cc61u);
}

TEST(tanh_keeps_its_bits)
{
    cpu_float_mode_set();
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < 1u << 20; i++) {
        const float x = of_bits(i << 12 | (i * 2654435761u >> 20));
        if (x >= -10 && x <= 10)
            hash = hash_more(hash, math_tanh(x));
    }
    check_hash(hash, 0xc9cb7417d683c44du);
}

/* Conversions and functions that a GPU has instructions for: contracts in kernels/cuda/gpu.cuh. */
#include "tests/cuda_emulator/block.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

float emulated_f16_f32(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
    if (exponent == 31)
        return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) /* no denormal of float: 2^-24 at least */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t emulated_f32_f16(float f)
{
    const uint32_t bits = bits_of(f), magnitude = bits & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u)
        return 0x7fffu;           /* cvt gives this NaN for every NaN */
    if (magnitude >= 0x477ff000u) /* 65520: rounds to infinity */
        return sign | 0x7c00u;
    uint32_t shift = 13, fraction = magnitude;
    if (magnitude < 0x38800000u) { /* below 2^-14: a denormal half */
        const uint32_t exponent = magnitude >> 23;
        if (exponent < 102)
            return sign;
        shift = 126 - exponent;
        fraction = (magnitude & 0x7fffffu) | 0x800000u;
    } else {
        fraction -= 112u << 23;
    }
    const uint32_t half = 1u << (shift - 1), rest = fraction & ((half << 1) - 1);
    uint32_t rounded = fraction >> shift;
    if (rest > half || (rest == half && (rounded & 1u)))
        rounded++;
    return (uint16_t)(sign | rounded);
}

/* By the series of e^t around the nearest whole number, in double: no library whose last bit
 * depends on the machine. */
float emulated_exp2(float x)
{
    static const double factor[] = {1.0,         1.0,          1.0 / 2,      1.0 / 6,
                                    1.0 / 24,    1.0 / 120,    1.0 / 720,    1.0 / 5040,
                                    1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
    if (!(x < 128.0f))
        return x != x ? x : INFINITY;
    if (x < -126.0f)
        return 0.0f;
    const double whole = (double)x + 0x1.8p52 - 0x1.8p52; /* no fraction fits: it is rounded */
    const double t = ((double)x - whole) * 0.6931471805599453;
    double sum = 0.0, power;
    for (int n = 10; n >= 0; n--)
        sum = sum * t + factor[n];
    const uint64_t bits = (uint64_t)(1023 + (int)whole) << 52;
    memcpy(&power, &bits, sizeof power);
    return (float)(sum * power);
}

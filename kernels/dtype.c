/* Names and widths of the formats, and binary16, the only conversion too long for the header. */
#include "kernels/dtype.h"

#include "base/check.h"

static const struct {
    const char *name;
    size_t bits;
} formats[DTYPE_COUNT] = {
#define X(id, text, width) [DTYPE_##id] = {.name = text, .bits = width},
    DTYPES(X)
#undef X
};

const char *dtype_name(enum dtype dtype)
{
    check((unsigned)dtype < DTYPE_COUNT);
    return formats[dtype].name;
}

size_t dtype_bytes(enum dtype dtype)
{
    check((unsigned)dtype < DTYPE_COUNT);
    return formats[dtype].bits / 8;
}

/* Integers only: with denormals flushed to zero (kernels/device.h) float arithmetic would lose the
 * small ones. Every binary16 is a normal float32, zero, infinity or NaN. */
float f16_to_f32(uint16_t half)
{
    enum { BIAS = 127 - 15, MANTISSA_BITS = 10, EXPONENT_MAX = 31 };
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> MANTISSA_BITS) & EXPONENT_MAX;
    uint32_t mantissa = half & 0x3ffu;
    uint32_t bits = sign;

    if (exponent == EXPONENT_MAX) {
        /* infinity; a NaN becomes a quiet one, as the conversion instructions do */
        bits |= 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0);
    } else if (exponent != 0 || mantissa != 0) {
        if (exponent == 0) { /* denormal: shift its leading one to where a normal has it */
            const uint32_t shift = (uint32_t)__builtin_clz(mantissa) - 21;
            mantissa = (mantissa << shift) & 0x3ffu;
            exponent = 1 - shift; /* may wrap below zero; BIAS brings it back */
        }
        bits |= (exponent + BIAS) << 23 | mantissa << 13;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Adding `half` and the last bit that stays carries into the exponent where it must: the next
 * number above 2047 * 2^n is 2048 * 2^n, and above the largest comes infinity. */
static uint32_t round_shift(uint32_t bits, uint32_t n)
{
    const uint32_t half = (1u << (n - 1)) - 1;
    return (bits + half + (bits >> n & 1u)) >> n;
}

uint16_t f16_from_f32(float f)
{
    enum { BIAS = 127 - 15, SHIFT = 13, INFINITE = 0x7c00 };
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    const uint32_t exponent = magnitude >> 23;
    uint32_t half = INFINITE;
    if (magnitude > 0x7f800000u)
        half = INFINITE | 0x200u | (magnitude >> SHIFT & 0x1ffu);
    else if (exponent > BIAS && exponent < BIAS + 31)
        half = round_shift(magnitude - ((uint32_t)BIAS << 23), SHIFT);
    else if (exponent <= BIAS && exponent >= BIAS - 10) /* denormal, or rounds up to the least */
        half = round_shift((magnitude & 0x7fffffu) | 0x800000u, SHIFT + 1 + BIAS - exponent);
    else if (exponent < BIAS)
        half = 0;
    return (uint16_t)(sign | half);
}

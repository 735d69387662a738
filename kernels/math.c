/* exp and tanh are the vector code with one lane, so that the row kernels and this file have one
 * source.
 * log, sin and cos are needed a few times per row only: plain double arithmetic with series whose
 * coefficients are exact fractions, rounded to float32 once at the end. */
#include "kernels/math.h"

#define VEC_LANES 1
#include "kernels/cpu/vec_scalar.inc.h"

#include "kernels/cpu/exp.inc.h"

#include <stdint.h>
#include <string.h>

float math_exp(float x) { return vec_exp(vec_set(x)).lane[0]; }

float math_tanh(float x) { return vec_tanh(vec_set(x)).lane[0]; }

/* x = 2^n m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1),
 * |s| < 0.172: the first term left out, 2 s^13 / 13, is below 2^-37 of the result. */
float math_log(float x)
{
    if (!(x > 0))
        return x < 0 ? NAN : x == 0 ? -INFINITY : x;
    if (x == INFINITY)
        return x;
    enum { ROOT_HALF = 0x3f3504f3 };
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int32_t n = (bits - ROOT_HALF) >> 23;
    bits -= (int32_t)((uint32_t)n << 23);
    float m;
    memcpy(&m, &bits, sizeof m);

    const double s = ((double)m - 1) / ((double)m + 1), s2 = s * s;
    double p = 1.0 / 11;
    p = p * s2 + 1.0 / 9;
    p = p * s2 + 1.0 / 7;
    p = p * s2 + 1.0 / 5;
    p = p * s2 + 1.0 / 3;
    p = p * s2 + 1.0;
    return (float)(n * 0x1.62e42fefa39efp-1 + 2 * s * p);
}

/* x = n pi/2 + r, |r| <= pi/4: pi/2 in two parts, the first of 28 bits, so that n times it is
 * exact for |n| < 2^25. The series are those of Taylor; the first terms left out are below 2^-32
 * of the result. */
void math_sincos(float x, float *sin, float *cos)
{
    const double whole = 0x1.8p52;
    const double steps = (double)x * 0x1.45f306dc9c883p-1 + whole;
    const double n = steps - whole;
    const double r = ((double)x - n * 0x1.921fb54p+0) - n * 0x1.10b4611a62633p-30;
    const double r2 = r * r;

    double s = -1.0 / 39916800;
    s = s * r2 + 1.0 / 362880;
    s = s * r2 - 1.0 / 5040;
    s = s * r2 + 1.0 / 120;
    s = s * r2 - 1.0 / 6;
    s = r + r * r2 * s;
    double c = -1.0 / 3628800;
    c = c * r2 + 1.0 / 40320;
    c = c * r2 - 1.0 / 720;
    c = c * r2 + 1.0 / 24;
    c = c * r2 - 1.0 / 2;
    c = 1 + r2 * c;

    uint64_t quadrant; /* the low bits of n, also of a negative one */
    memcpy(&quadrant, &steps, sizeof quadrant);
    const double by_sin = quadrant & 1 ? c : s, by_cos = quadrant & 1 ? s : c;
    *sin = (float)(quadrant & 2 ? -by_sin : by_sin);
    *cos = (float)((quadrant + 1) & 2 ? -by_cos : by_cos);
}

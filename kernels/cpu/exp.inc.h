/* kernels/cpu/exp.inc.h: exp and tanh over `struct vec`, one source for all levels and for math.c.
 * Include one of vec_*.inc.h first.
 *
 * exp: x = n ln 2 + r with |r| <= ln(2) / 2: n from the low bits of x / ln 2 + 1.5 * 2^23, r in two
 * steps (Cody & Waite 1980) whose first is exact, then exp(r) = 1 + r + r^2 q(r) and 2^n into the
 * exponent. q has degree 4: Chebyshev interpolation of (exp(r) - 1 - r) / r^2 on that range,
 * rounded to float32; its own error is 1.1e-8 relative, a sixth of a half ulp.
 *
 * tanh: x + x^3 q(x^2) below 0.625 with q of degree 5, found in the same way (its own error is
 * 4.3e-9), and 1 - 2 / (exp(2 |x|) + 1) from there on, where nothing cancels. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif

static inline struct vec vec_exp(struct vec x)
{
    const struct vec lowest = vec_set(-87.33f), highest = vec_set(88.72f);
    const struct vec whole = vec_set(0x1.8p23f), one = vec_set(1.0f);
    const struct vec inside = vec_min(vec_max(x, lowest), highest);

    const struct vec steps = vec_fma(inside, vec_set(0x1.715476p0f), whole);
    const struct vec minus_n = vec_sub(whole, steps);
    struct vec r = vec_fma(minus_n, vec_set(0x1.62e43p-1f), inside);
    r = vec_fma(minus_n, vec_set(-0x1.05c61p-29f), r);

    struct vec p = vec_set(0x1.6d1116p-10f);
    p = vec_fma(p, r, vec_set(0x1.120b7cp-7f));
    p = vec_fma(p, r, vec_set(0x1.55551ap-5f));
    p = vec_fma(p, r, vec_set(0x1.5554dcp-3f));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, one);
    p = vec_fma(p, r, one);
    p = vec_add_exponent(p, steps);

    p = vec_if_less(x, lowest, vec_set(0.0f), p);
    p = vec_if_less(highest, x, vec_set(INFINITY), p);
    return vec_if_nan(x, x, p);
}

static inline struct vec vec_tanh(struct vec x)
{
    const struct vec zero = vec_set(0.0f), one = vec_set(1.0f), two = vec_set(2.0f);
    const struct vec size = vec_max(x, vec_sub(zero, x));

    const struct vec e = vec_exp(vec_add(size, size));
    struct vec far = vec_sub(one, vec_div(two, vec_add(e, one)));
    far = vec_if_less(x, zero, vec_sub(zero, far), far);

    const struct vec z = vec_mul(x, x);
    struct vec q = vec_set(0x1.2c83cp-9f);
    q = vec_fma(q, z, vec_set(-0x1.116a16p-7f));
    q = vec_fma(q, z, vec_set(0x1.64a976p-6f));
    q = vec_fma(q, z, vec_set(-0x1.ba08c4p-5f));
    q = vec_fma(q, z, vec_set(0x1.1110eap-3f));
    q = vec_fma(q, z, vec_set(-0x1.555556p-2f));
    const struct vec cube = vec_mul(x, z);
    struct vec near = vec_fma(cube, q, x);      /* one rounding at the end: it never falls */
    near = vec_if_less(zero, size, near, cube); /* -0 stays -0 */
    return vec_if_less(size, vec_set(0.625f), near, far);
}

static inline struct vec vec_softcap(struct vec x, struct vec cap)
{
    return vec_mul(cap, vec_tanh(vec_div(x, cap)));
}

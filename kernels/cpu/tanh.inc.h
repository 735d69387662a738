/* kernels/cpu/tanh.inc.h: tanh over `struct vec`, one source for all levels and for math.c.
 * Include one of vec_*.inc.h first.
 *
 * Of |x|, with the sign put back: below 0.625 x + x^3 q(x^2), elsewhere 1 - 2 / (exp(2 |x|) + 1),
 * where the difference loses nothing. q has degree 5: Chebyshev interpolation of
 * (tanh(x) - x) / x^3 in x^2 on that range, rounded to float32; its own error is 4.3e-9 relative,
 * a seventh of a half ulp. */
#pragma once
#include "kernels/cpu/exp.inc.h"

static inline struct vec vec_tanh(struct vec x)
{
    const struct vec zero = vec_set(0.0f), one = vec_set(1.0f), edge = vec_set(0.625f);
    const struct vec size = vec_max(x, vec_sub(zero, x)), square = vec_mul(size, size);

    struct vec q = vec_set(0x1.2c83cp-9f);
    q = vec_fma(q, square, vec_set(-0x1.116a16p-7f));
    q = vec_fma(q, square, vec_set(0x1.64a976p-6f));
    q = vec_fma(q, square, vec_set(-0x1.ba08c4p-5f));
    q = vec_fma(q, square, vec_set(0x1.1110eap-3f));
    q = vec_fma(q, square, vec_set(-0x1.555556p-2f));
    const struct vec small = vec_fma(vec_mul(size, square), q, size);

    const struct vec e = vec_exp(vec_add(size, size));
    const struct vec large = vec_sub(one, vec_div(vec_set(2.0f), vec_add(e, one)));

    const struct vec t = vec_if_less(size, edge, small, large);
    return vec_if_nan(x, x, vec_if_less(x, zero, vec_sub(zero, t), t));
}

/* cap * tanh(x / cap) */
static inline struct vec vec_softcap(struct vec x, struct vec cap)
{
    return vec_mul(cap, vec_tanh(vec_div(x, cap)));
}

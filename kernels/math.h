/* kernels/math.h: exp, tanh, log, sin and cos of the numeric path.
 *
 * libm chooses its functions by CPU, so two machines differ in the last bit. These are plain
 * float32 operations in a fixed order with FMA where written: the same bits on every level and
 * every machine. Valid with flush-to-zero on; NaN gives NaN.
 */
#pragma once

float math_exp(float x);  /* <= 2 ulp; +0 below -87.33, +inf above 88.72 */
float math_tanh(float x); /* <= 2 ulp; of the sign of x; never falls where x rises */
float math_log(float x);  /* <= 2 ulp for normal x > 0; -inf at 0, NaN below */
/* cos and sin for |x| <= 2^24; reduced in double, <= 2 ulp. */
void math_sincos(float x, float *sin, float *cos);

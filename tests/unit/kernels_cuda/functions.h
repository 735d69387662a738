/* tests/unit/kernels_cuda/functions.h: functions of kernels that depend on no thread, for the host.
 */
#pragma once
#include <stdint.h>

float kernel_exp(float x);
float kernel_tanh(float x);
float kernel_log(float x);
void kernel_sincos(float x, float *sin, float *cos);
float kernel_gumbel(uint32_t bits);
float kernel_gumbel_bound(uint32_t bits);
void kernel_noise_bits(uint32_t out[4], uint64_t seed, uint32_t position, uint32_t group);

#include "kernels/cuda/math.cuh"
#include "kernels/cuda/pick_noise.cuh"

extern "C" {
#include "tests/unit/kernels_cuda/functions.h"

float kernel_exp(float x) { return gpu_exp(x); }
float kernel_tanh(float x) { return gpu_tanh(x); }
float kernel_log(float x) { return gpu_log(x); }
void kernel_sincos(float x, float *sin, float *cos) { gpu_sincos(x, sin, cos); }
float kernel_gumbel(uint32_t bits) { return gumbel(bits); }
float kernel_gumbel_bound(uint32_t bits) { return gumbel_bound(bits); }

void kernel_noise_bits(uint32_t out[4], uint64_t seed, uint32_t position, uint32_t group)
{
    struct noise_key key;
    key.seed[0] = (uint32_t)seed;
    key.seed[1] = (uint32_t)(seed >> 32);
    key.position = position;
    noise_bits(out, key, group);
}
}

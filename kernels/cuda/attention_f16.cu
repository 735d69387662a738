#include "kernels/cuda/attention_kernel.cuh"

void attention_f16(struct device *device, const struct attention_launch &a)
{
    launch_attention<struct cache_f16>(device, a);
}

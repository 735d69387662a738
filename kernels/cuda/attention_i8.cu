#include "kernels/cuda/attention_kernel.cuh"

void attention_i8(struct device *device, const struct attention_launch &a)
{
    launch_attention<struct cache_i8>(device, a);
}

#include "kernels/cuda/attention_kernel.cuh"

void attention_bf16(struct device *device, const struct attention_launch &a)
{
    launch_attention<struct cache_bf16>(device, a);
}

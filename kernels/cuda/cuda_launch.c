/* Kernels of the real runtime. */
#include "base/check.h"
#include "kernels/cuda/cuda_state.h"

enum {
    SHARED_BY_DEFAULT = 48 * 1024, /* of a block, for a kernel that was not asked to have more */
    STARTS_EARLY = 90,             /* from this architecture on; gpu_begin() of gpu.cuh */
};

/* May the kernel use so much? Asked of the runtime once for every new maximum. */
static bool allow_shared(struct cuda_device *cuda, const char *name, const void *kernel,
                         size_t shared_bytes)
{
    if (shared_bytes <= SHARED_BY_DEFAULT)
        return true;
    int i = 0;
    while (i < cuda->n_kernels && cuda->kernel[i].kernel != kernel)
        i++;
    if (i == cuda->n_kernels) {
        check(cuda->n_kernels < CUDA_MAX_KERNELS);
        cuda->kernel[cuda->n_kernels++] = (struct cuda_kernel){.kernel = kernel};
    }
    if (cuda->kernel[i].shared_bytes >= shared_bytes)
        return true;
    cuda->kernel[i].shared_bytes = shared_bytes;
    return cuda_keep(&cuda->device, name,
                     cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          (int)shared_bytes));
}

void cuda_launch(struct device *device, const char *name, const void *kernel, dim3 grid, dim3 block,
                 size_t shared_bytes, void **args)
{
    struct cuda_device *cuda = cuda_of(device);
    if (cuda_failed(device) || !allow_shared(cuda, name, kernel, shared_bytes))
        return;
    cudaLaunchAttribute early = {.id = cudaLaunchAttributeProgrammaticStreamSerialization};
    early.val.programmaticStreamSerializationAllowed = 1;
    const cudaLaunchConfig_t config = {.gridDim = grid,
                                       .blockDim = block,
                                       .dynamicSmemBytes = shared_bytes,
                                       .stream = cuda->stream,
                                       .attrs = &early,
                                       .numAttrs = cuda->architecture >= STARTS_EARLY ? 1 : 0};
    cuda_keep(device, name, cudaLaunchKernelExC(&config, kernel, args));
}

#include "tests/unit/cuda_emulator/kernels.h"

#include "kernels/cuda/gpu.cuh"

static __global__ void reverse(struct reverse_args args)
{
    if (args.fault != NO_BEGIN)
        gpu_begin();
    SHARED(int, row, EMULATED_MAX_THREADS);
    const unsigned t = threadIdx.x, n = blockDim.x;
    int *const at = row;
    row[t] = (int)(t + blockIdx.x);
    if (args.fault == WRITE_BEHIND_SHARED)
        at[n * 8 + t / WARP] = 1; /* of 128 threads: the array has 1024 */
    if (args.fault == HALF_AT_BARRIER && t < n / 2)
        return;
    if (args.fault == TWO_BARRIERS && t < n / 2)
        __syncthreads();
    else if (args.fault != NO_BARRIER)
        __syncthreads();
    args.out[blockIdx.x * n + t] = row[n - 1 - t];
}

cudaError_t start_reverse(const struct reverse_args *args, dim3 grid, dim3 block)
{
    return emulated_launch("reverse", reverse, grid, block, 0, nullptr, *args);
}

static __global__ void rotate(struct rotate_args args)
{
    gpu_begin();
    SHARED(float, row, WARP);
    const unsigned t = threadIdx.x;
    row[t] = args.from[t];
    if (args.fault == HALF_SHUFFLES && t < WARP / 2)
        return;
    if (args.fault == HALF_SHUFFLES || args.fault == FOREIGN_SHUFFLE) {
        const unsigned mask = args.fault == FOREIGN_SHUFFLE ? 0xffff0000u : 0xffffffffu;
        if (t >= WARP / 2)
            args.out[t] = __shfl_xor_sync(mask, row[t], WARP / 2);
        return;
    }
    if (args.fault != NO_WARP_BARRIER)
        __syncwarp();
    args.out[t] = row[(t + 1) % WARP];
}

cudaError_t start_rotate(const struct rotate_args *args)
{
    return emulated_launch("rotate", rotate, 1, WARP, 0, nullptr, *args);
}

static __global__ void stream(struct stream_args args)
{
    gpu_begin();
    DYNAMIC_SHARED(uint4, stage); /* [2, n_threads] */
    const int t = (int)threadIdx.x, n = (int)blockDim.x;
    const uint4 *from = reinterpret_cast<const uint4 *>(args.from);
    uint32_t sum = 0;
    if (args.fault == COPY_TO_GLOBAL)
        gpu_copy_async(args.out, from, true);
    if (args.fault == COPY_MISALIGNED)
        gpu_copy_async(stage, args.from + 1, true);
    gpu_copy_async(&stage[t], &from[t], t < args.n_valid);
    gpu_copy_commit();
    for (int step = 0; step < args.n_steps; step++) {
        if (step + 1 < args.n_steps)
            gpu_copy_async(&stage[(step + 1) % 2 * n + t], &from[(step + 1) * n + t],
                           t < args.n_valid);
        gpu_copy_commit();
        if (args.fault != NO_WAIT)
            gpu_copy_wait<1>();
        sum += stage[step % 2 * n + t].x;
    }
    args.out[t] = sum;
}

cudaError_t start_stream(const struct stream_args *args, int n_threads)
{
    return emulated_launch("stream", stream, 1, (unsigned)n_threads,
                           2 * sizeof(uint4) * (size_t)n_threads, nullptr, *args);
}

/* As gpu.cuh describes the fragments. */
template <class Format> static __device__ void multiply(const mma_args &args)
{
    const int lane = (int)threadIdx.x, g = lane / 4, i = lane % 4 * 2;
    uint32_t a[4], b[2];
    if (args.through_shared) {
        SHARED(__align__(16) uint16_t, at, 16 * 16);
        SHARED(__align__(16) uint16_t, bt, 16 * 8);
        for (int j = lane; j < 16 * 16; j += WARP)
            at[j] = args.a[j];
        for (int j = lane; j < 16 * 8; j += WARP)
            bt[j] = args.b[j];
        __syncwarp();
        uint32_t columns[4];
        gpu_load_matrix(a, &at[(lane % 8 + lane / 8 % 2 * 8) * 16 + lane / 16 * 8]);
        gpu_load_matrix_transposed(columns, &bt[lane % 16 * 8]);
        b[0] = columns[0];
        b[1] = columns[1];
    } else {
        const auto pair = [](uint16_t low, uint16_t high) { return low | (uint32_t)high << 16; };
        for (int r = 0; r < 4; r++) {
            const uint16_t *from = &args.a[(g + r % 2 * 8) * 16 + i + r / 2 * 8];
            a[r] = pair(from[0], from[1]);
        }
        for (int r = 0; r < 2; r++)
            b[r] = pair(args.b[(i + r * 8) * 8 + g], args.b[(i + r * 8 + 1) * 8 + g]);
    }
    float d[4] = {0, 0, 0, 0};
    gpu_mma(Format(), d, a, b);
    for (int r = 0; r < 4; r++)
        args.out[(g + r / 2 * 8) * 8 + i + r % 2] = d[r];
}

static __global__ void mma(struct mma_args args)
{
    gpu_begin();
    if (args.is_f16)
        multiply<gpu_f16>(args);
    else
        multiply<gpu_bf16>(args);
}

cudaError_t start_mma(const struct mma_args *args)
{
    return emulated_launch("mma", mma, 1, WARP, 0, nullptr, *args);
}

static __global__ void shuffles(struct shuffles_args args)
{
    gpu_begin();
    const int lane = (int)threadIdx.x;
    const long long v = 1000 + lane;
    args.xor_5[lane] = __shfl_xor_sync(0xffffffffu, v, 5);
    args.up_3[lane] = __shfl_up_sync(0xffffffffu, v, 3);
    args.down_3[lane] = __shfl_down_sync(0xffffffffu, v, 3);
    args.from_7[lane] = __shfl_sync(0xffffffffu, v, 7);
    args.within_8[lane] = __shfl_sync(0xffffffffu, v, 2, 8);
    args.odd[lane] = __ballot_sync(0xffffffffu, lane % 2);
    args.sum[lane] = gpu_warp_sum((float)lane + 1.0f);
    args.any[lane] = __any_sync(0xffffffffu, lane == 31);
    args.all[lane] = __all_sync(0xffffffffu, lane >= 0);
}

cudaError_t start_shuffles(const struct shuffles_args *args)
{
    return emulated_launch("shuffles", shuffles, 1, WARP, 0, nullptr, *args);
}

static __global__ void indices(struct indices_args args)
{
    gpu_begin();
    const unsigned t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const unsigned b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned i = b * blockDim.x * blockDim.y * blockDim.z + t;
    const unsigned all[6] = {threadIdx.x, threadIdx.y, threadIdx.z,
                             blockIdx.x,  blockIdx.y,  blockIdx.z};
    for (int j = 0; j < 6; j++)
        args.indices[6 * i + (unsigned)j] = all[j];
    atomicAdd(&args.counters[0], 1);
    atomicMax(&args.counters[1], (int)i);
}

cudaError_t start_indices(const struct indices_args *args, dim3 grid, dim3 block)
{
    return emulated_launch("indices", indices, grid, block, 0, nullptr, *args);
}

static __global__ void leftovers(struct leftovers_args args)
{
    gpu_begin();
    DYNAMIC_SHARED(uint32_t, words);
    for (int i = (int)threadIdx.x; i < args.n_words; i += (int)blockDim.x) {
        args.out[(int)blockIdx.x * args.n_words + i] = words[i];
        words[i] = 0;
    }
}

cudaError_t start_leftovers(const struct leftovers_args *args, int n_blocks, size_t shared_bytes)
{
    return emulated_launch("leftovers", leftovers, (unsigned)n_blocks, 64, shared_bytes, nullptr,
                           *args);
}

static __global__ void scale(struct scale_args args)
{
    gpu_begin();
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < args.n)
        args.out[args.at + i] = args.x[i] * args.factor;
}

cudaError_t start_scale(cudaStream_t stream, const struct scale_args *args)
{
    return emulated_launch("scale", scale, (unsigned)(args->n + 63) / 64, 64, 0, stream, *args);
}

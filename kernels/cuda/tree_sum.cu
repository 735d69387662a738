/* A thread adds up one column of all parts, or four beside each other where rows are aligned:
 * memory is all that it waits for. The tree over 2, 4, 8 or 16 parts, one a rank, is one that the
 * compiler knows, so all loads are under way at once; any other tree is a program with a stack. */
#include "kernels/cuda/tree_sum.h"

#include "kernels/cuda/progress.cuh"

namespace
{

constexpr unsigned THREADS = 256;
constexpr unsigned MAX_BLOCKS = 4096; /* a thread then takes several columns */
constexpr int MAX_DEPTH = 6; /* sums on the stack over MAX_LEAVES parts, and one to spare */

__device__ inline float add(float a, float b) { return a + b; }

__device__ inline float4 add(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

/* n_columns of type T: floats, or four of them. */
template <class T> struct columns_args {
    T *sum;
    const T *parts; /* [n_parts, n_columns] */
    unsigned n_columns;
    int n_parts;
    struct progress progress;
    signed char n_merges[MAX_LEAVES];
};

/* The full binary tree over n parts. */
template <int n> struct full_tree {
    template <class T> static __device__ inline T sum(const T *part)
    {
        return add(full_tree<n / 2>::sum(part), full_tree<n / 2>::sum(part + n / 2));
    }
};

template <> struct full_tree<1> {
    template <class T> static __device__ inline T sum(const T *part) { return part[0]; }
};

template <class T, int n> __global__ void tree_sum_full(columns_args<T> args)
{
    gpu_begin();
    progress_tell(args.progress);
    const unsigned step = gridDim.x * THREADS;
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < args.n_columns; i += step) {
        T part[n];
#pragma unroll
        for (int p = 0; p < n; p++)
            part[p] = args.parts[(size_t)p * args.n_columns + i];
        args.sum[i] = full_tree<n>::sum(part);
    }
}

template <class T> __global__ void tree_sum_program(columns_args<T> args)
{
    gpu_begin();
    progress_tell(args.progress);
    const unsigned step = gridDim.x * THREADS;
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < args.n_columns; i += step) {
        T stack[MAX_DEPTH];
        int n = 0;
        for (int p = 0; p < args.n_parts; p++) {
            T top = args.parts[(size_t)p * args.n_columns + i];
            for (int merge = 0; merge < args.n_merges[p]; merge++)
                top = add(stack[--n], top);
            stack[n++] = top;
        }
        args.sum[i] = stack[0];
    }
}

/* As many merges after part p as the binary number p ends in ones. */
bool is_full_tree(const struct tree_sum_args *args)
{
    for (int p = 0; p < args->n_parts; p++) {
        int ones = 0;
        while (p >> ones & 1)
            ones++;
        if (args->n_merges[p] != ones)
            return false;
    }
    return true;
}

template <class T> void (*kernel_of(const struct tree_sum_args *args))(columns_args<T>)
{
    if (is_full_tree(args)) {
        switch (args->n_parts) {
        case 2:
            return tree_sum_full<T, 2>;
        case 4:
            return tree_sum_full<T, 4>;
        case 8:
            return tree_sum_full<T, 8>;
        case 16:
            return tree_sum_full<T, 16>;
        }
    }
    return tree_sum_program<T>;
}

template <class T>
void start(struct device *device, const struct tree_sum_args *args, unsigned n_columns)
{
    columns_args<T> columns = {};
    columns.sum = reinterpret_cast<T *>(args->sum);
    columns.parts = reinterpret_cast<const T *>(args->parts);
    columns.n_columns = n_columns;
    columns.n_parts = args->n_parts;
    columns.progress = cuda_progress_take(device);
    for (int p = 0; p < args->n_parts; p++)
        columns.n_merges[p] = (signed char)args->n_merges[p];
    const unsigned n_blocks = (n_columns + THREADS - 1) / THREADS;
    gpu_launch(device, "tree_sum", kernel_of<T>(args),
               dim3(n_blocks < MAX_BLOCKS ? n_blocks : MAX_BLOCKS), dim3(THREADS), 0, columns);
}

bool is_aligned(const void *p) { return reinterpret_cast<uintptr_t>(p) % sizeof(float4) == 0; }

} // namespace

void cuda_tree_sum(struct device *device, const struct tree_sum_args *args)
{
    if (args->count == 0)
        return;
    if (args->count % 4 == 0 && is_aligned(args->sum) && is_aligned(args->parts))
        start<float4>(device, args, (unsigned)(args->count / 4));
    else
        start<float>(device, args, (unsigned)args->count);
}

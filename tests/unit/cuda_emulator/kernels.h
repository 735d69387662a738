/* tests/unit/cuda_emulator/kernels.h: small kernels, right ones and wrong ones.
 *
 * start_X() queues kernel X on the default stream and gives what the runtime says.
 */
#pragma once
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is wrong with a kernel. */
enum fault {
    NO_FAULT,
    NO_BARRIER,
    NO_WARP_BARRIER,
    NO_WAIT,         /* for copies */
    NO_BEGIN,        /* no gpu_begin() */
    HALF_AT_BARRIER, /* the other half ends */
    TWO_BARRIERS,    /* halves at different ones */
    HALF_SHUFFLES,   /* the other half of the warp ends */
    FOREIGN_SHUFFLE, /* from a lane that takes no part */
    WRITE_BEHIND_SHARED,
    COPY_TO_GLOBAL,
    COPY_MISALIGNED,
};

/* [n_blocks, n_threads] out: the rows of each block reversed, plus the block. Threads write to
 * shared memory, wait, and read what others wrote. */
struct reverse_args {
    int *out;
    enum fault fault;
};
cudaError_t start_reverse(const struct reverse_args *args, dim3 grid, dim3 block);

/* One warp: thread t writes from[t + 1] ... through shared memory to out[t]. */
struct rotate_args {
    float *out;        /* [32] */
    const float *from; /* [32] */
    enum fault fault;
};
cudaError_t start_rotate(const struct rotate_args *args);

/* [n_threads] words of 16 bytes from global memory through gpu_copy_async(), doubled buffering over
 * n steps: out[t] is the sum of from[step][t]. */
struct stream_args {
    uint32_t *out;        /* [n_threads] */
    const uint32_t *from; /* [n_steps, n_threads, 4], of which the first word counts */
    int n_steps;
    int n_valid; /* threads; the others get zeros */
    enum fault fault;
};
cudaError_t start_stream(const struct stream_args *args, int n_threads);

/* out = a b, bf16 or f16 bits, by one warp: a row-major, b row-major. */
struct mma_args {
    float *out;            /* [16, 8] */
    const uint16_t *a, *b; /* [16, 16], [16, 8] */
    bool is_f16;
    bool through_shared; /* fragments by gpu_load_matrix() */
};
cudaError_t start_mma(const struct mma_args *args);

/* Of each lane what the shuffles and votes give it. */
struct shuffles_args {
    int64_t *xor_5, *up_3, *down_3, *from_7, *within_8; /* [32]: 1000 + lane shuffled */
    uint32_t *odd;                                      /* [32]: the ballot of odd lanes */
    float *sum;                                         /* [32]: of lane + 1 */
    int *any, *all;                                     /* [32]: lane is 31; lane is not negative */
};
cudaError_t start_shuffles(const struct shuffles_args *args);

/* counters[0] += 1, [1] = max of the linear thread, by every thread of the grid; indices[i] gets x,
 * y, z of thread and block. */
struct indices_args {
    int *counters;     /* [2] */
    unsigned *indices; /* [n_threads of the grid, 6] */
};
cudaError_t start_indices(const struct indices_args *args, dim3 grid, dim3 block);

/* out[i] = dynamic shared memory as a block finds it, which is [n_words]; then it leaves zeros. */
struct leftovers_args {
    uint32_t *out; /* [n_blocks, n_words] */
    int n_words;
};
cudaError_t start_leftovers(const struct leftovers_args *args, int n_blocks, size_t shared_bytes);

/* out[at + i] = x[i] * factor, float32, for i from 0 to n. */
struct scale_args {
    float *out;
    const float *x;
    float factor;
    int n, at;
};
cudaError_t start_scale(cudaStream_t stream, const struct scale_args *args);

#ifdef __cplusplus
}
#endif

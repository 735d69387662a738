/* tests/unit/cuda_emulator/kernels.h: kernels with planted faults. */
#pragma once
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif
struct reverse_args {
    int *out;
    bool with_barrier;
};
void start_reverse(const struct reverse_args *args, int n_blocks, int n_threads);
struct mma_args {
    float *out;
    int n;
};
void start_mma(const struct mma_args *args, int n_blocks, int n_threads);
#ifdef __cplusplus
}
#endif

/* tests/cuda_emulator/block.h: one block of a kernel, as fibers of the calling host thread.
 *
 * A thread runs until it waits for others. Then one that can run goes on, of the same warp as
 * long as there is one: a warp that needs nobody runs far ahead of the others, which is what a
 * missing barrier cannot stand. Order is drawn anew whenever threads have waited for each other.
 */
#pragma once
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EMULATED_WARP = 32, EMULATED_MAX_THREADS = 1024, EMULATED_MAX_SHARED_BYTES = 227 * 1024 };

struct emulated_block {
    const char *kernel; /* its name */
    dim3 index, dim, grid;
};

struct emulated_thread {
    dim3 index;
    int lane;
    bool begun; /* gpu_begin() was called */
    const struct emulated_block *block;
};
/* The thread that runs now. In memory that a loaded module may use as well, but reached without a
 * call: a module has no more than this one. */
extern __thread struct emulated_thread *emulated_self __attribute__((tls_model("initial-exec")));

/* ---- start ---- */

struct emulated_start {
    const char *name; /* a literal */
    void (*run_thread)(const void *closure);
    dim3 grid, block;
    size_t shared_bytes;
};
/* Queues a kernel; the closure is copied. cudaErrorInvalidConfiguration as a GPU has it: an empty
 * grid or block, more than 1024 threads, more shared memory than there is. */
cudaError_t emulated_start_kernel(cudaStream_t stream, const struct emulated_start *start,
                                  const void *closure, size_t n_bytes);

/* Runs all blocks now. */
void emulated_run_kernel(const struct emulated_start *start, const void *closure);

/* Stops the process with a message about the kernel that runs. */
void emulated_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- of all threads of the block ---- */

void emulated_barrier(int line); /* of the source, to tell one barrier from another */

/* ---- of the lanes in mask ---- */

/* When all lanes of the mask wait for the same thing, finish() does it for all of them: operands
 * by lane, those of other lanes are not valid. */
struct emulated_collective_kind {
    const char *name;
    void (*finish)(void *const operands[EMULATED_WARP], uint32_t mask);
};
void emulated_collective(const struct emulated_collective_kind *kind, uint32_t mask, void *operand,
                         int line);

struct emulated_shuffle_operand {
    uint64_t value; /* given, then received */
    uint64_t received;
    int source; /* lane */
};
struct emulated_mma_operand {
    float a[8], b[4]; /* the pairs of the fragments, low half first */
    float *d;         /* [4] */
};
struct emulated_matrix_operand {
    const void *row;
    bool transposed;
    uint32_t *r; /* [4] */
};
extern const struct emulated_collective_kind emulated_warp_barrier; /* no operand */
extern const struct emulated_collective_kind emulated_warp_shuffle; /* shuffle_operand */
extern const struct emulated_collective_kind emulated_warp_ballot;  /* uint32_t, vote in, all out */
extern const struct emulated_collective_kind emulated_warp_mma;     /* mma_operand */
extern const struct emulated_collective_kind emulated_warp_load_matrix; /* matrix_operand */

/* ---- shared memory ---- */

void *emulated_shared(const char *name, const char *key, size_t n_bytes, size_t alignment);
void *emulated_dynamic_shared(void);

void emulated_copy_async(void *shared, const void *from, bool valid);
void emulated_copy_commit(void);
void emulated_copy_wait(int n_latest);

/* ---- numbers ---- */

float emulated_exp2(float x);
float emulated_f16_f32(uint16_t bits);
uint16_t emulated_f32_f16(float f);

#ifdef __cplusplus
}
#endif

/* tests/cuda_emulator/threads.inc.h: what kernels compiled by a host compiler are written in:
 * the second bodies of kernels/cuda/gpu.cuh. C++, the tail of cuda_emulator.h.
 */
#include "tests/cuda_emulator/block.h"

#include <cuda_runtime.h>
#include <string.h>
#include <type_traits>

#define threadIdx (emulated_self->index)
#define blockIdx  (emulated_self->block->index)
#define blockDim  (emulated_self->block->dim)
#define gridDim   (emulated_self->block->grid)

/* An array is known by the address of its own static byte; each thread that comes by gets the
 * same place. */
#define SHARED(type, name, n)                          \
    static char name##_key;                            \
    typedef type name##_array[n];                      \
    name##_array &name = *static_cast<name##_array *>( \
        emulated_shared(#name, &name##_key, sizeof(name##_array), alignof(name##_array)))
#define DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(emulated_dynamic_shared())

/* ---- barriers ---- */

static inline void __syncthreads(int line = __builtin_LINE()) { emulated_barrier(line); }
static inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE())
{
    emulated_collective(&emulated_warp_barrier, mask, nullptr, line);
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}

/* ---- shuffles ---- */

template <class T>
static inline T emulated_shuffle(unsigned mask, T value, int source, int width, int line)
{
    static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "shuffles move numbers of 32 or 64 bits");
    struct emulated_shuffle_operand operand = {};
    memcpy(&operand.value, &value, sizeof value);
    operand.source = source;
    (void)width;
    emulated_collective(&emulated_warp_shuffle, mask, &operand, line);
    memcpy(&value, &operand.value, sizeof value);
    return value;
}

/* The sources are those of CUDA: within segments of `width` lanes; one outside means oneself. */
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                            int line = __builtin_LINE())
{
    const int lane = emulated_self->lane;
    return emulated_shuffle(mask, value, (lane & -width) + (source & (width - 1)), width, line);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32,
                                int line = __builtin_LINE())
{
    const int lane = emulated_self->lane, source = lane ^ distance;
    return emulated_shuffle(mask, value, source < (lane & -width) + width ? source : lane, width,
                            line);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                               int line = __builtin_LINE())
{
    const int lane = emulated_self->lane, source = lane - (int)distance;
    return emulated_shuffle(mask, value, source >= (lane & -width) ? source : lane, width, line);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                                 int line = __builtin_LINE())
{
    const int lane = emulated_self->lane, source = lane + (int)distance;
    return emulated_shuffle(mask, value, source < (lane & -width) + width ? source : lane, width,
                            line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    uint32_t votes = predicate != 0;
    emulated_collective(&emulated_warp_ballot, mask, &votes, line);
    return votes;
}
static inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    return __ballot_sync(mask, predicate, line) != 0;
}
static inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    return __ballot_sync(mask, !predicate, line) == 0;
}

/* ---- atomics: no two threads run at once, so these are plain. All return what was there. ---- */

template <class T> static inline T emulated_replace(T *at, T value)
{
    const T before = *at;
    *at = value;
    return before;
}
#define EMULATED_ATOMICS(T)                                                              \
    static inline T atomicAdd(T *at, T v) { return emulated_replace(at, (T)(*at + v)); } \
    static inline T atomicExch(T *at, T v) { return emulated_replace(at, v); }
#define EMULATED_INTEGER_ATOMICS(T)                                                           \
    EMULATED_ATOMICS(T)                                                                       \
    static inline T atomicMax(T *at, T v) { return emulated_replace(at, *at < v ? v : *at); } \
    static inline T atomicMin(T *at, T v) { return emulated_replace(at, v < *at ? v : *at); } \
    static inline T atomicAnd(T *at, T v) { return emulated_replace(at, *at & v); }           \
    static inline T atomicOr(T *at, T v) { return emulated_replace(at, *at | v); }            \
    static inline T atomicCAS(T *at, T old, T v)                                              \
    {                                                                                         \
        return emulated_replace(at, *at == old ? v : *at);                                    \
    }
EMULATED_INTEGER_ATOMICS(int)
EMULATED_INTEGER_ATOMICS(unsigned)
EMULATED_INTEGER_ATOMICS(unsigned long long)
EMULATED_ATOMICS(float)
#undef EMULATED_INTEGER_ATOMICS
#undef EMULATED_ATOMICS

/* ---- the bodies of gpu.cuh ---- */

static inline void emulated_begin() { emulated_self->begun = true; }

template <class Widen>
static inline void emulated_mma(float d[4], const uint32_t a[4], const uint32_t b[2], Widen widen)
{
    struct emulated_mma_operand operand;
    for (int r = 0; r < 4; r++) {
        operand.a[2 * r] = widen((uint16_t)a[r]);
        operand.a[2 * r + 1] = widen((uint16_t)(a[r] >> 16));
    }
    for (int r = 0; r < 2; r++) {
        operand.b[2 * r] = widen((uint16_t)b[r]);
        operand.b[2 * r + 1] = widen((uint16_t)(b[r] >> 16));
    }
    operand.d = d;
    emulated_collective(&emulated_warp_mma, 0xffffffffu, &operand, 0);
}

static inline void emulated_load_matrix(uint32_t r[4], const void *row, bool transposed)
{
    struct emulated_matrix_operand operand;
    operand.row = row;
    operand.transposed = transposed;
    operand.r = r;
    emulated_collective(&emulated_warp_load_matrix, 0xffffffffu, &operand, 0);
}

/* ---- start ---- */

template <class Args> struct emulated_kernel {
    void (*kernel)(Args);
    Args args;
    static void run_thread(const void *closure)
    {
        const auto *self = static_cast<const emulated_kernel *>(closure);
        self->kernel(self->args);
    }
};

template <class Args>
static inline cudaError_t emulated_launch(const char *name, void (*kernel)(Args), dim3 grid,
                                          dim3 block, size_t shared_bytes, cudaStream_t stream,
                                          const Args &args)
{
    static_assert(std::is_trivially_copyable<Args>::value, "arguments are copied as bytes");
    emulated_kernel<Args> closure = {kernel, args};
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&closure); /* what lies there by chance may look like a pointer */
#endif
    const struct emulated_start start = {name, emulated_kernel<Args>::run_thread, grid, block,
                                         shared_bytes};
    return emulated_start_kernel(stream, &start, &closure, sizeof closure);
}

/* kernels/cuda/gpu.cuh: the language of the kernels: CUDA C++ and about 15 instructions of its own.
 *
 * A kernel is a __global__ function of one struct, passed by value, whose first statement is
 * gpu_begin(); GPU_LAUNCH() starts it. The struct ends with a member of 8 bytes: an
 * emulator looks for pointers of the host in it, and what lies behind a bool is of nobody.
 * Everything that only NVIDIA's compiler knows stands behind a function here, with a second body in
 * plain C++: the same kernels are compiled by a host compiler over an emulator
 * (tests/cuda_emulator/), where threads of a block are fibers.
 *
 * Arithmetic is what is written: nvcc runs with -fmad=false -ftz=true and exact division and roots,
 * so a kernel that uses no gpu_mma() and no gpu_exp2() has the same bits on both.
 */
#pragma once
#include "kernels/cuda/cuda_device.h"

#include <cuda_runtime.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
/* type name[n] in the memory of the block; and all memory that GPU_LAUNCH() asked for, aligned to
 * 128 bytes. */
#define SHARED(type, name, n) __shared__ type name[n]
#define DYNAMIC_SHARED(type, name)                                       \
    extern __shared__ __align__(128) unsigned char gpu_dynamic_shared[]; \
    type *const name = reinterpret_cast<type *>(gpu_dynamic_shared)
#else
#include <cuda_emulator.h> /* the same macros, threadIdx and its like, barriers, shuffles, atomics;
                              emulated_*() of the bodies below */
#endif

enum { WARP = 32 };

/* A kernel may be started while the one before it still runs: up to here nothing that another
 * kernel writes may be read, and nothing at all be written. (Programmatic dependent launch, CUDA
 * Programming Guide 3.2.8; from sm_90 on.) */
static __device__ inline void gpu_begin()
{
#if defined(__CUDACC__)
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
#else
    emulated_begin();
#endif
}

/* ---- numbers of 16 bits ---- */

static __device__ inline float gpu_bits_f32(uint32_t bits)
{
#ifdef __CUDACC__
    return __uint_as_float(bits);
#else
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
#endif
}

static __device__ inline uint32_t gpu_f32_bits(float f)
{
#ifdef __CUDACC__
    return __float_as_uint(f);
#else
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
#endif
}

static __device__ inline float gpu_bf16_f32(uint16_t v) { return gpu_bits_f32((uint32_t)v << 16); }

/* To nearest, ties to even; a NaN stays one. */
static __device__ inline uint16_t gpu_f32_bf16(float f)
{
    uint32_t bits = gpu_f32_bits(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    bits += 0x7fffu + ((bits >> 16) & 1u);
    return (uint16_t)(bits >> 16);
}

static __device__ inline float gpu_f16_f32(uint16_t v)
{
#ifdef __CUDACC__
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v));
    return f;
#else
    return emulated_f16_f32(v);
#endif
}

static __device__ inline uint16_t gpu_f32_f16(float f)
{
#ifdef __CUDACC__
    uint16_t v;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(v) : "f"(f));
    return v;
#else
    return emulated_f32_f16(f);
#endif
}

/* A format of 16 bits as a type, for templates. pack(): `low` in the lower half of a word. */
struct gpu_bf16 {
    static __device__ inline float widen(uint16_t v) { return gpu_bf16_f32(v); }
    static __device__ inline uint16_t round(float f) { return gpu_f32_bf16(f); }
    static __device__ inline uint32_t pack(float low, float high)
    {
#ifdef __CUDACC__
        uint32_t v;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(high), "f"(low));
        return v;
#else
        return (uint32_t)gpu_f32_bf16(low) | (uint32_t)gpu_f32_bf16(high) << 16;
#endif
    }
};

struct gpu_f16 {
    static __device__ inline float widen(uint16_t v) { return gpu_f16_f32(v); }
    static __device__ inline uint16_t round(float f) { return gpu_f32_f16(f); }
    static __device__ inline uint32_t pack(float low, float high)
    {
        return (uint32_t)gpu_f32_f16(low) | (uint32_t)gpu_f32_f16(high) << 16;
    }
};

/* The signed bytes `at` and at + 1 of a word as two BF16, exactly. Conversions by the GPU would be
 * a fourth as fast: with x = low - 128 sign, both 128 + low and 128 + 128 sign are numbers whose
 * bits are those of x in place. */
static __device__ inline uint32_t gpu_bytes_bf16(uint32_t bytes, int at)
{
#ifdef __CUDACC__
    const uint32_t x = __byte_perm(bytes, 0, at == 0 ? 0x4140 : 0x4342);
    const uint32_t low = (x & 0x007f007fu) | 0x43004300u, sign = (x & 0x00800080u) | 0x43004300u;
    uint32_t v; /* low - sign */
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(v) : "r"(sign), "r"(0xbf80bf80u), "r"(low));
    return v;
#else
    return gpu_bf16::pack((float)(int8_t)(bytes >> at * 8), (float)(int8_t)(bytes >> (at + 1) * 8));
#endif
}

/* ---- the matrix unit ---- */

/* d += a b, a 16x16, b 16x8, by all 32 threads of a warp. The fragments are those of PTX ISA,
 * mma.m16n8k16: with g = lane / 4 and i = lane % 4 * 2, as pairs of neighbours in k,
 *   a[0] = A[g][i, i+1]      a[1] = A[g+8][i, i+1]      a[2] = A[g][i+8, i+9]   a[3] = A[g+8][i+8,
 * i+9] b[0] = B[i, i+1][g]      b[1] = B[i+8, i+9][g] d[0], d[1] = D[g][i, i+1] d[2], d[3] =
 * D[g+8][i, i+1] */
static __device__ inline void gpu_mma(gpu_bf16, float d[4], const uint32_t a[4],
                                      const uint32_t b[2])
{
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated_mma(d, a, b, gpu_bf16_f32);
#endif
}

static __device__ inline void gpu_mma(gpu_f16, float d[4], const uint32_t a[4], const uint32_t b[2])
{
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated_mma(d, a, b, gpu_f16_f32);
#endif
}

/* Zero, which the compiler does not know. */
static __device__ inline uint32_t gpu_zero()
{
#ifdef __CUDACC__
    uint32_t below;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(below));
    return below >> 31; /* no lane is above lane 31 */
#else
    return 0;
#endif
}

/* v, by an instruction. gpu_mma() wants its fragments in neighbouring registers; what is only
 * named anew is copied to such a place for each use, four copies a link, and what is computed is
 * computed there once. */
static __device__ inline uint32_t gpu_computed(uint32_t v, uint32_t zero) { return v | zero; }

/* v, where the compiler must not look further back: addresses that come from it are computed here,
 * where they are used once in a while, and have no registers before. */
static __device__ inline int gpu_from_here(int v)
{
#ifdef __CUDACC__
    asm volatile("" : "+r"(v));
#endif
    return v;
}

/* Four 8x8 matrices of 16-bit numbers from shared memory: thread t gives the address of row t % 8
 * of matrix t / 8 (16 bytes, aligned), and gets of each matrix the pair [t / 4][t % 4 * 2, + 1];
 * transposed: the pair [t % 4 * 2, + 1][t / 4]. PTX ISA, ldmatrix. */
static __device__ inline void gpu_load_matrix(uint32_t r[4], const void *row)
{
#ifdef __CUDACC__
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
    emulated_load_matrix(r, row, false);
#endif
}

static __device__ inline void gpu_load_matrix_transposed(uint32_t r[4], const void *row)
{
#ifdef __CUDACC__
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
    emulated_load_matrix(r, row, true);
#endif
}

/* ---- memory ---- */

/* 16 bytes from global to shared memory, on their way until gpu_copy_wait(); zeros where not
 * `valid` (then `from` is not read). Both aligned to 16. Other threads see them after a barrier
 * behind the wait. The second-level cache asks for the 128 bytes around: the rest of a row. */
static __device__ inline void gpu_copy_async(void *shared, const void *from, bool valid)
{
#ifdef __CUDACC__
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    const int n_bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
                 "r"(n_bytes)
                 : "memory");
#else
    emulated_copy_async(shared, from, valid);
#endif
}

/* Ends a group of copies of this thread. */
static __device__ inline void gpu_copy_commit()
{
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulated_copy_commit();
#endif
}

/* All groups of this thread are there but the latest n. */
template <int n> static __device__ inline void gpu_copy_wait()
{
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
#else
    emulated_copy_wait(n);
#endif
}

/* Asks the second-level cache for the 128 bytes around; nobody waits for them. */
static __device__ inline void gpu_prefetch(const void *from)
{
#ifdef __CUDACC__
    asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
#else
    (void)from;
#endif
}

/* To memory of the host that looks at it meanwhile, atomically. */
static __device__ inline void gpu_store_host(uint32_t *to, uint32_t value)
{
#ifdef __CUDACC__
    *(volatile uint32_t *)to = value;
#else
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
#endif
}

/* ---- arithmetic that is not the same on an emulator ---- */

/* 2^x, within 2 units of the last place; 0 far below. PTX ISA, ex2.approx.ftz. */
static __device__ inline float gpu_exp2(float x)
{
#ifdef __CUDACC__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return emulated_exp2(x);
#endif
}

/* ---- a warp ---- */

/* Of all threads of the warp, in one fixed order (distances 16, 8, 4, 2, 1); to all of them. */
static __device__ inline float gpu_warp_sum(float x)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

/* NaN, where one is. */
static __device__ inline float gpu_max(float a, float b) { return a > b || a != a ? a : b; }

static __device__ inline float gpu_warp_max(float x)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        x = gpu_max(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

/* ---- start ---- */

/* Queues a kernel; a failure is kept in the device, with the kernel's name, for device_sync(). */
template <class Args>
static inline void gpu_launch(struct device *device, const char *name, void (*kernel)(Args),
                              dim3 grid, dim3 block, size_t shared_bytes, const Args &args)
{
#ifdef __CUDACC__
    Args copy = args;
    void *pointers[] = {&copy};
    cuda_launch(device, name, (const void *)kernel, grid, block, shared_bytes, pointers);
#else
    if (!cuda_failed(device))
        cuda_keep(
            device, name,
            emulated_launch(name, kernel, grid, block, shared_bytes, cuda_stream(device), args));
#endif
}
#define GPU_LAUNCH(device, kernel, grid, block, shared_bytes, args) \
    gpu_launch(device, #kernel, kernel, grid, block, shared_bytes, args)

/* What the lanes of a warp do together: contracts in block.h and kernels/cuda/gpu.cuh. */
#include "tests/cuda_emulator/block_state.h"

#include <string.h>

/* A row of 8 numbers of a result; halves of it where the processor has no AVX2. */
typedef float row8 __attribute__((vector_size(32)));

const struct emulated_collective_kind emulated_warp_barrier = {"barrier of a warp", NULL};

static void shuffle(void *const operands[EMULATED_WARP], uint32_t mask)
{
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct emulated_shuffle_operand *to = operands[lane];
        if (to->source < 0 || to->source >= EMULATED_WARP || !(mask >> to->source & 1))
            emulated_die("lane %d shuffles from lane %d, which is not among the lanes 0x%x", lane,
                         to->source, mask);
        to->received = ((const struct emulated_shuffle_operand *)operands[to->source])->value;
    }
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        struct emulated_shuffle_operand *to = operands[__builtin_ctz(rest)];
        to->value = to->received;
    }
}
const struct emulated_collective_kind emulated_warp_shuffle = {"shuffle", shuffle};

static void ballot(void *const operands[EMULATED_WARP], uint32_t mask)
{
    uint32_t votes = 0;
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        votes |= *(const uint32_t *)operands[lane] << lane;
    }
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1)
        *(uint32_t *)operands[__builtin_ctz(rest)] = votes;
}
const struct emulated_collective_kind emulated_warp_ballot = {"ballot", ballot};

static void require_all(const char *what, uint32_t mask)
{
    if (mask != 0xffffffffu)
        emulated_die("%s is for warps of 32 threads, here are only the lanes 0x%x", what, mask);
}

/* The same bits either way: additions are in the order of k, and products are exact. */
static inline __attribute__((always_inline)) void multiply(row8 d[16], const float a[16][16],
                                                           const row8 b[16])
{
    for (int m = 0; m < 16; m += 4) {
        for (int k = 0; k < 16; k++) {
            for (int i = m; i < m + 4; i++)
                d[i] += a[i][k] * b[k];
        }
    }
}

__attribute__((target("avx2"))) static void multiply_avx2(row8 d[16], const float a[16][16],
                                                          const row8 b[16])
{
    multiply(d, a, b);
}

static void multiply_any(row8 d[16], const float a[16][16], const row8 b[16]) { multiply(d, a, b); }

static void mma(void *const operands[EMULATED_WARP], uint32_t mask)
{
    require_all("gpu_mma()", mask);
    float a[16][16];
    row8 b[16], d[16];
    for (int lane = 0; lane < EMULATED_WARP; lane++) {
        const struct emulated_mma_operand *of = operands[lane];
        const int g = lane / 4, i = lane % 4 * 2;
        for (int p = 0; p < 2; p++) {
            a[g][i + p] = of->a[p];
            a[g + 8][i + p] = of->a[2 + p];
            a[g][i + 8 + p] = of->a[4 + p];
            a[g + 8][i + 8 + p] = of->a[6 + p];
            b[i + p][g] = of->b[p];
            b[i + 8 + p][g] = of->b[2 + p];
            d[g][i + p] = of->d[p];
            d[g + 8][i + p] = of->d[2 + p];
        }
    }
    if (__builtin_cpu_supports("avx2"))
        multiply_avx2(d, a, b);
    else
        multiply_any(d, a, b);
    for (int lane = 0; lane < EMULATED_WARP; lane++) {
        const struct emulated_mma_operand *of = operands[lane];
        const int g = lane / 4, i = lane % 4 * 2;
        for (int p = 0; p < 2; p++) {
            of->d[p] = d[g][i + p];
            of->d[2 + p] = d[g + 8][i + p];
        }
    }
}
const struct emulated_collective_kind emulated_warp_mma = {"gpu_mma()", mma};

static void load_matrix(void *const operands[EMULATED_WARP], uint32_t mask)
{
    require_all("gpu_load_matrix()", mask);
    uint16_t matrix[4][8][8];
    for (int lane = 0; lane < EMULATED_WARP; lane++) {
        const struct emulated_matrix_operand *of = operands[lane];
        if ((uintptr_t)of->row % 16 != 0 || !shared_holds(machine_now(), of->row, 16))
            emulated_die("lane %d loads a row of a matrix from %p: not 16 aligned bytes of shared "
                         "memory",
                         lane, of->row);
        memcpy(matrix[lane / 8][lane % 8], of->row, 16);
    }
    for (int lane = 0; lane < EMULATED_WARP; lane++) {
        const struct emulated_matrix_operand *of = operands[lane];
        const int row = lane / 4, column = lane % 4 * 2;
        for (int m = 0; m < 4; m++) {
            const uint32_t low = of->transposed ? matrix[m][column][row] : matrix[m][row][column];
            const uint32_t high =
                of->transposed ? matrix[m][column + 1][row] : matrix[m][row][column + 1];
            of->r[m] = low | high << 16;
        }
    }
}
const struct emulated_collective_kind emulated_warp_load_matrix = {"gpu_load_matrix()",
                                                                   load_matrix};

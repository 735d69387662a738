/* kernels/cpu/tile.h: the AMX instructions that we use, one macro each.
 *
 * Tiles are named by literal numbers 0 .. 7. tests/kernels/tile_emulator.h has the same macros in
 * plain C, and tests run kernels/cpu/tile_matmul.inc.h over both.
 *
 * Not the intrinsics of the compiler: those of gcc 12 name 8 of the 64 bytes of a configuration
 * and no memory at all for loads and stores, so it may drop or move what was written before.
 *
 * Source: Intel SDM volume 2 (LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS, TILEZERO, TILERELEASE)
 * and volume 1, chapter 18. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tile_config {
    uint8_t palette; /* 1: eight tiles of at most 16 rows of 64 bytes */
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Also clears all tiles. */
#define tile_configure(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(config)))
/* Back to the initial state, which the system need not save when it switches threads. */
#define tile_release() __asm__ volatile("tilerelease")
/* Rows of the tile from memory, and to it, `stride` bytes apart. */
#define tile_load(tile, memory, stride)                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile      \
                     :                                       \
                     : "r"(memory), "r"((ptrdiff_t)(stride)) \
                     : "memory")
#define tile_store(tile, memory, stride)                     \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"  \
                     :                                       \
                     : "r"(memory), "r"((ptrdiff_t)(stride)) \
                     : "memory")
#define tile_zero(tile) __asm__ volatile("tilezero %%tmm" #tile : : : "memory")
/* c[m, n] += the sum over pairs of K of a[m, k] * b[k, n], BF16, in the canonical order. */
#define tile_dot_bf16(c, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")

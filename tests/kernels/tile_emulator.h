/* tests/kernels/tile_emulator.h: the instructions of kernels/cpu/tile.h in plain C.
 *
 * After the pseudocode of the Intel SDM, volume 2: LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS,
 * TILEZERO, TILERELEASE. What would fault there, or read a tile that was never written since it was
 * configured, ends the program here. Each thread has its own tiles.
 *
 * TDPBF16PS flushes denormals whatever MXCSR says; here MXCSR must say so. */
#pragma once
#include "base/check.h"
#include "kernels/dtype.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <xmmintrin.h>

enum { EMULATED_TILES = 8, EMULATED_ROWS = 16, EMULATED_ROW_BYTES = 64 };

struct tile_config {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "the operand of LDTILECFG");

struct emulated_tile {
    int rows, row_bytes;
    bool is_written;
    uint8_t row[EMULATED_ROWS][EMULATED_ROW_BYTES];
};

static _Thread_local struct {
    bool is_configured;
    struct emulated_tile tile[EMULATED_TILES];
} emulated;

static void tile_release(void) { memset(&emulated, 0, sizeof emulated); }

static void tile_configure(const struct tile_config *config)
{
    check(config->palette == 1 && config->start_row == 0);
    for (int i = 0; i < 14; i++)
        check(config->reserved[i] == 0);
    tile_release();
    for (int i = 0; i < 16; i++) {
        const int rows = config->rows[i], row_bytes = config->row_bytes[i];
        check(rows <= EMULATED_ROWS && row_bytes <= EMULATED_ROW_BYTES);
        check((rows == 0) == (row_bytes == 0));
        check(i < EMULATED_TILES || rows == 0);
        if (i < EMULATED_TILES) {
            emulated.tile[i].rows = rows;
            emulated.tile[i].row_bytes = row_bytes;
        }
    }
    emulated.is_configured = true;
}

static struct emulated_tile *emulated_tile(int index)
{
    check(emulated.is_configured && index >= 0 && index < EMULATED_TILES);
    check(emulated.tile[index].rows > 0);
    return &emulated.tile[index];
}

static void tile_load(int index, const void *memory, size_t stride)
{
    struct emulated_tile *tile = emulated_tile(index);
    memset(tile->row, 0, sizeof tile->row); /* the rest of each row and the rows behind, too */
    for (int r = 0; r < tile->rows; r++)
        memcpy(tile->row[r], (const char *)memory + (size_t)r * stride, (size_t)tile->row_bytes);
    tile->is_written = true;
}

static void tile_zero(int index)
{
    struct emulated_tile *tile = emulated_tile(index);
    memset(tile->row, 0, sizeof tile->row);
    tile->is_written = true;
}

static void tile_store(int index, void *memory, size_t stride)
{
    const struct emulated_tile *tile = emulated_tile(index);
    check(tile->is_written);
    for (int r = 0; r < tile->rows; r++)
        memcpy((char *)memory + (size_t)r * stride, tile->row[r], (size_t)tile->row_bytes);
}

static float emulated_f32(const uint8_t *row, int index)
{
    float value;
    memcpy(&value, row + (size_t)index * sizeof value, sizeof value);
    return value;
}

static float emulated_bf16(const uint8_t *row, int index)
{
    bf16 value;
    memcpy(&value, row + (size_t)index * sizeof value, sizeof value);
    return bf16_to_f32(value);
}

static void emulated_row(uint8_t *c, const struct emulated_tile *a, const struct emulated_tile *b,
                         int m, int n_columns)
{
    float sums[2 * EMULATED_ROW_BYTES / sizeof(float)] = {0}; /* even, odd of each column */
    for (int k = 0; k < b->rows; k++) {
        const float a_even = emulated_bf16(a->row[m], 2 * k);
        const float a_odd = emulated_bf16(a->row[m], 2 * k + 1);
        for (int n = 0; n < n_columns; n++) {
            sums[2 * n] = fmaf(a_even, emulated_bf16(b->row[k], 2 * n), sums[2 * n]);
            sums[2 * n + 1] = fmaf(a_odd, emulated_bf16(b->row[k], 2 * n + 1), sums[2 * n + 1]);
        }
    }
    for (int n = 0; n < n_columns; n++) {
        const float both = sums[2 * n] + sums[2 * n + 1];
        const float sum = emulated_f32(c, n) + both;
        memcpy(c + (size_t)n * sizeof sum, &sum, sizeof sum);
    }
}

static void tile_dot_bf16(int c_index, int a_index, int b_index)
{
    struct emulated_tile *c = emulated_tile(c_index);
    const struct emulated_tile *a = emulated_tile(a_index), *b = emulated_tile(b_index);
    check((_mm_getcsr() & 0x8040u) == 0x8040u);
    check(c_index != a_index && c_index != b_index && a_index != b_index);
    check(c->is_written && a->is_written && b->is_written);
    check(a->row_bytes % 4 == 0 && b->row_bytes % 4 == 0 && c->row_bytes % 4 == 0);
    check(c->rows == a->rows && c->row_bytes == b->row_bytes && a->row_bytes / 4 == b->rows);
    for (int m = 0; m < c->rows; m++)
        emulated_row(c->row[m], a, b, m, c->row_bytes / 4);
}

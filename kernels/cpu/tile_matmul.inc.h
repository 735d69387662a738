/* kernels/cpu/tile_matmul.inc.h: matmul in BF16 over tiles of 16 x 16.
 *
 * One TDPBF16PS is one K_BLOCK of the canonical order for 16 outputs and 16 tokens; this order
 * is the canonical one because the instruction has it. Operand A is 16 rows of weights as they lie
 * in the checkpoint, operand B a group of tokens as kernels/tensor.h lays it out, and C comes out
 * as [outputs][tokens]; it is transposed when it is stored.
 *
 * 2 x 2 tiles of C are in registers: 32 outputs and two groups. Up to FEW_TOKENS tokens what counts
 * is memory: weights are used where they lie, 32 outputs go through all of K, and every one is read
 * once, in one stream. With more, K goes in steps of MANY_K_STEP, so that the weights of a panel
 * (16 KB) stay in L1 and the tokens of an item in L2; C is written and read again between steps,
 * which loses no bit, and the panel is copied to scratch first, where no two of its rows share a
 * cache set. Leaves are merged 4 KB of C at a time, while these are in L1.
 *
 * Nothing is fetched ahead: on a Xeon with AMX prefetches, row after row, took a fifth of the
 * bandwidth from a few tokens, and gave many tokens 4 % at best. Two panels at once in L1 (32 KB
 * of its 48) lost 7 % and more.
 *
 * Include first: one of vec_*.inc.h (for the transposition), and tile.h or its emulator. */
#pragma once
#include "kernels/cpu/matmul_driver.h"

#include <string.h>

enum {
    TILE = 16,                  /* rows of a tile, and numbers of a row of C */
    TILE_NUMBERS = TILE * TILE, /* of C */
    BLOCK_BYTES = K_BLOCK * (int)sizeof(bf16),
    TILE_BYTES = TILE * BLOCK_BYTES, /* of A */
    FEW_TOKENS = 64,                 /* the weights are used where they lie */
    FEW_K_STEP = 2048,
    MANY_K_STEP = 256,
};
_Static_assert(PANEL *FEW_K_STEP * sizeof(bf16) <= KERNEL_SCRATCH_BYTES, "scratch is too small");

/* 32 rows of weights: K_BLOCK b of row r < 16 is at `data + b * block_bytes + r * row_bytes`, and
 * that of row 16 + r half_bytes behind. */
struct panel {
    const char *data;
    ptrdiff_t row_bytes, half_bytes, block_bytes;
    int n_blocks;
};

/* One group of tokens and its part of C. */
struct group {
    const bf16 *x; /* [16 * n_blocks pairs of K][tokens][2] */
    float *c;      /* [PANEL][16] */
    int tokens;    /* 0: there is none */
};

/* Copies the rows to scratch, tile after tile, with zeros for what is not there. */
static struct panel panel_copied(const struct matmul_block *block, int first_row)
{
    struct panel panel = {
        .data = block->scratch, .row_bytes = BLOCK_BYTES, .block_bytes = TILE_BYTES};
    panel.n_blocks = (block->n_k + K_BLOCK - 1) / K_BLOCK;
    panel.half_bytes = (ptrdiff_t)panel.n_blocks * TILE_BYTES;
    const int n_rows = min_int(PANEL, block->n_rows - first_row);
    const bool whole = n_rows == PANEL && block->n_k % K_BLOCK == 0;
    if (!whole)
        memset(block->scratch, 0, 2 * (size_t)panel.half_bytes);
    for (int row = 0; row < n_rows; row++) {
        const bf16 *from = (const bf16 *)block->weight + (first_row + row) * block->row_stride;
        char *to =
            (char *)block->scratch + row / TILE * panel.half_bytes + row % TILE * BLOCK_BYTES;
        for (int k = 0; k < block->n_k; k += K_BLOCK, to += TILE_BYTES) {
            if (block->n_k - k >= K_BLOCK)
                memcpy(to, from + k, BLOCK_BYTES); /* of constant size: one register */
            else
                memcpy(to, from + k, (size_t)(block->n_k - k) * sizeof *from);
        }
    }
    return panel;
}

/* The rows where they lie; what is not whole must be copied. */
static struct panel panel_of(const struct matmul_block *block, int first_row)
{
    if (block->n_rows - first_row < PANEL || block->n_k % K_BLOCK != 0)
        return panel_copied(block, first_row);
    const ptrdiff_t row_bytes = (ptrdiff_t)(block->row_stride * (int64_t)sizeof(bf16));
    return (struct panel){
        .data = (const char *)block->weight + first_row * row_bytes,
        .row_bytes = row_bytes,
        .half_bytes = TILE * row_bytes,
        .block_bytes = BLOCK_BYTES,
        .n_blocks = block->n_k / K_BLOCK,
    };
}

/* Tiles 0, 1 are C of the first group, upper and lower half of the panel; 2, 3 of the second;
 * 4, 5 the halves of the panel; 6, 7 the groups. */
static void configure(const struct group *first, const struct group *second)
{
    struct tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        const bool is_second = tile == 2 || tile == 3 || tile == 7, is_a = tile == 4 || tile == 5;
        const int tokens = is_second ? second->tokens : first->tokens;
        if (tokens == 0)
            continue; /* tiles that are not used need no shape */
        config.rows[tile] = TILE;
        config.row_bytes[tile] = is_a ? BLOCK_BYTES : (uint16_t)((size_t)tokens * sizeof(float));
    }
    tile_configure(&config);
}

static inline __attribute__((always_inline)) void
multiply_one(const struct panel panel, const struct group group, bool is_first)
{
    enum { C_STRIDE = TILE * sizeof(float) };
    const char *a = panel.data;
    const bf16 *b = group.x;
    const size_t b_stride = (size_t)group.tokens * 2 * sizeof *b;
    if (is_first) {
        tile_zero(0);
        tile_zero(1);
    } else {
        tile_load(0, group.c, C_STRIDE);
        tile_load(1, group.c + TILE_NUMBERS, C_STRIDE);
    }
    for (int i = 0; i < panel.n_blocks; i++, a += panel.block_bytes) {
        tile_load(6, b, b_stride);
        tile_load(4, a, panel.row_bytes);
        tile_dot_bf16(0, 4, 6);
        tile_load(5, a + panel.half_bytes, panel.row_bytes);
        tile_dot_bf16(1, 5, 6);
        b += K_BLOCK * group.tokens;
    }
    tile_store(0, group.c, C_STRIDE);
    tile_store(1, group.c + TILE_NUMBERS, C_STRIDE);
}

static inline __attribute__((always_inline)) void multiply_two(const struct panel panel,
                                                               const struct group first,
                                                               const struct group second,
                                                               bool is_first)
{
    enum { C_STRIDE = TILE * sizeof(float) };
    const char *a = panel.data;
    const bf16 *b = first.x, *b2 = second.x;
    const size_t b_stride = (size_t)first.tokens * 2 * sizeof *b;
    const size_t b2_stride = (size_t)second.tokens * 2 * sizeof *b2;
    if (is_first) {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    } else {
        tile_load(0, first.c, C_STRIDE);
        tile_load(1, first.c + TILE_NUMBERS, C_STRIDE);
        tile_load(2, second.c, C_STRIDE);
        tile_load(3, second.c + TILE_NUMBERS, C_STRIDE);
    }
    for (int i = 0; i < panel.n_blocks; i++, a += panel.block_bytes) {
        tile_load(6, b, b_stride);
        tile_load(4, a, panel.row_bytes);
        tile_dot_bf16(0, 4, 6);
        tile_load(5, a + panel.half_bytes, panel.row_bytes);
        tile_dot_bf16(1, 5, 6);
        tile_load(7, b2, b2_stride);
        tile_dot_bf16(2, 4, 7);
        tile_dot_bf16(3, 5, 7);
        b += K_BLOCK * first.tokens;
        b2 += K_BLOCK * second.tokens;
    }
    tile_store(0, first.c, C_STRIDE);
    tile_store(1, first.c + TILE_NUMBERS, C_STRIDE);
    tile_store(2, second.c, C_STRIDE);
    tile_store(3, second.c + TILE_NUMBERS, C_STRIDE);
}

/* C of an item is [panels][groups][PANEL][16 tokens]. */
static inline size_t c_at(int row, int index, int n_groups)
{
    return ((size_t)(row / PANEL) * (size_t)n_groups + (size_t)index) * PANEL * TILE;
}

static inline struct group group_of(const struct matmul_block *block, int index, int row)
{
    const int n_groups = (block->n_tokens + TOKEN_GROUP - 1) / TOKEN_GROUP;
    if (index >= n_groups)
        return (struct group){0};
    return (struct group){
        .x = block_group(block, index),
        .c = block->c + c_at(row, index, n_groups),
        .tokens = block_group_tokens(block, index),
    };
}

/* The additions after a leaf, on the C of one group, while it is in L1. */
static void merge(const struct matmul_block *block, const struct group *group)
{
    for (float *c = group->c; c < group->c + PANEL * TILE; c += VEC_LANES) {
        struct vec sum = vec_load(c);
        for (int i = 1; i <= block->n_merges; i++)
            sum = vec_add(vec_load(c - (size_t)i * block->c_numbers), sum);
        vec_store(c - (size_t)block->n_merges * block->c_numbers, sum);
    }
}

/* C of two groups, index and the next, and one panel of outputs. */
static void multiply_pair(const struct matmul_block *block, const struct panel *panel, int row,
                          int index, int configured[2])
{
    const struct group first = group_of(block, index, row);
    const struct group second = group_of(block, index + 1, row);
    if (first.tokens != configured[0] || second.tokens != configured[1]) {
        configure(&first, &second);
        configured[0] = first.tokens;
        configured[1] = second.tokens;
    }
    if (second.tokens > 0)
        multiply_two(*panel, first, second, block->is_first);
    else
        multiply_one(*panel, first, block->is_first);
    if (block->n_merges == 0)
        return;
    merge(block, &first);
    if (second.tokens > 0)
        merge(block, &second);
}

static inline __attribute__((always_inline)) void accumulate_tiles(const struct matmul_block *block,
                                                                   bool in_place)
{
    int configured[2] = {0, 0}; /* tokens of both groups */
    for (int row = 0; row < block->n_rows; row += PANEL) {
        const struct panel panel = in_place ? panel_of(block, row) : panel_copied(block, row);
        for (int index = 0; index * TOKEN_GROUP < block->n_tokens; index += 2)
            multiply_pair(block, &panel, row, index, configured);
    }
    tile_release();
}

static void accumulate_few(const struct matmul_block *block) { accumulate_tiles(block, true); }
static void accumulate_many(const struct matmul_block *block) { accumulate_tiles(block, false); }

/* 16 outputs x 16 tokens at a time. */
static void store_tiles(float *out, int64_t out_stride, const float *c, int n_rows, int n_tokens)
{
    const int n_groups = (n_tokens + TOKEN_GROUP - 1) / TOKEN_GROUP;
    for (int t = 0; t < n_tokens; t += TILE)
        for (int row = 0; row < n_rows; row += TILE) {
            const float *tile = c + c_at(row, t / TILE, n_groups) + row % PANEL * TILE;
            const char *line[TILE];
            struct vec token[TILE];
            for (int i = 0; i < TILE; i++)
                line[i] = (const char *)(tile + i * TILE);
            vec_load_transposed(token, line, 0);
            for (int i = 0; i < min_int(TILE, n_tokens - t); i++) {
                float *to = out + (t + i) * out_stride + row;
                if (n_rows - row >= TILE)
                    vec_store(to, token[i]);
                else
                    memcpy(to, &token[i], (size_t)(n_rows - row) * sizeof *to);
            }
        }
}

static void tile_matmul(struct device *device, const struct matmul_args *args)
{
    static const struct matmul_kernel few = {
        .accumulate = accumulate_few,
        .store = store_tiles,
        .k_step = FEW_K_STEP,
        .item_tokens = FEW_TOKENS,
        .unit_rows = PANEL,
        .c_bytes = C_BYTES,
        .merges = true,
    };
    static const struct matmul_kernel many = {
        .accumulate = accumulate_many,
        .store = store_tiles,
        .k_step = MANY_K_STEP,
        .item_tokens = ITEM_TOKENS,
        .unit_rows = ITEM_ROWS,
        .c_bytes = C_BYTES,
        .merges = true,
    };
    matmul_drive(device, args, args->n_tokens <= FEW_TOKENS ? &few : &many);
}

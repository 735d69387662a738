/* kernels/cuda/attention_tile.cuh: what keys and values are in shared memory, and the arguments of
 * the kernels of attention.
 *
 * A tile is QUARTER positions by `width` elements of a head, rows of segments of 16 bytes; segment
 * s of row r lies at s ^ (r % 8), so that eight rows at one column are in different banks. How they
 * come there: attention_many_tile.cuh, attention_few_tile.cuh.
 */
#pragma once
#include "kernels/cuda/attention_work.cuh"

/* The arguments of all kernels of attention. */
struct attention_launch {
    struct attention_args args; /* what it points to on the host is in here: */
    struct kv_cache cache;
    struct leaves leaves;
    const struct attention_work *work;
    float to_cap;  /* a product becomes tanh(product * to_cap); 0: it stays */
    float to_log2; /* times this it is a score in powers of two */
    int block_shift;
    bool aligned;   /* rows of K, V and q are whole segments of 16 bytes */
    float *partial; /* [n_partial_rows, 2 + head_dim]: m, l and o of a row in one chunk */
    int64_t n_partial_rows;
    int n_blocks; /* of the kernel of many rows */
};

/* Queue the kernels for one format of the cache. */
void attention_bf16(struct device *device, const struct attention_launch &a);
void attention_f16(struct device *device, const struct attention_launch &a);
void attention_i8(struct device *device, const struct attention_launch &a);

/* Rows that a block works on together. In shared memory: registers are for sums. */
struct row_tile {
    int sequence, kv_head;
    int first_head, group; /* query heads of the KV head */
    int first_row;         /* of the sequence, in rows of attention */
    int n_rows;            /* 0 or less: none */
    int first_token;       /* row of the step that is the first token of the sequence */
    int n_computed;
    int begin, end;         /* positions that one of its rows sees */
    int all_begin, all_end; /* positions that all of them see */
};

/* Of a block, in shared memory. */
struct block_state {
    struct row_tile tile;
    int flag; /* of clean_values() */
};

enum { QUARTER = 64, QUARTERS = CHUNK / QUARTER, SEGMENT = 16, SEGMENT_NUMBERS = 8 };

/* What the cache holds, and what the matrix unit gets of it. */
struct cache_bf16 {
    typedef gpu_bf16 format;
    enum { BYTES = 2, IS_I8 = 0 };
};
struct cache_f16 {
    typedef gpu_f16 format;
    enum { BYTES = 2, IS_I8 = 0 };
};
struct cache_i8 {
    typedef gpu_bf16 format;
    enum { BYTES = 1, IS_I8 = 1 };
};

/* Of a head of at most `dim` elements: what is missing is zero. */
template <class Cache, int dim> struct head_shape {
    enum {
        WIDTH = dim < 128 ? dim : 128, /* of a tile */
        SLICES = dim / WIDTH,
        PASS_SLICES = SLICES < 2 ? SLICES : 2, /* of the output, that many rows hold at once */
        TILE_BYTES = QUARTER * WIDTH * 2,
        SCALE_BYTES = Cache::IS_I8 ? 2 * QUARTER * (int)sizeof(float) : 0,
        STAGE_BYTES = QUARTER * WIDTH * Cache::BYTES + SCALE_BYTES,
        STAGES = dim > 256   ? 2
                 : dim < 128 ? 8
                             : 4, /* tiles in shared memory */
        WIDE_BYTES = Cache::IS_I8 ? TILE_BYTES + 2 * CHUNK * (int)sizeof(float) : 0,
        RING_BYTES = STAGES * STAGE_BYTES + WIDE_BYTES,
    };
};

/* Segment `segment` of row `row` of a matrix in shared memory. */
template <int n_segments>
static __device__ inline unsigned char *segment_at(unsigned char *matrix, int row, int segment)
{
    return matrix + (row * n_segments + (segment ^ (row % 8))) * SEGMENT;
}

/* ---- fragments: rows first_row .., columns from 16 * step on ---- */

/* Operand A of 16 rows; or, transposed, operand B of 16 positions and twice 8 columns. */
template <int n_segments>
static __device__ inline unsigned char *fragment_a(unsigned char *matrix, int first_row, int step)
{
    const int lane = (int)threadIdx.x % WARP;
    return segment_at<n_segments>(matrix, first_row + lane % 8 + lane / 8 % 2 * 8,
                                  step * 2 + lane / 16);
}

/* Operand B of 16 columns of the head and twice 8 positions. */
template <int n_segments>
static __device__ inline unsigned char *fragment_b(unsigned char *matrix, int first_row, int step)
{
    const int lane = (int)threadIdx.x % WARP;
    return segment_at<n_segments>(matrix, first_row + lane % 8 + lane / 16 * 8,
                                  step * 2 + lane / 8 % 2);
}

/* Eight whole numbers of a byte in BF16. */
static __device__ inline uint4 widened_numbers(uint2 x)
{
    return make_uint4(gpu_bytes_bf16(x.x, 0), gpu_bytes_bf16(x.x, 2), gpu_bytes_bf16(x.y, 0),
                      gpu_bytes_bf16(x.y, 2));
}

/* ---- parts of a chunk ---- */

/* [first, last) of the quarters of a chunk that hold a position of [begin, end). */
static __device__ inline int first_quarter(int begin, int chunk)
{
    return max(begin / QUARTER - chunk * QUARTERS, 0);
}
static __device__ inline int last_quarter(int end, int chunk)
{
    return min((end + QUARTER - 1) / QUARTER - chunk * QUARTERS, (int)QUARTERS);
}

/* kernels/cuda/attention_work.cuh: how the attention of a step is cut among blocks.
 *
 * Rows of attention are (token, query head) pairs: those of one sequence that share a KV head are
 * numbered token * group + head and come in tiles. Sequences of few rows have tiles of FEW_ROWS,
 * whose unit of work is one chunk of positions: each block takes an equal run of all units, and may
 * begin and end within a tile. Sequences of many rows have tiles of MANY_ROWS, each of which one
 * block walks from its first to its last position; where decoding is all there is, no rows are
 * many, and their kernel is not started.
 *
 * cuda_attention_work() counts once a step what lies in arrays, so that the layers need not, and
 * nothing of it decides the shape of a launch. A block finds its first tile with one load. How the
 * work is cut does not show in any bit.
 */
#pragma once
#include "kernels/cuda/gpu.cuh"

extern "C" {
#include "kernels/ops.h"
}

enum {
    CHUNK = 256,         /* positions that are summed together (docs/numerics.md) */
    FEW_ROWS = 16,       /* of a tile: what the matrix unit takes */
    MANY_ROWS = 64,      /* of a tile: as many for each warp */
    MAX_FEW_TILES = 4,   /* more rows than these hold are many */
    ATTENTION_WARPS = 4, /* of a block */
    ATTENTION_THREADS = ATTENTION_WARPS * WARP,
    LEAST_RUN = 2,        /* units of a block: to join results costs more than a chunk */
    MAX_FEW_BLOCKS = 512, /* that share the units */
};

/* The memory of attention_work_args: attention_work_bytes() of kernels/cuda_bytes.h. */
struct attention_work {
    int32_t n_units;   /* of all sequences of few rows */
    int32_t n_tiles;   /* of all sequences of many rows */
    int32_t unit_rows; /* the most rows of a unit */
    int32_t max_group; /* the most query heads of a KV head */
    /* then struct few_start[MAX_FEW_BLOCKS], n_parts_done[MAX_FEW_BLOCKS],
     * first_unit[n_sequences + 1], first_tile[n_sequences + 1] */
};

/* The units of a block [unit, end), and the tile of the first of them. A tile has the units
 * [first, tile_end), one for each chunk that a token of the sequence sees, be it in the tile or
 * not: unit u is chunk u - chunk_0. */
struct alignas(16) few_start {
    int32_t unit, end;
    int32_t first, tile_end, chunk_0;
    int32_t sequence, index; /* of the tile among those of its sequence and KV head */
    int32_t kv_head, first_head, group;
    int32_t first_token, n_new, n_computed;
};

static __device__ inline struct few_start *few_starts(struct attention_work *work)
{
    return reinterpret_cast<struct few_start *>(work + 1);
}
static __device__ inline const struct few_start *few_starts(const struct attention_work *work)
{
    return reinterpret_cast<const struct few_start *>(work + 1);
}

/* Of a tile that several blocks have: how many of them are done, at the block that has its first
 * unit. 0 between the kernels. */
static __device__ inline int32_t *parts_done(struct attention_work *work)
{
    return reinterpret_cast<int32_t *>(few_starts(work) + MAX_FEW_BLOCKS);
}

static __device__ inline int32_t *first_units(struct attention_work *work)
{
    return parts_done(work) + MAX_FEW_BLOCKS;
}
static __device__ inline const int32_t *first_units(const struct attention_work *work)
{
    return first_units(const_cast<struct attention_work *>(work));
}

/* The new tokens of a sequence, and the chunks that the first or the last of them sees. */
struct sequence_span {
    int n_new, n_computed, first_chunk, n_chunks;
};

static __device__ inline int first_seen(int position, int window)
{
    return window > 0 && position >= window ? position + 1 - window : 0;
}

static __device__ inline struct sequence_span
span_of(const int32_t *first_row, const int32_t *n_computed, int sequence, int window)
{
    struct sequence_span span = {first_row[sequence + 1] - first_row[sequence],
                                 n_computed[sequence], 0, 0};
    if (span.n_new > 0) {
        span.first_chunk = first_seen(span.n_computed, window) / CHUNK;
        span.n_chunks = (span.n_computed + span.n_new - 1) / CHUNK + 1 - span.first_chunk;
    }
    return span;
}

static __device__ inline int tiles_of(int n_rows, int tile_rows)
{
    return (n_rows + tile_rows - 1) / tile_rows;
}

/* A step of decoding, as far as what a launch may depend on tells: then all rows are few, however
 * many they are. */
static __host__ __device__ inline bool step_has_few(int n_tokens, int n_sequences)
{
    enum { DRAFTED = 4, MOST_TOKENS = 256 }; /* of a sequence; of a step with drafts */
    return n_tokens <= n_sequences ||
           (n_tokens <= MOST_TOKENS && n_tokens <= DRAFTED * n_sequences);
}

static __device__ inline bool rows_are_few(int n_rows)
{
    return n_rows <= MAX_FEW_TILES * FEW_ROWS;
}

/* The last i with first[i] <= x, of ascending numbers with first[0] <= x < first[n]. All threads of
 * a warp call it: they look at 32 places at once. */
static __device__ inline int run_of(const int32_t *first, int n, int x)
{
    int low = 0, high = n; /* first[low] <= x < first[high] */
    while (high - low > 1) {
        const int step = (high - low + WARP - 1) / WARP;
        const int place = low + (int)threadIdx.x % WARP * step;
        const bool is_before = place < high && first[place] <= x;
        low += (__popc(__ballot_sync(0xffffffffu, is_before)) - 1) * step;
        high = min(low + step, high);
    }
    return low;
}

/* kernels/cuda_bytes.c does without this header. */
static_assert(sizeof(struct attention_work) == 4 * sizeof(int32_t), "WORK_HEAD");
static_assert(MAX_FEW_TILES * FEW_ROWS == 64, "MAX_FEW_ROWS");
static_assert(MAX_FEW_BLOCKS * (sizeof(struct few_start) + sizeof(int32_t)) ==
                  512 * 17 * sizeof(int32_t),
              "WORK_BLOCKS");

/* How units are dealt to the blocks. */
static __device__ inline int units_of_block(int n_units, int n_blocks)
{
    return max((n_units + n_blocks - 1) / n_blocks, (int)LEAST_RUN);
}

/* Blocks of the kernel of few rows: two on a multiprocessor. */
static inline int few_blocks(const struct device *device)
{
    const int n = 2 * cuda_multiprocessors(device);
    return n < MAX_FEW_BLOCKS ? n : MAX_FEW_BLOCKS;
}

/* kernels/cuda/attention_tile.cuh: keys and values on their way from the cache to the matrix unit.
 *
 * A tile is QUARTER positions by `width` elements of a head, in shared memory, rows of segments of
 * 16 bytes; segment s of row r lies at s ^ (r % 8), so that eight rows at one column are in
 * different banks. A chunk is read as its key tiles (by quarter, then slice of the head), then its
 * value tiles (by slice, then quarter); several tiles are on their way while one is worked on.
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

/* ---- the stream of tiles ---- */

/* [first, last) of the quarters of a chunk that hold a position of [begin, end). */
static __device__ inline int first_quarter(int begin, int chunk)
{
    return max(begin / QUARTER - chunk * QUARTERS, 0);
}
static __device__ inline int last_quarter(int end, int chunk)
{
    return min((end + QUARTER - 1) / QUARTER - chunk * QUARTERS, (int)QUARTERS);
}

/* Every thread of the block has the same one and calls everything. */
template <class Cache, int dim> struct tile_stream {
    typedef head_shape<Cache, dim> shape;
    const struct attention_launch &a;
    const struct row_tile &tile; /* what none of its rows sees is zero, and not read */
    unsigned char *const ring;
    const int32_t *const block; /* of the sequence */
    const int end_chunk;
    const int first_slice, end_slice; /* of the values; of the keys all are read */
    int chunk, quarter, slice;        /* of the next tile to be asked for */
    bool is_value;                    /* it is one of values */
    int stage;                        /* of the next tile to be taken */

    /* The place of a position in K, V and, without head_dim, the scales. */
    __device__ inline int64_t place_of(int position) const
    {
        const int64_t at = block[position >> a.block_shift];
        const int in_block = position & (a.cache.block_tokens - 1);
        return ((at * a.cache.n_kv_heads + tile.kv_head) << a.block_shift) + in_block;
    }

    __device__ inline bool is_there(int position) const
    {
        return position >= tile.begin && position < tile.end;
    }

    /* Rows of one block of the cache are neighbours, so its number is asked for once. */
    __device__ inline void load_segments(unsigned char *to_tile) const
    {
        enum { PER_ROW = shape::WIDTH * Cache::BYTES / SEGMENT };
        const int run = min(a.cache.block_tokens, (int)QUARTER);
        const int row_bytes = a.cache.head_dim * Cache::BYTES;
        const int slice_byte = slice * shape::WIDTH * Cache::BYTES;
#pragma unroll 1
        for (int first_row = 0; first_row < QUARTER; first_row += run) {
            const int first = chunk * CHUNK + quarter * QUARTER + first_row;
            const bool is_any = first + run > tile.begin && first < tile.end;
            const unsigned char *from =
                static_cast<const unsigned char *>(is_value ? a.cache.v : a.cache.k) +
                (is_any ? place_of(first) * row_bytes : 0) + slice_byte;
#pragma unroll 2
            for (int i = (int)threadIdx.x; i < run * PER_ROW; i += ATTENTION_THREADS) {
                const int row = i / PER_ROW, segment = i % PER_ROW;
                const bool valid =
                    is_there(first + row) && slice_byte + segment * SEGMENT < row_bytes;
                unsigned char *to = Cache::IS_I8
                                        ? to_tile + (first_row * PER_ROW + i) * SEGMENT
                                        : segment_at<PER_ROW>(to_tile, first_row + row, segment);
                gpu_copy_async(to, from + row * row_bytes + segment * SEGMENT, valid);
            }
        }
    }

    /* Heads whose rows begin anywhere. */
    __device__ inline void load_numbers(unsigned char *to_tile) const
    {
        const unsigned char *all =
            static_cast<const unsigned char *>(is_value ? a.cache.v : a.cache.k);
        const int first = chunk * CHUNK + quarter * QUARTER;
#pragma unroll 1
        for (int i = (int)threadIdx.x; i < QUARTER * shape::WIDTH; i += ATTENTION_THREADS) {
            const int row = i / shape::WIDTH, column = i % shape::WIDTH;
            const int element = slice * shape::WIDTH + column;
            const bool valid = is_there(first + row) && element < a.cache.head_dim;
            const int64_t at = valid ? place_of(first + row) * a.cache.head_dim + element : 0;
            if (Cache::IS_I8) {
                to_tile[i] = valid ? all[at] : (unsigned char)0;
            } else {
                unsigned char *to = segment_at<shape::WIDTH / SEGMENT_NUMBERS>(
                    to_tile, row, column / SEGMENT_NUMBERS);
                reinterpret_cast<uint16_t *>(to)[column % SEGMENT_NUMBERS] =
                    valid ? reinterpret_cast<const uint16_t *>(all)[at] : (uint16_t)0;
            }
        }
    }

    /* Scales of keys, then of values, behind the first slice of the keys: four positions at a time,
     * which are neighbours in a block. */
    __device__ inline void load_scales(unsigned char *scales) const
    {
        enum { PER_SEGMENT = SEGMENT / (int)sizeof(float), N = QUARTER / PER_SEGMENT };
        const int i = (int)threadIdx.x;
        if (i >= 2 * N)
            return;
        const float *all = i < N ? a.cache.k_scale : a.cache.v_scale;
        const int first = chunk * CHUNK + quarter * QUARTER + i % N * PER_SEGMENT;
        const bool valid = first + PER_SEGMENT > tile.begin && first < tile.end;
        gpu_copy_async(scales + i * SEGMENT, all + (valid ? place_of(first) : 0), valid);
    }

    __device__ inline void step()
    {
        if (is_value) {
            if (++quarter < last_quarter(tile.end, chunk))
                return;
            quarter = first_quarter(tile.begin, chunk);
            if (++slice < end_slice)
                return;
            is_value = false;
            slice = 0;
            chunk++;
            quarter = first_quarter(tile.begin, chunk);
        } else {
            if (++slice < shape::SLICES)
                return;
            slice = 0;
            if (++quarter < last_quarter(tile.end, chunk))
                return;
            is_value = true;
            slice = first_slice;
            quarter = first_quarter(tile.begin, chunk);
        }
    }

    /* The next tile sets out for a stage that is free. */
    __device__ inline void ask(int to_stage)
    {
        if (chunk < end_chunk) {
            unsigned char *to = ring + to_stage * shape::STAGE_BYTES;
            if (a.aligned)
                load_segments(to);
            else
                load_numbers(to);
            if (Cache::IS_I8 && !is_value && slice == 0)
                load_scales(to + QUARTER * shape::WIDTH);
            step();
        }
        gpu_copy_commit();
    }

    /* What was in the ring before is used no more. */
    __device__ inline void start()
    {
        quarter = first_quarter(tile.begin, chunk);
        __syncthreads();
#pragma unroll 1
        for (int i = 0; i < shape::STAGES - 1; i++)
            ask(i);
    }

    __device__ inline unsigned char *wide() { return ring + shape::STAGES * shape::STAGE_BYTES; }

    /* Of I8: the scales of the chunk [2][CHUNK], of keys from take() on, of both after the last
     * key tile until the next chunk. */
    __device__ inline float *scales()
    {
        return reinterpret_cast<float *>(wide() + shape::TILE_BYTES);
    }

    /* From whole numbers of a byte to those of the matrix unit. */
    __device__ inline void widen(const unsigned char *narrow, int at_quarter, bool has_scales)
    {
        enum { PER_ROW = shape::WIDTH / SEGMENT_NUMBERS };
#pragma unroll 2
        for (int i = (int)threadIdx.x; i < QUARTER * PER_ROW; i += ATTENTION_THREADS) {
            const uint2 x = reinterpret_cast<const uint2 *>(narrow)[i];
            *reinterpret_cast<uint4 *>(segment_at<PER_ROW>(wide(), i / PER_ROW, i % PER_ROW)) =
                widened_numbers(x);
        }
        const float *given = reinterpret_cast<const float *>(narrow + QUARTER * shape::WIDTH);
        const int i = (int)threadIdx.x;
        if (has_scales && i < 2 * QUARTER)
            scales()[i / QUARTER * CHUNK + at_quarter * QUARTER + i % QUARTER] = given[i];
    }

    /* The next tile, until the next call; which one it is, the caller knows. A barrier: what was
     * done with the tile before is over. */
    __device__ inline unsigned char *take(int at_quarter, bool has_scales)
    {
        gpu_copy_wait<shape::STAGES - 2>();
        __syncthreads();
        unsigned char *there = ring + stage * shape::STAGE_BYTES;
        ask(stage == 0 ? shape::STAGES - 1 : stage - 1); /* of the tile before */
        stage = stage + 1 == shape::STAGES ? 0 : stage + 1;
        if (!Cache::IS_I8)
            return there;
        widen(there, at_quarter, has_scales);
        __syncthreads();
        return wide();
    }
};

/* kernels/cuda/attention_many_tile.cuh: keys and values on their way to the rows of a prompt.
 *
 * A chunk is read as its key tiles (by quarter, then slice of the head), then its value tiles (by
 * slice, then quarter); several tiles are on their way while one is worked on. The matrix unit is
 * what is waited for, and every instruction and every wait that brings a tile is time it stands
 * still. So which blocks of the cache a chunk has is looked up once, a chunk before it is needed,
 * and a thread has the same segment of every row it copies.
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

enum { MIN_BLOCK = 16, CHUNK_BLOCKS = CHUNK / MIN_BLOCK, CHUNK_TABLES = 2 };

/* ---- fragments of a tile, as in attention_tile.cuh ----
 *
 * Addresses are computed anew for each tile: kept over all tiles, which the compiler would do, they
 * take the registers of scores. */

static __device__ inline uint32_t lane_anew()
{
    uint32_t lane = threadIdx.x % WARP;
#ifdef __CUDACC__
    asm volatile("" : "+r"(lane)); /* it may be another one each time */
#endif
    return lane;
}

/* Of a matrix of n_segments a row, the segments 2 step and + 1 of its first rows; those of another
 * row are a constant behind them, which an instruction has in it. */
template <int n_segments>
static __device__ inline unsigned char *place_a(unsigned char *matrix, uint32_t lane, int step)
{
    const uint32_t segment = ((uint32_t)step * 2 + lane / 16) ^ lane % 8;
    return matrix + (lane % 16 * n_segments + segment) * SEGMENT;
}
template <int n_segments>
static __device__ inline unsigned char *place_b(unsigned char *matrix, uint32_t lane, int step)
{
    const uint32_t segment = ((uint32_t)step * 2 + lane / 8 % 2) ^ lane % 8;
    return matrix + ((lane % 8 + lane / 16 * 8) * n_segments + segment) * SEGMENT;
}

/* Every thread of the block has the same one and calls everything, with a barrier between any two
 * tiles that are asked for. */
template <class Cache, int dim> struct many_stream {
    typedef head_shape<Cache, dim> shape;
    enum {
        SEGMENTS = shape::WIDTH * Cache::BYTES / SEGMENT, /* of a row of a tile */
        ROWS_AT_ONCE = ATTENTION_THREADS / SEGMENTS,
        TABLE_BYTES = CHUNK_TABLES * CHUNK_BLOCKS * (int)sizeof(int64_t),
    };
    const struct attention_launch &a;
    const struct row_tile &tile; /* what none of its rows sees is zero, and not read */
    unsigned char *const ring;
    int64_t *const table;  /* [CHUNK_TABLES][CHUNK_BLOCKS]: of chunk c, at c mod 2, what place_of()
                              the first position of each block has */
    const int first_block; /* of the sequence, in args.block */
    const int end_chunk;
    const int first_slice, end_slice; /* of the values; of the keys all are read */
    int chunk, quarter, slice;        /* of the next tile to be asked for */
    bool is_value;                    /* it is one of values */
    int stage;                        /* of the next tile to be taken */
    int32_t coming;                   /* block of this thread in the chunk after `chunk` */

    /* ---- where positions are ---- */

    /* The number of this thread's block in a chunk; 0 where there is none to be read. */
    __device__ inline int32_t block_of(int of_chunk) const
    {
        const int at = ((of_chunk * CHUNK) >> a.block_shift) + (int)threadIdx.x;
        const int first = at << a.block_shift;
        const bool is_mine = (int)threadIdx.x < CHUNK_BLOCKS && first < (of_chunk + 1) * CHUNK;
        const bool is_seen = first < tile.end && first + a.cache.block_tokens > tile.begin;
        return is_mine && is_seen ? a.args.block[first_block + at] : 0;
    }

    __device__ inline void keep(int of_chunk, int64_t number)
    {
        const int64_t place = (number * a.cache.n_kv_heads + tile.kv_head) << a.block_shift;
        if ((int)threadIdx.x < CHUNK_BLOCKS)
            table[of_chunk % CHUNK_TABLES * CHUNK_BLOCKS + (int)threadIdx.x] = place;
    }

    /* The place of a position of `chunk` in K, V and, without head_dim, the scales. */
    __device__ inline int64_t place_of(int position) const
    {
        const int in_chunk = (position >> a.block_shift) - ((chunk * CHUNK) >> a.block_shift);
        return table[chunk % CHUNK_TABLES * CHUNK_BLOCKS + in_chunk] +
               (position & (a.cache.block_tokens - 1));
    }

    __device__ inline bool is_there(int position) const
    {
        return position >= tile.begin && position < tile.end;
    }

    /* ---- from there to shared memory ---- */

    /* All places are asked for before the first copy, which the compiler takes for a barrier. */
    __device__ inline void load_segments(unsigned char *to_tile) const
    {
        const int row_bytes = a.cache.head_dim * Cache::BYTES;
        const int row = (int)threadIdx.x / SEGMENTS, segment = (int)threadIdx.x % SEGMENTS;
        const int byte = slice * shape::WIDTH * Cache::BYTES + segment * SEGMENT;
        const unsigned char *all =
            static_cast<const unsigned char *>(is_value ? a.cache.v : a.cache.k) + byte;
        const int first = chunk * CHUNK + quarter * QUARTER + row;
        const int end = tile.end, begin = byte < row_bytes ? tile.begin : end;
        /* of more rows at once than a block has, some are of no row: they would be of another tile
         */
        enum { STEP = (int)ROWS_AT_ONCE > (int)MIN_BLOCK ? ROWS_AT_ONCE / (int)MIN_BLOCK : 1 };
        const unsigned char *from[QUARTER / MIN_BLOCK];
#pragma unroll
        for (int b = 0; b < QUARTER / MIN_BLOCK; b += STEP)
            from[b] = all + place_of(first + b * MIN_BLOCK) * row_bytes;
        /* rows of one thread are a multiple of 8 apart: the same banks */
        unsigned char *to = Cache::IS_I8 ? to_tile + (int)threadIdx.x * SEGMENT
                                         : segment_at<SEGMENTS>(to_tile, row, segment);
        static_assert(ROWS_AT_ONCE % 8 == 0, "rows of a thread are in the same banks");
#pragma unroll
        for (int r = 0; r < QUARTER; r += ROWS_AT_ONCE) {
            const bool valid = first + r >= begin && first + r < end;
            gpu_copy_async(to + r * SEGMENTS * SEGMENT,
                           from[r / MIN_BLOCK] + r % MIN_BLOCK * row_bytes, valid);
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
        gpu_copy_async(scales + i * SEGMENT, all + place_of(first), valid);
    }

    /* ---- the order of tiles ---- */

    /* Behind the keys of a chunk come its values, and the table of the chunk after it is filled. */
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
            coming = block_of(chunk + 1);
        } else {
            if (++slice < shape::SLICES)
                return;
            slice = 0;
            if (++quarter < last_quarter(tile.end, chunk))
                return;
            is_value = true;
            slice = first_slice;
            quarter = first_quarter(tile.begin, chunk);
            keep(chunk + 1, coming);
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
        coming = block_of(chunk + 1);
        __syncthreads();
        keep(chunk, block_of(chunk));
#pragma unroll 1
        for (int i = 0; i < shape::STAGES - 1; i++) {
            __syncthreads();
            ask(i);
        }
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
            const int8_t *x = reinterpret_cast<const int8_t *>(narrow) + i * SEGMENT_NUMBERS;
            uint32_t *to =
                reinterpret_cast<uint32_t *>(segment_at<PER_ROW>(wide(), i / PER_ROW, i % PER_ROW));
            for (int e = 0; e < SEGMENT_NUMBERS / 2; e++)
                to[e] = Cache::format::pack((float)x[2 * e], (float)x[2 * e + 1]);
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

/* Chunks [first, end) of a tile, of the values slices [first_slice, + n_slices). */
template <class Cache, int dim>
static __device__ inline many_stream<Cache, dim>
many_stream_of(const struct attention_launch &a, const struct row_tile &tile, unsigned char *ring,
               int64_t *table, int first_slice, int n_slices)
{
    return {a,
            tile,
            ring,
            table,
            a.args.first_block[tile.sequence],
            end_chunk_of(tile),
            first_slice,
            first_slice + n_slices,
            first_chunk_of(tile),
            0,
            0,
            false,
            0,
            0};
}

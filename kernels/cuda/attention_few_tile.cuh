/* kernels/cuda/attention_few_tile.cuh: keys and values of few rows on their way.
 *
 * A piece is half a chunk by `WIDTH` elements of a head, laid out as the tiles of
 * attention_tile.cuh. As many as there is room for are on their way before the first is looked at:
 * the first answer of the memory is what a short context waits for. A chunk is read as its keys
 * (by half, then slice of the head), then its values (by slice, then half).
 *
 * Which blocks of the cache a chunk has is asked once, a lane for each block, a chunk ahead.
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

enum { HALF = CHUNK / 2, HALF_QUARTERS = HALF / QUARTER };

template <class Cache, int dim> struct piece_shape {
    typedef head_shape<Cache, dim> base;
    enum {
        WIDTH = base::WIDTH,
        SLICES = base::SLICES,
        NARROW_BYTES = HALF * WIDTH * Cache::BYTES,
        SCALE_BYTES = Cache::IS_I8 ? 2 * HALF * (int)sizeof(float) : 0,
        PIECE_BYTES = NARROW_BYTES + SCALE_BYTES,
        PIECES = dim < 128 ? 4 : 3, /* in shared memory */
        WIDE_BYTES = Cache::IS_I8 ? HALF * WIDTH * 2 + 2 * CHUNK * (int)sizeof(float) : 0,
        RING_BYTES = PIECES * PIECE_BYTES + WIDE_BYTES,
    };
};

/* [first, last) of the halves of a chunk that hold a position of [begin, end). */
static __device__ inline int first_half(int begin, int chunk)
{
    return first_quarter(begin, chunk) / HALF_QUARTERS;
}
static __device__ inline int last_half(int end, int chunk)
{
    return (last_quarter(end, chunk) + HALF_QUARTERS - 1) / HALF_QUARTERS;
}

/* Every thread of the block has the same one and calls everything, in turn take() and done(). */
template <class Cache, int dim> struct piece_stream {
    typedef piece_shape<Cache, dim> shape;
    const struct attention_launch &a;
    const struct row_tile &tile; /* what none of its rows sees is zero, and not read */
    unsigned char *const ring;
    const int32_t *const blocks; /* of the sequence */
    const int end_chunk;
    int chunk, half, slice; /* of the next piece to be asked for */
    bool is_value;          /* it is one of values */
    int place;              /* of the next piece to be taken */
    int32_t block;          /* of the chunk: the one that this lane has */

    __device__ inline void ask_blocks()
    {
        const int lane = (int)threadIdx.x % WARP;
        const int first = chunk * CHUNK + (lane << a.block_shift);
        block = 0;
        if (lane << a.block_shift < CHUNK && first < tile.end)
            block = blocks[first >> a.block_shift];
    }

    /* The block of row `row` of the chunk. All threads of a warp call it. */
    __device__ inline int32_t block_of(int row) const
    {
        return __shfl_sync(0xffffffffu, block, row >> a.block_shift);
    }

    /* The place of that row in K, V and, without head_dim, the scales. */
    __device__ inline int64_t place_of(int row) const
    {
        const int32_t at = block_of(row);
        const int in_block = row & (a.cache.block_tokens - 1);
        return (((int64_t)at * a.cache.n_kv_heads + tile.kv_head) << a.block_shift) + in_block;
    }

    __device__ inline bool is_there(int row) const
    {
        const int position = chunk * CHUNK + row;
        return position >= tile.begin && position < tile.end;
    }

    __device__ inline const unsigned char *source() const
    {
        return static_cast<const unsigned char *>(is_value ? a.cache.v : a.cache.k);
    }

    /* A thread has one segment of every ROW_STEP-th row, so all but the block stays as it is from
     * row to row: four warps have nobody who would hide long ways to an address. */
    __device__ inline void load_segments(unsigned char *to) const
    {
        enum { PER_ROW = shape::WIDTH * Cache::BYTES / SEGMENT };
        enum { ROW_STEP = ATTENTION_THREADS / PER_ROW };
        static_assert(ROW_STEP % 8 == 0 && HALF % ROW_STEP == 0, "segment_at() of rows alike");
        const int first = (int)threadIdx.x / PER_ROW, segment = (int)threadIdx.x % PER_ROW;
        const int row_bytes = a.cache.head_dim * Cache::BYTES;
        const int byte = slice * shape::WIDTH * Cache::BYTES + segment * SEGMENT;
        const int64_t head_bytes = (int64_t)row_bytes << a.block_shift;
        const int64_t block_bytes = a.cache.n_kv_heads * head_bytes;
        const unsigned char *from = source() + tile.kv_head * head_bytes + byte;
        unsigned char *to_row = Cache::IS_I8 ? to + (int)threadIdx.x * SEGMENT
                                             : segment_at<PER_ROW>(to, first, segment);
#pragma unroll 4
        for (int r = 0; r < HALF; r += ROW_STEP) {
            const int row = half * HALF + first + r;
            const int in_block = row & (a.cache.block_tokens - 1);
            gpu_copy_async(to_row + r * PER_ROW * SEGMENT,
                           from + block_of(row) * block_bytes + in_block * row_bytes,
                           is_there(row) && byte < row_bytes);
        }
    }

    /* Heads whose rows begin anywhere. */
    __device__ inline void load_numbers(unsigned char *to) const
    {
        enum { PER_ROW = shape::WIDTH / SEGMENT_NUMBERS };
        const unsigned char *all = source();
#pragma unroll 1
        for (int i = (int)threadIdx.x; i < HALF * shape::WIDTH; i += ATTENTION_THREADS) {
            const int row = i / shape::WIDTH, column = i % shape::WIDTH;
            const int element = slice * shape::WIDTH + column;
            const int64_t at = place_of(half * HALF + row) * a.cache.head_dim + element;
            const bool valid = is_there(half * HALF + row) && element < a.cache.head_dim;
            if (Cache::IS_I8) {
                to[i] = valid ? all[at] : (unsigned char)0;
            } else {
                unsigned char *segment = segment_at<PER_ROW>(to, row, column / SEGMENT_NUMBERS);
                reinterpret_cast<uint16_t *>(segment)[column % SEGMENT_NUMBERS] =
                    valid ? reinterpret_cast<const uint16_t *>(all)[at] : (uint16_t)0;
            }
        }
    }

    /* Scales of keys, then of values, behind the first slice of the keys: four positions at a time,
     * which are neighbours in a block. */
    __device__ inline void load_scales(unsigned char *scales) const
    {
        enum { PER_SEGMENT = SEGMENT / (int)sizeof(float), N = HALF / PER_SEGMENT };
        const int i = (int)threadIdx.x, row = half * HALF + i % N * PER_SEGMENT;
        const float *from = i < N ? a.cache.k_scale : a.cache.v_scale;
        const int64_t at = place_of(row);
        if (i < 2 * N)
            gpu_copy_async(scales + i * SEGMENT, from + at,
                           is_there(row) || is_there(row + PER_SEGMENT - 1));
    }

    __device__ inline void step()
    {
        const int first = first_half(tile.begin, chunk), last = last_half(tile.end, chunk);
        if (is_value) {
            if (++half < last)
                return;
            half = first;
            if (++slice < shape::SLICES)
                return;
            chunk++;
            half = first_half(tile.begin, chunk);
            if (chunk < end_chunk)
                ask_blocks();
        } else {
            if (++slice < shape::SLICES)
                return;
            slice = 0;
            if (++half < last)
                return;
            half = first;
        }
        is_value = !is_value;
        slice = 0;
    }

    /* The next piece sets out. */
    __device__ inline void ask(int to_place)
    {
        if (chunk < end_chunk) {
            unsigned char *to = ring + to_place * shape::PIECE_BYTES;
            if (a.aligned)
                load_segments(to);
            else
                load_numbers(to);
            if (Cache::IS_I8 && !is_value && slice == 0)
                load_scales(to + shape::NARROW_BYTES);
            step();
        }
        gpu_copy_commit();
    }

    /* What was in the ring before is used no more. */
    __device__ inline void start()
    {
        ask_blocks();
        half = first_half(tile.begin, chunk);
#pragma unroll 1
        for (int i = 0; i < shape::PIECES; i++)
            ask(i);
    }

    __device__ inline unsigned char *wide() { return ring + shape::PIECES * shape::PIECE_BYTES; }

    /* Of I8: the scales of the chunk [2][CHUNK], of a half of the keys from its take() on, of both
     * after the last of the keys until the next chunk. */
    __device__ inline float *scales()
    {
        return reinterpret_cast<float *>(wide() + HALF * shape::WIDTH * 2);
    }

    /* From whole numbers of a byte to those of the matrix unit. */
    __device__ inline void widen(const unsigned char *narrow, int at_half, bool has_scales)
    {
        enum { PER_ROW = shape::WIDTH / SEGMENT_NUMBERS };
#pragma unroll 2
        for (int i = (int)threadIdx.x; i < HALF * PER_ROW; i += ATTENTION_THREADS)
            *reinterpret_cast<uint4 *>(segment_at<PER_ROW>(wide(), i / PER_ROW, i % PER_ROW)) =
                widened_numbers(reinterpret_cast<const uint2 *>(narrow)[i]);
        const float *given = reinterpret_cast<const float *>(narrow + shape::NARROW_BYTES);
        for (int i = (int)threadIdx.x; has_scales && i < 2 * HALF; i += ATTENTION_THREADS)
            scales()[i / HALF * CHUNK + at_half * HALF + i % HALF] = given[i];
    }

    /* The next piece, until done(); which one it is, the caller knows. */
    __device__ inline unsigned char *take(int at_half, bool has_scales)
    {
        gpu_copy_wait<shape::PIECES - 1>();
        __syncthreads();
        unsigned char *there = ring + place * shape::PIECE_BYTES;
        if (!Cache::IS_I8)
            return there;
        widen(there, at_half, has_scales);
        __syncthreads();
        return wide();
    }

    __device__ inline void done()
    {
        if (!Cache::IS_I8) /* what is widened is overwritten by the next take() alone */
            __syncthreads();
        ask(place);
        place = place + 1 == shape::PIECES ? 0 : place + 1;
    }
};

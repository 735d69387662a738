/* kernels/cuda/attention_rows.cuh: the rows of attention: what they see, how chunks of theirs are
 * combined, and where their results go.
 */
#pragma once
#include "kernels/cuda/attention_tile.cuh"

static __device__ inline const int32_t *first_tiles(const struct attention_launch &a)
{
    return first_units(a.work) + a.args.n_sequences + 1;
}

/* ---- a tile of rows ---- */

/* Query heads of a KV head, which are neighbours. All threads of a warp call it. */
static __device__ inline void heads_of(const struct attention_args &a, int kv_head, int *first,
                                       int *n)
{
    *first = *n = 0;
    const int lane = (int)threadIdx.x % WARP;
    for (int base = 0; base < a.n_heads; base += WARP) {
        const int kv = base + lane < a.n_heads ? a.kv_of_head[base + lane] : kv_head + 1;
        *first += __popc(__ballot_sync(0xffffffffu, kv < kv_head));
        *n += __popc(__ballot_sync(0xffffffffu, kv == kv_head));
    }
}

/* The rows of tile `index` of a sequence with n_new tokens, and what they see; the fields above
 * them are there. */
static __device__ inline void see(struct row_tile *tile, int n_new, int window, int index,
                                  int tile_rows)
{
    tile->first_row = index * tile_rows;
    tile->n_rows = min(n_new * tile->group - tile->first_row, tile_rows);
    tile->begin = tile->end = tile->all_begin = tile->all_end = 0;
    if (tile->n_rows > 0) {
        const int last = tile->first_row + tile->n_rows - 1;
        tile->all_end = tile->n_computed + tile->first_row / tile->group + 1;
        tile->end = tile->n_computed + last / tile->group + 1;
        tile->begin = first_seen(tile->all_end - 1, window);
        tile->all_begin = first_seen(tile->end - 1, window);
    }
}

static __device__ inline struct row_tile tile_at(const struct attention_args &a, int sequence,
                                                 int kv_head, int index, int tile_rows)
{
    struct row_tile tile;
    tile.sequence = sequence;
    tile.kv_head = kv_head;
    heads_of(a, kv_head, &tile.first_head, &tile.group);
    tile.first_token = a.first_row[sequence];
    tile.n_computed = a.n_computed[sequence];
    const int n_new = a.first_row[sequence + 1] - tile.first_token;
    see(&tile, n_new, a.window, index, tile_rows);
    return tile;
}

/* Chunks that a row of the tile sees: [first, end). */
static __device__ inline int first_chunk_of(const struct row_tile &tile)
{
    return tile.begin / CHUNK;
}
static __device__ inline int end_chunk_of(const struct row_tile &tile)
{
    return (tile.end + CHUNK - 1) / CHUNK;
}

/* A row of a tile: its token and head, and the positions [begin, end) that it sees: none, if there
 * is no such row. */
struct sight {
    int begin, end;
};
struct attention_row {
    int64_t token; /* row of the step */
    int head;
    struct sight sees;
};

static __device__ inline struct attention_row row_at(const struct attention_args &a,
                                                     const struct row_tile &tile, int r)
{
    if (r >= tile.n_rows)
        return {0, 0, {0, 0}};
    const int row = tile.first_row + r, token = row / tile.group;
    const int position = tile.n_computed + token;
    return {tile.first_token + token,
            tile.first_head + row - token * tile.group,
            {first_seen(position, a.window), position + 1}};
}

/* The positions of a quarter are seen by every row of the tile. */
static __device__ inline bool is_seen_by_all(const struct row_tile &tile, int begin)
{
    return tile.all_begin <= begin && tile.all_end >= begin + QUARTER;
}

/* Queries of a tile into shared memory, [tile_rows][dim] in segments; what is missing is zero. */
template <int dim, int tile_rows>
static __device__ inline void load_queries(const struct attention_launch &a,
                                           const struct row_tile &tile, unsigned char *queries)
{
    enum { PER_ROW = dim / SEGMENT_NUMBERS };
    const int head_dim = a.cache.head_dim;
    for (int i = (int)threadIdx.x; i < tile_rows * PER_ROW; i += ATTENTION_THREADS) {
        const int r = i / PER_ROW, element = i % PER_ROW * SEGMENT_NUMBERS;
        const struct attention_row row = row_at(a.args, tile, r);
        const uint16_t *q = static_cast<const uint16_t *>(a.args.q) +
                            (row.token * a.args.n_heads + row.head) * head_dim;
        uint4 v = make_uint4(0, 0, 0, 0);
        if (r < tile.n_rows && a.aligned && element < head_dim) {
            v = *reinterpret_cast<const uint4 *>(q + element);
        } else if (r < tile.n_rows) {
            uint32_t word[4] = {0, 0, 0, 0};
#pragma unroll
            for (int e = 0; e < SEGMENT_NUMBERS; e++)
                if (element + e < head_dim)
                    word[e / 2] |= (uint32_t)q[element + e] << e % 2 * 16;
            v = make_uint4(word[0], word[1], word[2], word[3]);
        }
        *reinterpret_cast<uint4 *>(segment_at<PER_ROW>(queries, r, i % PER_ROW)) = v;
    }
}

/* ---- scores ---- */

/* Within 2^-22 of the true value, which is what a score needs: it is a difference that counts. */
static __device__ inline float tanh_of(float x)
{
    const float two_log2e = 0x1.715476p1f, far = 10.0f; /* where it is 1 */
    float near = x > far ? far : x;
    near = near < -far ? -far : near;
    const float d = gpu_exp2(near * two_log2e) + 1.0f;
    /* 1 / d: a first guess within an eighth, and three steps of Newton. A division of its own would
     * be a call, for which the registers of many scores had to be put away. */
    float inverse = gpu_bits_f32(0x7ef311c7u - gpu_f32_bits(d));
#pragma unroll
    for (int i = 0; i < 3; i++)
        inverse = fmaf(inverse, fmaf(0.0f - d, inverse, 1.0f), inverse);
    return fmaf(-2.0f, inverse, 1.0f);
}

/* What a thread has of 16 rows by 8 positions after gpu_mma(): of rows g and g + 8 of the warp the
 * positions first + 2 i and the next. Out of sight is -inf. */
static __device__ inline void hide(float s[4], int position, const struct sight row[2])
{
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const struct sight &of = row[e / 2];
        const int p = position + e % 2;
        s[e] = p >= of.begin && p < of.end ? s[e] : -INFINITY;
    }
}

/* exp of a score, relative to the maximum of its row and chunk, both of them before to_log2. 0 out
 * of sight, also where all is: then `max` is -inf. */
static __device__ inline float weight_of(float s, float max, float to_log2)
{
    const float zero = max == -INFINITY ? 0.0f : max * to_log2;
    return gpu_exp2(fmaf(s, to_log2, 0.0f - zero));
}

/* Of the four threads that share a row of gpu_mma(). */
static __device__ inline float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
static __device__ inline float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* ---- chunks, combined from left to right ---- */

struct running {
    float max, sum; /* of the chunks so far; max in powers of two */
};

static __device__ inline struct running running_none() { return {-INFINITY, 0.0f}; }

/* A chunk with maximum m and sum l joins: outputs so far are to be multiplied by `before`, those of
 * the chunk by `chunk`. One of which the row saw nothing changes no bit. */
struct shares {
    float before, chunk;
};
static __device__ inline struct shares join(struct running *r, float m, float l)
{
    const float max = fmaxf(r->max, m), zero = max == -INFINITY ? 0.0f : max;
    const struct shares share = {gpu_exp2(r->max - zero), gpu_exp2(m - zero)};
    r->max = max;
    r->sum = r->sum * share.before + l * share.chunk;
    return share;
}
static __device__ inline float joined(float before, float chunk, struct shares share)
{
    return (before * share.before + chunk * share.chunk) + 0.0f; /* a zero is +0 */
}

/* What four sums of gpu_mma() are over all chunks so far: a thread keeps them in shared memory
 * [n][ATTENTION_THREADS], where nobody else looks. */
static __device__ inline float4 *sums_at(float4 *sums, int n)
{
    return sums + n * ATTENTION_THREADS + (int)threadIdx.x;
}
static __device__ inline void join_sums(float4 *sums, const float o[4],
                                        const struct shares share[2])
{
    const float4 s = *sums;
    *sums = make_float4(joined(s.x, o[0], share[0]), joined(s.y, o[1], share[0]),
                        joined(s.z, o[2], share[1]), joined(s.w, o[3], share[1]));
}

/* ---- results ---- */

/* Where the columns of a head begin in a row of the output: leaves are runs of whole heads. */
static __device__ inline int column_of_head(const struct attention_launch &a, int head)
{
    const int k = head * a.cache.head_dim;
    if (a.args.out.dtype == DTYPE_F32)
        return k;
    int begin = 0, padded = 0;
    for (int l = 0; l < a.leaves.n_leaves && a.leaves.leaf[l].k_end <= k; l++) {
        padded += (a.leaves.leaf[l].k_end - begin + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        begin = a.leaves.leaf[l].k_end;
    }
    return padded + k - begin;
}

static __device__ inline void store_as(void *to, enum dtype dtype, int64_t at, float x)
{
    if (dtype == DTYPE_F32)
        static_cast<float *>(to)[at] = x;
    else
        static_cast<uint16_t *>(to)[at] = dtype == DTYPE_BF16 ? gpu_f32_bf16(x) : gpu_f32_f16(x);
}

/* Columns d and d + 1 of the head that begins at `head` of the output, as far as there are such. */
static __device__ inline void store_two(const struct attention_launch &a, int64_t head, int d,
                                        float x, float y)
{
    if (d < a.cache.head_dim)
        store_as(a.args.out.data, a.args.out.dtype, head + d, x);
    if (d + 1 < a.cache.head_dim)
        store_as(a.args.out.data, a.args.out.dtype, head + d + 1, y);
}

/* Where a row's head begins in the output. */
static __device__ inline int64_t output_of(const struct attention_launch &a,
                                           const struct attention_row &row)
{
    return row.token * a.args.out.k_padded + column_of_head(a, row.head);
}

/* Zeros into the columns of `row` between leaves, or into all of one that is no sequence's. */
static __device__ inline void store_padding(const struct attention_launch &a, int row)
{
    const struct operand &out = a.args.out;
    const int64_t first = (int64_t)row * out.k_padded;
    if (row >= a.args.first_row[a.args.n_sequences]) {
        for (int k = (int)threadIdx.x; k < out.k_padded; k += (int)blockDim.x)
            store_as(out.data, out.dtype, first + k, 0.0f);
        return;
    }
    int begin = 0, padded = 0;
    for (int l = 0; l < a.leaves.n_leaves && out.k_padded > out.k; l++) {
        const int n = a.leaves.leaf[l].k_end - begin;
        const int wide = (n + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        for (int k = n + (int)threadIdx.x; k < wide; k += (int)blockDim.x)
            store_as(out.data, out.dtype, first + padded + k, 0.0f);
        padded += wide;
        begin = a.leaves.leaf[l].k_end;
    }
}

/* ---- values that are not finite ----
 *
 * The matrix unit multiplies what a row does not see by 0, and 0 times infinity is NaN. So where
 * rows of a tile see different parts of a quarter, its values are looked at: those that are not
 * finite make NaN of the sums of the rows that see them, and are zero for the others. */

static __device__ inline bool is_seen_alike(const struct row_tile &tile, int begin)
{
    const int end = begin + QUARTER;
    return max(tile.begin, begin) == max(tile.all_begin, begin) &&
           min(tile.end, end) == min(tile.all_end, end);
}

template <class Format> static __device__ inline bool is_finite(uint16_t v)
{
    return fabsf(Format::widen(v)) < INFINITY;
}

template <class Format>
static __device__ inline bool clean_segment(unsigned char *segment, bool clean)
{
    uint16_t *v = reinterpret_cast<uint16_t *>(segment);
    bool finite = true;
    for (int e = 0; e < SEGMENT_NUMBERS; e++)
        if (!is_finite<Format>(v[e])) {
            finite = false;
            if (clean)
                v[e] = 0;
        }
    return finite;
}

/* Of n_columns sums of a thread, those of 8 columns together, the first of them in segment
 * first_segment: o[n][e] is of row[e / 2] and column 8 (first_segment + n) + 2 i + e % 2. */
template <class Format, int per_row, int n_columns>
static __device__ inline void spoil(float (*o)[4], unsigned char *tile, int first_segment,
                                    const struct sight row[2], int begin)
{
    const int i = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < n_columns; n++)
#pragma unroll 1
        for (int r = 0; r < QUARTER; r++) {
            const uint16_t *v =
                reinterpret_cast<const uint16_t *>(segment_at<per_row>(tile, r, first_segment + n));
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const struct sight &of = row[e / 2];
                if (begin + r >= of.begin && begin + r < of.end && !is_finite<Format>(v[i + e % 2]))
                    o[n][e] = gpu_bits_f32(0x7fc00000u);
            }
        }
}

/* `flag` in shared memory is 0, and is again behind it. Every thread of the block calls it;
 * first_row is its first row of the tile, the other is 8 behind. */
template <class Format, int per_row, int n_columns>
static __device__ inline void
clean_values(const struct attention_args &a, const struct row_tile &rows, int first_row,
             float (*o)[4], unsigned char *tile, int first_segment, int begin, int *flag)
{
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < QUARTER * per_row; i += ATTENTION_THREADS)
        if (!clean_segment<Format>(tile + i * SEGMENT, false))
            *flag = 1;
    __syncthreads();
    if (*flag == 0)
        return;
    const struct sight row[2] = {row_at(a, rows, first_row).sees,
                                 row_at(a, rows, first_row + 8).sees};
    spoil<Format, per_row, n_columns>(o, tile, first_segment, row, begin);
    __syncthreads();
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < QUARTER * per_row; i += ATTENTION_THREADS)
        clean_segment<Format>(tile + i * SEGMENT, true);
    if (threadIdx.x == 0)
        *flag = 0;
    __syncthreads();
}

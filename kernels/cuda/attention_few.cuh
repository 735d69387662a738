/* kernels/cuda/attention_few.cuh: decoding: at most 16 rows, against chunks that stream by.
 *
 * Memory decides, so the block has nothing but pieces on their way, and the four warps share each
 * of them: of the keys of a quarter a warp has 16 positions, of the values a fourth of the columns.
 * Weights go from one to the other through shared memory. Sums have the order that
 * attention_many.cuh has, so the bits are the same.
 */
#pragma once
#include "kernels/cuda/attention_few_tile.cuh"

enum { WARP_POSITIONS = QUARTER / ATTENTION_WARPS, WARP_KEYS = WARP_POSITIONS / 8 };

template <class Cache, int dim> struct few_shape : piece_shape<Cache, dim> {
    typedef piece_shape<Cache, dim> base;
    enum {
        COLUMNS = base::WIDTH / 8 / ATTENTION_WARPS, /* of gpu_mma(), of a warp in a slice */
        QUERY_BYTES = FEW_ROWS * dim * 2,
        WEIGHT_BYTES = FEW_ROWS * CHUNK * 2,
        EDGE_BYTES = FEW_ROWS * ATTENTION_WARPS * 5 * (int)sizeof(float), /* maxima and sums */
        /* of one slice they are in registers, and blocks of its size two on a multiprocessor */
        SUM_BYTES = base::SLICES > 1 ? FEW_ROWS *dim *(int)sizeof(float) : 0,
        BYTES = QUERY_BYTES + WEIGHT_BYTES + SUM_BYTES + EDGE_BYTES,
        ALL_BYTES = BYTES + base::RING_BYTES,
    };
};

/* What becomes of the chunks of a tile: combined here and stored, or each for itself. */
struct few_chunks {
    int first, end;
    float *partial; /* of the first chunk [unit_rows, 2 + head_dim], then of the next; NULL: none */
    int unit_rows;
};

template <class Cache, int dim> struct few_rows {
    typedef few_shape<Cache, dim> shape;
    typedef typename Cache::format format;
    enum {
        PER_ROW = shape::WIDTH / SEGMENT_NUMBERS,
        PER_WEIGHTS = CHUNK / SEGMENT_NUMBERS,
        COLUMNS = shape::COLUMNS,
        SLICES = shape::SLICES,
    };

    const struct attention_launch &a;
    const struct row_tile &tile;
    struct sight row[2];              /* of this thread, in gpu_mma() */
    unsigned char *queries, *weights; /* [16][dim], [16][CHUNK] in segments */
    float4 *sums;                     /* [SLICES * COLUMNS][ATTENTION_THREADS], of several slices */
    float *maxima;                    /* [ATTENTION_WARPS][16] */
    float *lanes;                     /* [16][ATTENTION_WARPS][4] */
    int *flag;
    float4 own[COLUMNS]; /* the sums of one slice */
    typedef piece_stream<Cache, dim> pieces;

    __device__ inline int warp() const { return (int)threadIdx.x / WARP; }
    __device__ inline int g() const { return (int)threadIdx.x % WARP / 4; }
    __device__ inline int i() const { return (int)threadIdx.x % 4; }

    /* The products of a half, added to those of its quarters. Two quarters by two: four chains of
     * the matrix unit at once. */
    __device__ inline void add_products(float (*s)[WARP_KEYS][4], unsigned char *keys, int slice)
    {
        enum { STEPS = shape::WIDTH / 16 };
#pragma unroll 2 /* addresses of all steps at once would take too many registers */
        for (int step = 0; step < STEPS; step++) {
            uint32_t q[4], k[4];
            gpu_load_matrix(q, fragment_a<dim / SEGMENT_NUMBERS>(queries, 0, slice * STEPS + step));
#pragma unroll
            for (int n = 0; n < HALF_QUARTERS; n++) {
                gpu_load_matrix(
                    k, fragment_b<PER_ROW>(keys, n * QUARTER + warp() * WARP_POSITIONS, step));
                gpu_mma(format(), s[n][0], q, k);
                gpu_mma(format(), s[n][1], q, k + 2);
            }
        }
    }

    /* From products to scores of a quarter. */
    __device__ inline void finish_quarter(float (*s)[4], const float *k_scale, int position)
    {
#pragma unroll
        for (int n = 0; n < WARP_KEYS; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (Cache::IS_I8)
                    s[n][e] *= k_scale[n * 8 + i() * 2 + e % 2];
                if (a.to_cap > 0.0f)
                    s[n][e] = tanh_of(s[n][e] * a.to_cap);
            }
            hide(s[n], position + n * 8 + i() * 2, row);
        }
    }

    __device__ inline void score_chunk(pieces &stream, float (*s)[WARP_KEYS][4], int chunk)
    {
        const int begin = first_half(tile.begin, chunk), end = last_half(tile.end, chunk);
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) {
            const bool there = q / HALF_QUARTERS >= begin && q / HALF_QUARTERS < end;
#pragma unroll
            for (int n = 0; n < WARP_KEYS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    s[q][n][e] = there ? 0.0f : -INFINITY;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (half < begin || half >= end)
                continue;
#pragma unroll 1
            for (int slice = 0; slice < SLICES; slice++) {
                add_products(s + half * HALF_QUARTERS, stream.take(half, slice == 0), slice);
                stream.done();
            }
#pragma unroll
            for (int n = 0; n < HALF_QUARTERS; n++) {
                const int q = half * HALF_QUARTERS + n;
                const int at = q * QUARTER + warp() * WARP_POSITIONS;
                finish_quarter(s[q], stream.scales() + at, chunk * CHUNK + at);
            }
        }
    }

    /* Of both rows over the whole chunk, before to_log2. */
    __device__ inline void find_maxima(float max[2], const float (*s)[WARP_KEYS][4])
    {
        max[0] = max[1] = -INFINITY;
#pragma unroll
        for (int q = 0; q < QUARTERS; q++)
            for (int n = 0; n < WARP_KEYS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    max[e / 2] = fmaxf(max[e / 2], s[q][n][e]);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            max[r] = quad_max(max[r]);
            if (i() == 0)
                maxima[warp() * FEW_ROWS + g() + 8 * r] = max[r];
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 2; r++)
            for (int w = 0; w < ATTENTION_WARPS; w++)
                max[r] = fmaxf(max[r], maxima[w * FEW_ROWS + g() + 8 * r]);
    }

    /* Weights of this warp's positions, and what they add up to, for all warps. */
    __device__ inline void share_weights(const float (*s)[WARP_KEYS][4], const float max[2],
                                         const float *v_scale)
    {
        float lane[2] = {0.0f, 0.0f};
#pragma unroll
        for (int q = 0; q < QUARTERS; q++)
#pragma unroll
            for (int n = 0; n < WARP_KEYS; n++) {
                const int at = q * QUARTER + warp() * WARP_POSITIONS + n * 8;
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float x[2];
                    for (int e = 0; e < 2; e++) {
                        const float score = s[q][n][2 * r + e];
                        x[e] = weight_of(score, max[r], a.to_log2);
                        lane[r] += x[e];
                        if (Cache::IS_I8)
                            x[e] = score == -INFINITY ? 0.0f : x[e] * v_scale[at + i() * 2 + e];
                    }
                    unsigned char *to = segment_at<PER_WEIGHTS>(weights, g() + 8 * r, at / 8);
                    reinterpret_cast<uint32_t *>(to)[i()] = format::pack(x[0], x[1]);
                }
            }
#pragma unroll
        for (int r = 0; r < 2; r++)
            lanes[((g() + 8 * r) * ATTENTION_WARPS + warp()) * 4 + i()] = lane[r];
        __syncthreads();
    }

    __device__ inline float sum_of(int r) const
    {
        const float *lane = lanes + r * ATTENTION_WARPS * 4 + i();
        return quad_sum((lane[0] + lane[4]) + (lane[8] + lane[12]));
    }

    /* A quarter of a piece of values, added to the columns of this warp: n gives 8 of them. */
    __device__ inline void add_quarter(float (*o)[4], unsigned char *values, int chunk, int q)
    {
        const int mine = warp() * COLUMNS, at = chunk * CHUNK + q * QUARTER;
        if (!Cache::IS_I8 && !is_seen_alike(tile, at)) {
            __syncthreads(); /* everyone has seen the flag of the quarter before */
            clean_values<format, PER_ROW, COLUMNS>(a.args, tile, g(), o, values, mine, at, flag);
        }
#pragma unroll 2
        for (int step = 0; step < QUARTER / 16; step++) {
            uint32_t p[4];
            gpu_load_matrix(p, fragment_a<PER_WEIGHTS>(weights, 0, q * (QUARTER / 16) + step));
#pragma unroll
            for (int n = 0; n < COLUMNS; n += 2) {
                uint32_t v[4];
                gpu_load_matrix_transposed(v,
                                           fragment_a<PER_ROW>(values, step * 16, (mine + n) / 2));
                gpu_mma(format(), o[n], p, v);
                gpu_mma(format(), o[n + 1], p, v + 2);
            }
        }
    }

    __device__ inline void sum_slice(pieces &stream, float (*o)[4], int chunk)
    {
        enum { QUARTER_BYTES = QUARTER * shape::WIDTH * 2 };
        const int begin = first_quarter(tile.begin, chunk), end = last_quarter(tile.end, chunk);
        const int end_half = last_half(tile.end, chunk);
#pragma unroll 1
        for (int half = first_half(tile.begin, chunk); half < end_half; half++) {
            unsigned char *values = stream.take(half, false);
#pragma unroll 1
            for (int n = 0; n < HALF_QUARTERS; n++) {
                const int q = half * HALF_QUARTERS + n;
                if (q >= begin && q < end)
                    add_quarter(o, values + n * QUARTER_BYTES, chunk, q);
            }
            stream.done();
        }
    }

    __device__ inline int column_at(int slice, int n) const
    {
        return slice * shape::WIDTH + (warp() * COLUMNS + n) * 8 + i() * 2;
    }

    __device__ inline void keep_partial(float *partial, const float (*o)[4], int slice,
                                        const float m[2], const float l[2])
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            if (row[r].end == 0)
                continue;
            float *to = partial + (int64_t)(g() + 8 * r) * (2 + a.cache.head_dim);
            if (slice == 0 && warp() == 0 && i() == 0) {
                to[0] = m[r];
                to[1] = l[r];
            }
            for (int n = 0; n < COLUMNS; n++)
                for (int e = 0; e < 2; e++)
                    if (column_at(slice, n) + e < a.cache.head_dim)
                        to[2 + column_at(slice, n) + e] = o[n][2 * r + e];
        }
    }

    /* The sums of columns n of a slice. */
    __device__ inline float4 *sum_at(int slice, int n)
    {
        return SLICES > 1 ? sums_at(sums, slice * COLUMNS + n) : &own[n];
    }

    __device__ inline void store(const struct running state[2])
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const struct attention_row of = row_at(a.args, tile, g() + 8 * r);
            if (of.sees.end == 0)
                continue;
            const int64_t to = output_of(a, of);
            const float by = 1.0f / state[r].sum;
#pragma unroll 1
            for (int slice = 0; slice < SLICES; slice++)
#pragma unroll
                for (int n = 0; n < COLUMNS; n++) {
                    const float4 sum = *sum_at(slice, n);
                    store_two(a, to, column_at(slice, n), (r ? sum.z : sum.x) * by,
                              (r ? sum.w : sum.y) * by);
                }
        }
    }

    /* A chunk joins the sums, or is left in `partial`. */
    __device__ inline void add_chunk(pieces &stream, int chunk, struct running state[2],
                                     float *partial)
    {
        float s[QUARTERS][WARP_KEYS][4], max[2];
        score_chunk(stream, s, chunk);
        find_maxima(max, s);
        share_weights(s, max, stream.scales() + CHUNK);
        const float m[2] = {max[0] * a.to_log2, max[1] * a.to_log2};
        const float l[2] = {sum_of(g()), sum_of(g() + 8)};
        const struct shares share[2] = {join(&state[0], m[0], l[0]), join(&state[1], m[1], l[1])};
#pragma unroll 1
        for (int slice = 0; slice < SLICES; slice++) {
            float o[COLUMNS][4] = {};
            sum_slice(stream, o, chunk);
            if (partial != NULL)
                keep_partial(partial, o, slice, m, l);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                join_sums(sum_at(slice, n), o[n], share);
        }
    }

    __device__ inline void run(unsigned char *ring, const int32_t *blocks,
                               const struct few_chunks &chunks)
    {
        pieces stream = {a, tile, ring, blocks, chunks.end, chunks.first, 0, 0, false, 0, 0};
        stream.start();
        for (int slice = 0; slice < SLICES; slice++)
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                *sum_at(slice, n) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        struct running state[2] = {running_none(), running_none()};
        const int64_t step = (int64_t)chunks.unit_rows * (2 + a.cache.head_dim);
#pragma unroll 1
        for (int chunk = chunks.first; chunk < chunks.end; chunk++)
            add_chunk(stream, chunk, state,
                      chunks.partial ? chunks.partial + (chunk - chunks.first) * step : NULL);
        if (chunks.partial == NULL)
            store(state);
    }
};

/* Queries of a tile on their way into shared memory, [FEW_ROWS][dim] in segments; what is missing
 * is zero. They belong to the next group of copies. */
template <int dim>
static __device__ inline void ask_queries(const struct attention_launch &a,
                                          const struct row_tile &tile, unsigned char *queries)
{
    enum { PER_ROW = dim / SEGMENT_NUMBERS };
    const uint16_t *q = static_cast<const uint16_t *>(a.args.q);
    for (int i = (int)threadIdx.x; i < FEW_ROWS * PER_ROW; i += ATTENTION_THREADS) {
        const int r = i / PER_ROW, element = i % PER_ROW * SEGMENT_NUMBERS;
        const struct attention_row row = row_at(a.args, tile, r);
        const int64_t at = (row.token * a.args.n_heads + row.head) * a.cache.head_dim;
        gpu_copy_async(segment_at<PER_ROW>(queries, r, i % PER_ROW), q + at + element,
                       r < tile.n_rows && element < a.cache.head_dim);
    }
}

/* `memory` has ALL_BYTES of few_shape; `flag`, of the block, is 0. The chunks are some that the
 * tile sees. */
template <class Cache, int dim>
static __device__ inline void
attend_few(const struct attention_launch &a, const struct row_tile &tile,
           const struct few_chunks &chunks, int *flag, unsigned char *memory)
{
    typedef few_shape<Cache, dim> shape;
    const int g = (int)threadIdx.x % WARP / 4;
    unsigned char *weights = memory + shape::QUERY_BYTES;
    unsigned char *sums = weights + shape::WEIGHT_BYTES;
    float *edges = reinterpret_cast<float *>(sums + shape::SUM_BYTES);
    few_rows<Cache, dim> rows = {a,
                                 tile,
                                 {row_at(a.args, tile, g).sees, row_at(a.args, tile, g + 8).sees},
                                 memory,
                                 weights,
                                 reinterpret_cast<float4 *>(sums),
                                 edges,
                                 edges + ATTENTION_WARPS * FEW_ROWS,
                                 flag,
                                 {}};
    __syncthreads(); /* what was in memory before is used no more */
    const int32_t *blocks = a.args.block + a.args.first_block[tile.sequence];
    if (a.aligned)
        ask_queries<dim>(a, tile, memory);
    else
        load_queries<dim, FEW_ROWS>(a, tile, memory);
    rows.run(memory + shape::BYTES, blocks, chunks);
}

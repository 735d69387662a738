/* kernels/cuda/attention_few.cuh: decoding: at most 16 rows, against chunks that stream by.
 *
 * Memory decides, so the block has nothing but tiles on their way, and the four warps share each
 * of them: of the keys of a quarter a warp has 16 positions, of the values a fourth of the columns.
 * Weights go from one to the other through shared memory. Sums have the order that
 * attention_many.cuh has, so the bits are the same.
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

enum { WARP_POSITIONS = QUARTER / ATTENTION_WARPS, WARP_KEYS = WARP_POSITIONS / 8 };

template <class Cache, int dim> struct few_shape : head_shape<Cache, dim> {
    typedef head_shape<Cache, dim> base;
    enum {
        COLUMNS = base::WIDTH / 8 / ATTENTION_WARPS, /* of gpu_mma(), of a warp in a slice */
        QUERY_BYTES = FEW_ROWS * dim * 2,
        WEIGHT_BYTES = FEW_ROWS * CHUNK * 2,
        SUM_BYTES = FEW_ROWS * dim * (int)sizeof(float),
        EDGE_BYTES = FEW_ROWS * ATTENTION_WARPS * 5 * (int)sizeof(float), /* maxima and sums */
        BYTES = QUERY_BYTES + WEIGHT_BYTES + SUM_BYTES + EDGE_BYTES,
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
    };

    const struct attention_launch &a;
    const struct row_tile &tile;
    struct sight row[2];              /* of this thread, in gpu_mma() */
    unsigned char *queries, *weights; /* [16][dim], [16][CHUNK] in segments */
    float4 *sums;                     /* [SLICES * COLUMNS][ATTENTION_THREADS] */
    float *maxima;                    /* [ATTENTION_WARPS][16] */
    float *lanes;                     /* [16][ATTENTION_WARPS][4] */
    int *flag;
    typedef tile_stream<Cache, dim> tiles;

    __device__ inline int warp() const { return (int)threadIdx.x / WARP; }
    __device__ inline int g() const { return (int)threadIdx.x % WARP / 4; }
    __device__ inline int i() const { return (int)threadIdx.x % 4; }

    __device__ inline void score_quarter(tiles &stream, float (*s)[4], int chunk, int quarter)
    {
        const int mine = warp() * WARP_POSITIONS;
        for (int slice = 0; slice < shape::SLICES; slice++) {
            unsigned char *keys = stream.take(quarter, slice == 0);
#pragma unroll
            for (int step = 0; step < shape::WIDTH / 16; step++) {
                uint32_t q[4], k[4];
                gpu_load_matrix(q, fragment_a<dim / SEGMENT_NUMBERS>(
                                       queries, 0, slice * (shape::WIDTH / 16) + step));
                gpu_load_matrix(k, fragment_b<PER_ROW>(keys, mine, step));
                gpu_mma(format(), s[0], q, k);
                gpu_mma(format(), s[1], q, k + 2);
            }
        }
        const int begin = chunk * CHUNK + quarter * QUARTER + mine;
        const float *k_scale = stream.scales() + quarter * QUARTER + mine;
#pragma unroll
        for (int n = 0; n < WARP_KEYS; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (Cache::IS_I8)
                    s[n][e] *= k_scale[n * 8 + i() * 2 + e % 2];
                if (a.to_cap > 0.0f)
                    s[n][e] = tanh_of(s[n][e] * a.to_cap);
            }
            hide(s[n], begin + n * 8 + i() * 2, row);
        }
    }

    __device__ inline void score_chunk(tiles &stream, float (*s)[WARP_KEYS][4], int chunk)
    {
        const int begin = first_quarter(tile.begin, chunk), end = last_quarter(tile.end, chunk);
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) {
            const bool there = q >= begin && q < end;
#pragma unroll
            for (int n = 0; n < WARP_KEYS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    s[q][n][e] = there ? 0.0f : -INFINITY;
            if (there)
                score_quarter(stream, s[q], chunk, q);
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

    /* Columns of this warp of one slice: n gives 8 of them. */
    __device__ inline void sum_slice(tiles &stream, float (*o)[4], int chunk)
    {
        const int begin = first_quarter(tile.begin, chunk), end = last_quarter(tile.end, chunk);
        const int mine = warp() * COLUMNS;
        for (int q = begin; q < end; q++) {
            unsigned char *values = stream.take(q, false);
            const int at = chunk * CHUNK + q * QUARTER;
            if (!Cache::IS_I8 && !is_seen_alike(tile, at))
                clean_values<format, PER_ROW, COLUMNS>(a.args, tile, g(), o, values, mine, at,
                                                       flag);
#pragma unroll
            for (int step = 0; step < QUARTER / 16; step++) {
                uint32_t p[4];
                gpu_load_matrix(p, fragment_a<PER_WEIGHTS>(weights, 0, q * (QUARTER / 16) + step));
#pragma unroll
                for (int n = 0; n < COLUMNS; n += 2) {
                    uint32_t v[4];
                    gpu_load_matrix_transposed(
                        v, fragment_a<PER_ROW>(values, step * 16, (mine + n) / 2));
                    gpu_mma(format(), o[n], p, v);
                    gpu_mma(format(), o[n + 1], p, v + 2);
                }
            }
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

    __device__ inline void store(const struct running state[2])
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const struct attention_row of = row_at(a.args, tile, g() + 8 * r);
            if (of.sees.end == 0)
                continue;
            const int64_t to = output_of(a, of);
            const float by = 1.0f / state[r].sum;
            for (int slice = 0; slice < shape::SLICES; slice++)
                for (int n = 0; n < COLUMNS; n++) {
                    const float4 sum = *sums_at(sums, slice * COLUMNS + n);
                    store_two(a, to, column_at(slice, n), (r ? sum.z : sum.x) * by,
                              (r ? sum.w : sum.y) * by);
                }
        }
    }

    __device__ inline void add_chunk(tiles &stream, int chunk, struct running state[2],
                                     float *partial)
    {
        float s[QUARTERS][WARP_KEYS][4], max[2];
        score_chunk(stream, s, chunk);
        find_maxima(max, s);
        share_weights(s, max, stream.scales() + CHUNK);
        const float m[2] = {max[0] * a.to_log2, max[1] * a.to_log2};
        const float l[2] = {sum_of(g()), sum_of(g() + 8)};
        const struct shares share[2] = {join(&state[0], m[0], l[0]), join(&state[1], m[1], l[1])};
        for (int slice = 0; slice < shape::SLICES; slice++) {
            float o[COLUMNS][4] = {};
            sum_slice(stream, o, chunk);
            if (partial != NULL)
                keep_partial(partial, o, slice, m, l);
#pragma unroll
            for (int n = 0; n < COLUMNS && partial == NULL; n++)
                join_sums(sums_at(sums, slice * COLUMNS + n), o[n], share);
        }
    }

    __device__ inline void run(unsigned char *ring, const struct few_chunks &chunks)
    {
        tiles stream =
            stream_of<Cache, dim>(a, tile, ring, chunks.first, chunks.end, 0, shape::SLICES);
        stream.start();
        for (int n = 0; n < shape::SLICES * COLUMNS; n++)
            *sums_at(sums, n) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        struct running state[2] = {running_none(), running_none()};
        const int64_t step = (int64_t)chunks.unit_rows * (2 + a.cache.head_dim);
        for (int chunk = chunks.first; chunk < chunks.end; chunk++)
            add_chunk(stream, chunk, state,
                      chunks.partial ? chunks.partial + (chunk - chunks.first) * step : NULL);
        if (chunks.partial == NULL)
            store(state);
    }
};

/* `memory` has BYTES of few_shape and then the ring. The chunks are some that the tile sees. */
template <class Cache, int dim>
static __device__ inline void attend_few(const struct attention_launch &a,
                                         struct block_state *block, const struct few_chunks &chunks,
                                         unsigned char *memory)
{
    typedef few_shape<Cache, dim> shape;
    const int g = (int)threadIdx.x % WARP / 4;
    const struct row_tile &tile = block->tile;
    unsigned char *weights = memory + shape::QUERY_BYTES, *sums = weights + shape::WEIGHT_BYTES;
    float *edges = reinterpret_cast<float *>(sums + shape::SUM_BYTES);
    few_rows<Cache, dim> rows = {a,
                                 tile,
                                 {row_at(a.args, tile, g).sees, row_at(a.args, tile, g + 8).sees},
                                 memory,
                                 weights,
                                 reinterpret_cast<float4 *>(sums),
                                 edges,
                                 edges + ATTENTION_WARPS * FEW_ROWS,
                                 &block->flag};
    load_queries<dim, FEW_ROWS>(a, tile, memory);
    rows.run(memory + shape::BYTES, chunks);
}

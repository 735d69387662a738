/* Many rows in the order of matmul.h: the bits of few_rows.cu.
 *
 * A block computes tiles of BM outputs by BN tokens, one after the other; its eight warps have four
 * by two parts of a tile. Slices of 64 elements of K come to shared memory by asynchronous copies,
 * STAGES of them. A row of a slice is 128 bytes, in chunks of 16; in odd rows the halves are
 * exchanged, so that the eight lanes that read together (four chunks of two rows) and the eight
 * that write together (a row) meet every bank once.
 *
 * A warp goes through a slice in units: one block of 32 elements for two matrices of tokens. What a
 * unit multiplies is read from shared memory while the unit before is multiplied, also across the
 * barrier between slices: the matrix unit should never wait for shared memory. Parts are wide in
 * tokens because fragments of the weight must be put together from two rows, and of those there
 * are then few.
 *
 * A thread has its sums in registers: the segment that grows, and the leaf that grows. Leaves that
 * wait lie in `out` (as many as there are parts; what is left there at the end is the result) and
 * in the workspace. They are read again by the thread that wrote them, so nobody waits for them.
 */
#include "kernels/cuda/matmul.cuh"

#include <limits.h>

namespace
{

enum {
    SLICE = 64,        /* elements of K */
    SLICE_BYTES = 128, /* of a row */
    BLOCK_BYTES = 64,  /* of a block of 32 elements in it */
    THREADS = 256,
    ROWS_AT_A_TIME = THREADS / 8, /* that the threads copy, 16 bytes each */
    WARPS_M = 4,
    WARPS_N = 2,
    AHEAD = 16, /* slices that are asked for before gpu_begin() */
    PAIR = 2,   /* matrices of tokens in a unit */
    GROUP = 8,  /* tiles of outputs that go through the tokens together: they share the operand in
                   the second-level cache */
};

template <int BM, int BN> struct tile {
    enum {
        M = BM / WARPS_M / 16, /* matrices of a warp */
        N = BN / WARPS_N / 8,
        SUMS = M * N * 4, /* of a thread */
        STAGE_BYTES = (BM + BN) * SLICE_BYTES,
    };
};

/* Where a block is in K: slices never leave their segment. */
struct walk {
    int leaf, at, segment_end;
};

__device__ inline bool is_done(const struct k_order &order, const struct walk &walk)
{
    return walk.leaf == order.n_leaves;
}

__device__ inline void enter(const struct k_order &order, struct walk &walk)
{
    if (walk.at == order.leaf_begin[walk.leaf + 1])
        walk.leaf++;
    if (!is_done(order, walk))
        walk.segment_end = min(walk.at + K_SEGMENT, order.leaf_begin[walk.leaf + 1]);
}

__device__ inline void go_on(const struct k_order &order, struct walk &walk)
{
    if (is_done(order, walk))
        return;
    walk.at = min(walk.at + SLICE, walk.segment_end);
    if (walk.at == walk.segment_end)
        enter(order, walk);
}

__device__ inline struct walk start(const struct k_order &order)
{
    return {0, 0, min((int)K_SEGMENT, order.leaf_begin[1])};
}

/* Bytes from the begin of the rows of a stage. */
__device__ inline int chunk_at(int row, int chunk)
{
    return row * SLICE_BYTES + (chunk ^ row % 2 * 4) * 16;
}

/* The place of this thread's tile, and of the thread in it. */
struct place {
    int output, token;        /* of the tile */
    int warp_m, warp_n, g, j; /* rows and columns of the warp; lane: row g, fourth j */
};

/* What a thread copies of ROWS rows: its chunk of every 32nd. */
template <int ROWS> struct row_copies {
    const uint16_t *from;
    int64_t step;       /* elements */
    int n_rows, to, at; /* rows that exist, from its first; bytes in the stage; elements in a row */

    __device__ row_copies(const void *rows, int64_t stride, int first, int n_rows_of_job)
    {
        const int row = (int)threadIdx.x / 8, chunk = (int)threadIdx.x % 8;
        at = chunk * 8;
        from = static_cast<const uint16_t *>(rows) + (first + row) * stride + at;
        step = ROWS_AT_A_TIME * stride;
        n_rows = n_rows_of_job - first - row;
        to = chunk_at(row, chunk);
    }
    /* Zeros behind the last row and the end of the segment, and where K is done. */
    __device__ void copy(unsigned char *stage, const struct walk &walk, bool is_done) const
    {
        const bool valid = !is_done && walk.at + at < walk.segment_end;
#pragma unroll
        for (int i = 0; i < ROWS / ROWS_AT_A_TIME; i++)
            gpu_copy_async(stage + to + i * ROWS_AT_A_TIME * SLICE_BYTES, from + walk.at + i * step,
                           valid && i * ROWS_AT_A_TIME < n_rows);
    }
};

template <int BM, int BN> struct tile_copies {
    row_copies<BM> weight;
    row_copies<BN> x;

    __device__ tile_copies(const struct matmul_job &job, const struct place &place)
        : weight(job.weight, job.weight_stride, place.output, job.n_out),
          x(job.x, job.x_stride, place.token, job.n_tokens)
    {
    }
    __device__ void copy(unsigned char *stage, const struct k_order &order,
                         struct walk &ahead) const
    {
        weight.copy(stage, ahead, is_done(order, ahead));
        x.copy(stage + BM * SLICE_BYTES, ahead, is_done(order, ahead));
        gpu_copy_commit();
        go_on(order, ahead);
    }
};

/* What a warp multiplies: the unit at hand and the next one. Units of a slice are numbered; those
 * of its second block come last. */
template <int M, int N> struct fragments {
    enum { PER_BLOCK = N / PAIR, UNITS = SLICE / K_BLOCK * PER_BLOCK };
    struct weight_block weight[M]; /* of the block at hand */
    uint4 low[M], high[M];         /* of the block of the next unit, from its begin on */
    uint4 x[2][PAIR];
    uint32_t zero;
    int weight_at, x_at; /* of this lane in a stage, in its first block */

    __device__ fragments(const struct place &place, int bm)
    {
        zero = gpu_zero();
        weight_at = chunk_at(place.g, place.j) + place.warp_m * SLICE_BYTES;
        x_at = chunk_at(place.g, place.j) + (bm + place.warp_n) * SLICE_BYTES;
    }
    __device__ static uint4 take(const unsigned char *stage, int at, int row)
    {
        return *reinterpret_cast<const uint4 *>(stage + at + row * SLICE_BYTES);
    }
    __device__ void load(const unsigned char *stage, int unit)
    {
        const int block = unit / PER_BLOCK, n = unit % PER_BLOCK * PAIR;
#pragma unroll
        for (int i = 0; i < PAIR; i++)
            x[unit % 2][i] = take(stage, x_at ^ block * BLOCK_BYTES, (n + i) * 8);
#pragma unroll
        for (int m = 0; n == 0 && m < M; m++) {
            low[m] = take(stage, weight_at ^ block * BLOCK_BYTES, m * 16);
            high[m] = take(stage, weight_at ^ block * BLOCK_BYTES, m * 16 + 8);
        }
    }
    /* Before the next unit is loaded. */
    __device__ void begin(int unit)
    {
#pragma unroll
        for (int m = 0; unit % PER_BLOCK == 0 && m < M; m++)
            weight[m] = weight_block_of(low[m], high[m], zero);
    }
    template <class Format> __device__ void multiply(int unit, float d[M][N][4]) const
    {
        const int n = unit % PER_BLOCK * PAIR;
#pragma unroll
        for (int s = 0; s < 2; s++) /* far from each other: the second waits for the first */
#pragma unroll
            for (int i = 0; i < PAIR; i++)
#pragma unroll
                for (int m = 0; m < M; m++)
                    multiply_link<Format>(d[m][n + i], weight[m], x[unit % 2][i], s);
    }
};

/* f(number r of the thread's sums, its output, its token) for all of them that exist. */
template <int BM, int BN, class F>
__device__ inline void each_sum(const struct matmul_job &job, const struct place &place, F f)
{
#pragma unroll
    for (int r = 0; r < tile<BM, BN>::SUMS; r++) {
        const int o =
            place.output + place.warp_m + r / 4 / tile<BM, BN>::N * 16 + r % 4 / 2 * 8 + place.g;
        const int t =
            place.token + place.warp_n + r / 4 % tile<BM, BN>::N * 8 + place.j * 2 + r % 2;
        if (o < job.n_out && t < job.n_tokens)
            f(r, o, t);
    }
}

/* Where sums of leaves wait: those of level < n_parts in `out`, the others in the workspace. */
template <int SUMS>
__device__ inline float *waiting_at(const struct matmul_job &job, int level, int r, int o, int t)
{
    if (level < job.order.n_parts)
        return out_at(job, level, t, o);
    const int n_levels = job.order.depth - 1 - job.order.n_parts;
    const int64_t place = ((int64_t)blockIdx.x * n_levels + level - job.order.n_parts) * SUMS + r;
    return job.waiting + place * THREADS + threadIdx.x;
}

/* The leaf is complete: adds those that waited for it and lets the sum wait. */
template <int BM, int BN>
__device__ inline void end_leaf(const struct matmul_job &job, struct place place, int leaf,
                                int &level, float sum[tile<BM, BN>::SUMS])
{
    enum { SUMS = tile<BM, BN>::SUMS };
    place.output = gpu_from_here(place.output);
    place.token = gpu_from_here(place.token);
    for (int merge = 0; merge < job.order.n_merges[leaf]; merge++) {
        level--;
        each_sum<BM, BN>(job, place, [&](int r, int o, int t) {
            sum[r] = *waiting_at<SUMS>(job, level, r, o, t) + sum[r];
        });
    }
    each_sum<BM, BN>(job, place, [&](int r, int o, int t) {
        *waiting_at<SUMS>(job, level, r, o, t) =
            job.bias != NULL ? sum[r] + bias_of(job, o) : sum[r];
    });
    level++;
}

/* Multiplies the slice in `stage`, whose first unit is in registers, and brings the first one of
 * the slice in `next`. When all warps have read their last unit, the next slice to come is copied
 * to `stage`. */
template <class Format, int BM, int BN, int STAGES>
__device__ inline void
multiply_slice(const struct k_order &order, unsigned char *stage, const unsigned char *next,
               fragments<tile<BM, BN>::M, tile<BM, BN>::N> &part, const tile_copies<BM, BN> &copies,
               struct walk &ahead, float d[tile<BM, BN>::M][tile<BM, BN>::N][4])
{
    enum { UNITS = fragments<tile<BM, BN>::M, tile<BM, BN>::N>::UNITS };
#pragma unroll
    for (int unit = 0; unit < UNITS - 1; unit++) {
        part.begin(unit);
        part.load(stage, unit + 1);
        part.template multiply<Format>(unit, d);
    }
    part.begin(UNITS - 1);
    gpu_copy_wait<STAGES - 2>();
    __syncthreads();
    part.load(next, 0);
    copies.copy(stage, order, ahead);
    part.template multiply<Format>(UNITS - 1, d);
}

template <class Format, int BM, int BN, int STAGES>
__device__ inline void compute_tile(unsigned char *shared, const struct matmul_job &job,
                                    const struct place &place)
{
    typedef tile<BM, BN> tile;
    const struct k_order &order = job.order;
    const tile_copies<BM, BN> copies(job, place);
    struct walk ahead = start(order), now = ahead;
    for (int stage = 0; stage < STAGES; stage++)
        copies.copy(shared + stage * tile::STAGE_BYTES, order, ahead);
    gpu_copy_wait<STAGES - 1>();
    __syncthreads();
    fragments<tile::M, tile::N> part(place, BM);
    part.load(shared, 0);
    float d[tile::M][tile::N][4] = {}, sum[tile::SUMS];
    bool is_first = true;
    for (int stage = 0, level = 0; !is_done(order, now);) {
        const int next = stage + 1 == STAGES ? 0 : stage + 1;
        multiply_slice<Format, BM, BN, STAGES>(order, shared + stage * tile::STAGE_BYTES,
                                               shared + next * tile::STAGE_BYTES, part, copies,
                                               ahead, d);
        stage = next;
        const struct walk before = now;
        go_on(order, now);
        if (now.at < before.segment_end)
            continue;
#pragma unroll
        for (int r = 0; r < tile::SUMS; r++) {
            float &segment = d[r / 4 / tile::N][r / 4 % tile::N][r % 4];
            sum[r] = is_first ? segment : sum[r] + segment;
            segment = 0;
        }
        is_first = now.leaf != before.leaf;
        if (is_first)
            end_leaf<BM, BN>(job, place, before.leaf, level, sum);
    }
    gpu_copy_wait<0>(); /* of nothing, behind the end */
    __syncthreads();    /* the next tile copies to where others may still multiply */
}

template <int BM, int BN>
__device__ inline struct place place_of(const struct matmul_job &job, int i)
{
    const int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const int tiles_m = (job.n_out + BM - 1) / BM, tiles_n = (job.n_tokens + BN - 1) / BN;
    const int group = i / (GROUP * tiles_n), in_group = i % (GROUP * tiles_n);
    const int height = min((int)GROUP, tiles_m - group * GROUP);
    struct place place;
    place.output = (group * GROUP + in_group % height) * BM;
    place.token = in_group / height * BN;
    place.warp_m = warp / WARPS_N * (BM / WARPS_M);
    place.warp_n = warp % WARPS_N * (BN / WARPS_N);
    place.g = lane / 4;
    place.j = lane % 4;
    return place;
}

/* Asks the second-level cache for the first weights, one slice of a row a thread. Nobody writes
 * them while a step runs, so the kernel before this one may still work. */
template <int BM>
__device__ inline void prefetch_weights(const struct matmul_job &job, const struct place &place)
{
    const int k = job.order.leaf_begin[job.order.n_leaves];
    for (int i = (int)threadIdx.x; i < BM * AHEAD; i += THREADS) {
        const int output = place.output + i / AHEAD, at = i % AHEAD * SLICE;
        if (output < job.n_out && at < k)
            gpu_prefetch(static_cast<const uint16_t *>(job.weight) + output * job.weight_stride +
                         at);
    }
}

template <class Format, int BM, int BN, int STAGES>
__global__ void __launch_bounds__(THREADS, 1) exact_tiles(struct matmul_job job)
{
    DYNAMIC_SHARED(unsigned char, shared);
    const int tiles_m = (job.n_out + BM - 1) / BM, tiles_n = (job.n_tokens + BN - 1) / BN;
    prefetch_weights<BM>(job, place_of<BM, BN>(job, (int)blockIdx.x));
    gpu_begin();
    for (int i = (int)blockIdx.x; i < tiles_m * tiles_n; i += (int)gridDim.x)
        compute_tile<Format, BM, BN, STAGES>(shared, job, place_of<BM, BN>(job, i));
}

template <class Format, int BM, int BN, int STAGES>
void start_tiles(struct device *device, const struct matmul_job *job, int n_tiles)
{
    const int edge = BM > BN ? BM : BN, n_most = cuda_multiprocessors(device);
    const int n_blocks =
        exact_matmul_blocks(&job->order, edge, cuda_workspace_bytes_reserved(device),
                            n_tiles < n_most ? n_tiles : n_most);
    gpu_launch(device, "exact matmul", exact_tiles<Format, BM, BN, STAGES>,
               dim3((unsigned)n_blocks), dim3(THREADS), (size_t)STAGES * tile<BM, BN>::STAGE_BYTES,
               *job);
}

/* The kinds of tiles, and about how long a multiprocessor needs for one: smaller ones use it less
 * well, but there are more of them. */
const struct {
    int bm, bn, cost;
} kinds[] = {{128, 128, 16}, {128, 64, 9}, {64, 64, 5}, {64, 32, 4}};

int tiles_of(const struct matmul_job *job, int kind)
{
    return ((job->n_out + kinds[kind].bm - 1) / kinds[kind].bm) *
           ((job->n_tokens + kinds[kind].bn - 1) / kinds[kind].bn);
}

/* The kind that is done first. */
template <class Format> void choose(struct device *device, const struct matmul_job *job)
{
    const int n_at_a_time = cuda_multiprocessors(device);
    int best = 0, best_time = INT_MAX;
    for (int kind = 0; kind < (int)(sizeof kinds / sizeof *kinds); kind++) {
        const int time = (tiles_of(job, kind) + n_at_a_time - 1) / n_at_a_time * kinds[kind].cost;
        if (time < best_time) {
            best = kind;
            best_time = time;
        }
    }
    const int n_tiles = tiles_of(job, best);
    if (best == 0)
        start_tiles<Format, 128, 128, 5>(device, job, n_tiles);
    else if (best == 1)
        start_tiles<Format, 128, 64, 6>(device, job, n_tiles);
    else if (best == 2)
        start_tiles<Format, 64, 64, 8>(device, job, n_tiles);
    else
        start_tiles<Format, 64, 32, 12>(device, job, n_tiles);
}

} // namespace

void exact_matmul(struct device *device, const struct matmul_job *job)
{
    struct matmul_job with_workspace = *job;
    with_workspace.waiting = static_cast<float *>(cuda_workspace(device));
    if (job->dtype == DTYPE_F16)
        choose<gpu_f16>(device, &with_workspace);
    else
        choose<gpu_bf16>(device, &with_workspace);
}

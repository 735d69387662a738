/* Many rows in the order of matmul.h: the bits of few_rows.cu.
 *
 * A block computes tiles of BM outputs by BN tokens, one after the other; its eight warps have two
 * by four parts of a tile. Slices of 64 elements of K come to shared memory by asynchronous copies,
 * STAGES - 1 of them ahead. A row of a slice is 128 bytes, in chunks of 16; in odd rows the halves
 * are exchanged, so that the eight lanes that read together (four chunks of two rows) and the eight
 * that write together (a row) meet every bank once.
 *
 * A thread has its sums in registers: the segment that grows, and the leaf that grows. Leaves that
 * wait lie in `out` (as many as there are parts; what is left there at the end is the result) and
 * in the workspace. They are read again by the thread that wrote them, so nobody waits for them.
 */
#include "kernels/cuda/matmul.cuh"

namespace
{

enum {
    SLICE = 64,        /* elements of K */
    SLICE_BYTES = 128, /* of a row */
    THREADS = 256,
    WARPS_M = 2,
    WARPS_N = 4,
    GROUP = 8, /* tiles of outputs that go through the tokens together: they share the operand in
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

__device__ inline unsigned char *chunk_of(unsigned char *rows, int row, int chunk)
{
    return rows + row * SLICE_BYTES + (chunk ^ row % 2 * 4) * 16;
}

/* A slice of ROWS rows from `first` on; zeros behind the last row and the end of the segment. */
template <int ROWS>
__device__ inline void copy_rows(unsigned char *to, const void *from, int64_t stride, int first,
                                 int n_rows, const struct walk &walk, bool valid)
{
    const int chunk = (int)threadIdx.x % 8, at = walk.at + chunk * 8;
    valid = valid && at < walk.segment_end;
#pragma unroll
    for (int i = 0; i < ROWS / (THREADS / 8); i++) {
        const int row = (int)threadIdx.x / 8 + i * (THREADS / 8);
        gpu_copy_async(chunk_of(to, row, chunk),
                       static_cast<const uint16_t *>(from) + (first + row) * stride + at,
                       valid && first + row < n_rows);
    }
}

/* The place of this thread's tile, and of the thread in it. */
struct place {
    int output, token;        /* of the tile */
    int warp_m, warp_n, g, j; /* rows and columns of the warp; lane: row g, fourth j */
};

template <int BM, int BN>
__device__ inline void copy_slice(unsigned char *stage, const struct matmul_job &job,
                                  const struct place &place, const struct walk &walk)
{
    const bool valid = !is_done(job.order, walk);
    copy_rows<BM>(stage, job.weight, job.weight_stride, place.output, job.n_out, walk, valid);
    copy_rows<BN>(stage + BM * SLICE_BYTES, job.x, job.x_stride, place.token, job.n_tokens, walk,
                  valid);
    gpu_copy_commit();
}

/* The 16 bytes of this lane in block `block` of a slice. */
__device__ inline uint4 take(unsigned char *rows, int row, int block, int j)
{
    return *reinterpret_cast<const uint4 *>(chunk_of(rows, row, block * 4 + j));
}

template <class Format, int BM, int BN>
__device__ inline void multiply_slice(unsigned char *stage, const struct place &place, int n_blocks,
                                      float d[tile<BM, BN>::M][tile<BM, BN>::N][4])
{
    enum { M = tile<BM, BN>::M, N = tile<BM, BN>::N };
#pragma unroll 1 /* registers are short */
    for (int block = 0; block < SLICE / K_BLOCK; block++) {
        if (block >= n_blocks)
            return;
        uint4 x[N];
#pragma unroll
        for (int n = 0; n < N; n++)
            x[n] = take(stage + BM * SLICE_BYTES, place.warp_n + n * 8 + place.g, block, place.j);
#pragma unroll
        for (int m = 0; m < M; m++) {
            const int row = place.warp_m + m * 16 + place.g;
            const uint4 low = take(stage, row, block, place.j);
            const uint4 high = take(stage, row + 8, block, place.j);
#pragma unroll
            for (int n = 0; n < N; n++)
                multiply_block<Format>(d[m][n], low, high, x[n]);
        }
    }
}

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
__device__ inline void end_leaf(const struct matmul_job &job, const struct place &place, int leaf,
                                int &level, float sum[tile<BM, BN>::SUMS])
{
    enum { SUMS = tile<BM, BN>::SUMS };
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

template <class Format, int BM, int BN, int STAGES>
__device__ inline void compute_tile(unsigned char *shared, const struct matmul_job &job,
                                    const struct place &place)
{
    enum { SUMS = tile<BM, BN>::SUMS, STAGE_BYTES = tile<BM, BN>::STAGE_BYTES };
    const struct k_order &order = job.order;
    struct walk ahead = start(order), now = ahead;
    for (int stage = 0; stage < STAGES - 1; stage++) {
        copy_slice<BM, BN>(shared + stage * STAGE_BYTES, job, place, ahead);
        go_on(order, ahead);
    }
    float d[tile<BM, BN>::M][tile<BM, BN>::N][4] = {}, sum[SUMS];
    bool is_first = true;
    for (int stage = 0, free = STAGES - 1, level = 0; !is_done(order, now);) {
        gpu_copy_wait<STAGES - 2>();
        __syncthreads(); /* the slice is here, and the one before it was multiplied by all */
        copy_slice<BM, BN>(shared + free * STAGE_BYTES, job, place, ahead);
        go_on(order, ahead);
        multiply_slice<Format, BM, BN>(shared + stage * STAGE_BYTES, place,
                                       (now.segment_end - now.at) / K_BLOCK, d);
        free = stage;
        stage = stage + 1 == STAGES ? 0 : stage + 1;
        const struct walk before = now;
        go_on(order, now);
        if (now.at < before.segment_end)
            continue;
#pragma unroll
        for (int r = 0; r < SUMS; r++) {
            float &segment = d[r / 4 / tile<BM, BN>::N][r / 4 % tile<BM, BN>::N][r % 4];
            sum[r] = is_first ? segment : sum[r] + segment;
            segment = 0;
        }
        is_first = now.leaf != before.leaf;
        if (is_first)
            end_leaf<BM, BN>(job, place, before.leaf, level, sum);
    }
    __syncthreads(); /* the next tile copies to where others may still multiply */
}

template <class Format, int BM, int BN, int STAGES>
__global__ void __launch_bounds__(THREADS, 1) exact_tiles(struct matmul_job job)
{
    DYNAMIC_SHARED(unsigned char, shared);
    const int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const int tiles_m = (job.n_out + BM - 1) / BM, tiles_n = (job.n_tokens + BN - 1) / BN;
    gpu_begin();
    for (int i = (int)blockIdx.x; i < tiles_m * tiles_n; i += (int)gridDim.x) {
        const int group = i / (GROUP * tiles_n), in_group = i % (GROUP * tiles_n);
        const int height = min((int)GROUP, tiles_m - group * GROUP);
        struct place place;
        place.output = (group * GROUP + in_group % height) * BM;
        place.token = in_group / height * BN;
        place.warp_m = warp / WARPS_N * (BM / WARPS_M);
        place.warp_n = warp % WARPS_N * (BN / WARPS_N);
        place.g = lane / 4;
        place.j = lane % 4;
        compute_tile<Format, BM, BN, STAGES>(shared, job, place);
    }
}

int tiles_of(const struct matmul_job *job, int edge)
{
    return ((job->n_out + edge - 1) / edge) * ((job->n_tokens + edge - 1) / edge);
}

template <class Format, int EDGE, int STAGES>
void start_tiles(struct device *device, const struct matmul_job *job)
{
    const int n_tiles = tiles_of(job, EDGE), n_most = cuda_multiprocessors(device);
    const int n_blocks =
        exact_matmul_blocks(&job->order, EDGE, cuda_workspace_bytes_reserved(device),
                            n_tiles < n_most ? n_tiles : n_most);
    gpu_launch(device, "exact matmul", exact_tiles<Format, EDGE, EDGE, STAGES>,
               dim3((unsigned)n_blocks), dim3(THREADS),
               (size_t)STAGES * tile<EDGE, EDGE>::STAGE_BYTES, *job);
}

/* Small tiles where large ones would leave multiprocessors idle. */
template <class Format> void choose(struct device *device, const struct matmul_job *job)
{
    if (tiles_of(job, EXACT_TILE) < cuda_multiprocessors(device))
        start_tiles<Format, EXACT_TILE / 2, 6>(device, job);
    else
        start_tiles<Format, EXACT_TILE, 4>(device, job);
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

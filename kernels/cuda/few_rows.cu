/* Few rows: every weight is read once from memory, and nothing else takes as long.
 *
 * A block computes a strip of 16 * M outputs for 8 * N tokens over all of K. Its warps take the
 * segments of K in turn; a warp needs nobody else until the segment is done. It keeps STAGES - 1
 * blocks of 32 elements on their way from memory, in a ring of its own: each lane copies just the
 * 16 bytes that it will multiply itself (the order in matmul.h is made for that), so there is no
 * barrier in the loop, and some 80 KB are on their way per multiprocessor.
 * After each round of segments, one per warp, the threads add them up in their order.
 *
 * Weights are not written while a step runs. So the first of them are asked for before
 * gpu_begin(), while the kernel before this one still works. To ask the second-level cache for more
 * of them beside the ring made every shape slower on an H200 (docs/benchmarks/).
 */
#include "kernels/cuda/matmul.cuh"

namespace
{

enum { LANE_BYTES = 16, CHUNK = WARP * LANE_BYTES /* what a warp copies at a time */ };

/* The numbers of a kind of kernel: M * N matrices of 16 outputs by 8 tokens a warp. */
template <int M, int N> struct strip {
    enum {
        OUTPUTS = 16 * M,
        TOKENS = 8 * N,
        SUMS = OUTPUTS * TOKENS,
        STAGE_CHUNKS = 2 * M + N, /* rows g and g + 8 of each A, column g of each B */
    };
};

/* Where a warp is in K: in its segments, one after the other, in blocks of 32. */
struct walk {
    int segment, leaf;
    int at, end; /* elements; end of the segment */
};

__device__ inline bool is_done(const struct k_order &order, const struct walk &walk)
{
    return walk.segment >= order.n_segments;
}

__device__ void enter(const struct k_order &order, struct walk &walk, int segment)
{
    walk.segment = segment;
    if (is_done(order, walk))
        return;
    while (segment >= order.first_segment[walk.leaf + 1])
        walk.leaf++;
    walk.at = order.leaf_begin[walk.leaf] + (segment - order.first_segment[walk.leaf]) * K_SEGMENT;
    walk.end = min(walk.at + K_SEGMENT, order.leaf_begin[walk.leaf + 1]);
}

__device__ inline struct walk start(const struct k_order &order, int warp)
{
    struct walk walk = {};
    enter(order, walk, warp);
    return walk;
}

__device__ inline void go_on(const struct k_order &order, struct walk &walk, int n_warps)
{
    walk.at += K_BLOCK;
    if (walk.at == walk.end && !is_done(order, walk))
        enter(order, walk, walk.segment + n_warps);
}

/* What a lane copies: 16 bytes of its rows of the weight and of its tokens, in each block of K. */
template <int M, int N> struct lane_copies {
    const uint16_t *weight, *x;  /* of the first row and token, at this lane's place in a block */
    int64_t weight_step, x_step; /* elements to the next 8 rows or tokens */
    int n_rows, n_tokens;        /* of the job, behind the first of this lane */
    unsigned char *ring;         /* this lane's place in its first chunk */

    __device__ lane_copies(const struct matmul_job &job, int output, int token, int lane,
                           unsigned char *warp_ring)
    {
        const int g = lane / 4, place = lane % 4 * 8;
        weight =
            static_cast<const uint16_t *>(job.weight) + (output + g) * job.weight_stride + place;
        x = static_cast<const uint16_t *>(job.x) + (token + g) * job.x_stride + place;
        weight_step = 8 * job.weight_stride;
        x_step = 8 * job.x_stride;
        n_rows = job.n_out - output - g;
        n_tokens = job.n_tokens - token - g;
        ring = warp_ring + lane * LANE_BYTES;
    }

    __device__ unsigned char *chunk(int stage, int i) const
    {
        return ring + (stage * strip<M, N>::STAGE_CHUNKS + i) * CHUNK;
    }
    __device__ void copy_weight(int stage, int at, bool valid) const
    {
#pragma unroll
        for (int i = 0; i < 2 * M; i++)
            gpu_copy_async(chunk(stage, i), weight + i * weight_step + at, valid && 8 * i < n_rows);
    }
    __device__ void copy_x(int stage, int at, bool valid) const
    {
#pragma unroll
        for (int i = 0; i < N; i++)
            gpu_copy_async(chunk(stage, 2 * M + i), x + i * x_step + at, valid && 8 * i < n_tokens);
    }
    __device__ uint4 take(int stage, int i) const
    {
        return *reinterpret_cast<const uint4 *>(chunk(stage, i));
    }
};

/* Adds the segments of a round to the sums of this thread, and leaves to leaves. The sum of element
 * e that grows, and those that wait, are sums[level * SUMS + e]; no other thread touches them. */
template <int SUMS>
__device__ void add_round(const struct k_order &order, const float *round, float *sums,
                          int first_segment, int n_segments, int &leaf, int &level)
{
    const int leaf_before = leaf, level_before = level;
    for (int e = (int)threadIdx.x; e < SUMS; e += (int)blockDim.x) {
        leaf = leaf_before;
        level = level_before;
        for (int i = 0; i < n_segments; i++) {
            const int segment = first_segment + i;
            float sum = round[i * SUMS + e];
            if (segment > order.first_segment[leaf])
                sum = sums[level * SUMS + e] + sum;
            const bool is_last = segment + 1 == order.first_segment[leaf + 1];
            for (int merge = 0; is_last && merge < order.n_merges[leaf]; merge++)
                sum = sums[--level * SUMS + e] + sum;
            sums[level * SUMS + e] = sum;
            leaf += is_last;
            level += is_last;
        }
    }
}

/* Sums lie as the matrix unit leaves them: number r of a lane's four of each matrix at
 * [matrix][r][lane], so that neither writing nor adding meets a bank twice. */
template <int M, int N>
__device__ void store(const struct matmul_job &job, const float *sums, int output, int token)
{
    for (int e = (int)threadIdx.x; e < strip<M, N>::SUMS; e += (int)blockDim.x) {
        const int lane = e % WARP, r = e / WARP % 4, matrix = e / (4 * WARP);
        const int o = output + matrix / N * 16 + r / 2 * 8 + lane / 4;
        const int t = token + matrix % N * 8 + lane % 4 * 2 + r % 2;
        if (o >= job.n_out || t >= job.n_tokens)
            continue;
        for (int part = 0; part < job.order.n_parts; part++) {
            const float sum = sums[part * strip<M, N>::SUMS + e];
            *out_at(job, part, t, o) = job.bias != NULL ? sum + bias_of(job, o) : sum;
        }
    }
}

/* The stages of a ring: the one that is multiplied next, and the one before it, which is free. */
template <int STAGES> struct places {
    int next = 0, free = STAGES - 1;
    __device__ void go_on()
    {
        free = next;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
};

/* Fills the ring. The weights come first: before gpu_begin() nothing else may be read. */
template <int M, int N, int STAGES>
__device__ inline struct walk fill(const lane_copies<M, N> &copies, const struct k_order &order,
                                   int warp, int n_warps)
{
    struct walk ahead = start(order, warp);
    for (int stage = 0; stage < STAGES - 1; stage++) {
        copies.copy_weight(stage, ahead.at, !is_done(order, ahead));
        go_on(order, ahead, n_warps);
    }
    gpu_begin();
    ahead = start(order, warp);
    for (int stage = 0; stage < STAGES - 1; stage++) {
        copies.copy_x(stage, ahead.at, !is_done(order, ahead));
        gpu_copy_commit(); /* the first group has all the weights */
        go_on(order, ahead, n_warps);
    }
    return ahead;
}

/* Multiplies the next block of the ring, and asks for one into the place that was multiplied a
 * block ago. */
template <class Format, int M, int N, int STAGES>
__device__ inline void multiply_next(const lane_copies<M, N> &copies, places<STAGES> &place,
                                     const struct walk &ahead, bool more, uint32_t zero,
                                     float d[M][N][4])
{
    uint4 w[2 * M], x[N];
    gpu_copy_wait<STAGES - 2>();
#pragma unroll
    for (int i = 0; i < 2 * M; i++)
        w[i] = copies.take(place.next, i);
#pragma unroll
    for (int i = 0; i < N; i++)
        x[i] = copies.take(place.next, 2 * M + i);
    copies.copy_weight(place.free, ahead.at, more);
    copies.copy_x(place.free, ahead.at, more);
    gpu_copy_commit();
    struct weight_block blocks[M];
#pragma unroll
    for (int m = 0; m < M; m++)
        blocks[m] = weight_block_of(w[2 * m], w[2 * m + 1], zero);
#pragma unroll
    for (int s = 0; s < 2; s++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < N; n++)
                multiply_link<Format>(d[m][n], blocks[m], x[n], s);
    place.go_on();
}

/* Shared memory: rings [warps][STAGES][STAGE_CHUNKS], the round [warps][SUMS], sums [depth][SUMS].
 */
template <class Format, int M, int N, int STAGES>
__global__ void __launch_bounds__(256) few_rows(struct matmul_job job)
{
    enum { SUMS = strip<M, N>::SUMS, RING_BYTES = STAGES * strip<M, N>::STAGE_CHUNKS * CHUNK };
    DYNAMIC_SHARED(unsigned char, shared);
    const struct k_order &order = job.order;
    const int n_warps = (int)blockDim.x / WARP;
    const int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const int n_groups = (job.n_tokens + strip<M, N>::TOKENS - 1) / strip<M, N>::TOKENS;
    const int output = (int)blockIdx.x / n_groups * strip<M, N>::OUTPUTS;
    const int token = (int)blockIdx.x % n_groups * strip<M, N>::TOKENS;
    float *round = reinterpret_cast<float *>(shared + n_warps * RING_BYTES);
    float *sums = round + n_warps * SUMS;

    const lane_copies<M, N> copies(job, output, token, lane, shared + warp * RING_BYTES);
    struct walk ahead = fill<M, N, STAGES>(copies, order, warp, n_warps);
    struct walk now = start(order, warp);
    places<STAGES> place;
    const uint32_t zero = M * N > 1 ? gpu_zero() : 0; /* one link copies its fragments once */
    int leaf = 0, level = 0;
    for (int first = 0; first < order.n_segments; first += n_warps) {
        float d[M][N][4] = {};
        const bool has_segment = !is_done(order, now);
        for (; has_segment && now.at < now.end; now.at += K_BLOCK) {
            multiply_next<Format, M, N, STAGES>(copies, place, ahead, !is_done(order, ahead), zero,
                                                d);
            go_on(order, ahead, n_warps);
        }
        __syncthreads(); /* the round before has been added */
        for (int i = 0; has_segment && i < M * N * 4; i++)
            round[warp * SUMS + i * WARP + lane] = d[i / 4 / N][i / 4 % N][i % 4];
        enter(order, now, now.segment + n_warps);
        __syncthreads();
        add_round<SUMS>(order, round, sums, first, min(n_warps, order.n_segments - first), leaf,
                        level);
    }
    store<M, N>(job, sums, output, token);
}

template <class Format, int M, int N, int STAGES>
void start_few_rows(struct device *device, const struct matmul_job *job, int n_warps)
{
    typedef strip<M, N> strip;
    const int n_groups = (job->n_tokens + strip::TOKENS - 1) / strip::TOKENS;
    const int n_strips = (job->n_out + strip::OUTPUTS - 1) / strip::OUTPUTS;
    const size_t shared_bytes = (size_t)n_warps * STAGES * strip::STAGE_CHUNKS * CHUNK +
                                (size_t)(n_warps + job->order.depth) * strip::SUMS * sizeof(float);
    gpu_launch(device, "matmul of few rows", few_rows<Format, M, N, STAGES>,
               dim3((unsigned)(n_groups * n_strips)), dim3((unsigned)n_warps * WARP), shared_bytes,
               *job);
}

/* The fewest rounds of at most `most` warps, and no more warps than they need. */
int warps_for(int n_segments, int most)
{
    const int n_rounds = (n_segments + most - 1) / most;
    return (n_segments + n_rounds - 1) / n_rounds;
}

/* Of the operand as much comes through the second-level cache as there are strips, so more tokens
 * want wider ones, unless that leaves multiprocessors idle. Most blocks have 60 to 100 KB of it:
 * two or three live on a multiprocessor, and one begins while another ends. */
template <class Format> void choose(struct device *device, const struct matmul_job *job)
{
    const int n_segments = job->order.n_segments;
    const int widest = job->n_out * 4 / (cuda_multiprocessors(device) * 3); /* outputs of a strip */
    if (job->n_tokens > 8 && widest >= 32)
        start_few_rows<Format, 2, 2, 6>(device, job, warps_for(n_segments, 4));
    else if (job->n_tokens > 8)
        start_few_rows<Format, 1, 2, 6>(device, job, warps_for(n_segments, 4));
    else if (n_segments <= 4)
        start_few_rows<Format, 1, 1, 12>(device, job, n_segments);
    else
        start_few_rows<Format, 1, 1, 5>(device, job, warps_for(n_segments, 8));
}

} // namespace

void few_rows_matmul(struct device *device, const struct matmul_job *job)
{
    if (job->dtype == DTYPE_F16)
        choose<gpu_f16>(device, job);
    else
        choose<gpu_bf16>(device, job);
}

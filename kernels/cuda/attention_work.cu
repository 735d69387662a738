/* What the attention of a step is going to do, counted before its layers begin. */
#include "kernels/cuda/attention_work.cuh"

extern "C" {
#include "kernels/cuda/cuda_ops.h"
}

enum { WORK_THREADS = 256 };

struct count_launch {
    struct attention_work_args args;
    int n_blocks; /* that share the units */
};

/* The longest run of equal KV heads. Every thread calls it. */
static __device__ inline int longest_group(const int32_t *kv_of_head, int n_heads)
{
    SHARED(int, longest, 1);
    if (threadIdx.x == 0)
        longest[0] = 0;
    __syncthreads();
    for (int h = (int)threadIdx.x; h < n_heads; h += WORK_THREADS) {
        int end = h + 1;
        while (end < n_heads && kv_of_head[end] == kv_of_head[h])
            end++;
        atomicMax(&longest[0], end - h);
    }
    __syncthreads();
    return longest[0];
}

struct work_counts {
    int units, tiles;
};

/* From the counts of each thread to those of all threads before it; `all` becomes the sum. */
static __device__ inline struct work_counts counts_before(struct work_counts mine,
                                                          struct work_counts *all)
{
    SHARED(struct work_counts, sums, WORK_THREADS);
    const int t = (int)threadIdx.x;
    sums[t] = mine;
    for (int distance = 1; distance < WORK_THREADS; distance *= 2) {
        __syncthreads();
        const struct work_counts other = t >= distance ? sums[t - distance] : work_counts{0, 0};
        __syncthreads();
        sums[t].units += other.units;
        sums[t].tiles += other.tiles;
    }
    __syncthreads();
    *all = sums[WORK_THREADS - 1];
    return {sums[t].units - mine.units, sums[t].tiles - mine.tiles};
}

static __device__ inline struct work_counts counts_of(const struct attention_work_args &a,
                                                      int sequence, int group, int *unit_rows)
{
    const struct sequence_span span = span_of(a.first_row, a.n_computed, sequence, a.window);
    const int n_rows = span.n_new * group;
    if (!rows_are_few(n_rows) && !step_has_few(a.n_tokens, a.n_sequences))
        return {0, a.n_kv_heads * tiles_of(n_rows, MANY_ROWS)};
    *unit_rows = max(*unit_rows, min(n_rows, FEW_ROWS));
    return {a.n_kv_heads * tiles_of(n_rows, FEW_ROWS) * span.n_chunks, 0};
}

/* The first i with value[i] >= x, of n that ascend. */
static __device__ inline int first_not_below(const int32_t *value, int n, int x)
{
    int low = 0, high = n;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (value[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of the block whose first unit this is. */
static __device__ inline struct few_start start_of(const struct attention_work_args &a,
                                                   const int32_t *first_unit, int unit, int end)
{
    const int s = first_not_below(first_unit, a.n_sequences + 1, unit + 1) - 1;
    const struct sequence_span span = span_of(a.first_row, a.n_computed, s, a.window);
    const int tile = (unit - first_unit[s]) / span.n_chunks;
    struct few_start start = {};
    start.unit = unit;
    start.end = end;
    start.first = first_unit[s] + tile * span.n_chunks;
    start.tile_end = start.first + span.n_chunks;
    start.chunk_0 = start.first - span.first_chunk;
    start.sequence = s;
    start.index = tile / a.n_kv_heads;
    start.kv_head = tile % a.n_kv_heads;
    start.first_head = first_not_below(a.kv_of_head, a.n_heads, start.kv_head);
    start.group = first_not_below(a.kv_of_head, a.n_heads, start.kv_head + 1) - start.first_head;
    start.first_token = a.first_row[s];
    start.n_new = span.n_new;
    start.n_computed = span.n_computed;
    return start;
}

/* Every thread calls it, when first_unit is written. */
static __device__ inline void fill_starts(const struct count_launch &launch, int n_units)
{
    const struct attention_work_args &a = launch.args;
    struct attention_work *work = static_cast<struct attention_work *>(a.work);
    const int run = units_of_block(n_units, launch.n_blocks);
    for (int b = (int)threadIdx.x; b < launch.n_blocks; b += WORK_THREADS) {
        const int unit = min(b, n_units / run + 1) * run; /* b * run may be too large */
        struct few_start start = {};
        if (unit < n_units)
            start = start_of(a, first_units(work), unit, min(unit + run, n_units));
        few_starts(work)[b] = start;
        parts_done(work)[b] = 0;
    }
}

static __global__
__launch_bounds__(WORK_THREADS) void attention_count_work(struct count_launch launch)
{
    gpu_begin();
    const struct attention_work_args &a = launch.args;
    struct attention_work *work = static_cast<struct attention_work *>(a.work);
    int32_t *first_unit = first_units(work), *first_tile = first_unit + a.n_sequences + 1;
    SHARED(int, unit_rows, 1);
    if (threadIdx.x == 0)
        unit_rows[0] = 1;
    const int group = longest_group(a.kv_of_head, a.n_heads);

    const int run = (a.n_sequences + WORK_THREADS - 1) / WORK_THREADS;
    const int begin = min((int)threadIdx.x * run, a.n_sequences);
    const int end = min(begin + run, a.n_sequences);
    struct work_counts mine = {0, 0}, all;
    int rows = 1;
    for (int s = begin; s < end; s++) {
        const struct work_counts of = counts_of(a, s, group, &rows);
        mine.units += of.units;
        mine.tiles += of.tiles;
    }
    atomicMax(&unit_rows[0], rows);
    struct work_counts before = counts_before(mine, &all);
    for (int s = begin; s < end; s++) {
        const struct work_counts of = counts_of(a, s, group, &rows);
        first_unit[s] = before.units;
        first_tile[s] = before.tiles;
        before.units += of.units;
        before.tiles += of.tiles;
    }
    if (threadIdx.x == 0) {
        first_unit[a.n_sequences] = all.units;
        first_tile[a.n_sequences] = all.tiles;
        *work = {all.units, all.tiles, unit_rows[0], group};
    }
    __syncthreads();
    fill_starts(launch, all.units);
}

void cuda_attention_work(struct device *device, const struct attention_work_args *args)
{
    struct count_launch launch = {};
    launch.args = *args;
    launch.n_blocks = few_blocks(device);
    GPU_LAUNCH(device, attention_count_work, dim3(1), dim3(WORK_THREADS), 0, launch);
}

/* What is wanted of rows of logits, picked where they are.
 *
 * A row is cut into chunks, so that one row has many blocks. Seven kernels, each of which needs
 * what the one before found in the whole row; where a kernel has more to do with that, the block
 * of a row that comes last does it:
 *
 *   scan     the largest logit, and the largest value (after temperature), of each chunk
 *   weigh    weights by bins for top_k and top_p, sums for the log-sum-exp; in which bins to search
 *   top_k    the tokens of that bin, and the last of them that stays
 *   top_p    the same
 *   noise    the largest sum of value and noise; the mass of what is left
 *   best     the best of each chunk, then of the row
 *   finish   ranks; the result
 *
 * All are always started, with blocks for the most that rows may want, because what rows want is
 * not known where the kernels are recorded: blocks that have nothing to do return at once. Nothing
 * depends on how a row is cut: maxima and whole numbers have no order, and the log-sum-exp has its
 * own blocks. */
#include "kernels/cuda/pick_describe.cuh"
#include "kernels/cuda/pick_noise.cuh"
#include "kernels/cuda/pick_search.cuh"
#include "kernels/cuda/row_sum.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

/* ---- scan ---- */

/* A NaN counts as the largest of all: both end in a row that is not finite. */
static __device__ inline float largest_where_nan(float x) { return x != x ? INFINITY : x; }

static __device__ inline void clear_row(const struct pick_launch &l, const struct pick_row &r)
{
    const int64_t row = blockIdx.y;
    if (wants_top_k(r) || wants_top_p(r))
        for (int bin = (int)(blockIdx.x * PICK_THREADS + threadIdx.x); bin < PICK_BINS;
             bin += (int)gridDim.x * PICK_THREADS) {
            l.memory.mass[row * PICK_BINS + bin] = 0;
            l.memory.count[row * PICK_BINS + bin] = 0;
        }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        struct pick_state state;
        memset(&state, 0, sizeof state);
        state.last = no_candidate();
        state.token = NOWHERE;
        state.place[SEARCH_TOP_K].bin = state.place[SEARCH_TOP_P].bin = NOWHERE;
        *r.state = state;
    }
}

PICK_KERNEL pick_scan(struct pick_launch l)
{
    gpu_begin();
    const struct pick_row r = pick_row_make(l);
    if (r.spec->want == PICK_WANT_NOTHING)
        return;
    struct candidate raw = no_candidate(), top = no_candidate();
    each_quad(r.begin, r.end, [&](int at) {
        const struct quad x = quad_load(r.logits, at, r.n, r.aligned, -INFINITY);
        for (int e = 0; e < QUAD; e++) {
            struct candidate c;
            c.value = largest_where_nan(x.v[e]);
            c.token = at + e;
            raw = c.value > raw.value ? c : raw; /* ids ascend, so the first of equals stays */
            c.value = tempered(r, c.value);
            top = c.value > top.value ? c : top;
        }
    });
    raw = best_of_block(raw);
    top = best_of_block(top);
    if (threadIdx.x == 0) {
        l.memory.raw[blockIdx.y * PICK_CHUNKS + blockIdx.x] = raw;
        l.memory.top[blockIdx.y * PICK_CHUNKS + blockIdx.x] = top;
    }
    clear_row(l, r);
}

/* ---- weigh ---- */

/* Adds the tokens of this chunk to the bins of the row. */
static __device__ inline void fill_bins(const struct pick_launch &l, const struct pick_row &r)
{
    SHARED(unsigned long long, mass, PICK_BINS);
    SHARED(unsigned, count, PICK_BINS);
    const bool by_mass = wants_top_p(r);
    for (int i = (int)threadIdx.x; i < PICK_BINS; i += PICK_THREADS)
        mass[i] = count[i] = 0;
    __syncthreads();
    unsigned n_far = 0; /* most tokens, often: not through one place of shared memory */
    each_quad(r.begin, r.end, [&](int at) {
        const struct quad v = values_at(r, at);
        for (int e = 0; e < QUAD; e++) {
            const int bin = bin_of(v.v[e], r.max);
            if (bin == LAST_BIN) {
                n_far += v.v[e] != -INFINITY;
                continue;
            }
            atomicAdd(&count[bin], 1u);
            if (by_mass)
                atomicAdd(&mass[bin], mass_of(v.v[e], r.max));
        }
    });
    if (n_far > 0)
        atomicAdd(&count[LAST_BIN], n_far);
    __syncthreads();
    const int64_t first = (int64_t)blockIdx.y * PICK_BINS;
    for (int i = (int)threadIdx.x; i < PICK_BINS; i += PICK_THREADS) {
        if (count[i] != 0)
            atomicAdd(&l.memory.count[first + i], count[i]);
        if (mass[i] != 0)
            atomicAdd(&l.memory.mass[first + i], mass[i]);
    }
}

/* Where top_k ends, and, unless that must be known before, top_p. */
static __device__ inline void place_searches(const struct pick_launch &l, const struct pick_row &r)
{
    const int64_t first = (int64_t)blockIdx.y * PICK_BINS;
    struct pick_place top_k, top_p;
    top_k.bin = top_p.bin = NOWHERE;
    if (wants_top_k(r)) /* fewer tokens than top_k: all stay */
        top_k = find_bin([&](int bin) { return (unsigned long long)l.memory.count[first + bin]; },
                         [&](unsigned long long) { return (unsigned long long)r.spec->top_k; });
    if (wants_top_p(r) && top_k.bin == NOWHERE)
        top_p =
            find_bin([&](int bin) { return l.memory.mass[first + bin]; },
                     [&](unsigned long long total) { return mass_wanted(r.spec->top_p, total); });
    if (threadIdx.x == 0) {
        r.state->place[SEARCH_TOP_K] = top_k;
        r.state->place[SEARCH_TOP_P] = top_p;
    }
}

PICK_KERNEL pick_weigh(struct pick_launch l)
{
    gpu_begin();
    struct pick_row r = pick_row_make(l);
    if (r.spec->want == PICK_WANT_NOTHING)
        return;
    const struct candidate raw = best_of_chunks(l.memory.raw), top = best_of_chunks(l.memory.top);
    const bool is_finite = raw.value > -INFINITY && raw.value < INFINITY;
    const bool is_searched =
        is_finite && top.value > -INFINITY && (wants_top_k(r) || wants_top_p(r));
    const bool is_summed = is_finite && r.is_described && !r.is_processed;
    const int n_blocks = (r.n + LOGITS_BLOCK - 1) / LOGITS_BLOCK;
    float *block_sum = l.memory.block_sum + (int64_t)blockIdx.y * n_blocks;

    r.max = top.value;
    r.least = r.is_sampled && r.spec->min_p > 0.0f ? gpu_log(r.spec->min_p) : -INFINITY;
    if (is_searched)
        fill_bins(l, r);
    if (is_summed)
        sum_exp_of_blocks(block_sum, r.logits, r.n, raw.value, r.begin / LOGITS_BLOCK,
                          (r.end + LOGITS_BLOCK - 1) / LOGITS_BLOCK);
    if (!is_last_block(&r.state->n_arrived[PICK_WEIGH]))
        return;
    if (is_searched)
        place_searches(l, r);
    const float sum = is_summed ? tree_sum(block_sum, n_blocks) : 0.0f;
    if (threadIdx.x != 0)
        return;
    r.state->raw = raw;
    r.state->top = top;
    r.state->is_finite = is_finite;
    r.state->lse = is_summed ? raw.value + gpu_log(sum) : 0.0f;
    if (is_finite && r.spec->want == PICK_WANT_TOKEN && !r.is_sampled)
        r.state->token = raw.token;
    else if (is_finite && r.spec->want == PICK_WANT_LOGPROB)
        r.state->token = r.spec->token;
}

/* ---- top_k, top_p ---- */

/* top_p among what top_k left: the bins before the one of top_k whole, of that one `last_mass`. */
static __device__ inline void place_top_p(const struct pick_launch &l, const struct pick_row &r,
                                          unsigned long long last_mass)
{
    const unsigned long long *mass = l.memory.mass + (int64_t)blockIdx.y * PICK_BINS;
    const int last_bin = r.state->place[SEARCH_TOP_K].bin;
    const struct pick_place place = find_bin(
        [&](int bin) { return bin < last_bin    ? mass[bin]
                              : bin == last_bin ? last_mass
                                                : 0ull; },
        [&](unsigned long long total) { return mass_wanted(r.spec->top_p, total); });
    if (threadIdx.x == 0)
        r.state->place[SEARCH_TOP_P] = place;
}

/* Lists the bin that a search ends in; the last block finds the token, which it gives to then(). */
template <class Then>
static __device__ inline void search_bin(const struct pick_launch &l, enum pick_search search,
                                         enum pick_kernel kernel, Then then)
{
    struct pick_row r = pick_row_make(l);
    if (r.spec->want != PICK_WANT_TOKEN || r.state->place[search].bin == NOWHERE)
        return;
    pick_row_filter(&r);
    struct candidate *listed = l.memory.listed + (int64_t)blockIdx.y * PICK_LISTED;
    unsigned *n_listed = &r.state->n_listed[search];
    list_bin(r, r.state->place[search].bin, n_listed, listed);
    if (is_last_block(&r.state->n_arrived[kernel]))
        then(r, find_last(r, search, *n_listed, listed), *n_listed, listed);
}

PICK_KERNEL pick_top_k(struct pick_launch l)
{
    gpu_begin();
    search_bin(l, SEARCH_TOP_K, PICK_TOP_K,
               [&](const struct pick_row &r, struct candidate last, unsigned n_listed,
                   const struct candidate *listed) {
                   unsigned long long mass = 0;
                   if (wants_top_p(r)) {
                       each_listed(r, r.state->place[SEARCH_TOP_K].bin, n_listed, listed,
                                   [&](struct candidate c) {
                                       if (c.value >= last.value)
                                           mass += mass_of(c.value, r.max);
                                   });
                       place_top_p(l, r, sum_of_block(mass));
                   }
                   last.token = NO_TOKEN; /* all that equal it stay */
                   if (threadIdx.x == 0)
                       r.state->last = last;
               });
}

PICK_KERNEL pick_top_p(struct pick_launch l)
{
    gpu_begin();
    search_bin(
        l, SEARCH_TOP_P, PICK_TOP_P,
        [&](const struct pick_row &r, struct candidate last, unsigned, const struct candidate *) {
            if (threadIdx.x == 0)
                r.state->last = last;
        });
}

/* ---- noise ---- */

/* The best sum of value and noise of this chunk. The search begins with the largest value of all,
 * and skips what no noise, or not these bits, can lift above the best so far; rounding is
 * monotonic, so nothing is skipped that could win. */
static __device__ inline struct candidate noisiest(const struct pick_row &r)
{
    struct noise_key key;
    key.seed[0] = (uint32_t)r.spec->seed;
    key.seed[1] = (uint32_t)(r.spec->seed >> 32);
    key.position = (uint32_t)r.spec->position;
    uint32_t bits[QUAD];
    struct candidate best = r.state->top;
    noise_bits(bits, key, (uint32_t)best.token / QUAD);
    for (int e = 0; e < QUAD; e++)
        if (best.token % QUAD == e)
            best.value = r.max + gumbel(bits[e]);

    each_quad(r.begin, r.end, [&](int at) {
        const struct quad v = values_at(r, at);
        const float most = fmaxf(fmaxf(v.v[0], v.v[1]), fmaxf(v.v[2], v.v[3]));
        if (most + gumbel_most() < best.value)
            return;
        noise_bits(bits, key, (uint32_t)at / QUAD);
#pragma unroll
        for (int e = 0; e < QUAD; e++) {
            if (v.v[e] + gumbel_bound(bits[e]) < best.value)
                continue;
            struct candidate c;
            c.value = v.v[e] + gumbel(bits[e]);
            c.token = at + e;
            best = better(best, c);
        }
    });
    return best;
}

static __device__ inline unsigned long long mass_left(const struct pick_row &r)
{
    unsigned long long mass = 0;
    each_quad(r.begin, r.end, [&](int at) {
        const struct quad v = values_at(r, at);
        for (int e = 0; e < QUAD; e++)
            mass += mass_of(v.v[e], r.max);
    });
    return mass;
}

PICK_KERNEL pick_noise(struct pick_launch l)
{
    gpu_begin();
    struct pick_row r = pick_row_make(l);
    if (r.spec->want != PICK_WANT_TOKEN || !r.state->is_finite || r.state->top.value == -INFINITY ||
        !(r.is_sampled || r.is_processed))
        return;
    pick_row_filter(&r);
    if (r.is_processed) {
        const unsigned long long mass = sum_of_block(mass_left(r));
        if (threadIdx.x == 0)
            atomicAdd(&r.state->mass, mass);
    }
    if (!r.is_sampled)
        return;
    const struct candidate best = best_of_block(noisiest(r));
    if (threadIdx.x == 0)
        l.memory.noisy[blockIdx.y * PICK_CHUNKS + blockIdx.x] = best;
    if (!is_last_block(&r.state->n_arrived[PICK_NOISE]))
        return;
    const struct candidate picked = best_of_chunks(l.memory.noisy);
    if (threadIdx.x == 0)
        r.state->token = picked.token;
}

/* ---- start ---- */

static void pick_rows(struct device *device, const struct pick_args *args)
{
    struct pick_launch launch;
    memset(&launch, 0, sizeof launch);
    launch.args = *args;
    const size_t bytes =
        pick_memory_make(&launch.memory, cuda_workspace(device), args->n_rows, args->vocab);
    check(bytes <= cuda_workspace_bytes_reserved(device));
    launch.aligned = quad_rows_aligned(args->logits, args->row_stride);

    const int wanted = 2 * cuda_multiprocessors(device) / args->n_rows;
    const int n_chunks = wanted < 1 ? 1 : wanted > PICK_CHUNKS ? (int)PICK_CHUNKS : wanted;
    launch.chunk = (int)divide_up(divide_up(args->vocab, n_chunks), LOGITS_BLOCK) * LOGITS_BLOCK;
    const dim3 grid(divide_up(args->vocab, launch.chunk), (unsigned)args->n_rows);
    const dim3 block(PICK_THREADS);
    GPU_LAUNCH(device, pick_scan, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_weigh, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_top_k, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_top_p, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_noise, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_best, grid, block, 0, launch);
    GPU_LAUNCH(device, pick_finish, grid, block, 0, launch);
}

void cuda_pick(struct device *device, const struct pick_args *args)
{
    check(args->vocab <= 1 << TOKEN_BITS);
    for (int first = 0; first < args->n_rows; first += PICK_ROWS) {
        struct pick_args group = *args;
        group.out += first;
        group.carried = args->carried != NULL ? args->carried + first : NULL;
        group.logits += first * args->row_stride;
        group.spec += first;
        group.n_rows = args->n_rows - first < PICK_ROWS ? args->n_rows - first : (int)PICK_ROWS;
        pick_rows(device, &group);
    }
}

/* kernels/cuda/pick_search.cuh: which token is the last to stay, for top_k and top_p.
 *
 * The order is descending value, then ascending id, and a token weighs 1 or its probability in
 * whole numbers, so every way to search gives the same answer; this one takes two steps. First,
 * weights by the distance from the largest value, in bins of 1/64, of all blocks of a row together.
 * Then one block looks at the tokens of the bin that has the answer, whose keys, value and id, are
 * cut into digits: it adds up weights by the highest digit, knows that of the answer, goes on with
 * the next.
 */
#pragma once
#include "kernels/cuda/pick_row.cuh"

enum { BINS_PER_UNIT = 64, LAST_BIN = PICK_BINS - 1 };

/* ---- bins and weights: runtime/sample/filter.c ---- */

static __device__ inline float distance_of(float value, float max)
{
    const float distance = (max - value) * BINS_PER_UNIT;
    return distance < LAST_BIN ? distance : (float)LAST_BIN;
}

static __device__ inline int bin_of(float value, float max) { return (int)distance_of(value, max); }

/* exp(value - max) in whole multiples of 2^-40. */
static __device__ inline unsigned long long mass_of(float value, float max)
{
    const float distance = distance_of(value, max);
    const int bin = (int)distance;
    if (bin == LAST_BIN)
        return 0;
    const float rest = (distance - (float)bin) * (1.0f / BINS_PER_UNIT);
    const float share = 1.0f - rest * (1.0f - rest * (0.5f - rest * (1.0f / 6)));
    const float begin = gpu_exp((float)-bin / BINS_PER_UNIT) * 0x1p40f;
    return (unsigned long long)(long long)(begin * share);
}

static __device__ inline unsigned long long weight_of(enum pick_search search, float value,
                                                      float max)
{
    return search == SEARCH_TOP_K ? 1 : mass_of(value, max);
}

/* ---- which bin ---- */

/* The bin in which the sum of weight(bin) over ascending bins reaches wanted(sum of all), and what
 * is wanted of it; NOWHERE where it never does. By all threads, to all of them. */
template <class Weight, class Wanted>
static __device__ inline struct pick_place find_bin(Weight weight, Wanted wanted)
{
    enum { EACH = PICK_BINS / PICK_THREADS };
    SHARED(unsigned long long, up_to, PICK_THREADS);
    SHARED(struct pick_place, place, 1);
    const int thread = (int)threadIdx.x;
    unsigned long long own[EACH], sum = 0;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        sum += own[i] = weight(thread * EACH + i);
    __syncthreads(); /* the search before may still read */
    up_to[thread] = sum;
    if (thread == 0)
        place[0].bin = NOWHERE;
    for (int distance = 1; distance < PICK_THREADS; distance *= 2) {
        __syncthreads();
        const unsigned long long left = thread >= distance ? up_to[thread - distance] : 0;
        __syncthreads();
        up_to[thread] += left;
    }
    __syncthreads();
    const unsigned long long want = wanted(up_to[PICK_THREADS - 1]);
    unsigned long long before = up_to[thread] - sum;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        if (before < want && want <= before + own[i]) {
            place[0].bin = thread * EACH + i;
            place[0].wanted = want - before;
        }
        before += own[i];
    }
    __syncthreads();
    return place[0];
}

/* What top_p wants of the mass of all: docs/numerics.md, "Filters". */
static __device__ inline unsigned long long mass_wanted(float top_p, unsigned long long total)
{
    const unsigned long long wanted = (unsigned long long)((double)top_p * (double)total);
    return wanted > 0 ? wanted : 1;
}

/* ---- the tokens of one bin ---- */

/* Its tokens that are not out, of this chunk, join the list as long as there is room. */
static __device__ inline void list_bin(const struct pick_row &r, int bin, unsigned *n_listed,
                                       struct candidate *listed)
{
    each_quad(r.begin, r.end, [&](int at) {
        const struct quad v = values_at(r, at);
        for (int e = 0; e < QUAD; e++) {
            if (v.v[e] == -INFINITY || bin_of(v.v[e], r.max) != bin)
                continue;
            const unsigned i = atomicAdd(n_listed, 1u);
            if (i < PICK_LISTED) {
                listed[i].value = v.v[e];
                listed[i].token = at + e;
            }
        }
    });
}

/* f(candidate) for each of them, by one block: of the list, or of the row where it is too long. */
template <class F>
static __device__ inline void each_listed(const struct pick_row &r, int bin, unsigned n_listed,
                                          const struct candidate *listed, F f)
{
    for (unsigned i = threadIdx.x; i < n_listed && n_listed <= PICK_LISTED; i += PICK_THREADS)
        f(listed[i]);
    if (n_listed <= PICK_LISTED)
        return;
    each_quad(0, r.n, [&](int at) {
        const struct quad v = values_at(r, at);
        for (int e = 0; e < QUAD; e++)
            if (v.v[e] != -INFINITY && bin_of(v.v[e], r.max) == bin) {
                struct candidate c;
                c.value = v.v[e];
                c.token = at + e;
                f(c);
            }
    });
}

/* Keys ascend in the order of candidates: 32 bits of the value, then 22 of the id. */
enum { DIGIT_BITS = 11, TOKEN_BITS = 2 * DIGIT_BITS, HIGHEST_DIGIT = 4 * DIGIT_BITS };

static __device__ inline unsigned long long key_of(struct candidate c)
{
    const uint32_t bits = gpu_f32_bits(c.value + 0.0f); /* -0 is no other value than 0 */
    const uint32_t descending = bits >> 31 ? bits : ~(bits | 0x80000000u);
    return (unsigned long long)descending << TOKEN_BITS | (unsigned)c.token;
}

static __device__ inline struct candidate candidate_of(unsigned long long key)
{
    const uint32_t descending = (uint32_t)(key >> TOKEN_BITS);
    struct candidate c;
    c.value = gpu_bits_f32(descending >> 31 ? descending : ~(descending | 0x80000000u));
    c.token = (int32_t)(key & ((1u << TOKEN_BITS) - 1));
    return c;
}

/* The first candidate of the bin, best first, with which their weight reaches what is wanted; of
 * top_k any with its value. By all threads of one block, to all of them. */
static __device__ inline struct candidate find_last(const struct pick_row &r,
                                                    enum pick_search search, unsigned n_listed,
                                                    const struct candidate *listed)
{
    SHARED(unsigned long long, weight, PICK_BINS);
    unsigned long long key = 0, wanted = r.state->place[search].wanted;
    const int bin = r.state->place[search].bin;
    const int lowest = search == SEARCH_TOP_K ? (int)TOKEN_BITS : 0;
    for (int shift = HIGHEST_DIGIT; shift >= lowest; shift -= DIGIT_BITS) {
        __syncthreads();
        for (int i = (int)threadIdx.x; i < PICK_BINS; i += PICK_THREADS)
            weight[i] = 0;
        __syncthreads();
        each_listed(r, bin, n_listed, listed, [&](struct candidate c) {
            const unsigned long long of = key_of(c);
            if (of >> shift >> DIGIT_BITS == key >> shift >> DIGIT_BITS)
                atomicAdd(&weight[of >> shift & (PICK_BINS - 1)],
                          weight_of(search, c.value, r.max));
        });
        __syncthreads();
        const struct pick_place place =
            find_bin([&](int i) { return weight[i]; }, [&](unsigned long long) { return wanted; });
        key |= (unsigned long long)place.bin << shift;
        wanted = place.wanted;
    }
    return candidate_of(key);
}

/* kernels/cuda/pick_describe.cuh: the last two kernels of op_pick(): log-probabilities, ranks, the
 * best tokens, and the result of a row.
 *
 * Of the logits as they came, or of the values that the filters left (runtime/sample/logprobs.c).
 */
#pragma once
#include "kernels/cuda/pick_row.cuh"

/* ---- best ---- */

/* What log-probabilities are made of: the values that are left, or the logits. False: of nothing,
 * because there are none. */
static __device__ inline bool describe_row(struct pick_row *r)
{
    if (!r->is_described || !r->state->is_finite ||
        (r->spec->want == PICK_WANT_TOKEN && r->state->token == NOWHERE))
        return false;
    if (r->is_processed) {
        pick_row_filter(r);
        return true;
    }
    r->temperature = 1.0f;
    r->max = 0.0f;
    return true;
}

/* The n best in order, one by one, to out[n]. behind(c): the best that this thread has behind c. */
template <class Behind>
static __device__ inline void find_best(struct candidate *out, int n, Behind behind)
{
    struct candidate first;
    first.value = INFINITY;
    first.token = NOWHERE;
    struct candidate own = behind(first);
    for (int i = 0; i < n; i++) {
        const struct candidate best = best_of_block(own);
        if (threadIdx.x == 0)
            out[i] = best;
        if (own.token == best.token && own.token != NO_TOKEN)
            own = behind(best);
    }
}

PICK_KERNEL pick_best(struct pick_launch l)
{
    gpu_begin();
    struct pick_row r = pick_row_make(l);
    const int n = r.spec->n_best;
    if (n <= 0 || !describe_row(&r))
        return;
    struct candidate *of_row = l.memory.best + (int64_t)blockIdx.y * PICK_CHUNKS * PICK_MAX_BEST;
    find_best(of_row + blockIdx.x * PICK_MAX_BEST, n, [&](struct candidate before) {
        struct candidate best = no_candidate();
        each_quad(r.begin, r.end, [&](int at) {
            const struct quad v = values_at(r, at);
            for (int e = 0; e < QUAD; e++) {
                struct candidate c;
                c.value = v.v[e];
                c.token = at + e;
                if (c.token < r.n && is_before(before, c))
                    best = better(best, c);
            }
        });
        return best;
    });
    if (!is_last_block(&r.state->n_arrived[PICK_BEST]))
        return;
    find_best(r.state->best, n, [&](struct candidate before) {
        struct candidate best = no_candidate();
        for (int i = (int)threadIdx.x; i < (int)gridDim.x * n; i += PICK_THREADS) {
            const struct candidate c = of_row[i / n * PICK_MAX_BEST + i % n];
            if (is_before(before, c))
                best = better(best, c);
        }
        return best;
    });
}

/* ---- finish ---- */

static __device__ inline float lse_of(const struct pick_row &r)
{
    return r.is_processed ? r.max + gpu_log((float)r.state->mass * 0x1p-40f) : r.state->lse;
}

/* Of the best tokens that there are: a shorter row has fewer, and candidates of beams must be
 * possible. */
static __device__ inline int count_best(const struct pick_row &r)
{
    const bool is_beam = r.spec->want == PICK_WANT_BEST;
    int n = 0;
    while (n < r.spec->n_best && r.state->best[n].token != NO_TOKEN &&
           !(is_beam && r.state->best[n].value == -INFINITY))
        n++;
    return n;
}

static __device__ inline void add_entry(struct pick_result *out, struct candidate c, float lse,
                                        unsigned rank)
{
    struct pick_entry entry;
    entry.token = c.token;
    entry.logprob = c.value - lse;
    entry.rank = (int32_t)rank;
    out->entry[out->n_entries++] = entry;
}

/* Behind the best token i come only lower ones, unless the next equals it. */
static __device__ inline unsigned rank_of_best(const struct pick_row &r, int i, int n)
{
    const struct candidate *best = r.state->best;
    while (i + 1 < n && best[i].value == best[i + 1].value)
        i++;
    return i + 1 < n ? (unsigned)i + 1 : r.state->n_as_good[1];
}

static __device__ inline void write_entries(const struct pick_row &r, struct pick_result *out)
{
    const int n = count_best(r);
    const bool has_token = r.spec->want != PICK_WANT_BEST;
    out->lse = lse_of(r);
    if (has_token) {
        struct candidate picked;
        picked.token = out->token;
        picked.value = value_at(r, picked.token);
        add_entry(out, picked, out->lse, r.state->n_as_good[0]);
    } else {
        out->token = r.state->best[0].token;
    }
    for (int i = 0; i < n && out->n_entries < PICK_MAX_BEST; i++)
        if (!has_token || r.state->best[i].token != out->token)
            add_entry(out, r.state->best[i], out->lse, rank_of_best(r, i, n));
}

/* How many values are at least that of the picked token, and of the last of the best. */
static __device__ inline void count_ranks(const struct pick_row &r)
{
    const int n = count_best(r);
    const float last = n > 0 ? r.state->best[n - 1].value : INFINITY;
    const float own = r.spec->want == PICK_WANT_BEST ? INFINITY : value_at(r, r.state->token);
    unsigned long long counts = 0; /* both, 32 bits each */
    each_quad(r.begin, r.end, [&](int at) {
        const struct quad v = values_at(r, at);
        for (int e = 0; e < QUAD; e++)
            if (at + e < r.n)
                counts += (v.v[e] >= own ? 1ull : 0ull) + (v.v[e] >= last ? 1ull << 32 : 0ull);
    });
    counts = sum_of_block(counts);
    if (threadIdx.x == 0) {
        atomicAdd(&r.state->n_as_good[0], (unsigned)counts);
        atomicAdd(&r.state->n_as_good[1], (unsigned)(counts >> 32));
    }
}

PICK_KERNEL pick_finish(struct pick_launch l)
{
    gpu_begin();
    struct pick_row r = pick_row_make(l);
    if (r.spec->want == PICK_WANT_NOTHING)
        return;
    const bool is_described = describe_row(&r);
    if (is_described)
        count_ranks(r);
    if (is_described ? !is_last_block(&r.state->n_arrived[PICK_COUNT]) : blockIdx.x != 0)
        return;
    if (threadIdx.x != 0)
        return;
    struct pick_result *out = l.args.out + blockIdx.y;
    out->token = r.state->token;
    out->is_finite = r.state->is_finite;
    out->lse = 0.0f;
    out->n_entries = 0;
    if (is_described)
        write_entries(r, out);
    if (l.args.carried != NULL)
        l.args.carried[blockIdx.y] = out->token;
}

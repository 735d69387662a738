/* top_k and top_p both ask: in the order of descending value and ascending id, which token is the
 * last to stay? To sort the vocabulary would be the slowest part of a step, so the tokens are first
 * counted, or their probabilities added up, by their distance from the maximum, in bins of 1/64;
 * only in the bin with the answer is it searched for. The bin is monotonic in the value, weights
 * are whole numbers, and the order is total: no other way to walk gives another answer. */
#include "runtime/sample/filter.h"

#include "base/check.h"
#include "base/memory.h"
#include "kernels/math.h"

#include <math.h>
#include <string.h>

enum { N_BINS = 2048, BINS_PER_UNIT = 64, LAST_BIN = N_BINS - 1 };

void filter_scratch_init(struct filter_scratch *scratch, int vocab)
{
    *scratch = (struct filter_scratch){
        .candidate = memory_alloc((size_t)vocab, sizeof *scratch->candidate),
        .bin_mass = memory_alloc(N_BINS, sizeof *scratch->bin_mass),
    };
    for (int b = 0; b < LAST_BIN; b++) /* the last one has none: it has no end */
        scratch->bin_mass[b] = math_exp((float)-b / BINS_PER_UNIT) * 0x1p40f;
}

void filter_scratch_release(struct filter_scratch *scratch)
{
    memory_free(scratch->candidate);
    memory_free(scratch->bin_mass);
    *scratch = (struct filter_scratch){0};
}

/* In bins; its whole part is the number of the bin. */
static float distance_of(float value, float max)
{
    const float distance = (max - value) * BINS_PER_UNIT;
    return distance < LAST_BIN ? distance : LAST_BIN;
}

static int bin_of(float value, float max) { return (int)distance_of(value, max); }

/* exp(value - max) over that of the begin of the bin, by the series of exp(-rest), 0 <= rest <
 * 1/64, whose first term left out is below 2^-28. */
static float share_of_begin(float distance)
{
    const float rest = (distance - (float)(int)distance) * (1.0f / BINS_PER_UNIT); /* exact */
    return 1 - rest * (1 - rest * (0.5f - rest * (1.0f / 6)));
}

/* What a token weighs in a search: 1 where bin_mass is NULL, or exp(value - max) as a multiple of
 * 2^-40, 0 below e^-31. */
static uint64_t weight_of(float value, float max, const float *bin_mass)
{
    if (bin_mass == NULL)
        return 1;
    const float distance = distance_of(value, max);
    return (uint64_t)(int64_t)(bin_mass[(int)distance] * share_of_begin(distance));
}

static bool is_before(struct candidate a, struct candidate b)
{
    return a.value > b.value || (a.value == b.value && a.token < b.token);
}

/* The first candidate, best first, with which the weight reaches `wanted`: partitions around a
 * pivot and goes on in the part that has it. 1 <= wanted <= weight of all. */
static struct candidate find_in_order(struct candidate *c, int n, float max, const float *bin_mass,
                                      uint64_t wanted)
{
    for (;;) {
        check(n > 0);
        const struct candidate pivot = c[n / 2];
        uint64_t before = 0;
        int n_before = 0;
        c[n / 2] = c[n - 1];
        for (int i = 0; i < n - 1; i++) {
            const struct candidate this = c[i];
            if (is_before(this, pivot)) {
                c[i] = c[n_before];
                c[n_before++] = this;
                before += weight_of(this.value, max, bin_mass);
            }
        }
        const uint64_t with_pivot = before + weight_of(pivot.value, max, bin_mass);
        if (wanted > before && wanted <= with_pivot)
            return pivot;
        if (wanted <= before) {
            n = n_before;
        } else { /* behind the pivot: [n_before, n - 1) */
            wanted -= with_pivot;
            c += n_before;
            n -= n_before + 1;
        }
    }
}

struct bins {
    uint64_t weight[N_BINS], total;
};

static void count(struct bins *bins, const float *value, int n, float max)
{
    for (int i = 0; i < n; i++)
        bins->weight[bin_of(value[i], max)] += value[i] != -INFINITY;
}

/* distance_of() and bin_of() of a block. Here and in weigh(), a loop for each step, because the
 * compiler makes vectors of loops without choices. */
static void measure(float distance[ROW_BLOCK], int32_t bin[ROW_BLOCK], const float value[ROW_BLOCK],
                    float max)
{
    for (int i = 0; i < ROW_BLOCK; i++)
        distance[i] = distance_of(value[i], max);
    for (int i = 0; i < ROW_BLOCK; i++)
        bin[i] = (int32_t)distance[i];
}

static void weigh(struct bins *bins, const float value[ROW_BLOCK], float max, const float *bin_mass)
{
    int32_t bin[ROW_BLOCK];
    float distance[ROW_BLOCK];
    measure(distance, bin, value, max);
    for (int i = 0; i < ROW_BLOCK; i++)
        distance[i] = share_of_begin(distance[i]);
    for (int i = 0; i < ROW_BLOCK; i++)
        bins->weight[bin[i]] += (uint64_t)(int64_t)(bin_mass[bin[i]] * distance[i]);
}

static void add_up(struct bins *bins)
{
    bins->total = 0;
    for (int b = 0; b < N_BINS; b++)
        bins->total += bins->weight[b];
}

/* Of the tokens in bins up to `last`, and some behind it. */
static void fill_bins(struct bins *bins, const struct tempered *t, int last, const float *bin_mass)
{
    memset(bins, 0, sizeof *bins);
    for (int b = 0; b < t->row->n_blocks; b++) {
        float buffer[ROW_BLOCK];
        if (t->block_max[b] == -INFINITY || bin_of(t->block_max[b], t->max) > last)
            continue;
        const float *value = tempered_read(t, b, buffer);
        if (bin_mass == NULL)
            count(bins, value, ROW_BLOCK, t->max);
        else
            weigh(bins, value, t->max, bin_mass);
    }
    add_up(bins);
}

/* The bin in which the weight reaches `wanted`, which becomes the part of it in this bin. */
static int find_bin(const struct bins *bins, uint64_t *wanted)
{
    int bin = 0;
    while (*wanted > bins->weight[bin])
        *wanted -= bins->weight[bin++];
    return bin;
}

/* Adds the tokens of a block that are in the bin; their number. */
static int collect(struct candidate *candidate, const struct tempered *t, int block, int wanted_bin)
{
    float buffer[ROW_BLOCK], distance[ROW_BLOCK];
    int32_t bin[ROW_BLOCK];
    int any = 0, n = 0;
    const float *value = tempered_read(t, block, buffer);
    measure(distance, bin, value, t->max);
    for (int i = 0; i < ROW_BLOCK; i++)
        any |= bin[i] == wanted_bin;
    for (int i = 0; any && i < ROW_BLOCK; i++)
        if (bin[i] == wanted_bin && value[i] != -INFINITY)
            candidate[n++] = (struct candidate){value[i], block * ROW_BLOCK + i};
    return n;
}

/* As find_in_order(), over the whole row. */
static struct candidate find_last(const struct bins *bins, const struct tempered *t,
                                  struct candidate *candidate, const float *bin_mass,
                                  uint64_t wanted)
{
    const int bin = find_bin(bins, &wanted);
    int n = 0;
    for (int b = 0; b < t->row->n_blocks; b++)
        if (t->block_max[b] != -INFINITY && bin_of(t->block_max[b], t->max) <= bin)
            n += collect(candidate + n, t, b, bin);
    return find_in_order(candidate, n, t->max, bin_mass, wanted);
}

/* All that equal the k-th stay. No more than k blocks can have a maximum above the k-th token, so
 * blocks behind the bin of the k-th maximum do not matter. */
static void filter_top_k(struct tempered *t, struct filter_scratch *scratch, int32_t k)
{
    struct bins bins = {0};
    uint64_t wanted = (uint64_t)k;
    count(&bins, t->block_max, t->row->n_blocks, t->max);
    add_up(&bins);
    const int last_bin = wanted <= bins.total ? find_bin(&bins, &wanted) : LAST_BIN;
    fill_bins(&bins, t, last_bin, NULL);
    if ((uint64_t)k > bins.total)
        return;
    const struct candidate last = find_last(&bins, t, scratch->candidate, NULL, (uint64_t)k);
    tempered_drop_behind(t, (struct candidate){last.value, INT32_MAX});
}

/* The best tokens stay until their probabilities reach top_p; at least one. */
static void filter_top_p(struct tempered *t, struct filter_scratch *scratch, float top_p)
{
    struct bins bins;
    fill_bins(&bins, t, LAST_BIN - 1, scratch->bin_mass);
    const uint64_t wanted = (uint64_t)((double)top_p * (double)bins.total);
    tempered_drop_behind(
        t, find_last(&bins, t, scratch->candidate, scratch->bin_mass, wanted > 0 ? wanted : 1));
}

void filter_apply(struct tempered *t, struct filter_scratch *scratch,
                  const struct sampling_params *params)
{
    if (params->min_p > 0)
        tempered_drop_below(t, math_log(params->min_p));
    if (params->top_k > 0 && params->top_k < t->row->n)
        filter_top_k(t, scratch, params->top_k);
    if (params->top_p < 1)
        filter_top_p(t, scratch, params->top_p);
}

float filter_log_sum_exp(const struct tempered *t, const struct filter_scratch *scratch)
{
    struct bins bins;
    fill_bins(&bins, t, LAST_BIN - 1, scratch->bin_mass);
    return t->max + math_log((float)bins.total * 0x1p-40f);
}

/* top_k and top_p both ask: in the order of descending value and ascending id, which token is the
 * last to stay? To sort the vocabulary would be the slowest part of a step, so the tokens are first
 * counted, or their probabilities added up, by their distance from the maximum, in bins of 1/64;
 * only in the bin with the answer is it searched for. The bin is monotonic in the value, weights
 * are whole numbers, and the order is total: no other way to walk gives another answer. */
#include "runtime/sample/rules.h"

#include "base/check.h"
#include "base/memory.h"
#include "kernels/math.h"
#include "runtime/sample/row.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const float greedy_below = 1e-5f, least_temperature = 0.01f;

bool rules_are_greedy(const struct sampling_params *params)
{
    return params->temperature < greedy_below;
}

static bool penalizes(const struct sampling_params *p)
{
    return p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0;
}

static bool masks_ends(const struct sample_row *row)
{
    return row->n_tokens - row->n_prompt < row->params->min_tokens;
}

bool rules_edit_logits(const struct sample_row *row)
{
    const struct sampling_params *p = row->params;
    return p->n_allowed_ids > 0 || p->n_bad_words > 0 || p->n_biases > 0 || masks_ends(row) ||
           penalizes(p);
}

void rules_copy_allowed(float *value, const struct sample_row *row, int vocab)
{
    const struct sampling_params *p = row->params;
    if (p->n_allowed_ids == 0) {
        memcpy(value, row->logits, (size_t)vocab * sizeof *value);
        return;
    }
    for (int i = 0; i < vocab; i++)
        value[i] = -INFINITY;
    for (int i = 0; i < p->n_allowed_ids; i++)
        value[p->allowed_id[i]] = row->logits[p->allowed_id[i]];
}

void rules_mask_bad_words(float *value, const struct sample_row *row)
{
    const struct sampling_params *p = row->params;
    const int n_output = row->n_tokens - row->n_prompt;
    int begin = 0;
    for (int i = 0; i < p->n_bad_words; begin = p->bad_end[i++]) {
        const int n_before = p->bad_end[i] - begin - 1;
        if (n_before <= n_output && memcmp(row->token + row->n_tokens - n_before, p->bad_id + begin,
                                           (size_t)n_before * sizeof *p->bad_id) == 0)
            value[p->bad_id[p->bad_end[i] - 1]] = -INFINITY;
    }
}

void rules_mask_ends(float *value, const struct sample_row *row, const int32_t *eos_id,
                     int n_eos_ids)
{
    if (!masks_ends(row))
        return;
    for (int i = 0; i < n_eos_ids; i++)
        value[eos_id[i]] = -INFINITY;
    for (int i = 0; i < row->params->n_stop_ids; i++)
        value[row->params->stop_id[i]] = -INFINITY;
}

void rules_add_biases(float *value, const struct sample_row *row)
{
    const struct token_bias *bias = row->params->bias;
    for (int i = 0; i < row->params->n_biases; i++)
        value[bias[i].token] += bias[i].bias;
}

/* Overflow stays finite, so that it can still be compared and subtracted. */
static float bounded(float x) { return x > FLT_MAX ? FLT_MAX : x; }

static float penalized(float x, const struct sampling_params *p, int32_t n_in_output)
{
    if (p->repetition_penalty != 1)
        x = bounded(x > 0 ? x / p->repetition_penalty : x * p->repetition_penalty);
    if (n_in_output > 0) {
        x -= p->frequency_penalty * (float)n_in_output;
        x -= p->presence_penalty;
    }
    return x;
}

/* count[] is 1 + the times a token is in the output, for every token of prompt and output. */
void rules_penalize(float *value, const struct sample_row *row, int32_t *count)
{
    if (!penalizes(row->params))
        return;
    for (int i = 0; i < row->n_prompt; i++)
        count[row->token[i]] = 1;
    for (int i = row->n_prompt; i < row->n_tokens; i++)
        count[row->token[i]] += count[row->token[i]] == 0 ? 2 : 1;
    for (int i = 0; i < row->n_tokens; i++) {
        const int32_t token = row->token[i];
        if (count[token] > 0)
            value[token] = penalized(value[token], row->params, count[token] - 1);
        count[token] = 0; /* each token once */
    }
}

void rules_temper(float *value, int vocab, const struct sampling_params *params)
{
    const float t =
        params->temperature > least_temperature ? params->temperature : least_temperature;
    for (int i = 0; i < vocab; i++) {
        const float x = value[i] / t;
        value[i] = x > FLT_MAX ? FLT_MAX : x;
    }
}

/* ---- the last token to stay ---- */

enum { N_BINS = 2048, BINS_PER_UNIT = 64 };

void rules_scratch_init(struct rules_scratch *scratch, int vocab)
{
    *scratch = (struct rules_scratch){
        .value = memory_alloc((size_t)vocab, sizeof *scratch->value),
        .count = memory_alloc((size_t)vocab, sizeof *scratch->count),
        .candidate = memory_alloc((size_t)vocab, sizeof *scratch->candidate),
        .bin_mass = memory_alloc(N_BINS, sizeof *scratch->bin_mass),
    };
    for (int b = 0; b < N_BINS; b++)
        scratch->bin_mass[b] = math_exp((float)-b / BINS_PER_UNIT);
}

void rules_scratch_release(struct rules_scratch *scratch)
{
    memory_free(scratch->value);
    memory_free(scratch->count);
    memory_free(scratch->candidate);
    memory_free(scratch->bin_mass);
    *scratch = (struct rules_scratch){0};
}

/* What a token weighs in a search: 1, or its probability relative to the best. */
struct scale {
    float max;
    const float *bin_mass; /* NULL: 1 */
};

static int bin_of(const struct scale *scale, float value)
{
    const float distance = (scale->max - value) * BINS_PER_UNIT;
    return distance < N_BINS - 1 ? (int)distance : N_BINS - 1;
}

/* exp(value - max) as a multiple of 2^-40, 0 below e^-31: the mass of its bin times the series of
 * exp(-rest), 0 <= rest < 1/64, whose first term left out is below 2^-28. */
static uint64_t weight_of(const struct scale *scale, float value)
{
    if (scale->bin_mass == NULL)
        return 1;
    const int bin = bin_of(scale, value);
    if (bin == N_BINS - 1)
        return 0;
    const float rest = (scale->max - value) - (float)bin / BINS_PER_UNIT; /* exact */
    const float series = 1 - rest * (1 - rest * (0.5f - rest * (1.0f / 6)));
    return (uint64_t)(scale->bin_mass[bin] * series * 0x1p40f);
}

static bool is_before(struct candidate a, struct candidate b)
{
    return a.value > b.value || (a.value == b.value && a.token < b.token);
}

/* The first candidate, best first, with which the weight reaches `wanted`: partitions around a
 * pivot and goes on in the part that has it. 1 <= wanted <= weight of all. */
static struct candidate find_in_order(struct candidate *c, int n, const struct scale *scale,
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
                before += weight_of(scale, this.value);
            }
        }
        const uint64_t with_pivot = before + weight_of(scale, pivot.value);
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

static void fill_bins(struct bins *bins, const struct scale *scale, const float *value, int vocab)
{
    memset(bins, 0, sizeof *bins);
    for (int i = 0; i < vocab; i++)
        if (value[i] != -INFINITY)
            bins->weight[bin_of(scale, value[i])] += weight_of(scale, value[i]);
    for (int b = 0; b < N_BINS; b++)
        bins->total += bins->weight[b];
}

/* As find_in_order(), over the whole row. */
static struct candidate find_last(const struct bins *bins, const struct scale *scale,
                                  const struct rules_scratch *scratch, int vocab, uint64_t wanted)
{
    int bin = 0, n = 0;
    while (wanted > bins->weight[bin])
        wanted -= bins->weight[bin++];
    for (int i = 0; i < vocab; i++)
        if (scratch->value[i] != -INFINITY && bin_of(scale, scratch->value[i]) == bin)
            scratch->candidate[n++] = (struct candidate){scratch->value[i], i};
    return find_in_order(scratch->candidate, n, scale, wanted);
}

static void filter_min_p(float *value, int vocab, float min_p)
{
    const float max = row_find_peak(value, vocab).max, least = math_log(min_p);
    for (int i = 0; i < vocab; i++)
        value[i] = value[i] - max >= least ? value[i] : -INFINITY;
}

/* All that equal the k-th stay. */
static void filter_top_k(struct rules_scratch *scratch, int vocab, int32_t k)
{
    float *value = scratch->value;
    const struct scale scale = {.max = row_find_peak(value, vocab).max};
    struct bins bins;
    fill_bins(&bins, &scale, value, vocab);
    if ((uint64_t)k >= bins.total)
        return;
    const float least = find_last(&bins, &scale, scratch, vocab, (uint64_t)k).value;
    for (int i = 0; i < vocab; i++)
        value[i] = value[i] >= least ? value[i] : -INFINITY;
}

/* The best tokens stay until their probabilities reach top_p; at least one. */
static void filter_top_p(struct rules_scratch *scratch, int vocab, float top_p)
{
    float *value = scratch->value;
    const struct scale scale = {.max = row_find_peak(value, vocab).max,
                                .bin_mass = scratch->bin_mass};
    struct bins bins;
    fill_bins(&bins, &scale, value, vocab);
    if (bins.total == 0)
        return; /* nothing is allowed at all */
    const uint64_t wanted = (uint64_t)((double)top_p * (double)bins.total);
    const struct candidate last = find_last(&bins, &scale, scratch, vocab, wanted > 0 ? wanted : 1);
    for (int i = 0; i < vocab; i++)
        if (is_before(last, (struct candidate){value[i], i}))
            value[i] = -INFINITY;
}

void rules_filter(struct rules_scratch *scratch, int vocab, const struct sampling_params *params)
{
    if (params->min_p > 0)
        filter_min_p(scratch->value, vocab, params->min_p);
    if (params->top_k > 0 && params->top_k < vocab)
        filter_top_k(scratch, vocab, params->top_k);
    if (params->top_p < 1)
        filter_top_p(scratch, vocab, params->top_p);
}

float rules_log_sum_exp(const struct rules_scratch *scratch, const float *value, int vocab)
{
    const struct scale scale = {.max = row_find_peak(value, vocab).max,
                                .bin_mass = scratch->bin_mass};
    struct bins bins;
    fill_bins(&bins, &scale, value, vocab);
    return scale.max + math_log((float)bins.total * 0x1p-40f);
}

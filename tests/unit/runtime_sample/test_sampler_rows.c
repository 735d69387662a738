/* Whole rows through the sampler against a plain one: rules in their order with full sorts in
 * double, log-probabilities by their definition. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/sample/sampler.h"
#include "tests/test.h"
#include "tests/unit/runtime_sample/whole_row.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 300, N_ROWS = 600 };

static const int32_t eos_id[] = {2, 250};

static uint64_t random_state = 11;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void fill(float *logits, int n)
{
    for (int i = 0; i < n; i++) /* some are equal */
        logits[i] = (float)random_below(4000) / 500 - 4;
}

struct opened {
    struct device *device;
    struct sampler *sampler;
};

static struct opened open_sampler(int n_threads, bool processed_logprobs)
{
    struct opened out;
    struct error err = {0};
    if (!device_open_cpu(&out.device, "scalar", n_threads, 0, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    sampler_create(&out.sampler,
                   &(struct sampler_settings){.device = out.device,
                                              .vocab = VOCAB,
                                              .eos_id = eos_id,
                                              .n_eos_ids = 2,
                                              .processed_logprobs = processed_logprobs});
    return out;
}

static void close_sampler(struct opened *opened)
{
    sampler_destroy(opened->sampler);
    device_close(opened->device);
}

static void pick_all(int n_threads, bool processed_logprobs, const struct sample_row *row,
                     int n_rows, struct picked *picked)
{
    struct opened opened = open_sampler(n_threads, processed_logprobs);
    memset(picked, 0, (size_t)n_rows * sizeof *picked);
    sampler_pick(opened.sampler, row, n_rows, picked);
    close_sampler(&opened);
}

/* ---- the plain sampler ---- */

static const float *sorted_by;

static int best_first(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (sorted_by[x] != sorted_by[y])
        return sorted_by[x] > sorted_by[y] ? -1 : 1;
    return x - y;
}

static void sort_tokens(int32_t order[VOCAB], const float *value)
{
    for (int i = 0; i < VOCAB; i++)
        order[i] = i;
    sorted_by = value;
    qsort(order, VOCAB, sizeof *order, best_first);
}

static double plain_lse(const float *value)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < VOCAB; i++)
        max = fmax(max, (double)value[i]);
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double)value[i] - max);
    return max + log(sum);
}

static bool is_in(int32_t id, const int32_t *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] == id)
            return true;
    return false;
}

static bool ends_bad_word(const struct sample_row *row, int32_t id)
{
    const struct sampling_params *p = row->params;
    for (int w = 0; w < p->n_bad_words; w++) {
        const int begin = w > 0 ? p->bad_end[w - 1] : 0, length = p->bad_end[w] - begin;
        bool same = p->bad_id[begin + length - 1] == id;
        for (int i = 0; i < length - 1; i++) {
            const int at = row->n_tokens - (length - 1) + i;
            same &= at >= row->n_prompt && row->token[at] == p->bad_id[begin + i];
        }
        if (same)
            return true;
    }
    return false;
}

static float plain_edit(const struct sample_row *row, int32_t id)
{
    const struct sampling_params *p = row->params;
    const int n_output = row->n_tokens - row->n_prompt;
    float x = row->logits[id];
    if (p->n_allowed_ids > 0 && !is_in(id, p->allowed_id, p->n_allowed_ids))
        x = -INFINITY;
    if (ends_bad_word(row, id))
        x = -INFINITY;
    if (n_output < p->min_tokens && (is_in(id, eos_id, 2) || is_in(id, p->stop_id, p->n_stop_ids)))
        x = -INFINITY;
    for (int i = 0; i < p->n_biases; i++)
        x += p->bias[i].token == id ? p->bias[i].bias : 0;
    if (is_in(id, row->token, row->n_tokens) && p->repetition_penalty != 1)
        x = x > 0 ? x / p->repetition_penalty : x * p->repetition_penalty;
    int count = 0;
    for (int i = row->n_prompt; i < row->n_tokens; i++)
        count += row->token[i] == id;
    if (count > 0)
        x = (x - p->frequency_penalty * (float)count) - p->presence_penalty;
    return x;
}

/* Fills value[] and says whether a limit of min_p or top_p is so near that rounding decides. */
static bool plain_process(float value[VOCAB], const struct sample_row *row)
{
    const struct sampling_params *p = row->params;
    int32_t order[VOCAB];
    bool near = false;
    for (int i = 0; i < VOCAB; i++)
        value[i] = plain_edit(row, i);
    if (p->temperature < 1e-5f)
        return false;
    for (int i = 0; i < VOCAB; i++)
        value[i] /= fmaxf(p->temperature, 0.01f);
    sort_tokens(order, value);
    const double max = (double)value[order[0]];
    for (int i = 0; i < VOCAB && p->min_p > 0; i++) {
        const double relative = exp((double)value[i] - max) / (double)p->min_p;
        near |= fabs(relative - 1) < 1e-5;
        if (relative < 1)
            value[i] = -INFINITY;
    }
    sort_tokens(order, value);
    if (p->top_k > 0 && p->top_k < VOCAB) {
        const float least = value[order[p->top_k - 1]];
        for (int i = 0; i < VOCAB; i++)
            value[i] = value[i] >= least ? value[i] : -INFINITY;
    }
    const double lse = plain_lse(value);
    double sum = 0;
    for (int i = 0; i < VOCAB && p->top_p < 1; i++) {
        const double before = sum;
        sum += exp((double)value[order[i]] - lse);
        near |= fabs(sum - (double)p->top_p) < 1e-5;
        if (i > 0 && before >= (double)p->top_p)
            value[order[i]] = -INFINITY;
    }
    return near;
}

static void check_logprob(struct token_logprob got, const float *value, double lse, int32_t token)
{
    const double want = (double)value[token] - lse;
    int rank = 0;
    for (int i = 0; i < VOCAB; i++)
        rank += value[i] >= value[token];
    CHECK_EQ(got.token, token);
    CHECK_EQ(got.rank, rank);
    if (want == -INFINITY ? got.logprob != -INFINITY : !(fabs((double)got.logprob - want) < 2e-5))
        test_fail(__FILE__, __LINE__, "token %d has %.9g, want %.9g", token, (double)got.logprob,
                  want);
}

/* The token first, then the k best without it. */
static void check_logprobs(const struct picked *picked, const float *value, int32_t token, int k)
{
    const double lse = plain_lse(value);
    int32_t order[VOCAB];
    int n = 1;
    sort_tokens(order, value);
    check_logprob(picked->logprob[0], value, lse, token);
    for (int i = 0; i < k; i++)
        if (order[i] != token)
            check_logprob(picked->logprob[n++], value, lse, order[i]);
    CHECK_EQ(picked->n_logprobs, n);
}

/* ---- rows with anything ---- */

/* Row i, and what it points to. */
struct many {
    float *logits; /* [N_ROWS, VOCAB] */
    struct sampling_params params[N_ROWS];
    struct sample_row row[N_ROWS];
    int32_t token[N_ROWS][24], allowed[N_ROWS][40], bad_id[N_ROWS][30], bad_end[N_ROWS][12];
    struct token_bias bias[N_ROWS][10];
};

static void make_lists(struct many *m, int i)
{
    struct sampling_params *p = &m->params[i];
    p->allowed_id = m->allowed[i];
    p->bad_id = m->bad_id[i];
    p->bad_end = m->bad_end[i];
    p->bias = m->bias[i];
    if (i % 5 == 1) {
        p->n_allowed_ids = 1 + (int32_t)random_below(40);
        for (int k = 0; k < p->n_allowed_ids; k++)
            m->allowed[i][k] = (int32_t)random_below(VOCAB);
    }
    if (i % 3 == 1)
        for (int at = 0; p->n_bad_words < 10; m->bad_end[i][p->n_bad_words++] = at)
            for (uint32_t k = 0; k < 1 + random_below(3); k++)
                m->bad_id[i][at++] = (int32_t)random_below(k == 0 ? 8 : 12);
    if (i % 4 == 1) {
        p->n_biases = 10;
        for (int k = 0; k < 10; k++)
            m->bias[i][k] = (struct token_bias){(int32_t)random_below(VOCAB),
                                                (float)random_below(200) / 20 - 5};
    }
}

static struct many *make_many(void)
{
    struct many *m = memory_alloc(1, sizeof *m);
    m->logits = memory_alloc(N_ROWS * VOCAB, sizeof *m->logits);
    fill(m->logits, N_ROWS * VOCAB);
    for (int i = 0; i < N_ROWS; i++) {
        struct sampling_params *p = &m->params[i];
        *p = params_default();
        make_lists(m, i);
        for (int k = 0; k < 24; k++)
            m->token[i][k] = (int32_t)random_below(12); /* few, so that much is seen again */
        p->seed = (uint64_t)i << 31 | (uint64_t)i;
        p->temperature = i % 3 == 0 ? 0 : 0.2f + (float)(i % 7) / 4;
        p->min_p = i % 7 == 2 ? 0.02f : 0;
        p->top_k = i % 4 == 2 ? 12 : 0;
        p->top_p = i % 5 == 2 ? 0.8f : 1;
        p->repetition_penalty = i % 6 < 2 ? 1.3f : 1;
        p->frequency_penalty = i % 6 == 3 ? 0.4f : 0;
        p->presence_penalty = i % 6 == 4 ? 0.7f : 0;
        p->min_tokens = i % 8 == 3 ? 16 : 0;
        p->n_stop_ids = 1;
        p->stop_id[0] = 9;
        p->logprobs = i % 11 == 10 ? LOGPROBS_OFF : i % 11 * 2;
        m->row[i] = (struct sample_row){.logits = m->logits + i * VOCAB,
                                        .params = p,
                                        .token = m->token[i],
                                        .n_prompt = 3 + i % 5,
                                        .n_tokens = 10 + i % 14};
    }
    return m;
}

static void free_many(struct many *m)
{
    memory_free(m->logits);
    memory_free(m);
}

/* Every row against the plain sampler. */
static void check_many(bool processed_logprobs)
{
    struct many *m = make_many();
    struct picked *picked = memory_alloc(N_ROWS, sizeof *picked);
    int n_compared = 0;
    pick_all(2, processed_logprobs, m->row, N_ROWS, picked);
    for (int i = 0; i < N_ROWS; i++) {
        const struct sampling_params *p = &m->params[i];
        float value[VOCAB];
        int32_t order[VOCAB];
        if (plain_process(value, &m->row[i]))
            continue;
        sort_tokens(order, value);
        const bool is_empty = value[order[0]] == -INFINITY;
        const int32_t want = is_empty ? -1
                             : p->temperature < 1e-5f
                                 ? order[0]
                                 : pick_of_whole_row(value, VOCAB, p->seed, m->row[i].n_tokens);
        CHECK_EQ(picked[i].token, want);
        if (want >= 0 && p->logprobs != LOGPROBS_OFF)
            check_logprobs(&picked[i], processed_logprobs ? value : m->row[i].logits, want,
                           p->logprobs);
        else
            CHECK_EQ(picked[i].n_logprobs, 0);
        n_compared++;
    }
    CHECK(n_compared > N_ROWS * 9 / 10);
    memory_free(picked);
    free_many(m);
}

TEST(all_rules_together_pick_as_the_plain_sampler_and_logprobs_are_raw) { check_many(false); }

TEST(processed_logprobs_are_those_after_all_rules) { check_many(true); }

TEST(neither_threads_nor_neighbours_change_a_bit_of_rows_of_every_kind)
{
    struct many *m = make_many();
    struct picked *alone = memory_alloc(N_ROWS, sizeof *alone);
    struct picked *together = memory_alloc(N_ROWS, sizeof *together);
    for (int processed = 0; processed < 2; processed++) {
        struct opened opened = open_sampler(1, processed == 1);
        memset(alone, 0, N_ROWS * sizeof *alone);
        for (int i = 0; i < N_ROWS; i++) {
            m->row[i].kind = i % 8 < 4 ? ROW_SAMPLE : i % 8 == 7 ? ROW_BEAM : ROW_PROMPT;
            m->params[i].prompt_logprobs = i % 21;
            m->params[i].beam_width = 1 + i % PARAMS_MAX_BEAMS;
            sampler_pick(opened.sampler, &m->row[i], 1, &alone[i]);
            alone[i].lse = 0; /* only set where it is needed */
        }
        close_sampler(&opened);
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            pick_all(n_threads, processed == 1, m->row, N_ROWS, together);
            for (int i = 0; i < N_ROWS; i++)
                together[i].lse = 0;
            CHECK(memcmp(alone, together, N_ROWS * sizeof *alone) == 0);
        }
    }
    memory_free(alone);
    memory_free(together);
    free_many(m);
}

TEST(the_order_of_rules_is_that_of_vllm)
{
    static float logits[VOCAB];
    static const int32_t token[] = {20, 21};
    struct sampling_params params = params_default();
    struct picked picked;
    struct sample_row row = {
        .logits = logits, .params = &params, .token = token, .n_prompt = 1, .n_tokens = 2};
    params.temperature = 0;
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -50;
    logits[21] = -1; /* a bias of 3 makes it 2, the penalty then 1 */
    logits[22] = 0.9f;
    params.bias = (const struct token_bias[]){{21, 3}, {2, 100}};
    params.n_biases = 2;
    params.repetition_penalty = 2;
    params.logprobs = 2;
    params.min_tokens = 16; /* the EOS is out, and no bias brings it back */
    pick_all(1, true, &row, 1, &picked);
    CHECK_EQ(picked.token, 21);
    CHECK(fabsf(picked.logprob[0].logprob - picked.logprob[1].logprob - 0.1f) < 1e-6f);
    params.bias = (const struct token_bias[]){{21, 2}, {2, 100}};
    pick_all(1, true, &row, 1, &picked); /* 1 / 2; the penalty first would give -2 + 2 */
    CHECK_EQ(picked.token, 22);
    CHECK(fabsf(picked.logprob[0].logprob - picked.logprob[1].logprob - 0.4f) < 1e-6f);
}

/* ---- prompts and beams ---- */

TEST(a_row_of_a_prompt_gives_the_logprobs_of_its_token)
{
    static float logits[VOCAB];
    static const int32_t token[] = {4, 5, 250, 7};
    struct sampling_params params = params_default();
    fill(logits, VOCAB);
    params.bias = (const struct token_bias[]){{7, -100}}; /* no rule changes them */
    params.n_biases = 1;
    params.temperature = 0.3f;
    for (int processed = 0; processed < 2; processed++)
        for (int n = 1; n < 4; n++)
            for (int k = 0; k <= PARAMS_MAX_LOGPROBS; k += 5) {
                struct picked picked;
                const struct sample_row row = {.logits = logits,
                                               .params = &params,
                                               .token = token,
                                               .n_prompt = 4,
                                               .n_tokens = n,
                                               .kind = ROW_PROMPT};
                params.prompt_logprobs = k;
                pick_all(1, processed == 1, &row, 1, &picked);
                CHECK_EQ(picked.token, token[n]);
                check_logprobs(&picked, logits, token[n], k);
            }
}

TEST(a_row_of_a_beam_gives_twice_as_many_candidates_as_beams_best_first)
{
    static float logits[VOCAB];
    struct sampling_params params = params_default();
    params.temperature = 0.5f; /* not looked at */
    params.n_allowed_ids = 1;
    params.allowed_id = (const int32_t[]){1};
    for (int width = 1; width <= PARAMS_MAX_BEAMS; width++) {
        struct picked picked;
        int32_t order[VOCAB];
        const struct sample_row row = {.logits = logits, .params = &params, .kind = ROW_BEAM};
        fill(logits, VOCAB);
        params.beam_width = width;
        pick_all(1, true, &row, 1, &picked);
        sort_tokens(order, logits);
        CHECK_EQ(picked.n_logprobs, 2 * width);
        CHECK_EQ(picked.token, order[0]);
        for (int i = 0; i < 2 * width; i++)
            check_logprob(picked.logprob[i], logits, plain_lse(logits), order[i]);
    }
}

TEST(tokens_that_cannot_be_are_no_candidates)
{
    static float logits[VOCAB];
    struct sampling_params params = params_default();
    struct picked picked;
    const struct sample_row row = {.logits = logits, .params = &params, .kind = ROW_BEAM};
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i % 100 == 50 ? (float)i : -INFINITY;
    params.beam_width = 4;
    pick_all(1, false, &row, 1, &picked);
    CHECK_EQ(picked.n_logprobs, 3);
    CHECK_EQ(picked.logprob[0].token, 250);
    CHECK_EQ(picked.logprob[2].token, 50);
}

TEST(prompts_and_beams_of_rows_that_are_no_numbers_give_nothing)
{
    static float logits[2 * VOCAB];
    static const int32_t token[] = {4, 5};
    struct sampling_params params = params_default();
    struct picked picked[2];
    struct sample_row row[2];
    params.prompt_logprobs = 3;
    params.beam_width = 2;
    for (int i = 0; i < 2; i++)
        row[i] = (struct sample_row){.logits = logits + i * VOCAB,
                                     .params = &params,
                                     .token = token,
                                     .n_prompt = 2,
                                     .n_tokens = 1,
                                     .kind = i == 0 ? ROW_PROMPT : ROW_BEAM};
    static const float bad[] = {NAN, INFINITY};
    for (int b = 0; b < 2; b++) {
        fill(logits, 2 * VOCAB);
        logits[100] = logits[VOCAB + 299] = bad[b];
        pick_all(1, false, row, 2, picked);
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(picked[i].token, -1);
            CHECK_EQ(picked[i].n_logprobs, 0);
        }
    }
    for (int i = 0; i < 2 * VOCAB; i++)
        logits[i] = -INFINITY;
    pick_all(1, false, row, 2, picked);
    CHECK_EQ(picked[0].token, -1);
    CHECK_EQ(picked[1].token, -1);
}

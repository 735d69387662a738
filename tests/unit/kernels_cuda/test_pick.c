/* A pick on the GPU is that of the sampler, to the last bit of every number. */
#include "runtime/sample/sampler.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include "base/error.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { MAX_ROWS = 27 };

struct rows {
    int n, vocab, stride;
    float *logits; /* [n, stride], NaN behind each row */
    struct pick_spec spec[MAX_ROWS];
};

/* ---- logits ---- */

enum shape {
    STEEP,
    FLAT,
    EQUAL,
    TIES,
    FEW,
    HUGE_ONES,
    NO_NUMBER,
    INFINITE_ONE,
    IMPOSSIBLE,
    SHAPES
};

static float logit_of(enum shape shape, uint64_t seed, int i, int vocab)
{
    const float x = number_at(seed, (uint64_t)i, 0), y = number_at(seed, (uint64_t)i, 1);
    switch (shape) {
    case STEEP: /* as of a model that is sure */
        return x * y * y * 40;
    case FLAT:
        return x * 0.25f;
    case EQUAL: /* zeros of both signs are one value */
        return seed % 2 ? 1.5f : copysignf(0, x);
    case TIES:
        return rintf(x * 3) * 0.5f;
    case FEW:
        return i % 7 == 3 ? x * 4 : -INFINITY;
    case HUGE_ONES:
        return x * FLT_MAX;
    case NO_NUMBER:
        return i == vocab / 3 ? NAN : x;
    case INFINITE_ONE:
        return i == vocab - 1 ? INFINITY : x;
    default:
        return -INFINITY;
    }
}

static int chosen(uint64_t seed, uint64_t of, int n)
{
    const int i = (int)((number_at(seed, of, 7) + 1) * 0.5f * (float)n);
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* ---- what is wanted ---- */

#define CHOSEN(of, list) (list)[chosen(seed, of, sizeof(list) / sizeof *(list))]

static struct pick_spec spec_of(uint64_t seed, int vocab)
{
    static const int32_t wants[] = {PICK_WANT_TOKEN, PICK_WANT_TOKEN, PICK_WANT_TOKEN,
                                    PICK_WANT_LOGPROB, PICK_WANT_BEST};
    static const float temperatures[] = {0, 9e-6f, 0.005f, 0.3f, 1, 1, 1.7f};
    static const float top_ps[] = {1, 0.9f, 0.5f, 0.99f, 1e-7f};
    static const float min_ps[] = {0, 0, 0.02f, 1};
    const int32_t top_ks[] = {0, -1, 1, 3, 50, vocab, vocab / 2};
    static const int32_t n_bests[] = {-1, 0, 1, 5, 20};
    struct pick_spec spec = {.seed = 0x123456789abcdefu * seed,
                             .want = CHOSEN(1, wants),
                             .position = 1 + chosen(seed, 2, 100000),
                             .token = chosen(seed, 3, vocab),
                             .n_best = CHOSEN(4, n_bests),
                             .top_k = CHOSEN(5, top_ks),
                             .temperature = CHOSEN(6, temperatures),
                             .top_p = CHOSEN(7, top_ps),
                             .min_p = CHOSEN(8, min_ps)};
    if (spec.want == PICK_WANT_BEST)
        spec.n_best = 2 * (1 + chosen(seed, 9, 16));
    else if (spec.want == PICK_WANT_LOGPROB && spec.n_best < 0)
        spec.n_best = 0;
    return spec;
}

static struct rows rows_make(int n, int vocab, int gap, uint64_t seed)
{
    struct rows r = {.n = n, .vocab = vocab, .stride = vocab + gap};
    r.logits = malloc((size_t)n * (size_t)r.stride * sizeof *r.logits);
    for (int i = 0; i < n; i++) {
        const enum shape shape = (enum shape)(i % SHAPES);
        for (int j = 0; j < r.stride; j++)
            r.logits[(size_t)i * (size_t)r.stride + (size_t)j] =
                j < vocab ? logit_of(shape, seed + (uint64_t)i, j, vocab) : NAN;
        r.spec[i] = spec_of(seed + 100 * (uint64_t)i, vocab);
    }
    return r;
}

/* ---- by the sampler ---- */

static void pick_on_cpu(struct device *cpu, const struct rows *r, bool processed,
                        struct picked *picked)
{
    static const enum row_kind kinds[] = {[PICK_WANT_NOTHING] = ROW_PICKED,
                                          [PICK_WANT_TOKEN] = ROW_SAMPLE,
                                          [PICK_WANT_LOGPROB] = ROW_PROMPT,
                                          [PICK_WANT_BEST] = ROW_BEAM};
    struct sampling_params params[MAX_ROWS];
    struct sample_row row[MAX_ROWS];
    struct sampler *sampler;
    sampler_create(&sampler, &(struct sampler_settings){.device = cpu,
                                                        .vocab = r->vocab,
                                                        .processed_logprobs = processed});
    for (int i = 0; i < r->n; i++) {
        const struct pick_spec *spec = &r->spec[i];
        params[i] = params_default();
        params[i].seed = spec->seed;
        params[i].temperature = spec->temperature;
        params[i].top_k = spec->top_k;
        params[i].top_p = spec->top_p;
        params[i].min_p = spec->min_p;
        params[i].logprobs = params[i].prompt_logprobs = spec->n_best;
        params[i].beam_width = spec->n_best / 2;
        const int n_tokens = spec->want == PICK_WANT_LOGPROB ? 0 : spec->position;
        row[i] = (struct sample_row){.logits = r->logits + (size_t)i * (size_t)r->stride,
                                     .params = &params[i],
                                     .token = &spec->token,
                                     .n_prompt = n_tokens,
                                     .n_tokens = n_tokens,
                                     .kind = kinds[spec->want]};
    }
    sampler_pick(sampler, row, r->n, picked);
    sampler_destroy(sampler);
}

/* ---- on the GPU ---- */

static void reserve(struct device *device, const struct rows *r)
{
    struct error err = {0};
    const struct step_needs needs = {.n_tokens = r->n, .n_logits = r->n, .vocab = r->vocab};
    if (!device_reserve(device, &needs, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

/* Rows first .. first + n of them, in one call. */
static void pick_on_gpu(struct both *both, const struct rows *r, int first, int n, bool processed,
                        struct pick_result *result, int32_t *carried)
{
    struct pick_args args = {.out = gpu_array(both, NULL, (size_t)n * sizeof *result),
                             .carried = gpu_array(both, NULL, (size_t)n * sizeof *carried),
                             .logits =
                                 gpu_array(both, r->logits + (size_t)first * (size_t)r->stride,
                                           (size_t)n * (size_t)r->stride * sizeof(float)),
                             .spec = gpu_array(both, r->spec + first, (size_t)n * sizeof *r->spec),
                             .row_stride = r->stride,
                             .n_rows = n,
                             .vocab = r->vocab,
                             .processed_logprobs = processed};
    op_pick(both->device, &args);
    gpu_read(both, result, args.out, (size_t)n * sizeof *result);
    gpu_read(both, carried, args.carried, (size_t)n * sizeof *carried);
}

static void compare(const struct rows *r, int i, const struct pick_result *got, int32_t carried,
                    const struct picked *want)
{
    const struct pick_spec *spec = &r->spec[i];
    const bool is_described = spec->want != PICK_WANT_TOKEN || spec->n_best >= 0;
    if (got->token != want->token || carried != want->token || got->is_finite != want->is_finite ||
        got->n_entries != want->n_logprobs)
        test_fail(__FILE__, __LINE__,
                  "row %d of %d: token %d (carried %d), finite %d, %d entries; want %d, %d, %d", i,
                  r->vocab, got->token, carried, got->is_finite, got->n_entries, want->token,
                  want->is_finite, want->n_logprobs);
    if (is_described && want->is_finite && want->token >= 0)
        CHECK(same_number(got->lse, want->lse));
    for (int e = 0; e < want->n_logprobs; e++)
        if (got->entry[e].token != want->logprob[e].token ||
            got->entry[e].rank != want->logprob[e].rank ||
            !same_number(got->entry[e].logprob, want->logprob[e].logprob))
            test_fail(__FILE__, __LINE__, "row %d of %d, entry %d: %d %a %d, want %d %a %d", i,
                      r->vocab, e, got->entry[e].token, (double)got->entry[e].logprob,
                      got->entry[e].rank, want->logprob[e].token, (double)want->logprob[e].logprob,
                      want->logprob[e].rank);
}

static void check_rows(int n, int vocab, int gap, uint64_t seed, bool processed, int at_a_time)
{
    struct both both;
    struct rows r = rows_make(n, vocab, gap, seed);
    struct picked want[MAX_ROWS];
    struct pick_result got[MAX_ROWS];
    int32_t carried[MAX_ROWS];
    for (int first = 0; first < n; first += at_a_time) {
        const int now = n - first < at_a_time ? n - first : at_a_time;
        both_open(&both);
        reserve(both.device, &r);
        if (first == 0)
            pick_on_cpu(both.cpu, &r, processed, want);
        pick_on_gpu(&both, &r, first, now, processed, got + first, carried + first);
        both_close(&both);
    }
    for (int i = 0; i < n; i++)
        compare(&r, i, &got[i], carried[i], &want[i]);
    free(r.logits);
}

TEST(picks_of_many_rows_are_those_of_the_sampler)
{
    static const int vocabs[] = {1, 2, 257, 1000, 3001};
    for (size_t v = 0; v < sizeof vocabs / sizeof *vocabs; v++)
        for (int processed = 0; processed < 2; processed++)
            for (uint64_t seed = 1; seed <= (SANITIZED ? 1 : 2); seed++)
                check_rows(MAX_ROWS, vocabs[v], (int)(seed % 3), 1000 * seed + v, processed,
                           MAX_ROWS);
}

TEST(picks_are_the_same_however_a_row_is_cut)
{
    for (int at_a_time = 1; at_a_time <= 4; at_a_time += 3)
        for (int processed = 0; processed < 2; processed++)
            check_rows(2 * SHAPES, 2900, 4, 77, processed, at_a_time);
}

TEST(more_tokens_in_one_bin_than_are_listed_change_nothing)
{
    for (int processed = 0; processed < 2; processed++)
        for (uint64_t seed = 1; seed <= 2; seed++)
            check_rows(2 * SHAPES, 9000, 0, 7000 * seed, processed, 1);
}

TEST(picks_do_not_depend_on_the_order_of_threads)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        emulated_seed(seed);
        check_rows(SHAPES, 1500, 0, 500 + seed, seed % 2, 3);
    }
}

TEST(rows_of_which_nothing_is_wanted_are_not_looked_at)
{
    struct both both;
    both_open(&both);
    struct rows r = rows_make(2, 300, 0, 5);
    struct pick_result got[2];
    int32_t carried[2];
    r.spec[1].want = PICK_WANT_NOTHING;
    reserve(both.device, &r);
    pick_on_gpu(&both, &r, 0, 2, false, got, carried);
    CHECK(got[0].token >= 0 && carried[0] == got[0].token);
    CHECK_EQ(got[1].token, -1); /* the 0xff that were there */
    CHECK_EQ(carried[1], -1);
    free(r.logits);
    both_close(&both);
}

/* A pick by the few numbers of a plan is the pick of who has the request: token, log-probabilities,
 * candidates, bit for bit. */
#include "runtime/row_picker.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/forward/forward.h"
#include "runtime/sample/sampler.h"
#include "runtime/step_plan.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

enum { VOCAB = 700, N_ROWS = 60, N_TOKENS = 90 };

static const struct plan_limits limits = {.max_logits = N_ROWS, .vocab = VOCAB};

static uint64_t state;

static int below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)n);
}

static float unit(void) { return (float)below(1 << 20) * 0x1p-20f; }

/* The same of each row, as a request has it and as a plan says it. */
struct rows {
    float logits[N_ROWS][VOCAB];
    int32_t token[N_TOKENS];
    struct sampling_params params[N_ROWS];
    struct sample_row row[N_ROWS];
    struct plan_pick pick[N_ROWS];
};

static void make_params(struct sampling_params *params)
{
    *params = params_default();
    params->temperature = below(3) == 0 ? 0 : 2 * unit();
    params->top_k = below(2) == 0 ? -1 : below(50);
    params->top_p = below(2) == 0 ? 1 : 0.01f + 0.99f * unit();
    params->min_p = below(2) == 0 ? 0 : unit();
    params->seed = state;
    params->logprobs = below(PARAMS_MAX_LOGPROBS + 2) - 1;
    params->prompt_logprobs = below(PARAMS_MAX_LOGPROBS + 1);
    params->beam_width = 1 + below(PARAMS_MAX_BEAMS);
}

static void make_row(struct rows *r, int i)
{
    static const enum row_kind kinds[PICK_KINDS] = {ROW_PICKED, ROW_SAMPLE, ROW_PROMPT, ROW_BEAM};
    const int kind = below(PICK_KINDS), position = 1 + below(N_TOKENS - 1);
    struct sampling_params *params = &r->params[i];
    make_params(params);
    for (int t = 0; t < VOCAB; t++)
        r->logits[i][t] = 20 * unit() - 10;
    if (below(10) == 0)
        r->logits[i][below(VOCAB)] = NAN;
    r->row[i] = (struct sample_row){.logits = r->logits[i],
                                    .params = params,
                                    .token = r->token,
                                    .n_prompt = 1,
                                    .n_tokens = position,
                                    .kind = kinds[kind]};
    r->pick[i] = (struct plan_pick){.kind = kind,
                                    .position = position,
                                    .token = r->token[position],
                                    .seed = params->seed,
                                    .top_k = params->top_k,
                                    .temperature = params->temperature,
                                    .top_p = params->top_p,
                                    .min_p = params->min_p,
                                    .n_best = kind == PICK_SAMPLE   ? params->logprobs
                                              : kind == PICK_PROMPT ? params->prompt_logprobs
                                                                    : 2 * params->beam_width};
}

static void check_same(const struct picked *got, const struct picked *want)
{
    CHECK_EQ(got->token, want->token);
    CHECK_EQ(got->is_finite, want->is_finite);
    CHECK_EQ(got->n_logprobs, want->n_logprobs);
    CHECK(memcmp(got->logprob, want->logprob, (size_t)want->n_logprobs * sizeof *want->logprob) ==
          0);
}

static void compare(struct device *device, bool processed_logprobs)
{
    static struct rows rows;
    static struct picked want[N_ROWS];
    struct row_picker *picker;
    struct sampler *sampler;
    row_picker_create(&picker,
                      &(struct row_picker_settings){.device = device,
                                                    .limits = &limits,
                                                    .processed_logprobs = processed_logprobs});
    sampler_create(&sampler, &(struct sampler_settings){.device = device,
                                                        .vocab = VOCAB,
                                                        .processed_logprobs = processed_logprobs});
    for (int t = 0; t < N_TOKENS; t++)
        rows.token[t] = below(VOCAB);
    for (int i = 0; i < N_ROWS; i++)
        make_row(&rows, i);
    const struct step_view view = {.pick = rows.pick};
    const struct step_result result = {
        .logits = rows.logits[0], .n_logits = N_ROWS, .vocab = VOCAB};
    sampler_pick(sampler, rows.row, N_ROWS, want);
    const struct picked *got = row_picker_run(picker, &view, &result);
    for (int i = 0; i < N_ROWS; i++)
        if (rows.pick[i].kind != PICK_ROW)
            check_same(&got[i], &want[i]);
    sampler_destroy(sampler);
    row_picker_destroy(picker);
}

TEST(a_pick_by_the_numbers_of_a_plan_is_that_of_the_request)
{
    struct device *device = NULL;
    struct error err = {0};
    if (!device_open_cpu(&device, NULL, 2, 0, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    state = 11;
    for (int round = 0; round < 40; round++)
        compare(device, round % 2 == 1);
    device_close(device);
}

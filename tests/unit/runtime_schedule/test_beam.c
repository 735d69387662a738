#include "runtime/schedule/beam.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = 4, MOST = 64 };

static uint64_t random_state = 5;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static int by_sum_then_order(const void *a, const void *b)
{
    const struct beam_step *x = a, *y = b;
    if (x->cumulative_logprob != y->cumulative_logprob)
        return x->cumulative_logprob > y->cumulative_logprob ? -1 : 1;
    if (x->parent != y->parent)
        return x->parent - y->parent;
    return x->candidate.token - y->candidate.token; /* tokens count up with the rank here */
}

static bool steps_are_equal(const struct beam_step *a, const struct beam_step *b)
{
    return a->parent == b->parent && a->candidate.token == b->candidate.token &&
           a->candidate.logprob == b->candidate.logprob &&
           a->cumulative_logprob == b->cumulative_logprob;
}

/* All candidates, sorted. */
static struct beam_choice choose_plainly(struct beam_step *live, struct beam_step *ended,
                                         const struct beam_candidate *c, int n_candidates,
                                         const double *sum, int n_live, int32_t eos)
{
    struct beam_step all[MOST];
    struct beam_choice choice = {0};
    int n = 0;
    for (int i = 0; i < n_live * n_candidates; i++) {
        const int parent = i / n_candidates;
        const struct beam_step step = {parent, c[i], sum[parent] + (double)c[i].logprob};
        if (c[i].logprob == -INFINITY)
            continue;
        if (c[i].token == eos)
            ended[choice.n_ended++] = step;
        else
            all[n++] = step;
    }
    qsort(all, (size_t)n, sizeof *all, by_sum_then_order);
    while (choice.n_live < n && choice.n_live < WIDTH) {
        live[choice.n_live] = all[choice.n_live];
        choice.n_live++;
    }
    return choice;
}

TEST(the_best_of_all_candidates_live_on_and_those_with_an_eos_end)
{
    for (int round = 0; round < 3000; round++) {
        struct beam_candidate candidate[MOST];
        struct beam_step live[WIDTH], ended[MOST], want_live[WIDTH], want_ended[MOST];
        double sum[WIDTH];
        const int n_live = 1 + round % WIDTH, n_candidates = 1 + round % (2 * WIDTH);
        const int32_t eos = 2;
        for (int p = 0; p < n_live; p++) {
            sum[p] = -(double)(random_bits() % 4) / 2; /* many equal sums */
            float logprob = 0;
            for (int i = 0; i < n_candidates; i++) {
                logprob -= (float)(random_bits() % 3) / 2;
                candidate[p * n_candidates + i] = (struct beam_candidate){
                    i, random_bits() % 40 == 0 ? (logprob = -INFINITY) : logprob};
            }
        }
        const struct beam_choice want =
            choose_plainly(want_live, want_ended, candidate, n_candidates, sum, n_live, eos);
        const struct beam_choice got = beam_choose(live, ended, WIDTH, candidate, n_candidates, sum,
                                                   n_live, (int32_t[]){900, eos}, 2);
        CHECK_EQ(got.n_live, want.n_live);
        CHECK_EQ(got.n_ended, want.n_ended);
        for (int i = 0; i < got.n_live; i++)
            CHECK(steps_are_equal(&live[i], &want_live[i]));
        for (int i = 0; i < got.n_ended; i++)
            CHECK(steps_are_equal(&ended[i], &want_ended[i]));
    }
}

TEST(with_ignore_eos_an_eos_is_a_token_as_others)
{
    const struct beam_candidate candidate[2] = {{2, -0.5f}, {7, -1}};
    struct beam_step live[WIDTH], ended[2];
    const double sum = -3;
    const struct beam_choice got = beam_choose(live, ended, WIDTH, candidate, 2, &sum, 1, NULL, 0);
    CHECK_EQ(got.n_live, 2);
    CHECK_EQ(got.n_ended, 0);
    CHECK_EQ(live[0].candidate.token, 2);
    CHECK(live[0].cumulative_logprob == -3.5);
}

TEST(where_all_candidates_end_no_beam_is_left)
{
    const struct beam_candidate candidate[2] = {{2, -0.5f}, {3, -1}};
    struct beam_step live[WIDTH], ended[2];
    const double sum = 0;
    const struct beam_choice got =
        beam_choose(live, ended, WIDTH, candidate, 2, &sum, 1, (int32_t[]){2, 3}, 2);
    CHECK_EQ(got.n_live, 0);
    CHECK_EQ(got.n_ended, 2);
}

TEST(the_length_of_a_score_counts_what_it_should)
{
    struct sampling_params params = params_default();
    CHECK(beam_score(-12, 4, 2, false, &params) == -2.0);
    CHECK(beam_score(-12, 4, 3, true, &params) == -2.0); /* not the EOS */
    params.penalize_prompt = false;
    CHECK(beam_score(-12, 4, 3, false, &params) == -4.0);
    CHECK(beam_score(-12, 4, 3, true, &params) == -6.0);
    CHECK(beam_score(-12, 4, 1, true, &params) == -12.0); /* an EOS alone */
    params.length_penalty = 0;
    CHECK(beam_score(-12, 4, 3, false, &params) == -12.0);
}

TEST(the_length_counts_with_its_power)
{
    struct sampling_params params = params_default();
    static const float powers[] = {-3, -1, -0.3f, 0, 1e-3f, 0.5f, 0.7f, 1, 2, 5.25f, 40};
    for (int length = 1; length < 200000; length += 1 + length / 5)
        for (int i = 0; i < 11; i++) {
            params.length_penalty = powers[i];
            const double want = -7.5 / pow(length, (double)powers[i]);
            const double got = beam_score(-7.5, length - 1, 1, false, &params);
            if (!(fabs(got - want) <= 4e-13 * fabs(want)))
                test_fail(__FILE__, __LINE__, "%d ^ %g: %.17g, want %.17g", length,
                          (double)powers[i], got, want);
        }
}

TEST(an_extreme_power_stays_a_number)
{
    struct sampling_params params = params_default();
    params.length_penalty = 1e30f;
    CHECK(isfinite(beam_score(-3, 10, 10, false, &params)));
    params.length_penalty = -1e30f;
    CHECK(isfinite(beam_score(-3, 10, 10, false, &params)));
}

/* The filters against their definitions, written plainly with a full sort in double. */
#include "kernels/device.h"
#include "runtime/sample/rules.h"
#include "tests/test.h"
#include "tests/unit/runtime_sample/whole_row.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 700 };

static uint64_t random_state = 3;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static float values[VOCAB], before[VOCAB];

/* A row with many ties where `steps` is small. */
static void fill(int steps, float range)
{
    for (int i = 0; i < VOCAB; i++) {
        values[i] = (float)(random_bits() % (uint32_t)steps) / (float)steps * range;
        if (random_bits() % 16 == 0)
            values[i] = -INFINITY;
    }
    values[random_bits() % VOCAB] = range;
    memcpy(before, values, sizeof before);
}

static int by_value_then_token(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    if (before[x] != before[y])
        return before[x] > before[y] ? -1 : 1;
    return x - y;
}

static void sort_tokens(int *order)
{
    for (int i = 0; i < VOCAB; i++)
        order[i] = i;
    qsort(order, VOCAB, sizeof *order, by_value_then_token);
}

static void check_kept(const bool *kept)
{
    for (int i = 0; i < VOCAB; i++) {
        if (kept[i] ? values[i] != before[i] : values[i] != -INFINITY)
            test_fail(__FILE__, __LINE__, "token %d was %g, is %g, kept %d", i, (double)before[i],
                      (double)values[i], kept[i]);
    }
}

TEST(top_k_keeps_all_that_equal_the_kth)
{
    cpu_float_mode_set();
    static const int steps[] = {2, 10, 300, 100000};
    for (int round = 0; round < 400; round++) {
        struct sampling_params params = params_default();
        int order[VOCAB];
        bool kept[VOCAB];
        fill(steps[round % 4], round % 8 < 4 ? 3 : 60);
        params.top_k = round % 3 ? 1 + (int)(random_bits() % 50) : 1 + (int)(random_bits() % VOCAB);
        sort_tokens(order);
        for (int i = 0; i < VOCAB; i++)
            kept[i] = before[i] >= before[order[params.top_k - 1]] && before[i] != -INFINITY;
        filter_whole_row(values, VOCAB, &params);
        check_kept(kept);
    }
}

TEST(top_p_keeps_the_fewest_best_tokens_that_reach_it)
{
    cpu_float_mode_set();
    static const int steps[] = {2, 10, 300, 100000};
    int n_compared = 0;
    for (int round = 0; round < 400; round++) {
        struct sampling_params params = params_default();
        int order[VOCAB], n_kept = 0;
        fill(steps[round % 4], round % 8 < 4 ? 3 : 20);
        params.top_p = (float)(1 + random_bits() % 998) / 1000;
        sort_tokens(order);
        double total = 0, sum = 0;
        for (int i = 0; i < VOCAB; i++)
            total += exp((double)before[i]);
        bool near = false, kept[VOCAB] = {false};
        while (n_kept == 0 || sum < (double)params.top_p * total) {
            sum += exp((double)before[order[n_kept]]);
            near |= fabs(sum / total - (double)params.top_p) < 1e-6;
            kept[order[n_kept++]] = true;
        }
        filter_whole_row(values, VOCAB, &params);
        if (!near) { /* within rounding of the border both answers are right */
            check_kept(kept);
            n_compared++;
        }
    }
    CHECK(n_compared > 380);
}

TEST(top_p_cuts_among_equals_by_id)
{
    cpu_float_mode_set();
    struct sampling_params params = params_default();
    for (int i = 0; i < VOCAB; i++)
        values[i] = before[i] = 1;
    params.top_p = 0.5f;
    filter_whole_row(values, VOCAB, &params);
    bool kept[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        kept[i] = i < VOCAB / 2;
    check_kept(kept);
}

TEST(a_tiny_top_p_keeps_the_best_token)
{
    cpu_float_mode_set();
    struct sampling_params params = params_default();
    fill(100000, 5);
    params.top_p = 1e-9f;
    int order[VOCAB];
    bool kept[VOCAB] = {false};
    sort_tokens(order);
    kept[order[0]] = true;
    filter_whole_row(values, VOCAB, &params);
    check_kept(kept);
}

TEST(min_p_is_relative_to_the_best)
{
    cpu_float_mode_set();
    for (int round = 0; round < 100; round++) {
        struct sampling_params params = params_default();
        bool kept[VOCAB];
        fill(1000, 12);
        params.min_p = (float)(1 + random_bits() % 1000) / 1000;
        float max = -INFINITY;
        for (int i = 0; i < VOCAB; i++)
            max = before[i] > max ? before[i] : max;
        for (int i = 0; i < VOCAB; i++)
            kept[i] = exp((double)before[i] - (double)max) >= (double)params.min_p * (1 - 1e-6);
        filter_whole_row(values, VOCAB, &params);
        check_kept(kept);
    }
}

TEST(filters_come_in_the_order_min_p_top_k_top_p)
{
    cpu_float_mode_set();
    /* of 4 : 2 : 1 : 1, top_k 2 leaves 2/3 and 1/3; top_p 0.6 of that keeps one. The other way
     * round, top_p would keep two. */
    struct sampling_params params = params_default();
    for (int i = 0; i < VOCAB; i++)
        values[i] = -INFINITY;
    values[3] = logf(4);
    values[5] = logf(2);
    values[6] = values[7] = 0;
    params.top_k = 2;
    params.top_p = 0.6f;
    filter_whole_row(values, VOCAB, &params);
    CHECK(values[3] > 1);
    CHECK(values[5] == -INFINITY && values[6] == -INFINITY);
}

TEST(temperature_divides_and_has_a_floor)
{
    cpu_float_mode_set();
    struct sampling_params params = params_default();
    params.temperature = 0.7f;
    fill(1000, 5);
    filter_whole_row(values, VOCAB, &params);
    for (int i = 0; i < VOCAB; i++)
        CHECK(values[i] == before[i] / 0.7f);
    params.temperature = 0.001f; /* taken as 0.01 */
    values[0] = 3;
    values[1] = FLT_MAX;
    filter_whole_row(values, VOCAB, &params);
    CHECK(values[0] == 3 / 0.01f && values[1] == FLT_MAX);
    params.temperature = 0.99e-5f;
    CHECK(rules_are_greedy(&params));
    params.temperature = 1e-5f;
    CHECK(!rules_are_greedy(&params));
}

TEST(the_log_sum_exp_of_what_is_left_is_right)
{
    cpu_float_mode_set();
    for (int round = 0; round < 300; round++) {
        double sum = 0;
        for (int i = 0; i < VOCAB; i++) {
            values[i] = (i * 37 + round) % (1 + round % 5) == 0
                            ? (float)((i * 101 + round * 7) % 97) / 97 * (float)(round % 50) - 30
                            : -INFINITY;
            sum += exp((double)values[i]);
        }
        const double want = log(sum), got = (double)log_sum_exp_of_whole_row(values, VOCAB);
        if (!(fabs(got - want) <= 2e-6 + 1e-7 * fabs(want)))
            test_fail(__FILE__, __LINE__, "round %d: %.9g, want %.9g", round, got, want);
    }
    for (int i = 0; i < VOCAB; i++)
        values[i] = i == 17 ? -3.7f : -INFINITY;
    CHECK(log_sum_exp_of_whole_row(values, VOCAB) == -3.7f); /* the only one: probability 1 */
}

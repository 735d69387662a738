#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/sample/philox.h"
#include "runtime/sample/pick.h"
#include "tests/test.h"
#include "tests/unit/runtime_sample/whole_row.h"

#include <math.h>

static uint64_t random_state = 9;

static float uniform(void) /* [0, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)(random_state >> 40) * 0x1p-24f;
}

static uint32_t bits_of(uint64_t seed, int position, int token)
{
    uint32_t out[4];
    philox4x32(out, (uint32_t[]){(uint32_t)position, (uint32_t)(token / 4), NOISE_PICK, 0},
               (uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)});
    return out[token % 4];
}

/* The definition. */
static int32_t pick_plainly(const float *value, int vocab, uint64_t seed, int position)
{
    int32_t best = -1;
    float most = -INFINITY;
    for (int i = 0; i < vocab; i++) {
        const float score = value[i] + gumbel(bits_of(seed, position, i));
        if (score > most) {
            most = score;
            best = i;
        }
    }
    return best;
}

TEST(noise_follows_its_formula_at_every_scale)
{
    cpu_float_mode_set();
    for (int i = 0; i < (SANITIZED ? 40000 : 400000); i++) {
        const uint32_t any = (uint32_t)(i * 2654435761u);
        const uint32_t bits = i % 3 == 0 ? any : i % 3 == 1 ? any >> i % 32 : ~(any >> i % 32);
        const double u = ((double)bits + 0.5) * 0x1p-32;
        const double want = -log(-log1p(-((double)~bits + 0.5) * 0x1p-32));
        const double got = (double)gumbel(bits);
        if (!(fabs(got - want) <= 4e-7 * fmax(1, fabs(want))))
            test_fail(__FILE__, __LINE__, "gumbel of u = %a is %.9g, want %.9g", u, got, want);
    }
    CHECK(gumbel(0) > -3.2f && gumbel(0) < -3.1f);
    CHECK(gumbel(UINT32_MAX) > 22.8f && gumbel(UINT32_MAX) < 22.9f);
}

TEST(the_quick_search_finds_what_the_plain_one_finds)
{
    enum { MOST = 3001 };
    static float value[MOST];
    static const float scales[] = {0, 0.01f, 1, 5, 30, 1e4f, 1e30f};
    cpu_float_mode_set();
    for (int round = 0; round < (SANITIZED ? 200 : 1000); round++) {
        const int vocab = round % 5 == 0 ? 1 + round % 37 : MOST - round % 7;
        for (int i = 0; i < vocab; i++) {
            value[i] = (uniform() + uniform() + uniform() - 1.5f) * scales[round % 7];
            if (round % 4 == 1 && uniform() < 0.5f)
                value[i] = -INFINITY;
        }
        value[round % vocab] = 0; /* at least one is finite */
        const uint64_t seed = (uint64_t)round << 33 | (uint64_t)round;
        CHECK_EQ(pick_of_whole_row(value, vocab, seed, round),
                 pick_plainly(value, vocab, seed, round));
    }
}

TEST(rows_that_are_no_numbers_give_no_token)
{
    float value[40];
    static const float bad[] = {NAN, INFINITY};
    for (int k = 0; k < 2; k++)
        for (int at = 0; at < 40; at++) {
            for (int i = 0; i < 40; i++)
                value[i] = (float)i;
            value[at] = bad[k];
            CHECK_EQ(pick_of_whole_row(value, 40, 1, 1), -1);
        }
    for (int i = 0; i < 40; i++)
        value[i] = -INFINITY;
    CHECK_EQ(pick_of_whole_row(value, 40, 1, 1), -1);
    value[39] = -5;
    CHECK_EQ(pick_of_whole_row(value, 40, 1, 1), 39);
}

/* Pearson's statistic of `n` picks against softmax(value). */
static double chi_square(const float *value, int vocab, const long *count, long n)
{
    double sum = 0, statistic = 0;
    for (int i = 0; i < vocab; i++)
        sum += exp((double)value[i]);
    for (int i = 0; i < vocab; i++) {
        const double want = (double)n * exp((double)value[i]) / sum;
        statistic += ((double)count[i] - want) * ((double)count[i] - want) / want;
    }
    return statistic;
}

/* 19 degrees of freedom: above 50.8 with a probability of 1e-4. The seeds are fixed, so the test
 * passes always or never. */
TEST(picks_are_distributed_as_softmax_says)
{
    enum { VOCAB = 20, PICKS = SANITIZED ? 20000 : 200000 };
    float value[VOCAB];
    cpu_float_mode_set();
    for (int i = 0; i < VOCAB; i++)
        value[i] = (float)(i * 7 % VOCAB) * -0.3f + 11; /* 300 : 1 from end to end */
    for (uint64_t seed = 0; seed < 3; seed++) {
        long over_positions[VOCAB] = {0}, over_seeds[VOCAB] = {0};
        for (int i = 0; i < PICKS; i++) {
            over_positions[pick_of_whole_row(value, VOCAB, seed, i)]++;
            over_seeds[pick_of_whole_row(value, VOCAB, (uint64_t)i << 32 | seed, 100)]++;
        }
        CHECK(chi_square(value, VOCAB, over_positions, PICKS) < 50.8);
        CHECK(chi_square(value, VOCAB, over_seeds, PICKS) < 50.8);
    }
}

/* Two neighbours in position must not follow each other: 5 x 5 pairs, 24 degrees of freedom,
 * above 58.6 with a probability of 1e-4. */
TEST(picks_at_neighbouring_positions_are_independent)
{
    enum { VOCAB = 5, PICKS = SANITIZED ? 20000 : 200000 };
    const float value[VOCAB] = {0, 1, -1, 0.5f, 0};
    float pair_value[VOCAB * VOCAB];
    long pair[VOCAB * VOCAB] = {0};
    cpu_float_mode_set();
    for (int i = 0; i < PICKS; i++) {
        const int first = pick_of_whole_row(value, VOCAB, 5, 2 * i);
        pair[first * VOCAB + pick_of_whole_row(value, VOCAB, 5, 2 * i + 1)]++;
    }
    for (int i = 0; i < VOCAB * VOCAB; i++)
        pair_value[i] = value[i / VOCAB] + value[i % VOCAB];
    CHECK(chi_square(pair_value, VOCAB * VOCAB, pair, PICKS) < 58.6);
}

/* Sixteen thousand rare tokens together come as often as they must: what the noise far out in its
 * tail is for. */
TEST(a_flat_tail_keeps_its_share)
{
    enum { VOCAB = 1 << 14, PICKS = SANITIZED ? 1000 : 4000 };
    float *value = memory_alloc(VOCAB, sizeof *value);
    cpu_float_mode_set();
    value[77] = 11.0903f; /* log(4 * 2^14): 4 : 1 against all the others */
    int n_tail = 0;
    for (int i = 0; i < PICKS; i++)
        n_tail += pick_of_whole_row(value, VOCAB, 3, i) != 77;
    memory_free(value);
    CHECK(n_tail > PICKS / 5 - 100 && n_tail < PICKS / 5 + 100); /* 4 or more deviations */
}

/* Two logarithms for each of 128k tokens would take longer than a layer. Nearly all of them are
 * for tokens that cannot win, and a few bits show it: with x = ~bits, U is below 1 - x / 2^32, and
 *
 *     g < -log(x / 2^32) <= (leading zeros of x + 1) * log 2
 *
 * So the search begins with the most likely token, skips groups that no noise could lift above
 * it without even asking for their random bits, and takes logarithms only where the bound allows a
 * win. The sum is rounded as the bound's is, and rounding is monotonic: nothing is skipped that
 * could have won, and the result is that of the plain search. */
#include "runtime/sample/pick.h"

#include "kernels/math.h"
#include "runtime/sample/philox.h"
#include "runtime/sample/row.h"

#include <math.h>

enum { GROUP = 4 }; /* words of a Philox block */

static const float log_2 = 0x1.62e43p-1f;
static const float slack = 0x1p-10f; /* over the few ulp of two logarithms */

/* -log(1 - w) for 0 < w <= 1/4, by its series: exact to the last bits also where 1 - w has none. */
static float minus_log_one_minus(float w)
{
    float sum = 1.0f / 13;
    for (int n = 12; n >= 1; n--)
        sum = sum * w + 1.0f / (float)n;
    return sum * w;
}

float gumbel(uint32_t bits)
{
    const float below = ((float)bits + 0.5f) * 0x1p-32f;  /* U */
    const float above = ((float)~bits + 0.5f) * 0x1p-32f; /* 1 - U */
    const float exponential = above <= 0.25f ? minus_log_one_minus(above) : -math_log(below);
    return -math_log(exponential);
}

static float gumbel_bound(uint32_t bits)
{
    const uint32_t x = ~bits;
    const int zeros = x == 0 ? 32 : __builtin_clz(x);
    return (float)(zeros + 1) * log_2 + slack;
}

struct noise {
    uint32_t key[2], position;
};

static void noise_bits(const struct noise *noise, int group, uint32_t bits[GROUP])
{
    const uint32_t counter[4] = {noise->position, (uint32_t)group, NOISE_PICK, 0};
    philox4x32(bits, counter, noise->key);
}

struct best {
    float score;
    int32_t token;
};

static void consider(struct best *best, float value, uint32_t bits, int32_t token)
{
    if (value + gumbel_bound(bits) < best->score)
        return;
    const float score = value + gumbel(bits);
    if (score > best->score || (score == best->score && token < best->token))
        *best = (struct best){score, token};
}

int32_t pick_token(const float *value, int vocab, uint64_t seed, int position)
{
    const struct row_peak peak = row_find_peak(value, vocab);
    if (peak.token < 0)
        return -1;
    const struct noise noise = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                                .position = (uint32_t)position};
    const float most_noise = gumbel_bound(UINT32_MAX);
    uint32_t bits[GROUP];
    noise_bits(&noise, peak.token / GROUP, bits);
    struct best best = {peak.max + gumbel(bits[peak.token % GROUP]), peak.token};

    for (int first = 0; first < vocab; first += GROUP) {
        const int n = vocab - first < GROUP ? vocab - first : GROUP;
        float most = value[first];
        for (int i = 1; i < n; i++)
            most = value[first + i] > most ? value[first + i] : most;
        if (most + most_noise < best.score)
            continue;
        noise_bits(&noise, first / GROUP, bits);
        for (int i = 0; i < n; i++)
            consider(&best, value[first + i], bits[i], first + i);
    }
    return best.token;
}

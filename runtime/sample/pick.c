/* Two logarithms for each of 128k tokens would take longer than a layer. Nearly all of them are
 * for tokens that cannot win, and a few bits show it: with x = ~bits, U is below 1 - x / 2^32, and
 *
 *     g < -log(x / 2^32) <= (leading zeros of x + 1) * log 2
 *
 * So the search begins with the most likely token, skips blocks and groups that no noise could
 * lift above it without even asking for their random bits, and tokens whose bits are too small; it
 * takes logarithms only where the bound allows a win. The sum is rounded as the bound's is, and
 * rounding is monotonic: nothing is skipped that could have won, and the result is that of the
 * plain search.
 */
#include "runtime/sample/pick.h"

#include "kernels/math.h"
#include "runtime/sample/philox.h"

#include <math.h>
#include <string.h>

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

enum { MOST_ZEROS = 32 };

/* Of bits whose complement begins with this many zeros. */
static float bound_of_zeros(int zeros) { return (float)(zeros + 1) * log_2 + slack; }

static float gumbel_bound(uint32_t bits)
{
    const uint32_t x = ~bits;
    return bound_of_zeros(x == 0 ? MOST_ZEROS : __builtin_clz(x));
}

static float larger(float a, float b) { return a > b ? a : b; }

/* Bits below these cannot lift a value up to `most` to the score; they begin with ones, and then
 * have zeros alone. A guess, lowered until it is certain. */
static uint32_t least_bits(float most, float score)
{
    const float guess = (score - most) / log_2;
    int zeros = guess <= 0 ? 0 : guess < MOST_ZEROS ? (int)guess : MOST_ZEROS;
    while (zeros > 0 && !(most + bound_of_zeros(zeros - 1) < score))
        zeros--;
    return zeros == 0 ? 0 : UINT32_MAX << (MOST_ZEROS - zeros);
}

struct search {
    const struct tempered *t;
    uint32_t key[2], position;
    float score; /* of the best so far */
    int32_t token;
    /* Groups that may have a better one, until there are enough for a run of Philox. */
    uint32_t group[2 * PHILOX_RUN];
    int n_groups;
    float most; /* at least the largest value in them */
};

static void consider(struct search *s, float value, uint32_t bits, int32_t token)
{
    if (value + gumbel_bound(bits) < s->score)
        return;
    const float score = value + gumbel(bits);
    if (score > s->score || (score == s->score && token < s->token)) {
        s->score = score;
        s->token = token;
    }
}

/* With the most likely token. */
static void begin(struct search *s)
{
    float buffer[ROW_BLOCK];
    int b = 0, i = 0;
    while (s->t->block_max[b] != s->t->max)
        b++;
    const float *value = tempered_read(s->t, b, buffer);
    while (value[i] != s->t->max)
        i++;
    uint32_t bits[GROUP];
    const uint32_t token = (uint32_t)(b * ROW_BLOCK + i);
    philox4x32(bits, (uint32_t[]){s->position, token / GROUP, NOISE_PICK, 0}, s->key);
    s->score = s->t->max + gumbel(bits[token % GROUP]);
    s->token = (int32_t)token;
}

/* The first PHILOX_RUN of the groups. */
static void look_at_groups(struct search *s)
{
    uint32_t bits[GROUP * PHILOX_RUN];
    const uint32_t least = least_bits(s->most, s->score);
    uint32_t any = 0;
    philox4x32_run(bits, (uint32_t[]){s->position, 0, NOISE_PICK, 0}, s->group, s->key);
    for (int i = 0; i < GROUP * PHILOX_RUN; i++)
        any |= (bits[i] & least) == least;
    for (int i = 0; any && i < GROUP * PHILOX_RUN; i++) {
        if ((bits[i] & least) != least)
            continue;
        float buffer[ROW_BLOCK];
        const int32_t token = (int32_t)s->group[i % PHILOX_RUN] * GROUP + i / PHILOX_RUN;
        const float *value = tempered_read(s->t, token / ROW_BLOCK, buffer);
        consider(s, value[token % ROW_BLOCK], bits[i], token);
    }
}

/* Its groups that may have a better token join those that wait. */
static void look_at_block(struct search *s, int block)
{
    enum { GROUPS = ROW_BLOCK / GROUP };
    _Static_assert((int)GROUPS <= (int)PHILOX_RUN, "one more block fits where no run is full");
    float buffer[ROW_BLOCK], most[GROUPS];
    const float *value = tempered_read(s->t, block, buffer);
    const float most_noise = bound_of_zeros(MOST_ZEROS), score = s->score;
    for (int g = 0; g < GROUPS; g++) {
        const float *of = value + g * GROUP;
        most[g] = larger(larger(of[0], of[1]), larger(of[2], of[3])) + most_noise;
    }
    int n = s->n_groups;
    for (int g = 0; g < GROUPS; g++) {
        s->group[n] = (uint32_t)(block * GROUPS + g);
        n += !(most[g] < score);
    }
    s->n_groups = n;
    s->most = larger(s->most, s->t->block_max[block]);
    if (s->n_groups < PHILOX_RUN)
        return;
    look_at_groups(s);
    s->n_groups -= PHILOX_RUN;
    memcpy(s->group, s->group + PHILOX_RUN, PHILOX_RUN * sizeof *s->group);
    s->most = s->t->block_max[block];
}

int32_t pick_token(const struct tempered *t, uint64_t seed, int position)
{
    if (t->max == -INFINITY)
        return -1;
    struct search s = {.t = t,
                       .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                       .position = (uint32_t)position,
                       .most = -INFINITY};
    const float most_noise = bound_of_zeros(MOST_ZEROS);
    begin(&s);
    for (int b = 0; b < t->row->n_blocks; b++)
        if (!(t->block_max[b] + most_noise < s.score))
            look_at_block(&s, b);
    if (s.n_groups > 0)
        look_at_groups(&s); /* behind the last one are groups that were seen, or 0 */
    return s.token;
}

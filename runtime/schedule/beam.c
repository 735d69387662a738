#include "runtime/schedule/beam.h"

#include "base/check.h"

#include <math.h>

/* Into a list of at most `width`, best first. Candidates come in the order in which equal ones are
 * ranked, so only a higher sum goes before another. */
static int insert(struct beam_step *best, int n, int width, const struct beam_step *step)
{
    if (n == width && !(step->cumulative_logprob > best[width - 1].cumulative_logprob))
        return n;
    int at = n < width ? n++ : width - 1;
    for (; at > 0 && step->cumulative_logprob > best[at - 1].cumulative_logprob; at--)
        best[at] = best[at - 1];
    best[at] = *step;
    return n;
}

struct beam_choice beam_choose(struct beam_step *live, struct beam_step *ended, int width,
                               const struct beam_candidate *candidates, int n_candidates,
                               const double *cumulative, int n_live, const int32_t *eos_id,
                               int n_eos_ids)
{
    check(width > 0 && n_candidates >= 0 && n_live >= 0);
    struct beam_choice choice = {0};
    for (int parent = 0; parent < n_live; parent++) {
        const struct beam_candidate *of_parent = candidates + parent * n_candidates;
        for (int i = 0; i < n_candidates && of_parent[i].logprob > -INFINITY; i++) {
            const struct beam_step step = {
                .parent = parent,
                .candidate = of_parent[i],
                .cumulative_logprob = cumulative[parent] + (double)of_parent[i].logprob,
            };
            if (token_is_among(of_parent[i].token, eos_id, n_eos_ids))
                ended[choice.n_ended++] = step;
            else
                choice.n_live = insert(live, choice.n_live, width, &step);
        }
    }
    return choice;
}

/* ---- the score ---- */

/* x > 0. With x = m * 2^e, 3/4 <= m < 3/2 and s = (m - 1) / (m + 1):
 * log m = 2 (s + s^3 / 3 + s^5 / 5 + …), and |s| <= 1/5, so 12 terms have all bits. */
static double logarithm(double x)
{
    int exponent;
    double m = frexp(x, &exponent), sum = 0;
    if (m < 0.75) {
        m *= 2;
        exponent--;
    }
    const double s = (m - 1) / (m + 1);
    for (int n = 23; n >= 1; n -= 2)
        sum = sum * s * s + 1.0 / n;
    return 2 * s * sum + exponent * 0x1.62e42fefa39efp-1;
}

/* 2^n exp(rest) with |rest| <= log(2) / 2, by the series of exp. */
static double exponential(double x)
{
    const double most = 700, log_2_high = 0x1.62e42feep-1, log_2_low = 0x1.a39ef35793c76p-33;
    x = x > most ? most : x < -most ? -most : x;
    const double n = nearbyint(x / (log_2_high + log_2_low));
    const double rest = (x - n * log_2_high) - n * log_2_low;
    double sum = 1;
    for (int i = 15; i >= 1; i--)
        sum = 1 + sum * rest / i;
    return ldexp(sum, (int)n);
}

double beam_score(double cumulative_logprob, int n_prompt, int n_output, bool ends_with_eos,
                  const struct sampling_params *params)
{
    int length = n_output - (ends_with_eos ? 1 : 0) + (params->penalize_prompt ? n_prompt : 0);
    length = length > 1 ? length : 1;
    if (params->length_penalty == 1) /* exact, and what nearly everybody asks for */
        return cumulative_logprob / length;
    return cumulative_logprob /
           exponential((double)params->length_penalty * logarithm((double)length));
}

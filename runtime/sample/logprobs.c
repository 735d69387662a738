#include "runtime/sample/logprobs.h"

#include "base/check.h"

#include <math.h>

_Static_assert(PARAMS_MAX_LOGPROBS + 1 <= (int)LOGPROBS_MAX_ENTRIES, "both fit");
_Static_assert((int)LOGPROBS_MAX_ENTRIES <= (int)ROW_MAX_BEST, "row_find_best() gives them");

/* Behind the best token i come only lower ones, unless token i + 1 equals it: so only the rank of
 * the last one needs a count. */
static void rank_best(const struct row *row, const int32_t *best, int n, int32_t *rank)
{
    for (int i = n - 1; i >= 0; i--) {
        const float logit = row->logits[best[i]];
        if (i == n - 1)
            rank[i] = row_count_at_least(row, logit);
        else
            rank[i] = logit == row->logits[best[i + 1]] ? rank[i + 1] : i + 1;
    }
}

int logprobs_make(struct token_logprob out[LOGPROBS_MAX_ENTRIES], const struct row *row, float lse,
                  int32_t picked, int k)
{
    check(k >= 0 && k <= PARAMS_MAX_LOGPROBS && picked >= 0 && picked < row->n);
    int32_t best[ROW_MAX_BEST], rank[ROW_MAX_BEST];
    const int n_best = row_find_best(row, k, best);
    rank_best(row, best, n_best, rank);

    const float logit = row->logits[picked];
    out[0] = (struct token_logprob){
        .token = picked, .logprob = logit - lse, .rank = row_count_at_least(row, logit)};
    int n = 1;
    for (int i = 0; i < n_best; i++)
        if (best[i] != picked)
            out[n++] = (struct token_logprob){
                .token = best[i], .logprob = row->logits[best[i]] - lse, .rank = rank[i]};
    return n;
}

int logprobs_make_best(struct token_logprob out[LOGPROBS_MAX_ENTRIES], const struct row *row,
                       float lse, int k)
{
    check(k >= 0 && k <= (int)LOGPROBS_MAX_ENTRIES);
    int32_t best[ROW_MAX_BEST], rank[ROW_MAX_BEST];
    int n = row_find_best(row, k, best);
    while (n > 0 && row->logits[best[n - 1]] == -INFINITY)
        n--;
    rank_best(row, best, n, rank);
    for (int i = 0; i < n; i++)
        out[i] = (struct token_logprob){
            .token = best[i], .logprob = row->logits[best[i]] - lse, .rank = rank[i]};
    return n;
}

#include "runtime/forward/patience.h"

#include "parallel/ranks.h"

/* Others may have a slower machine, one layer more, the vocabulary. */
enum { TIMES_SLOWER = 4 };

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

void patience_learn(struct patience *p, const struct ranks *ranks, int n_tokens, int max_tokens,
                    int64_t took_ns)
{
    if (ranks->pp_stages == 1)
        return;
    /* a row of a small plan takes longest, because all weights are read for it: so this is no less
     * than a row of the largest plan, and the largest plan seen is nearest to it */
    const int64_t row_ns = took_ns / n_tokens + 1;
    if (p->row_ns == 0 || row_ns < p->row_ns)
        p->row_ns = row_ns;
    p->longest_ns = larger(p->longest_ns, took_ns);
    const int64_t plan_ns = larger(p->longest_ns, p->row_ns * max_tokens);
    ranks->world->patience_ns = ranks->tp->patience_ns = TIMES_SLOWER * ranks->pp_stages * plan_ns;
}

/* The loops keep LANES independent maxima, which is what a compiler needs to use vectors without
 * being allowed to reorder. */
#include "runtime/sample/row.h"

#include "base/check.h"

#include <math.h>

enum { LANES = 16 };

static int32_t find_first(const float *row, int n, float value)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        int any = 0;
        for (int j = 0; j < LANES; j++)
            any |= row[i + j] == value;
        if (any)
            break;
    }
    while (i < n && row[i] != value)
        i++;
    return i < n ? i : -1;
}

struct row_peak row_find_peak(const float *row, int n)
{
    float most[LANES];
    int nan[LANES] = {0};
    for (int j = 0; j < LANES; j++)
        most[j] = -INFINITY;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const float x = row[i + j];
            most[j] = x > most[j] ? x : most[j];
            nan[j] |= x != x;
        }
    for (; i < n; i++) {
        most[0] = row[i] > most[0] ? row[i] : most[0];
        nan[0] |= row[i] != row[i];
    }
    for (int j = 1; j < LANES; j++) {
        most[0] = most[j] > most[0] ? most[j] : most[0];
        nan[0] |= nan[j];
    }
    if (nan[0] || isinf(most[0]))
        return (struct row_peak){.max = NAN, .token = -1};
    return (struct row_peak){.max = most[0], .token = find_first(row, n, most[0])};
}

int row_count_at_least(const float *row, int n, float least)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += row[i] >= least;
    return count;
}

/* An insertion into a short list; after the first few thousand logits it hardly ever happens. */
int row_find_best(const float *row, int n, int k, int32_t *token)
{
    check(k >= 0 && k <= ROW_MAX_BEST);
    int n_best = 0;
    if (k == 0)
        return 0;
    for (int i = 0; i < n; i++) {
        if (n_best == k && !(row[i] > row[token[k - 1]]))
            continue;
        int at = n_best < k ? n_best++ : k - 1;
        for (; at > 0 && row[i] > row[token[at - 1]]; at--)
            token[at] = token[at - 1];
        token[at] = i;
    }
    return n_best;
}

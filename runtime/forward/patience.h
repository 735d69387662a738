/* runtime/forward/patience.h: how much longer than the deadline the stages of a pipeline wait.
 *
 * They wait for each other while others compute: for a result, until a send is taken, or for a
 * tensor rank of the same stage that waits for one of these. That is at most all plans in flight
 * through all stages, one of which may have more rows than any plan that this rank has seen. How
 * long that takes nobody knows, but each knows how long its own layers took, for so many rows.
 *
 * Without a pipeline all ranks compute the same at once, and the deadline is all there is.
 */
#pragma once
#include <stdint.h>

struct ranks;

struct patience {
    int64_t longest_ns; /* that a plan took here */
    int64_t row_ns;     /* the least that a plan took for each of its rows; 0: none ran yet */
};

/* A plan of n_tokens rows, of max_tokens at most, took took_ns: sets the patience of the groups. */
void patience_learn(struct patience *patience, const struct ranks *ranks, int n_tokens,
                    int max_tokens, int64_t took_ns);

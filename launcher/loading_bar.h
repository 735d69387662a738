/* launcher/loading_bar.h: on standard error, how far the weights of all replicas are.
 *
 * Nothing before half a second, or with --quiet, or in a library. On a terminal a bar with bytes a
 * second, elsewhere a line for every tenth. Weights that are used where they lie in the files are
 * not loaded (loading_watch.h), so there may be nothing to show.
 */
#pragma once
#include "launcher/progress.h"

struct options;
struct replica;

struct loading_bar {
    struct progress progress;
    bool is_quiet, has_begun;
};

void loading_bar_begin(struct loading_bar *out, const struct options *options);
void loading_bar_show(struct loading_bar *bar, const struct replica *replica, int n_replicas);
void loading_bar_end(struct loading_bar *bar); /* takes it away; it shows no more */

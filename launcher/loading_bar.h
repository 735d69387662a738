/* launcher/loading_bar.h: on standard error, how far the weights of all replicas are.
 *
 * Nothing before half a second, or with --quiet. On a terminal a bar with bytes a second, elsewhere
 * a line for every tenth. Weights that are used where they lie in the files are not loaded
 * (loading_watch.h), so there may be nothing to show.
 */
#pragma once
#include "launcher/progress.h"

struct replica;

struct loading_bar { /* all zero: nothing is drawn */
    struct progress progress;
    bool is_quiet, has_begun;
};

void loading_bar_begin(struct loading_bar *out, bool is_quiet);
void loading_bar_show(struct loading_bar *bar, const struct replica *replica, int n_replicas);
/* Takes it away, until it is shown again. */
void loading_bar_hide(struct loading_bar *bar);

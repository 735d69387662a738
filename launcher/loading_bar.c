#include "launcher/loading_bar.h"

#include "launcher/job/replica.h"

void loading_bar_begin(struct loading_bar *out, bool is_quiet)
{
    *out = (struct loading_bar){.is_quiet = is_quiet};
}

void loading_bar_show(struct loading_bar *bar, const struct replica *replica, int n_replicas)
{
    struct link_loading sum = {0};
    for (int i = 0; i < n_replicas; i++) {
        sum.done += replica[i].loading.done;
        sum.all += replica[i].loading.all;
    }
    if (sum.all == 0)
        return;
    if (!bar->has_begun)
        progress_begin_bytes(&bar->progress, "weights", bar->is_quiet);
    bar->has_begun = true;
    bar->progress.total = sum.all;
    progress_update(&bar->progress, sum.done, 0);
}

void loading_bar_hide(struct loading_bar *bar) { progress_hide(&bar->progress); }

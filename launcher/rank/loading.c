#include "launcher/rank/loading.h"

#include "base/error.h"
#include "parallel/heart.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/link/engine_link.h"

/* Another rank may write meanwhile, and its two numbers need not be of one moment. */
static struct link_loading sum(const struct rank_loading *loading)
{
    const struct watchdog *dog = loading->ranks->watchdog;
    const int n_ranks = watchdog_n_ranks(dog);
    struct link_loading sum = {loading->watch.done, loading->watch.all};
    if (n_ranks > 0)
        sum = (struct link_loading){0};
    for (int rank = 0; rank < n_ranks; rank++) {
        uint64_t done, all;
        watchdog_loading(dog, rank, &done, &all);
        sum.all += all;
        sum.done += done < all ? done : all;
    }
    return sum;
}

/* A gateway that is gone is noticed by who waits for it. */
static void beat(void *context, bool waits)
{
    const struct rank_loading *loading = context;
    const struct link_event event = {.kind = LINK_LOADING, .loading = sum(loading)};
    struct error ignored = {0};
    (void)waits;
    if (event.loading.all > 0)
        link_send_event(loading->link, &event, &ignored);
}

static void tell(void *context, uint64_t done, uint64_t all)
{
    const struct rank_loading *loading = context;
    watchdog_set_loading(loading->ranks->watchdog, done, all);
    heart_look(loading->heart, false);
}

void rank_loading_begin(struct rank_loading *out, const struct ranks *ranks, struct heart *heart,
                        struct link *link)
{
    *out = (struct rank_loading){
        .watch = {.tell = tell, .context = out}, .ranks = ranks, .heart = heart, .link = link};
    if (link != NULL)
        *heart = (struct heart){.beat = beat, .context = out};
}

void rank_loading_end(struct rank_loading *loading)
{
    *loading->heart = (struct heart){0};
    loading->watch.tell = NULL;
}

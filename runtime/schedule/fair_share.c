#include "runtime/schedule/fair_share.h"

#include "base/memory.h"

void fair_share_init(struct fair_share *fair)
{
    *fair = (struct fair_share){.tenant = memory_alloc(FAIR_SLOTS, sizeof *fair->tenant)};
}

void fair_share_release(struct fair_share *fair)
{
    memory_free(fair->tenant);
    *fair = (struct fair_share){0};
}

static struct fair_tenant *find(struct fair_share *fair, uint64_t tenant)
{
    return &fair->tenant[(tenant ^ tenant >> 32) % FAIR_SLOTS];
}

static void set_end(struct fair_share *fair, struct fair_tenant *tenant, uint64_t end)
{
    tenant->end = end;
    if (end > fair->last)
        fair->last = end;
}

int fair_share_cost(int n_prompt, int64_t most_output)
{
    return n_prompt + (int)(most_output < FAIR_GUESS ? most_output : FAIR_GUESS);
}

uint64_t fair_share_queue(struct fair_share *fair, uint64_t tenant, int cost)
{
    struct fair_tenant *t = find(fair, tenant);
    t->start = t->end > fair->clock ? t->end : fair->clock;
    set_end(fair, t, t->start + (uint64_t)cost);
    return t->start;
}

void fair_share_serve(struct fair_share *fair, uint64_t start_tag)
{
    if (start_tag > fair->clock)
        fair->clock = start_tag;
}

void fair_share_settle(struct fair_share *fair, uint64_t tenant, int cost, int used)
{
    struct fair_tenant *t = find(fair, tenant);
    const uint64_t unused = used < cost ? (uint64_t)(cost - used) : 0;
    const uint64_t beyond = used > cost ? (uint64_t)(used - cost) : 0;
    const uint64_t most = t->end - t->start;
    set_end(fair, t, t->end + beyond - (unused < most ? unused : most));
}

void fair_share_rest(struct fair_share *fair) { fair->clock = fair->last; }

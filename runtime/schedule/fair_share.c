#include "runtime/schedule/fair_share.h"

#include "base/memory.h"

void fair_share_init(struct fair_share *fair)
{
    *fair = (struct fair_share){.end = memory_alloc(FAIR_SLOTS, sizeof *fair->end)};
}

void fair_share_release(struct fair_share *fair)
{
    memory_free(fair->end);
    *fair = (struct fair_share){0};
}

static uint64_t *end_of(struct fair_share *fair, uint64_t tenant)
{
    return &fair->end[(tenant ^ tenant >> 32) % FAIR_SLOTS];
}

int fair_share_cost(int n_prompt, int64_t most_output)
{
    return n_prompt + (int)(most_output < FAIR_GUESS ? most_output : FAIR_GUESS);
}

uint64_t fair_share_queue(struct fair_share *fair, uint64_t tenant, int cost)
{
    if (tenant == 0)
        return fair->clock;
    uint64_t *end = end_of(fair, tenant);
    const uint64_t start = *end > fair->clock ? *end : fair->clock;
    *end = start + (uint64_t)cost;
    if (*end > fair->last)
        fair->last = *end;
    return start;
}

void fair_share_serve(struct fair_share *fair, uint64_t start_tag)
{
    if (start_tag > fair->clock)
        fair->clock = start_tag;
}

void fair_share_settle(struct fair_share *fair, uint64_t tenant, int cost, int used)
{
    if (tenant == 0)
        return;
    uint64_t *end = end_of(fair, tenant);
    if (used >= cost)
        *end += (uint64_t)(used - cost);
    else
        *end -= *end < (uint64_t)(cost - used) ? *end : (uint64_t)(cost - used);
    if (*end > fair->last)
        fair->last = *end;
}

void fair_share_rest(struct fair_share *fair) { fair->clock = fair->last; }

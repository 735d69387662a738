#include "runtime/forward/buckets.h"

#include "base/memory.h"
#include "kernels/device.h"

enum { MANY_ROWS = 256 }; /* that many a step starts as fast as it runs; more only to decode */

static int min_of(int a, int b) { return a < b ? a : b; }
static int max_of(int a, int b) { return a > b ? a : b; }

static int size_after(int n_rows)
{
    if (n_rows < 8)
        return n_rows > 0 ? 2 * n_rows : 1;
    return n_rows + (n_rows < 64 ? 8 : n_rows < 128 ? 16 : n_rows < 256 ? 32 : 64);
}

int buckets_most(const struct plan_limits *limits)
{
    return min_of(min_of(limits->max_tokens, limits->max_logits),
                  max_of(MANY_ROWS, limits->max_sequences));
}

void buckets_init(struct buckets *out, struct device *device, const struct plan_limits *limits)
{
    *out = (struct buckets){.device = device};
    if (!device_has_records(device))
        return;
    const int most = buckets_most(limits);
    for (int size = 0; size < most; size = size_after(size))
        out->n++;
    out->bucket = memory_alloc((size_t)out->n, sizeof *out->bucket);
    for (int i = 0, size = 0; i < out->n; i++) {
        size = size_after(size);
        out->bucket[i].n_rows = min_of(size, most);
    }
}

void buckets_release(struct buckets *buckets)
{
    for (int i = 0; i < buckets->n; i++)
        device_record_free(buckets->device, buckets->bucket[i].record);
    memory_free(buckets->bucket);
    *buckets = (struct buckets){0};
}

struct bucket *buckets_find(const struct buckets *buckets, const struct step_plan *plan)
{
    if (plan->n_logits != plan->n_tokens || plan->n_hidden > 0)
        return NULL;
    for (int i = 0; i < buckets->n; i++)
        if (buckets->bucket[i].n_rows >= plan->n_tokens)
            return &buckets->bucket[i];
    return NULL;
}

#include "launcher/batch/seen.h"

#include "base/memory.h"

#include <xxhash.h>

enum { FIRST_SLOTS = 1024 };

static bool is_free(const struct seen_slot *slot) { return slot->high == 0 && slot->low == 0; }

/* Its slot, or the free one where it belongs. */
static struct seen_slot *find(const struct batch_seen *seen, const struct seen_slot *id)
{
    const size_t mask = seen->n_slots - 1;
    size_t i = id->low & mask;
    while (!is_free(&seen->slot[i]) &&
           (seen->slot[i].low != id->low || seen->slot[i].high != id->high))
        i = (i + 1) & mask;
    return &seen->slot[i];
}

static void grow(struct batch_seen *seen)
{
    struct batch_seen larger = {.n_slots = seen->n_slots > 0 ? 2 * seen->n_slots : FIRST_SLOTS,
                                .n = seen->n};
    larger.slot = memory_alloc(larger.n_slots, sizeof *larger.slot);
    for (size_t i = 0; i < seen->n_slots; i++)
        if (!is_free(&seen->slot[i]))
            *find(&larger, &seen->slot[i]) = seen->slot[i];
    memory_free(seen->slot);
    *seen = larger;
}

bool batch_seen_add(struct batch_seen *seen, const char *id, size_t n_bytes)
{
    const XXH128_hash_t hash = XXH3_128bits(id, n_bytes);
    const struct seen_slot key = {.high = hash.high64 | 1, .low = hash.low64}; /* never free */
    if (4 * (seen->n + 1) > 3 * seen->n_slots)
        grow(seen);
    struct seen_slot *slot = find(seen, &key);
    if (!is_free(slot))
        return false;
    *slot = key;
    seen->n++;
    return true;
}

void batch_seen_release(struct batch_seen *seen)
{
    memory_free(seen->slot);
    *seen = (struct batch_seen){0};
}

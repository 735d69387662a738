/* launcher/batch/seen.h: whether a custom_id was there before.
 *
 * 16 bytes of hash each, in a table that is at most three quarters full: 22 to 43 bytes a request,
 * whatever the ids are; half a gigabyte for the longest batch. That two ids have the same hash is
 * less likely than that the memory errs.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch_seen { /* all zero is empty */
    struct seen_slot {
        uint64_t high, low; /* both 0: free */
    } * slot;               /* [n_slots] a power of two */
    size_t n_slots, n;
};

/* False: it was added before. */
bool batch_seen_add(struct batch_seen *seen, const char *id, size_t n_bytes);
void batch_seen_release(struct batch_seen *seen);

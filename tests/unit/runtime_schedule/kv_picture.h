/* tests/unit/runtime_schedule/kv_picture.h: what is in the KV caches.
 *
 * Of each position in each block: which sequence of tokens it belongs to (the hash of all tokens up
 * to it), in which KV group. A plan is run on it as a rank would: copies, then all rows are
 * written, then all rows are read. A plan that would let a row read what is not its own, or is not
 * there yet, or never was, ends the test. */
#pragma once
#include "runtime/step_plan.h"

#include <stdint.h>

struct kv_entry;
struct request;

struct kv_picture {
    struct plan_limits limits;
    struct kv_entry *entry; /* [n_kv_blocks, block_tokens] */
};

void kv_picture_init(struct kv_picture *picture, const struct plan_limits *limits);
void kv_picture_release(struct kv_picture *picture);

/* sequence[s] is whose tokens the sequence s of the plan has; key[s] the number of its cache key.
 */
void kv_picture_run(struct kv_picture *picture, const struct step_plan *plan,
                    const struct step_view *view, struct request *const *sequence,
                    const uint64_t *key);

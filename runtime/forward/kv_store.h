/* runtime/forward/kv_store.h: the memory behind the KV blocks, on this rank.
 *
 * schedule/ hands out block numbers and never sees this; a block number means the same place in
 * every layer and on every rank. A rank stores the KV heads that its query heads read. Layout of a
 * layer: kernels/ops.h, struct kv_cache.
 */
#pragma once
#include "kernels/ops.h"

#include <stdbool.h>
#include <stddef.h>

struct device;
struct error;
struct model;

struct kv_store {
    struct device *device;
    struct kv_cache *layer; /* [n_layers] */
    void *memory;
    size_t n_bytes;
};

/* One block: K and V of block_tokens positions in every layer, for this rank's KV heads. */
size_t kv_store_block_bytes(const struct model *model, int block_tokens, enum dtype dtype);

/* ERROR_SYSTEM when the memory cannot be had: says how much for how many tokens. */
bool kv_store_init(struct kv_store *out, const struct model *model, struct device *device,
                   int n_blocks, int block_tokens, enum dtype dtype, struct error *err);
void kv_store_release(struct kv_store *store); /* all zero is fine */

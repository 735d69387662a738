/* runtime/forward/kv_store.h: the memory behind the KV blocks, on this rank.
 *
 * schedule/ hands out block numbers and never sees this. A block has a place for each layer of one
 * KV group (kv_groups.h); its number means the same memory on every rank, whichever group has it.
 * A rank stores the KV heads that its query heads read. Layout of a place: kernels/ops.h, struct
 * kv_cache.
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
    struct kv_cache *place; /* [n_places] layers of a block */
    int n_places;
    void *memory;
    size_t n_bytes;
};

/* One block: K and V of block_tokens positions in n_places layers, for this rank's KV heads. */
size_t kv_store_block_bytes(const struct model *model, int n_places, int block_tokens,
                            enum dtype dtype);

/* ERROR_SYSTEM when the memory cannot be had: says how much for how many blocks. */
bool kv_store_init(struct kv_store *out, const struct model *model, struct device *device,
                   int n_places, int n_blocks, int block_tokens, enum dtype dtype,
                   struct error *err);
/* Gives the memory back; then only waking and releasing are left to do. */
void kv_store_sleep(struct kv_store *store);
/* As large as it was, and empty. ERROR_SYSTEM as above. */
bool kv_store_wake(struct kv_store *store, const struct model *model, int n_blocks,
                   struct error *err);
void kv_store_release(struct kv_store *store); /* all zero is fine */

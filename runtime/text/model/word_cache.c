#include "runtime/text/model/word_cache.h"

#include "base/memory.h"

#include <string.h>
#include <xxhash.h>

_Static_assert(sizeof(struct word_slot) == 64, "a look touches one cache line");

void word_cache_init(struct word_cache *cache)
{
    cache->slots = memory_alloc(WORD_CACHE_SLOTS, sizeof *cache->slots);
}

void word_cache_release(struct word_cache *cache)
{
    memory_free(cache->slots);
    cache->slots = NULL;
}

static struct word_key key_of(const char *word, size_t n_bytes)
{
    struct word_key key = {.n_bytes = (unsigned char)n_bytes};
    memcpy(key.word, word, n_bytes);
    return key;
}

struct word_slot *word_cache_find(const struct word_cache *cache, const char *word, size_t n_bytes,
                                  bool *hit)
{
    *hit = false;
    if (n_bytes > WORD_CACHE_MAX_BYTES)
        return NULL;
    const struct word_key key = key_of(word, n_bytes);
    const uint64_t hash = XXH3_64bits(&key, sizeof key);
    struct word_slot *slot = &cache->slots[hash & (WORD_CACHE_SLOTS - 1)];
    *hit = slot->n_ids > 0 && memcmp(&slot->key, &key, sizeof key) == 0;
    return slot;
}

void word_cache_keep(struct word_slot *slot, const char *word, size_t n_bytes, const int32_t *ids,
                     size_t n_ids)
{
    if (n_ids == 0 || n_ids > WORD_CACHE_MAX_IDS)
        return;
    slot->key = key_of(word, n_bytes);
    memcpy(slot->ids, ids, n_ids * sizeof *ids);
    slot->n_ids = (uint32_t)n_ids;
}

/* runtime/text/model/word_cache.h: the ids of words met lately, 1 MB of them.
 *
 * Text repeats its words, and a look here costs a tenth of the merges. A word has one place only:
 * the last one that came there stays, so nothing grows and nothing is searched.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORD_CACHE_SLOTS = 1 << 14,
    WORD_CACHE_MAX_BYTES = 31, /* longer words are rare, and not kept */
    WORD_CACHE_MAX_IDS = 7,
};

struct word_slot { /* one cache line; n_ids 0: free */
    struct word_key {
        char word[WORD_CACHE_MAX_BYTES]; /* rest zero */
        unsigned char n_bytes;
    } key;
    int32_t ids[WORD_CACHE_MAX_IDS];
    uint32_t n_ids;
};

struct word_cache {
    struct word_slot *slots;
};

void word_cache_init(struct word_cache *cache);
void word_cache_release(struct word_cache *cache);

/* The place of a word, NULL when it is too long. *hit: its ids are there; else word_cache_keep()
 * may put them there. */
struct word_slot *word_cache_find(const struct word_cache *cache, const char *word, size_t n_bytes,
                                  bool *hit);
void word_cache_keep(struct word_slot *slot, const char *word, size_t n_bytes, const int32_t *ids,
                     size_t n_ids);

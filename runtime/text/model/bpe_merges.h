/* runtime/text/model/bpe_merges.h: the merges of a byte-pair model as a table. Only bpe*.c asks. */
#pragma once
#include "runtime/text/model/bpe.h"

enum { BPE_ID_BITS = 20, BPE_RANK_BITS = 24 }; /* of the word of a table entry */

static const char bpe_mark[] = "\xE2\x96\x81"; /* U+2581 */
enum { BPE_MARK_BYTES = sizeof bpe_mark - 1 };

static const uint64_t bpe_no_pair = UINT64_MAX; /* no entry: ids stay below 2^20 - 1 */

static inline size_t bpe_pair_place(const struct bpe *bpe, uint64_t pair)
{
    return (size_t)((pair * 0x9E3779B97F4A7C15) >> 32) & (bpe->n_pairs - 1);
}

/* Place of the merge of two neighbours in the file; -1 when they have none. */
static inline int32_t bpe_merge_rank(const struct bpe *bpe, int32_t left, int32_t right)
{
    const uint64_t pair = (uint64_t)left << BPE_ID_BITS | (uint64_t)right;
    for (size_t i = bpe_pair_place(bpe, pair);; i = (i + 1) & (bpe->n_pairs - 1)) {
        const uint64_t entry = bpe->pairs[i];
        if (entry == bpe_no_pair)
            return -1;
        if (entry >> BPE_RANK_BITS == pair)
            return (int32_t)(entry & ((1 << BPE_RANK_BITS) - 1));
    }
}

/* The first place where a mark stands behind another character; n_bytes: nowhere. */
size_t bpe_find_mark(const char *text, size_t n_bytes);

/* Reads the array of merges, "left right" or ["left", "right"] each, for a bpe that has its
 * vocabulary and prefix. */
bool bpe_merges_parse(struct bpe *bpe, const char *file, const struct json_part *part,
                      struct error *err);

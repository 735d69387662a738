/* The symbols of a word are a linked list in an array, the possible merges a heap. A merge changes
 * only two neighbourhoods, so it adds at most two entries; entries that no longer fit are left in
 * the heap and found out when they come up. */
#include "runtime/text/model/bpe.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/model/bpe_merges.h"

#include <string.h>

static void heap_push(struct bpe_work *work, uint64_t entry)
{
    if (work->n_heap == work->heap_capacity) {
        work->heap_capacity = work->heap_capacity ? work->heap_capacity * 2 : 64;
        work->heap = memory_resize(work->heap, work->heap_capacity, sizeof *work->heap);
    }
    size_t at = work->n_heap++;
    for (; at > 0; at = (at - 1) / 4) {
        const uint64_t parent = work->heap[(at - 1) / 4];
        if (parent <= entry)
            break;
        work->heap[at] = parent;
    }
    work->heap[at] = entry;
}

/* Four children a node: half the depth of a binary heap, and the children share a cache line. */
static uint64_t heap_pop(struct bpe_work *work)
{
    uint64_t *heap = work->heap;
    const uint64_t top = heap[0], moved = heap[--work->n_heap];
    size_t at = 0;
    for (;;) {
        const size_t first = 4 * at + 1;
        if (first >= work->n_heap)
            break;
        const size_t end = first + 4 < work->n_heap ? first + 4 : work->n_heap;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++)
            if (heap[child] < heap[least])
                least = child;
        if (heap[least] >= moved)
            break;
        heap[at] = heap[least];
        at = least;
    }
    heap[at] = moved;
    return top;
}

static void symbol_add(struct bpe_work *work, int32_t id)
{
    if (work->n_symbols == work->symbols_capacity) {
        work->symbols_capacity = work->symbols_capacity ? work->symbols_capacity * 2 : 64;
        work->symbols = memory_resize(work->symbols, work->symbols_capacity, sizeof *work->symbols);
    }
    const int32_t place = (int32_t)work->n_symbols++;
    work->symbols[place] = (struct bpe_symbol){id, place - 1, place + 1};
}

/* Id of one character of a word, with the affixes that its place asks for. */
static int32_t character_id(const struct bpe *bpe, const char *text, size_t n_bytes, uint32_t c,
                            bool first, bool last)
{
    const size_t n_prefix = first ? 0 : strlen(bpe->prefix);
    const size_t n_suffix = last ? strlen(bpe->suffix) : 0;
    if (n_prefix + n_suffix == 0)
        return c < BPE_DIRECT_CHARS ? bpe->direct[c]
                                    : vocabulary_find(bpe->vocabulary, text, n_bytes);
    char whole[2 * BPE_MAX_AFFIX_BYTES + 4];
    memcpy(whole, bpe->prefix, n_prefix);
    memcpy(whole + n_prefix, text, n_bytes);
    memcpy(whole + n_prefix + n_bytes, bpe->suffix, n_suffix);
    return vocabulary_find(bpe->vocabulary, whole, n_prefix + n_bytes + n_suffix);
}

static bool add_as_bytes(const struct bpe *bpe, struct bpe_work *work, const char *text,
                         size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (bpe->bytes[(unsigned char)text[i]] < 0)
            return false;
    for (size_t i = 0; i < n_bytes; i++)
        symbol_add(work, bpe->bytes[(unsigned char)text[i]]);
    return true;
}

/* A pending unknown is written when the next character with an id comes, also behind bytes that
 * were written since: the reference does so. */
static void add_character(const struct bpe *bpe, struct bpe_work *work)
{
    const size_t begin = work->at;
    const uint32_t c = utf8_read(work->word, &work->at);
    const char *text = work->word + begin;
    const size_t n_bytes = work->at - begin;
    const int32_t id = character_id(bpe, text, n_bytes, c, begin == 0, work->at == work->n_bytes);
    if (id >= 0) {
        if (work->pending)
            symbol_add(work, bpe->unknown);
        work->pending = false;
        symbol_add(work, id);
    } else if (bpe->byte_fallback && add_as_bytes(bpe, work, text, n_bytes)) {
        return;
    } else if (bpe->unknown >= 0) {
        if (work->pending && !bpe->fuse_unknown)
            symbol_add(work, bpe->unknown);
        work->pending = true;
    }
}

static void end_characters(const struct bpe *bpe, struct bpe_work *work)
{
    if (work->pending)
        symbol_add(work, bpe->unknown);
    if (work->n_symbols > 0)
        work->symbols[work->n_symbols - 1].next = -1;
}

static void offer(const struct bpe *bpe, struct bpe_work *work, int32_t left)
{
    const struct bpe_symbol *symbol = &work->symbols[left];
    const int32_t rank = bpe_merge_rank(bpe, symbol->id, work->symbols[symbol->next].id);
    if (rank >= 0)
        heap_push(work, (uint64_t)rank << 32 | (uint32_t)left);
}

static void merge_next(const struct bpe *bpe, struct bpe_work *work)
{
    struct bpe_symbol *symbols = work->symbols;
    const uint64_t entry = heap_pop(work);
    const int32_t left = (int32_t)(uint32_t)entry;
    const int32_t result = bpe->results[entry >> 32];
    const int32_t right = symbols[left].next;
    if (symbols[left].id < 0 || right < 0)
        return;
    /* What counts is what the pair would become now, not by which merge: as the reference. */
    const int32_t rank = bpe_merge_rank(bpe, symbols[left].id, symbols[right].id);
    if (rank < 0 || bpe->results[rank] != result)
        return;
    symbols[left].id = result;
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next >= 0) {
        symbols[symbols[left].next].prev = left;
        offer(bpe, work, left);
    }
    if (symbols[left].prev >= 0)
        offer(bpe, work, symbols[left].prev);
}

size_t bpe_find_mark(const char *text, size_t n_bytes)
{
    for (size_t at = 1; at < n_bytes; at += BPE_MARK_BYTES) {
        const char *found = memmem(text + at, n_bytes - at, bpe_mark, BPE_MARK_BYTES);
        if (found == NULL)
            break;
        at = (size_t)(found - text);
        if (at < BPE_MARK_BYTES || memcmp(found - BPE_MARK_BYTES, bpe_mark, BPE_MARK_BYTES) != 0)
            return at;
    }
    return n_bytes;
}

size_t bpe_part(const struct bpe *bpe, const char *word, size_t n_bytes)
{
    return bpe->parts_at_mark ? bpe_find_mark(word, n_bytes) : n_bytes;
}

void bpe_begin(const struct bpe *bpe, struct bpe_work *work, const char *word, size_t n_bytes)
{
    work->word = word;
    work->n_bytes = n_bytes;
    work->at = work->n_symbols = work->n_heap = 0;
    work->pending = false;
    work->phase = BPE_CHARACTERS;
    if (!bpe->ignore_merges)
        return;
    const int32_t whole = vocabulary_find(bpe->vocabulary, word, n_bytes);
    if (whole < 0)
        return;
    symbol_add(work, whole);
    work->phase = BPE_IDS;
}

/* Each phase goes on while there are steps left, and is true when it is done. */

static bool add_characters(const struct bpe *bpe, struct bpe_work *work, size_t *n_steps)
{
    for (; *n_steps > 0 && work->at < work->n_bytes; --*n_steps)
        add_character(bpe, work);
    if (work->at < work->n_bytes)
        return false;
    end_characters(bpe, work);
    work->at = 0;
    return true;
}

static bool offer_pairs(const struct bpe *bpe, struct bpe_work *work, size_t *n_steps)
{
    for (; work->at + 1 < work->n_symbols && *n_steps > 0; --*n_steps)
        offer(bpe, work, (int32_t)work->at++);
    return work->at + 1 >= work->n_symbols;
}

static bool merge_all(const struct bpe *bpe, struct bpe_work *work, size_t *n_steps)
{
    for (; work->n_heap > 0 && *n_steps > 0; --*n_steps)
        merge_next(bpe, work);
    work->at = 0;
    return work->n_heap == 0;
}

static bool add_ids(struct bpe_work *work, size_t *n_steps, struct ids *out)
{
    for (; *n_steps > 0 && work->at < work->n_symbols; work->at++, --*n_steps)
        if (work->symbols[work->at].id >= 0)
            ids_add(out, work->symbols[work->at].id);
    return work->at == work->n_symbols;
}

bool bpe_step(const struct bpe *bpe, struct bpe_work *work, size_t *n_steps, struct ids *out)
{
    if (work->phase == BPE_CHARACTERS && add_characters(bpe, work, n_steps))
        work->phase = BPE_PAIRS;
    if (work->phase == BPE_PAIRS && offer_pairs(bpe, work, n_steps))
        work->phase = BPE_MERGES;
    if (work->phase == BPE_MERGES && merge_all(bpe, work, n_steps))
        work->phase = BPE_IDS;
    return work->phase == BPE_IDS && add_ids(work, n_steps, out);
}

void bpe_work_release(struct bpe_work *work)
{
    memory_free(work->symbols);
    memory_free(work->heap);
    *work = (struct bpe_work){0};
}

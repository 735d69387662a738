/* runtime/text/model/bpe.h: byte-pair encoding: one word to ids.
 *
 * A word starts as its characters. Of all neighbours that have a merge, the pair whose merge comes
 * first in the file (the leftmost, if equal) becomes one symbol, until no pair has a merge.
 * O(n log n) in the length of the word.
 *
 * Source: Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1, with the merges by priority.
 */
#pragma once
#include "runtime/text/file/json_skim.h"
#include "runtime/text/ids.h"
#include "runtime/text/model/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    BPE_MAX_MERGES = 1 << 20, /* twice the most in use (Gemma 3: 514,906) */
    BPE_MAX_AFFIX_BYTES = 64, /* "##" and "</w>" in use */
    BPE_DIRECT_CHARS = 0x180, /* these have their ids in an array: the byte alphabet */
};

struct bpe {
    const struct vocabulary *vocabulary; /* borrowed */
    /* Open table of merges in one word each: left id, right id (20 bits each), rank (24 bits). */
    uint64_t *pairs;
    size_t n_pairs;   /* a power of two, at most two thirds of them used */
    int32_t *results; /* [n_merges], by rank */
    size_t n_merges;
    int32_t direct[BPE_DIRECT_CHARS]; /* id of a character alone, -1: none */
    int32_t bytes[256];               /* id of "<0x41>", -1: none; only for byte_fallback */
    int32_t unknown;    /* id that stands for a character without one; -1: leave out */
    bool fuse_unknown;  /* one for a run of them */
    bool byte_fallback; /* a character without an id becomes its bytes */
    bool ignore_merges; /* a word in the vocabulary is its own token */
    bool parts_at_mark; /* no merge joins U+2581 with another character before it */
    char prefix[BPE_MAX_AFFIX_BYTES]; /* of every symbol of a word but the first; "" is none */
    char suffix[BPE_MAX_AFFIX_BYTES]; /* of the last */
};

/* From "model" of the file: `model` without its large values, `merges` where those of "merges"
 * are. ERROR_INPUT when a merge joins or gives a token that is not in the vocabulary. */
bool bpe_parse(struct bpe *bpe, const struct vocabulary *vocabulary, const json_t *model,
               const char *file, const struct json_part *merges, struct error *err);
void bpe_release(struct bpe *bpe);

struct bpe_symbol {
    int32_t id;         /* -1: merged into the one before */
    int32_t prev, next; /* -1: none */
};

/* Scratch memory of one word at a time, and how far it is. */
struct bpe_work { /* all zero is empty */
    enum bpe_phase {
        BPE_CHARACTERS, /* of the word become symbols */
        BPE_PAIRS,      /* of neighbours that have a merge go into the heap */
        BPE_MERGES,     /* come out of it, and more go in */
        BPE_IDS,        /* of the symbols that are left are written */
    } phase;
    const char *word;   /* [n_bytes] borrowed */
    size_t n_bytes, at; /* at: what is next of characters, or of symbols */
    bool pending;       /* an unknown is not written yet */
    struct bpe_symbol *symbols;
    size_t n_symbols, symbols_capacity;
    uint64_t *heap; /* rank << 32 | place of the left symbol, smallest first */
    size_t n_heap, heap_capacity;
};
void bpe_work_release(struct bpe_work *work);

/* Bytes of the first part of a word: its ids are those of its parts, one after the other. So where
 * all of a text is one word (sentencepiece writes U+2581 for a space), the words in it are parts.
 */
size_t bpe_part(const struct bpe *bpe, const char *word, size_t n_bytes);

/* A word, which is UTF-8 and stays where it is until bpe_step() has said that it is done: true.
 * Each of n_steps, which are counted down, is a character, a look at a pair, or a merge: at most
 * a microsecond or so, whatever the length of the word. Then its ids are in `out`, appended. */
void bpe_begin(const struct bpe *bpe, struct bpe_work *work, const char *word, size_t n_bytes);
bool bpe_step(const struct bpe *bpe, struct bpe_work *work, size_t *n_steps, struct ids *out);

/* runtime/text/normalize/charsmap.h: the map of characters that a sentencepiece model brings along.
 *
 * "precompiled_charsmap" is base64 of: the bytes of a trie (32 bits), the trie, and texts that end
 * with NUL. The trie maps a sequence of bytes to the place of its replacement.
 * The reference asks it in its own way, and so do we: for a whole cluster of less than 6 bytes, and
 * then for each character; and what it finds is the shortest prefix that the map has.
 *
 * Source: the format of Darts-clone (S. Yata), as sentencepiece's normalizer stores it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;
struct error;

struct charsmap { /* all zero maps nothing */
    uint32_t *units;
    size_t n_units;
    char *texts; /* UTF-8, each ends with NUL */
    size_t n_texts;
    int32_t ascii[128]; /* place of the replacement of a character alone; -1: none */
};

/* ERROR_INPUT when it is no base64, shorter than it says, or its texts are not UTF-8. A trie that
 * points outside of itself is not found out here: such a path has no end. */
bool charsmap_parse(struct charsmap *map, const char *base64, struct error *err);
void charsmap_release(struct charsmap *map);

/* Appends the mapped text; *changed false, and nothing is appended: there is nothing to map.
 * *n_first: as in normalizer_run(). False: over the maximum of `out`. */
bool charsmap_run(const struct charsmap *map, const char *text, size_t n_bytes, size_t *n_first,
                  struct bytes *out, bool *changed);

/* runtime/text/normalize/grapheme.h: where a character as a reader sees it ends.
 *
 * Extended grapheme clusters, as the reference library cuts them for the map of sentencepiece: with
 * the marks of Unicode 17 and the rule for conjuncts of Indic scripts (GB9c).
 *
 * Source: Unicode Standard Annex 29, table 1c. The classes of older characters are utf8proc's.
 */
#pragma once
#include <stddef.h>

/* Behind the cluster that begins at text[at]; at < n_bytes. Well-formed UTF-8. */
size_t grapheme_end(const char *text, size_t n_bytes, size_t at);

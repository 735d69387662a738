/* runtime/text/split/pattern.h: the patterns of a tokenizer: a regular expression, or a text as it
 * is.
 *
 * Files are written for Oniguruma with its Ruby syntax, and we have PCRE2. What both read in the
 * same way is taken as it is, what has another spelling is translated, and anything else is
 * ERROR_UNSUPPORTED: a pattern that means something slightly different gives wrong ids in silence.
 *
 * Exact for every character: \w, \d, \s, \p{L} and the other categories, \p{Han}, [:punct:]. Not
 * for the newest ones (after Unicode 14): other scripts, [:alpha:], [:alnum:], [:lower:].
 *
 * Source: Oniguruma doc/RE (6.9), pcre2pattern(3).
 */
#pragma once
#include "runtime/text/split/span.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct error;
struct pattern;
struct pattern_work;

enum { PATTERN_MAX_BYTES = 64 << 10 }; /* the longest in use has 8 KB */

/* From {"Regex": "…"} or {"String": "…"}. An empty text stands at every place, as a pattern does.
 */
bool pattern_parse(struct pattern **out, const json_t *value, struct error *err);
bool pattern_create(struct pattern **out, const char *regex, struct error *err);
struct pattern *pattern_of_text(const char *text); /* which is not empty */
void pattern_destroy(struct pattern *p);           /* NULL is fine */
/* Then texts to search go through unicode_settle() first. */
bool pattern_is_regex(const struct pattern *p);

/* Scratch memory of one thread, for all patterns. */
struct pattern_work *pattern_work_create(void);
void pattern_work_destroy(struct pattern_work *work);
/* A search may take so many steps, and all of them together; give the length of the whole text. */
void pattern_work_limit(struct pattern_work *work, size_t n_bytes);

/* Where a search for one match after the other stands; all zero is the begin of the text. */
struct pattern_scan {
    size_t from, done;
    bool after_match;
};
/* The next match. An empty one right behind a match does not count. `text` is well-formed.
 * ERROR_INPUT when it takes too many steps. */
bool pattern_next(const struct pattern *p, struct pattern_work *work, const char *text,
                  size_t n_bytes, struct pattern_scan *scan, struct span *match, bool *found,
                  struct error *err);

/* The text of a {"String": "…"}; NULL for a regular expression. */
const char *pattern_text(const struct pattern *p);

/* Oniguruma's syntax to that of PCRE2. For tests; pattern_create() does it. */
bool pattern_translate(const char *regex, struct bytes *out, struct error *err);

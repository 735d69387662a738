/* runtime/text/normalize/replace.h: one text for another, wherever it or a pattern stands. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct error;
struct pattern;
struct pattern_work;

/* Appends the text with each `from`, which is not empty, replaced by `to`. False: over the maximum
 * of `out`. */
bool replace_all(const char *text, size_t n_bytes, const char *from, const char *to,
                 struct bytes *out);

struct replacement { /* the settings of a Replace stage; all zero replaces nothing */
    struct pattern *pattern;
    char *to;
    size_t n_to;
};

/* {"pattern": {"String": from} or {"Regex": …}, "content": to}. Release also after a failure. */
bool replacement_parse(struct replacement *r, const json_t *stage, struct error *err);
void replacement_release(struct replacement *r);

/* Appends the text with all matches replaced; an empty text has none. `settled` is scratch memory,
 * `work` is for the pattern. *n_first: as in normalizer_run(). ERROR_INPUT when a pattern takes too
 * many steps or `out` has reached its maximum. */
bool replacement_run(const struct replacement *r, struct pattern_work *work, struct bytes *settled,
                     const char *text, size_t n_bytes, size_t *n_first, struct bytes *out,
                     struct error *err);

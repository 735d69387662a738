/* runtime/text/file/json_skim.h: takes the two large values out of a tokenizer.json.
 *
 * "vocab" and "merges" of "model" are nearly the whole file. They are found and left where they
 * are, for json_cursor; what remains is small, and goes to base/json.h as a text of its own, in
 * which an empty value stands for a large one and lines keep their numbers.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

struct error;

struct json_part { /* of the text given; n_bytes is 0 when the key was not there */
    size_t begin, n_bytes;
    size_t n_items; /* at most so many: one more than the commas of its outermost level */
};

struct json_skim {
    struct json_part vocab, merges;
    struct bytes rest; /* release it */
};

bool json_skim(struct json_skim *out, const char *text, size_t n_bytes, struct error *err);

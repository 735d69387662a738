/* proto/json_prompts.h: the forms of a prompt in requests: a text, texts, token ids, lists of them.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;

enum { JSON_MAX_PROMPTS = 2048 }; /* in one request */

struct json_prompt {  /* a text, or ids */
    const char *text; /* borrowed from the JSON; NULL: ids */
    size_t n_bytes;
    const int64_t *id;
    size_t n_ids;
};
struct json_prompts {
    const struct json_prompt *prompt; /* [n] in the arena */
    size_t n;
    const char *key; /* the field that they are of */
};

/* "text", ["text", …], [1, 2], [[1, 2], …]. ERROR_INPUT with `key`: absent, empty, mixed,
 * too many. `key` is a literal: it is kept. */
bool json_prompts_read(struct json_prompts *out, const json_t *object, const char *key,
                       struct arena *arena, struct error *err);
/* False, and an error, for more than JSON_MAX_PROMPTS. */
bool json_prompts_check_count(size_t n, const char *key, struct error *err);

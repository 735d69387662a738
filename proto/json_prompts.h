/* proto/json_prompts.h: the forms of a prompt in requests: a text, texts, token ids, lists of them.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;

struct json_prompt {  /* a text, or ids */
    const char *text; /* borrowed from the JSON; NULL: ids */
    size_t n_bytes;
    const int64_t *id;
    size_t n_ids;
};
struct json_prompts {
    const struct json_prompt *prompt; /* [n] in the arena */
    size_t n;
};

/* "text", ["text", …], [1, 2], [[1, 2], …]. ERROR_INPUT with `key`: absent, empty, mixed. */
bool json_prompts_read(struct json_prompts *out, const json_t *object, const char *key,
                       struct arena *arena, struct error *err);

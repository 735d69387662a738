/* runtime/gateway/token_rows.h: log-probabilities of the gateway as those of proto/, with the
 * text of each token. Room is made once for all rows; it is in the arena. */
#pragma once
#include "proto/json_logprobs.h"
#include "runtime/gateway/output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct tokenizer;

struct token_rows { /* all zero but for the first three is empty */
    struct arena *arena;
    const struct tokenizer *tokenizer;
    bool as_ids; /* "token_id:5" for the text of a token */
    struct json_logprob *entry;
    int32_t *end;
    int n_rows, row_capacity, n_entries, entry_capacity;
    bool has_first; /* of the prompt whose rows come next */
    int32_t first;
};

/* A row of a token that has no log-probability: the first one of a prompt. */
void token_rows_add_first(struct token_rows *rows, int32_t token);
/* Rows begin … end - 1 behind those that are there. */
void token_rows_add(struct token_rows *rows, const struct logprob_rows *from, size_t begin,
                    size_t end);
/* What proto/ writes; lives as long as the arena, and until the next add. */
struct json_logprob_rows token_rows_view(const struct token_rows *rows);
/* The same of rows begin … end - 1 alone. */
struct json_logprob_rows token_rows_make(struct arena *arena, const struct tokenizer *tokenizer,
                                         const struct logprob_rows *from, size_t begin, size_t end);
/* The text of one token, in the arena. */
struct json_text token_text(struct arena *arena, const struct tokenizer *tokenizer, int32_t token,
                            bool as_id);
/* The text of all of them, likewise, special tokens too. */
struct json_text tokens_text(struct arena *arena, const struct tokenizer *tokenizer,
                             const struct ids *ids);

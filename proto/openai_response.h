/* proto/openai_response.h: answers as OpenAI's clients read them, whole and in chunks.
 *
 * Fields, their order and what is null are vLLM's. Nothing here allocates but the buffer that is
 * written to: a chunk costs a few microseconds.
 * Source: OpenAI API reference; vLLM, entrypoints/openai/protocol.py.
 */
#pragma once
#include "proto/json_logprobs.h"
#include "proto/json_write.h"

#include <stdbool.h>
#include <stdint.h>

enum openai_kind { OPENAI_CHAT, OPENAI_COMPLETION };

struct openai_head { /* of an answer, and of each of its chunks */
    enum openai_kind kind;
    const char *id, *model;
    int64_t created_s; /* since 1970 */
};

struct openai_usage {
    int64_t prompt_tokens, completion_tokens;
    int64_t cached_tokens; /* OPENAI_NOT_SAID: left out */
};
enum { OPENAI_NOT_SAID = -1 };

struct openai_ids {
    const int32_t *id;
    int n;
};

/* A choice, or what is new of it. */
struct openai_choice {
    int index;
    const char *role;      /* of a chat; NULL in all chunks but the first */
    struct json_text echo; /* comes before the text */
    struct json_text text;
    const char *finish_reason; /* NULL: it goes on */
    const char *stop_text;     /* stop_reason: a text, */
    int32_t stop_token;        /* or an id; -1 and no text: null */
    bool has_logprobs, has_token_ids, has_prompt_ids, has_prompt_text, has_prompt_logprobs;
    struct json_logprob_rows logprobs;
    int n_top;
    int64_t text_offset; /* of the first row: characters of all rows before this chunk */
    struct openai_ids token_ids, prompt_ids;
    struct json_text prompt_text;             /* of a chat */
    struct json_logprob_rows prompt_logprobs; /* whole answers only */
};

/* A whole answer is begin, choices, end: one after the other, so that few of them are in memory. */
void openai_whole_begin(struct bytes *out, const struct openai_head *head);
void openai_whole_choice(struct bytes *out, const struct openai_head *head,
                         const struct openai_choice *choice, bool is_first);
/* `last`: what a chat has of its prompt beside its choices is taken from it. */
void openai_whole_end(struct bytes *out, const struct openai_head *head,
                      const struct openai_usage *usage, const struct openai_choice *last);

/* The beginning of every chunk of an answer, to be written once: "data: {…,"choices":[". */
void openai_chunk_begin(struct bytes *out, const struct openai_head *head);
/* One event with its two newlines. `usage` NULL: none. */
void openai_chunk_write(struct bytes *out, const struct bytes *begin, enum openai_kind kind,
                        const struct openai_choice *choice, const struct openai_usage *usage);
void openai_chunk_write_usage(struct bytes *out, const struct bytes *begin,
                              const struct openai_usage *usage);
/* What ends every stream. */
void openai_chunk_write_done(struct bytes *out);

/* {"prompt_tokens",…}: of other answers too. */
void openai_write_usage(struct bytes *out, const struct openai_usage *usage);

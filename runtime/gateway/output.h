/* runtime/gateway/output.h: the tokens of one choice become its text and its result.
 *
 * Text is released when it can no longer change: whole characters only, and nothing that could
 * be the beginning of a stop string that is left out. The tokens of the engine are final; a stop
 * string is found here, in the text, across the borders of tokens, and then overrides what the
 * engine says.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/link/engine_link.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/ids.h"

#include <stdbool.h>

struct output_rules { /* borrowed: it must outlive the outputs made from it */
    const struct tokenizer *tokenizer;
    const char *const *stop; /* stop strings, UTF-8, none empty */
    int n_stop;
    int min_tokens; /* no stop string is looked for before */
    bool include_stop, skip_special_tokens;
    bool no_text; /* tokens only */
};

/* Rows of log-probabilities, end to end: row i has the entries before end[i]. */
struct logprob_rows {
    struct link_logprob *entry;
    size_t n_entries, capacity;
    struct ids end;
};

struct output {
    const struct output_rules *rules;
    struct detokenizer detokenizer;
    struct bytes text;
    size_t n_released;  /* of text: bytes that can be shown */
    size_t search_from; /* no stop string ends before */
    struct ids tokens;
    struct logprob_rows logprobs; /* a row a token */
    struct logprob_rows prompt;   /* a row a token of the prompt but the first, when asked for */
    double cumulative_logprob;
    double score; /* of a beam */
    int cached_tokens;
    int n_drafted, n_accepted; /* drafts, and those that were right */
    enum finish_reason finish; /* FINISH_NONE while it goes on */
    int32_t stop_token;        /* -1: none */
    const char *stop_text;     /* of rules->stop, or NULL */
};

void output_init(struct output *output, const struct output_rules *rules);
/* Adds a token. When a stop string is found in the text, `finish` is set although the engine goes
 * on: the caller cancels the request there. Tokens after the end are ignored. */
void output_add(struct output *output, const struct link_token *token);
/* Adds rows of the prompt. False when they do not follow those that are there. */
bool output_add_prompt(struct output *output, const struct link_prompt_logprobs *logprobs);
/* All of a beam at once, and its end. */
void output_add_beam(struct output *output, const struct link_beam *beam, int cached_tokens);
/* Ends a choice that the engine ended without a token. */
void output_end(struct output *output, enum finish_reason reason);
void output_release(struct output *output);

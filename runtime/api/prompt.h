/* runtime/api/prompt.h: what users give becomes the ids of a prompt, inside the limits of the
 * model.
 *
 * A text that must have too many tokens, whatever they are, is refused before it is read: a token
 * is at most as long as the longest one of the vocabulary. Where a text is to be cut, only the part
 * of it is read that can be left.
 */
#pragma once
#include "runtime/api/generate.h" /* api_prompt */
#include "runtime/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoding;
struct error;
struct intake;
struct sampling;

enum prompt_cut { PROMPT_WHOLE, PROMPT_KEEP_FIRST, PROMPT_KEEP_LAST };

struct prompt_rules {
    const char *param; /* its name for errors, where it has none itself: "prompt", "input" */
    bool add_special_tokens;
    enum prompt_cut cut;
    int64_t
        most; /* tokens that are left, special ones too; where nothing is cut, more is refused */
    int vocab, max_model_len;
};

/* What truncate_prompt_tokens asks: SAMPLING_UNSAID nothing, -1 as many as fit, or a number in
 * [1, max_model_len]. */
bool prompt_cut_read(struct prompt_rules *rules, int64_t truncate, enum prompt_cut how,
                     int64_t most_that_fit, struct error *err);

/* Where the reading of a prompt stands. A long text is read bit by bit: short ones, and ids, are
 * always read at once. */
struct prompt_reader { /* all zero: nothing is under way, and everything is read at once */
    /* Set by the caller: */
    int64_t until_ns; /* long texts are read until then; 0: to their end */
    bool texts_stay;  /* where they are, until they are read: else long ones are not begun */
    /* True: it is not read yet. Ask again, with the same. */
    bool is_under_way;
    /* Of prompt.c: */
    struct encoding *encoding; /* of the text that is read; NULL: none */
    bool is_long;              /* so it is read in steps */
    bool has_first;            /* of a pair: it is read, and the second one is not */
    struct ids second;
};
void prompt_reader_release(struct prompt_reader *reader); /* nothing is under way any more */

/* Replaces what is in *out, which stays where it is while it is under way. ERROR_INPUT: nothing
 * given, no UTF-8, no token of the vocabulary, too long (code "context_length_exceeded"). */
bool prompt_read(struct prompt_reader *reader, struct intake *intake,
                 const struct api_prompt *prompt, const struct prompt_rules *rules, struct ids *out,
                 struct error *err);
/* Two texts as the tokenizer has them for a model that reads pairs. What is too long is cut from
 * the end of the longer one. ERROR_UNSUPPORTED: the tokenizer does not say how. */
bool prompt_read_pair(struct prompt_reader *reader, struct intake *intake,
                      const struct api_prompt *first, const struct api_prompt *second,
                      const struct prompt_rules *rules, struct ids *out, struct error *err);

/* Do prompt and answer fit the model, and the KV cache of a replica? max_tokens is cut to what fits
 * unless the user said it. */
struct prompt_room {
    int max_model_len;
    int64_t kv_tokens; /* 0: not known */
    bool max_tokens_said;
};
bool prompt_fit_alone(size_t n_prompt, const struct prompt_room *room, const char *param,
                      struct error *err); /* a prompt that has no answer */
bool prompt_fit(size_t n_prompt, const struct prompt_room *room, const char *param,
                int32_t *max_tokens, struct error *err);

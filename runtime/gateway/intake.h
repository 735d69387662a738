/* runtime/gateway/intake.h: what users give becomes token ids and checked parameters. */
#pragma once
#include "base/bytes.h"
#include "runtime/request/params.h"
#include "runtime/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoder;
struct error;
struct jinja_output;
struct tokenizer;

struct intake {
    struct tokenizer *tokenizer;
    struct encoder *encoder;
};

/* Reads tokenizer.json of the checkpoint. ERROR_INPUT names the file. */
bool intake_open(struct intake *out, const char *model_folder, struct error *err);
void intake_close(struct intake *intake);

/* A user's text, with the special tokens that the tokenizer puts around one. What spells a special
 * token in it is text. ERROR_INPUT also for no tokens at all. */
bool intake_text(struct intake *intake, const char *text, size_t n_bytes, struct ids *out,
                 struct error *err);
/* What a chat template made: it has its special tokens already, unless others are to be put around
 * it; what spells one in the parts that came from users is text. */
bool intake_chat(struct intake *intake, const struct jinja_output *prompt, bool add_special_tokens,
                 struct ids *out, struct error *err);

/* "1,2,3" or "[1, 2, 3]"; every id in [0, vocab). */
bool intake_ids(const char *text, int vocab, struct ids *out, struct error *err);

/* Words that an answer must not have, as ids end to end and where each ends: each as it stands
 * inside a text, and as it begins after a space where that is other tokens, as vLLM does.
 * ERROR_INPUT: an empty word, or too many (PARAMS_MAX_BAD_WORDS, PARAMS_MAX_BAD_IDS). */
bool intake_bad_words(struct intake *intake, const char *const *word, int n_words, struct ids *id,
                      struct ids *end, struct error *err);
/* The bytes that keep prompts with this salt apart from others in the prefix cache; none for NULL.
 * ERROR_INPUT when it is too long. */
bool intake_cache_key(const char *salt, struct bytes *out, struct error *err);

/* runtime/eos_ids.h: the tokens that end a sequence of this model.
 *
 * eos_token_id of generation_config.json, else of config.json: a number or a list of numbers, as
 * transformers writes them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;

enum { EOS_MAX_IDS = 64 };

struct eos_ids {
    int32_t id[EOS_MAX_IDS];
    int n; /* 0: the model names none, only length and stop ids end a sequence */
};

/* ERROR_INPUT names the file and the key: no id of the vocabulary, or too many. */
bool eos_ids_read(struct eos_ids *out, const char *folder, int vocab, struct error *err);

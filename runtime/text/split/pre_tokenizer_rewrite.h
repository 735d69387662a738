/* runtime/text/split/pre_tokenizer_rewrite.h: the stages of a pre-tokenizer that change the text.
 *
 * Only pre_tokenizer.c asks. */
#pragma once
#include "runtime/text/split/pre_tokenizer.h"

/* Writes parts of work->spans anew, their places to work->next, and after the last one makes the
 * new text that of `work`: *done. Each is one of n_steps. ERROR_INPUT when the text is too long. */
bool pre_tokenizer_rewrite(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                           size_t *n_steps, bool *done, struct error *err);

/* runtime/text/split/pre_tokenizer_rewrite.h: the stages of a pre-tokenizer that change the text.
 *
 * Only pre_tokenizer.c asks. */
#pragma once
#include "runtime/text/split/pre_tokenizer.h"

/* Writes every part of work->spans anew, its places to work->next, and makes the new text that of
 * `work`. ERROR_INPUT when the text is too long for that. */
bool pre_tokenizer_rewrite(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                           struct error *err);

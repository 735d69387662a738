/* launcher/cmd_tokenize.h: phalanx tokenize and phalanx detokenize: text tools.
 *
 * One JSON value a line in, one out, in order, each written before the next is read.
 *   tokenize    a string      -> its ids, with the special tokens that belong around a text; text
 *                                that spells a special token becomes that token
 *   detokenize  a list of ids -> their text, special tokens included
 * Both as Hugging Face's encode() and decode() do by default.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct error;

/* `add_special_tokens` false: without those around a text, as encode(…, add_special_tokens=False).
 * ERROR_INPUT names the line that is wrong; what came before it is written. */
bool cmd_tokenize_run(const char *model_dir, bool add_special_tokens, FILE *in, FILE *out,
                      struct error *err);
bool cmd_detokenize_run(const char *model_dir, FILE *in, FILE *out, struct error *err);

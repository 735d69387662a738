/* runtime/gateway/generation_config.h: how the makers of a model want it sampled.
 *
 * generation_config.json beside the weights gives temperature, top_k, top_p, min_p,
 * repetition_penalty and max_new_tokens where the user gives none; the same keys as vLLM takes.
 */
#pragma once
#include <stdbool.h>

struct error;
struct sampling_params;

/* Puts what the file says over `params`; a missing file says nothing. ERROR_INPUT names the file
 * and the key of a value that is out of its range. */
bool generation_config_read(struct sampling_params *params, const char *model_folder,
                            struct error *err);

/* proto/json_sampling.h: how to answer, out of the JSON of a request, by the names of each system.
 *
 * Reads types only; ranges and meanings are checked by the validator that all protocols share. */
#pragma once
#include "runtime/request/sampling_fields.h"

#include <jansson.h>
#include <stdbool.h>

struct arena;
struct error;

/* vLLM's SamplingParams and OpenAI's names, which are the same where both have one. Not `logprobs`,
 * which each endpoint means in its own way. `use_beam_search`: n is the number of beams, and
 * length_penalty_scope is "total" (vLLM) or "generated" (Hugging Face).
 * What `out` has stays where a field is absent; it begins as sampling_nothing_said(). */
bool json_sampling_read(struct sampling_fields *out, const json_t *object, struct arena *arena,
                        struct error *err);
/* Whether the above looks at a member of this name. */
bool json_sampling_knows(const char *key);
/* SGLang's sampling_params: max_new_tokens (128), min_new_tokens, sampling_seed, no_stop_trim;
 * top_k 2^30 is off, as there. */
bool json_sampling_read_sglang(struct sampling_fields *out, const json_t *object,
                               struct arena *arena, struct error *err);
/* TGI's parameters: max_new_tokens (100), do_sample (false: greedy), stop. */
bool json_sampling_read_tgi(struct sampling_fields *out, const json_t *object, struct arena *arena,
                            struct error *err);

/* Fields that would change the answer in ways that are not there: ERROR_INPUT says which and what
 * to try, so that nobody gets another answer than was asked for. */
bool json_sampling_refuse(const json_t *object, struct error *err);

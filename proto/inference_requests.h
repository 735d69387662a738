/* proto/inference_requests.h: the requests of proto/phalanx.proto as plain structs.
 *
 * Reading checks the wire form alone: that it parses within a bounded amount of memory, that texts
 * are UTF-8 without NUL, that JSON in texts is JSON. Ranges are the validator's business. What a
 * client did not set is NULL, NAN, INFERENCE_UNSAID, or -1 of a flag.
 *
 * Structs borrow from the arena, and nothing else has to be released, but for the JSON of a chat.
 * ERROR_INPUT with the field as its parameter; code "too_large" when a message would take more
 * memory than its size can excuse.
 */
#pragma once
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define INFERENCE_UNSAID INT64_MIN

struct inference_text { /* ends with a NUL; NULL: not set */
    const char *data;
    size_t n_bytes;
};
struct inference_prompt { /* a text, or ids when it is NULL */
    struct inference_text text;
    const int64_t *id;
    size_t n_ids;
};
struct inference_ids {
    const int64_t *id;
    size_t n;
};
struct inference_bias {
    int64_t token;
    double bias;
};
struct inference_sampling {
    double temperature, top_p, min_p;
    double repetition_penalty, frequency_penalty, presence_penalty, length_penalty;
    int64_t top_k, n, seed, max_tokens, min_tokens, logprobs, prompt_logprobs, beam_width;
    int8_t ignore_eos, include_stop_str_in_output, skip_special_tokens;
    const char *const *stop;
    const char *const *bad_words;
    size_t n_stop, n_bad_words;
    struct inference_ids stop_token_ids, allowed_token_ids;
    const struct inference_bias *logit_bias;
    size_t n_logit_bias;
};
struct inference_scheduling {
    int64_t priority, deadline_ms;
    const char *cache_salt;
};

struct inference_generate { /* GenerateRequest, and ChatRequest when messages is not NULL */
    const char *request_id, *model;
    struct inference_prompt prompt;
    struct inference_sampling sampling;
    struct inference_scheduling scheduling;
    int64_t truncate_prompt_tokens;
    int8_t add_special_tokens, return_prompt_token_ids;
    /* Owned: inference_generate_release(). */
    json_t *messages, *tools, *documents, *template_variables;
    int8_t add_generation_prompt, continue_final_message;
};
struct inference_pool { /* EmbedRequest and ScoreRequest */
    const char *request_id, *model;
    const struct inference_prompt *input; /* [n_inputs] inputs, or documents */
    size_t n_inputs;
    const struct inference_prompt *query; /* NULL: not set */
    int64_t dimensions, truncate_prompt_tokens;
    int8_t normalize, add_special_tokens;
    struct inference_scheduling scheduling;
};
struct inference_tokenize {
    struct inference_text text;
    int8_t add_special_tokens, return_token_texts;
};
struct inference_detokenize {
    struct inference_ids ids;
    int8_t skip_special_tokens;
};
struct inference_abort {
    const char *const *request_id; /* [n] */
    size_t n;
};

bool inference_read_generate(struct inference_generate *out, struct arena *arena, const void *data,
                             size_t n_bytes, struct error *err);
bool inference_read_chat(struct inference_generate *out, struct arena *arena, const void *data,
                         size_t n_bytes, struct error *err);
/* Also after a failure. */
void inference_generate_release(struct inference_generate *request);
bool inference_read_embed(struct inference_pool *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err);
bool inference_read_score(struct inference_pool *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err);
bool inference_read_tokenize(struct inference_tokenize *out, struct arena *arena, const void *data,
                             size_t n_bytes, struct error *err);
bool inference_read_detokenize(struct inference_detokenize *out, struct arena *arena,
                               const void *data, size_t n_bytes, struct error *err);
bool inference_read_abort(struct inference_abort *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err);
/* GetModelInfoRequest and GetServerInfoRequest: nothing in them, but they must parse. */
bool inference_read_nothing(struct arena *arena, const void *data, size_t n_bytes,
                            struct error *err);

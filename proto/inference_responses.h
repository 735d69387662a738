/* proto/inference_responses.h: plain structs to the responses of proto/phalanx.proto.
 *
 * Each function appends one message, packed, to `out`. `scratch` is for the time of the call: its
 * owner empties it.
 */
#pragma once
#include "base/bytes.h"
#include "base/memory.h"
#include "proto/json_logprobs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of FinishReason. */
enum inference_finish {
    INFERENCE_GOES_ON,
    INFERENCE_STOP,
    INFERENCE_LENGTH,
    INFERENCE_ABORT,
    INFERENCE_ERROR,
};
struct inference_usage {
    int64_t prompt_tokens, completion_tokens, cached_tokens;
};

struct inference_response { /* GenerateResponse */
    const char *request_id; /* NULL: not in this message */
    bool has_prompt, has_choice, has_usage;
    struct {
        bool has_count;
        int n_tokens;             /* when has_count */
        const int32_t *token_ids; /* [n_tokens] or NULL */
        struct json_logprob_rows logprobs;
    } prompt;
    struct {
        int index;
        struct json_text text;
        const int32_t *token_ids;
        int n_tokens;
        struct json_logprob_rows logprobs;
        enum inference_finish finish;
        int32_t stop_token;    /* -1: none, */
        const char *stop_text; /* or NULL */
        bool has_cumulative, has_score;
        double cumulative_logprob, score;
    } choice;
    struct inference_usage usage;
};
void inference_write_response(struct bytes *out, struct arena *scratch,
                              const struct inference_response *response);

struct inference_vector {
    const float *value;
    int n_values;
};
struct inference_vectors { /* EmbedResponse and ScoreResponse */
    const char *request_id;
    const struct inference_vector *vector; /* [n_vectors] */
    int n_vectors;
    struct inference_usage usage;
};
void inference_write_embeddings(struct bytes *out, struct arena *scratch,
                                const struct inference_vectors *vectors);
void inference_write_scores(struct bytes *out, struct arena *scratch,
                            const struct inference_vectors *vectors);

struct inference_tokens {         /* TokenizeResponse */
    const int32_t *id;            /* [n] */
    const struct json_text *text; /* [n] or NULL */
    size_t n;
    int max_model_len;
};
void inference_write_tokens(struct bytes *out, struct arena *scratch,
                            const struct inference_tokens *tokens);
void inference_write_text(struct bytes *out, struct json_text text); /* DetokenizeResponse */

struct inference_model { /* GetModelInfoResponse */
    const char *const *name;
    int n_names;
    const char *root;
    int max_model_len, vocab;
    bool has_chat_template;
};
void inference_write_model(struct bytes *out, struct arena *scratch,
                           const struct inference_model *model);

struct inference_server { /* GetServerInfoResponse */
    const char *version, *layout;
    int tp, pp, dp;
    int64_t kv_tokens, sequences_in_flight;
    bool is_ready;
};
void inference_write_server(struct bytes *out, const struct inference_server *server);
void inference_write_aborted(struct bytes *out, int n_aborted); /* AbortResponse */

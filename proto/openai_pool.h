/* proto/openai_pool.h: /v1/embeddings, score, rerank, classify, pooling: texts in, numbers out.
 *
 * Names, defaults and shapes are vLLM's (rerank: Jina's and Cohere's too). A rerank of "texts" in
 * place of "documents" is Text Embeddings Inference's, and is answered as there: a list of
 * {"index", "score"}. Errors of requests are ERROR_INPUT with the field as their parameter.
 * Source: vLLM, entrypoints/pooling; OpenAI API reference, embeddings; Text Embeddings Inference,
 * OpenAPI document.
 */
#pragma once
#include "proto/json_prompts.h"
#include "proto/json_write.h"
#include "proto/request_body.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum openai_pool_kind {
    OPENAI_EMBEDDINGS,
    OPENAI_SCORE,  /* of pairs */
    OPENAI_RERANK, /* the same, the best first */
    OPENAI_CLASSIFY,
    OPENAI_POOLING, /* whichever of embeddings and classify the model is made for */
    OPENAI_REWARD,  /* /v1/score/evaluation of LLaMA-Factory: a score of each text */
};

struct openai_pool_request {
    struct request_body body; /* all texts live in it */
    enum openai_pool_kind kind;
    const char *model, *request_id; /* NULL: none said */
    struct json_prompts prompts;    /* of pairs: the first of each */
    struct json_prompts pairs;      /* as many, or none */
    bool add_special_tokens, normalize;
    bool base64;                    /* vectors: float32, little-endian */
    const char *task;               /* of a pooling: "embed", "classify"; NULL: the model's own */
    int64_t dimensions;             /* 0: all */
    int64_t top_n;                  /* of a rerank; 0: all */
    bool return_documents;          /* of a rerank */
    bool is_tei;                    /* a rerank of Text Embeddings Inference */
    int64_t truncate_prompt_tokens; /* SAMPLING_UNSAID: no; -1: what fits */
    int64_t priority, deadline_ms;  /* SAMPLING_UNSAID: none */
};
/* openai_pool_request_release() also after a failure. */
bool openai_pool_read(struct openai_pool_request *out, enum openai_pool_kind kind, const char *body,
                      size_t n_bytes, struct error *err);
void openai_pool_request_release(struct openai_pool_request *request);

struct openai_pool_result {
    const float *value; /* [n_values] */
    int n_values;
    const char *label; /* of a classification: the likeliest */
};
struct openai_pool_answer {
    const char *id, *model;
    int64_t created_s, prompt_tokens;
    const struct openai_pool_result *result; /* [request->prompts.n] */
};
void openai_pool_write(struct bytes *out, const struct openai_pool_request *request,
                       const struct openai_pool_answer *answer);

/* runtime/endpoints/endpoint.h: what every endpoint is made of; only endpoints/ includes it.
 *
 * An endpoint reads its body, and either answers at once or leaves a struct call that answers
 * later. A call that is answered frees itself, before or right after the last word to its reply.
 */
#pragma once
#include "runtime/endpoints/endpoints.h"

#include "base/bytes.h"

struct call {
    const struct endpoints *endpoints;
    struct reply reply;
    void (*cancel)(struct call *call); /* its user is gone: stops the work, frees the call */
};

struct endpoints {
    struct endpoints_settings settings;
};

/* NULL when it has answered. */
typedef struct call *endpoint_fn(const struct endpoints *e, const struct call_request *request,
                                 const struct reply *reply);
endpoint_fn chat_call, completions_call, generate_call;       /* a file each */
endpoint_fn generate_stream_call;                             /* generate.c */
endpoint_fn embeddings_call, score_call, rerank_call;         /* pool.c */
endpoint_fn classify_call, pooling_call, reward_call;         /* pool.c */
endpoint_fn tokenize_call, detokenize_call;                   /* tokens.c */
endpoint_fn models_call, model_call, version_call;            /* models.c */
endpoint_fn health_call, live_call, ready_call, metrics_call; /* health.c */
endpoint_fn page_call, icon_call;                             /* page.c */
endpoint_fn sleep_call, wake_call, is_sleeping_call;          /* sleep.c */

/* The three answer at once, and return NULL for their caller to return. */
struct call *endpoint_answer(const struct reply *reply, int status, const char *content_type,
                             const struct bytes *body);
struct call *endpoint_answer_json(const struct reply *reply, const struct bytes *body); /* 200 */
struct call *endpoint_refuse(const struct endpoints *e, const struct reply *reply,
                             const struct error *why);

enum { ENDPOINT_ID_BYTES = sizeof(((struct api_source *)0)->request_id) };
/* The source with an id of "cmpl-" and what it has, or else 32 random hex digits, and with the time
 * of now where it says none. `id`: of the body, or NULL; one that came with the call wins. */
struct api_source endpoint_source(const struct call_request *request, const char *prefix,
                                  const char *id);

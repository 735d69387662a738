/* runtime/endpoints/call.h: what every endpoint is made of; only endpoints/ includes it.
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
    struct endpoints_settings is;
    char *page; /* the web page, made once */
};

/* NULL when it has answered. */
typedef struct call *endpoint_fn(const struct endpoints *e, const struct call_request *request,
                                 const struct reply *reply);
endpoint_fn chat_call, completions_call;                      /* chat.c, completions.c */
endpoint_fn models_call, version_call;                        /* models.c */
endpoint_fn health_call, live_call, ready_call, metrics_call; /* health.c */

/* The three answer at once, and return NULL for their caller to return. */
struct call *call_answer(const struct reply *reply, int status, const char *content_type,
                         const struct bytes *body);
struct call *call_answer_json(const struct reply *reply, const struct bytes *body); /* 200 */
struct call *call_refuse(const struct endpoints *e, const struct reply *reply,
                         const struct error *why);

enum { CALL_ID_BYTES = sizeof(((struct api_source *)0)->request_id) };
/* "cmpl-" and the id that the source has, or else 32 random hex digits. */
void call_make_id(char out[CALL_ID_BYTES], const char *prefix, const struct api_source *source);
/* The source with that id, and with the time for "created". */
struct api_source call_source(const struct call_request *request, const char *prefix);
int64_t call_time_s(void); /* since 1970, for "created" */

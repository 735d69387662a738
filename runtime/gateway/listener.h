/* runtime/gateway/listener.h: who waits for what comes of a request. */
#pragma once
#include <stdbool.h>

struct error;
struct link_beams;
struct link_pooled;
struct link_prompt_logprobs;
struct link_token;

/* A request has the functions of what it can be answered with; the others may be NULL. They may
 * submit requests and cancel them, their own too, and call nothing else of the dispatch. What they
 * are given lives until they return. */
struct dispatch_listener {
    void (*begun)(void *context); /* it runs, for the first time: once, whatever engines it had */
    /* Returns false to cancel the choice (a stop string was found): nothing more is reported. */
    bool (*token)(void *context, const struct link_token *token);
    void (*prompt_logprobs)(void *context, const struct link_prompt_logprobs *logprobs);
    void (*beams)(void *context, const struct link_beams *beams);    /* the end */
    void (*pooled)(void *context, const struct link_pooled *pooled); /* the end */
    void (*failed)(void *context, const struct error *why);          /* the end */
    void *context;
};

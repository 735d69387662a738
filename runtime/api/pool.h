/* runtime/api/pool.h: texts in, one vector each out: embeddings, scores, labels. */
#pragma once
#include "runtime/api/api.h"
#include "runtime/api/generate.h" /* api_prompt, api_usage */

enum pool_task { POOL_EMBED, POOL_SCORE, POOL_CLASSIFY };

struct pool_request { /* borrowed for the call of api_pool() */
    struct api_source source;
    const char *model;
    enum pool_task task;
    const struct api_prompt *prompt; /* [n_prompts] at most API_MAX_PROMPTS */
    size_t n_prompts;
    /* Pairs: prompt i is read together with pair[i] (a cross encoder), or both are embedded and
     * their cosine is the score. NULL: none. */
    const struct api_prompt *pair;
    bool add_special_tokens, normalize;
    int64_t dimensions;             /* of an embedding: the first ones, normalised again; 0: all */
    int64_t truncate_prompt_tokens; /* SAMPLING_UNSAID: no; -1: what fits */
    int64_t priority, deadline_ms;  /* SAMPLING_UNSAID: none */
};

struct pool_call;

struct pool_result { /* of prompt i */
    const float *value;
    int n_values;
};
struct pool_listener {
    void (*done)(void *context, struct pool_call *call); /* the call is gone after */
    void (*failed)(void *context, struct pool_call *call, const struct error *why);
    void *context;
};
/* As api_generate(). ERROR_UNSUPPORTED: the model has no head for this task. */
struct pool_call *api_pool(struct api *api, const struct pool_request *request,
                           const struct pool_listener *listener, struct error *err);
void pool_cancel(struct pool_call *call);
int pool_results(const struct pool_call *call);
struct pool_result pool_result(const struct pool_call *call, int i);
struct api_usage pool_usage(const struct pool_call *call);
const struct api_source *pool_source(const struct pool_call *call);

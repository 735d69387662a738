/* Embeddings, scores, labels: each text one vector, and all of them one answer. */
#include "runtime/api/pool.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/openai_pool.h"
#include "runtime/endpoints/endpoint.h"
#include "runtime/endpoints/prompts.h"

#include <string.h>

struct pool_answer {
    struct call call;
    struct pool_call *pool;
    struct openai_pool_request request; /* a rerank gives its documents back */
    char id[ENDPOINT_ID_BYTES];
};

static const struct kind {
    enum pool_task task;
    const char *id_prefix;
} kinds[] = {
    [OPENAI_EMBEDDINGS] = {POOL_EMBED, "embd-"}, [OPENAI_SCORE] = {POOL_SCORE, "score-"},
    [OPENAI_RERANK] = {POOL_SCORE, "rerank-"},   [OPENAI_CLASSIFY] = {POOL_CLASSIFY, "classify-"},
    [OPENAI_REWARD] = {POOL_SCORE, "scoreval-"}, [OPENAI_POOLING] = {POOL_EMBED, "pool-"},
};

static enum pool_task task_of(const struct openai_pool_request *request, const struct api *api)
{
    if (request->kind != OPENAI_POOLING)
        return kinds[request->kind].task;
    const bool classifies = request->task != NULL ? strcmp(request->task, "classify") == 0
                                                  : api->model.head.n_labels > 0;
    return classifies ? POOL_CLASSIFY : POOL_EMBED;
}

static void release(struct pool_answer *answer)
{
    openai_pool_request_release(&answer->request);
    memory_free(answer);
}

static const char *label_of(const struct pooling_head *head, struct pool_result result,
                            struct arena *arena)
{
    char buffer[24];
    int best = 0;
    for (int i = 1; i < result.n_values; i++)
        best = result.value[i] > result.value[best] ? i : best;
    const char *label = pooling_label(head, best, buffer);
    return arena_copy_text(arena, label, strlen(label));
}

static void done(void *context, struct pool_call *pool)
{
    struct pool_answer *answer = context;
    const struct api *api = answer->call.endpoints->settings.api;
    const struct reply reply = answer->call.reply;
    struct arena *arena = &answer->request.body.arena;
    const int n = pool_results(pool);
    struct openai_pool_result *result = arena_alloc(arena, (size_t)n, sizeof *result);
    struct bytes out = {0};
    for (int i = 0; i < n; i++) {
        const struct pool_result from = pool_result(pool, i);
        result[i] = (struct openai_pool_result){.value = from.value, .n_values = from.n_values};
        if (answer->request.kind == OPENAI_CLASSIFY)
            result[i].label = label_of(&api->model.head, from, arena);
    }
    const struct openai_pool_answer whole = {.id = answer->id,
                                             .model = api->model.name[0],
                                             .created_s = pool_source(pool)->created_s,
                                             .prompt_tokens = pool_usage(pool).prompt_tokens,
                                             .result = result};
    openai_pool_write(&out, &answer->request, &whole);
    endpoint_answer_json(&reply, &out);
    bytes_release(&out);
    release(answer);
}

static void failed(void *context, struct pool_call *pool, const struct error *why)
{
    struct pool_answer *answer = context;
    (void)pool;
    endpoint_refuse(answer->call.endpoints, &answer->call.reply, why);
    release(answer);
}

static void cancel(struct call *call)
{
    struct pool_answer *answer = (struct pool_answer *)(void *)call;
    pool_cancel(answer->pool);
    release(answer);
}

static bool send(struct pool_answer *answer, const struct call_request *call, struct error *err)
{
    struct openai_pool_request *body = &answer->request;
    const struct pool_listener listener = {.done = done, .failed = failed, .context = answer};
    const struct pool_request request = {
        .source = endpoint_source(call, kinds[body->kind].id_prefix, body->request_id),
        .model = body->model,
        .task = task_of(body, answer->call.endpoints->settings.api),
        .prompt = prompts_of(&body->prompts, &body->body.arena),
        .n_prompts = body->prompts.n,
        .pair = body->pairs.n > 0 ? prompts_of(&body->pairs, &body->body.arena) : NULL,
        .add_special_tokens = body->add_special_tokens,
        .normalize = body->normalize,
        .dimensions = body->dimensions,
        .truncate_prompt_tokens = body->truncate_prompt_tokens,
        .priority = body->priority,
        .deadline_ms = body->deadline_ms,
    };
    memcpy(answer->id, request.source.request_id, sizeof answer->id);
    answer->pool = api_pool(answer->call.endpoints->settings.api, &request, &listener, err);
    return answer->pool != NULL;
}

static struct call *start(enum openai_pool_kind kind, const struct endpoints *e,
                          const struct call_request *call, const struct reply *reply)
{
    struct pool_answer *answer = memory_alloc(1, sizeof *answer);
    struct error err = {0};
    answer->call = (struct call){.endpoints = e, .reply = *reply, .cancel = cancel};
    if (openai_pool_read(&answer->request, kind, call->body, call->n_body, &err) &&
        send(answer, call, &err))
        return &answer->call;
    release(answer);
    return endpoint_refuse(e, reply, &err);
}

struct call *embeddings_call(const struct endpoints *e, const struct call_request *request,
                             const struct reply *reply)
{
    return start(OPENAI_EMBEDDINGS, e, request, reply);
}

struct call *score_call(const struct endpoints *e, const struct call_request *request,
                        const struct reply *reply)
{
    return start(OPENAI_SCORE, e, request, reply);
}

struct call *rerank_call(const struct endpoints *e, const struct call_request *request,
                         const struct reply *reply)
{
    return start(OPENAI_RERANK, e, request, reply);
}

struct call *classify_call(const struct endpoints *e, const struct call_request *request,
                           const struct reply *reply)
{
    return start(OPENAI_CLASSIFY, e, request, reply);
}

struct call *pooling_call(const struct endpoints *e, const struct call_request *request,
                          const struct reply *reply)
{
    return start(OPENAI_POOLING, e, request, reply);
}

struct call *reward_call(const struct endpoints *e, const struct call_request *request,
                         const struct reply *reply)
{
    return start(OPENAI_REWARD, e, request, reply);
}

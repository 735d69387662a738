/* Embed and Score: one answer when all vectors are there. */
#include "base/error.h"
#include "proto/inference_responses.h"
#include "runtime/api/pool.h"
#include "runtime/grpc/inference.h"
#include "runtime/grpc/rpc.h"

static void done(void *context, struct pool_call *call)
{
    struct rpc *rpc = context;
    const int n = pool_results(call);
    const struct api_usage usage = pool_usage(call);
    struct arena *scratch = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    struct inference_vector *vector = arena_alloc(scratch, (size_t)n, sizeof *vector);
    for (int i = 0; i < n; i++) {
        const struct pool_result result = pool_result(call, i);
        vector[i] = (struct inference_vector){result.value, result.n_values};
    }
    const struct inference_vectors all = {
        .request_id = pool_source(call)->request_id,
        .vector = vector,
        .n_vectors = n,
        .usage = {usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens}};
    if (rpc_method_of(rpc)->request == inference_embed)
        inference_write_embeddings(buffer, scratch, &all);
    else
        inference_write_scores(buffer, scratch, &all);
    rpc_set_data(rpc, NULL);
    rpc_send(rpc, buffer);
    rpc_end(rpc, NULL);
}

static void failed(void *context, struct pool_call *call, const struct error *why)
{
    struct rpc *rpc = context;
    (void)call;
    rpc_set_data(rpc, NULL);
    rpc_end(rpc, why);
}

void inference_pool_closed(struct rpc *rpc)
{
    if (rpc_data(rpc) != NULL)
        pool_cancel(rpc_data(rpc));
    rpc_set_data(rpc, NULL);
}

static struct api_prompt *prompts_of(struct arena *arena, const struct inference_prompt *from,
                                     size_t n, size_t step, const char *field)
{
    struct api_prompt *list = arena_alloc(arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        list[i] = inference_prompt(&from[i * step]);
        list[i].param = field;
    }
    return list;
}

static bool pool(struct rpc *rpc, struct arena *arena, const struct inference_pool *from,
                 enum pool_task task, struct error *err)
{
    const char *field = task == POOL_EMBED ? "inputs" : "documents";
    const struct api_prompt *input = prompts_of(arena, from->input, from->n_inputs, 1, field);
    const bool has_query = from->query != NULL;
    const struct pool_listener listener = {.done = done, .failed = failed, .context = rpc};
    struct pool_request request = {
        .model = from->model,
        .task = task,
        .prompt = has_query ? prompts_of(arena, from->query, from->n_inputs, 0, "query") : input,
        .n_prompts = from->n_inputs,
        .pair = has_query ? input : NULL,
        .add_special_tokens = from->add_special_tokens != 0,
        .normalize = from->normalize != 0,
        .dimensions = from->dimensions == INFERENCE_UNSAID ? 0 : from->dimensions,
        .truncate_prompt_tokens = from->truncate_prompt_tokens,
        .priority = from->scheduling.priority,
        .deadline_ms = inference_deadline_ms(rpc, from->scheduling.deadline_ms),
    };
    if (from->n_inputs == 0 || from->n_inputs > API_MAX_PROMPTS) {
        error_set(err, ERROR_INPUT, "%s has %zu entries: 1 to %d can be asked for at once", field,
                  from->n_inputs, API_MAX_PROMPTS);
        return error_param(err, field);
    }
    if (!inference_source(&request.source, rpc, from->request_id, err))
        return false;
    struct pool_call *call = api_pool(rpc_api(rpc), &request, &listener, err);
    rpc_set_data(rpc, call);
    return call != NULL;
}

void inference_embed(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct inference_pool request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    if (!inference_read_embed(&request, arena, data, n_bytes, &err) ||
        !pool(rpc, arena, &request, POOL_EMBED, &err))
        rpc_end(rpc, &err);
}

void inference_score(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct inference_pool request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    if (!inference_read_score(&request, arena, data, n_bytes, &err) ||
        !pool(rpc, arena, &request, request.query != NULL ? POOL_SCORE : POOL_CLASSIFY, &err))
        rpc_end(rpc, &err);
}

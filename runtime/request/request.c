#include "runtime/request/request.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static bool tokens_check(const char *what, const int32_t *token, int n, int vocab,
                         struct error *err)
{
    for (int i = 0; i < n; i++)
        if (token[i] < 0 || token[i] >= vocab)
            return error_set(err, ERROR_INPUT,
                             "token %d of the %s is %d: the vocabulary has ids 0 to %d", i, what,
                             token[i], vocab - 1);
    return true;
}

static bool source_check(const struct request_source *source, const struct request_bounds *bounds,
                         struct error *err)
{
    if (source->id == 0)
        return error_set(err, ERROR_INPUT, "a request needs an id above 0");
    if (source->n_prompt < 1)
        return error_set(err, ERROR_INPUT, "the prompt is empty");
    if (source->n_prompt >= bounds->max_model_len)
        return error_set(err, ERROR_INPUT,
                         "this model's maximum context length is %d tokens, and the prompt has "
                         "%d: shorten it by at least %d",
                         bounds->max_model_len, source->n_prompt,
                         source->n_prompt - bounds->max_model_len + 1);
    return tokens_check("prompt", source->prompt, source->n_prompt, bounds->vocab, err) &&
           params_check(source->params, bounds->vocab, err);
}

bool request_create(struct request **out, const struct request_source *source,
                    const struct request_bounds *bounds, struct error *err)
{
    if (!source_check(source, bounds, err))
        return false;
    const int room = bounds->max_model_len - source->n_prompt;
    const int most = source->params->max_tokens < room ? source->params->max_tokens : room;
    if (source->n_output < 0 || source->n_output >= most)
        return error_set(err, ERROR_INPUT, "a request with %d tokens of output, of %d at most",
                         source->n_output, most);
    if (!tokens_check("output", source->output, source->n_output, bounds->vocab, err))
        return false;

    const int limit = source->n_prompt + most;
    const int n_blocks_limit = (limit + bounds->block_tokens - 1) / bounds->block_tokens;
    struct request *request = memory_alloc(
        1, sizeof *request + ((size_t)limit + (size_t)n_blocks_limit) * sizeof(int32_t));
    request->id = source->id;
    request->params = *source->params;
    request->token = (int32_t *)(request + 1);
    request->block = request->token + limit;
    request->limit = limit;
    request->n_blocks_limit = n_blocks_limit;
    request->n_prompt = source->n_prompt;
    request->n_tokens = source->n_prompt + source->n_output;
    memcpy(request->token, source->prompt, (size_t)source->n_prompt * sizeof(int32_t));
    if (source->n_output > 0)
        memcpy(request->token + source->n_prompt, source->output,
               (size_t)source->n_output * sizeof(int32_t));
    *out = request;
    return true;
}

void request_destroy(struct request *request) { memory_free(request); }

static bool is_among(int32_t token, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        if (ids[i] == token)
            return true;
    return false;
}

enum finish_reason request_append(struct request *request, int32_t token,
                                  const struct request_bounds *bounds, int32_t *stop_token)
{
    const struct sampling_params *params = &request->params;
    check(request->n_tokens < request->limit && token >= 0 && token < bounds->vocab);
    request->token[request->n_tokens++] = token;
    *stop_token = -1;
    if (request_n_output(request) >= params->min_tokens) {
        if (!params->ignore_eos && is_among(token, bounds->eos_id, bounds->n_eos_ids))
            return FINISH_STOP;
        if (is_among(token, params->stop_id, params->n_stop_ids)) {
            *stop_token = token;
            return FINISH_STOP;
        }
    }
    return request->n_tokens == request->limit ? FINISH_LENGTH : FINISH_NONE;
}

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
    if (source->n_cache_key < 0 || source->n_cache_key > REQUEST_MAX_CACHE_KEY)
        return error_set(err, ERROR_INPUT, "a cache key has at most %d bytes, got %d",
                         REQUEST_MAX_CACHE_KEY, source->n_cache_key);
    return params_check(source->params, bounds->vocab, err);
}

/* How many tokens it may have in the end. */
static bool limit_find(int *limit, const struct request_source *source,
                       const struct request_bounds *bounds, struct error *err)
{
    const bool pools = source->params->pooling != POOLING_NONE;
    const int least = pools ? 0 : 1; /* of room for output */
    if (pools && bounds->hidden_size == 0)
        return error_set(err, ERROR_INPUT, "this engine makes no vectors of requests");
    if (source->n_prompt > bounds->max_model_len - least)
        return error_set(err, ERROR_INPUT,
                         "this model's maximum context length is %d tokens, and the prompt has "
                         "%d: shorten it by at least %d",
                         bounds->max_model_len, source->n_prompt,
                         source->n_prompt - bounds->max_model_len + least);
    const int room = bounds->max_model_len - source->n_prompt;
    const int most = pools                               ? 0
                     : source->params->max_tokens < room ? source->params->max_tokens
                                                         : room;
    if (source->n_output < 0 || source->n_output > most - least)
        return error_set(err, ERROR_INPUT, "a request with %d tokens of output, of %d at most",
                         source->n_output, most);
    if (source->n_output > 0 && source->params->beam_width > 0)
        return error_set(err, ERROR_INPUT, "a beam search begins with no output");
    *limit = source->n_prompt + most;
    return true;
}

/* ---- one allocation ---- */

/* Hands out parts of a block of memory; without one it only adds them up. */
struct carving {
    char *memory;
    size_t n_bytes;
};

static void *carve(struct carving *carving, int count, size_t item_bytes)
{
    void *part = carving->memory == NULL ? NULL : carving->memory + carving->n_bytes;
    carving->n_bytes += ((size_t)count * item_bytes + 7) & ~(size_t)7;
    return part;
}

/* A copy; NULL for nothing. */
static void *carve_copy(struct carving *carving, const void *items, int count, size_t item_bytes)
{
    void *part = carve(carving, count, item_bytes);
    if (part == NULL || count == 0)
        return NULL;
    return memcpy(part, items, (size_t)count * item_bytes);
}

static void carve_lists(struct carving *carving, struct sampling_params *copy,
                        const struct sampling_params *params)
{
    const int n_words = params->n_bad_words;
    const int n_bad_ids = n_words > 0 ? params->bad_end[n_words - 1] : 0;
    *copy = *params;
    copy->allowed_id =
        carve_copy(carving, params->allowed_id, params->n_allowed_ids, sizeof *params->allowed_id);
    copy->bias = carve_copy(carving, params->bias, params->n_biases, sizeof *params->bias);
    copy->bad_id = carve_copy(carving, params->bad_id, n_bad_ids, sizeof *params->bad_id);
    copy->bad_end = carve_copy(carving, params->bad_end, n_words, sizeof *params->bad_end);
}

/* What the scheduler moves. */
static void carve_sequence(struct carving *carving, struct request *to, int limit,
                           const struct request_bounds *bounds)
{
    const int n_blocks = (limit + bounds->block_tokens - 1) / bounds->block_tokens;
    to->limit = limit;
    to->n_blocks_limit = n_blocks;
    to->hash = carve(carving, 2 * n_blocks, sizeof *to->hash);
    to->token = carve(carving, limit, sizeof *to->token);
    to->block = carve(carving, bounds->n_kv_groups * n_blocks, sizeof *to->block);
    to->first_block = carve(carving, bounds->n_kv_groups, sizeof *to->first_block);
}

/* Its arrays, behind it. */
static void carve_request(struct carving *carving, struct request *to, int limit,
                          const struct request_source *source, const struct request_bounds *bounds)
{
    carve_sequence(carving, to, limit, bounds);
    to->n_cache_key = source->n_cache_key;
    to->cache_key = carve_copy(carving, source->cache_key, source->n_cache_key, 1);
    if (source->params->pooling != POOLING_NONE)
        to->pooled = carve(carving, bounds->hidden_size, sizeof *to->pooled);
    carve_lists(carving, &to->params, source->params);
}

bool request_create(struct request **out, const struct request_source *source,
                    const struct request_bounds *bounds, struct error *err)
{
    int limit = 0;
    if (!source_check(source, bounds, err) || !limit_find(&limit, source, bounds, err) ||
        !tokens_check("prompt", source->prompt, source->n_prompt, bounds->vocab, err) ||
        !tokens_check("output", source->output, source->n_output, bounds->vocab, err))
        return false;

    struct request measured = {0};
    struct carving carving = {.n_bytes = sizeof measured};
    carve_request(&carving, &measured, limit, source, bounds);
    struct request *request = memory_alloc(1, carving.n_bytes);
    carving = (struct carving){.memory = (char *)request, .n_bytes = sizeof *request};
    carve_request(&carving, request, limit, source, bounds);
    request->n_bytes = carving.n_bytes;
    request->leader = request;
    request->id = source->id;
    request->priority = source->priority;
    request->tenant = source->tenant;
    request->deadline_ns = source->deadline_ns;
    request->n_prompt = source->n_prompt;
    request->n_tokens = source->n_prompt + source->n_output;
    memcpy(request->token, source->prompt, (size_t)source->n_prompt * sizeof(int32_t));
    if (source->n_output > 0)
        memcpy(request->token + source->n_prompt, source->output,
               (size_t)source->n_output * sizeof(int32_t));
    *out = request;
    return true;
}

void request_create_beam(struct request **out, struct request *leader,
                         const struct request_bounds *bounds)
{
    struct request measured = {0};
    struct carving carving = {.n_bytes = sizeof measured};
    carve_sequence(&carving, &measured, leader->limit, bounds);
    struct request *beam = memory_alloc(1, carving.n_bytes);
    carving = (struct carving){.memory = (char *)beam, .n_bytes = sizeof *beam};
    carve_sequence(&carving, beam, leader->limit, bounds);
    beam->n_bytes = carving.n_bytes;
    beam->leader = leader;
    beam->id = leader->id;
    beam->params = leader->params;
    beam->cache_key = leader->cache_key;
    beam->n_cache_key = leader->n_cache_key;
    beam->n_prompt = beam->n_tokens = leader->n_prompt;
    memcpy(beam->token, leader->token, (size_t)leader->n_prompt * sizeof *beam->token);
    *out = beam;
}

void request_destroy(struct request *request) { memory_free(request); }

bool request_is_eos(const struct request_bounds *bounds, int32_t token)
{
    return token_is_among(token, bounds->eos_id, bounds->n_eos_ids);
}

enum finish_reason request_append(struct request *request, int32_t token,
                                  const struct request_bounds *bounds, int32_t *stop_token)
{
    const struct sampling_params *params = &request->params;
    check(request->n_tokens < request->limit && token >= 0 && token < bounds->vocab);
    request->token[request->n_tokens++] = token;
    *stop_token = -1;
    if (request_n_output(request) >= params->min_tokens) {
        if (!params->ignore_eos && request_is_eos(bounds, token))
            return FINISH_STOP;
        if (token_is_among(token, params->stop_id, params->n_stop_ids)) {
            *stop_token = token;
            return FINISH_STOP;
        }
    }
    return request->n_tokens == request->limit ? FINISH_LENGTH : FINISH_NONE;
}

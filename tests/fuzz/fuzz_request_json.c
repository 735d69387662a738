/* Bytes as the body of each kind of request: it is refused with an error that is JSON again, or
 * what was read keeps its promises. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"
#include "base/utf8.h"
#include "proto/native_generate.h"
#include "proto/openai_pool.h"
#include "proto/openai_request.h"
#include "proto/status.h"

#include <string.h>

static void check_is_json(const struct bytes *text)
{
    const struct json_limits limits = {.max_bytes = text->len, .max_depth = 8, .max_values = 1000};
    struct error err = {0};
    json_t *value = NULL;
    check(json_parse(&value, text->data, text->len, &limits, &err));
    json_decref(value);
}

static void check_refusal(const struct error *err)
{
    struct bytes body = {0};
    check_error(err);
    check(status_of(err).http >= 400);
    status_write_json(&body, err);
    check_is_json(&body);
    bytes_release(&body);
}

static void check_text(const char *text)
{
    check(text == NULL || utf8_valid_bytes(text, strlen(text)) == strlen(text));
}

static void check_prompts(const struct json_prompts *prompts)
{
    check(prompts->n > 0);
    for (size_t i = 0; i < prompts->n; i++) {
        const struct json_prompt *prompt = &prompts->prompt[i];
        check(prompt->text != NULL ? prompt->n_bytes > 0 : prompt->n_ids > 0);
        check_text(prompt->text);
        int64_t sum = 0; /* every id can be read */
        for (size_t k = 0; k < prompt->n_ids; k++)
            sum ^= prompt->id[k];
        check(sum == sum);
    }
}

static void check_sampling(const struct sampling_fields *fields)
{
    for (size_t i = 0; i < fields->n_stop; i++)
        check_text(fields->stop[i]);
    for (size_t i = 0; i < fields->n_bad_words; i++)
        check_text(fields->bad_words[i]);
    for (size_t i = 0; i < fields->n_logit_bias; i++)
        check(fields->logit_bias[i].bias == fields->logit_bias[i].bias);
    check_text(fields->cache_salt);
}

static void read_openai(const char *text, size_t n_bytes, bool is_chat)
{
    static const struct sampling_fields nothing = {.max_tokens = SAMPLING_UNSAID,
                                                   .prompt_logprobs = SAMPLING_UNSAID};
    struct openai_request request;
    struct error err = {0};
    const bool good = is_chat ? openai_chat_read(&request, text, n_bytes, &nothing, &err)
                              : openai_completion_read(&request, text, n_bytes, &nothing, &err);
    if (good) {
        check_sampling(&request.sampling);
        check(request.form.n_top >= 0);
        check(!is_chat || json_array_size(request.messages) > 0);
        if (!is_chat)
            check_prompts(&request.prompts);
    } else {
        check_refusal(&err);
    }
    openai_request_release(&request);
}

static void read_native(const char *text, size_t n_bytes)
{
    static const struct sampling_fields nothing = {.max_tokens = SAMPLING_UNSAID,
                                                   .prompt_logprobs = SAMPLING_UNSAID};
    struct native_request request;
    struct error err = {0};
    if (native_request_read(&request, text, n_bytes, &nothing, &err)) {
        check_sampling(&request.sampling);
        check_prompts(&request.prompts);
    } else {
        check_refusal(&err);
    }
    native_request_release(&request);
}

static void read_pool(const char *text, size_t n_bytes, enum openai_pool_kind kind)
{
    struct openai_pool_request request;
    struct error err = {0};
    if (openai_pool_read(&request, kind, text, n_bytes, &err)) {
        check_prompts(&request.prompts);
        check(request.pairs.n == 0 || request.pairs.n == request.prompts.n);
        if (request.pairs.n > 0)
            check_prompts(&request.pairs);
    } else {
        check_refusal(&err);
    }
    openai_pool_request_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const char *text = (const char *)data;
    read_openai(text, n_bytes, true);
    read_openai(text, n_bytes, false);
    read_native(text, n_bytes);
    for (int kind = OPENAI_EMBEDDINGS; kind <= OPENAI_REWARD; kind++)
        read_pool(text, n_bytes, (enum openai_pool_kind)kind);
    return 0;
}

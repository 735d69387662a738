#include "base/error.h"
#include "proto/json_fields.h"
#include "proto/json_sampling.h"
#include "proto/native_generate.h"
#include "proto/openai_request.h"

static bool read_vllm(struct native_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    int64_t n_logprobs = SAMPLING_UNSAID;
    if (!json_sampling_refuse(body, err) ||
        !json_sampling_read(&out->sampling, body, &out->body.arena, err) ||
        !field_int(body, "logprobs", &n_logprobs, err) ||
        !openai_read_truncation(&out->truncate_prompt_tokens, body, err))
        return false;
    if (n_logprobs < 0 && n_logprobs != SAMPLING_UNSAID) {
        error_set(err, ERROR_INPUT, "`logprobs` must be a positive value.");
        return error_param(err, "logprobs");
    }
    out->sampling.logprobs = n_logprobs;
    return json_prompts_read(&out->prompts, body, "prompt", &out->body.arena, err);
}

static bool read_sglang(struct native_request *out, struct error *err)
{
    const json_t *body = out->body.json, *params = NULL;
    const char *key = field_find(body, "text") != NULL ? "text" : "input_ids";
    struct native_form *form = &out->form;
    if (!json_sampling_refuse(body, err) || !field_object(body, "sampling_params", &params, err) ||
        !json_sampling_refuse(params, err) ||
        !json_sampling_read_sglang(&out->sampling, params, &out->body.arena, err) ||
        !field_bool(body, "return_logprob", &form->has_logprobs, err) ||
        !field_int(body, "top_logprobs_num", &form->n_top, err))
        return false;
    if (form->n_top < 0) {
        error_set(err, ERROR_INPUT, "top_logprobs_num: want at least 0");
        return error_param(err, "top_logprobs_num");
    }
    out->sampling.logprobs_name = "top_logprobs_num";
    if (form->has_logprobs)
        out->sampling.logprobs = form->n_top;
    const json_t *first = json_array_get(field_find(body, key), 0);
    form->is_list = json_is_string(first) || json_is_array(first) ||
                    (out->sampling.n != SAMPLING_UNSAID && out->sampling.n > 1);
    return json_prompts_read(&out->prompts, body, key, &out->body.arena, err);
}

static bool read_tgi(struct native_request *out, struct error *err)
{
    const json_t *body = out->body.json, *params = NULL;
    struct native_form *form = &out->form;
    const char *text = NULL;
    if (!field_text(body, "inputs", &text, err) ||
        !field_object(body, "parameters", &params, err) || !json_sampling_refuse(params, err) ||
        !json_sampling_read_tgi(&out->sampling, params, &out->body.arena, err) ||
        !field_bool(params, "details", &form->details, err) ||
        !field_bool(params, "return_full_text", &form->full_text, err) ||
        !field_int(params, "truncate", &out->truncate_prompt_tokens, err))
        return false;
    form->has_logprobs = form->details || form->stream;
    if (form->has_logprobs)
        out->sampling.logprobs = 0;
    return json_prompts_read(&out->prompts, body, "inputs", &out->body.arena, err);
}

/* What all three have. */
static bool begin(struct native_request *out, const char *text, size_t n_bytes,
                  const struct sampling_fields *nothing_said, struct error *err)
{
    *out = (struct native_request){.sampling = *nothing_said,
                                   .add_special_tokens = true,
                                   .truncate_prompt_tokens = SAMPLING_UNSAID};
    return request_body_read(&out->body, text, n_bytes, err) &&
           openai_read_model(&out->model, out->body.json, err) &&
           field_bool(out->body.json, "stream", &out->form.stream, err) &&
           field_bool(out->body.json, "add_special_tokens", &out->add_special_tokens, err);
}

bool native_request_read(struct native_request *out, const char *text, size_t n_bytes,
                         const struct sampling_fields *nothing_said, struct error *err)
{
    if (!begin(out, text, n_bytes, nothing_said, err))
        return false;
    const json_t *body = out->body.json;
    if (field_find(body, "inputs") != NULL) {
        out->form.dialect = NATIVE_TGI;
        return read_tgi(out, err);
    }
    if (field_find(body, "text") != NULL || field_find(body, "input_ids") != NULL) {
        out->form.dialect = NATIVE_SGLANG;
        return read_sglang(out, err);
    }
    out->form.dialect = NATIVE_VLLM;
    return read_vllm(out, err);
}

bool native_request_read_stream(struct native_request *out, const char *text, size_t n_bytes,
                                const struct sampling_fields *nothing_said, struct error *err)
{
    if (!begin(out, text, n_bytes, nothing_said, err))
        return false;
    out->form.dialect = NATIVE_TGI;
    out->form.stream = true;
    return read_tgi(out, err);
}

void native_request_release(struct native_request *request)
{
    request_body_release(&request->body);
    *request = (struct native_request){0};
}

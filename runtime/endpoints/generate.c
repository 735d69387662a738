/* /generate in the shapes of three systems, and /generate_stream (proto/native_generate.h). */
#include "base/error.h"
#include "runtime/endpoints/native_answer.h"
#include "runtime/endpoints/prompts.h"
#include "runtime/gateway/token_rows.h"
#include "runtime/text/tokenizer.h"

#include <string.h>

enum { DEFAULT_MAX_TOKENS = 16 }; /* vLLM's; the other two say their own */

void native_add_rows(struct native_answer *a, struct native_choice *choice,
                     const struct output *output, size_t begin)
{
    const struct tokenizer *tokenizer = answer_tokenizer(&a->answer);
    const size_t n = output->logprobs.end.n;
    bool *is_special = arena_alloc(&a->arena, n, sizeof *is_special);
    for (size_t i = begin; i < n; i++)
        is_special[i - begin] = tokenizer_is_special(tokenizer, output->tokens.data[i]);
    choice->logprobs = token_rows_make(&a->arena, tokenizer, &output->logprobs, begin, n);
    choice->is_special = is_special;
}

struct native_choice native_choice_of(struct native_answer *a, int prompt, int choice)
{
    const struct generate_call *call = a->answer.generate;
    const struct output *output = generate_output(call, prompt, choice);
    return (struct native_choice){
        .id = a->id,
        .index = prompt * generate_choices(call) + choice,
        .prompt = answer_prompt_text(&a->answer, prompt, &a->arena),
        .text = {output->text.data, output->n_released},
        .token_ids = output->tokens.data,
        .n_tokens = (int)output->tokens.n,
        .finish_reason = finish_reason_name(output->finish),
        .stop_text = output->stop_text,
        .stop_token = output->stop_token,
        .seed = generate_sampling(call)->params.seed + (uint64_t)choice,
        .prompt_tokens = (int64_t)generate_prompt_ids(call, prompt)->n,
        .cached_tokens = output->cached_tokens,
    };
}

void native_release(struct answer *answer)
{
    struct native_answer *a = native_of(answer);
    arena_release(&a->arena);
    memory_free(a);
}

static struct call *start(const struct endpoints *e, struct native_request *body,
                          const struct call_request *call, const struct reply *reply)
{
    static const struct answer_form *const forms[] = {
        [NATIVE_VLLM] = &native_vllm_form,
        [NATIVE_SGLANG] = &native_sglang_form,
        [NATIVE_TGI] = &native_tgi_form,
    };
    const struct generate_request request = {
        .source = endpoint_source(call, "gen-", NULL),
        .model = body->model,
        .sampling = body->sampling,
        .prompt = prompts_of(&body->prompts, &body->body.arena),
        .n_prompts = body->prompts.n,
        .add_special_tokens = body->add_special_tokens,
        .truncate_prompt_tokens = body->truncate_prompt_tokens,
        .default_max_tokens = DEFAULT_MAX_TOKENS,
    };
    struct native_answer *a = memory_alloc(1, sizeof *a);
    a->answer.form = forms[body->form.dialect];
    a->answer.is_stream = body->form.stream;
    a->form = body->form;
    memcpy(a->id, request.source.request_id, sizeof a->id);
    return answer_start(&a->answer, e, &request, reply);
}

typedef bool reader(struct native_request *out, const char *body, size_t n_bytes,
                    const struct sampling_fields *nothing_said, struct error *err);

static struct call *read_and_start(reader *read, const struct endpoints *e,
                                   const struct call_request *call, const struct reply *reply)
{
    const struct sampling_fields nothing_said = sampling_nothing_said();
    struct native_request body;
    struct error err = {0};
    struct call *answer = read(&body, call->body, call->n_body, &nothing_said, &err)
                              ? start(e, &body, call, reply)
                              : endpoint_refuse(e, reply, &err);
    native_request_release(&body);
    return answer;
}

struct call *generate_call(const struct endpoints *e, const struct call_request *call,
                           const struct reply *reply)
{
    return read_and_start(native_request_read, e, call, reply);
}

struct call *generate_stream_call(const struct endpoints *e, const struct call_request *call,
                                  const struct reply *reply)
{
    return read_and_start(native_request_read_stream, e, call, reply);
}

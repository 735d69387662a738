/* /v1/completions: texts or token ids that go on. */
#include "base/error.h"
#include "runtime/endpoints/endpoint.h"
#include "runtime/endpoints/openai_answer.h"
#include "runtime/endpoints/prompts.h"

enum { DEFAULT_MAX_TOKENS = 16 }; /* vLLM's */

struct call *completions_call(const struct endpoints *e, const struct call_request *call,
                              const struct reply *reply)
{
    const struct sampling_fields nothing_said = sampling_nothing_said();
    struct openai_request body;
    struct error err = {0};
    struct call *answer;
    if (openai_completion_read(&body, call->body, call->n_body, &nothing_said, &err)) {
        const struct generate_request request = {
            .source = endpoint_source(call, "cmpl-", body.request_id),
            .model = body.model,
            .sampling = body.sampling,
            .prompt = prompts_of(&body.prompts, &body.body.arena),
            .n_prompts = body.prompts.n,
            .add_special_tokens = body.add_special_tokens,
            .truncate_prompt_tokens = body.truncate_prompt_tokens,
            .default_max_tokens = DEFAULT_MAX_TOKENS,
        };
        const struct openai_start start = {.kind = OPENAI_COMPLETION, .form = &body.form};
        answer = openai_answer_start(e, &start, &request, reply);
    } else {
        answer = endpoint_refuse(e, reply, &err);
    }
    openai_request_release(&body);
    return answer;
}

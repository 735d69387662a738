#include "runtime/endpoints/answer.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/openai_response.h"
#include "proto/status.h"
#include "runtime/gateway/token_rows.h"

const struct tokenizer *answer_tokenizer(const struct answer *answer)
{
    return answer->call.endpoints->settings.api->intake->tokenizer;
}

struct json_text answer_prompt_text(const struct answer *answer, int prompt, struct arena *arena)
{
    struct json_text given;
    given.data = generate_prompt_text(answer->generate, prompt, &given.n_bytes);
    return given.data != NULL ? given
                              : tokens_text(arena, answer_tokenizer(answer),
                                            generate_prompt_ids(answer->generate, prompt));
}

void answer_write_failure(struct answer *answer, const struct error *why)
{
    bytes_add_text(&answer->out, "data: ");
    status_write_json(&answer->out, why);
    bytes_add_text(&answer->out, "\n\n");
    openai_chunk_write_done(&answer->out);
}

static void release(struct answer *answer)
{
    bytes_release(&answer->out);
    memory_free(answer->is_over);
    answer->form->release(answer);
}

/* What the form has written is one event. */
static bool send(struct answer *answer)
{
    const struct reply *reply = &answer->call.reply;
    if (answer->out.len > 0 && !answer->has_begun) {
        answer->has_begun = true;
        reply->begin(reply->context, answer->form->stream_type);
    }
    if (answer->out.len > 0 && !answer->is_deaf)
        answer->is_deaf = !reply->event(reply->context, answer->out.data, answer->out.len);
    bytes_clear(&answer->out);
    return !answer->is_deaf;
}

static void tell(struct answer *answer, int prompt, int choice)
{
    const int n_choices = generate_choices(answer->generate);
    if (answer->is_over == NULL) {
        const int n = generate_prompts(answer->generate) * n_choices;
        answer->is_over = memory_alloc((size_t)n, sizeof *answer->is_over);
    }
    bool *is_over = &answer->is_over[prompt * n_choices + choice];
    if (!*is_over)
        *is_over = answer->form->progress(answer, prompt, choice);
}

static bool progress(void *context, struct generate_call *generate, int prompt, int choice)
{
    struct answer *answer = context;
    (void)generate;
    if (answer->is_deaf)
        return false;
    tell(answer, prompt, choice);
    return send(answer);
}

static void done(void *context, struct generate_call *generate)
{
    struct answer *answer = context;
    const struct reply reply = answer->call.reply;
    if (answer->is_stream)
        for (int i = 0; i < generate_prompts(generate); i++)
            for (int j = 0; j < generate_choices(generate); j++)
                tell(answer, i, j);
    answer->form->finish(answer);
    if (answer->is_stream) {
        send(answer);
        reply.end(reply.context);
    } else {
        endpoint_answer_json(&reply, &answer->out);
    }
    release(answer);
}

static void failed(void *context, struct generate_call *generate, const struct error *why)
{
    struct answer *answer = context;
    const struct reply reply = answer->call.reply;
    (void)generate;
    if (answer->has_begun) {
        answer->form->fail(answer, why);
        send(answer);
        reply.end(reply.context);
    } else {
        endpoint_refuse(answer->call.endpoints, &reply, why);
    }
    release(answer);
}

static void cancel(struct call *call)
{
    struct answer *answer = (struct answer *)(void *)call;
    generate_cancel(answer->generate);
    release(answer);
}

struct call *answer_start(struct answer *answer, const struct endpoints *e,
                          const struct generate_request *request, const struct reply *reply)
{
    const struct generate_listener listener = {
        .progress = answer->is_stream ? progress : NULL,
        .done = done,
        .failed = failed,
        .context = answer,
    };
    struct error err = {0};
    answer->call = (struct call){.endpoints = e, .reply = *reply, .cancel = cancel};
    answer->generate = api_generate(e->settings.api, request, &listener, &err);
    if (answer->generate != NULL)
        return &answer->call;
    release(answer);
    return endpoint_refuse(e, reply, &err);
}

/* /generate and /generate_stream as Text Generation Inference: {"generated_text", "details"}; in a
 * stream a token an event, and no [DONE]. One prompt, one answer. */
#include "base/error.h"
#include "base/memory.h"
#include "proto/status.h"
#include "runtime/endpoints/native_answer.h"

static bool progress(struct answer *answer, int prompt, int choice)
{
    struct native_answer *a = native_of(answer);
    const struct output *output = generate_output(answer->generate, prompt, choice);
    const struct native_choice now = native_choice_of(a, prompt, choice);
    for (; a->n_sent < output->tokens.n; a->n_sent++) {
        struct native_choice token = now;
        native_add_rows(a, &token, output, a->n_sent);
        if (token.logprobs.n_rows > 0)
            native_write_tgi_token(&answer->out, &a->form, &token, (int)a->n_sent + 1);
    }
    arena_reset(&a->arena);
    return output->finish != FINISH_NONE;
}

static void finish(struct answer *answer)
{
    struct native_answer *a = native_of(answer);
    if (answer->is_stream)
        return;
    struct native_choice whole = native_choice_of(a, 0, 0);
    if (a->form.details)
        native_add_rows(a, &whole, generate_output(answer->generate, 0, 0), 0);
    native_write_tgi(&answer->out, &a->form, &whole);
}

static void fail(struct answer *answer, const struct error *why)
{
    bytes_add_text(&answer->out, "data:");
    status_write_json(&answer->out, why);
    bytes_add_text(&answer->out, "\n\n");
}

const struct answer_form native_tgi_form = {
    .stream_type = ANSWER_EVENTS,
    .progress = progress,
    .finish = finish,
    .fail = fail,
    .release = native_release,
};

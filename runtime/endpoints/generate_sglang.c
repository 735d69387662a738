/* /generate as SGLang: {"text", "output_ids", "meta_info"}; in a stream each event has all of it.
 */
#include "proto/openai_response.h"
#include "runtime/endpoints/native_answer.h"

static void add_choice(struct native_answer *a, int prompt, int choice)
{
    struct native_choice now = native_choice_of(a, prompt, choice);
    if (a->form.has_logprobs)
        native_add_rows(a, &now, generate_output(a->answer.generate, prompt, choice), 0);
    native_write_sglang(&a->answer.out, &a->form, &now);
    arena_reset(&a->arena);
}

static bool progress(struct answer *answer, int prompt, int choice)
{
    bytes_add_text(&answer->out, "data: ");
    add_choice(native_of(answer), prompt, choice);
    bytes_add_text(&answer->out, "\n\n");
    return generate_output(answer->generate, prompt, choice)->finish != FINISH_NONE;
}

static void finish(struct answer *answer)
{
    struct native_answer *a = native_of(answer);
    if (answer->is_stream) {
        openai_chunk_write_done(&answer->out);
        return;
    }
    bytes_add_text(&answer->out, a->form.is_list ? "[" : "");
    for (int i = 0; i < generate_prompts(answer->generate); i++)
        for (int j = 0; j < generate_choices(answer->generate); j++) {
            bytes_add_text(&answer->out, i + j > 0 ? "," : "");
            add_choice(a, i, j);
        }
    bytes_add_text(&answer->out, a->form.is_list ? "]" : "");
}

const struct answer_form native_sglang_form = {
    .stream_type = ANSWER_EVENTS,
    .progress = progress,
    .finish = finish,
    .fail = answer_write_failure,
    .release = native_release,
};

/* /generate as vLLM's demo server: {"text": [prompt and answer, …]}, a line an event in a stream;
 * whole answers have the results too, as `phalanx generate --json` gives them. */
#include "base/error.h"
#include "proto/request_output.h"
#include "proto/status.h"
#include "runtime/endpoints/native_answer.h"
#include "runtime/gateway/token_rows.h"

static struct json_logprob_rows rows_of(struct native_answer *a, const struct logprob_rows *rows)
{
    return token_rows_make(&a->arena, answer_tokenizer(&a->answer), rows, 0, rows->end.n);
}

static struct json_choice result_of(struct native_answer *a, const struct output *output)
{
    const struct sampling_params *params = &generate_sampling(a->answer.generate)->params;
    const bool is_beam = params->beam_width > 0, has_rows = params->logprobs != LOGPROBS_OFF;
    struct json_choice choice = {
        .text = {output->text.data, output->text.len},
        .token_ids = output->tokens.data,
        .n_tokens = (int)output->tokens.n,
        .has_cumulative = has_rows || is_beam,
        .cumulative_logprob = output->cumulative_logprob,
        .has_score = is_beam,
        .score = output->score,
        .has_logprobs = has_rows,
        .finish_reason = finish_reason_name(output->finish),
        .stop_text = output->stop_text,
        .stop_token = output->stop_token,
    };
    if (has_rows)
        choice.logprobs = rows_of(a, &output->logprobs);
    return choice;
}

/* The whole result of a prompt, as `phalanx generate --json` has it. */
static void add_result(struct native_answer *a, int prompt)
{
    const struct generate_call *call = a->answer.generate;
    const int n = generate_choices(call);
    const struct ids *ids = generate_prompt_ids(call, prompt);
    const struct output *first = generate_output(call, prompt, 0);
    const struct sampling *sampling = generate_sampling(call);
    struct json_choice *choice = arena_alloc(&a->arena, (size_t)n, sizeof *choice);
    size_t n_bytes;
    struct json_request result = {
        .request_id = a->id,
        .prompt = generate_prompt_text(call, prompt, &n_bytes),
        .prompt_ids = ids->data,
        .n_prompt = (int)ids->n,
        .n_cached = first->cached_tokens,
        .has_prompt_logprobs = sampling->params.prompt_logprobs != LOGPROBS_OFF,
        .seed = sampling->params.seed,
        .choice = choice,
        .n_choices = n,
    };
    for (int j = 0; j < n; j++) {
        const struct output *output = generate_output(call, prompt, j);
        choice[j] = result_of(a, output);
        result.n_drafted += output->n_drafted;
        result.n_accepted += output->n_accepted;
    }
    if (result.has_prompt_logprobs)
        result.prompt_logprobs = rows_of(a, &first->prompt);
    request_output_write_line(&a->answer.out, &result);
}

/* All choices as they stand: {"text":[…] and no end. */
static void add_texts(struct native_answer *a)
{
    struct bytes *out = &a->answer.out;
    const int n = generate_choices(a->answer.generate);
    bytes_add_text(out, "{\"text\":[");
    for (int i = 0; i < generate_prompts(a->answer.generate); i++)
        for (int j = 0; j < n; j++) {
            const struct native_choice choice = native_choice_of(a, i, j);
            bytes_add_text(out, i + j > 0 ? "," : "");
            json_write_joined(out, choice.prompt, choice.text);
        }
    bytes_add_char(out, ']');
}

static bool progress(struct answer *answer, int prompt, int choice)
{
    struct native_answer *a = native_of(answer);
    add_texts(a);
    bytes_add_text(&answer->out, "}\n");
    arena_reset(&a->arena);
    return generate_output(answer->generate, prompt, choice)->finish != FINISH_NONE;
}

static void finish(struct answer *answer)
{
    struct native_answer *a = native_of(answer);
    if (answer->is_stream)
        return;
    add_texts(a);
    bytes_add_text(&answer->out, ",\"results\":[");
    for (int i = 0; i < generate_prompts(answer->generate); i++) {
        bytes_add_text(&answer->out, i > 0 ? "," : "");
        arena_reset(&a->arena);
        add_result(a, i);
    }
    bytes_add_text(&answer->out, "]}");
}

static void fail(struct answer *answer, const struct error *why)
{
    status_write_json(&answer->out, why);
    bytes_add_char(&answer->out, '\n');
}

const struct answer_form native_vllm_form = {
    .stream_type = "application/x-ndjson",
    .progress = progress,
    .finish = finish,
    .fail = fail,
    .release = native_release,
};

#include "launcher/answer_json.h"

#include "base/memory.h"
#include "launcher/generation.h"
#include "proto/request_output.h"
#include "runtime/gateway/token_rows.h"

#include <stdio.h>

/* All of them; the arena has the texts of the tokens. */
static struct json_logprob_rows rows_of(const struct logprob_rows *rows,
                                        const struct tokenizer *tokenizer, struct arena *arena)
{
    return token_rows_make(arena, tokenizer, rows, 0, rows->end.n);
}

static struct json_choice choice_of(const struct generation_item *item, int index,
                                    const struct sampling *sampling, struct arena *arena)
{
    const struct output *output = &item->answer.output[index];
    const bool is_beam = sampling->params.beam_width > 0;
    const bool has_logprobs = sampling->params.logprobs != LOGPROBS_OFF;
    struct json_choice choice = {
        .text = {output->text.data, output->text.len},
        .token_ids = output->tokens.data,
        .n_tokens = (int)output->tokens.n,
        .has_cumulative = has_logprobs || is_beam,
        .cumulative_logprob = output->cumulative_logprob,
        .has_score = is_beam,
        .score = output->score,
        .has_logprobs = has_logprobs,
        .finish_reason = finish_reason_name(output->finish),
        .stop_text = output->stop_text,
        .stop_token = output->stop_token,
        .error = item->answer.failure[index].kind == ERROR_NONE ? NULL
                                                                : item->answer.failure[index].text,
    };
    if (has_logprobs)
        choice.logprobs = rows_of(&output->logprobs, sampling->rules.tokenizer, arena);
    return choice;
}

void answer_json_write(struct bytes *out, const struct generation_item *item,
                       const struct sampling *sampling, bool one_line)
{
    struct arena arena = {0};
    struct json_choice *choice =
        arena_alloc(&arena, (size_t)item->answer.n_choices, sizeof *choice);
    char id[24];
    snprintf(id, sizeof id, "%zu", item->number);
    struct json_request request = {
        .request_id = id,
        .prompt = item->text,
        .prompt_ids = item->ids.data,
        .n_prompt = (int)item->ids.n,
        .n_cached = item->answer.output[0].cached_tokens,
        .has_prompt_logprobs = sampling->params.prompt_logprobs != LOGPROBS_OFF,
        .seed = sampling->params.seed,
        .choice = choice,
        .n_choices = item->answer.n_choices,
    };
    for (int i = 0; i < item->answer.n_choices; i++) {
        choice[i] = choice_of(item, i, sampling, &arena);
        request.n_drafted += item->answer.output[i].n_drafted;
        request.n_accepted += item->answer.output[i].n_accepted;
    }
    if (request.has_prompt_logprobs)
        request.prompt_logprobs =
            rows_of(&item->answer.output[0].prompt, sampling->rules.tokenizer, &arena);
    if (one_line)
        request_output_write_line(out, &request);
    else
        request_output_write(out, &request);
    arena_release(&arena);
}

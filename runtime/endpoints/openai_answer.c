/* Of each choice is known how much of it was sent; what is new of an output is the rest. The
 * choices of several prompts are one list: choice j of prompt i is number i * n + j. */
#include "runtime/endpoints/openai_answer.h"

#include "base/memory.h"
#include "runtime/gateway/token_rows.h"

#include <string.h>

struct sent {                /* of a choice */
    size_t n_text, n_tokens; /* bytes, ids */
    int64_t n_characters;    /* of tokens with log-probabilities, the prompt's too */
    bool begun;
};

struct openai_answer {
    struct answer answer;
    struct openai_form form;
    struct openai_head head;
    char id[ENDPOINT_ID_BYTES];
    char *role;
    struct bytes begin; /* of every chunk */
    struct bytes echo;  /* of a chat */
    struct sent *sent;  /* [prompts * choices]; NULL: not streamed yet */
    struct arena arena; /* of one chunk, or of one choice */
};

static struct openai_answer *of(struct answer *answer)
{
    return (struct openai_answer *)(void *)answer;
}

/* ---- parts of a choice ---- */

static struct json_text echo_of(struct openai_answer *a, int prompt)
{
    if (!a->form.echo)
        return (struct json_text){"", 0};
    if (a->head.kind == OPENAI_CHAT)
        return (struct json_text){a->echo.data, a->echo.len};
    return answer_prompt_text(&a->answer, prompt, &a->arena);
}

/* Those of the prompt are with its first choice. */
static const struct logprob_rows *prompt_rows(const struct openai_answer *a, int prompt)
{
    return &generate_output(a->answer.generate, prompt, 0)->prompt;
}

static struct token_rows rows_begin(struct openai_answer *a)
{
    return (struct token_rows){.arena = &a->arena,
                               .tokenizer = answer_tokenizer(&a->answer),
                               .as_ids = a->form.tokens_as_ids};
}

static void add_prompt_rows(struct openai_answer *a, struct token_rows *rows, int prompt)
{
    const struct ids *ids = generate_prompt_ids(a->answer.generate, prompt);
    if (ids->n > 0)
        token_rows_add_first(rows, ids->data[0]);
    token_rows_add(rows, prompt_rows(a, prompt), 0, prompt_rows(a, prompt)->end.n);
}

/* What stands behind `sent` of a choice. */
static struct openai_choice rest_of(struct openai_answer *a, int prompt, int choice,
                                    const struct sent *sent)
{
    const struct output *output = generate_output(a->answer.generate, prompt, choice);
    const size_t n_tokens = a->form.only_echo ? 0 : output->tokens.n;
    struct openai_choice rest = {
        .index = prompt * generate_choices(a->answer.generate) + choice,
        .finish_reason = finish_reason_name(output->finish),
        .stop_text = output->stop_text,
        .stop_token = output->finish != FINISH_NONE ? output->stop_token : -1,
        .has_token_ids = a->form.return_token_ids,
        .has_prompt_ids = a->form.return_token_ids && !sent->begun,
        .has_prompt_text = a->form.return_prompt_text && !sent->begun,
        .has_logprobs = a->form.has_logprobs,
        .n_top = (int)a->form.n_top,
        .text_offset = sent->n_characters,
    };
    if (!sent->begun) {
        const struct ids *ids = generate_prompt_ids(a->answer.generate, prompt);
        rest.role = a->role;
        rest.echo = echo_of(a, prompt);
        rest.prompt_ids = (struct openai_ids){ids->data, (int)ids->n};
        if (rest.has_prompt_text)
            rest.prompt_text = tokens_text(&a->arena, answer_tokenizer(&a->answer), ids);
    }
    if (n_tokens > 0) {
        const char *text = output->text.len > 0 ? output->text.data : "";
        rest.text = (struct json_text){text + sent->n_text, output->n_released - sent->n_text};
        rest.token_ids = (struct openai_ids){output->tokens.data + sent->n_tokens,
                                             (int)(n_tokens - sent->n_tokens)};
    }
    if (a->form.has_logprobs) {
        struct token_rows rows = rows_begin(a);
        const size_t n_rows = n_tokens < output->logprobs.end.n ? n_tokens : output->logprobs.end.n;
        if (!sent->begun && a->form.echo && a->head.kind == OPENAI_COMPLETION)
            add_prompt_rows(a, &rows, prompt);
        token_rows_add(&rows, &output->logprobs, sent->n_tokens, n_rows);
        rest.logprobs = token_rows_view(&rows);
    }
    return rest;
}

static struct openai_usage usage_of(const struct openai_answer *a)
{
    const struct api_usage usage = generate_usage(a->answer.generate);
    return (struct openai_usage){
        usage.prompt_tokens, a->form.only_echo ? 0 : usage.completion_tokens, usage.cached_tokens};
}

/* ---- streams ---- */

static void begin_stream(struct openai_answer *a)
{
    const struct generate_call *call = a->answer.generate;
    const int n = generate_prompts(call) * generate_choices(call);
    a->sent = memory_alloc((size_t)n, sizeof *a->sent);
    openai_chunk_begin(&a->begin, &a->head);
}

/* A choice with the log-probabilities of its prompt waits for them: they come with choice 0, or
 * never where that has ended without. */
static bool has_its_prompt(const struct openai_answer *a, int prompt)
{
    const struct output *first = generate_output(a->answer.generate, prompt, 0);
    return !a->form.echo || !a->form.has_logprobs || a->head.kind == OPENAI_CHAT ||
           first->finish != FINISH_NONE ||
           first->prompt.end.n + 1 >= generate_prompt_ids(a->answer.generate, prompt)->n;
}

static void write_chunk(struct openai_answer *a, const struct openai_choice *choice, int prompt,
                        size_t n_tokens)
{
    const struct openai_usage so_far = {
        .prompt_tokens = (int64_t)generate_prompt_ids(a->answer.generate, prompt)->n,
        .completion_tokens = a->form.only_echo ? 0 : (int64_t)n_tokens,
        .cached_tokens = OPENAI_NOT_SAID,
    };
    openai_chunk_write(&a->answer.out, &a->begin, a->head.kind, choice,
                       a->form.continuous_usage ? &so_far : NULL);
}

/* vLLM's clients know a chat by its first chunk, which has the role and no text. */
static void write_role(struct openai_answer *a, const struct openai_choice *rest, int prompt)
{
    const struct openai_choice first = {
        .index = rest->index,
        .role = rest->role,
        .stop_token = -1,
        .has_prompt_ids = rest->has_prompt_ids,
        .prompt_ids = rest->prompt_ids,
        .has_prompt_text = rest->has_prompt_text,
        .prompt_text = rest->prompt_text,
    };
    const struct openai_choice begun = {.index = rest->index, .echo = rest->echo, .stop_token = -1};
    write_chunk(a, &first, prompt, 0);
    if (rest->echo.n_bytes > 0)
        write_chunk(a, &begun, prompt, 0);
}

static void write_rest(struct openai_answer *a, struct openai_choice *rest, const struct sent *sent,
                       int prompt)
{
    if (a->head.kind == OPENAI_CHAT && rest->role != NULL) {
        write_role(a, rest, prompt);
        rest->role = NULL;
        rest->echo = (struct json_text){0};
        rest->has_prompt_ids = rest->has_prompt_text = false;
    }
    rest->has_logprobs = rest->logprobs.n_rows > 0;
    const bool shows_tokens = rest->has_logprobs || (rest->has_token_ids && rest->token_ids.n > 0);
    if (rest->text.n_bytes > 0 || rest->echo.n_bytes > 0 || rest->finish_reason != NULL ||
        shows_tokens)
        write_chunk(a, rest, prompt, sent->n_tokens);
}

static bool progress(struct answer *answer, int prompt, int choice)
{
    struct openai_answer *a = of(answer);
    if (a->sent == NULL)
        begin_stream(a);
    struct sent *sent = &a->sent[prompt * generate_choices(answer->generate) + choice];
    const struct output *output = generate_output(answer->generate, prompt, choice);
    if (!has_its_prompt(a, prompt) || (output->tokens.n == 0 && output->finish == FINISH_NONE))
        return false;
    struct openai_choice rest = rest_of(a, prompt, choice, sent);
    sent->n_characters += json_logprobs_characters(&rest.logprobs);
    sent->n_text = output->n_released;
    sent->n_tokens = output->tokens.n;
    sent->begun = true;
    write_rest(a, &rest, sent, prompt);
    arena_reset(&a->arena);
    return output->finish != FINISH_NONE;
}

static void finish_stream(struct openai_answer *a)
{
    const struct openai_usage usage = usage_of(a);
    if (a->form.include_usage)
        openai_chunk_write_usage(&a->answer.out, &a->begin, &usage);
    openai_chunk_write_done(&a->answer.out);
}

/* ---- whole ---- */

static void add_prompt_logprobs(struct openai_answer *a, struct openai_choice *choice, int prompt)
{
    if (generate_sampling(a->answer.generate)->params.prompt_logprobs == LOGPROBS_OFF)
        return;
    struct token_rows rows = rows_begin(a);
    add_prompt_rows(a, &rows, prompt);
    choice->has_prompt_logprobs = true;
    choice->prompt_logprobs = token_rows_view(&rows);
}

static void finish_whole(struct openai_answer *a)
{
    static const struct sent nothing = {0};
    const int n_prompts = generate_prompts(a->answer.generate);
    const int n_choices = generate_choices(a->answer.generate);
    const struct openai_usage usage = usage_of(a);
    struct openai_choice choice = {0};
    openai_whole_begin(&a->answer.out, &a->head);
    for (int i = 0; i < n_prompts; i++)
        for (int j = 0; j < n_choices; j++) {
            arena_reset(&a->arena);
            choice = rest_of(a, i, j, &nothing);
            add_prompt_logprobs(a, &choice, i);
            openai_whole_choice(&a->answer.out, &a->head, &choice, i + j == 0);
        }
    openai_whole_end(&a->answer.out, &a->head, &usage, &choice);
}

static void finish(struct answer *answer)
{
    if (answer->is_stream)
        finish_stream(of(answer));
    else
        finish_whole(of(answer));
}

/* ---- life ---- */

static void release(struct answer *answer)
{
    struct openai_answer *a = of(answer);
    bytes_release(&a->begin);
    bytes_release(&a->echo);
    memory_free(a->role);
    memory_free(a->sent);
    arena_release(&a->arena);
    memory_free(a);
}

static const struct answer_form openai_form = {
    .stream_type = ANSWER_EVENTS,
    .progress = progress,
    .finish = finish,
    .fail = answer_write_failure,
    .release = release,
};

struct call *openai_answer_start(const struct endpoints *e, const struct openai_start *start,
                                 const struct generate_request *request, const struct reply *reply)
{
    struct openai_answer *a = memory_alloc(1, sizeof *a);
    a->answer.form = &openai_form;
    a->answer.is_stream = start->form->stream;
    a->form = *start->form;
    memcpy(a->id, request->source.request_id, sizeof a->id);
    a->head = (struct openai_head){.kind = start->kind,
                                   .id = a->id,
                                   .model = e->settings.api->model.name[0],
                                   .created_s = request->source.created_s};
    a->role = start->role != NULL ? memory_copy_text(start->role) : NULL;
    bytes_add(&a->echo, start->echo.data, start->echo.n_bytes);
    return answer_start(&a->answer, e, request, reply);
}

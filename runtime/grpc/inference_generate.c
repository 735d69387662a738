/* Generate and Chat: what the api tells of a call becomes messages as it comes. */
#include "proto/inference_responses.h"
#include "runtime/gateway/output.h"
#include "runtime/gateway/token_rows.h"
#include "runtime/grpc/inference.h"
#include "runtime/grpc/rpc.h"

#include "base/error.h"

#include <grpc/status.h>
#include <string.h>

struct sent { /* of a choice */
    size_t n_text, n_tokens;
    bool is_finished;
};

struct generation { /* of one rpc, until the api told its end */
    struct rpc *rpc;
    struct generate_call *call;
    size_t n_prompt_rows; /* of the prompt's log-probabilities, sent */
    struct sent *sent;    /* [n_choices] */
    bool with_prompt_ids; /* in the first message */
};

static const enum inference_finish finish_of[] = {
    [FINISH_NONE] = INFERENCE_GOES_ON,  [FINISH_STOP] = INFERENCE_STOP,
    [FINISH_LENGTH] = INFERENCE_LENGTH, [FINISH_ABORT] = INFERENCE_ABORT,
    [FINISH_ERROR] = INFERENCE_ERROR,
};

static void free_generation(struct generation *g)
{
    rpc_set_data(g->rpc, NULL);
    memory_free(g->sent);
    memory_free(g);
}

/* ---- what the api tells ---- */

static struct bytes *write_response(const struct generation *g, struct arena *scratch,
                                    const struct inference_response *response)
{
    struct bytes *buffer = rpc_buffer(g->rpc);
    inference_write_response(buffer, scratch, response);
    return buffer;
}

static bool send_response(struct generation *g, struct arena *scratch,
                          const struct inference_response *response)
{
    return rpc_send(g->rpc, write_response(g, scratch, response));
}

static bool send_prompt_rows(struct generation *g, const struct output *output)
{
    const size_t n_rows = output->prompt.end.n;
    if (n_rows <= g->n_prompt_rows)
        return true;
    struct arena *scratch = rpc_scratch(g->rpc);
    struct inference_response response = {.has_prompt = true};
    response.prompt.logprobs = token_rows_make(scratch, rpc_api(g->rpc)->intake->tokenizer,
                                               &output->prompt, g->n_prompt_rows, n_rows);
    g->n_prompt_rows = n_rows;
    return send_response(g, scratch, &response);
}

/* As soon as the prompt is read, so that the client has the id to abort it with. */
static void send_begin(void *context, struct generate_call *call)
{
    struct generation *g = context;
    const struct ids *prompt = generate_prompt_ids(call, 0);
    struct inference_response response = {.request_id = generate_source(call)->request_id,
                                          .has_prompt = true};
    response.prompt.has_count = true;
    response.prompt.n_tokens = (int)prompt->n;
    response.prompt.token_ids = g->with_prompt_ids ? prompt->data : NULL;
    send_response(g, rpc_scratch(g->rpc), &response);
}

static void set_finish(struct inference_response *response, const struct output *output)
{
    response->choice.finish = finish_of[output->finish];
    response->choice.stop_token = output->stop_token;
    response->choice.stop_text = output->stop_text;
}

static bool send_choice(struct generation *g, int choice)
{
    struct sent *sent = &g->sent[choice];
    const struct output *output = generate_output(g->call, 0, choice);
    const struct sampling_params *params = &generate_sampling(g->call)->params;
    const bool ends = output->finish != FINISH_NONE && !sent->is_finished;
    if (output->n_released == sent->n_text && output->tokens.n == sent->n_tokens && !ends)
        return true;
    struct arena *scratch = rpc_scratch(g->rpc);
    struct inference_response response = {.has_choice = true};
    response.choice.index = choice;
    response.choice.stop_token = -1;
    if (output->n_released > sent->n_text)
        response.choice.text =
            (struct json_text){output->text.data + sent->n_text, output->n_released - sent->n_text};
    if (output->tokens.n > sent->n_tokens) {
        response.choice.token_ids = output->tokens.data + sent->n_tokens;
        response.choice.n_tokens = (int)(output->tokens.n - sent->n_tokens);
    }
    if (params->logprobs != LOGPROBS_OFF)
        response.choice.logprobs =
            token_rows_make(scratch, rpc_api(g->rpc)->intake->tokenizer, &output->logprobs,
                            sent->n_tokens, output->logprobs.end.n);
    if (ends) {
        set_finish(&response, output);
        response.choice.has_cumulative = params->logprobs != LOGPROBS_OFF;
        response.choice.cumulative_logprob = output->cumulative_logprob;
        response.choice.has_score = params->beam_width > 0;
        response.choice.score = output->score;
    }
    *sent = (struct sent){output->n_released, output->tokens.n, ends || sent->is_finished};
    const struct bytes *message = write_response(g, scratch, &response);
    /* of the only choice: the usage comes at once */
    return ends && generate_choices(g->call) == 1 ? rpc_send_with_next(g->rpc, message)
                                                  : rpc_send(g->rpc, message);
}

static bool progress(void *context, struct generate_call *call, int prompt, int choice)
{
    struct generation *g = context;
    (void)prompt; /* there is one */
    return (choice != 0 || send_prompt_rows(g, generate_output(call, 0, 0))) &&
           send_choice(g, choice);
}

static void done(void *context, struct generate_call *call)
{
    struct generation *g = context;
    struct rpc *rpc = g->rpc;
    const struct api_usage usage = generate_usage(call);
    const struct inference_response last = {
        .has_usage = true,
        .usage = {usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens}};
    for (int i = 0; i < generate_choices(call); i++)
        progress(g, call, 0, i); /* beams come all at once, at the end */
    send_response(g, rpc_scratch(rpc), &last);
    free_generation(g);
    rpc_end(rpc, NULL);
}

static void failed(void *context, struct generate_call *call, const struct error *why)
{
    struct generation *g = context;
    struct rpc *rpc = g->rpc;
    (void)call;
    free_generation(g);
    rpc_end(rpc, why);
}

void inference_generate_closed(struct rpc *rpc)
{
    struct generation *g = rpc_data(rpc);
    if (g == NULL)
        return;
    generate_cancel(g->call);
    free_generation(g);
}

int inference_abort(const struct rpc *asks, const char *request_id)
{
    const struct rpc_server *server = rpc_server_of(asks);
    int n = 0;
    for (struct rpc *rpc = rpc_next(server, NULL); rpc != NULL; rpc = rpc_next(server, rpc)) {
        const struct rpc_method *method = rpc_method_of(rpc);
        if (method == NULL || method->closed != inference_generate_closed ||
            rpc_data(rpc) == NULL || rpc_tenant(rpc) != rpc_tenant(asks))
            continue;
        const struct generation *g = rpc_data(rpc);
        if (strcmp(generate_source(g->call)->request_id, request_id) != 0)
            continue;
        inference_generate_closed(rpc);
        rpc_cancel(rpc, GRPC_STATUS_CANCELLED, "Abort was called for this request");
        n++;
    }
    return n;
}

/* ---- what the client asks ---- */

static struct sampling_fields sampling_of(struct arena *arena, const struct rpc *rpc,
                                          const struct inference_generate *from)
{
    const struct inference_sampling *s = &from->sampling;
    struct sampling_bias *bias = arena_alloc(arena, s->n_logit_bias, sizeof *bias);
    for (size_t i = 0; i < s->n_logit_bias; i++)
        bias[i] =
            (struct sampling_bias){.token = s->logit_bias[i].token, .bias = s->logit_bias[i].bias};
    struct sampling_fields f = sampling_nothing_said();
    f.temperature = s->temperature;
    f.top_p = s->top_p;
    f.min_p = s->min_p;
    f.repetition_penalty = s->repetition_penalty;
    f.frequency_penalty = s->frequency_penalty;
    f.presence_penalty = s->presence_penalty;
    f.length_penalty = s->length_penalty;
    f.top_k = s->top_k;
    f.n = s->n;
    f.seed = s->seed;
    f.max_tokens = s->max_tokens;
    f.min_tokens = s->min_tokens;
    f.logprobs = s->logprobs;
    f.prompt_logprobs = s->prompt_logprobs;
    f.beam_width = s->beam_width;
    f.ignore_eos = s->ignore_eos;
    f.include_stop_str_in_output = s->include_stop_str_in_output;
    f.skip_special_tokens = s->skip_special_tokens;
    f.stop = s->stop;
    f.n_stop = s->n_stop;
    f.bad_words = s->bad_words;
    f.n_bad_words = s->n_bad_words;
    f.stop_token_ids = s->stop_token_ids.id;
    f.n_stop_token_ids = s->stop_token_ids.n;
    f.allowed_token_ids = s->allowed_token_ids.id;
    f.n_allowed_token_ids = s->allowed_token_ids.n;
    f.logit_bias = s->n_logit_bias > 0 ? bias : NULL;
    f.n_logit_bias = s->n_logit_bias;
    f.priority = from->scheduling.priority;
    f.deadline_ms = inference_deadline_ms(rpc, from->scheduling.deadline_ms);
    f.cache_salt = from->scheduling.cache_salt;
    return f;
}

static bool generate(struct rpc *rpc, struct arena *arena, const struct inference_generate *from,
                     struct error *err)
{
    const struct api_prompt prompt = inference_prompt(&from->prompt);
    const bool is_chat = from->messages != NULL;
    struct generate_request request = {
        .model = from->model,
        .sampling = sampling_of(arena, rpc, from),
        .prompt = is_chat ? NULL : &prompt,
        .n_prompts = is_chat ? 0 : 1,
        .add_special_tokens = !is_chat && from->add_special_tokens != 0,
        .messages = from->messages,
        .tools = from->tools,
        .documents = from->documents,
        .template_variables = from->template_variables,
        .add_generation_prompt = from->add_generation_prompt != 0,
        .continue_final_message = from->continue_final_message == 1,
        .truncate_prompt_tokens = from->truncate_prompt_tokens,
        .default_max_tokens = is_chat ? INT32_MAX : 16,
    };
    if (!inference_source(&request.source, rpc, from->request_id, err))
        return false;
    struct generation *g = memory_alloc(1, sizeof *g);
    const struct generate_listener listener = {
        .sent = send_begin, .progress = progress, .done = done, .failed = failed, .context = g};
    g->rpc = rpc;
    g->with_prompt_ids = from->return_prompt_token_ids == 1;
    g->call = api_generate(rpc_api(rpc), &request, &listener, err);
    if (g->call == NULL) {
        memory_free(g);
        return false;
    }
    g->sent = memory_alloc((size_t)generate_choices(g->call), sizeof *g->sent);
    rpc_set_data(rpc, g);
    if (generate_is_sent(g->call))
        send_begin(g, g->call);
    return true;
}

typedef bool read_request(struct inference_generate *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err);

static void answer(struct rpc *rpc, read_request *read, const void *data, size_t n_bytes)
{
    struct inference_generate request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    const bool is_going =
        read(&request, arena, data, n_bytes, &err) && generate(rpc, arena, &request, &err);
    inference_generate_release(&request);
    if (!is_going)
        rpc_end(rpc, &err);
}

void inference_generate(struct rpc *rpc, const void *data, size_t n_bytes)
{
    answer(rpc, inference_read_generate, data, n_bytes);
}

void inference_chat(struct rpc *rpc, const void *data, size_t n_bytes)
{
    answer(rpc, inference_read_chat, data, n_bytes);
}

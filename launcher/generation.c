#include "launcher/generation.h"

#include "base/memory.h"
#include "base/system.h"
#include "base/utf8.h"
#include "runtime/gateway/generation_config.h"
#include "runtime/options.h"

#include <string.h>

static bool read_stop_ids(struct sampling_params *params, const struct options *options, int vocab,
                          struct error *err)
{
    struct ids ids = {0};
    bool good = true;
    for (int i = 0; good && i < options->stop_token_ids.n; i++) {
        good = intake_ids(options->stop_token_ids.item[i], vocab, &ids, err) ||
               error_in(err, "--stop-token-ids");
        for (size_t k = 0; good && k < ids.n; k++) {
            if (params->n_stop_ids == PARAMS_MAX_STOP_IDS)
                good = error_set(err, ERROR_INPUT, "--stop-token-ids: at most %d ids",
                                 PARAMS_MAX_STOP_IDS);
            else
                params->stop_id[params->n_stop_ids++] = ids.data[k];
        }
    }
    ids_release(&ids);
    return good;
}

/* An option that was given, else what the makers of the model say, else the default. */
static bool read_params(struct sampling_params *out, const struct options *options,
                        const char *model_folder, struct error *err)
{
    const struct {
        const char *name;
        float *number;
        double given_number;
        int32_t *count;
        int64_t given_count;
    } rows[] = {
        {.name = "--temperature",
         .number = &out->temperature,
         .given_number = options->temperature},
        {.name = "--top-p", .number = &out->top_p, .given_number = options->top_p},
        {.name = "--min-p", .number = &out->min_p, .given_number = options->min_p},
        {.name = "--repetition-penalty",
         .number = &out->repetition_penalty,
         .given_number = options->repetition_penalty},
        {.name = "--top-k", .count = &out->top_k, .given_count = options->top_k},
        {.name = "--max-tokens", .count = &out->max_tokens, .given_count = options->max_tokens},
    };
    *out = params_default();
    /* A chat answers until the model ends: what fits, unless somebody gave a number. */
    out->max_tokens = options->command == COMMAND_CHAT ? INT32_MAX : (int32_t)options->max_tokens;
    out->min_tokens = (int32_t)options->min_tokens;
    out->frequency_penalty = (float)options->frequency_penalty;
    out->presence_penalty = (float)options->presence_penalty;
    out->logprobs = (int32_t)options->logprobs;
    out->ignore_eos = options->ignore_eos;
    out->seed = (uint64_t)options->seed;
    if (strcmp(options->generation_config, "auto") == 0 &&
        !generation_config_read(out, model_folder, err))
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!options_is_given(options, rows[i].name))
            continue;
        if (rows[i].number != NULL)
            *rows[i].number = (float)rows[i].given_number;
        else
            *rows[i].count = (int32_t)rows[i].given_count;
    }
    return true;
}

/* Half a character would be found inside others, and cut them. */
static bool stop_text_check(const char *text, struct error *err)
{
    if (*text == '\0')
        return error_set(err, ERROR_INPUT, "--stop: a stop text cannot be empty");
    return utf8_valid_bytes(text, strlen(text)) == strlen(text) ||
           error_set(err, ERROR_INPUT, "--stop: the text is not UTF-8");
}

bool generation_init(struct generation *out, const struct options *options,
                     const struct session *session, struct error *err)
{
    struct sampling_params params;
    if (!read_params(&params, options, session->model_folder, err))
        return false;
    *out = (struct generation){
        .n_choices = (int)options->n,
        .max_length =
            options_is_given(options, "--max-tokens") ? 0 : (int32_t)options->factory.max_length,
        .rules = {.tokenizer = session->intake.tokenizer,
                  .stop = options->stop.item,
                  .n_stop = options->stop.n,
                  .min_tokens = (int)options->min_tokens,
                  .include_stop = options->include_stop_str,
                  .skip_special_tokens = options->skip_special_tokens},
    };
    for (int i = 0; i < options->stop.n; i++)
        if (!stop_text_check(options->stop.item[i], err))
            return false;
    if (options->seed < 0) {
        if (!system_random(&params.seed, sizeof params.seed, err))
            return false;
        params.seed >>= 11; /* 53 bits: every JSON reader gets it back whole */
    }
    if (!read_stop_ids(&params, options, session->vocab, err) ||
        !params_check(&params, session->vocab, err))
        return false;
    if (params.temperature < 1e-5f && out->n_choices > 1)
        return error_set(err, ERROR_INPUT,
                         "--n: %d equal answers at temperature 0; raise --temperature, or --n 1",
                         out->n_choices);
    out->params = params;
    return true;
}

bool generation_add_prompt(struct generation *g, const struct session *session, const char *text,
                           struct ids *take_ids, bool exact, struct error *err)
{
    int32_t max_tokens = g->params.max_tokens;
    if (g->max_length > 0)
        max_tokens = (size_t)g->max_length > take_ids->n ? g->max_length - (int32_t)take_ids->n : 1;
    if (!intake_fit(take_ids->n, session->max_model_len, exact, &max_tokens, err)) {
        ids_release(take_ids);
        return false;
    }
    g->prompt = memory_resize(g->prompt, (size_t)g->n_prompts + 1, sizeof *g->prompt);
    g->prompt[g->n_prompts++] = (struct generation_prompt){text, *take_ids, max_tokens};
    return true;
}

bool generation_add_text(struct generation *g, struct session *session, const char *text,
                         bool exact_max_tokens, struct error *err)
{
    struct ids ids = {0};
    if (!intake_text(&session->intake, text, strlen(text), &ids, err)) {
        ids_release(&ids);
        return false;
    }
    return generation_add_prompt(g, session, text, &ids, exact_max_tokens, err);
}

bool generation_add_ids(struct generation *g, struct session *session, const char *text,
                        bool exact_max_tokens, struct error *err)
{
    struct ids ids = {0};
    if (!intake_ids(text, session->vocab, &ids, err)) {
        ids_release(&ids);
        return error_in(err, "--prompt-ids");
    }
    return generation_add_prompt(g, session, NULL, &ids, exact_max_tokens, err);
}

struct listener { /* of one choice */
    struct generation *g;
    int index;
    generation_progress_fn *progress;
    void *context;
};

static bool take_token(void *context, const struct link_token *token)
{
    struct listener *l = context;
    struct output *output = &l->g->output[l->index];
    output_add(output, token);
    return l->progress(l->context, l->index, output) && output->finish == FINISH_NONE;
}

static void take_failure(void *context, const struct error *why)
{
    struct listener *l = context;
    l->g->failure[l->index] = *why;
    output_end(&l->g->output[l->index], FINISH_ERROR);
    l->progress(l->context, l->index, &l->g->output[l->index]);
}

bool generation_run(struct generation *g, struct session *session, generation_progress_fn *progress,
                    void *context, struct error *err)
{
    const int n = g->n_prompts * g->n_choices;
    struct listener *listener = memory_alloc((size_t)n, sizeof *listener);
    g->output = memory_alloc((size_t)n, sizeof *g->output);
    g->failure = memory_alloc((size_t)n, sizeof *g->failure);
    for (int i = 0; i < n; i++)
        output_init(&g->output[i], &g->rules);
    bool good = true;
    for (int i = 0; good && i < n; i++) {
        const struct generation_prompt *prompt = &g->prompt[i / g->n_choices];
        struct link_submit submit = {.prompt = prompt->ids.data,
                                     .n_prompt = (int)prompt->ids.n,
                                     .choice = i % g->n_choices,
                                     .params = g->params};
        submit.params.max_tokens = prompt->max_tokens;
        submit.params.seed += (uint64_t)submit.choice;
        listener[i] = (struct listener){g, i, progress, context};
        const struct dispatch_listener hear = {take_token, take_failure, &listener[i]};
        good = dispatch_submit(session->dispatch, &submit, &hear, err);
    }
    good = (good && dispatch_run(session->dispatch, session->interrupt, err)) ||
           job_explain(&session->job, err);
    if (!good) { /* what is in flight must not speak to listeners that are gone */
        struct error ignored = {0};
        dispatch_cancel_all(session->dispatch, &ignored);
    }
    memory_free(listener);
    return good;
}

void generation_release(struct generation *g)
{
    for (int i = 0; g->output != NULL && i < g->n_prompts * g->n_choices; i++)
        output_release(&g->output[i]);
    for (int i = 0; i < g->n_prompts; i++)
        ids_release(&g->prompt[i].ids);
    memory_free(g->output);
    memory_free(g->failure);
    memory_free(g->prompt);
    *g = (struct generation){0};
}

#include "launcher/sampling.h"

#include "base/memory.h"
#include "base/system.h"
#include "base/utf8.h"
#include "launcher/session.h"
#include "runtime/gateway/generation_config.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t NS_OF_MS = 1000000;

/* All ids of an option that may be repeated; at most `most` where that is not 0. */
static bool read_ids(struct ids *out, const char *name, const struct option_list *list, size_t most,
                     int vocab, struct error *err)
{
    struct ids some = {0};
    bool good = true;
    ids_clear(out);
    for (int i = 0; good && i < list->n; i++) {
        good = intake_ids(list->item[i], vocab, &some, err) || error_in(err, "%s", name);
        if (good)
            ids_add_all(out, some.data, some.n);
        if (good && out->n > most)
            good = error_set(err, ERROR_INPUT, "%s: at most %zu ids", name, most);
    }
    ids_release(&some);
    return good;
}

static bool read_stop_ids(struct sampling *s, const struct options *options, int vocab,
                          struct error *err)
{
    struct ids ids = {0};
    const bool good = read_ids(&ids, "--stop-token-ids", &options->stop_token_ids,
                               PARAMS_MAX_STOP_IDS, vocab, err);
    for (size_t i = 0; good && i < ids.n; i++)
        s->params.stop_id[i] = ids.data[i];
    s->params.n_stop_ids = good ? (int32_t)ids.n : 0;
    ids_release(&ids);
    return good;
}

/* "ID:BIAS, ID:BIAS" behind what is there. */
static bool add_biases(struct sampling *s, const char *text, int vocab, struct error *err)
{
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        const long long id = strtoll(at, &end, 10);
        if (end == at || *end != ':')
            return error_set(err, ERROR_INPUT, "want ID:BIAS, not '%.20s'", at);
        if (errno != 0 || id < 0 || id >= vocab)
            return error_set(err, ERROR_INPUT, "%.*s is no token of this model (0 .. %d)",
                             (int)(end - at), at, vocab - 1);
        at = end + 1;
        const double bias = strtod(at, &end);
        if (end == at || !(fabs(bias) <= 100))
            return error_set(err, ERROR_INPUT, "want a bias of -100 to 100, not '%.20s'", at);
        if (s->params.n_biases == PARAMS_MAX_BIASES)
            return error_set(err, ERROR_INPUT, "at most %d of them", PARAMS_MAX_BIASES);
        s->bias[s->params.n_biases++] = (struct token_bias){(int32_t)id, (float)bias};
        at = end + strspn(end, " ");
        if (*at == '\0')
            return true;
        if (*at != ',')
            return error_set(err, ERROR_INPUT, "want ID:BIAS,ID:BIAS, not '%.20s'", at);
    }
}

static bool read_lists(struct sampling *s, const struct options *options, struct session *session,
                       struct error *err)
{
    const int vocab = session->vocab;
    if (!read_stop_ids(s, options, vocab, err) ||
        !read_ids(&s->allowed_id, "--allowed-token-ids", &options->allowed_token_ids, (size_t)vocab,
                  vocab, err))
        return false;
    if (options->logit_bias.n > 0)
        s->bias = memory_alloc(PARAMS_MAX_BIASES, sizeof *s->bias);
    for (int i = 0; i < options->logit_bias.n; i++)
        if (!add_biases(s, options->logit_bias.item[i], vocab, err))
            return error_in(err, "--logit-bias");
    if (!intake_bad_words(&session->intake, options->bad_words.item, options->bad_words.n,
                          &s->bad_id, &s->bad_end, err))
        return error_in(err, "--bad-words");
    s->params.allowed_id = s->allowed_id.data;
    s->params.n_allowed_ids = (int32_t)s->allowed_id.n;
    s->params.bias = s->bias;
    s->params.bad_id = s->bad_id.data;
    s->params.bad_end = s->bad_end.data;
    s->params.n_bad_words = (int32_t)s->bad_end.n;
    return true;
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
    out->prompt_logprobs = (int32_t)options->prompt_logprobs;
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

/* Beams end where the model ends, or at their length, and are all compared by the model's own
 * log-probabilities: what makes no sense with them is refused and not forgotten. */
static bool refuse_beside_beams(const struct options *options, const struct sampling_params *params,
                                struct error *err)
{
    const struct {
        const char *name;
        bool is_there; /* a file of options may give the value that changes nothing */
    } others[] = {
        {"--stop", options->stop.n > 0},
        {"--stop-token-ids", params->n_stop_ids > 0},
        {"--logprobs", params->logprobs >= 0},
        {"--prompt-logprobs", params->prompt_logprobs >= 0},
        {"--bad-words", params->n_bad_words > 0},
        {"--logit-bias", params->n_biases > 0},
        {"--allowed-token-ids", params->n_allowed_ids > 0},
        {"--min-tokens", params->min_tokens > 0},
        {"--repetition-penalty",
         options_is_given(options, "--repetition-penalty") && params->repetition_penalty != 1},
        {"--frequency-penalty", params->frequency_penalty != 0},
        {"--presence-penalty", params->presence_penalty != 0},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].is_there)
            return error_set(err, ERROR_INPUT,
                             "%s: has no meaning with --beam-width (num_beams); leave one of the "
                             "two out",
                             others[i].name);
    if (options_is_given(options, "--n") && options->n > options->beam_width)
        return error_set(err, ERROR_INPUT,
                         "--n: %lld answers of %lld beams; ask for fewer, or raise --beam-width",
                         (long long)options->n, (long long)options->beam_width);
    return true;
}

static bool read_beams(struct sampling *s, const struct options *options, struct error *err)
{
    if (options->beam_width == 1)
        return true;
    if (!refuse_beside_beams(options, &s->params, err))
        return false;
    s->params.beam_width = (int32_t)options->beam_width;
    s->params.length_penalty = (float)options->length_penalty;
    s->params.penalize_prompt = strcmp(options->length_penalty_scope, "total") == 0;
    const bool all = options->json || options->jsonl; /* as vLLM; a text is the best one */
    if (!options_is_given(options, "--n") && all)
        s->n_choices = (int)options->beam_width;
    return true;
}

/* Half a character would be found inside others, and cut them. */
static bool check_stop_text(const char *text, struct error *err)
{
    if (*text == '\0')
        return error_set(err, ERROR_INPUT, "--stop: a stop text cannot be empty");
    return utf8_valid_bytes(text, strlen(text)) == strlen(text) ||
           error_set(err, ERROR_INPUT, "--stop: the text is not UTF-8");
}

static bool draw_seed(struct sampling *s, const struct options *options, struct error *err)
{
    if (options->seed >= 0)
        return true;
    if (!system_random(&s->params.seed, sizeof s->params.seed, err))
        return false;
    s->params.seed >>= 11; /* 53 bits: every JSON reader gets it back whole */
    return true;
}

bool sampling_read(struct sampling *out, const struct options *options, struct session *session,
                   struct error *err)
{
    *out = (struct sampling){
        .n_choices = (int)options->n,
        .max_length =
            options_is_given(options, "--max-tokens") ? 0 : (int32_t)options->factory.max_length,
        .priority = (int)options->priority,
        .deadline_ns = options->deadline_ms * NS_OF_MS,
        .rules = {.tokenizer = session->intake.tokenizer,
                  .stop = options->stop.item,
                  .n_stop = options->stop.n,
                  .min_tokens = (int)options->min_tokens,
                  .include_stop = options->include_stop_str,
                  .skip_special_tokens = options->skip_special_tokens},
    };
    for (int i = 0; i < options->stop.n; i++)
        if (!check_stop_text(options->stop.item[i], err))
            return false;
    if (!intake_cache_key(options->cache_salt, &out->cache_key, err))
        return error_in(err, "--cache-salt");
    if (!read_params(&out->params, options, session->model_folder, err) ||
        !draw_seed(out, options, err) || !read_lists(out, options, session, err) ||
        !read_beams(out, options, err) || !params_check(&out->params, session->vocab, err))
        return false;
    if (out->params.beam_width == 0 && out->params.temperature < 1e-5f && out->n_choices > 1)
        return error_set(err, ERROR_INPUT,
                         "--n: %d equal answers at temperature 0; raise --temperature, or --n 1",
                         out->n_choices);
    return true;
}

void sampling_release(struct sampling *sampling)
{
    bytes_release(&sampling->cache_key);
    ids_release(&sampling->allowed_id);
    ids_release(&sampling->bad_id);
    ids_release(&sampling->bad_end);
    memory_free(sampling->bias);
    *sampling = (struct sampling){0};
}

#include "launcher/sampling.h"

#include "base/error.h"
#include "launcher/session.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lists { /* what texts of options say, as numbers */
    struct arena arena;
    struct sampling_bias *bias;
    size_t n_biases;
};

/* ---- texts to numbers ---- */

/* All ids of an option that may be repeated. NULL when it was not given. */
static bool read_ids(const int64_t **out, size_t *n, struct lists *lists, const char *name,
                     const struct option_list *list, int vocab, struct error *err)
{
    struct ids all = {0}, some = {0};
    bool good = true;
    for (int i = 0; good && i < list->n; i++) {
        good = intake_ids(list->item[i], vocab, &some, err) || error_in(err, "%s", name);
        if (good)
            ids_add_all(&all, some.data, some.n);
    }
    int64_t *wide = good && list->n > 0 ? arena_alloc(&lists->arena, all.n, sizeof *wide) : NULL;
    for (size_t i = 0; wide != NULL && i < all.n; i++)
        wide[i] = all.data[i];
    *out = wide;
    *n = all.n;
    ids_release(&all);
    ids_release(&some);
    return good;
}

static size_t count_commas(const struct option_list *list)
{
    size_t n = 0;
    for (int i = 0; i < list->n; i++)
        for (const char *c = list->item[i]; *c != '\0'; c++)
            n += *c == ',';
    return n;
}

/* "ID:BIAS, ID:BIAS" behind what is there. */
static bool add_biases(struct lists *lists, const char *text, struct error *err)
{
    for (const char *at = text;; at++) {
        char *end;
        const long long id = strtoll(at, &end, 10); /* at its limits it is no token either */
        if (end == at || *end != ':')
            return error_set(err, ERROR_INPUT, "want ID:BIAS, not '%.20s'", at);
        at = end + 1;
        const double bias = strtod(at, &end);
        if (end == at)
            return error_set(err, ERROR_INPUT, "want a bias of -100 to 100, not '%.20s'", at);
        lists->bias[lists->n_biases++] = (struct sampling_bias){id, bias};
        at = end + strspn(end, " ");
        if (*at == '\0')
            return true;
        if (*at != ',')
            return error_set(err, ERROR_INPUT, "want ID:BIAS,ID:BIAS, not '%.20s'", at);
    }
}

static bool read_lists(struct sampling_fields *f, struct lists *lists,
                       const struct options *options, int vocab, struct error *err)
{
    const struct option_list *biases = &options->logit_bias;
    if (!read_ids(&f->stop_token_ids, &f->n_stop_token_ids, lists, "--stop-token-ids",
                  &options->stop_token_ids, vocab, err) ||
        !read_ids(&f->allowed_token_ids, &f->n_allowed_token_ids, lists, "--allowed-token-ids",
                  &options->allowed_token_ids, vocab, err))
        return false;
    lists->bias =
        arena_alloc(&lists->arena, count_commas(biases) + (size_t)biases->n, sizeof *lists->bias);
    for (int i = 0; i < biases->n; i++)
        if (!add_biases(lists, biases->item[i], err))
            return error_in(err, "--logit-bias");
    f->logit_bias = lists->bias;
    f->n_logit_bias = lists->n_biases;
    return true;
}

/* ---- options to fields ---- */

/* Those that makers of models give too are said only where the user said them. */
static void take_given(struct sampling_fields *f, const struct options *options)
{
    if (options_is_given(options, "--temperature"))
        f->temperature = options->temperature;
    if (options_is_given(options, "--top-p"))
        f->top_p = options->top_p;
    if (options_is_given(options, "--min-p"))
        f->min_p = options->min_p;
    if (options_is_given(options, "--repetition-penalty"))
        f->repetition_penalty = options->repetition_penalty;
    if (options_is_given(options, "--top-k"))
        f->top_k = options->top_k;
    if (options_is_given(options, "--max-tokens"))
        f->max_tokens = options->max_tokens;
}

static void take_all_others(struct sampling_fields *f, const struct options *options)
{
    const bool has_beams = options->beam_width > 1;
    const bool all_beams = has_beams && (options->json || options->jsonl) &&
                           !options_is_given(options, "--n"); /* a text is the best one */
    f->frequency_penalty = options->frequency_penalty;
    f->presence_penalty = options->presence_penalty;
    f->length_penalty = options->length_penalty;
    f->n = all_beams ? options->beam_width : options->n;
    f->seed = options->seed;
    f->min_tokens = options->min_tokens;
    f->logprobs = options->logprobs;
    f->prompt_logprobs = options->prompt_logprobs;
    f->beam_width = options->beam_width;
    f->priority = options->priority;
    f->deadline_ms = options->deadline_ms;
    f->ignore_eos = options->ignore_eos;
    f->include_stop_str_in_output = options->include_stop_str;
    f->skip_special_tokens = options->skip_special_tokens;
    f->penalize_prompt = strcmp(options->length_penalty_scope, "total") == 0;
    f->stop = options->stop.item;
    f->n_stop = (size_t)options->stop.n;
    f->bad_words = options->bad_words.item;
    f->n_bad_words = (size_t)options->bad_words.n;
    f->cache_salt = options->cache_salt;
}

/* "stop_token_ids: …" is "--stop-token-ids: …" to who wrote an option. */
static bool name_option(struct error *err)
{
    const size_t n = strlen(err->param);
    const bool begins = n > 0 && strncmp(err->text, err->param, n) == 0;
    struct bytes text = {0};
    if (n == 0)
        return false;
    bytes_printf(&text, "--%s%s%s", err->param, begins ? "" : ": ", err->text + (begins ? n : 0));
    for (size_t i = 0; i < n; i++)
        if (text.data[2 + i] == '_')
            text.data[2 + i] = '-';
    snprintf(err->text, sizeof err->text, "%s", text.data);
    bytes_release(&text);
    return false;
}

bool sampling_read(struct sampling *out, const struct options *options, struct session *session,
                   struct error *err)
{
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling_model model;
    struct lists lists = {0};
    const bool asks_makers = strcmp(options->generation_config, "auto") == 0;
    /* A chat answers until the model ends: what fits, unless somebody gave a number. */
    const int32_t max_tokens =
        options->command == COMMAND_CHAT ? INT32_MAX : (int32_t)options->max_tokens;
    *out = (struct sampling){0};
    take_given(&fields, options);
    take_all_others(&fields, options);
    bool good = sampling_model_init(&model, &session->intake, session->vocab,
                                    asks_makers ? session->model_folder : NULL, err) &&
                read_lists(&fields, &lists, options, session->vocab, err);
    if (good && !sampling_make(out, &fields, &model, max_tokens, err))
        good = name_option(err);
    arena_release(&lists.arena);
    return good;
}

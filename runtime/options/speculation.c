/* Who guesses tokens ahead: vLLM's JSON object and the plain options become one consistent set, so
 * that nobody else has to know what stands for what. Defaults are those of vLLM's
 * SpeculativeConfig, but for the number of tokens, which has none there. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/options/table.h"

#include <string.h>

enum { DEFAULT_DRAFTS = 4, DEFAULT_LOOKUP = 5 };

static const struct json_limits limits = {.max_bytes = 1 << 16, .max_depth = 4, .max_values = 64};

static bool is_known(const char *key)
{
    static const char *const keys[] = {"method", "model", "num_speculative_tokens",
                                       "prompt_lookup_max", "prompt_lookup_min"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* The plain option of a key, unless that was given itself. */
static bool set_text(struct options *options, const char *name, const char *text, struct error *err)
{
    const struct option *option = option_find(name, options->command);
    return text == NULL || option_is_given(options, option) ||
           option_set(options, option, name + 2, text, err);
}

static bool set_count(struct options *options, const json_t *config, const char *key,
                      const char *name, int64_t *field, struct error *err)
{
    const struct option *option = option_find(name, options->command);
    int64_t value = *field;
    if (!json_get_int(config, key, false, 1, (int64_t)option->max, &value, err))
        return false;
    if (!option_is_given(options, option))
        *field = value;
    return true;
}

static bool take_apart(struct options *options, json_t *config, struct error *err)
{
    const char *method = NULL, *model = NULL, *key;
    json_t *value;
    if (!json_is_object(config))
        return error_set(err, ERROR_INPUT, "no JSON object");
    json_object_foreach(config, key, value)
    {
        if (!is_known(key))
            return error_set(err, ERROR_INPUT,
                             "unknown key %.60s; there are method, model, "
                             "num_speculative_tokens, prompt_lookup_max and prompt_lookup_min",
                             key);
    }
    return json_get_text(config, "method", false, &method, err) &&
           json_get_text(config, "model", false, &model, err) &&
           set_text(options, "--speculative-method", method, err) &&
           set_text(options, "--speculative-model", model, err) &&
           set_count(options, config, "num_speculative_tokens", "--num-speculative-tokens",
                     &options->num_speculative_tokens, err) &&
           set_count(options, config, "prompt_lookup_max", "--prompt-lookup-max",
                     &options->prompt_lookup_max, err) &&
           set_count(options, config, "prompt_lookup_min", "--prompt-lookup-min",
                     &options->prompt_lookup_min, err);
}

static bool read_config(struct options *options, struct error *err)
{
    const char *text = options->speculative_config;
    json_t *config;
    if (text == NULL || *text == '\0')
        return true;
    if (!json_parse(&config, text, strlen(text), &limits, err))
        return error_in(err, "--speculative-config");
    const bool good = take_apart(options, config, err);
    json_decref(config);
    return good || error_in(err, "--speculative-config");
}

static bool apply_lookup(struct options *options, struct error *err)
{
    int64_t *min = &options->prompt_lookup_min, *max = &options->prompt_lookup_max;
    if (*min == 0)
        *min = *max > 0 ? *max : DEFAULT_LOOKUP;
    if (*max == 0)
        *max = *min;
    return *min <= *max ||
           error_set(err, ERROR_INPUT, "--prompt-lookup-min: %lld is more than the longest, %lld",
                     (long long)*min, (long long)*max);
}

bool options_apply_speculation(struct options *options, struct error *err)
{
    if (option_find("--speculative-method", options->command) == NULL)
        return true;
    if (!read_config(options, err))
        return false;
    const bool has_model = options->speculative_model != NULL && *options->speculative_model;
    const bool has_lookup = options->prompt_lookup_min + options->prompt_lookup_max > 0;
    if (strcmp(options->speculative_method, "none") == 0 && has_model)
        options->speculative_method = "draft_model";
    if (strcmp(options->speculative_method, "none") == 0 &&
        (options->num_speculative_tokens > 0 || has_lookup))
        options->speculative_method = "ngram";
    if (strcmp(options->speculative_method, "none") == 0)
        return true;
    if (options->num_speculative_tokens == 0)
        options->num_speculative_tokens = DEFAULT_DRAFTS;
    if (strcmp(options->speculative_method, "ngram") == 0)
        return (!has_model || error_set(err, ERROR_INPUT,
                                        "--speculative-model: n-grams need no model; give "
                                        "--speculative-method draft_model, or no model")) &&
               apply_lookup(options, err);
    return has_model ||
           error_set(err, ERROR_INPUT,
                     "--speculative-method draft_model needs --speculative-model MODEL");
}

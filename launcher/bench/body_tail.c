#include "launcher/bench/body_tail.h"

#include "base/error.h"
#include "base/json.h"
#include "runtime/options/options.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *option, *member;
} sampling[] = {
    {"--temperature", "temperature"},
    {"--top-p", "top_p"},
    {"--top-k", "top_k"},
    {"--min-p", "min_p"},
    {"--frequency-penalty", "frequency_penalty"},
    {"--presence-penalty", "presence_penalty"},
    {"--repetition-penalty", "repetition_penalty"},
};

/* What a request is measured by: another one would be another bench. */
static const struct {
    const char *member, *instead;
} own[] = {
    {"model", "give MODEL"},
    {"prompt", "give --dataset FILE"},
    {"messages", "give --dataset FILE"},
    {"max_tokens", "give --output-len"},
    {"max_completion_tokens", "give --output-len"},
    {"stream", "answers are always streamed"},
    {"stream_options", "usage is always asked for"},
};

static bool check_extra(const json_t *extra, struct error *err)
{
    if (!json_is_object(extra))
        return error_set(err, ERROR_INPUT, "--extra-body: no JSON object");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (json_object_get(extra, own[i].member) != NULL)
            return error_set(err, ERROR_INPUT, "--extra-body: \"%s\" is the bench's own: %s",
                             own[i].member, own[i].instead);
    return true;
}

static bool read_extra(json_t **out, const struct options *options, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 32, .max_values = 1 << 16};
    const char *text = options->bench.extra_body;
    *out = NULL;
    if (text == NULL)
        return true;
    if (!json_parse(out, text, strlen(text), &limits, err))
        return error_in(err, "--extra-body");
    if (check_extra(*out, err))
        return true;
    json_decref(*out);
    *out = NULL;
    return false;
}

/* Without its braces. */
static void add_members(struct bytes *out, const json_t *object)
{
    char *text = json_object_size(object) > 0 ? json_dumps(object, JSON_COMPACT) : NULL;
    if (text != NULL) {
        bytes_add_text(out, ",");
        bytes_add(out, text + 1, strlen(text) - 2);
    }
    free(text);
}

bool body_tail_add(struct bytes *out, const struct options *options, struct error *err)
{
    json_t *extra;
    if (!read_extra(&extra, options, err))
        return false;
    bytes_add_text(out, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    if (options->ignore_eos && json_object_get(extra, "ignore_eos") == NULL)
        bytes_add_text(out, ",\"ignore_eos\":true");
    for (size_t i = 0; i < sizeof sampling / sizeof *sampling; i++) {
        if (!options_is_given(options, sampling[i].option) ||
            json_object_get(extra, sampling[i].member) != NULL)
            continue;
        bytes_printf(out, ",\"%s\":", sampling[i].member);
        options_print_value(out, options, sampling[i].option);
    }
    add_members(out, extra);
    json_decref(extra);
    return true;
}

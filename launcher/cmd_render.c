#include "launcher/cmd_render.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/model_path.h"
#include "launcher/text_lines.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"

#include <string.h>
#include <sys/stat.h>

enum { MAX_LINE_BYTES = 64 << 20 }; /* as many as can be encoded */

static const struct json_limits line_limits = {
    .max_bytes = MAX_LINE_BYTES, .max_depth = 128, .max_values = 4 << 20};

struct render {
    struct jinja_template *alone; /* of a file, or NULL: */
    struct chat_template *of_model;
    bool converts; /* messages come in OpenAI's shapes */
    const char *format;
    const struct calendar_time *now;
};

/* ---- time -------------------------------------------------------------------------------------*/

static bool digits(const char **at, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = 10 * *out + (**at - '0');
    }
    return true;
}

static bool take(const char **at, char c)
{
    const bool is_there = **at == c;
    *at += is_there;
    return is_there;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool read_time(struct calendar_time *out, const char *text)
{
    const char *at = text;
    *out = (struct calendar_time){0};
    if (!digits(&at, 4, &out->year) || !take(&at, '-') || !digits(&at, 2, &out->month) ||
        !take(&at, '-') || !digits(&at, 2, &out->day))
        return false;
    if (out->year < 1 || out->month < 1 || out->month > 12 || out->day < 1 ||
        out->day > days_in(out->year, out->month))
        return false;
    if (*at == '\0')
        return true;
    if ((!take(&at, ' ') && !take(&at, 'T')) || !digits(&at, 2, &out->hour) || !take(&at, ':') ||
        !digits(&at, 2, &out->minute) || !take(&at, ':') || !digits(&at, 2, &out->second))
        return false;
    return *at == '\0' && out->hour < 24 && out->minute < 60 && out->second < 60;
}

static bool parse_time(struct calendar_time *out, const char *text, struct error *err)
{
    return read_time(out, text) ||
           error_set(err, ERROR_INPUT,
                     "--now: '%s' is no time: want \"2024-07-26 12:34:56\" or \"2024-07-26\"",
                     text);
}

/* ---- one line ---------------------------------------------------------------------------------*/

/* All keys but those that are arguments of their own, and then chat_template_kwargs. */
static bool read_variables(json_t **out, const json_t *object, struct error *err)
{
    static const char *const own[] = {"messages",
                                      "tools",
                                      "documents",
                                      "add_generation_prompt",
                                      "continue_final_message",
                                      "chat_template_kwargs"};
    const json_t *more = json_object_get(object, "chat_template_kwargs");
    if (more != NULL && !json_is_null(more) && !json_is_object(more))
        return error_set(err, ERROR_INPUT, "chat_template_kwargs is no object");
    *out = json_copy((json_t *)object);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        json_object_del(*out, own[i]);
    if (json_is_object(more))
        json_object_update(*out, (json_t *)more);
    return true;
}

/* *converted: messages in another shape, to be released, or NULL. */
static bool read_messages(const struct render *r, struct chat_request *request,
                          const json_t *object, json_t **converted, struct error *err)
{
    request->messages = json_object_get(object, "messages");
    *converted = NULL;
    if (request->messages == NULL)
        return error_set(err, ERROR_INPUT, "no messages");
    if (!r->converts)
        return true;
    const enum content_format format =
        chat_template_format(r->of_model, request->tools != NULL, r->format);
    if (!chat_messages_read(converted, request->messages, format, err))
        return false;
    request->messages = *converted;
    return true;
}

static bool render_for_model(const struct render *r, const json_t *object, struct jinja_output *out,
                             struct error *err)
{
    json_t *variables = NULL, *converted = NULL;
    struct chat_request request = {
        .tools = json_object_get(object, "tools"),
        .documents = json_object_get(object, "documents"),
        .now = r->now,
    };
    bool *generate = &request.add_generation_prompt, *go_on = &request.continue_final_message;
    bool good = json_get_bool(object, "add_generation_prompt", false, generate, err) &&
                json_get_bool(object, "continue_final_message", false, go_on, err) &&
                read_variables(&variables, object, err) &&
                read_messages(r, &request, object, &converted, err);
    request.variables = variables;
    good = good && chat_template_render(r->of_model, &request, out, err);
    json_decref(variables);
    json_decref(converted);
    return good;
}

static bool render_line(void *context, const struct bytes *line, FILE *out, struct error *err)
{
    const struct render *r = context;
    struct jinja_output made = {0};
    json_t *object;
    if (!json_parse_line(&object, line->data ? line->data : "", line->len, &line_limits, err))
        return false;
    const struct jinja_input alone = {.users = object, .now = r->now};
    bool good = json_is_object(object) || error_set(err, ERROR_INPUT, "not an object");
    if (good)
        good = r->alone != NULL ? jinja_render(r->alone, &alone, &made, err)
                                : render_for_model(r, object, &made, err);
    if (good)
        text_lines_write(out, &made.text);
    else if (err->kind == ERROR_LIMIT)
        err->kind = ERROR_INPUT; /* a budget of the template: trying again is no better */
    jinja_output_release(&made);
    json_decref(object);
    return good;
}

/* ---- the command ------------------------------------------------------------------------------*/

static bool is_template_file(const char *path)
{
    struct stat info;
    const size_t n = strlen(path);
    return n > 6 && strcmp(path + n - 6, ".jinja") == 0 &&
           !(stat(path, &info) == 0 && S_ISDIR(info.st_mode));
}

static bool open_file(struct render *r, const struct options *options, struct error *err)
{
    char *text;
    size_t n_bytes;
    if (options->chat_template != NULL)
        return error_set(err, ERROR_INPUT, "--chat-template: %s is the template already",
                         options->model);
    if (!file_read(&text, &n_bytes, options->model, JINJA_MAX_SOURCE_BYTES, err))
        return false;
    const bool good = jinja_compile(&r->alone, text, n_bytes, err);
    memory_free(text);
    return good || error_in(err, "%s", options->model);
}

static bool open_model(struct render *r, const struct options *options, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    return model_path_find(folder, options->model, ".", err) &&
           chat_template_open(&r->of_model, folder, options->chat_template, err) &&
           (chat_template_exists(r->of_model) ||
            error_set(err, ERROR_INPUT,
                      "%s has no chat template; give one with --chat-template FILE", folder));
}

bool cmd_render(const struct options *options, FILE *in, FILE *out, struct error *err)
{
    struct calendar_time now;
    struct render r = {
        .converts = options_is_given(options, "--chat-template-content-format"),
        .format = options->content_format,
        .now = options->now != NULL ? &now : NULL,
    };
    const bool good = (options->now == NULL || parse_time(&now, options->now, err)) &&
                      (is_template_file(options->model) ? open_file(&r, options, err)
                                                        : open_model(&r, options, err)) &&
                      text_lines_run(in, out, MAX_LINE_BYTES, render_line, &r, err);
    jinja_destroy(r.alone);
    chat_template_close(r.of_model);
    return good;
}

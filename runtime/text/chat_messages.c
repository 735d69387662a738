#include "runtime/text/chat_messages.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"

#include <string.h>

/* Of a text of arguments; the whole request was bounded before it came here. */
static const struct json_limits arguments_limits = {
    .max_bytes = 16 << 20, .max_depth = 64, .max_values = 1 << 20};

/* ---- content ----------------------------------------------------------------------------------*/

/* *text: borrowed, or NULL for a part that says nothing. */
static bool part_text(const json_t **text, const json_t *part, size_t index, struct error *err)
{
    static const char *const types[] = {"text", "input_text", "output_text", "refusal", "thinking"};
    *text = part;
    if (json_is_string(part))
        return true;
    const char *type = json_string_value(json_object_get(part, "type"));
    if (type == NULL)
        return error_set(err, ERROR_INPUT, "content: part %zu has no type", index);
    bool is_text = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is_text = is_text || strcmp(type, types[i]) == 0;
    if (!is_text)
        return error_set(err, ERROR_INPUT, "content: part %zu is of type %.40s, only text is read",
                         index, type);
    const json_t *under_type = json_object_get(part, type);
    *text = under_type != NULL ? under_type : json_object_get(part, "text");
    if (*text == NULL || json_is_null(*text))
        *text = NULL;
    else if (!json_is_string(*text))
        return error_set(err, ERROR_INPUT, "content: the text of part %zu is no text", index);
    return true;
}

static void add_part(json_t *parts, const json_t *text)
{
    json_t *part = json_object();
    json_object_set_new(part, "type", json_string("text"));
    json_object_set(part, "text", (json_t *)text);
    json_array_append_new(parts, part);
}

/* Both forms at once: one of them is kept. */
static bool read_parts(json_t *parts, struct bytes *joined, const json_t *content,
                       struct error *err)
{
    bool is_first = true;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *text;
        if (!part_text(&text, json_array_get(content, i), i, err))
            return false;
        if (text == NULL)
            continue;
        add_part(parts, text);
        if (!is_first)
            bytes_add_char(joined, '\n');
        bytes_add(joined, json_string_value(text), json_string_length(text));
        is_first = false;
    }
    return true;
}

static bool read_content(json_t **out, const json_t *content, enum content_format format,
                         struct error *err)
{
    const bool as_text =
        format == CONTENT_AS_TEXT || (format == CONTENT_AS_EITHER && !json_is_array(content));
    if (json_is_string(content) && as_text) {
        *out = json_incref((json_t *)content);
        return true;
    }
    json_t *parts = json_array();
    struct bytes joined = {0};
    bool good = true;
    if (json_is_string(content))
        add_part(parts, content);
    else if (json_is_array(content))
        good = read_parts(parts, &joined, content, err);
    else if (content != NULL && !json_is_null(content))
        good = error_set(err, ERROR_INPUT, "content is neither a text nor a list of parts");
    if (good)
        *out = as_text ? json_stringn(joined.len > 0 ? joined.data : "", joined.len)
                       : json_incref(parts);
    json_decref(parts);
    bytes_release(&joined);
    return good;
}

/* ---- tool calls -------------------------------------------------------------------------------*/

static json_t *read_arguments(const json_t *arguments)
{
    struct error ignored = {0};
    json_t *value;
    if (arguments == NULL || json_is_null(arguments) ||
        (json_is_string(arguments) && json_string_length(arguments) == 0))
        return json_object();
    if (json_is_string(arguments) &&
        json_parse(&value, json_string_value(arguments), json_string_length(arguments),
                   &arguments_limits, &ignored))
        return value;
    return json_incref((json_t *)arguments);
}

static bool read_tool_calls(json_t **out, const json_t *calls, struct error *err)
{
    if (!json_is_array(calls))
        return error_set(err, ERROR_INPUT, "tool_calls is no list");
    *out = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *of = json_object_get(call, "function");
        if (!json_is_object(of)) {
            json_decref(*out);
            return error_set(err, ERROR_INPUT, "tool_calls: item %zu has no function", i);
        }
        json_t *function = json_copy((json_t *)of), *copy = json_copy((json_t *)call);
        json_object_set_new(function, "arguments",
                            read_arguments(json_object_get(of, "arguments")));
        json_object_set_new(copy, "function", function);
        json_array_append_new(*out, copy);
    }
    return true;
}

/* ---- messages ---------------------------------------------------------------------------------*/

static bool read_member(json_t *out, const char *key, json_t *value, enum content_format format,
                        struct error *err)
{
    json_t *made = NULL;
    if (strcmp(key, "content") == 0) {
        if (!read_content(&made, value, format, err))
            return false;
        json_object_set_new(out, key, made);
        return true;
    }
    if (json_is_null(value))
        return true;
    if (strcmp(key, "tool_calls") == 0) {
        if (json_is_array(value) && json_array_size(value) == 0)
            return true;
        if (!read_tool_calls(&made, value, err))
            return false;
        json_object_set_new(out, key, made);
        return true;
    }
    json_object_set(out, key, value);
    if (strcmp(key, "reasoning") == 0)
        json_object_set(out, "reasoning_content", value);
    if (strcmp(key, "reasoning_content") == 0)
        json_object_set(out, "reasoning", value);
    return true;
}

static bool read_message(json_t *out, const json_t *message, enum content_format format,
                         struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(message))
        return error_set(err, ERROR_INPUT, "no object");
    if (!json_is_string(json_object_get(message, "role")))
        return error_set(err, ERROR_INPUT, "no role");
    json_object_foreach((json_t *)message, key,
                        value) if (!read_member(out, key, value, format, err)) return false;
    return json_object_get(out, "content") != NULL ||
           read_member(out, "content", json_null(), format, err);
}

bool chat_messages_read(json_t **out, const json_t *messages, enum content_format format,
                        struct error *err)
{
    if (!json_is_array(messages))
        return error_set(err, ERROR_INPUT, "messages is no list");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_object();
        json_array_append_new(list, message);
        if (!read_message(message, json_array_get(messages, i), format, err)) {
            json_decref(list);
            return error_in(err, "message %zu", i);
        }
    }
    *out = list;
    return true;
}

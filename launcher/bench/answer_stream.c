#include "launcher/bench/answer_stream.h"

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_LINE_BYTES = 4 << 20,
    MAX_DEPTH = 32,
    MAX_VALUES = 1 << 18,
    MAX_CHUNKS = 1 << 24 /* of an answer: a server may forget to end it */
};
static const struct json_limits limits = {
    .max_bytes = MAX_LINE_BYTES, .max_depth = MAX_DEPTH, .max_values = MAX_VALUES};

void answer_stream_begin(struct answer_stream *stream, bool is_chat)
{
    struct bytes line = stream->line;
    bytes_clear(&line);
    line.max = MAX_LINE_BYTES;
    *stream =
        (struct answer_stream){.is_chat = is_chat, .n_input = -1, .n_output = -1, .line = line};
}

static void fail(struct answer_stream *stream, const char *why)
{
    stream->state = ANSWER_FAILED;
    snprintf(stream->why, sizeof stream->why, "%s", why);
}

/* ---- errors ---- */

/* error.message, error, message, detail: the first that is a text. */
static const char *message_in(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    const json_t *places[] = {json_object_get(error, "message"), error,
                              json_object_get(body, "message"), json_object_get(body, "detail")};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (json_is_string(places[i]))
            return json_string_value(places[i]);
    return NULL;
}

void answer_error_text(char *out, size_t n_out, const char *body, size_t n_body)
{
    struct error ignored = {0};
    json_t *json = NULL;
    const char *text = json_parse(&json, body, n_body, &limits, &ignored) ? message_in(json) : NULL;
    if (text != NULL)
        snprintf(out, n_out, "%s", text);
    else
        snprintf(out, n_out, "%.*s", n_body < n_out ? (int)n_body : (int)n_out, body);
    json_decref(json);
    utf8_make_plain(out);
}

/* ---- chunks ---- */

struct gap_hook {
    void (*call)(void *context, double seconds);
    void *context;
};

/* vLLM's name of it, and that of most others. */
static bool has_thought(const json_t *delta)
{
    return json_string_length(json_object_get(delta, "reasoning")) > 0 ||
           json_string_length(json_object_get(delta, "reasoning_content")) > 0;
}

static void take_choice(struct answer_stream *stream, const json_t *choice, int64_t now_ns,
                        struct gap_hook gap)
{
    const json_t *delta = stream->is_chat ? json_object_get(choice, "delta") : choice;
    const char *text =
        json_string_value(json_object_get(delta, stream->is_chat ? "content" : "text"));
    const bool ends = json_is_string(json_object_get(choice, "finish_reason"));
    const bool has_text = (text != NULL && *text != '\0') || has_thought(delta);
    stream->has_finish |= ends;
    stream->end_ns = now_ns;
    if (!has_text && (ends || json_object_get(delta, "role") != NULL))
        return;
    if (stream->n_chunks++ == 0)
        stream->first_ns = now_ns;
    else
        gap.call(gap.context, (double)(now_ns - stream->last_ns) * 1e-9);
    stream->last_ns = now_ns;
    if (stream->n_chunks == MAX_CHUNKS)
        fail(stream, "an answer of more than 16 million chunks");
}

/* {"error": …}, or the older {"object": "error", "message": …}. Some put a null beside a choice. */
static bool is_error(const json_t *chunk)
{
    const json_t *error = json_object_get(chunk, "error");
    const char *object = json_string_value(json_object_get(chunk, "object"));
    return (error != NULL && !json_is_null(error)) ||
           (object != NULL && strcmp(object, "error") == 0);
}

/* Counts of all requests are added up: one that cannot be is none. */
static void take_count(int64_t *out, const json_t *value)
{
    const json_int_t count = json_integer_value(value);
    if (json_is_integer(value) && count >= 0 && count <= INT32_MAX)
        *out = count;
}

static void take_event(struct answer_stream *stream, const char *data, size_t n, int64_t now_ns,
                       struct gap_hook gap)
{
    struct error err = {0};
    json_t *chunk;
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        stream->state = ANSWER_DONE;
        return;
    }
    if (!json_parse(&chunk, data, n, &limits, &err)) {
        fail(stream, "an event that is no JSON");
        return;
    }
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    const json_t *usage = json_object_get(chunk, "usage");
    if (is_error(chunk)) {
        stream->state = ANSWER_FAILED;
        answer_error_text(stream->why, sizeof stream->why, data, n);
    } else if (json_is_object(choice)) {
        take_choice(stream, choice, now_ns, gap);
    }
    take_count(&stream->n_input, json_object_get(usage, "prompt_tokens"));
    take_count(&stream->n_output, json_object_get(usage, "completion_tokens"));
    json_decref(chunk);
}

/* Without its end. Comments and fields other than data are skipped; so are empty lines, because an
 * event of these servers is one line. */
static void take_line(struct answer_stream *stream, int64_t now_ns, struct gap_hook gap)
{
    const char *data = stream->line.data;
    size_t n = stream->line.len;
    while (n > 0 && (data[n - 1] == '\r' || data[n - 1] == ' '))
        n--;
    if (n < 5 || memcmp(data, "data:", 5) != 0)
        return;
    stream->has_events = true;
    data += 5;
    n -= 5;
    while (n > 0 && *data == ' ') {
        data++;
        n--;
    }
    take_event(stream, data, n, now_ns, gap);
}

void answer_stream_take(struct answer_stream *stream, const char *data, size_t n, int64_t now_ns,
                        void (*gap)(void *context, double seconds), void *context)
{
    const struct gap_hook hook = {gap, context};
    while (n > 0 && stream->state == ANSWER_OPEN) {
        const char *newline = memchr(data, '\n', n);
        const size_t n_part = newline != NULL ? (size_t)(newline - data) : n;
        if (!bytes_add(&stream->line, data, n_part)) {
            fail(stream, "an event of more than 4 MB");
            return;
        }
        if (newline == NULL)
            return;
        if (stream->line.len > 0)
            take_line(stream, now_ns, hook);
        bytes_clear(&stream->line);
        data += n_part + 1;
        n -= n_part + 1;
    }
}

void answer_stream_release(struct answer_stream *stream) { bytes_release(&stream->line); }

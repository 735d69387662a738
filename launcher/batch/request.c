#include "launcher/batch/request.h"

#include "base/json.h"
#include "base/memory.h"
#include "launcher/batch/seen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct json_limits limits = {.max_bytes = BATCH_MAX_LINE_BYTES,
                                          .max_depth = 64,
                                          .max_values = 4 << 20 /* ids of a prompt, mostly */};

static void set_identity(struct batch_request *out, const struct batch_line *line, uint64_t seed)
{
    const XXH128_hash_t hash = XXH3_128bits_withSeed(line->text, line->n_bytes, line->number);
    out->number = line->number;
    snprintf(out->id, sizeof out->id, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    const uint64_t mixed = XXH3_64bits_withSeed(out->id, sizeof out->id - 1, seed);
    out->seed = mixed >> 1 | 1; /* fits the field "seed", which is signed */
}

/* ---- a line that is no JSON: whose is it? ---- */

/* Behind the text that begins at `at`, which is its quote; n + 1 when it has no end. */
static size_t behind_text(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at < n ? at + 1 : n + 1;
}

static size_t behind_space(const char *text, size_t n, size_t at)
{
    while (at < n && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r'))
        at++;
    return at;
}

/* The value of the member "custom_id" in what can be read of an object. */
static char *find_custom_id(const char *text, size_t n)
{
    static const char KEY[] = "\"custom_id\"";
    int depth = 0;
    for (size_t at = 0; at < n; at++) {
        depth += (text[at] == '{') + (text[at] == '[') - (text[at] == '}') - (text[at] == ']');
        if (text[at] != '"')
            continue;
        const size_t end = behind_text(text, n, at);
        size_t value = behind_space(text, n, end);
        const bool is_key = depth == 1 && end <= n && end - at == sizeof KEY - 1 &&
                            memcmp(text + at, KEY, sizeof KEY - 1) == 0 && value < n &&
                            text[value] == ':';
        if (is_key) {
            value = behind_space(text, n, value + 1);
            const size_t value_end =
                value < n && text[value] == '"' ? behind_text(text, n, value) : n + 1;
            json_t *id = NULL;
            struct error ignored = {0};
            if (value_end > n || value_end - value > 2 + BATCH_MAX_CUSTOM_ID_BYTES ||
                !json_parse_line(&id, text + value, value_end - value, &limits, &ignored))
                return NULL;
            char *copy = memory_copy_text(json_string_value(id));
            json_decref(id);
            return copy;
        }
        at = end - 1;
    }
    return NULL;
}

/* ---- a line of JSON ---- */

static bool refuse(struct error *err, const char *code, const char *text)
{
    error_set(err, ERROR_INPUT, "%s", text);
    return error_code(err, code);
}

static bool read_custom_id(struct batch_request *out, const json_t *object, struct batch_seen *seen,
                           struct error *err)
{
    const json_t *id = json_object_get(object, "custom_id");
    if (!json_is_string(id) || json_string_length(id) == 0 ||
        json_string_length(id) > BATCH_MAX_CUSTOM_ID_BYTES) {
        error_set(err, ERROR_INPUT, "custom_id: want a text of 1 to %d bytes",
                  BATCH_MAX_CUSTOM_ID_BYTES);
        return error_code(err, "invalid_request");
    }
    out->custom_id = memory_copy_text(json_string_value(id));
    return batch_seen_add(seen, json_string_value(id), json_string_length(id)) ||
           refuse(err, "duplicate_custom_id",
                  "an earlier line has the same custom_id: it has to be unique in a batch");
}

static bool read_body(struct batch_request *out, const json_t *object, struct error *err)
{
    const json_t *body = json_object_get(object, "body");
    if (!json_is_object(body))
        return refuse(err, "invalid_request", "body: want an object");
    if (json_is_true(json_object_get(body, "stream")))
        return refuse(err, "invalid_request", "body.stream: answers of a batch come whole");
    char *text = json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        return refuse(err, "invalid_request", "body: it cannot be written as JSON");
    out->body = memory_copy_text(text);
    out->n_body = strlen(text);
    free(text); /* jansson's */
    return true;
}

static bool read_object(struct batch_request *out, const json_t *object, struct batch_seen *seen,
                        struct error *err)
{
    if (!json_is_object(object))
        return refuse(err, "invalid_request", "a request is an object");
    if (!read_custom_id(out, object, seen, err))
        return false;
    const json_t *method = json_object_get(object, "method"), *url = json_object_get(object, "url");
    if (!json_is_string(method) || strcmp(json_string_value(method), "POST") != 0)
        return refuse(err, "invalid_request", "method: want \"POST\"");
    if (!json_is_string(url) || json_string_length(url) > BATCH_MAX_URL_BYTES)
        return refuse(err, "invalid_url", "url: want a path such as \"/v1/chat/completions\"");
    out->url = memory_copy_text(json_string_value(url));
    return read_body(out, object, err);
}

static bool read_line(struct batch_request *out, const struct batch_line *line,
                      struct batch_seen *seen, struct error *err)
{
    json_t *object;
    if (line->is_too_long) {
        error_set(err, ERROR_INPUT, "more than %d bytes", BATCH_MAX_LINE_BYTES);
        return error_code(err, "line_too_long");
    }
    if (!json_parse_line(&object, line->text, line->n_bytes, &limits, err))
        return error_code(err, "invalid_json_line");
    const bool good = read_object(out, object, seen, err);
    json_decref(object);
    return good;
}

void batch_request_read(struct batch_request *out, const struct batch_line *line, uint64_t seed,
                        struct batch_seen *seen)
{
    *out = (struct batch_request){0};
    set_identity(out, line, seed);
    if (read_line(out, line, seen, &out->why))
        return;
    error_in(&out->why, "line %llu", (unsigned long long)line->line);
    if (out->custom_id == NULL)
        out->custom_id = find_custom_id(line->text, line->n_bytes);
}

void batch_request_refuse(struct batch_request *request, const char *code, const char *text)
{
    refuse(&request->why, code, text);
}

void batch_request_release(struct batch_request *request)
{
    memory_free(request->custom_id);
    memory_free(request->url);
    memory_free(request->body);
    *request = (struct batch_request){0};
}

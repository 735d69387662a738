/* The scan decides what is JSON; jansson builds the tree and finds what needs one: duplicate keys.
 */
#include "base/json.h"

#include "base/error.h"
#include "base/json_scan.h"
#include "base/memory.h"
#include "base/system.h"

#include <stdio.h>
#include <string.h>

bool json_parse(json_t **out, const char *text, size_t n_bytes, const struct json_limits *limits,
                struct error *err)
{
    if (!json_scan(text, n_bytes, limits, err))
        return false;
    json_error_t why;
    *out = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (*out == NULL)
        return error_set(err, ERROR_INPUT, "line %d, column %d: %.200s", why.line, why.column,
                         why.text);
    return true;
}

bool json_parse_line(json_t **out, const char *line, size_t n_bytes,
                     const struct json_limits *limits, struct error *err)
{
    static const char first[] = "line 1, ";
    const size_t n = sizeof first - 1;
    if (json_parse(out, line, n_bytes, limits, err))
        return true;
    if (strncmp(err->text, first, n) == 0)
        memmove(err->text, err->text + n, strlen(err->text + n) + 1);
    return false;
}

bool json_read_file(json_t **out, const char *path, const struct json_limits *limits,
                    struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, limits->max_bytes, err))
        return false; /* names the file already */
    const bool ok = json_parse(out, text, n_bytes, limits, err);
    memory_free(text);
    return ok || error_in(err, "%s", path);
}

/* What stands there, short enough for a message. */
static const char *found(const json_t *value, char *room, size_t room_bytes)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        snprintf(room, room_bytes, "the text \"%.40s\"", json_string_value(value));
        return room;
    case JSON_INTEGER:
        snprintf(room, room_bytes, "%lld", (long long)json_integer_value(value));
        return room;
    case JSON_REAL:
        snprintf(room, room_bytes, "%.17g", json_real_value(value));
        return room;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static bool wrong(const char *key, const json_t *value, const char *wanted, struct error *err)
{
    char room[80];
    return error_set(err, ERROR_INPUT, "\"%s\" is %s, want %s", key,
                     found(value, room, sizeof room), wanted);
}

/* *value is NULL when the key is absent or null and need not be there. */
static bool find(const json_t *object, const char *key, bool required, const char *wanted,
                 const json_t **value, struct error *err)
{
    char room[80];
    if (!json_is_object(object))
        return error_set(err, ERROR_INPUT, "%s where an object with \"%s\" should be",
                         object ? found(object, room, sizeof room) : "nothing", key);
    *value = json_object_get(object, key);
    if (*value != NULL && (required || !json_is_null(*value)))
        return true;
    *value = NULL;
    return !required || error_set(err, ERROR_INPUT, "\"%s\" is missing, want %s", key, wanted);
}

bool json_get_int(const json_t *object, const char *key, bool required, int64_t min, int64_t max,
                  int64_t *out, struct error *err)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)min,
             (long long)max);
    const json_t *value;
    if (!find(object, key, required, wanted, &value, err))
        return false;
    if (value == NULL)
        return true;
    const int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < min || number > max)
        return wrong(key, value, wanted, err);
    *out = number;
    return true;
}

bool json_get_number(const json_t *object, const char *key, bool required, double min, double max,
                     double *out, struct error *err)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a number from %.10g to %.10g", min, max);
    const json_t *value;
    if (!find(object, key, required, wanted, &value, err))
        return false;
    if (value == NULL)
        return true;
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max))
        return wrong(key, value, wanted, err);
    *out = number;
    return true;
}

bool json_get_bool(const json_t *object, const char *key, bool required, bool *out,
                   struct error *err)
{
    const char *const wanted = "true or false";
    const json_t *value;
    if (!find(object, key, required, wanted, &value, err))
        return false;
    if (value == NULL)
        return true;
    if (!json_is_boolean(value))
        return wrong(key, value, wanted, err);
    *out = json_is_true(value);
    return true;
}

bool json_get_text(const json_t *object, const char *key, bool required, const char **out,
                   struct error *err)
{
    const char *const wanted = "a text";
    const json_t *value;
    if (!find(object, key, required, wanted, &value, err))
        return false;
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return wrong(key, value, wanted, err);
    *out = json_string_value(value);
    return true;
}

#include "proto/json_fields.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>

static const double MOST_EXACT = 0x1p53; /* beyond it a double skips whole numbers */

const json_t *field_find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

bool field_wrong(const char *key, const json_t *value, const char *wanted, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: %s where %s should be", key, kind_of(value), wanted);
    return error_param(err, key);
}

/* INT64_MIN stands for what nobody said (SAMPLING_UNSAID): its neighbour is judged the same. */
static bool is_whole(const json_t *value, int64_t *out)
{
    const double real = json_real_value(value);
    if (json_is_integer(value))
        *out = json_integer_value(value) > INT64_MIN ? json_integer_value(value) : INT64_MIN + 1;
    else if (json_is_real(value) && fabs(real) <= MOST_EXACT && trunc(real) == real)
        *out = (int64_t)real;
    else
        return false;
    return true;
}

bool field_int(const json_t *object, const char *key, int64_t *out, struct error *err)
{
    const json_t *value = field_find(object, key);
    return value == NULL || is_whole(value, out) || field_wrong(key, value, "a whole number", err);
}

bool field_number(const json_t *object, const char *key, double *out, struct error *err)
{
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_number(value))
        return field_wrong(key, value, "a number", err);
    *out = json_number_value(value);
    return true;
}

bool field_bool(const json_t *object, const char *key, bool *out, struct error *err)
{
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_boolean(value))
        return field_wrong(key, value, "true or false", err);
    *out = json_is_true(value);
    return true;
}

bool field_text(const json_t *object, const char *key, const char **out, struct error *err)
{
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return field_wrong(key, value, "a text", err);
    *out = json_string_value(value);
    return true;
}

bool field_object(const json_t *object, const char *key, const json_t **out, struct error *err)
{
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_object(value))
        return field_wrong(key, value, "an object", err);
    *out = value;
    return true;
}

bool field_array(const json_t *object, const char *key, const json_t **out, struct error *err)
{
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_array(value))
        return field_wrong(key, value, "a list", err);
    *out = value;
    return true;
}

bool field_texts(const json_t *object, const char *key, struct arena *arena,
                 const char *const **out, size_t *n, struct error *err)
{
    static const char wanted[] = "a text or a list of texts";
    const json_t *value = field_find(object, key);
    if (value == NULL)
        return true;
    if (!json_is_string(value) && !json_is_array(value))
        return field_wrong(key, value, wanted, err);
    const size_t count = json_is_string(value) ? 1 : json_array_size(value);
    const char **text = arena_alloc(arena, count, sizeof *text);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_string(value) ? value : json_array_get(value, i);
        if (!json_is_string(item))
            return field_wrong(key, item, wanted, err);
        text[i] = json_string_value(item);
    }
    *out = text;
    *n = count;
    return true;
}

bool field_ids_of(const json_t *list, const char *key, struct arena *arena, const int64_t **out,
                  size_t *n, struct error *err)
{
    const size_t count = json_array_size(list);
    int64_t *id = arena_alloc(arena, count, sizeof *id);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!is_whole(item, &id[i]))
            return field_wrong(key, item, "a token id", err);
    }
    *out = id;
    *n = count;
    return true;
}

bool field_ids(const json_t *object, const char *key, struct arena *arena, const int64_t **out,
               size_t *n, struct error *err)
{
    const json_t *list = NULL;
    return field_array(object, key, &list, err) &&
           (list == NULL || field_ids_of(list, key, arena, out, n, err));
}

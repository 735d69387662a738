#include "proto/json_prompts.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/json_fields.h"

static const char wanted[] = "a text, a list of texts, of token ids, or of lists of token ids";

static bool is_empty(const char *key, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: empty, want %s", key, wanted);
    return error_param(err, key);
}

static bool read_one(struct json_prompt *out, const json_t *value, const char *key,
                     struct arena *arena, struct error *err)
{
    if (json_is_string(value)) {
        out->text = json_string_value(value);
        out->n_bytes = json_string_length(value);
        return out->n_bytes > 0 || is_empty(key, err);
    }
    if (!json_is_array(value))
        return field_wrong(key, value, wanted, err);
    return field_ids_of(value, key, arena, &out->id, &out->n_ids, err) &&
           (out->n_ids > 0 || is_empty(key, err));
}

bool json_prompts_check_count(size_t n, const char *key, struct error *err)
{
    if (n <= JSON_MAX_PROMPTS)
        return true;
    error_set(err, ERROR_INPUT, "%s: %zu of them, the most in one request is %d", key, n,
              JSON_MAX_PROMPTS);
    return error_param(err, key);
}

bool json_prompts_read(struct json_prompts *out, const json_t *object, const char *key,
                       struct arena *arena, struct error *err)
{
    const json_t *value = field_find(object, key);
    const json_t *first = json_array_get(value, 0);
    const bool is_list = json_is_string(first) || json_is_array(first);
    if (value == NULL || (json_is_array(value) && first == NULL))
        return is_empty(key, err);
    const size_t n = is_list ? json_array_size(value) : 1;
    if (!json_prompts_check_count(n, key, err))
        return false;
    struct json_prompt *prompt = arena_alloc(arena, n, sizeof *prompt);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = is_list ? json_array_get(value, i) : value;
        if (json_typeof(item) != json_typeof(is_list ? first : value))
            return field_wrong(key, item, wanted, err);
        if (!read_one(&prompt[i], item, key, arena, err))
            return false;
    }
    *out = (struct json_prompts){.prompt = prompt, .n = n, .key = key};
    return true;
}

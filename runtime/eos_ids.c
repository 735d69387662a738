#include "runtime/eos_ids.h"

#include "base/error.h"
#include "base/json.h"
#include "base/system.h"

#include <stdio.h>

static const struct json_limits limits = {
    .max_bytes = 1 << 20, .max_depth = 64, .max_values = 100000};

static bool add_id(struct eos_ids *out, const json_t *value, int vocab, struct error *err)
{
    if (!json_is_integer(value))
        return error_set(err, ERROR_INPUT, "eos_token_id: want a token id or a list of them");
    const json_int_t id = json_integer_value(value);
    if (id < 0 || id >= vocab)
        return error_set(err, ERROR_INPUT, "eos_token_id: %lld, the vocabulary has ids 0 to %d",
                         (long long)id, vocab - 1);
    if (out->n == EOS_MAX_IDS)
        return error_set(err, ERROR_INPUT, "eos_token_id: more than %d ids", EOS_MAX_IDS);
    out->id[out->n++] = (int32_t)id;
    return true;
}

static bool add_ids(struct eos_ids *out, const json_t *value, int vocab, struct error *err)
{
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_array(value))
        return add_id(out, value, vocab, err);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_id(out, json_array_get(value, i), vocab, err))
            return false;
    return true;
}

static bool read_file(struct eos_ids *out, const char *folder, const char *name, int vocab,
                      struct error *err)
{
    char path[4096];
    json_t *file;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return error_set(err, ERROR_INPUT, "a path of more than %zu bytes: %.64s...", sizeof path,
                         folder);
    if (!file_exists(path))
        return true;
    if (!json_read_file(&file, path, &limits, err))
        return false;
    const bool good = json_is_object(file)
                          ? add_ids(out, json_object_get(file, "eos_token_id"), vocab, err)
                          : error_set(err, ERROR_INPUT, "want an object");
    json_decref(file);
    return good || error_in(err, "%s", path);
}

bool eos_ids_read(struct eos_ids *out, const char *folder, int vocab, struct error *err)
{
    out->n = 0;
    return read_file(out, folder, "generation_config.json", vocab, err) &&
           (out->n > 0 || read_file(out, folder, "config.json", vocab, err));
}

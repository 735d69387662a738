#include "runtime/gateway/generation_config.h"

#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "runtime/request/params.h"

#include <stdio.h>

static const struct json_limits limits = {
    .max_bytes = 1 << 20, .max_depth = 16, .max_values = 4096};

static bool read_number(const json_t *file, const char *key, double min, double max, float *value,
                        struct error *err)
{
    double wide = (double)*value;
    if (!json_get_number(file, key, false, min, max, &wide, err))
        return false;
    *value = (float)wide;
    return true;
}

static bool read_count(const json_t *file, const char *key, int64_t min, int32_t *value,
                       struct error *err)
{
    int64_t wide = *value;
    if (!json_get_int(file, key, false, min, INT32_MAX, &wide, err))
        return false;
    *value = (int32_t)wide;
    return true;
}

bool generation_config_read(struct sampling_params *params, const char *model_folder,
                            struct error *err)
{
    char path[4096 + 32];
    json_t *file;
    snprintf(path, sizeof path, "%s/generation_config.json", model_folder);
    if (!file_exists(path))
        return true;
    if (!json_read_file(&file, path, &limits, err))
        return false;
    const bool good =
        read_number(file, "temperature", 0, 2, &params->temperature, err) &&
        read_number(file, "top_p", 1e-9, 1, &params->top_p, err) &&
        read_number(file, "min_p", 0, 1, &params->min_p, err) &&
        read_number(file, "repetition_penalty", 1e-6, 1e6, &params->repetition_penalty, err) &&
        read_count(file, "top_k", -1, &params->top_k, err) &&
        read_count(file, "max_new_tokens", 1, &params->max_tokens, err);
    json_decref(file);
    return good || error_in(err, "%s", path);
}

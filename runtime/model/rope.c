/* Reading the parameters of rotary embeddings, and the frequencies they stand for.
 *
 * The powers are computed in double and rounded once, where transformers calls a float32 power:
 * the two agree to the last bit or next to it. Everything after follows its float32 steps. */
#include "runtime/model/rope.h"

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static const struct {
    const char *name;
    enum rope_type type;
} type_names[] = {{"default", ROPE_DEFAULT}, {"linear", ROPE_LINEAR},     {"dynamic", ROPE_DYNAMIC},
                  {"yarn", ROPE_YARN},       {"longrope", ROPE_LONGROPE}, {"su", ROPE_LONGROPE},
                  {"llama3", ROPE_LLAMA3}};
enum { N_TYPE_NAMES = sizeof type_names / sizeof *type_names };

enum { MAX_FACTOR = 65536 };

static bool read_type(enum rope_type *out, const json_t *scaling, struct error *err)
{
    const char *name = "default";
    if (!json_get_text(scaling, "type", false, &name, err) ||
        !json_get_text(scaling, "rope_type", false, &name, err))
        return false;
    for (int i = 0; i < N_TYPE_NAMES; i++) {
        if (strcmp(type_names[i].name, name) == 0) {
            *out = type_names[i].type;
            return true;
        }
    }
    return error_set(err, ERROR_UNSUPPORTED,
                     "\"rope_type\" is \"%.40s\", want default, linear, dynamic, yarn, longrope or "
                     "llama3",
                     name);
}

static bool read_llama3(struct rope_config *rope, const json_t *scaling, struct error *err)
{
    if (!json_get_number(scaling, "factor", true, 1e-3, MAX_FACTOR, &rope->factor, err) ||
        !json_get_number(scaling, "low_freq_factor", true, 1e-3, 1e6, &rope->low_freq_factor,
                         err) ||
        !json_get_number(scaling, "high_freq_factor", true, 1e-3, 1e6, &rope->high_freq_factor,
                         err))
        return false;
    if (!(rope->high_freq_factor > rope->low_freq_factor))
        return error_set(err, ERROR_INPUT,
                         "\"high_freq_factor\" is %g, want more than \"low_freq_factor\", %g",
                         rope->high_freq_factor, rope->low_freq_factor);
    return true;
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static bool read_yarn(struct rope_config *rope, const json_t *scaling, int max_position_embeddings,
                      struct error *err)
{
    double mscale = 0, mscale_all_dim = 0, scale = 0;
    rope->factor = (double)max_position_embeddings / rope->trained_positions;
    rope->beta_fast = 32;
    rope->beta_slow = 1;
    rope->truncate = true;
    if (!json_get_number(scaling, "factor", false, 1e-3, MAX_FACTOR, &rope->factor, err) ||
        !json_get_number(scaling, "beta_fast", false, 1e-3, 1e6, &rope->beta_fast, err) ||
        !json_get_number(scaling, "beta_slow", false, 1e-3, 1e6, &rope->beta_slow, err) ||
        !json_get_bool(scaling, "truncate", false, &rope->truncate, err) ||
        !json_get_number(scaling, "mscale", false, 0, 1e3, &mscale, err) ||
        !json_get_number(scaling, "mscale_all_dim", false, 0, 1e3, &mscale_all_dim, err) ||
        !json_get_number(scaling, "attention_factor", false, 1e-3, 1e3, &scale, err))
        return false;
    if (scale == 0)
        scale = mscale > 0 && mscale_all_dim > 0
                    ? yarn_scale(rope->factor, mscale) / yarn_scale(rope->factor, mscale_all_dim)
                    : yarn_scale(rope->factor, 1);
    rope->scale = (float)scale;
    return true;
}

static bool read_factors(float *out, const json_t *scaling, const char *key, int half,
                         struct error *err)
{
    const json_t *list = json_object_get(scaling, key);
    if (!json_is_array(list) || json_array_size(list) != (size_t)half)
        return error_set(err, ERROR_INPUT, "\"%s\" has %zu items, want a list of %d numbers", key,
                         json_array_size(list), half);
    for (int i = 0; i < half; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        const double value = json_number_value(item);
        if (!json_is_number(item) || !(value >= 1e-3 && value <= MAX_FACTOR))
            return error_set(err, ERROR_INPUT, "\"%s\", item %d: want a number from 0.001 to %d",
                             key, i, MAX_FACTOR);
        out[i] = (float)value;
    }
    return true;
}

static bool read_longrope(struct rope_config *rope, const json_t *scaling, int half,
                          int max_position_embeddings, struct error *err)
{
    const bool is_long = max_position_embeddings > rope->trained_positions;
    if (rope->trained_positions < 2) /* the scale is divided by its logarithm */
        return error_set(err, ERROR_INPUT,
                         "\"original_max_position_embeddings\" is %d, want 2 at least",
                         rope->trained_positions);
    float unused[ROPE_MAX_HALF]; /* checked all the same: a wrong length means a wrong head_dim */
    double scale = 0;
    rope->factor = (double)max_position_embeddings / rope->trained_positions;
    if (!json_get_number(scaling, "factor", false, 1e-3, MAX_FACTOR, &rope->factor, err) ||
        !json_get_number(scaling, "attention_factor", false, 1e-3, 1e3, &scale, err) ||
        !read_factors(is_long ? unused : rope->divisor, scaling, "short_factor", half, err) ||
        !read_factors(is_long ? rope->divisor : unused, scaling, "long_factor", half, err))
        return false;
    if (scale == 0)
        scale = rope->factor <= 1 ? 1 : sqrt(1 + log(rope->factor) / log(rope->trained_positions));
    rope->scale = (float)scale;
    return true;
}

static bool read_kind(struct rope_config *rope, const json_t *scaling, int half,
                      int max_position_embeddings, struct error *err)
{
    switch (rope->type) {
    case ROPE_LINEAR:
        return json_get_number(scaling, "factor", true, 1e-3, MAX_FACTOR, &rope->factor, err);
    case ROPE_YARN:
        return read_yarn(rope, scaling, max_position_embeddings, err);
    case ROPE_LONGROPE:
        return read_longrope(rope, scaling, half, max_position_embeddings, err);
    case ROPE_LLAMA3:
        return read_llama3(rope, scaling, err);
    default:
        return true;
    }
}

static bool has_one_set(const json_t *scaling, const char *name, struct error *err)
{
    if (!json_is_object(scaling))
        return error_set(err, ERROR_INPUT, "\"%s\" is no object", name);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)scaling, key, value)
    {
        if (json_is_object(value))
            return error_set(err, ERROR_UNSUPPORTED,
                             "\"%s\" has a set of parameters for \"%.40s\": sets that differ by "
                             "layer are not supported yet",
                             name, key);
    }
    return true;
}

/* The object that has the parameters, and its name; NULL where there is none. */
static bool find_set(const json_t **out, const char **name, const json_t *config,
                     const struct rope_keys *keys, struct error *err)
{
    const json_t *scaling = keys->scaled ? json_object_get(config, "rope_scaling") : NULL;
    const json_t *parameters = json_object_get(config, "rope_parameters");
    *name = "rope_scaling";
    if (scaling == NULL || json_is_null(scaling)) {
        *name = "rope_parameters";
        scaling = parameters;
        if (keys->layer_type != NULL && json_is_object(parameters)) {
            if (json_object_get(parameters, "rope_type") != NULL)
                return error_set(err, ERROR_UNSUPPORTED,
                                 "\"rope_parameters\" is one set for all layers, want one named "
                                 "\"%s\"",
                                 keys->layer_type);
            scaling = json_object_get(parameters, keys->layer_type);
        }
    }
    *out = json_is_null(scaling) ? NULL : scaling;
    return *out == NULL || has_one_set(*out, *name, err);
}

static bool read_set(struct rope_config *out, const json_t *config, const json_t *set,
                     const struct rope_keys *keys, int head_dim, int max_position_embeddings,
                     struct error *err)
{
    static const char original[] = "original_max_position_embeddings";
    static const char part[] = "partial_rotary_factor";
    double partial = 1;
    int64_t trained = max_position_embeddings;
    *out = (struct rope_config){.theta = keys->absent_theta, .factor = 1, .scale = 1};
    if (!read_type(&out->type, set, err) ||
        !json_get_number(config, keys->theta, false, 2, 1e12, &out->theta, err) ||
        !json_get_number(set, "rope_theta", false, 2, 1e12, &out->theta, err) ||
        !json_get_int(set, original, false, 2, MODEL_MAX_POSITIONS, &trained, err) ||
        !json_get_int(config, original, false, 2, MODEL_MAX_POSITIONS, &trained, err) ||
        !json_get_number(config, part, false, 0, 1, &partial, err) ||
        !json_get_number(set, part, false, 0, 1, &partial, err))
        return false;
    out->trained_positions = (int)trained;
    const int rotated = (int)(head_dim * partial);
    if (rotated < 2 || rotated % 2 != 0)
        return error_set(err, ERROR_INPUT,
                         "\"%s\" is %g: %d elements of a head of %d are rotated, want an even "
                         "number",
                         part, partial, rotated, head_dim);
    out->half = rotated / 2;
    return read_kind(out, set, out->half, max_position_embeddings, err);
}

bool rope_read(struct rope_config *out, const json_t *config, const struct rope_keys *keys,
               int head_dim, int max_position_embeddings, struct error *err)
{
    const char *name;
    const json_t *set;
    if (!find_set(&set, &name, config, keys, err))
        return false;
    json_t *none = json_object();
    check(none != NULL);
    const bool ok =
        read_set(out, config, set ? set : none, keys, head_dim, max_position_embeddings, err) ||
        (set == NULL ? false : error_in(err, "\"%s\"", name));
    json_decref(none);
    return ok;
}

int rope_max_positions(const struct rope_config *rope, int max_position_embeddings)
{
    double positions = max_position_embeddings;
    switch (rope->type) {
    case ROPE_LINEAR: /* checkpoints give the length of training and what stretches it */
        positions = fmax(positions, floor(max_position_embeddings * rope->factor));
        break;
    case ROPE_YARN:
        positions = fmax(positions, floor(rope->trained_positions * rope->factor));
        break;
    default:
        break;
    }
    return (int)fmin(positions, MODEL_MAX_POSITIONS);
}

/* theta^(2i / dim), rounded to float32 */
static float power(const struct rope_config *rope, int i, int half)
{
    const float exponent = (float)(2 * i) / (float)(2 * half);
    return (float)pow(rope->theta, exponent);
}

/* Wavelengths that fit `low_freq_factor` times at most into the length of training are divided by
 * `factor`, those that fit `high_freq_factor` times stay, and between is a line. */
static float llama3_frequency(const struct rope_config *rope, float plain)
{
    const float trained = (float)rope->trained_positions, factor = (float)rope->factor;
    const float low = (float)rope->low_freq_factor, high = (float)rope->high_freq_factor;
    const float wavelength = (float)(2 * pi) / plain;
    if (wavelength > (float)(rope->trained_positions / rope->low_freq_factor))
        return plain / factor;
    if (wavelength < (float)(rope->trained_positions / rope->high_freq_factor))
        return plain;
    const float smooth = (trained / wavelength - low) / (high - low);
    return (1 - smooth) * plain / factor + smooth * plain;
}

/* The pair that turns `rotations` times within the length of training. */
static double yarn_pair(const struct rope_config *rope, double rotations, int half)
{
    return 2 * half * log(rope->trained_positions / (rotations * 2 * pi)) / (2 * log(rope->theta));
}

static void yarn_frequencies(const struct rope_config *rope, int half, float *inv_freq)
{
    double low = yarn_pair(rope, rope->beta_fast, half);
    double high = yarn_pair(rope, rope->beta_slow, half);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, 2 * half - 1);
    if (low == high)
        high += 0.001;
    for (int i = 0; i < half; i++) {
        const float ramp = ((float)i - (float)low) / (float)(high - low);
        const float keep = 1 - fminf(fmaxf(ramp, 0), 1);
        const float whole = 1 / power(rope, i, half);
        const float divided = 1 / ((float)rope->factor * power(rope, i, half));
        inv_freq[i] = divided * (1 - keep) + whole * keep;
    }
}

void rope_inv_freq(const struct rope_config *rope, float *inv_freq)
{
    const int half = rope->half;
    check(half > 0 && half <= ROPE_MAX_HALF);
    if (rope->type == ROPE_YARN) {
        yarn_frequencies(rope, half, inv_freq);
        return;
    }
    for (int i = 0; i < half; i++) {
        inv_freq[i] = 1 / power(rope, i, half);
        if (rope->type == ROPE_LINEAR)
            inv_freq[i] /= (float)rope->factor;
        if (rope->type == ROPE_LONGROPE)
            inv_freq[i] = 1 / (rope->divisor[i] * power(rope, i, half));
        if (rope->type == ROPE_LLAMA3)
            inv_freq[i] = llama3_frequency(rope, inv_freq[i]);
    }
}

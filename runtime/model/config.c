/* config.json -> struct model_config. Keys that only matter to training are not looked at. */
#include "runtime/model/config.h"

#include "base/error.h"
#include "base/json.h"
#include "kernels/ops.h"
#include "runtime/model/family.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)MODEL_MAX_HEAD_DIM <= (int)MAX_HEAD_DIM &&
                   (int)MODEL_MAX_HEAD_DIM <= 2 * (int)ROPE_MAX_HALF,
               "a head that is taken here can be computed");

static bool get_size(const json_t *json, const char *key, bool required, int max, int *out,
                     struct error *err)
{
    int64_t value = *out;
    if (!json_get_int(json, key, required, 1, max, &value, err))
        return false;
    *out = (int)value;
    return true;
}

/* As transformers counts: the names, whatever number stands beside them; two where nobody says how
 * many. */
static bool read_labels(int *out, const json_t *json, struct error *err)
{
    const json_t *names = json_object_get(json, "id2label");
    const size_t n = json_object_size(names);
    *out = 2;
    if (names == NULL || json_is_null(names))
        return get_size(json, "num_labels", false, MODEL_MAX_LABELS, out, err);
    if (n == 0 || n > MODEL_MAX_LABELS)
        return error_set(err, ERROR_INPUT, "\"id2label\" is no object with 1 to %d labels",
                         MODEL_MAX_LABELS);
    *out = (int)n;
    return true;
}

static bool read_family(struct model_config *out, const json_t *json, struct error *err)
{
    const json_t *list = json_object_get(json, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    char known[256];
    family_list(known, sizeof known);
    if (name == NULL)
        return error_set(err, ERROR_INPUT,
                         "\"architectures\" is missing, want a list with one of: %s", known);
    out->family = family_find(name);
    if (out->family == NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"architectures\" is \"%.60s\", which this version does not know; it "
                         "knows: %s",
                         name, known);
    snprintf(out->architecture, sizeof out->architecture, "%s", name);
    out->generates = strcmp(name, out->family->architecture) == 0;
    return strcmp(name, out->family->scores_architecture) != 0 ||
           read_labels(&out->n_labels, json, err);
}

static bool read_heads(struct model_config *out, const json_t *json, struct error *err)
{
    out->n_kv_heads = out->n_heads;
    if (!get_size(json, "num_key_value_heads", false, MODEL_MAX_HEADS, &out->n_kv_heads, err))
        return false;
    if (out->n_heads % out->n_kv_heads != 0)
        return error_set(err, ERROR_INPUT,
                         "\"num_key_value_heads\" is %d, want a divisor of "
                         "\"num_attention_heads\", %d",
                         out->n_kv_heads, out->n_heads);
    out->head_dim = out->family->absent.head_dim;
    if (!get_size(json, "head_dim", false, MODEL_MAX_HEAD_DIM, &out->head_dim, err))
        return false;
    if (out->head_dim == 0 && out->hidden % out->n_heads != 0)
        return error_set(err, ERROR_INPUT,
                         "\"hidden_size\" is %d, want a multiple of \"num_attention_heads\", %d, "
                         "or \"head_dim\"",
                         out->hidden, out->n_heads);
    if (out->head_dim == 0)
        out->head_dim = out->hidden / out->n_heads;
    if (out->head_dim > MODEL_MAX_HEAD_DIM || out->head_dim % 2 != 0)
        return error_set(err, ERROR_INPUT,
                         "\"head_dim\" is %d, want an even number of at most %d (it is "
                         "\"hidden_size\" / \"num_attention_heads\" where absent)",
                         out->head_dim, MODEL_MAX_HEAD_DIM);
    out->attention_scale = (float)(1 / sqrt(out->head_dim));
    return true;
}

static bool read_sizes(struct model_config *out, const json_t *json, struct error *err)
{
    return get_size(json, "hidden_size", true, MODEL_MAX_HIDDEN, &out->hidden, err) &&
           get_size(json, "num_hidden_layers", true, MODEL_MAX_LAYERS, &out->n_layers, err) &&
           get_size(json, "num_attention_heads", true, MODEL_MAX_HEADS, &out->n_heads, err) &&
           get_size(json, "intermediate_size", true, MODEL_MAX_FFN, &out->ffn, err) &&
           get_size(json, "vocab_size", true, MODEL_MAX_VOCAB, &out->vocab, err) &&
           get_size(json, "max_position_embeddings", true, MODEL_MAX_POSITIONS, &out->max_positions,
                    err) &&
           read_heads(out, json, err);
}

static bool read_dtype(struct model_config *out, const json_t *json, struct error *err)
{
    const char *name = "bfloat16";
    if (!json_get_text(json, "torch_dtype", false, &name, err) ||
        !json_get_text(json, "dtype", false, &name, err)) /* transformers 5 */
        return false;
    if (strcmp(name, "bfloat16") == 0)
        out->checkpoint_dtype = DTYPE_BF16;
    else if (strcmp(name, "float16") == 0)
        out->checkpoint_dtype = DTYPE_F16;
    else if (strcmp(name, "float32") == 0)
        out->checkpoint_dtype = DTYPE_F32;
    else
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"torch_dtype\" is \"%.40s\", want bfloat16, float16 or float32", name);
    return true;
}

/* What would change the numbers if it were passed over. */
static bool refuse_unsupported(const json_t *json, struct error *err)
{
    const json_t *quantization = json_object_get(json, "quantization_config");
    if (quantization != NULL && !json_is_null(quantization)) {
        const char *method = json_string_value(json_object_get(quantization, "quant_method"));
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"quantization_config\": the weights are quantised (%.40s), which is not "
                         "supported yet; use the checkpoint in bfloat16",
                         method ? method : "no quant_method given");
    }
    return true;
}

static bool read_activation(struct model_config *out, const json_t *json, struct error *err)
{
    static const char *const names[] = {
        [ACTIVATION_SILU] = "silu", [ACTIVATION_GELU_TANH] = "gelu_pytorch_tanh"};
    const struct family *family = out->family;
    const char *key = family->activation_key ? family->activation_key : "hidden_act";
    const char *want = names[family->activation], *name = want;
    out->activation = family->activation;
    if (!json_get_text(json, key, false, &name, err))
        return false;
    return strcmp(name, want) == 0 ||
           error_set(err, ERROR_UNSUPPORTED, "\"%s\" is \"%.40s\", want %s", key, name, want);
}

static bool read_rope(struct model_config *out, const json_t *json, struct error *err)
{
    const struct family *family = out->family;
    if (family->read_rope != NULL)
        return family->read_rope(out, json, err);
    const struct rope_keys keys = {.theta = "rope_theta", .absent_theta = 10000, .scaled = true};
    out->n_ropes = 1;
    if (!rope_read(&out->rope[0], json, &keys, out->head_dim, out->max_positions, err))
        return false;
    out->max_positions = rope_max_positions(&out->rope[0], out->max_positions);
    return true;
}

static bool read_positions(struct model_config *out, const json_t *json, struct error *err)
{
    if (!read_rope(out, json, err))
        return false;
    out->rope_half = out->rope[0].half;
    for (int i = 0; i < out->n_ropes; i++)
        if (out->rope[i].half != out->rope_half ||
            (2 * out->rope_half != out->head_dim && !out->family->partly_rotated))
            return error_set(err, ERROR_UNSUPPORTED,
                             "\"partial_rotary_factor\": models of this family do not rotate %d "
                             "elements of %d",
                             2 * out->rope[i].half, out->head_dim);
    return true;
}

/* A window that no sequence can be longer than is none. */
static void drop_wide_windows(struct model_config *out)
{
    for (int i = 0; i < out->n_layers; i++)
        if (out->window[i] >= out->max_positions)
            out->window[i] = 0;
}

static bool read_config(struct model_config *out, const json_t *json, struct error *err)
{
    *out = (struct model_config){.embedding_scale = 1};
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "no JSON object");
    if (!read_family(out, json, err))
        return false;
    const struct family *family = out->family;
    double norm_eps = family->absent.norm_eps > 0 ? family->absent.norm_eps : 1e-6;
    out->tied = family->absent.tied;
    if (!refuse_unsupported(json, err) || !read_sizes(out, json, err) ||
        !read_dtype(out, json, err) || !read_activation(out, json, err) ||
        !json_get_number(json, "rms_norm_eps", false, 1e-12, 1, &norm_eps, err) ||
        !json_get_bool(json, "tie_word_embeddings", false, &out->tied, err) ||
        !read_positions(out, json, err) || !family->read(out, json, err))
        return false;
    out->norm_eps = (float)norm_eps;
    drop_wide_windows(out);
    return true;
}

bool model_config_read(struct model_config *out, const char *folder, struct error *err)
{
    static const struct json_limits limits = {.max_bytes = CONFIG_MAX_BYTES,
                                              .max_depth = CONFIG_MAX_DEPTH,
                                              .max_values = CONFIG_MAX_VALUES};
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/config.json", folder) >= (int)sizeof path)
        return error_set(err, ERROR_INPUT, "%.100s...: path too long", folder);
    json_t *json;
    if (!json_read_file(&json, path, &limits, err))
        return false;
    const bool ok = read_config(out, json, err) || error_in(err, "%s", path);
    json_decref(json);
    return ok;
}

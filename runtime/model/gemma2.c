/* Gemma 2. Gemma Team 2024, arXiv:2408.00118. Weights of norms count from 1; norms before and after
 * each branch; the embedding is scaled by sqrt(hidden); scores of attention and logits are capped
 * by tanh; every other layer, the first one too, sees a window. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/family.h"

#include <math.h>

static bool read_softcap(float *out, const json_t *json, const char *key, int64_t absent,
                         struct error *err)
{
    double cap = (double)unless_null(json, key, absent);
    if (!json_get_number(json, key, false, 1e-3, 1e6, &cap, err))
        return false;
    *out = (float)cap;
    return true;
}

bool gemma_read(struct model_config *config, const json_t *json, int64_t absent_logit_softcap,
                struct error *err)
{
    double scalar = 256;
    bool both_ways = false;
    if (!json_get_number(json, "query_pre_attn_scalar", false, 1e-3, 1e9, &scalar, err) ||
        !json_get_bool(json, "attention_bias", false, &config->attention_bias, err) ||
        !json_get_bool(json, "use_bidirectional_attention", false, &both_ways, err) ||
        !read_softcap(&config->logit_softcap, json, "final_logit_softcapping", absent_logit_softcap,
                      err))
        return false;
    if (both_ways)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "\"use_bidirectional_attention\" is true: tokens that see what comes after "
            "them are not supported");
    config->o_bias = config->attention_bias;
    config->norm_offset = 1;
    config->embedding_scale = sqrt(config->hidden);
    config->attention_scale = (float)(1 / sqrt(scalar));
    return true;
}

static bool read_gemma2(struct model_config *config, const json_t *json, struct error *err)
{
    int64_t window = unless_null(json, "sliding_window", 4096);
    if (!gemma_read(config, json, 30, err) ||
        !read_softcap(&config->attention_softcap, json, "attn_logit_softcapping", 50, err) ||
        !json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err))
        return false;
    for (int i = 0; i < config->n_layers; i += 2)
        config->window[i] = (int)window;
    return layer_types_read(config, json, window, err);
}

const struct family gemma2_family = {
    .architecture = "Gemma2ForCausalLM",
    .scores_architecture = "Gemma2ForSequenceClassification",
    .headless_architecture = "Gemma2Model",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, sandwich_norm_slots},
    .ignored = decoder_ignored,
    .absent = {.tied = true, .head_dim = 256},
    .activation = ACTIVATION_GELU_TANH,
    .activation_key = "hidden_activation",
    .read = read_gemma2,
};

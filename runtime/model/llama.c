/* Llama 2, 3, 3.1, 3.2, 3.3. Touvron et al. 2023, arXiv:2307.09288; Llama Team 2024,
 * arXiv:2407.21783. One key, attention_bias, gives q, k, v and also o a bias. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/family.h"

static bool read_llama(struct model_config *config, const json_t *json, struct error *err)
{
    if (!json_get_bool(json, "attention_bias", false, &config->attention_bias, err) ||
        !json_get_bool(json, "mlp_bias", false, &config->mlp_bias, err))
        return false;
    config->o_bias = config->attention_bias;
    return true;
}

const struct family llama_family = {
    .architecture = "LlamaForCausalLM",
    .scores_architecture = "LlamaForSequenceClassification",
    .headless_architecture = "LlamaModel",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, decoder_norm_slots},
    .ignored = decoder_ignored,
    .read = read_llama,
};

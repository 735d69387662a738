/* Qwen3. Yang et al. 2025, arXiv:2505.09388. Qwen2 without its biases, with norms of the heads of q
 * and k before they are rotated, and with a head_dim of its own. */
#include "base/json.h"
#include "runtime/model/family.h"

static bool read_qwen3(struct model_config *config, const json_t *json, struct error *err)
{
    if (!json_get_bool(json, "attention_bias", false, &config->attention_bias, err))
        return false;
    config->o_bias = config->attention_bias;
    return qwen_windows_read(config, json, err);
}

const struct family qwen3_family = {
    .architecture = "Qwen3ForCausalLM",
    .scores_architecture = "Qwen3ForSequenceClassification",
    .headless_architecture = "Qwen3Model",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, decoder_norm_slots, head_norm_slots},
    .ignored = decoder_ignored,
    .absent = {.head_dim = 128},
    .read = read_qwen3,
};

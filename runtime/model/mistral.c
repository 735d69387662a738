/* Mistral 7B, Nemo, Small. Jiang et al. 2023, arXiv:2310.06825. Llama whose layers may see a window
 * only: all of them, or those that "layer_types" names (Ministral). */
#include "base/json.h"
#include "runtime/model/family.h"

static bool read_mistral(struct model_config *config, const json_t *json, struct error *err)
{
    int64_t window = unless_null(json, "sliding_window", 4096); /* as transformers fills it in */
    if (!json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err))
        return false;
    for (int i = 0; i < config->n_layers; i++)
        config->window[i] = (int)window;
    return layer_types_read(config, json, window, err);
}

const struct family mistral_family = {
    .architecture = "MistralForCausalLM",
    .scores_architecture = "MistralForSequenceClassification",
    .headless_architecture = "MistralModel",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, decoder_norm_slots},
    .ignored = decoder_ignored,
    .read = read_mistral,
};

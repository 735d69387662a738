/* Qwen2 and Qwen2.5. Yang et al. 2024, arXiv:2407.10671. q, k and v always have a bias, nothing
 * else has. The upper layers may see a window only; the published checkpoints say no. */
#include "base/json.h"
#include "runtime/model/family.h"

bool qwen_windows_read(struct model_config *config, const json_t *json, struct error *err)
{
    bool windowed = false;
    int64_t window = unless_null(json, "sliding_window", 4096); /* as transformers fills them in */
    int64_t first_layer = 28;
    if (!json_get_bool(json, "use_sliding_window", false, &windowed, err) ||
        !json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err) ||
        !json_get_int(json, "max_window_layers", false, 0, INT32_MAX, &first_layer, err))
        return false;
    if (!windowed)
        window = 0;
    for (int i = 0; i < config->n_layers; i++)
        config->window[i] = i >= first_layer ? (int)window : 0;
    return layer_types_read(config, json, window, err);
}

static bool read_qwen2(struct model_config *config, const json_t *json, struct error *err)
{
    config->attention_bias = true;
    return qwen_windows_read(config, json, err);
}

const struct family qwen2_family = {
    .architecture = "Qwen2ForCausalLM",
    .scores_architecture = "Qwen2ForSequenceClassification",
    .headless_architecture = "Qwen2Model",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, decoder_norm_slots},
    .ignored = decoder_ignored,
    .read = read_qwen2,
};

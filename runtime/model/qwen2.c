/* Qwen2 and Qwen2.5. Yang et al. 2024, arXiv:2407.10671. q, k and v always have a bias, nothing
 * else has. The upper layers may look at a window only; the published checkpoints say no. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/family.h"

static bool read_qwen2(struct model_config *config, const json_t *json, struct error *err)
{
    config->attention_bias = true;

    bool windowed = false;
    int64_t window = 4096, first_layer = 28; /* as transformers fills them in */
    if (!json_get_bool(json, "use_sliding_window", false, &windowed, err) ||
        !json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err) ||
        !json_get_int(json, "max_window_layers", false, 0, INT32_MAX, &first_layer, err))
        return false;
    if (windowed && first_layer < config->n_layers && window < config->max_positions)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"use_sliding_window\" is true: layers %lld to %d see the last %lld "
                         "positions only, which is not supported yet; set it to false to let them "
                         "see all (answers differ beyond that length)",
                         (long long)first_layer, config->n_layers - 1, (long long)window);
    return true;
}

const struct family qwen2_family = {
    .architecture = "Qwen2ForCausalLM",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = decoder_layer_slots,
    .ignored = decoder_ignored,
    .read = read_qwen2,
};

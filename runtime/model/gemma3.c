/* Gemma 3, its text models. Gemma Team 2025, arXiv:2503.19786. Gemma 2 without the cap of
 * attention, with norms of the heads of q and k; five layers of six see a window, and those rotate
 * by other frequencies than the ones that see all. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/family.h"

enum { FULL, WINDOWED }; /* of config->rope */

static bool read_gemma3(struct model_config *config, const json_t *json, struct error *err)
{
    int64_t window = unless_null(json, "sliding_window", 4096), pattern = 6;
    if (!gemma_read(config, json, 0, err) ||
        !json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err) ||
        !json_get_int(json, "sliding_window_pattern", false, 1, INT32_MAX, &pattern, err))
        return false;
    if (unless_null(json, "attn_logit_softcapping", 1) != 0 &&
        json_object_get(json, "attn_logit_softcapping") != NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"attn_logit_softcapping\": want null, which all models of this family "
                         "have");
    if (window == 0)
        return error_set(err, ERROR_INPUT, "\"sliding_window\" is null, want a number");
    for (int i = 0; i < config->n_layers; i++)
        config->window[i] = (i + 1) % pattern != 0 ? (int)window : 0;
    if (!layer_types_read(config, json, window, err))
        return false;
    for (int i = 0; i < config->n_layers; i++)
        config->rope_of[i] = config->window[i] > 0 ? WINDOWED : FULL;
    return true;
}

/* max_position_embeddings counts what the scaling stretches already. */
static bool read_rope_gemma3(struct model_config *config, const json_t *json, struct error *err)
{
    static const struct rope_keys keys[] = {[FULL] = {.layer_type = "full_attention",
                                                      .theta = "rope_theta",
                                                      .absent_theta = 1e6,
                                                      .scaled = true},
                                            [WINDOWED] = {.layer_type = "sliding_attention",
                                                          .theta = "rope_local_base_freq",
                                                          .absent_theta = 10000}};
    config->n_ropes = 2;
    for (int i = 0; i < config->n_ropes; i++)
        if (!rope_read(&config->rope[i], json, &keys[i], config->head_dim, config->max_positions,
                       err))
            return false;
    return true;
}

const struct family gemma3_family = {
    .architecture = "Gemma3ForCausalLM",
    .scores_architecture = "Gemma3TextForSequenceClassification",
    .headless_architecture = "Gemma3TextModel",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {decoder_linear_slots, sandwich_norm_slots, head_norm_slots},
    .ignored = decoder_ignored,
    .absent = {.tied = true, .head_dim = 256},
    .activation = ACTIVATION_GELU_TANH,
    .activation_key = "hidden_activation",
    .read = read_gemma3,
    .read_rope = read_rope_gemma3,
};

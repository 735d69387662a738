/* Phi-3, Phi-3.5 (mini, medium), Phi-4 and Phi-4-mini. Abdin et al. 2024, arXiv:2404.14219. A Llama
 * with q, k, v in one tensor and gate, up in another; long contexts by LongRoPE; heads may be
 * rotated in part. */
#include "base/error.h"
#include "base/json.h"
#include "runtime/model/family.h"

static bool read_phi3(struct model_config *config, const json_t *json, struct error *err)
{
    const enum rope_type rope = config->rope[0].type;
    int64_t window = 0;
    if (!json_get_int(json, "sliding_window", false, 1, INT32_MAX, &window, err))
        return false;
    if (rope != ROPE_DEFAULT && rope != ROPE_LONGROPE)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"rope_scaling\": models of this family have longrope, or none");
    for (int i = 0; i < config->n_layers; i++)
        config->window[i] = (int)window;
    return true;
}

#define QKV     "self_attn.qkv_proj.weight"
#define GATE_UP "mlp.gate_up_proj.weight"

static const struct slot phi3_linear_slots[] = {
    STACKED_SLOT(QKV, q_proj, DIM_HEADS, DIM_HIDDEN, 0, DIM_HEADS, DIM_KV_HEADS, DIM_KV_HEADS),
    STACKED_SLOT(QKV, k_proj, DIM_KV_HEADS, DIM_HIDDEN, 1, DIM_HEADS, DIM_KV_HEADS, DIM_KV_HEADS),
    STACKED_SLOT(QKV, v_proj, DIM_KV_HEADS, DIM_HIDDEN, 2, DIM_HEADS, DIM_KV_HEADS, DIM_KV_HEADS),
    LAYER_SLOT("self_attn.o_proj.weight", o_proj, DIM_HIDDEN, DIM_HEADS, ALWAYS),
    STACKED_SLOT(GATE_UP, gate_proj, DIM_FFN, DIM_HIDDEN, 0, DIM_FFN, DIM_FFN),
    STACKED_SLOT(GATE_UP, up_proj, DIM_FFN, DIM_HIDDEN, 1, DIM_FFN, DIM_FFN),
    LAYER_SLOT("mlp.down_proj.weight", down_proj, DIM_HIDDEN, DIM_FFN, ALWAYS),
    {0}};

const struct family phi3_family = {
    .architecture = "Phi3ForCausalLM",
    .scores_architecture = "Phi3ForSequenceClassification",
    .headless_architecture = "Phi3Model",
    .layer_prefix = "model.layers.",
    .model_slots = decoder_model_slots,
    .layer_slots = {phi3_linear_slots, decoder_norm_slots},
    .ignored = decoder_ignored,
    .absent = {.norm_eps = 1e-5},
    .partly_rotated = true,
    .read = read_phi3,
};

/* The list of families, and the tensors of a decoder as most of them name them. */
#include "runtime/model/family.h"

#include "base/check.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const struct family *const families[] = {&gemma2_family,  &gemma3_family, &llama_family,
                                                &mistral_family, &phi3_family,   &qwen2_family,
                                                &qwen3_family};
enum { N_FAMILIES = sizeof families / sizeof *families };

/* Heads of scores are applied by rank 0, to hidden states that come to it. */
const struct slot decoder_model_slots[] = {
    MODEL_SLOT("model.embed_tokens.weight", embed_tokens, DIM_VOCAB, DIM_HIDDEN, ALWAYS,
               END_STAGES),
    MODEL_SLOT("model.norm.weight", norm, DIM_HIDDEN, DIM_NONE, ALWAYS, LAST_STAGE),
    MODEL_SLOT("lm_head.weight", lm_head, DIM_VOCAB, DIM_HIDDEN, IF_LM_HEAD, LAST_STAGE),
    MODEL_SLOT("score.weight", score, DIM_LABELS, DIM_HIDDEN, IF_SCORE, ALL_STAGES),
    MODEL_SLOT("score.bias", score_bias, DIM_LABELS, DIM_NONE, IF_SCORE_BIAS, ALL_STAGES),
    MODEL_SLOT("v_head.summary.weight", score, DIM_LABELS, DIM_HIDDEN, IF_VALUE_HEAD, ALL_STAGES),
    MODEL_SLOT("v_head.summary.bias", score_bias, DIM_LABELS, DIM_NONE, IF_VALUE_BIAS, ALL_STAGES),
    {0}};

const struct slot decoder_linear_slots[] = {
    LAYER_SLOT("self_attn.q_proj.weight", q_proj, DIM_HEADS, DIM_HIDDEN, ALWAYS),
    LAYER_SLOT("self_attn.q_proj.bias", q_bias, DIM_HEADS, DIM_NONE, IF_ATTENTION_BIAS),
    LAYER_SLOT("self_attn.k_proj.weight", k_proj, DIM_KV_HEADS, DIM_HIDDEN, ALWAYS),
    LAYER_SLOT("self_attn.k_proj.bias", k_bias, DIM_KV_HEADS, DIM_NONE, IF_ATTENTION_BIAS),
    LAYER_SLOT("self_attn.v_proj.weight", v_proj, DIM_KV_HEADS, DIM_HIDDEN, ALWAYS),
    LAYER_SLOT("self_attn.v_proj.bias", v_bias, DIM_KV_HEADS, DIM_NONE, IF_ATTENTION_BIAS),
    LAYER_SLOT("self_attn.o_proj.weight", o_proj, DIM_HIDDEN, DIM_HEADS, ALWAYS),
    LAYER_SLOT("self_attn.o_proj.bias", o_bias, DIM_HIDDEN, DIM_NONE, IF_O_BIAS),
    LAYER_SLOT("mlp.gate_proj.weight", gate_proj, DIM_FFN, DIM_HIDDEN, ALWAYS),
    LAYER_SLOT("mlp.gate_proj.bias", gate_bias, DIM_FFN, DIM_NONE, IF_MLP_BIAS),
    LAYER_SLOT("mlp.up_proj.weight", up_proj, DIM_FFN, DIM_HIDDEN, ALWAYS),
    LAYER_SLOT("mlp.up_proj.bias", up_bias, DIM_FFN, DIM_NONE, IF_MLP_BIAS),
    LAYER_SLOT("mlp.down_proj.weight", down_proj, DIM_HIDDEN, DIM_FFN, ALWAYS),
    LAYER_SLOT("mlp.down_proj.bias", down_bias, DIM_HIDDEN, DIM_NONE, IF_MLP_BIAS),
    {0}};

const struct slot decoder_norm_slots[] = {
    LAYER_SLOT("input_layernorm.weight", input_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    LAYER_SLOT("post_attention_layernorm.weight", mlp_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    {0}};

const struct slot head_norm_slots[] = {
    LAYER_SLOT("self_attn.q_norm.weight", q_norm, DIM_HEAD, DIM_NONE, ALWAYS),
    LAYER_SLOT("self_attn.k_norm.weight", k_norm, DIM_HEAD, DIM_NONE, ALWAYS),
    {0}};

const struct slot sandwich_norm_slots[] = {
    LAYER_SLOT("input_layernorm.weight", input_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    LAYER_SLOT("post_attention_layernorm.weight", attention_out_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    LAYER_SLOT("pre_feedforward_layernorm.weight", mlp_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    LAYER_SLOT("post_feedforward_layernorm.weight", mlp_out_norm, DIM_HIDDEN, DIM_NONE, ALWAYS),
    {0}};

/* rotary_emb.inv_freq was saved by transformers before 4.32; attn.masked_bias and attn.bias by
 * tools that converted from GPT-2 code. None is read by anyone. */
const char *const decoder_ignored[] = {".rotary_emb.inv_freq",
                                       ".rotary_emb.cos_cached",
                                       ".rotary_emb.sin_cached",
                                       ".attn.masked_bias",
                                       ".attn.bias",
                                       NULL};

const struct family *family_find(const char *architecture)
{
    for (int i = 0; i < N_FAMILIES; i++) {
        const struct family *family = families[i];
        if (strcmp(family->architecture, architecture) == 0 ||
            strcmp(family->scores_architecture, architecture) == 0 ||
            strcmp(family->headless_architecture, architecture) == 0)
            return family;
    }
    return NULL;
}

void family_list(char *text, size_t n_bytes)
{
    size_t used = 0;
    for (int i = 0; i < N_FAMILIES && used < n_bytes; i++)
        used += (size_t)snprintf(text + used, n_bytes - used, "%s%s", i ? ", " : "",
                                 families[i]->architecture);
}

int64_t unless_null(const json_t *json, const char *key, int64_t usual)
{
    return json_is_null(json_object_get(json, key)) ? 0 : usual;
}

bool layer_types_read(struct model_config *config, const json_t *json, int64_t window,
                      struct error *err)
{
    const json_t *types = json_object_get(json, "layer_types");
    if (types == NULL || json_is_null(types))
        return true;
    if (!json_is_array(types) || json_array_size(types) != (size_t)config->n_layers)
        return error_set(err, ERROR_INPUT,
                         "\"layer_types\" has %zu items, want a list of %d, one for each layer",
                         json_array_size(types), config->n_layers);
    for (int i = 0; i < config->n_layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        const bool windowed = type != NULL && strcmp(type, "sliding_attention") == 0;
        if (!windowed && (type == NULL || strcmp(type, "full_attention") != 0))
            return error_set(err, ERROR_UNSUPPORTED,
                             "\"layer_types\", layer %d: \"%.40s\", want full_attention or "
                             "sliding_attention",
                             i, type ? type : "(no text)");
        if (windowed && window == 0)
            return error_set(err, ERROR_INPUT,
                             "\"layer_types\", layer %d: sliding_attention without a "
                             "\"sliding_window\"",
                             i);
        config->window[i] = windowed ? (int)window : 0;
    }
    return true;
}

bool slot_present(const struct slot *slot, const struct model_config *config)
{
    switch (slot->presence) {
    case ALWAYS:
        return true;
    case IF_ATTENTION_BIAS:
        return config->attention_bias;
    case IF_O_BIAS:
        return config->o_bias;
    case IF_MLP_BIAS:
        return config->mlp_bias;
    case IF_LM_HEAD:
        return config->generates && !config->tied;
    case IF_SCORE:
        return config->n_labels > 0 && !config->value_head;
    case IF_SCORE_BIAS:
        return config->score_bias && !config->value_head;
    case IF_VALUE_HEAD:
        return config->value_head;
    case IF_VALUE_BIAS:
        return config->score_bias && config->value_head;
    }
    check(false); /* a presence without a case */
    return false;
}

bool slot_is_here(const struct slot *slot, const struct model_config *config,
                  const struct model_share *share)
{
    switch (slot->stages) {
    case ALL_STAGES:
        return true;
    case LAST_STAGE:
        return share->is_last;
    case END_STAGES:
        return share->is_first || (share->is_last && config->tied && config->generates);
    }
    check(false); /* stages without a case */
    return false;
}

/* By the words that the names of all families have in common. */
enum weight_kind slot_kind(const struct slot *slot)
{
    static const struct {
        const char *word;
        enum weight_kind kind;
    } words[] = {{"norm", WEIGHT_NORM},
                 {"embed_tokens", WEIGHT_EMBEDDING},
                 {"self_attn.", WEIGHT_ATTENTION},
                 {"mlp.", WEIGHT_MLP}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(slot->name, words[i].word) != NULL)
            return words[i].kind;
    return WEIGHT_HEAD;
}

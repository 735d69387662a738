/* The list of families, and the tensors of a decoder as most of them name them. */
#include "runtime/model/family.h"

#include "base/check.h"
#include "runtime/model/model.h"

#include <stdio.h>
#include <string.h>

static const struct family *const families[] = {&llama_family, &qwen2_family};
enum { N_FAMILIES = sizeof families / sizeof *families };

#define MODEL(field) offsetof(struct model, field)
#define LAYER(field) offsetof(struct layer_weights, field)

const struct slot decoder_model_slots[] = {
    {"model.embed_tokens.weight", MODEL(embed_tokens), DIM_VOCAB, DIM_HIDDEN, ALWAYS},
    {"model.norm.weight", MODEL(norm), DIM_HIDDEN, DIM_NONE, ALWAYS},
    {"lm_head.weight", MODEL(lm_head), DIM_VOCAB, DIM_HIDDEN, UNLESS_TIED},
    {NULL, 0, DIM_NONE, DIM_NONE, ALWAYS}};

const struct slot decoder_layer_slots[] = {
    {"input_layernorm.weight", LAYER(input_norm), DIM_HIDDEN, DIM_NONE, ALWAYS},
    {"self_attn.q_proj.weight", LAYER(q_proj), DIM_HEADS, DIM_HIDDEN, ALWAYS},
    {"self_attn.q_proj.bias", LAYER(q_bias), DIM_HEADS, DIM_NONE, IF_ATTENTION_BIAS},
    {"self_attn.k_proj.weight", LAYER(k_proj), DIM_KV_HEADS, DIM_HIDDEN, ALWAYS},
    {"self_attn.k_proj.bias", LAYER(k_bias), DIM_KV_HEADS, DIM_NONE, IF_ATTENTION_BIAS},
    {"self_attn.v_proj.weight", LAYER(v_proj), DIM_KV_HEADS, DIM_HIDDEN, ALWAYS},
    {"self_attn.v_proj.bias", LAYER(v_bias), DIM_KV_HEADS, DIM_NONE, IF_ATTENTION_BIAS},
    {"self_attn.o_proj.weight", LAYER(o_proj), DIM_HIDDEN, DIM_HEADS, ALWAYS},
    {"self_attn.o_proj.bias", LAYER(o_bias), DIM_HIDDEN, DIM_NONE, IF_O_BIAS},
    {"post_attention_layernorm.weight", LAYER(post_attention_norm), DIM_HIDDEN, DIM_NONE, ALWAYS},
    {"mlp.gate_proj.weight", LAYER(gate_proj), DIM_FFN, DIM_HIDDEN, ALWAYS},
    {"mlp.gate_proj.bias", LAYER(gate_bias), DIM_FFN, DIM_NONE, IF_MLP_BIAS},
    {"mlp.up_proj.weight", LAYER(up_proj), DIM_FFN, DIM_HIDDEN, ALWAYS},
    {"mlp.up_proj.bias", LAYER(up_bias), DIM_FFN, DIM_NONE, IF_MLP_BIAS},
    {"mlp.down_proj.weight", LAYER(down_proj), DIM_HIDDEN, DIM_FFN, ALWAYS},
    {"mlp.down_proj.bias", LAYER(down_bias), DIM_HIDDEN, DIM_NONE, IF_MLP_BIAS},
    {NULL, 0, DIM_NONE, DIM_NONE, ALWAYS}};

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
        if (strcmp(families[i]->architecture, architecture) == 0)
            return families[i];
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
    case UNLESS_TIED:
        return !config->tied;
    }
    check(false); /* a presence without a case */
    return false;
}

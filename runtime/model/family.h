/* runtime/model/family.h: what distinguishes one family of models from another.
 *
 * A family is one file: its keys of config.json, and the names of its tensors. To add one, copy
 * llama.c, and enter it in family.c. What a family may differ in today: biases, head_dim, tying,
 * rope, names. Norms of q and k (Qwen3), fused q, k, v and gate, up (Phi-3), norms after the
 * branches and other activations (Gemma) come as new slots here, new fields in struct model_config
 * and struct layer_weights, and one line in runtime/forward that asks for the field.
 */
#pragma once
#include "runtime/model/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

/* A dimension of a tensor. All but hidden are shared among the ranks, so a pair of these says both
 * the shape in the checkpoint and the part of a rank. */
enum dimension {
    DIM_NONE,     /* a vector has no columns */
    DIM_HIDDEN,   /* hidden; every rank has all of it */
    DIM_HEADS,    /* n_heads * head_dim */
    DIM_KV_HEADS, /* n_kv_heads * head_dim */
    DIM_FFN,
    DIM_VOCAB
};

enum presence { ALWAYS, IF_ATTENTION_BIAS, IF_O_BIAS, IF_MLP_BIAS, UNLESS_TIED };

/* One tensor of the checkpoint and where it goes. */
struct slot {
    const char *name; /* in a layer: after "<layer_prefix><number>." */
    size_t offset;    /* of a struct weight in struct layer_weights, or in struct model */
    enum dimension rows, columns;
    enum presence presence;
};

struct family {
    const char *architecture;                     /* as in config.json */
    const char *layer_prefix;                     /* "model.layers." */
    const struct slot *model_slots, *layer_slots; /* each ends with a NULL name */
    const char *const *ignored; /* ends of names of tensors that old checkpoints carry along */
    /* Reads what this family adds to the common keys. The common ones are in `config` already. */
    bool (*read)(struct model_config *config, const json_t *json, struct error *err);
};

extern const struct family llama_family, qwen2_family;

/* The tables that Llama began and most families keep. */
extern const struct slot decoder_model_slots[], decoder_layer_slots[];
extern const char *const decoder_ignored[];

const struct family *family_find(const char *architecture); /* NULL: unknown */
/* "LlamaForCausalLM, Qwen2ForCausalLM", for messages. */
void family_list(char *text, size_t n_bytes);
bool slot_present(const struct slot *slot, const struct model_config *config);

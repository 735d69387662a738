/* runtime/model/family.h: what distinguishes one family of models from another.
 *
 * A family is one file: its keys of config.json, and the names of its tensors. To add one, copy
 * the family that is nearest, and enter it in family.c. What a family may differ in: the fields of
 * struct model_config, and which slots of struct layer_weights it fills (a norm whose slot stays
 * empty is left out). A new step of arithmetic comes as a kernel, one more field or slot, and one
 * line in runtime/forward that asks for it.
 */
#pragma once
#include "runtime/model/config.h"
#include "runtime/model/model.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

/* A dimension of a tensor: a pair of these says both the shape in the checkpoint and the part of a
 * rank. */
enum dimension {
    DIM_NONE,     /* a vector has no columns */
    DIM_HEADS,    /* n_heads * head_dim; shared among the ranks, as the next three */
    DIM_KV_HEADS, /* n_kv_heads * head_dim */
    DIM_FFN,
    DIM_VOCAB,
    DIM_HIDDEN, /* every rank has all of it, as of the next two */
    DIM_HEAD,   /* head_dim */
    DIM_LABELS
};

enum presence {
    ALWAYS,
    IF_ATTENTION_BIAS,
    IF_O_BIAS,
    IF_MLP_BIAS,
    IF_LM_HEAD, /* of its own: the model generates, and it is not tied */
    IF_SCORE,
    IF_SCORE_BIAS,
    IF_VALUE_HEAD,
    IF_VALUE_BIAS
};

/* The pipeline stages that have a weight of struct model; those of a layer are where it is. */
enum stages {
    ALL_STAGES,
    LAST_STAGE,
    END_STAGES /* the first one, and the last one for the head where that is tied */
};

enum { MAX_STACKED = 3, MAX_TABLES = 4 };

/* One weight, and where in the checkpoint it is. */
struct slot {
    const char *name; /* of the tensor; in a layer: after "<layer_prefix><number>." */
    size_t offset;    /* of a struct weight in struct layer_weights, or in struct model */
    enum dimension rows, columns;
    enum presence presence;
    enum stages stages;
    /* A tensor with several weights one below the other: the rows of each, and which of them this
     * one is. Each has a slot of its own, so each is cut for itself. */
    enum dimension stacked[MAX_STACKED];
    int stacked_at;
};

/* A row of a table of slots: of struct model; of struct layer_weights; and one of several in a
 * tensor, whose dimensions come last. */
#define MODEL_SLOT(name_, field_, rows_, columns_, presence_, stages_)          \
    {                                                                           \
        .name = name_, .offset = offsetof(struct model, field_), .rows = rows_, \
        .columns = columns_, .presence = presence_, .stages = stages_           \
    }
#define LAYER_SLOT(name_, field_, rows_, columns_, presence_)                           \
    {                                                                                   \
        .name = name_, .offset = offsetof(struct layer_weights, field_), .rows = rows_, \
        .columns = columns_, .presence = presence_                                      \
    }
#define STACKED_SLOT(name_, field_, rows_, columns_, at_, ...)                          \
    {                                                                                   \
        .name = name_, .offset = offsetof(struct layer_weights, field_), .rows = rows_, \
        .columns = columns_, .stacked = {__VA_ARGS__}, .stacked_at = at_                \
    }

/* What a config.json without the key means. */
struct absent_keys {
    bool tied;       /* "tie_word_embeddings" */
    double norm_eps; /* "rms_norm_eps"; 0: 1e-6 */
    int head_dim;    /* 0: hidden_size / num_attention_heads */
};

struct family {
    /* In config.json: the model that generates, the one with a head of scores instead, and the one
     * without a head. */
    const char *architecture, *scores_architecture, *headless_architecture;
    const char *layer_prefix;                   /* "model.layers." */
    const struct slot *model_slots;             /* ends with a NULL name, as all tables do */
    const struct slot *layer_slots[MAX_TABLES]; /* together */
    const char *const *ignored; /* ends of names of tensors that old checkpoints carry along */
    struct absent_keys absent;
    enum activation activation;
    const char *activation_key; /* NULL: "hidden_act" */
    bool partly_rotated;        /* knows "partial_rotary_factor" */
    /* Reads what this family adds to the common keys. The common ones are in `config` already. */
    bool (*read)(struct model_config *config, const json_t *json, struct error *err);
    /* Fills in config->rope[]; NULL: one set for all layers. */
    bool (*read_rope)(struct model_config *config, const json_t *json, struct error *err);
};

extern const struct family gemma2_family, gemma3_family, llama_family, mistral_family, phi3_family,
    qwen2_family, qwen3_family;

/* The tables that Llama began and most families keep: the ends, what multiplies, the two norms
 * before the branches. */
extern const struct slot decoder_model_slots[], decoder_linear_slots[], decoder_norm_slots[];
/* Norms of the heads of q and k (Qwen3, Gemma 3); norms before and after each branch (Gemma 2). */
extern const struct slot head_norm_slots[], sandwich_norm_slots[];
extern const char *const decoder_ignored[];

/* ---- for the families ---- */

/* `usual`, or 0 where the key is there and null: such keys tell "none" from "nothing said". */
int64_t unless_null(const json_t *json, const char *key, int64_t usual);
/* "layer_types" where it is given: its "sliding_attention" layers see `window` positions, its
 * "full_attention" layers all. Else config->window stays what the family made it. */
bool layer_types_read(struct model_config *config, const json_t *json, int64_t window,
                      struct error *err);

/* The windows of Qwen2 and Qwen3: layers from "max_window_layers" on. */
bool qwen_windows_read(struct model_config *config, const json_t *json, struct error *err);

/* What the Gemmas have in common: norms, scale of the embedding and of attention, cap of the
 * logits. */
bool gemma_read(struct model_config *config, const json_t *json, int64_t absent_logit_softcap,
                struct error *err);

/* ---- for runtime/model ---- */

/* By any of its three names; NULL: unknown. */
const struct family *family_find(const char *architecture);
/* "Gemma2ForCausalLM, Gemma3ForCausalLM, ...", for messages. */
void family_list(char *text, size_t n_bytes);
bool slot_present(const struct slot *slot, const struct model_config *config);
/* Whether a rank of this share has it, where it is present. */
bool slot_is_here(const struct slot *slot, const struct model_config *config,
                  const struct model_share *share);
enum weight_kind slot_kind(const struct slot *slot);

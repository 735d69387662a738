/* runtime/model/config.h: what config.json says about a model, after checking.
 *
 * Plain values, nothing owned. Every number is inside its named limit, so sizes made of them
 * cannot overflow and nobody after this has to ask again.
 *
 * Format: the files that Hugging Face transformers writes, versions 4 and 5.
 */
#pragma once
#include "kernels/dtype.h"
#include "kernels/ops.h"
#include "runtime/model/rope.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct family;

/* The most that a config.json may ask for; about four times the largest model of today. */
enum {
    MODEL_MAX_LAYERS = 1024,
    MODEL_MAX_HIDDEN = 1 << 17,
    MODEL_MAX_HEADS = 1024,
    MODEL_MAX_HEAD_DIM = 512,
    MODEL_MAX_FFN = 1 << 20,
    MODEL_MAX_VOCAB = 1 << 22,
    MODEL_MAX_POSITIONS = 1 << 24, /* positions must be exact in float32 */
    MODEL_MAX_LABELS = 1 << 16,
    MODEL_MAX_ROPES = 2,
    CONFIG_MAX_BYTES = 1 << 20,
    CONFIG_MAX_DEPTH = 64,
    CONFIG_MAX_VALUES = 100000
};

/* The whole model, not a share. */
struct model_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    const struct family *family;
    /* What it gives beside hidden states. The weights may say otherwise (weights.h): the copy in
     * struct model is the one that holds. */
    bool generates; /* logits over the vocabulary; false: no text can be asked for */
    int n_labels;   /* scores; 0: none */
    bool value_head, score_bias;

    int n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, vocab;
    int max_positions;           /* longest sequence that the positions are defined for (rope.h) */
    bool tied;                   /* lm_head is the embedding */
    bool attention_bias;         /* q, k, v have biases */
    bool o_bias, mlp_bias;       /* o; gate, up and down have */
    enum dtype checkpoint_dtype; /* as config.json says, BF16 if it does not; the tensors decide */

    float norm_eps;
    float norm_offset;       /* added to the weights of all norms: 0, or 1 (Gemma) */
    double embedding_scale;  /* of the rows of the embedding: 1, or sqrt(hidden) (Gemma) */
    float attention_scale;   /* of q . k */
    float attention_softcap; /* of those scores; 0: none */
    float logit_softcap;     /* 0: none */
    enum activation activation;

    int rope_half; /* rotated pairs of a head; head_dim / 2 but for heads rotated in part */
    int n_ropes;
    struct rope_config rope[MODEL_MAX_ROPES];
    uint8_t rope_of[MODEL_MAX_LAYERS]; /* which of them a layer has */
    int window[MODEL_MAX_LAYERS];      /* positions that a layer sees; 0: all */
};

/* Reads and checks config.json only, whatever the size of the weights. ERROR_INPUT names the file
 * and the key; ERROR_UNSUPPORTED what this program cannot run, and what it can. */
bool model_config_read(struct model_config *out, const char *folder, struct error *err);

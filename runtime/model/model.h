/* runtime/model/model.h: a checkpoint on disk, as the share of one rank.
 *
 * Weights are used in place from the shared read-only mapping of the safetensors files; only
 * what the kernels cannot read there (a tensor that is not aligned to its element, or one that
 * --dtype converts) is copied. Names are those of the checkpoint, so that grep works from a
 * Hugging Face file to the kernel call.
 *
 * Adding a family is one file and one line: family.h.
 */
#pragma once
#include "kernels/tensor.h"
#include "parallel/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct error;

/* What config.json says, after checking; the whole model, not a share. */
struct model_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    int n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, vocab;
    int max_positions; /* longest sequence the positions are defined for */
    int rope_half;     /* rotated pairs of a head: head_dim / 2 unless partial */
    float rope_scale;  /* of cos and sin: 1, or the attention factor of YaRN and LongRoPE */
    float norm_eps;
    float attention_scale; /* of q . k */
    bool tied;             /* lm_head is the embedding */
    bool attention_bias;   /* q, k, v have biases (Qwen2; Llama with attention_bias) */
    bool o_bias, mlp_bias; /* Llama with attention_bias, mlp_bias */
    enum dtype checkpoint_dtype;
};

struct layer_weights {
    struct weight input_norm; /* [hidden] */
    struct weight q_proj,
        q_bias; /* [n_heads_local * head_dim, hidden], [same]; bias data NULL: none */
    struct weight k_proj, k_bias; /* [n_kv_heads_local * head_dim, hidden] */
    struct weight v_proj, v_bias; /* [n_kv_heads_local * head_dim, hidden] */
    struct weight o_proj,
        o_bias; /* [hidden, n_heads_local * head_dim]: columns of the checkpoint's */
    struct weight post_attention_norm;  /* [hidden] */
    struct weight gate_proj, gate_bias; /* [ffn_local, hidden] */
    struct weight up_proj, up_bias;     /* [ffn_local, hidden] */
    struct weight down_proj, down_bias; /* [hidden, ffn_local] */
};

/* The share of one rank of n ranks, from the config alone (parallel/tree.h). */
struct model_share {
    struct span heads, kv_heads, ffn, vocab; /* query heads, KV heads its query heads touch, … */
    int head_leaves, ffn_leaves;             /* of the whole model */
    struct leaves attention_leaves, mlp_leaves; /* of this rank, over its own columns */
    int32_t *kv_of_head;                        /* [heads] local KV head of each local query head */
};

struct model {
    struct model_config config;
    struct model_share share;
    enum dtype compute; /* of operands: BF16, or F32 (F16 and F32 checkpoints, --dtype float32) */
    struct weight embed_tokens, norm,
        lm_head;                 /* [vocab_local, hidden], [hidden], [vocab_local, hidden] */
    struct layer_weights *layer; /* [n_layers] */
    float *rope_inv_freq;        /* [rope_half] */
    uint64_t weight_bytes;       /* of this rank's share, mapped or copied */
    struct model_files *files;   /* mappings and copies behind the pointers */
};

/* Reads and checks config.json only. ERROR_INPUT names the file and the key. */
bool model_config_read(struct model_config *out, const char *folder, struct error *err);

/* ERROR_INPUT when `tp_size` ranks cannot share the model: says the nearest sizes that can. Before
 * any weight is touched. */
bool model_tp_check(const struct model_config *config, int tp_size, struct error *err);

/* Opens the checkpoint as rank `tp_rank` of `tp_size`. dtype: "auto" (that of the checkpoint),
 * "bfloat16", "float32" (operands in float32, weights widened as they are read), "float16" (as
 * float32, weights in place). All problems of the tensors are listed at once. Collectively
 * nothing: each rank opens for itself. ERROR_INPUT names file, tensor, or key. */
bool model_open(struct model **out, const char *folder, const char *dtype, int tp_rank, int tp_size,
                struct error *err);
void model_close(struct model *model); /* NULL is fine */

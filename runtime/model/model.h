/* runtime/model/model.h: a checkpoint on disk, as the share of one rank.
 *
 * Weights are used in place from the shared read-only mapping of the safetensors files; only
 * what the kernels cannot read there (a tensor that is not aligned to its element, or one that
 * --dtype converts) is copied. Names are those of the checkpoint, so that grep works from a
 * Hugging Face file to the kernel call.
 *
 *   config.h   what config.json says          safetensors.h, checkpoint.h   where tensors lie
 *   share.h    which part a rank has          weights.h                     the part, as weights
 *                                             device_weights.h              in memory of a GPU
 *
 * Weights may also be made up, with no file but config.json: dummy.h.
 *
 * Adding a family is one file and one line: family.h.
 */
#pragma once
#include "kernels/tensor.h"
#include "runtime/model/config.h"
#include "runtime/model/share.h"

#include <stdbool.h>
#include <stdint.h>

struct error;

/* What a weight is for. */
enum weight_kind {
    WEIGHT_EMBEDDING, /* also where it is the head too */
    WEIGHT_ATTENTION,
    WEIGHT_MLP,
    WEIGHT_NORM,
    WEIGHT_HEAD, /* of tokens, of scores */
    WEIGHT_KINDS
};

/* What the model does not have, and what another pipeline stage has, has data NULL. */
struct layer_weights {
    struct weight input_norm;           /* [hidden] */
    struct weight q_proj, q_bias;       /* [n_heads_local * head_dim, hidden], [same] */
    struct weight k_proj, k_bias;       /* [n_kv_heads_local * head_dim, hidden], [same] */
    struct weight v_proj, v_bias;       /* [n_kv_heads_local * head_dim, hidden], [same] */
    struct weight q_norm, k_norm;       /* [head_dim]: of every head, before it is rotated */
    struct weight o_proj, o_bias;       /* [hidden, n_heads_local * head_dim] columns, [hidden] */
    struct weight attention_out_norm;   /* [hidden]: of what attention adds to the residual */
    struct weight mlp_norm;             /* [hidden]: before the MLP */
    struct weight gate_proj, gate_bias; /* [ffn_local, hidden], [ffn_local] */
    struct weight up_proj, up_bias;     /* [ffn_local, hidden], [ffn_local] */
    struct weight down_proj, down_bias; /* [hidden, ffn_local] columns, [hidden] */
    struct weight mlp_out_norm;         /* [hidden]: of what the MLP adds */
};

struct model {
    struct model_config config;
    struct model_share share;
    enum dtype compute;          /* of operands: BF16, or F32 (checkpoints in F16 and F32); on a
                                  * GPU F16 too */
    struct weight embed_tokens;  /* [vocab_local, hidden]: of the first stage */
    struct weight norm;          /* [hidden]: of the last one, as the head */
    struct weight lm_head;       /* [vocab_local, hidden]; embed_tokens where tied; data NULL: the
                                  * model does not generate */
    struct weight score;         /* [n_labels, hidden] on every rank, as stored; data NULL: none */
    struct weight score_bias;    /* [n_labels]; data NULL: none */
    struct layer_weights *layer; /* [n_layers], of which this rank has share.layers */
    float *rope_inv_freq;        /* [n_ropes, rope_half] */
    float embedding_scale; /* config's in the precision of `compute`, as transformers has it */
    bool bare_names;       /* the checkpoint leaves out the first "model." of its names */
    uint64_t weight_bytes; /* of this rank's share */
    uint64_t kind_bytes[WEIGHT_KINDS]; /* the same by enum weight_kind */
    uint64_t mapped_bytes;             /* of these, used in place in the files */
    uint64_t copied_bytes;             /* memory of this rank's own that holds the others */
    uint64_t device_bytes;             /* memory of its GPU that does (device_weights.h) */
    struct model_files *files;         /* mappings and copies behind the pointers */
};

/* Opens the checkpoint as one rank. dtype: "auto" (that of the checkpoint),
 * "bfloat16" (matrices of other formats are rounded, in copies), "float32" and, on a CPU,
 * "float16" (operands in float32, weights in place, widened as they are read). On a GPU "float16"
 * is a format as bfloat16 is; the weights have no data there before model_to_device(). The problems
 * of all tensors are told at once. Each rank opens for itself; pages of the files are shared.
 * ERROR_INPUT names file, tensor or key. */
bool model_open(struct model **out, const char *folder, const char *dtype,
                const struct model_place *place, struct error *err);
/* The same from the headers alone, for who wants to know sizes: no weight is read, copied, or has
 * data. Costs as much for any size of weights. */
bool model_measure(struct model **out, const char *folder, const char *dtype,
                   const struct model_place *place, struct error *err);
/* A measured model becomes the share of another rank. The place is one that the checks of share.h
 * allow. */
void model_measure_as(struct model *model, const struct model_place *place);
void model_close(struct model *model); /* NULL is fine */

/* Gives back the memory of the weights: of the GPU, or copies and pages of the files. They have no
 * data until the model is awake, and the same then, at the same addresses on a CPU: the files must
 * be as they were. `loading` (device_weights.h) is for a model on a GPU. ERROR_SYSTEM: the memory
 * is no longer there. Nothing to do is fine. */
struct device_loading;
void model_sleep(struct model *model);
bool model_wake(struct model *model, const struct device_loading *loading, struct error *err);

/* --check-weights: ERROR_INPUT names the first tensor of this rank with a NaN or an infinity. Reads
 * all weights. */
bool model_check_weights(const struct model *model, struct error *err);

/* Whose bytes are these? The path of the weight file that is mapped at `address`, or NULL. For the
 * handler of SIGBUS, which a file gives that shrinks under its mapping: touches only memory of the
 * model, calls nothing. */
const char *model_file_at(const struct model *model, const void *address);

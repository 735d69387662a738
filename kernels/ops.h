/* kernels/ops.h: the arithmetic of a transformer, one contract per operation.
 *
 * A backend (a level of the CPU, CUDA) is one `struct ops`. Callers use the op_*() functions,
 * which check the contract in every build and then call the table; nothing else in the program
 * calls a kernel.
 *
 * For all operations:
 *   - Tensors are dense and row-major; the comment gives [rows, columns].
 *   - `out` must not overlap an input unless the operation says it may.
 *   - Kernels do not allocate, do not log and cannot fail: what could be wrong with the
 *     arguments is checked here; device faults surface in device_sync().
 *   - Every level of the CPU gives the same bits, a GPU its own; a row's result does not depend on
 *     the other rows, on the number of threads, or on n_tokens (on a GPU: with --numerics exact).
 *     docs/numerics.md has the order of every sum.
 *   - 0 tokens is legal and does nothing.
 *   - Pointers are to memory of the device. On a GPU that is not memory of the host, the work is
 *     only queued, and arrays must stay as they are until it is done.
 *
 * Where steps are recorded and run again (device.h) the numbers in the arguments are those of the
 * record, and only what arrays say may differ. So rows may be padding: of token 0, with slot -1,
 * behind the rows of the last sequence; and sequences may have no rows.
 *
 * Dimensions (docs/glossary.md): n_tokens rows of this step, hidden, n_out.
 */
#pragma once
#include "kernels/tensor.h"

struct device;

/* Row t of `out` is row token[t] - first of `table`, as float32, times `scale`; rows of tokens
 * outside [first, first + count) are zero: another rank has them. A zero is always +0. A token
 * below 0 stands for one that was picked in the step before: carried[-1 - token[t]]. */
struct embed_args {
    float *out;             /* [n_tokens, hidden] */
    const int32_t *token;   /* [n_tokens] */
    const int32_t *carried; /* or NULL: no token is below 0 */
    struct weight table;    /* [count, hidden] */
    int first, count;
    int n_tokens, hidden;
    float scale; /* 1; Gemma: sqrt(hidden) */
};

/* residual += d (where delta is not NULL), then
 * out[t, :] = r / sqrt(mean(r^2) + eps) * (offset + weight), with r = residual[row[t], :].
 * d = delta + delta_bias (the bias where it has data); where delta_norm has data, d is normalised
 * first, as r is, with delta_norm for weight (Gemma 2 and 3 norm a branch before they add it).
 * With `row` (only the rows whose logits are wanted) delta must be NULL.
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, equation 4; the order of the sum:
 * docs/numerics.md, "Rows". */
struct rms_norm_args {
    struct operand out;       /* [n_tokens, hidden], one leaf */
    float *residual;          /* [rows, hidden] */
    const float *delta;       /* [n_tokens, hidden] or NULL */
    struct weight delta_bias; /* [hidden]: of a row-parallel layer, once and not once a rank */
    const int32_t *row;       /* [n_tokens] or NULL: row t is t */
    struct weight delta_norm; /* [hidden]; data NULL: none */
    struct weight weight;     /* [hidden] */
    int n_tokens, hidden;
    float eps;
    float offset; /* of both weights: 0; Gemma: 1 */
};

/* Every head of every token is normalised by itself, in place: x = x / sqrt(mean(x^2) + eps) *
 * (offset + weight). Of q and k before they are rotated (Qwen3, Gemma 3). The order of the sum is
 * that of rms_norm. */
struct head_norm_args {
    float *x;             /* [n_tokens, row_stride], of which [n_heads, head_dim] */
    int64_t row_stride;   /* elements */
    struct weight weight; /* [head_dim] */
    int n_tokens, n_heads, head_dim;
    float eps, offset;
};

/* out[p, t, o] = sum over the leaves of part p of x[t, k] * weight[o, k]  (+ bias[o]),
 * in float32 and in the canonical order. x BF16 and F16 want a weight of their format; x F32 takes
 * any dtype and widens it exactly. `bias` only with one leaf; it is added last. */
struct matmul_args {
    float *out;           /* [n_parts, n_tokens, out_stride], of which n_out */
    int64_t out_stride;   /* elements; n_out or more */
    struct operand x;     /* [n_tokens, k] packed with the same leaves */
    struct weight weight; /* [n_out, k] */
    struct weight bias;   /* [n_out]; data NULL for none */
    const struct leaves *leaves;
    int n_tokens, n_out;
};

/* cos and sin of position[t] * inv_freq[i] (the product rounded to float32, as the reference
 * implementation does), both times `scale` (1, or the attention factor of YaRN). */
struct rope_angles_args {
    float *cos_sin;          /* [n_tokens, 2, half]: half cosines, then half sines */
    const int32_t *position; /* [n_tokens] */
    const float *inv_freq;   /* [half] */
    int n_tokens, half;
    float scale;
};

/* Where K and V of one layer live. A block has block_tokens positions of every local KV head:
 *   k: [n_blocks][n_kv_heads][block_tokens][head_dim]
 *   v: [n_blocks][n_kv_heads][block_tokens / 2][head_dim][2]    positions in pairs, as operand B;
 *      on a GPU as k
 * dtype BF16, F32 or I8, on a GPU F16 too. slot = block * block_tokens + position in the block.
 *
 * I8: an element is its number times the scale of its position and head,
 *   k_scale, v_scale: [n_blocks][n_kv_heads][block_tokens] float32,  scale = max|x| / 127
 * 0 where all are 0, NaN where one is not finite. docs/numerics.md, "Attention", says where the
 * scales enter the sums. */
enum { MAX_HEAD_DIM = 512 };
struct kv_cache {
    void *k, *v;
    float *k_scale, *v_scale; /* I8 only */
    enum dtype dtype;
    int n_kv_heads, head_dim, block_tokens; /* block_tokens: 16, 32, 64, 128 or 256 */
};

/* The format of queries that meet this cache. */
static inline enum dtype kv_query_dtype(enum dtype cache_dtype)
{
    return cache_dtype == DTYPE_I8 ? DTYPE_BF16 : cache_dtype;
}

/* Rotates q and k (first half against second half of the first 2 * half elements of each head,
 * the layout of Hugging Face checkpoints), rounds q to `q_out`, and writes k and v to the cache.
 * Source: Su et al. 2021, arXiv:2104.09864. */
struct rope_store_args {
    void *q_out;          /* [n_tokens, n_heads, head_dim] in kv_query_dtype() */
    const float *q;       /* [n_tokens, row_stride], of which [n_heads, head_dim] */
    const float *k;       /* [n_tokens, row_stride], of which [n_kv_heads, head_dim] */
    const float *v;       /* the same */
    int64_t row_stride;   /* elements */
    const float *cos_sin; /* [n_tokens, 2, half] */
    const int32_t *slot;  /* [n_tokens]; -1: is not stored */
    const struct kv_cache *cache;
    int n_tokens, n_heads, half;
};

/* Causal attention of the new tokens over everything their sequence has in the cache, the new
 * tokens too (rope_store comes first). Row r of sequence s has position
 * n_computed[s] + r - first_row[s] and sees positions 0 .. that one (the last `window` of them
 * where window > 0). Softmax over chunks of 256 positions counted from 0, combined left to
 * right (docs/numerics.md, "Attention"). Source: Vaswani et al. 2017; online softmax,
 * Milakov & Gimelshein 2018, arXiv:1805.02867. */
struct attention_args {
    void *work;         /* op_attention_work() of the same rows and window filled it */
    struct operand out; /* [n_tokens, n_heads * head_dim] with `leaves` of o_proj */
    const struct leaves *leaves;
    const void *q; /* [n_tokens, n_heads, head_dim] in kv_query_dtype() */
    const struct kv_cache *cache;
    const int32_t *kv_of_head;  /* [n_heads] local KV head of each local query head, ascending */
    const int32_t *first_row;   /* [n_sequences + 1] */
    const int32_t *n_computed;  /* [n_sequences] */
    const int32_t *first_block; /* [n_sequences + 1] into block[] */
    const int32_t *block;       /* blocks of each sequence in order of position */
    int n_sequences, n_tokens, n_heads;
    int window;    /* 0: none. Blocks that no new token sees may have any number of the cache */
    float scale;   /* of q . k, usually 1 / sqrt(head_dim) */
    float softcap; /* 0: none; else scores are softcap * tanh(score / softcap) (Gemma 2) */
};

/* Of the rows of a step, for all layers of one window: what the attention of a device wants to know
 * before it begins, into `work` of attention_work_bytes(). On a CPU that is nothing. */
struct attention_work_args {
    void *work;
    const int32_t *kv_of_head; /* [n_heads], as in attention_args */
    const int32_t *first_row;  /* [n_sequences + 1] */
    const int32_t *n_computed; /* [n_sequences] */
    int n_sequences, n_tokens, n_heads, n_kv_heads;
    int window;
};

/* out = f(gate) * up; SILU: f(x) = x / (1 + exp(-x)); GELU_TANH: f(x) = x / 2 * (1 +
 * tanh(sqrt(2 / pi) * (x + 0.044715 x^3))). Shazeer 2020, arXiv:2002.05202. */
enum activation { ACTIVATION_SILU, ACTIVATION_GELU_TANH };
struct gated_args {
    struct operand out; /* [n_tokens, ffn] with `leaves` of down_proj */
    const struct leaves *leaves;
    const float *gate, *up; /* [n_tokens, row_stride], of which ffn */
    int64_t row_stride;     /* elements */
    enum activation activation;
    int n_tokens, ffn;
};

/* x = cap * tanh(x / cap), in place. Of logits (Gemma 2). */
struct softcap_args {
    float *x; /* [n] */
    int64_t n;
    float cap; /* above 0 */
};

/* Block pair[2 i + 1] of the cache becomes a copy of block pair[2 i], scales too. No block is
 * written twice or both read and written. */
struct copy_blocks_args {
    const struct kv_cache *cache;
    const int32_t *pair; /* [n_pairs, 2] */
    int n_pairs;
};

/* max and log(sum(exp(x - max))) + max of every row, over blocks of LOGITS_BLOCK columns and the
 * fixed tree over the blocks (tree of docs/numerics.md). A row with a NaN gives NaN. */
enum { LOGITS_BLOCK = 256 };
struct log_sum_exp_args {
    float *max, *lse;    /* [n_rows] */
    const float *logits; /* [n_rows, row_stride], the first n_columns are used */
    int n_rows, n_columns;
    int64_t row_stride;
};

/* What is wanted of a row of logits, and what came of it: runtime/step_plan.h, struct plan_pick,
 * and runtime/sample/sampler.h say the same for the CPU. A GPU picks by itself, with the arithmetic
 * of docs/numerics.md, "Sampling"; a CPU device never does (op_pick() must not be called). */
enum { PICK_MAX_BEST = 32 };
enum pick_want { PICK_WANT_NOTHING, PICK_WANT_TOKEN, PICK_WANT_LOGPROB, PICK_WANT_BEST };
struct pick_spec {
    uint64_t seed;
    int32_t want;     /* enum pick_want: of a token that is sampled, given, or of the best ones */
    int32_t position; /* of the token in its sequence */
    int32_t token;    /* PICK_WANT_LOGPROB: this one */
    int32_t n_best;   /* -1: no log-probabilities; else so many of the best */
    int32_t top_k;
    float temperature, top_p, min_p;
};
struct pick_entry {
    int32_t token;
    float logprob;
    int32_t rank;
};
struct pick_result {
    int32_t token;     /* -1: none, because the row has a NaN, +inf, or nothing above -inf */
    int32_t is_finite; /* the row has none of these */
    float lse;         /* where log-probabilities are wanted */
    int32_t n_entries;
    struct pick_entry entry[PICK_MAX_BEST]; /* the token first, then the best without it;
                                               PICK_WANT_BEST: the best */
};
struct pick_args {
    struct pick_result *out; /* [n_rows] */
    int32_t *carried; /* [n_rows] the tokens alone, for op_embed() of the next step; NULL: none */
    const float *logits;          /* [n_rows, row_stride], the first vocab are used */
    const struct pick_spec *spec; /* [n_rows] */
    int64_t row_stride;
    int n_rows, vocab;
    bool processed_logprobs; /* --logprobs-mode */
};

struct ops {
    const char *name; /* as logged and as matched by --kernels, e.g. "avx2" */
    void (*embed)(struct device *, const struct embed_args *);
    void (*rms_norm)(struct device *, const struct rms_norm_args *);
    void (*head_norm)(struct device *, const struct head_norm_args *);
    void (*matmul)(struct device *, const struct matmul_args *);
    void (*rope_angles)(struct device *, const struct rope_angles_args *);
    void (*rope_store)(struct device *, const struct rope_store_args *);
    void (*attention_work)(struct device *, const struct attention_work_args *);
    void (*attention)(struct device *, const struct attention_args *);
    void (*gated)(struct device *, const struct gated_args *);
    void (*softcap)(struct device *, const struct softcap_args *);
    void (*copy_blocks)(struct device *, const struct copy_blocks_args *);
    void (*log_sum_exp)(struct device *, const struct log_sum_exp_args *);
    void (*pick)(struct device *, const struct pick_args *); /* NULL on a CPU: the exception */
};

void op_embed(struct device *, const struct embed_args *);
void op_rms_norm(struct device *, const struct rms_norm_args *);
void op_head_norm(struct device *, const struct head_norm_args *);
void op_matmul(struct device *, const struct matmul_args *);
void op_rope_angles(struct device *, const struct rope_angles_args *);
void op_rope_store(struct device *, const struct rope_store_args *);
void op_attention_work(struct device *, const struct attention_work_args *);
void op_attention(struct device *, const struct attention_args *);
void op_gated(struct device *, const struct gated_args *);
void op_softcap(struct device *, const struct softcap_args *);
void op_copy_blocks(struct device *, const struct copy_blocks_args *);
void op_log_sum_exp(struct device *, const struct log_sum_exp_args *);
void op_pick(struct device *, const struct pick_args *);

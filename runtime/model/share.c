/* Arithmetic on the sizes of a config; the tree itself is parallel/tree.c. */
#include "runtime/model/share.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "kernels/ops.h"
#include "runtime/model/config.h"

static int min_int(int a, int b) { return a < b ? a : b; }
static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
static int blocks_of(int total, int block) { return (total + block - 1) / block; }

static int head_leaves(const struct model_config *config)
{
    return min_int(MAX_LEAVES, config->n_heads);
}

static int ffn_leaves(const struct model_config *config)
{
    return min_int(MAX_LEAVES, blocks_of(config->ffn, K_BLOCK));
}

int model_max_tp(const struct model_config *config)
{
    return min_int(head_leaves(config), ffn_leaves(config));
}

bool model_tp_check(const struct model_config *config, int tp_size, struct error *err)
{
    const int most = model_max_tp(config);
    if (tp_size >= 1 && tp_size <= most)
        return true;
    return error_set(err, ERROR_INPUT,
                     "tensor parallel size %d: this model (%d heads, intermediate size %d) can be "
                     "shared by 1 to %d ranks; the nearest size is %d",
                     tp_size, config->n_heads, config->ffn, most, tp_size < 1 ? 1 : most);
}

bool model_pp_check(const struct model_config *config, int pp_stages, struct error *err)
{
    const int most = config->n_layers;
    if (pp_stages >= 1 && pp_stages <= most)
        return true;
    return error_set(err, ERROR_INPUT,
                     "pipeline parallel size %d: this model has %d layers, and each stage needs "
                     "one; the nearest size is %d",
                     pp_stages, most, pp_stages < 1 ? 1 : most);
}

/* ---- stages ---- */

/* Weights that a token is multiplied with: in a layer, and in the head. The embedding is a look-up.
 */
static int64_t layer_cost(const struct model_config *config)
{
    const int64_t q = (int64_t)config->n_heads * config->head_dim;
    const int64_t kv = (int64_t)config->n_kv_heads * config->head_dim;
    return (2 * q + 2 * kv + 3 * (int64_t)config->ffn) * config->hidden;
}

static int64_t head_cost(const struct model_config *config)
{
    return config->generates ? (int64_t)config->vocab * config->hidden : 0;
}

/* The layers of the last stage; the stages before it share the others equally. All numbers are
 * tried: of two with the same slowest stage the one whose fastest stage has more to do. */
static int layers_of_last_stage(const struct model_config *config, int pp_stages)
{
    const int64_t layer = layer_cost(config), head = head_cost(config);
    const int n = config->n_layers, before = pp_stages - 1;
    int64_t best_slowest = INT64_MAX, best_fastest = 0;
    int best = n;
    for (int last = 1; before > 0 && last <= n - before; last++) {
        const int least = (n - last) / before, most = (n - last + before - 1) / before;
        const int64_t mine = last * layer + head;
        const int64_t slowest = max_of(mine, most * layer);
        const int64_t fastest = min_of(mine, least * layer);
        if (slowest > best_slowest || (slowest == best_slowest && fastest <= best_fastest))
            continue;
        best = last;
        best_slowest = slowest;
        best_fastest = fastest;
    }
    return best;
}

struct span model_stage_layers(const struct model_config *config, int pp_stage, int pp_stages)
{
    const int n = config->n_layers, before = pp_stages - 1;
    const int shared = n - layers_of_last_stage(config, pp_stages);
    if (pp_stage == before)
        return (struct span){.lo = shared, .hi = n};
    const int each = shared / before, more = shared % before;
    const int lo = pp_stage * each + min_int(pp_stage, more);
    return (struct span){.lo = lo, .hi = lo + each + (pp_stage < more)};
}

/* ---- ranks of a stage ---- */

/* `total` items of `item` elements each, at most `limit` elements, as n leaves: where each ends. */
static void cut_leaves(int *k_end, int total, int item, int limit, int n)
{
    tree_cut(total, n, k_end);
    for (int i = 0; i < n; i++)
        k_end[i] = min_int(k_end[i] * item, limit);
}

static struct span elements(const int *k_end, struct span run)
{
    return (struct span){.lo = run.lo ? k_end[run.lo - 1] : 0, .hi = k_end[run.hi - 1]};
}

static void share_heads(struct model_share *out, const struct model_config *config, int tp_rank,
                        int tp_size)
{
    int k_end[MAX_LEAVES];
    const int width = config->n_heads * config->head_dim;
    out->head_leaves = head_leaves(config);
    cut_leaves(k_end, config->n_heads, config->head_dim, width, out->head_leaves);
    const struct span run = tree_run(out->head_leaves, tp_size, tp_rank);
    const struct span columns = elements(k_end, run);
    out->attention_leaves = tree_leaves(k_end, out->head_leaves, run);
    out->heads = (struct span){columns.lo / config->head_dim, columns.hi / config->head_dim};

    const int group = config->n_heads / config->n_kv_heads;
    out->kv_heads = (struct span){out->heads.lo / group, (out->heads.hi - 1) / group + 1};
    const int n_heads = span_length(out->heads);
    out->kv_of_head = memory_alloc((size_t)n_heads, sizeof *out->kv_of_head);
    for (int i = 0; i < n_heads; i++)
        out->kv_of_head[i] = (out->heads.lo + i) / group - out->kv_heads.lo;
}

static void share_ffn(struct model_share *out, const struct model_config *config, int tp_rank,
                      int tp_size)
{
    int k_end[MAX_LEAVES];
    out->ffn_leaves = ffn_leaves(config);
    cut_leaves(k_end, blocks_of(config->ffn, K_BLOCK), K_BLOCK, config->ffn, out->ffn_leaves);
    const struct span run = tree_run(out->ffn_leaves, tp_size, tp_rank);
    out->mlp_leaves = tree_leaves(k_end, out->ffn_leaves, run);
    out->ffn = elements(k_end, run);
}

/* Whole blocks of the log-sum-exp, as equal as possible; with more ranks than blocks the last
 * ranks have none. */
struct span model_vocab_span(const struct model_config *config, int tp_rank, int tp_size)
{
    const int vocab = config->vocab;
    const int n_blocks = blocks_of(vocab, LOGITS_BLOCK);
    const int each = n_blocks / tp_size, more = n_blocks % tp_size;
    const int first = tp_rank * each + min_int(tp_rank, more);
    const int count = each + (tp_rank < more);
    return (struct span){.lo = min_int(first * LOGITS_BLOCK, vocab),
                         .hi = min_int((first + count) * LOGITS_BLOCK, vocab)};
}

static void join_leaves(struct model_share *out, int tp_size)
{
    out->head_leaves = out->ffn_leaves = tp_size;
    out->attention_leaves = leaves_one(leaves_k(&out->attention_leaves));
    out->mlp_leaves = leaves_one(span_length(out->ffn));
}

void model_share_init(struct model_share *out, const struct model_config *config,
                      const struct model_place *place)
{
    const int tp_rank = place->tp_rank, tp_size = place->tp_size;
    const int stage = place->pp_stage, pp_stages = place->pp_stages;
    check(tp_size >= 1 && tp_size <= model_max_tp(config) && tp_rank >= 0 && tp_rank < tp_size);
    check(pp_stages >= 1 && pp_stages <= config->n_layers && stage >= 0 && stage < pp_stages);
    *out = (struct model_share){.layers = model_stage_layers(config, stage, pp_stages),
                                .is_first = stage == 0,
                                .is_last = stage == pp_stages - 1,
                                .on_gpu = place->on_gpu};
    share_heads(out, config, tp_rank, tp_size);
    share_ffn(out, config, tp_rank, tp_size);
    if (place->one_leaf)
        join_leaves(out, tp_size);
    out->vocab = model_vocab_span(config, tp_rank, tp_size);
}

void model_share_release(struct model_share *share)
{
    memory_free(share->kv_of_head);
    *share = (struct model_share){0};
}

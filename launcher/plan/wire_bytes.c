#include "launcher/plan/wire_bytes.h"

#include "parallel/ranks.h"
#include "parallel/tree.h"
#include "runtime/model/model.h"
#include "runtime/result_message.h"

/* Parts that a rank has not. */
static int missing_parts(int n_leaves, const struct ranks *ranks)
{
    const struct tree_layout layout = tree_layout_make(n_leaves, ranks->tp_size);
    const int *first = layout.first_part + ranks->tp_rank;
    return layout.n_parts - (first[1] - first[0]);
}

/* One-shot: those parts, whole. */
static int64_t sum_bytes(int n_leaves, const struct ranks *ranks, int64_t row_bytes)
{
    return missing_parts(n_leaves, ranks) * row_bytes;
}

/* Two-shot, from three ranks on: a slice of those parts, then the slices that the others added. */
static int64_t large_sum_bytes(int n_leaves, const struct ranks *ranks, int64_t row_bytes)
{
    const int size = ranks->tp_size;
    return size < 3 ? sum_bytes(n_leaves, ranks, row_bytes)
                    : (missing_parts(n_leaves, ranks) + size - 1) * row_bytes / size;
}

struct wire_bytes wire_bytes_of(const struct model *model, const struct ranks *ranks)
{
    const struct model_share *share = &model->share;
    const int64_t row_bytes = model->config.hidden * (int64_t)sizeof(float);
    const int n_layers = span_length(share->layers);
    struct wire_bytes out = {
        .attention = sum_bytes(share->head_leaves, ranks, row_bytes),
        .mlp = sum_bytes(share->ffn_leaves, ranks, row_bytes),
        .sums_large = n_layers * (large_sum_bytes(share->head_leaves, ranks, row_bytes) +
                                  large_sum_bytes(share->ffn_leaves, ranks, row_bytes)),
    };
    out.sums = n_layers * (out.attention + out.mlp);
    if (share->is_first) {
        out.embedding = sum_bytes(ranks->tp_size, ranks, row_bytes);
        out.sums += out.embedding;
        out.sums_large += large_sum_bytes(ranks->tp_size, ranks, row_bytes);
    } else {
        out.handed_over = row_bytes;
    }
    if (share->is_last && model->config.generates)
        out.logits = (model->config.vocab - span_length(share->vocab)) * (int64_t)sizeof(float);
    if (ranks->world_rank == 0 && !share->is_last && model->config.generates)
        out.logits = sizeof(struct result_pick);
    return out;
}

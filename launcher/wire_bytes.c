#include "launcher/wire_bytes.h"

#include "parallel/ranks.h"
#include "parallel/tree.h"
#include "runtime/model/model.h"

/* A rank gets the parts that it has not. */
static int64_t sum_bytes(int n_leaves, const struct ranks *ranks, int64_t row_bytes)
{
    const struct tree_layout layout = tree_layout_make(n_leaves, ranks->tp_size);
    const int *first = layout.first_part + ranks->tp_rank;
    return (layout.n_parts - (first[1] - first[0])) * row_bytes;
}

struct wire_bytes wire_bytes_of(const struct model *model, const struct ranks *ranks)
{
    const struct model_share *share = &model->share;
    const int64_t row_bytes = model->config.hidden * (int64_t)sizeof(float);
    struct wire_bytes out = {
        .attention = sum_bytes(share->head_leaves, ranks, row_bytes),
        .mlp = sum_bytes(share->ffn_leaves, ranks, row_bytes),
    };
    if (share->is_first)
        out.embedding = sum_bytes(ranks->tp_size, ranks, row_bytes);
    else
        out.handed_over = row_bytes;
    if (share->is_last && model->config.generates)
        out.logits = (model->config.vocab - span_length(share->vocab)) * (int64_t)sizeof(float);
    out.sums = out.embedding + span_length(share->layers) * (out.attention + out.mlp);
    return out;
}

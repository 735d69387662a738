/* down(f(gate(x)) * up(x)), f = silu or gelu, over the columns of ffn of this rank. Shazeer 2020,
 * arXiv:2002.05202. */
#include "base/error.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

bool mlp_run(struct forward *f, int n_tokens, int layer, struct error *err)
{
    const struct model_share *share = &f->model->share;
    const struct layer_weights *weights = &f->model->layer[layer];
    const struct activations *act = &f->act;
    const int ffn = span_length(share->ffn);

    project(f, n_tokens, act->gate_up,
            (struct projection[]){{weights->gate_proj, weights->gate_bias, ffn},
                                  {weights->up_proj, weights->up_bias, ffn}},
            2);

    const struct operand gated =
        operand_make(act->gated, f->model->compute, n_tokens, &share->mlp_leaves);
    op_gated(f->device, &(struct gated_args){.out = gated,
                                             .leaves = &share->mlp_leaves,
                                             .gate = act->gate_up,
                                             .up = act->gate_up + ffn,
                                             .row_stride = 2 * (int64_t)ffn,
                                             .activation = f->model->config.activation,
                                             .n_tokens = n_tokens,
                                             .ffn = ffn});

    return project_and_sum(f, n_tokens, &gated, &weights->down_proj, &share->mlp_leaves,
                           share->ffn_leaves, err);
}

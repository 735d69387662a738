/* The two kinds of linear layers of Shoeybi et al. 2019 (arXiv:1909.08053): column-parallel, whose
 * outputs are this rank's own, and row-parallel, whose outputs are summed over the ranks. */
#include "base/error.h"
#include "parallel/comm.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

void normalise(struct forward *f, int n_tokens, const float *delta, const struct weight *norm)
{
    const struct model_config *config = &f->model->config;
    const struct leaves all = leaves_one(config->hidden);
    op_rms_norm(f->device,
                &(struct rms_norm_args){
                    .out = operand_make(f->act.normed, f->model->compute, n_tokens, &all),
                    .residual = f->act.residual,
                    .delta = delta,
                    .weight = *norm,
                    .n_tokens = n_tokens,
                    .hidden = config->hidden,
                    .eps = config->norm_eps});
}

void project(struct forward *f, int n_tokens, float *out, const struct weight *weight,
             const struct weight *bias, int n_out)
{
    const struct leaves all = leaves_one(f->model->config.hidden);
    op_matmul(f->device, &(struct matmul_args){
                             .out = out,
                             .x = operand_make(f->act.normed, f->model->compute, n_tokens, &all),
                             .weight = *weight,
                             .bias = *bias,
                             .leaves = &all,
                             .n_tokens = n_tokens,
                             .n_out = n_out});
}

static float bias_at(const struct weight *bias, int i)
{
    switch (bias->dtype) {
    case DTYPE_F32:
        return ((const float *)bias->data)[i];
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)bias->data)[i]);
    default:
        return f16_to_f32(((const uint16_t *)bias->data)[i]);
    }
}

/* After the sum, because the bias counts once and not once a rank: the same on all of them. */
static void add_bias(float *rows, const struct weight *bias, int n_tokens, int hidden)
{
    for (int t = 0; t < n_tokens; t++) {
        for (int i = 0; i < hidden; i++)
            rows[(size_t)t * (size_t)hidden + (size_t)i] += bias_at(bias, i);
    }
}

bool project_and_sum(struct forward *f, int n_tokens, const struct operand *x,
                     const struct weight *weight, const struct weight *bias,
                     const struct leaves *leaves, int n_leaves, struct error *err)
{
    const int hidden = f->model->config.hidden;
    op_matmul(f->device, &(struct matmul_args){.out = f->act.parts,
                                               .x = *x,
                                               .weight = *weight,
                                               .leaves = leaves,
                                               .n_tokens = n_tokens,
                                               .n_out = hidden});
    struct comm *tp = f->ranks->tp;
    if (!tp->ops->tree_reduce(tp, f->device, f->act.parts, f->act.parts, n_leaves,
                              (size_t)n_tokens * (size_t)hidden, err))
        return false;
    if (bias->data != NULL)
        add_bias(f->act.parts, bias, n_tokens, hidden);
    return true;
}

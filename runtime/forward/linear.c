/* The two kinds of linear layers of Shoeybi et al. 2019 (arXiv:1909.08053): column-parallel, whose
 * outputs are this rank's own, and row-parallel, whose outputs are summed over the ranks. */
#include "base/error.h"
#include "parallel/comm.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

void normalise(struct forward *f, int n_tokens, const struct delta *delta,
               const struct weight *norm)
{
    const struct model_config *config = &f->model->config;
    const struct leaves all = leaves_one(config->hidden);
    op_rms_norm(f->device,
                &(struct rms_norm_args){
                    .out = operand_make(f->act.normed, f->model->compute, n_tokens, &all),
                    .residual = f->act.residual,
                    .delta = delta->rows,
                    .delta_bias = delta->bias,
                    .delta_norm = delta->norm,
                    .weight = *norm,
                    .n_tokens = n_tokens,
                    .hidden = config->hidden,
                    .eps = config->norm_eps,
                    .offset = config->norm_offset});
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

bool project_and_sum(struct forward *f, int n_tokens, const struct operand *x,
                     const struct weight *weight, const struct leaves *leaves, int n_leaves,
                     struct error *err)
{
    const int hidden = f->model->config.hidden;
    op_matmul(f->device, &(struct matmul_args){.out = f->act.parts,
                                               .x = *x,
                                               .weight = *weight,
                                               .leaves = leaves,
                                               .n_tokens = n_tokens,
                                               .n_out = hidden});
    struct comm *tp = f->ranks->tp;
    return comm_tree_reduce(tp, f->device, f->act.parts, f->act.parts, n_leaves,
                            (size_t)n_tokens * (size_t)hidden, err);
}

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

/* `b` begins where the first n numbers of `a` end; or neither is there. */
static bool is_behind(const struct weight *a, const struct weight *b, int64_t n)
{
    if (a->data == NULL || b->data == NULL)
        return a->data == b->data;
    return a->dtype == b->dtype &&
           (const char *)a->data + (size_t)n * dtype_bytes(a->dtype) == (const char *)b->data;
}

static bool can_join(const struct projection *a, const struct projection *b)
{
    return a->weight.row_stride == b->weight.row_stride &&
           is_behind(&a->weight, &b->weight, a->n_out * a->weight.row_stride) &&
           is_behind(&a->bias, &b->bias, a->n_out);
}

void project(struct forward *f, int n_tokens, float *out, const struct projection *layer,
             int n_layers)
{
    const struct leaves all = leaves_one(f->model->config.hidden);
    int width = 0;
    for (int i = 0; i < n_layers; i++)
        width += layer[i].n_out;
    for (int i = 0; i < n_layers;) {
        struct projection joined = layer[i++];
        for (; i < n_layers && can_join(&joined, &layer[i]); i++) {
            joined.n_out += layer[i].n_out;
            joined.bias.row_stride = joined.n_out;
        }
        op_matmul(f->device,
                  &(struct matmul_args){
                      .out = out,
                      .out_stride = width,
                      .x = operand_make(f->act.normed, f->model->compute, n_tokens, &all),
                      .weight = joined.weight,
                      .bias = joined.bias,
                      .leaves = &all,
                      .n_tokens = n_tokens,
                      .n_out = joined.n_out});
        out += joined.n_out;
    }
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
                                               .out_stride = hidden,
                                               .n_out = hidden});
    struct comm *tp = f->ranks->tp;
    return comm_tree_reduce(tp, f->device, f->act.parts, f->act.parts, n_leaves,
                            (size_t)n_tokens * (size_t)hidden, err);
}

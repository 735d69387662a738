/* The two ends of a step, both cut over the vocabulary: ids -> rows, rows -> logits.
 *
 * The sum of the embeddings is exact: one rank has the row and the others have +0, so the tree
 * over the ranks, a leaf each, gives its bits. The logits need no sum: a rank computes its columns,
 * and the columns of all are put side by side on tp rank 0. */
#include "base/error.h"
#include "kernels/device.h"
#include "parallel/comm.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

bool vocabulary_embed(struct forward *f, const struct step_rows *rows, struct error *err)
{
    const struct model *model = f->model;
    const int hidden = model->config.hidden;
    op_embed(f->device, &(struct embed_args){.out = f->act.residual,
                                             .token = rows->token,
                                             .carried = f->carries_tokens ? f->act.carried : NULL,
                                             .table = model->embed_tokens,
                                             .first = model->share.vocab.lo,
                                             .count = span_length(model->share.vocab),
                                             .n_tokens = rows->n.n_tokens,
                                             .hidden = hidden,
                                             .scale = model->embedding_scale});
    struct comm *tp = f->ranks->tp;
    return tp->size == 1 ||
           comm_tree_reduce(tp, f->device, f->act.residual, f->act.residual, tp->size,
                            (size_t)rows->n.n_tokens * (size_t)hidden, err);
}

/* act->normed = the rows whose logits are wanted. Adding delta is a matter of all rows, so it comes
 * first; where all rows are wanted (each sequence decodes one token) that is all. */
static void normalise_wanted(struct forward *f, const struct step_rows *rows,
                             const struct delta *delta)
{
    const struct model *model = f->model;
    const struct leaves all = leaves_one(model->config.hidden);
    const int n_logits = rows->n.n_logits;
    normalise(f, rows->n.n_tokens, delta, &model->norm);
    if (n_logits == rows->n.n_tokens || n_logits == 0)
        return;
    op_rms_norm(f->device, &(struct rms_norm_args){
                               .out = operand_make(f->act.normed, model->compute, n_logits, &all),
                               .residual = f->act.residual,
                               .row = rows->logits_row,
                               .weight = model->norm,
                               .n_tokens = n_logits,
                               .hidden = model->config.hidden,
                               .eps = model->config.norm_eps,
                               .offset = model->config.norm_offset});
}

static int columns_of(const struct forward *f, int tp_rank)
{
    return span_length(model_vocab_span(&f->model->config, tp_rank, f->ranks->tp_size));
}

/* [rank][row][column of the rank] -> [row][column] */
static void interleave(const struct forward *f, int n_rows)
{
    const size_t row_bytes = (size_t)f->model->config.vocab * sizeof(float);
    const float *from = f->act.logits_parts;
    float *to = f->act.logits;
    for (int r = 0; r < f->ranks->tp_size; r++) {
        const size_t n_columns = (size_t)columns_of(f, r);
        const size_t part_bytes = n_columns * sizeof *from;
        device_copy_rows(f->device, to, row_bytes, from, part_bytes, part_bytes, (size_t)n_rows);
        from += (size_t)n_rows * n_columns;
        to += n_columns;
    }
}

static bool gather(struct forward *f, int n_rows, const float *mine, struct error *err)
{
    struct comm *tp = f->ranks->tp;
    for (int r = 0; r < tp->size; r++)
        f->gather_bytes[r] = (size_t)n_rows * (size_t)columns_of(f, r) * sizeof(float);
    return comm_all_gather(tp, f->device, f->act.logits_parts, mine, f->gather_bytes, err);
}

const float *logits_of(const struct forward *f, int n_rows)
{
    return f->ranks->tp_size > 1 && n_rows == 1 ? f->act.logits_parts : f->act.logits;
}

const float *hidden_of(const struct forward *f) { return f->act.parts; }

/* act->parts = the hidden states that are wanted, in float32. What they were is in the residual. */
static void keep_hidden(struct forward *f, const struct step_rows *rows)
{
    const struct model_config *config = &f->model->config;
    const struct leaves all = leaves_one(config->hidden);
    op_rms_norm(f->device, &(struct rms_norm_args){
                               .out = operand_make(f->act.parts, DTYPE_F32, rows->n_hidden, &all),
                               .residual = f->act.residual,
                               .row = rows->hidden_row,
                               .weight = f->model->norm,
                               .n_tokens = rows->n_hidden,
                               .hidden = config->hidden,
                               .eps = config->norm_eps,
                               .offset = config->norm_offset});
}

/* act->normed -> logits. */
static bool project_logits(struct forward *f, int n_rows, struct error *err)
{
    const struct model *model = f->model;
    const int n_columns = span_length(model->share.vocab);
    const bool alone = f->ranks->tp_size == 1;
    float *mine = f->act.logits;
    if (!alone)
        mine = f->act.logits_parts + (size_t)n_rows * (size_t)model->share.vocab.lo;
    if (n_columns > 0)
        project(f, n_rows, mine, &(struct projection){.weight = model->lm_head, .n_out = n_columns},
                1);
    if (n_columns > 0 && model->config.logit_softcap > 0)
        op_softcap(f->device, &(struct softcap_args){.x = mine,
                                                     .n = (int64_t)n_rows * n_columns,
                                                     .cap = model->config.logit_softcap});
    if (!alone && !gather(f, n_rows, mine, err))
        return false;
    if (!alone && f->ranks->tp_rank == 0 && n_rows > 1)
        interleave(f, n_rows);
    return true;
}

/* A GPU picks by itself, on tp rank 0. Where the next plan may refer to the tokens, they go to the
 * other ranks of the stage, which embeds them too. */
static bool pick(struct forward *f, const struct step_rows *rows, struct error *err)
{
    const int n_rows = rows->n.n_logits, vocab = f->model->config.vocab;
    struct comm *tp = f->ranks->tp;
    if (has_results(f))
        op_pick(f->device, &(struct pick_args){.out = f->act.pick,
                                               .carried = f->act.carried,
                                               .logits = logits_of(f, n_rows),
                                               .spec = rows->pick,
                                               .row_stride = vocab,
                                               .n_rows = n_rows,
                                               .vocab = vocab,
                                               .processed_logprobs = f->processed_logprobs});
    if (!f->carries_tokens || tp->size == 1)
        return true;
    for (int r = 0; r < tp->size; r++)
        f->gather_bytes[r] = r == 0 ? (size_t)n_rows * sizeof *f->act.carried : 0;
    return comm_all_gather(tp, f->device, f->act.carried, f->act.carried, f->gather_bytes, err);
}

bool vocabulary_project(struct forward *f, const struct step_rows *rows, const struct delta *delta,
                        struct error *err)
{
    const int n_rows = rows->n.n_logits;
    if (n_rows == 0 && rows->n_hidden == 0)
        return true; /* a part of a prompt: only the cache matters */
    normalise_wanted(f, rows, delta);
    if (rows->n_hidden > 0 && has_results(f))
        keep_hidden(f, rows);
    return n_rows == 0 || (project_logits(f, n_rows, err) && (!f->on_gpu || pick(f, rows, err)));
}

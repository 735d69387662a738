#include "runtime/pooler.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "kernels/ops.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"
#include "runtime/schedule/scheduler.h"

#include <string.h>

struct pooler {
    struct device *device;
    const struct model *model;
    struct arena arena;
    float *vector; /* [hidden], aligned as an operand */
    float *score;  /* [n_labels] */
};

void pooler_create(struct pooler **out, struct device *device, const struct model *model)
{
    struct pooler *p = memory_alloc(1, sizeof *p);
    p->device = device;
    p->model = model;
    p->vector = arena_alloc(&p->arena, (size_t)model->config.hidden, sizeof *p->vector);
    p->score = arena_alloc(&p->arena, (size_t)model->config.n_labels, sizeof *p->score);
    *out = p;
}

void pooler_destroy(struct pooler *p)
{
    if (p == NULL)
        return;
    arena_release(&p->arena);
    memory_free(p);
}

bool pooler_check(const struct pooler *p, const struct sampling_params *params, struct error *err)
{
    if (params->pooling != POOLING_NONE || p->model->config.generates)
        return true;
    return error_set(err, ERROR_INPUT,
                     "this model (%s) makes no tokens: it has vectors%s to give (phalanx score)",
                     p->model->config.architecture,
                     p->model->config.n_labels > 0 ? " and scores" : "");
}

static void add_row(float *sum, const float *row, int n)
{
    for (int i = 0; i < n; i++)
        sum[i] += row[i];
}

/* In float32, in the canonical order, whatever format the head has. */
static void score(struct pooler *p)
{
    const struct model_config *config = &p->model->config;
    const struct leaves all = leaves_one(config->hidden);
    op_matmul(p->device, &(struct matmul_args){.out = p->score,
                                               .x = operand_make(p->vector, DTYPE_F32, 1, &all),
                                               .weight = p->model->score,
                                               .bias = p->model->score_bias,
                                               .leaves = &all,
                                               .n_tokens = 1,
                                               .out_stride = config->n_labels,
                                               .n_out = config->n_labels});
}

const float *pooler_take(struct pooler *p, const struct batch *batch,
                         const struct step_result *result, int i, int *n_values)
{
    const struct request *request = batch->hidden[i].request;
    const int hidden = result->hidden_size;
    const float *row = result->hidden + (size_t)i * (size_t)hidden;
    const bool is_last = batch->hidden[i].is_last;
    check(hidden == p->model->config.hidden && request->pooled != NULL);
    if (request->params.pooling == POOLING_MEAN)
        add_row(request->pooled, row, hidden);
    else if (is_last)
        memcpy(request->pooled, row, (size_t)hidden * sizeof *row);
    if (!is_last)
        return NULL;

    for (int k = 0; k < hidden; k++)
        p->vector[k] = request->params.pooling == POOLING_MEAN
                           ? request->pooled[k] / (float)request->n_prompt
                           : request->pooled[k];
    *n_values = p->model->config.n_labels > 0 ? p->model->config.n_labels : hidden;
    if (p->model->config.n_labels == 0)
        return p->vector;
    score(p);
    return p->score;
}

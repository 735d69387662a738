/* kernels/cpu/activations.inc.h: gated and softcap, once for all levels; as rows.inc.h. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/cpu/exp.inc.h"
#include "kernels/cpu/row_parts.inc.h"
#include "kernels/cpu/tanh.inc.h"

/* ---- gated ---- */

enum {
    GATED_BLOCKS = 16, /* 512 columns an item, so that few tokens make enough items */
    GATED_STEP = 4,    /* blocks of a row at a time: memory likes runs of 512 bytes */
};

/* Both are x / (1 + exp(-y)): y = x, or y = 2 sqrt(2 / pi) (x + 0.044715 x^3), because
 * (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)); this form is exact to the end of the left tail. */
static struct vec gated(struct vec gate, struct vec up, enum activation activation)
{
    struct vec y = gate;
    if (activation == ACTIVATION_GELU_TANH) {
        const struct vec linear = vec_set(0x1.988454p+0f), cubic = vec_set(0x1.2444f2p-4f);
        y = vec_mul(gate, vec_fma(vec_mul(gate, gate), cubic, linear));
    }
    const struct vec e = vec_exp(vec_sub(vec_set(0.0f), y));
    return vec_mul(vec_div(gate, vec_add(vec_set(1.0f), e)), up);
}

static void gated_item(void *context, int item, int thread)
{
    (void)thread;
    const struct groups *groups = context;
    const struct gated_args *a = groups->args;
    const int first = item % groups->items * groups->tokens_per_item;
    const int n_rows = min_of(groups->tokens_per_item, a->n_tokens - first);
    const int b_begin = item / groups->items * GATED_BLOCKS;
    const int b_end = min_of(b_begin + GATED_BLOCKS, operand_blocks(&a->out));

    for (int b = b_begin; b < b_end; b += GATED_STEP) {
        const int n_blocks = min_of(GATED_STEP, b_end - b);
        struct k_block block[GATED_STEP];
        float values[GATED_STEP][TOKEN_GROUP][K_BLOCK];
        for (int i = 0; i < n_blocks; i++)
            block[i] = operand_block(&a->out, a->leaves, b + i);
        for (int r = 0; r < n_rows; r++)
            for (int i = 0; i < n_blocks; i++)
                for (int j = 0; j < K_BLOCK; j += VEC_LANES) {
                    const int n = block[i].n > j ? block[i].n - j : 0;
                    const size_t at = (size_t)(first + r) * (size_t)a->ffn +
                                      (size_t)(block[i].k + (n > 0 ? j : 0));
                    vec_store(values[i][r] + j, gated(load_part(a->gate + at, n),
                                                      load_part(a->up + at, n), a->activation));
                }
        for (int i = 0; i < n_blocks; i++)
            operand_store_block(&a->out, block[i], first, n_rows, values[i]);
    }
}

void LEVEL(gated)(struct device *device, const struct gated_args *args)
{
    struct groups groups = groups_make(device, args, args->n_tokens);
    const int n_spans = (operand_blocks(&args->out) + GATED_BLOCKS - 1) / GATED_BLOCKS;
    team_run(device->team, gated_item, &groups, groups.items * n_spans);
}

/* ---- softcap ---- */

enum { SOFTCAP_SPAN = 4096 }; /* numbers of an item */

static void softcap_item(void *context, int item, int thread)
{
    (void)thread;
    const struct softcap_args *a = context;
    float *x = a->x + (int64_t)item * SOFTCAP_SPAN;
    const int64_t left = a->n - (int64_t)item * SOFTCAP_SPAN;
    const int n = left < SOFTCAP_SPAN ? (int)left : SOFTCAP_SPAN;
    const struct vec cap = vec_set(a->cap);
    for (int i = 0; i < n; i += VEC_LANES)
        store_part(x + i, vec_softcap(load_part(x + i, n - i), cap), n - i);
}

void LEVEL(softcap)(struct device *device, const struct softcap_args *args)
{
    struct softcap_args context = *args;
    const int64_t n_items = (args->n + SOFTCAP_SPAN - 1) / SOFTCAP_SPAN;
    team_run(device->team, softcap_item, &context, (int)n_items);
}

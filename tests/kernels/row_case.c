#include "tests/kernels/row_case.h"

#include "kernels/cpu/cpu_ops.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

const int row_widths[N_ROW_WIDTHS] = {1, 7, 16, 64, 100, SANITIZED ? 544 : 2048};

enum { GUARD_BYTES = 64, GUARD_BYTE = 0xa5 };

struct weight weight_make(enum dtype dtype, int rows, int stride, uint64_t seed)
{
    const size_t n = (size_t)rows * (size_t)stride;
    void *data = malloc((n + 1) * dtype_bytes(dtype));
    for (size_t i = 0; i < n; i++) {
        if (dtype == DTYPE_F32)
            ((float *)data)[i] = number_at(seed, i, 0);
        else if (dtype == DTYPE_BF16)
            ((bf16 *)data)[i] = bf16_from_f32(number_at(seed, i, 0));
        else /* any sign, exponents of 2^-8 to 2^7, any mantissa */
            ((uint16_t *)data)[i] = (uint16_t)(0x1c00 + 977 * i % 0x4000 + (i % 2 << 15));
    }
    return (struct weight){.data = data, .dtype = dtype, .row_stride = stride};
}

float weight_at(const struct weight *w, size_t i)
{
    switch (w->dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)w->data)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)w->data)[i]);
    default:
        return ((const float *)w->data)[i];
    }
}

struct output output_make(enum dtype dtype, int n_tokens, const struct leaves *leaves)
{
    struct output o = {.n_bytes = operand_bytes(dtype, n_tokens, leaves), .leaves = *leaves};
    o.all = aligned_alloc(64, (o.n_bytes + 2 * GUARD_BYTES + 63) / 64 * 64);
    memset(o.all, GUARD_BYTE, GUARD_BYTES);
    memset(o.all + GUARD_BYTES, 0xff, o.n_bytes);
    memset(o.all + GUARD_BYTES + o.n_bytes, GUARD_BYTE, GUARD_BYTES);
    o.operand = operand_make(o.all + GUARD_BYTES, dtype, n_tokens, leaves);
    return o;
}

void output_free(struct output *o)
{
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (o->all[i] != GUARD_BYTE || o->all[GUARD_BYTES + o->n_bytes + i] != GUARD_BYTE)
            test_fail(__FILE__, __LINE__, "wrote outside the operand");
    free(o->all);
}

float operand_at(const struct operand *x, int t, int k)
{
    if (x->dtype == DTYPE_F32)
        return ((const float *)x->data)[t * x->k + k];
    const int group = t / TOKEN_GROUP, left = x->n_tokens - group * TOKEN_GROUP;
    const int n = left < TOKEN_GROUP ? left : TOKEN_GROUP;
    const bf16 *data = (const bf16 *)x->data + (size_t)group * TOKEN_GROUP * (size_t)x->k_padded;
    return bf16_to_f32(data[(k / 2 * n + t % TOKEN_GROUP) * 2 + k % 2]);
}

void check_output(const char *what, const struct output *o,
                  float (*want)(void *context, int t, int k), void *context)
{
    for (int t = 0; t < o->operand.n_tokens; t++) {
        int begin = 0, at = 0;
        for (int l = 0; l < o->leaves.n_leaves; l++) {
            for (int k = begin; k < o->leaves.leaf[l].k_end; k++, at++) {
                float wanted = want(context, t, k);
                if (o->operand.dtype == DTYPE_BF16)
                    wanted = bf16_to_f32(bf16_from_f32(wanted));
                if (!(operand_at(&o->operand, t, at) == wanted))
                    test_fail(__FILE__, __LINE__, "%s: token %d element %d is %a, want %a", what, t,
                              k, (double)operand_at(&o->operand, t, at), (double)wanted);
            }
            begin = o->leaves.leaf[l].k_end;
            for (; o->operand.dtype == DTYPE_BF16 && at % 32 != 0; at++)
                if (operand_at(&o->operand, t, at) != 0)
                    test_fail(__FILE__, __LINE__, "%s: padding of token %d is not zero", what, t);
        }
    }
}

void on_every_level(void (*check_level)(struct device *, const char *name))
{
    for (int level = 0; level < n_cpu_levels; level++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            struct device *device = level_open(level, n_threads);
            if (device != NULL)
                check_level(device, cpu_levels[level].ops.name);
            device_close(device);
        }
}

#include "tests/kernels/ref_f64.h"

#include <math.h>

struct sum {
    double want, size;
};

static struct sum leaf_sum(const float *x, const float *w, int begin, int end)
{
    struct sum sum = {0, 0};
    for (int k = begin; k < end; k++) {
        const double product = (double)x[k] * (double)w[k];
        sum.want += product;
        sum.size += fabs(product);
    }
    return sum;
}

void ref_matmul(double *want, double *size, const struct ref_matmul *args)
{
    const struct leaves *leaves = args->leaves;
    const int k = leaves->leaf[leaves->n_leaves - 1].k_end;
    for (int t = 0; t < args->n_tokens; t++)
        for (int o = 0; o < args->n_out; o++) {
            struct sum stack[MAX_LEAVES];
            int depth = 0, begin = 0;
            for (int i = 0; i < leaves->n_leaves; i++) {
                const int end = leaves->leaf[i].k_end;
                stack[depth++] = leaf_sum(args->x + (size_t)t * (size_t)k,
                                          args->w + (size_t)o * (size_t)k, begin, end);
                for (int merge = 0; merge < leaves->leaf[i].n_merges; merge++) {
                    depth--;
                    stack[depth - 1].want += stack[depth].want;
                    stack[depth - 1].size += stack[depth].size;
                }
                begin = end;
            }
            for (int part = 0; part < leaves->n_parts; part++) {
                const double bias = args->bias ? (double)args->bias[o] : 0;
                const size_t at =
                    ((size_t)part * (size_t)args->n_tokens + (size_t)t) * (size_t)args->n_out +
                    (size_t)o;
                want[at] = stack[part].want + bias;
                size[at] = stack[part].size + fabs(bias);
            }
        }
}

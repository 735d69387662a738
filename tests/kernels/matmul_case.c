#include "tests/kernels/matmul_case.h"

#include "kernels/device.h"
#include "tests/kernels/close.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

float number_put(void *data, enum dtype dtype, size_t i, float value)
{
    switch (dtype) {
    case DTYPE_BF16:
        ((bf16 *)data)[i] = bf16_from_f32(value);
        return bf16_to_f32(((bf16 *)data)[i]);
    case DTYPE_F16:
        ((uint16_t *)data)[i] = f16_from_f32(value);
        return f16_to_f32(((uint16_t *)data)[i]);
    default:
        ((float *)data)[i] = value;
        return value;
    }
}

static int leaf_of(const struct leaves *leaves, int k)
{
    int leaf = 0;
    while (k >= leaves->leaf[leaf].k_end)
        leaf++;
    return leaf;
}

/* Element (t, k) in the layout of kernels/tensor.h. */
static size_t packed_at(const struct operand *x, const struct leaves *leaves, int t, int k)
{
    int padded = 0, begin = 0;
    for (int leaf = leaf_of(leaves, k), i = 0; i < leaf; i++) {
        padded += (leaves->leaf[i].k_end - begin + 31) / 32 * 32;
        begin = leaves->leaf[i].k_end;
    }
    padded += k - begin;
    const int group = t / 16, in_group = t % 16;
    const int tokens = x->n_tokens - group * 16 < 16 ? x->n_tokens - group * 16 : 16;
    return (size_t)group * 16 * (size_t)x->k_padded +
           ((size_t)(padded / 2) * (size_t)tokens + (size_t)in_group) * 2 + (size_t)(padded % 2);
}

static void make_operand(struct matmul_case *c)
{
    const struct matmul_shape *s = &c->shape;
    const size_t bytes = operand_bytes(s->x_dtype, s->n_tokens, &s->leaves);
    c->operand = aligned_alloc(64, (bytes + 64) / 64 * 64);
    memset(c->operand, 0, bytes);
    c->args.x = operand_make(c->operand, s->x_dtype, s->n_tokens, &s->leaves);
    for (int t = 0; t < s->n_tokens; t++)
        for (int k = 0; k < c->k; k++) {
            const size_t plain = (size_t)t * (size_t)c->k + (size_t)k;
            const size_t at =
                s->x_dtype == DTYPE_F32 ? plain : packed_at(&c->args.x, &s->leaves, t, k);
            c->x[plain] = number_put(c->operand, s->x_dtype, at, c->x[plain]);
        }
}

/* The memory ends with the last element, so that a sanitizer sees a read behind it. */
static void make_weight(struct matmul_case *c)
{
    const struct matmul_shape *s = &c->shape;
    const size_t stride = (size_t)(c->k + s->stride_extra), element = dtype_bytes(s->weight_dtype);
    const size_t n = (size_t)(s->n_out - 1) * stride + (size_t)c->k;
    c->weight = malloc((n + (size_t)s->offset) * element);
    void *data = (char *)c->weight + (size_t)s->offset * element;
    for (size_t i = 0; i < n; i++)
        number_put(data, s->weight_dtype, i, NAN);
    for (int o = 0; o < s->n_out; o++)
        for (int k = 0; k < c->k; k++)
            c->w[(size_t)o * (size_t)c->k + (size_t)k] =
                number_put(data, s->weight_dtype, (size_t)o * stride + (size_t)k,
                           s->w_number(2, (uint64_t)o, (uint64_t)k));
    c->args.weight =
        (struct weight){.data = data, .dtype = s->weight_dtype, .row_stride = (int64_t)stride};
}

struct matmul_case matmul_case_make(const struct matmul_shape *shape)
{
    struct matmul_case c = {.shape = *shape, .k = leaves_k(&shape->leaves)};
    const size_t n_tokens = (size_t)shape->n_tokens, n_out = (size_t)shape->n_out;
    c.x = malloc((n_tokens * (size_t)c.k + 1) * sizeof *c.x);
    c.w = malloc(n_out * (size_t)c.k * sizeof *c.w);
    c.n_out_numbers = (size_t)shape->leaves.n_parts * n_tokens * n_out;
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t k = 0; k < (size_t)c.k; k++)
            c.x[t * (size_t)c.k + k] = shape->x_number(1, t, k);
    c.args = (struct matmul_args){.n_tokens = shape->n_tokens, .n_out = shape->n_out};
    make_operand(&c);
    make_weight(&c);
    if (shape->bias) {
        c.bias = malloc(n_out * sizeof *c.bias);
        for (size_t o = 0; o < n_out; o++)
            c.bias[o] = shape->w_number(3, o, 0);
        c.args.bias =
            (struct weight){.data = c.bias, .dtype = DTYPE_F32, .row_stride = shape->n_out};
    }
    return c;
}

void matmul_case_free(struct matmul_case *c)
{
    free(c->x);
    free(c->operand);
    if (c->weight != NULL) {
        free(c->weight);
        free(c->w);
        free(c->bias);
    }
}

struct matmul_case matmul_case_row(const struct matmul_case *c, int token)
{
    struct matmul_case row = *c;
    row.weight = NULL; /* borrowed, like w and bias */
    row.shape.n_tokens = row.args.n_tokens = 1;
    row.n_out_numbers = c->n_out_numbers / (size_t)c->shape.n_tokens;
    row.x = malloc((size_t)c->k * sizeof *row.x);
    memcpy(row.x, c->x + (size_t)token * (size_t)c->k, (size_t)c->k * sizeof *row.x);
    make_operand(&row);
    return row;
}

void matmul_case_run(const struct matmul_case *c, struct device *device, float *out)
{
    enum { BESIDE = 3 }; /* numbers behind each row that are of others */
    const size_t n_out = (size_t)c->shape.n_out, stride = n_out + BESIDE;
    const size_t n_rows = c->n_out_numbers / n_out;
    struct buffer buffer = buffer_make(n_rows * stride);
    struct matmul_args args = c->args;
    args.out = buffer.data;
    args.out_stride = (int64_t)stride;
    args.leaves = &c->shape.leaves;
    op_matmul(device, &args);
    buffer_check_guards(&buffer, "matmul");
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(out + r * n_out, buffer.data + r * stride, n_out * sizeof *out);
        for (size_t i = n_out; i < stride; i++)
            CHECK(isnan(buffer.data[r * stride + i]));
    }
    buffer_free(&buffer);
}

static void written_number(const struct matmul_case *c, int t, int o, float *out)
{
    const struct leaves *leaves = &c->shape.leaves;
    const float *x = c->x + (size_t)t * (size_t)c->k, *w = c->w + (size_t)o * (size_t)c->k;
    float stack[MAX_LEAVES];
    int depth = 0, begin = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        const int end = leaves->leaf[i].k_end;
        stack[depth++] = written_dot(x + begin, w + begin, 1, end - begin);
        for (int merge = 0; merge < leaves->leaf[i].n_merges; merge++) {
            depth--;
            stack[depth - 1] = stack[depth - 1] + stack[depth];
        }
        begin = end;
    }
    for (int part = 0; part < leaves->n_parts; part++) {
        const size_t at = (size_t)(part * c->shape.n_tokens + t) * (size_t)c->shape.n_out;
        out[at + (size_t)o] = c->bias ? stack[part] + c->bias[o] : stack[part];
    }
}

void matmul_case_written(const struct matmul_case *c, float *out)
{
    for (int t = 0; t < c->shape.n_tokens; t++)
        for (int o = 0; o < c->shape.n_out; o++)
            written_number(c, t, o, out);
}

void check_bits(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(got[i]) && isnan(want[i]))
            continue;
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            test_fail(__FILE__, __LINE__, "%s: element %zu is %a, want %a", what, i, (double)got[i],
                      (double)want[i]);
    }
}

struct leaves leaves_of(const int *lengths, int n_leaves, int n_parts)
{
    struct leaves leaves = {.n_leaves = n_leaves, .n_parts = n_parts};
    int k = 0, depth = 0;
    for (int i = 0; i < n_leaves; i++) {
        struct leaf *leaf = &leaves.leaf[i];
        k += lengths[i];
        leaf->k_end = k;
        depth++;
        for (int ones = i; ones & 1 && depth > n_parts; ones >>= 1, depth--)
            leaf->n_merges++;
    }
    for (; depth > n_parts; depth--)
        leaves.leaf[n_leaves - 1].n_merges++;
    return leaves;
}

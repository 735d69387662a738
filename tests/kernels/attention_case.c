#include "tests/kernels/attention_case.h"

#include "base/memory.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTES = 64, GUARD_BYTE = 0xa5 };
enum { Q_SEED = 1, K_SEED = 2, V_SEED = 3 };

static float stored(enum dtype dtype, float x)
{
    return dtype == DTYPE_BF16 ? bf16_to_f32(bf16_from_f32(x)) : x;
}

static void put(void *to, enum dtype dtype, size_t at, float x)
{
    if (dtype == DTYPE_BF16)
        ((bf16 *)to)[at] = bf16_from_f32(x);
    else
        ((float *)to)[at] = x;
}

/* What is in sequence `name` at this position: `kind` is one of Q_SEED .. V_SEED. */
static float content(const struct attention_shape *s, int kind, int name, int position, int head,
                     int i)
{
    const uint64_t seed = s->seed * 64 + (uint64_t)kind * 16 + (uint64_t)name;
    const uint64_t b = (uint64_t)(head * 1024 + i);
    const float x = s->whole ? whole_at(seed, (uint64_t)position, b)
                             : 2 * number_at(seed, (uint64_t)position, b);
    return stored(s->dtype, x);
}

static size_t cache_at(const struct attention_case *c, int sequence, int position, int kv_head)
{
    const struct kv_cache *cache = &c->cache;
    const int block = c->block[c->first_block[sequence] + position / cache->block_tokens];
    return (size_t)((block * cache->n_kv_heads + kv_head) * cache->block_tokens) *
           (size_t)cache->head_dim;
}

void case_set_key(struct attention_case *c, int sequence, int position, int kv_head, int i, float x)
{
    const int in_block = position % c->cache.block_tokens;
    put(c->cache.k, c->cache.dtype,
        cache_at(c, sequence, position, kv_head) + (size_t)(in_block * c->cache.head_dim + i), x);
}

void case_set_value(struct attention_case *c, int sequence, int position, int kv_head, int i,
                    float x)
{
    const int in_block = position % c->cache.block_tokens;
    put(c->cache.v, c->cache.dtype,
        cache_at(c, sequence, position, kv_head) +
            (size_t)(in_block / 2 * c->cache.head_dim * 2 + 2 * i + in_block % 2),
        x);
}

void case_set_query(struct attention_case *c, int row, int head, int i, float x)
{
    put(c->q, c->cache.dtype, (size_t)((row * c->shape.n_heads + head) * c->cache.head_dim + i), x);
}

static void fill_sequence(struct attention_case *c, int s)
{
    const struct attention_shape *shape = &c->shape;
    const int name = shape->sequence[s], n = shape->n_computed[s] + shape->n_new[s];
    for (int p = 0; p < n; p++)
        for (int h = 0; h < shape->n_kv_heads; h++)
            for (int i = 0; i < shape->head_dim; i++) {
                case_set_key(c, s, p, h, i, content(shape, K_SEED, name, p, h, i));
                case_set_value(c, s, p, h, i, content(shape, V_SEED, name, p, h, i));
            }
    for (int t = 0; t < shape->n_new[s]; t++)
        for (int h = 0; h < shape->n_heads; h++)
            for (int i = 0; i < shape->head_dim; i++)
                case_set_query(c, c->first_row[s] + t, h, i,
                               content(shape, Q_SEED, name, shape->n_computed[s] + t, h, i));
}

static void make_blocks(struct attention_case *c)
{
    const struct attention_shape *s = &c->shape;
    int used = 0;
    for (int i = 0; i < s->n_sequences; i++) {
        c->first_block[i] = used;
        used += (s->n_computed[i] + s->n_new[i] + s->block_tokens - 1) / s->block_tokens;
    }
    c->first_block[s->n_sequences] = used;
    int n_blocks = 2; /* a power of two: odd steps meet every block once */
    while (n_blocks < used + 1)
        n_blocks *= 2;
    c->block = memory_alloc((size_t)used + 1, sizeof *c->block);
    for (int i = 0; i < used; i++)
        c->block[i] = (int32_t)((unsigned)i * (s->block_step | 1u) % (unsigned)n_blocks);

    const size_t n = (size_t)(n_blocks * s->n_kv_heads * s->block_tokens) * (size_t)s->head_dim;
    c->cache = (struct kv_cache){.k = memory_alloc(n, dtype_bytes(s->dtype)),
                                 .v = memory_alloc(n, dtype_bytes(s->dtype)),
                                 .dtype = s->dtype,
                                 .n_kv_heads = s->n_kv_heads,
                                 .head_dim = s->head_dim,
                                 .block_tokens = s->block_tokens};
    memset(c->cache.k, 0xff, n * dtype_bytes(s->dtype)); /* NaN */
    memset(c->cache.v, 0xff, n * dtype_bytes(s->dtype));
}

/* Runs of whole heads, as o_proj is cut. */
static struct leaves leaves_of_heads(int n_heads, int head_dim)
{
    struct leaves leaves = {.n_leaves = n_heads < 3 ? n_heads : 3, .n_parts = 1};
    for (int i = 0; i < leaves.n_leaves; i++)
        leaves.leaf[i] = (struct leaf){.k_end = n_heads * (i + 1) / leaves.n_leaves * head_dim,
                                       .n_merges = i > 0};
    return leaves;
}

struct attention_case *case_make(const struct attention_shape *shape)
{
    struct attention_case *c = memory_alloc(1, sizeof *c);
    c->shape = *shape;
    for (int s = 0; s < shape->n_sequences; s++)
        c->first_row[s + 1] = c->first_row[s] + shape->n_new[s];
    c->n_rows = c->first_row[shape->n_sequences];
    for (int h = 0; h < shape->n_heads; h++)
        c->kv_of_head[h] = h * shape->n_kv_heads / shape->n_heads;
    make_blocks(c);
    const size_t n_q = (size_t)(c->n_rows * shape->n_heads * shape->head_dim);
    c->q = memory_alloc(n_q + 1, dtype_bytes(shape->dtype));
    for (int s = 0; s < shape->n_sequences; s++)
        fill_sequence(c, s);

    c->leaves = leaves_of_heads(shape->n_heads, shape->head_dim);
    const size_t n_bytes = operand_bytes(shape->out_dtype, c->n_rows, &c->leaves);
    c->out = aligned_alloc(64, (n_bytes + 2 * GUARD_BYTES + 63) / 64 * 64);
    c->args = (struct attention_args){
        .out = operand_make((char *)c->out + GUARD_BYTES, shape->out_dtype, c->n_rows, &c->leaves),
        .leaves = &c->leaves,
        .q = c->q,
        .cache = &c->cache,
        .kv_of_head = c->kv_of_head,
        .first_row = c->first_row,
        .n_computed = c->shape.n_computed,
        .first_block = c->first_block,
        .block = c->block,
        .n_sequences = shape->n_sequences,
        .n_tokens = c->n_rows,
        .n_heads = shape->n_heads,
        .window = shape->window,
        .scale = shape->whole ? 0.125f : 1 / sqrtf((float)shape->head_dim),
    };
    return c;
}

void case_free(struct attention_case *c)
{
    memory_free(c->cache.k);
    memory_free(c->cache.v);
    memory_free(c->block);
    memory_free(c->q);
    free(c->out);
    memory_free(c);
}

void case_run(struct attention_case *c, struct device *device)
{
    const size_t n_bytes = operand_bytes(c->shape.out_dtype, c->n_rows, &c->leaves);
    unsigned char *all = c->out;
    memset(all, GUARD_BYTE, GUARD_BYTES);
    memset(all + GUARD_BYTES, 0xff, n_bytes);
    memset(all + GUARD_BYTES + n_bytes, GUARD_BYTE, GUARD_BYTES);
    op_attention(device, &c->args);
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (all[i] != GUARD_BYTE || all[GUARD_BYTES + n_bytes + i] != GUARD_BYTE)
            test_fail(__FILE__, __LINE__, "attention wrote outside its output");
}

float case_padded_out(const struct attention_case *c, int r, int k)
{
    return operand_at(&c->args.out, r, k);
}

float case_out(const struct attention_case *c, int r, int h, int i)
{
    int k = h * c->shape.head_dim + i, begin = 0, padded = 0;
    if (c->shape.out_dtype == DTYPE_F32)
        return operand_at(&c->args.out, r, k);
    for (int l = 0; c->leaves.leaf[l].k_end <= k; l++) {
        padded += (c->leaves.leaf[l].k_end - begin + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        begin = c->leaves.leaf[l].k_end;
    }
    return operand_at(&c->args.out, r, padded + k - begin);
}

static int sequence_of(const struct attention_case *c, int r)
{
    int s = 0;
    while (c->first_row[s + 1] <= r)
        s++;
    return s;
}

/* The bound: a score is off by at most (head_dim + 2) 2^-24 sum |q k| scale, twice for the
 * maximum; a weight, relative, by that, by 2 ulp of exp and by its rounding to the cache dtype;
 * the sums by n 2^-24; chunks and the last product by 2^-24 each; the output by its own rounding.
 */
void case_want(const struct attention_case *c, int r, int h, double *want, double *bound)
{
    const struct attention_shape *shape = &c->shape;
    const int s = sequence_of(c, r), name = shape->sequence[s], d = shape->head_dim;
    const int position = shape->n_computed[s] + r - c->first_row[s], kv = c->kv_of_head[h];
    const int first = shape->window && position >= shape->window ? position - shape->window + 1 : 0;
    double *score = calloc((size_t)position + 1, sizeof *score);
    double max = -INFINITY, size = 0, sum = 0;
    for (int p = first; p <= position; p++) {
        double dot = 0, of = 0;
        for (int i = 0; i < d; i++) {
            const double x = (double)content(shape, Q_SEED, name, position, h, i) *
                             (double)content(shape, K_SEED, name, p, kv, i);
            dot += x;
            of += fabs(x);
        }
        score[p] = dot * (double)c->args.scale;
        max = fmax(max, score[p]);
        size = fmax(size, of * (double)c->args.scale);
    }
    for (int p = first; p <= position; p++)
        sum += exp(score[p] - max);
    const int n = position - first + 1, n_chunks = position / 256 + 1;
    const double unit = 0x1p-24, rounding = shape->dtype == DTYPE_BF16 ? 0x1p-8 : 0;
    const double relative =
        2 * (2 * (d + 2) * unit * size + 8 * unit + rounding + (n + 8 * n_chunks) * unit);
    for (int i = 0; i < d; i++) {
        double o = 0, of = 0;
        for (int p = first; p <= position; p++) {
            const double x =
                exp(score[p] - max) / sum * (double)content(shape, V_SEED, name, p, kv, i);
            o += x;
            of += fabs(x);
        }
        want[i] = o;
        bound[i] = of * relative + (shape->out_dtype == DTYPE_BF16 ? 0x1p-8 : unit) * of + 1e-37;
    }
    free(score);
}

void case_check_same_row(const char *what, const struct attention_case *a, int r,
                         const struct attention_case *b, int s)
{
    for (int h = 0; h < a->shape.n_heads; h++)
        for (int i = 0; i < a->shape.head_dim; i++) {
            const float x = case_out(a, r, h, i), y = case_out(b, s, h, i);
            if (memcmp(&x, &y, sizeof x) != 0)
                test_fail(__FILE__, __LINE__, "%s: row %d head %d element %d is %a, and %a", what,
                          r, h, i, (double)x, (double)y);
        }
}

void case_written(const struct attention_case *c, int r, int h, float *want)
{
    const struct attention_shape *shape = &c->shape;
    const int s = sequence_of(c, r), name = shape->sequence[s], d = shape->head_dim;
    const int n = shape->n_computed[s] + r - c->first_row[s] + 1, kv = c->kv_of_head[h];
    float *q = memory_alloc((size_t)(d * (2 * n + 1)), sizeof *q), *keys = q + d;
    float *values = keys + n * d;
    for (int i = 0; i < d; i++) {
        q[i] = content(shape, Q_SEED, name, n - 1, h, i);
        for (int p = 0; p < n; p++) {
            keys[p * d + i] = content(shape, K_SEED, name, p, kv, i);
            values[p * d + i] = content(shape, V_SEED, name, p, kv, i);
        }
    }
    const int first = shape->window && n > shape->window ? n - shape->window : 0;
    written_attention(want, q, keys, values, d, first, n, c->args.scale,
                      shape->dtype == DTYPE_BF16);
    for (int i = 0; i < d; i++)
        want[i] = stored(shape->out_dtype, want[i]);
    memory_free(q);
}

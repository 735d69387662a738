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
    else if (dtype == DTYPE_I8)
        ((int8_t *)to)[at] = (int8_t)x;
    else
        ((float *)to)[at] = x;
}

static float get(const void *from, enum dtype dtype, size_t at)
{
    return dtype == DTYPE_BF16 ? bf16_to_f32(((const bf16 *)from)[at])
           : dtype == DTYPE_I8 ? ((const int8_t *)from)[at]
                               : ((const float *)from)[at];
}

/* What is in sequence `name` at this position: `kind` is one of Q_SEED .. V_SEED. */
static float content(const struct attention_shape *s, int kind, int name, int position, int head,
                     int i)
{
    const uint64_t seed = s->seed * 64 + (uint64_t)kind * 16 + (uint64_t)name;
    const uint64_t b = (uint64_t)(head * 1024 + i);
    return s->whole ? whole_at(seed, (uint64_t)position, b)
                    : 2 * number_at(seed, (uint64_t)position, b);
}

/* ---- places of the cache ---- */

/* Of a position and KV head, as kernels/ops.h says: the index of its scales, of its first key and
 * of its first value. */
static size_t scale_at(const struct attention_case *c, int sequence, int position, int kv_head)
{
    const struct kv_cache *cache = &c->cache;
    const int block = c->block[c->first_block[sequence] + position / cache->block_tokens];
    return (size_t)((block * cache->n_kv_heads + kv_head) * cache->block_tokens +
                    position % cache->block_tokens);
}

static size_t key_at(const struct attention_case *c, int sequence, int position, int kv_head)
{
    return scale_at(c, sequence, position, kv_head) * (size_t)c->cache.head_dim;
}

static size_t value_at(const struct attention_case *c, int sequence, int position, int kv_head)
{
    const size_t at = scale_at(c, sequence, position, kv_head);
    return at / 2 * 2 * (size_t)c->cache.head_dim + at % 2;
}

void case_set_key(struct attention_case *c, int sequence, int position, int kv_head, int i, float x)
{
    put(c->cache.k, c->cache.dtype, key_at(c, sequence, position, kv_head) + (size_t)i, x);
}

void case_set_value(struct attention_case *c, int sequence, int position, int kv_head, int i,
                    float x)
{
    put(c->cache.v, c->cache.dtype, value_at(c, sequence, position, kv_head) + 2 * (size_t)i, x);
}

void case_set_scales(struct attention_case *c, int sequence, int position, int kv_head,
                     float k_scale, float v_scale)
{
    const size_t at = scale_at(c, sequence, position, kv_head);
    c->cache.k_scale[at] = k_scale;
    c->cache.v_scale[at] = v_scale;
}

void case_set_query(struct attention_case *c, int row, int head, int i, float x)
{
    put(c->q, kv_query_dtype(c->cache.dtype),
        (size_t)((row * c->shape.n_heads + head) * c->cache.head_dim + i), x);
}

static float query_of(const struct attention_case *c, int row, int head, int i)
{
    return get(c->q, kv_query_dtype(c->cache.dtype),
               (size_t)((row * c->shape.n_heads + head) * c->cache.head_dim + i));
}

/* ---- filling ---- */

/* The scale of a key or value of I8; 1 for the other formats, which hold the number itself. */
static float scale_of(const struct attention_shape *s, int kind, int name, int position, int head)
{
    if (s->dtype != DTYPE_I8)
        return 1;
    float largest = 0;
    for (int i = 0; i < s->head_dim; i++)
        largest = fmaxf(largest, fabsf(content(s, kind, name, position, head, i)));
    return largest / 127;
}

static void fill_position(struct attention_case *c, int s, int p, int h)
{
    const struct attention_shape *shape = &c->shape;
    const int name = shape->sequence[s];
    const float k_scale = scale_of(shape, K_SEED, name, p, h);
    const float v_scale = scale_of(shape, V_SEED, name, p, h);
    if (shape->dtype == DTYPE_I8)
        case_set_scales(c, s, p, h, k_scale, v_scale);
    for (int i = 0; i < shape->head_dim; i++) {
        const float k = content(shape, K_SEED, name, p, h, i) / k_scale;
        const float v = content(shape, V_SEED, name, p, h, i) / v_scale;
        const bool round = shape->dtype == DTYPE_I8;
        case_set_key(c, s, p, h, i, round ? rintf(k) : k);
        case_set_value(c, s, p, h, i, round ? rintf(v) : v);
    }
}

static void fill_sequence(struct attention_case *c, int s)
{
    const struct attention_shape *shape = &c->shape;
    const int name = shape->sequence[s], n = shape->n_computed[s] + shape->n_new[s];
    for (int p = 0; p < n; p++)
        for (int h = 0; h < shape->n_kv_heads; h++)
            fill_position(c, s, p, h);
    for (int t = 0; t < shape->n_new[s]; t++)
        for (int h = 0; h < shape->n_heads; h++)
            for (int i = 0; i < shape->head_dim; i++)
                case_set_query(c, c->first_row[s] + t, h, i,
                               content(shape, Q_SEED, name, shape->n_computed[s] + t, h, i));
}

/* n numbers, all of whose bits are 1: NaN, or -1 of I8. */
static void *filled(size_t n, size_t bytes)
{
    void *p = memory_alloc(n, bytes);
    memset(p, 0xff, n * bytes);
    return p;
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
        c->block[i] = (int32_t)((unsigned)(i + 1) * (s->block_step | 1u) % (unsigned)n_blocks);

    const size_t n = (size_t)(n_blocks * s->n_kv_heads * s->block_tokens);
    const size_t numbers = n * (size_t)s->head_dim;
    c->cache = (struct kv_cache){.k = filled(numbers, dtype_bytes(s->dtype)),
                                 .v = filled(numbers, dtype_bytes(s->dtype)),
                                 .dtype = s->dtype,
                                 .n_kv_heads = s->n_kv_heads,
                                 .head_dim = s->head_dim,
                                 .block_tokens = s->block_tokens};
    if (s->dtype == DTYPE_I8) {
        c->cache.k_scale = filled(n, sizeof(float));
        c->cache.v_scale = filled(n, sizeof(float));
    }
}

void case_forget_unseen(struct attention_case *c)
{
    const struct attention_shape *s = &c->shape;
    for (int i = 0; i < s->n_sequences; i++) {
        const int first = s->window > 0 ? s->n_computed[i] + 1 - s->window : 0;
        for (int b = 0; (b + 1) * s->block_tokens <= first; b++)
            c->block[c->first_block[i] + b] = 0;
    }
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
    c->q = memory_alloc(n_q + 1, dtype_bytes(kv_query_dtype(shape->dtype)));
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
        .softcap = shape->softcap,
        .scale = shape->whole ? 0.125f : 1 / sqrtf((float)shape->head_dim),
    };
    return c;
}

void case_free(struct attention_case *c)
{
    memory_free(c->cache.k);
    memory_free(c->cache.v);
    memory_free(c->cache.k_scale);
    memory_free(c->cache.v_scale);
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

/* What a row and head sees: its query, keys and values as they lie in the cache, and scales. */
struct sight {
    int first, n;
    float *q, *keys, *values, *k_scale, *v_scale;
};

static struct sight sight_of(const struct attention_case *c, int r, int h)
{
    const struct attention_shape *shape = &c->shape;
    const int s = sequence_of(c, r), d = shape->head_dim, kv = c->kv_of_head[h];
    const int n = shape->n_computed[s] + r - c->first_row[s] + 1;
    struct sight see = {.n = n,
                        .first = shape->window && n > shape->window ? n - shape->window : 0,
                        .q = memory_alloc((size_t)(d * (2 * n + 1) + 2 * n), sizeof(float))};
    see.keys = see.q + d;
    see.values = see.keys + n * d;
    see.k_scale = see.values + n * d;
    see.v_scale = see.k_scale + n;
    for (int i = 0; i < d; i++)
        see.q[i] = query_of(c, r, h, i);
    for (int p = see.first; p < n; p++) {
        const size_t scale = scale_at(c, s, p, kv);
        see.k_scale[p] = shape->dtype == DTYPE_I8 ? c->cache.k_scale[scale] : 1;
        see.v_scale[p] = shape->dtype == DTYPE_I8 ? c->cache.v_scale[scale] : 1;
        const size_t k = key_at(c, s, p, kv), v = value_at(c, s, p, kv);
        for (int i = 0; i < d; i++) {
            see.keys[p * d + i] = get(c->cache.k, shape->dtype, k + (size_t)i);
            see.values[p * d + i] = get(c->cache.v, shape->dtype, v + 2 * (size_t)i);
        }
    }
    return see;
}

/* The score of a position in float64, and the sum of the sizes of its products. */
static double score_of(const struct attention_case *c, const struct sight *see, int p, double *size)
{
    const int d = c->shape.head_dim;
    double dot = 0;
    *size = 0;
    for (int i = 0; i < d; i++) {
        const double x = (double)see->q[i] * (double)see->keys[p * d + i];
        dot += x;
        *size += fabs(x);
    }
    const double by = (double)see->k_scale[p] * (double)c->args.scale;
    *size *= by;
    const double cap = (double)c->args.softcap;
    return cap > 0 ? cap * tanh(dot * by / cap) : dot * by;
}

/* The bound: a score is off by at most (head_dim + 3) 2^-24 sum |q k| scale, and 8 2^-24 softcap
 * (the slope of tanh is at most 1), twice for the maximum; a weight, relative, by that, by 2 ulp of
 * exp, by its scale and by its rounding to bf16; the sums by n 2^-24; chunks and the last product
 * by 2^-24 each; the output by its own rounding. */
void case_want(const struct attention_case *c, int r, int h, double *want, double *bound)
{
    const struct attention_shape *shape = &c->shape;
    const int d = shape->head_dim;
    const struct sight see = sight_of(c, r, h);
    double *score = calloc((size_t)see.n, sizeof *score);
    double max = -INFINITY, size = 0, sum = 0;
    for (int p = see.first; p < see.n; p++) {
        double of;
        score[p] = score_of(c, &see, p, &of);
        max = fmax(max, score[p]);
        size = fmax(size, of);
    }
    for (int p = see.first; p < see.n; p++)
        sum += exp(score[p] - max);
    const int n = see.n - see.first, n_chunks = see.n / 256 + 1;
    const double unit = 0x1p-24, cap = (double)shape->softcap;
    const double rounding = shape->dtype == DTYPE_F32 ? 0 : 0x1p-8;
    const double relative = 2 * (2 * ((d + 3) * size + 8 * cap) * unit + 9 * unit + rounding +
                                 (n + 8 * n_chunks) * unit);
    for (int i = 0; i < d; i++) {
        double o = 0, of = 0;
        for (int p = see.first; p < see.n; p++) {
            const double x =
                exp(score[p] - max) / sum * (double)see.values[p * d + i] * (double)see.v_scale[p];
            o += x;
            of += fabs(x);
        }
        want[i] = o;
        bound[i] = of * relative + (shape->out_dtype == DTYPE_BF16 ? 0x1p-8 : unit) * of + 1e-37;
    }
    free(score);
    memory_free(see.q);
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
    const struct sight see = sight_of(c, r, h);
    const bool scaled = shape->dtype == DTYPE_I8;
    written_attention(want, &(struct written_attention){.q = see.q,
                                                        .keys = see.keys,
                                                        .values = see.values,
                                                        .k_scale = scaled ? see.k_scale : NULL,
                                                        .v_scale = scaled ? see.v_scale : NULL,
                                                        .head_dim = shape->head_dim,
                                                        .first = see.first,
                                                        .n = see.n,
                                                        .scale = c->args.scale,
                                                        .softcap = shape->softcap,
                                                        .bf16_weights = shape->dtype != DTYPE_F32});
    for (int i = 0; i < shape->head_dim; i++)
        want[i] = stored(shape->out_dtype, want[i]);
    memory_free(see.q);
}

void case_check_row(const struct attention_case *c, const char *name, int shape, int r, int h)
{
    double want[MAX_HEAD_DIM], bound[MAX_HEAD_DIM];
    float written[MAX_HEAD_DIM];
    case_want(c, r, h, want, bound);
    case_written(c, r, h, written);
    for (int i = 0; i < c->shape.head_dim; i++) {
        const float got = case_out(c, r, h, i);
        if (!(fabs((double)got - want[i]) <= bound[i]))
            test_fail(__FILE__, __LINE__,
                      "%s, shape %d: row %d head %d element %d is %.9g, want %.9g +- %.2g", name,
                      shape, r, h, i, (double)got, want[i], bound[i]);
        if (memcmp(&got, &written[i], sizeof got) != 0)
            test_fail(__FILE__, __LINE__,
                      "%s, shape %d: row %d head %d element %d is %a, by the written order %a",
                      name, shape, r, h, i, (double)got, (double)written[i]);
    }
}

void case_check_same_rows(const char *what, const struct attention_case *a,
                          const struct attention_case *b)
{
    CHECK_EQ(a->n_rows, b->n_rows);
    for (int r = 0; r < a->n_rows; r++)
        case_check_same_row(what, a, r, b, r);
}

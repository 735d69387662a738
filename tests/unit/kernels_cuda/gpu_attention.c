#include "tests/unit/kernels_cuda/gpu_attention.h"

#include "base/error.h"
#include "kernels/cuda_bytes.h"
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include <stdlib.h>
#include <string.h>

/* Rows of the cache: positions of all its blocks and KV heads. */
static size_t n_cache_rows(const struct attention_case *c)
{
    size_t n_blocks = 2; /* case_make() takes a power of two */
    while (n_blocks < (size_t)c->first_block[c->shape.n_sequences] + 1)
        n_blocks *= 2;
    return n_blocks * (size_t)c->cache.n_kv_heads * (size_t)c->cache.block_tokens;
}

/* n numbers of BF16 as F16: the same ones, but for tiny ones. */
static void to_f16(void *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)numbers)[i] = emulated_f32_f16(bf16_to_f32(((bf16 *)numbers)[i]));
}

/* A copy on the GPU of n numbers of the dtype of the case. */
static void *numbers_on_gpu(struct both *gpu, const void *host, enum dtype dtype, size_t n,
                            bool f16)
{
    const size_t n_bytes = n * dtype_bytes(dtype);
    void *copy = malloc(n_bytes);
    memcpy(copy, host, n_bytes);
    if (f16)
        to_f16(copy, n);
    void *array = gpu_array(gpu, copy, n_bytes);
    free(copy);
    return array;
}

/* Values from pairs of positions to rows. */
static void *values_on_gpu(struct both *gpu, const struct attention_case *c, bool f16)
{
    const size_t n_rows = n_cache_rows(c), d = (size_t)c->cache.head_dim;
    const size_t size = dtype_bytes(c->cache.dtype);
    char *rows = malloc(n_rows * d * size);
    const char *pairs = c->cache.v;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < d; i++)
            memcpy(rows + (r * d + i) * size, pairs + (r / 2 * 2 * d + r % 2 + 2 * i) * size, size);
    void *array = numbers_on_gpu(gpu, rows, c->cache.dtype, n_rows * d, f16);
    free(rows);
    return array;
}

static struct kv_cache cache_on_gpu(struct both *gpu, const struct attention_case *c, bool f16)
{
    const size_t n_rows = n_cache_rows(c), n = n_rows * (size_t)c->cache.head_dim;
    struct kv_cache cache = c->cache;
    cache.dtype = f16 ? DTYPE_F16 : cache.dtype;
    cache.k = numbers_on_gpu(gpu, c->cache.k, c->cache.dtype, n, f16);
    cache.v = values_on_gpu(gpu, c, f16);
    if (cache.dtype == DTYPE_I8) {
        cache.k_scale = gpu_array(gpu, c->cache.k_scale, n_rows * sizeof(float));
        cache.v_scale = gpu_array(gpu, c->cache.v_scale, n_rows * sizeof(float));
    }
    return cache;
}

/* n numbers, and then `more` of the last. */
static int32_t *extended(struct both *gpu, const int32_t *numbers, int n, int more)
{
    int32_t all[2 * CASE_SEQUENCES + 1];
    CHECK(n + more <= 2 * CASE_SEQUENCES + 1);
    for (int i = 0; i < n + more; i++)
        all[i] = numbers[i < n ? i : n - 1];
    return gpu_array(gpu, all, (size_t)(n + more) * sizeof *all);
}

static struct attention_args args_on_gpu(struct both *gpu, const struct attention_case *c,
                                         const struct gpu_attention *how)
{
    struct attention_args a = c->args;
    const int n = c->shape.n_sequences, more = how->more_sequences;
    const enum dtype q_dtype = kv_query_dtype(c->cache.dtype);
    a.n_sequences = n + more;
    a.n_tokens = c->n_rows + how->more_rows;
    a.q = numbers_on_gpu(gpu, c->q, q_dtype, (size_t)(c->n_rows * a.n_heads * c->cache.head_dim),
                         how->f16);
    if (how->more_rows > 0) { /* theirs may be anything */
        const size_t row = (size_t)(a.n_heads * c->cache.head_dim) * dtype_bytes(q_dtype);
        void *q = gpu_array(gpu, NULL, row * (size_t)a.n_tokens);
        device_copy_rows(gpu->device, q, row, a.q, row, row, (size_t)c->n_rows);
        a.q = q;
    }
    a.out = gpu_operand(gpu, how->f16 ? DTYPE_F16 : c->shape.out_dtype, a.n_tokens, &c->leaves);
    a.kv_of_head = gpu_array(gpu, c->kv_of_head, (size_t)a.n_heads * sizeof(int32_t));
    a.first_row = extended(gpu, c->first_row, n + 1, more);
    a.n_computed = extended(gpu, c->shape.n_computed, n, more);
    a.first_block = extended(gpu, c->first_block, n + 1, more);
    a.block = gpu_array(gpu, c->block, (size_t)(c->first_block[n] + 1) * sizeof(int32_t));
    return a;
}

static struct step_needs needs_of(const struct attention_case *c, const struct attention_args *a)
{
    return (struct step_needs){.n_tokens = a->n_tokens,
                               .n_sequences = a->n_sequences,
                               .n_heads = a->n_heads,
                               .n_kv_heads = c->cache.n_kv_heads,
                               .head_dim = c->cache.head_dim,
                               .max_positions = 4096};
}

/* Number k of row r of the operand of a CPU: the inverse of operand_at(). */
static void put_out(const struct operand *x, int r, int k, float number)
{
    if (x->dtype == DTYPE_F32) {
        ((float *)x->data)[r * x->k + k] = number;
        return;
    }
    const int group = r / TOKEN_GROUP, left = x->n_tokens - group * TOKEN_GROUP;
    const int n = left < TOKEN_GROUP ? left : TOKEN_GROUP;
    bf16 *data = (bf16 *)x->data + (size_t)group * TOKEN_GROUP * (size_t)x->k_padded;
    data[(k / 2 * n + r % TOKEN_GROUP) * 2 + k % 2] = bf16_from_f32(number);
}

/* The rows of the GPU into the operand of the case, whose columns may lie closer (F32). */
static void take_rows(struct attention_case *c, const struct operand *out, const void *rows)
{
    for (int r = 0; r < out->n_tokens; r++) {
        int begin = 0, padded = 0, packed = 0;
        for (int l = 0; l < c->leaves.n_leaves; l++) {
            const int n = c->leaves.leaf[l].k_end - begin;
            const int wide = out->k_padded == out->k ? n : (n + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
            for (int k = 0; k < wide; k++) {
                const float x = widened(rows, out->dtype, (size_t)(r * out->k_padded + padded + k));
                if (r >= c->n_rows || k >= n)
                    CHECK(x == 0);
                if (r < c->n_rows && (k < n || c->shape.out_dtype != DTYPE_F32))
                    put_out(&c->args.out, r, packed + k, x);
            }
            packed += c->shape.out_dtype == DTYPE_F32 ? n : wide;
            padded += wide;
            begin = c->leaves.leaf[l].k_end;
        }
    }
}

void gpu_attention_run(struct attention_case *c, const struct gpu_attention *how)
{
    struct both gpu;
    struct error err = {0};
    both_open(&gpu);
    if (how->seed != 0)
        emulated_seed(how->seed);
    struct kv_cache cache = cache_on_gpu(&gpu, c, how->f16);
    struct attention_args a = args_on_gpu(&gpu, c, how);
    const struct step_needs needs = needs_of(c, &a);
    if (!how->no_workspace)
        CHECK(device_reserve(gpu.device, &needs, &err));
    a.cache = &cache;
    a.work = gpu_array(&gpu, NULL, attention_work_bytes(&needs));
    op_attention_work(gpu.device, &(struct attention_work_args){.work = a.work,
                                                                .kv_of_head = a.kv_of_head,
                                                                .first_row = a.first_row,
                                                                .n_computed = a.n_computed,
                                                                .n_sequences = a.n_sequences,
                                                                .n_tokens = a.n_tokens,
                                                                .n_heads = a.n_heads,
                                                                .n_kv_heads = cache.n_kv_heads,
                                                                .window = a.window});
    op_attention(gpu.device, &a);
    op_attention(gpu.device, &a); /* layers share what was counted, and leave it as it was */
    const size_t n_bytes = operand_bytes(a.out.dtype, a.n_tokens, &c->leaves);
    void *rows = malloc(n_bytes);
    gpu_read(&gpu, rows, a.out.data, n_bytes);
    take_rows(c, &a.out, rows);
    free(rows);
    both_close(&gpu);
}

struct attention_case *gpu_attention_of(const struct attention_shape *shape,
                                        const struct gpu_attention *how)
{
    struct attention_case *c = case_make(shape);
    gpu_attention_run(c, how);
    return c;
}

/* How fast attention and the row kernels are here, beside what the memory gives in the same run.
 *
 *     bench_attention [threads [level [attention]]]      attention: without the row kernels
 *
 * Decoding: GB/s of keys and values (scales too), and its share of the read bandwidth, measured
 * with the same threads on the same cache in turn with it. Prefill: GFLOP/s (4 * head_dim per
 * visible position and head). Row kernels: GB/s of what they read and write. Medians of nine. */
#include "base/bandwidth.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 9 };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(void (*run)(void *), void *context)
{
    double seconds[RUNS];
    run(context);
    for (int i = 0; i < RUNS; i++) {
        const int64_t begin = clock_now_ns();
        run(context);
        seconds[i] = (double)(clock_now_ns() - begin) * 1e-9;
    }
    qsort(seconds, RUNS, sizeof *seconds, ascending);
    return seconds[RUNS / 2];
}

static void *numbers(struct device *device, enum dtype dtype, size_t n)
{
    void *p;
    struct error err = {0};
    if (!device_alloc(device, &p, n * dtype_bytes(dtype), &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        const float x = (float)(state >> 8) * 0x1p-23f - 1;
        if (dtype == DTYPE_BF16)
            ((bf16 *)p)[i] = bf16_from_f32(x);
        else if (dtype == DTYPE_I8)
            ((int8_t *)p)[i] = (int8_t)(x * 127);
        else
            ((float *)p)[i] = x;
    }
    return p;
}

/* ---- attention ---- */

struct attending {
    struct device *device;
    struct attention_args args;
};

static void attend_once(void *context)
{
    struct attending *a = context;
    op_attention(a->device, &a->args);
}

struct shape {
    int n_heads, n_kv_heads, head_dim, n_sequences, n_computed, n_new;
    int n_computed_first; /* the sequences have from this to n_computed; 0: all the same */
};

/* Decoding against reading `n_read` bytes of `data`, one after the other: the median of the pairs.
 */
static void print_decode(struct attending *a, double n_bytes, const void *data, size_t n_read)
{
    double share[RUNS], rate[RUNS], limit[RUNS];
    attend_once(a);
    for (int i = 0; i < RUNS; i++) {
        const int64_t begin = clock_now_ns();
        attend_once(a);
        rate[i] = n_bytes / (double)(clock_now_ns() - begin);
        limit[i] = bandwidth_read(a->device->team, data, n_read) * 1e-9;
        share[i] = rate[i] / limit[i];
    }
    qsort(share, RUNS, sizeof *share, ascending);
    qsort(rate, RUNS, sizeof *rate, ascending);
    qsort(limit, RUNS, sizeof *limit, ascending);
    printf("%6.1f GB/s, %3.0f %% of %.1f\n", rate[RUNS / 2], share[RUNS / 2] * 100,
           limit[RUNS / 2]);
}

static void bench_attention(struct device *device, struct shape s, enum dtype dtype)
{
    enum { BLOCK_TOKENS = 32 };
    const int n_blocks = (s.n_computed + s.n_new + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
    const int n_tokens = s.n_sequences * s.n_new, k = s.n_heads * s.head_dim;
    const size_t n_cache = (size_t)n_blocks * (size_t)s.n_sequences * BLOCK_TOKENS *
                           (size_t)(s.n_kv_heads * s.head_dim);
    const size_t n_scales = n_cache / (size_t)s.head_dim;
    struct kv_cache cache = {.k = numbers(device, dtype, n_cache),
                             .v = numbers(device, dtype, n_cache),
                             .k_scale = numbers(device, DTYPE_F32, n_scales),
                             .v_scale = numbers(device, DTYPE_F32, n_scales),
                             .dtype = dtype,
                             .n_kv_heads = s.n_kv_heads,
                             .head_dim = s.head_dim,
                             .block_tokens = BLOCK_TOKENS};
    const struct leaves leaves = leaves_one(k);
    const size_t n_sequences = (size_t)s.n_sequences;
    int32_t *kv_of_head = memory_alloc((size_t)s.n_heads, sizeof *kv_of_head);
    int32_t *first_row = memory_alloc(n_sequences + 1, sizeof *first_row);
    int32_t *first_block = memory_alloc(n_sequences + 1, sizeof *first_block);
    int32_t *n_computed = memory_alloc(n_sequences, sizeof *n_computed);
    int32_t *block = memory_alloc(n_sequences * (size_t)n_blocks, sizeof *block);
    double n_positions = 0;
    for (int h = 0; h < s.n_heads; h++)
        kv_of_head[h] = h * s.n_kv_heads / s.n_heads;
    for (int i = 0; i < s.n_sequences; i++) {
        first_row[i + 1] = (i + 1) * s.n_new;
        first_block[i + 1] = (i + 1) * n_blocks;
        n_computed[i] = s.n_computed;
        if (s.n_computed_first > 0) /* 7 and 32 have no common divisor: all lengths, in no order */
            n_computed[i] = s.n_computed_first + (s.n_computed - s.n_computed_first) *
                                                     (i * 7 % s.n_sequences) / s.n_sequences;
        n_positions += n_computed[i] + s.n_new;
    }
    for (int i = 0; i < s.n_sequences * n_blocks; i++)
        block[i] = i;
    const size_t n_out = operand_bytes(DTYPE_BF16, n_tokens, &leaves);
    void *out = numbers(device, DTYPE_BF16, n_out / 2);
    void *q = numbers(device, DTYPE_BF16, (size_t)(n_tokens * k));
    struct attending a = {.device = device,
                          .args = {.out = operand_make(out, DTYPE_BF16, n_tokens, &leaves),
                                   .leaves = &leaves,
                                   .q = q,
                                   .cache = &cache,
                                   .kv_of_head = kv_of_head,
                                   .first_row = first_row,
                                   .n_computed = n_computed,
                                   .first_block = first_block,
                                   .block = block,
                                   .n_sequences = s.n_sequences,
                                   .n_tokens = n_tokens,
                                   .n_heads = s.n_heads,
                                   .scale = 1 / sqrtf((float)s.head_dim)}};
    printf("attention %s %3d x %4d new after %6d, %2d/%d heads of %3d: ", dtype_name(dtype),
           s.n_sequences, s.n_new, s.n_computed, s.n_heads, s.n_kv_heads, s.head_dim);
    if (s.n_new == 1) {
        const double scale_bytes = dtype == DTYPE_I8 ? sizeof(float) : 0;
        const double head_bytes = (double)s.head_dim * (double)dtype_bytes(dtype) + scale_bytes;
        print_decode(&a, 2 * n_positions * s.n_kv_heads * head_bytes, cache.k,
                     n_cache * dtype_bytes(dtype));
    } else {
        const double seconds = median_seconds(attend_once, &a);
        const double seen = (double)s.n_new * (s.n_computed + (s.n_new + 1) / 2.0);
        printf("%6.1f GFLOP/s\n",
               4.0 * s.head_dim * s.n_heads * s.n_sequences * seen / seconds * 1e-9);
    }
    device_free(device, cache.k, n_cache * dtype_bytes(dtype));
    device_free(device, cache.v, n_cache * dtype_bytes(dtype));
    device_free(device, cache.k_scale, n_scales * sizeof(float));
    device_free(device, cache.v_scale, n_scales * sizeof(float));
    device_free(device, out, n_out);
    device_free(device, q, (size_t)(n_tokens * k) * 2);
    memory_free(kv_of_head);
    memory_free(first_row);
    memory_free(first_block);
    memory_free(n_computed);
    memory_free(block);
}

/* ---- row kernels ---- */

enum { HIDDEN = 2048, FFN = 8192, VOCAB = 128256 };

struct rows {
    struct device *device;
    int n_tokens;
    float *a, *b;
    void *out, *weight;
};

static void norm_once(void *context)
{
    const struct rows *r = context;
    const struct leaves leaves = leaves_one(HIDDEN);
    op_rms_norm(r->device, &(struct rms_norm_args){
                               .out = operand_make(r->out, DTYPE_BF16, r->n_tokens, &leaves),
                               .residual = r->a,
                               .delta = r->b,
                               .weight = {r->weight, DTYPE_BF16, HIDDEN},
                               .n_tokens = r->n_tokens,
                               .hidden = HIDDEN,
                               .eps = 1e-5f});
}

static void silu_once(void *context)
{
    const struct rows *r = context;
    const struct leaves leaves = leaves_one(FFN);
    op_gated(r->device,
             &(struct gated_args){.out = operand_make(r->out, DTYPE_BF16, r->n_tokens, &leaves),
                                  .leaves = &leaves,
                                  .gate = r->a,
                                  .up = r->b,
                                  .row_stride = FFN,
                                  .n_tokens = r->n_tokens,
                                  .ffn = FFN});
}

static void lse_once(void *context)
{
    const struct rows *r = context;
    float max[16], lse[16];
    op_log_sum_exp(r->device, &(struct log_sum_exp_args){.max = max,
                                                         .lse = lse,
                                                         .logits = r->a,
                                                         .n_rows = r->n_tokens,
                                                         .n_columns = VOCAB,
                                                         .row_stride = VOCAB});
}

static void bench_rows(struct device *device, const char *name, void (*once)(void *), int n_tokens,
                       size_t width, double bytes)
{
    const size_t n = (size_t)n_tokens * width;
    struct rows rows = {.device = device,
                        .n_tokens = n_tokens,
                        .a = numbers(device, DTYPE_F32, n),
                        .b = numbers(device, DTYPE_F32, n),
                        .out = numbers(device, DTYPE_BF16, n),
                        .weight = numbers(device, DTYPE_BF16, width)};
    const double seconds = median_seconds(once, &rows);
    printf("%-11s %4d rows of %6zu: %8.1f us, %6.1f GB/s\n", name, n_tokens, width, seconds * 1e6,
           (double)n * bytes / seconds * 1e-9);
    device_free(device, rows.a, n * 4);
    device_free(device, rows.b, n * 4);
    device_free(device, rows.out, n * 2);
    device_free(device, rows.weight, width * 2);
}

int main(int argc, char **argv)
{
    struct device *device;
    struct error err = {0};
    const int n_threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : system_cpus();
    if (!device_open_cpu(&device, argc > 2 ? argv[2] : NULL, n_threads, 20000, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s, %d threads\n", device->ops->name, n_threads);
    static const struct shape shapes[] = {
        {32, 8, 64, 1, 16383, 1, 0},   {32, 8, 128, 1, 16383, 1, 0},
        {4, 1, 128, 1, 16383, 1, 0},   {14, 2, 64, 1, 65535, 1, 0},
        {32, 8, 64, 32, 2000, 1, 500}, {32, 8, 128, 32, 2000, 1, 500},
        {14, 2, 64, 32, 2000, 1, 500}, {32, 8, 64, 1, 0, 512, 0},
        {32, 8, 128, 1, 0, 512, 0},    {14, 2, 64, 1, 0, 512, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench_attention(device, shapes[i], DTYPE_BF16);
        bench_attention(device, shapes[i], DTYPE_I8);
    }
    if (argc > 3 && strcmp(argv[3], "attention") == 0) {
        device_close(device);
        return 0;
    }
    const int tokens[] = {1, 16, 512};
    for (int i = 0; i < 3; i++) {
        bench_rows(device, "rms_norm", norm_once, tokens[i], HIDDEN, 14);
        bench_rows(device, "gated", silu_once, tokens[i], FFN, 10);
    }
    bench_rows(device, "log_sum_exp", lse_once, 1, VOCAB, 4);
    bench_rows(device, "log_sum_exp", lse_once, 16, VOCAB, 4);
    device_close(device);
    return 0;
}

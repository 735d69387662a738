/* bench_attention: the attention of one GPU, measured and compared with float64: prompts in
 * operations a second, decoding as a share of the rate of copies in the same run; and whether a
 * prompt, its chunks and its tokens alone have the same bits. Under 30 seconds on an H100.
 *
 *   nvcc -O3 -std=c++17 -gencode arch=compute_90a,code=sm_90a -fmad=false -ftz=true \
 *     -prec-div=true -prec-sqrt=true -Xcompiler -pthread,-ffp-contract=off -D_GNU_SOURCE -I. \
 *     -o bench_attention tests/gpu/bench_attention.c kernels/cuda/[a-z]*.c kernels/cuda/[a-z]*.cu \
 *     kernels/[a-z]*.c base/{bytes,check,error,log,memory,system}.c -lcublasLt -lm
 *
 * Keys and values lie in a pool that is larger than any cache, and each run takes other blocks of
 * it: sequences that would need more than the pool share blocks. The runs of a measurement are one
 * recorded graph, as steps are. */
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda_bytes.h"
#include "kernels/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SEQUENCES = 256,
    MAX_TOKENS = 8192,
    MAX_CONTEXT = 65536,
    HEADS = 32,
    KV_HEADS = 8,
    MAX_DIM = 128,
    BLOCK_TOKENS = 32,
    MOST_RUNS = 40,
    SAMPLES = 3,
    REPLAYS = 3,
};
static const size_t pattern_bytes = (size_t)64 << 20, pool_bytes = (size_t)2 << 30;
static const size_t q_begin = 4096 * 13; /* of the pattern, in q */

struct bench {
    struct device *device;
    bf16 *pattern;
    void *k, *v, *q, *out, *work;
    float *scale;
    int32_t *first_row, *n_computed, *first_block, *block, *kv_of_head;
    int32_t *host_block; /* [2 * n_blocks]: a permutation, and again */
    int n_blocks;        /* of the pool */
    cudaEvent_t begin, end;
    double copy_rate; /* bytes a second */
};

/* Some sequences of equal lengths. */
struct job {
    enum dtype dtype;
    int head_dim, n_sequences, n_new, n_computed;
};

static void must(bool ok, const char *what, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench_attention: %s: %s\n", what, err != NULL ? err->text : "failed");
    exit(1);
}

static void finish(struct bench *bench)
{
    struct error err = {0};
    must(device_sync(bench->device, &err), "a kernel", &err);
}

/* ---- memory ---- */

static void *allocate(struct bench *bench, size_t n_bytes)
{
    struct error err = {0};
    void *gpu;
    must(device_alloc(bench->device, &gpu, n_bytes, &err), "memory", &err);
    return gpu;
}

/* bf16 between 2^-7 and 2 in size, of any sign. */
static uint32_t mix(uint32_t x)
{
    x *= 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return (x & 0x83ff83ffu) | 0x3c003c00u;
}

static void *upload_pattern(struct bench *bench, size_t n_bytes, size_t from)
{
    char *gpu = allocate(bench, n_bytes);
    for (size_t at = 0; at < n_bytes;) {
        const size_t in_pattern = (at + from) % pattern_bytes;
        const size_t left = pattern_bytes - in_pattern;
        const size_t n = left < n_bytes - at ? left : n_bytes - at;
        device_upload(bench->device, gpu + at, (char *)bench->pattern + in_pattern, n);
        at += n;
    }
    finish(bench);
    return gpu;
}

static double number(const struct bench *bench, size_t i, size_t from)
{
    return (double)bf16_to_f32(bench->pattern[(i + from / 2) % (pattern_bytes / 2)]);
}

static void fill_blocks(struct bench *bench)
{
    const size_t n = (size_t)bench->n_blocks;
    bench->host_block = malloc(2 * n * sizeof *bench->host_block);
    for (size_t i = 0; i < 2 * n; i++)
        bench->host_block[i] = (int32_t)(i % n * 7919 % n); /* n is a power of two */
    bench->block = allocate(bench, 2 * n * sizeof *bench->block);
    device_upload(bench->device, bench->block, bench->host_block, 2 * n * sizeof *bench->block);
    finish(bench);
}

static void open_bench(struct bench *bench)
{
    struct error err = {0};
    const struct cuda_settings settings = {.exact = true, .graphs = true};
    const struct step_needs needs = {.n_tokens = MAX_TOKENS,
                                     .n_sequences = MAX_SEQUENCES,
                                     .n_heads = HEADS,
                                     .n_kv_heads = KV_HEADS,
                                     .head_dim = MAX_DIM,
                                     .n_out = 4096,
                                     .n_leaves = 1,
                                     .max_positions = MAX_CONTEXT};
    must(device_open_cuda(&bench->device, &settings, &err), "GPU", &err);
    must(device_reserve(bench->device, &needs, &err), "workspace", &err);
    bench->pattern = malloc(pattern_bytes);
    for (size_t i = 0; i < pattern_bytes / sizeof(uint32_t); i++)
        ((uint32_t *)bench->pattern)[i] = mix((uint32_t)i);
    bench->k = upload_pattern(bench, pool_bytes, 0);
    bench->v = upload_pattern(bench, pool_bytes, 0);
    bench->q = upload_pattern(bench, (size_t)MAX_TOKENS * HEADS * MAX_DIM * 2, q_begin);
    bench->out = allocate(bench, (size_t)MAX_TOKENS * HEADS * MAX_DIM * 2);
    bench->work = allocate(bench, attention_work_bytes(&needs));
    bench->first_row = allocate(bench, (MAX_SEQUENCES + 1) * sizeof(int32_t));
    bench->n_computed = allocate(bench, MAX_SEQUENCES * sizeof(int32_t));
    bench->first_block = allocate(bench, (MAX_SEQUENCES + 1) * sizeof(int32_t));
    bench->kv_of_head = allocate(bench, HEADS * sizeof(int32_t));
    int32_t kv_of_head[HEADS];
    for (int h = 0; h < HEADS; h++)
        kv_of_head[h] = h * KV_HEADS / HEADS;
    device_upload(bench->device, bench->kv_of_head, kv_of_head, sizeof kv_of_head);
    must(cudaEventCreate(&bench->begin) == cudaSuccess, "event", NULL);
    must(cudaEventCreate(&bench->end) == cudaSuccess, "event", NULL);
}

/* Scales that make whole numbers of a byte about as large as the others. */
static void make_scales(struct bench *bench)
{
    const size_t n = pool_bytes / 64;
    float *ones = malloc(n * sizeof *ones);
    for (size_t i = 0; i < n; i++)
        ones[i] = 0x1p-6f;
    bench->scale = allocate(bench, n * sizeof *ones);
    device_upload(bench->device, bench->scale, ones, n * sizeof *ones);
    finish(bench);
    free(ones);
}

/* ---- the job ---- */

static struct kv_cache cache_of(const struct bench *bench, const struct job *job)
{
    return (struct kv_cache){.k = bench->k,
                             .v = bench->v,
                             .k_scale = bench->scale,
                             .v_scale = bench->scale,
                             .dtype = job->dtype,
                             .n_kv_heads = KV_HEADS,
                             .head_dim = job->head_dim,
                             .block_tokens = BLOCK_TOKENS};
}

static int blocks_of_sequence(const struct job *job)
{
    return (job->n_computed + job->n_new + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
}

/* Block i of sequence s in bench->block, before the shift of a run. */
static int block_place(const struct bench *bench, const struct job *job, int s)
{
    return (int)((int64_t)s * blocks_of_sequence(job) % bench->n_blocks);
}

/* The pool in blocks of this shape, and the arrays of the sequences. */
static void set_job(struct bench *bench, const struct job *job)
{
    const size_t block_bytes =
        (size_t)KV_HEADS * BLOCK_TOKENS * (size_t)job->head_dim * dtype_bytes(job->dtype);
    const int n_blocks = (int)(pool_bytes / block_bytes);
    if (n_blocks != bench->n_blocks) {
        bench->n_blocks = n_blocks;
        fill_blocks(bench);
    }
    int32_t first_row[MAX_SEQUENCES + 1], n_computed[MAX_SEQUENCES], first_block[MAX_SEQUENCES + 1];
    for (int s = 0; s <= job->n_sequences; s++) {
        first_row[s] = s * job->n_new;
        first_block[s] = block_place(bench, job, s);
        if (s < job->n_sequences)
            n_computed[s] = job->n_computed;
    }
    const size_t n = (size_t)job->n_sequences;
    device_upload(bench->device, bench->first_row, first_row, (n + 1) * sizeof *first_row);
    device_upload(bench->device, bench->n_computed, n_computed, n * sizeof *n_computed);
    device_upload(bench->device, bench->first_block, first_block, (n + 1) * sizeof *first_block);
    op_attention_work(bench->device,
                      &(struct attention_work_args){.work = bench->work,
                                                    .kv_of_head = bench->kv_of_head,
                                                    .first_row = bench->first_row,
                                                    .n_computed = bench->n_computed,
                                                    .n_sequences = job->n_sequences,
                                                    .n_tokens = job->n_sequences * job->n_new,
                                                    .n_heads = HEADS,
                                                    .n_kv_heads = KV_HEADS});
    finish(bench);
}

/* With the queries of row first_q on and `shift` blocks further in the pool. */
static void attend(struct bench *bench, const struct job *job, int first_q, int shift)
{
    const struct kv_cache cache = cache_of(bench, job);
    const struct leaves leaves = leaves_one(HEADS * job->head_dim);
    const int n_tokens = job->n_sequences * job->n_new;
    op_attention(bench->device,
                 &(struct attention_args){
                     .work = bench->work,
                     .out = operand_make(bench->out, DTYPE_BF16, n_tokens, &leaves),
                     .leaves = &leaves,
                     .q = (bf16 *)bench->q + (size_t)first_q * HEADS * (size_t)job->head_dim,
                     .cache = &cache,
                     .kv_of_head = bench->kv_of_head,
                     .first_row = bench->first_row,
                     .n_computed = bench->n_computed,
                     .first_block = bench->first_block,
                     .block = bench->block + shift,
                     .n_sequences = job->n_sequences,
                     .n_tokens = n_tokens,
                     .n_heads = HEADS,
                     .scale = 1 / sqrtf((float)job->head_dim)});
}

/* ---- is it right? ---- */

/* Index of position p of sequence s and KV head in K and V. */
static size_t place_of(const struct bench *bench, const struct job *job, int s, int p, int kv)
{
    const int32_t block = bench->host_block[block_place(bench, job, s) + p / BLOCK_TOKENS];
    const size_t at = ((size_t)block * KV_HEADS + (size_t)kv) * BLOCK_TOKENS;
    return (at + (size_t)(p % BLOCK_TOKENS)) * (size_t)job->head_dim;
}

/* The largest error of one row and head, as a share of what rounding may make of it. */
static double error_of_row(struct bench *bench, const struct job *job, int t, int h)
{
    const int d = job->head_dim, s = t / job->n_new, n = job->n_computed + t % job->n_new + 1;
    const size_t q = ((size_t)t * HEADS + (size_t)h) * (size_t)d;
    double *weight = malloc((size_t)n * sizeof *weight), max = -INFINITY, sum = 0, worst = 0;
    for (int p = 0; p < n; p++) {
        const size_t k = place_of(bench, job, s, p, h * KV_HEADS / HEADS);
        weight[p] = 0;
        for (int i = 0; i < d; i++)
            weight[p] += number(bench, q + (size_t)i, q_begin) * number(bench, k + (size_t)i, 0);
        weight[p] /= sqrt(d);
        max = fmax(max, weight[p]);
    }
    for (int p = 0; p < n; p++)
        sum += weight[p] = exp(weight[p] - max);
    bf16 got[MAX_DIM];
    device_download(bench->device, got, (bf16 *)bench->out + q, (size_t)d * sizeof *got);
    finish(bench);
    for (int i = 0; i < d; i++) {
        double want = 0, size = 0;
        for (int p = 0; p < n; p++) {
            const size_t v = place_of(bench, job, s, p, h * KV_HEADS / HEADS);
            const double x = weight[p] / sum * number(bench, v + (size_t)i, 0);
            want += x;
            size += fabs(x);
        }
        const double error = fabs((double)bf16_to_f32(got[i]) - want) / (size * 0x1p-7);
        worst = error > worst || isnan(error) ? error : worst;
    }
    free(weight);
    return worst;
}

static double error_of(struct bench *bench, const struct job *job)
{
    const uint32_t n_tokens = (uint32_t)(job->n_sequences * job->n_new);
    double worst = 0;
    attend(bench, job, 0, 0);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const int t = (int)(i == 0 ? n_tokens - 1 : mix(i * 7919u) % n_tokens);
        const double error = error_of_row(bench, job, t, (int)(mix(i) % HEADS));
        worst = error > worst || isnan(error) ? error : worst;
    }
    return worst;
}

/* ---- time ---- */

static double seconds_of_replay(struct bench *bench, const struct device_record *record)
{
    float best = INFINITY;
    device_replay(bench->device, record);
    for (int i = 0; i < REPLAYS; i++) {
        float ms;
        cudaEventRecord(bench->begin, cuda_stream(bench->device));
        device_replay(bench->device, record);
        cudaEventRecord(bench->end, cuda_stream(bench->device));
        finish(bench);
        must(cudaEventElapsedTime(&ms, bench->begin, bench->end) == cudaSuccess, "time", NULL);
        best = ms < best ? ms : best;
    }
    return (double)best * 1e-3;
}

static double seconds_of(struct bench *bench, const struct job *job, double guess)
{
    int n_runs = (int)(4e-3 / guess);
    n_runs = n_runs < 1 ? 1 : n_runs > MOST_RUNS ? MOST_RUNS : n_runs;
    const int n_used = (int)((int64_t)job->n_sequences * blocks_of_sequence(job));
    /* a sequence that begins before the end of the pool runs into the repetition of the blocks */
    const int room = bench->n_blocks - blocks_of_sequence(job);
    device_record_begin(bench->device);
    for (int i = 0; i < n_runs; i++)
        attend(bench, job, 0, n_used < room ? (int)((int64_t)i * n_used % (room - n_used)) : 0);
    struct device_record *record = device_record_end(bench->device);
    if (record == NULL)
        finish(bench); /* says why */
    const double seconds = seconds_of_replay(bench, record) / n_runs;
    device_record_free(bench->device, record);
    return seconds;
}

static void measure_copies(struct bench *bench)
{
    device_record_begin(bench->device);
    for (int i = 0; i < 2; i++) /* onto bytes that are the same */
        device_copy_rows(bench->device, bench->v, pool_bytes, bench->k, pool_bytes, pool_bytes, 1);
    struct device_record *record = device_record_end(bench->device);
    if (record == NULL)
        finish(bench);
    bench->copy_rate = 2.0 * 2.0 * (double)pool_bytes / seconds_of_replay(bench, record);
    device_record_free(bench->device, record);
    printf("copies %.2f TB/s (read and written)\n", bench->copy_rate * 1e-12);
}

static void measure_prompts(struct bench *bench, int head_dim)
{
    for (int n = 512; n <= MAX_TOKENS; n *= 2) {
        const struct job job = {DTYPE_BF16, head_dim, 1, n, 0};
        const double operations = 4.0 * HEADS * head_dim * ((double)n * (n + 1) / 2);
        set_job(bench, &job);
        const double error = error_of(bench, &job);
        const double seconds = seconds_of(bench, &job, operations / 3e14);
        printf("head %3d prompt  1 x %5d: %9.1f us, %4.0f TFLOP/s, error %.2f\n", head_dim, n,
               seconds * 1e6, operations / seconds * 1e-12, error);
    }
}

static void measure_decoding(struct bench *bench, enum dtype dtype, int head_dim)
{
    static const int batches[] = {1, 8, 64, 256}, contexts[] = {512, 2048, 8192, 65536};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (size_t c = 0; c < sizeof contexts / sizeof *contexts; c++) {
            const struct job job = {dtype, head_dim, batches[b], 1, contexts[c] - 1};
            const double bytes = (double)batches[b] * contexts[c] * KV_HEADS * 2 *
                                 (head_dim * (double)dtype_bytes(dtype) +
                                  (dtype == DTYPE_I8 ? (double)sizeof(float) : 0));
            set_job(bench, &job);
            const double error = dtype == DTYPE_BF16 ? error_of(bench, &job) : 0;
            const double seconds = seconds_of(bench, &job, bytes / bench->copy_rate);
            printf("%s head %3d decode %3d x %5d: %9.1f us, %4.0f %% of the copies, error %.2f\n",
                   dtype_name(dtype), head_dim, batches[b], contexts[c], seconds * 1e6,
                   bytes / seconds / bench->copy_rate * 100, error);
        }
}

/* Tokens [first, first + n) of a prompt, into `out`. */
static void part_of_prompt(struct bench *bench, int head_dim, int first, int n, bf16 *out)
{
    const struct job job = {DTYPE_BF16, head_dim, 1, n, first};
    const size_t row = (size_t)HEADS * (size_t)head_dim;
    set_job(bench, &job);
    attend(bench, &job, first, 0);
    device_download(bench->device, out, bench->out, (size_t)n * row * sizeof *out);
    finish(bench);
}

static bool compare_bits(struct bench *bench, int head_dim)
{
    enum { PROMPT = 1500 };
    static const int chunks[] = {1, 3, 16, 17, 200};
    const size_t row = (size_t)HEADS * (size_t)head_dim;
    bf16 *whole = malloc(PROMPT * row * sizeof *whole), *part = malloc(PROMPT * row * sizeof *part);
    bool same = true;
    part_of_prompt(bench, head_dim, 0, PROMPT, whole);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (int first = 0; first + chunks[i] <= PROMPT; first += 101) {
            part_of_prompt(bench, head_dim, first, chunks[i], part);
            same = same && memcmp(part, whole + (size_t)first * row,
                                  (size_t)chunks[i] * row * sizeof *part) == 0;
        }
    printf("head %d: a prompt and its parts have %s\n", head_dim,
           same ? "the same bits" : "OTHER BITS");
    free(part);
    free(whole);
    return same;
}

int main(void)
{
    struct bench bench = {0};
    open_bench(&bench);
    make_scales(&bench);
    printf("%s\n", cuda_name(bench.device));
    measure_copies(&bench);
    bool same = true;
    for (int head_dim = 64; head_dim <= 128; head_dim *= 2)
        same = compare_bits(&bench, head_dim) && same;
    printf("errors are shares of what rounding to bf16 may do\n");
    for (int head_dim = 128; head_dim >= 64; head_dim /= 2) {
        measure_prompts(&bench, head_dim);
        measure_decoding(&bench, DTYPE_BF16, head_dim);
    }
    measure_decoding(&bench, DTYPE_I8, 128);
    device_close(bench.device);
    return same ? 0 : 1;
}

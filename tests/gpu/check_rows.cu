/* check_rows: operations on rows and picks have the same bits on a GPU as on the emulator.
 *
 *   check_rows          prints a hash for each operation: `diff` them with what check_rows_emulated
 *                       (tests/unit/kernels_cuda/) prints
 *   check_rows --time   prints microseconds of each with 1, 256 and 4096 rows of an 8B model, one
 *                       run right after the other: what fits is in the second cache
 *
 * The kernels alone, without the rest of the backend: what they ask of a device is here.
 *
 *   nvcc -std=c++17 -O2 -gencode arch=compute_90a,code=sm_90a -fmad=false -ftz=true -I. \
 *     tests/gpu/check_rows.cu kernels/cuda/{norm,rows,rope,cache,log_sum_exp,pick}.cu \
 *     kernels/pick_memory.c kernels/dtype.c kernels/tensor.c base/check.c -o check_rows
 */
#include <cuda_runtime.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

extern "C" {
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/progress.h"
#include "kernels/pick_memory.h"
}

/* ---- a device ---- */

static cudaStream_t stream;
static void *workspace;
static size_t workspace_bytes;
static int n_multiprocessors;

extern "C" {
cudaStream_t cuda_stream(const struct device *) { return stream; }
bool cuda_failed(const struct device *) { return false; }
int cuda_multiprocessors(const struct device *) { return n_multiprocessors; }
void *cuda_workspace(struct device *) { return workspace; }
size_t cuda_workspace_bytes_reserved(const struct device *) { return workspace_bytes; }

/* Nobody asks how far the device is. */
struct progress cuda_progress_take(struct device *) { return {}; }

bool cuda_keep(struct device *, const char *what, cudaError_t status)
{
    if (status != cudaSuccess) {
        fprintf(stderr, "check_rows: %s: %s\n", what, cudaGetErrorString(status));
        exit(1);
    }
    return true;
}

#ifdef __CUDACC__
void cuda_launch(struct device *device, const char *name, const void *kernel, dim3 grid, dim3 block,
                 size_t shared_bytes, void **args)
{
    cudaLaunchAttribute early;
    memset(&early, 0, sizeof early);
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config;
    memset(&config, 0, sizeof config);
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &early;
    config.numAttrs = 1;
    cuda_keep(device, name, cudaLaunchKernelExC(&config, kernel, args));
}
#endif
}

#define MUST(call) cuda_keep(NULL, #call, call)

/* ---- numbers ---- */

static uint32_t random_at(uint32_t seed, uint32_t i)
{
    uint32_t x = i * 2654435761u + seed * 0x9E3779B9u;
    x = (x ^ x >> 15) * 2246822519u;
    x = (x ^ x >> 13) * 3266489917u;
    return x ^ x >> 16;
}

/* In (-scale, scale), and never a denormal. */
static float number_at(uint32_t seed, uint32_t i, float scale)
{
    const int whole = (int)(random_at(seed, i) >> 8) - (1 << 23);
    return (float)whole * 0x1p-23f * scale;
}

static void *allocate(size_t n_bytes)
{
    void *p = NULL;
    MUST(cudaMalloc(&p, n_bytes));
    MUST(cudaMemsetAsync(p, 0, n_bytes, stream));
    return p;
}

template <class T> static T *to_gpu(const std::vector<T> &v)
{
    T *p = static_cast<T *>(allocate(v.size() * sizeof(T)));
    MUST(cudaMemcpyAsync(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice, stream));
    MUST(cudaStreamSynchronize(stream));
    return p;
}

static float *floats(uint32_t seed, size_t n, float scale)
{
    std::vector<float> v(n);
    for (size_t i = 0; i < n; i++)
        v[i] = number_at(seed, (uint32_t)i, scale);
    return to_gpu(v);
}

static struct weight weights(uint32_t seed, size_t n_rows, int n_columns)
{
    std::vector<uint16_t> v(n_rows * (size_t)n_columns);
    for (size_t i = 0; i < v.size(); i++)
        v[i] = bf16_from_f32(number_at(seed, (uint32_t)i, 1)).bits;
    struct weight w;
    w.data = to_gpu(v);
    w.dtype = DTYPE_BF16;
    w.row_stride = n_columns;
    return w;
}

static int32_t *integers(uint32_t seed, size_t n, uint32_t below)
{
    std::vector<int32_t> v(n);
    for (size_t i = 0; i < n; i++)
        v[i] = (int32_t)(random_at(seed, (uint32_t)i) % below);
    return to_gpu(v);
}

/* ---- a model's sizes, and all arguments over them ---- */

struct sizes {
    int rows, hidden, ffn, heads, kv_heads, head_dim, vocab, blocks;
};

enum { BLOCK_TOKENS = 64 };

struct work {
    struct sizes s;
    struct leaves hidden_leaves, ffn_leaves;
    struct embed_args embed;
    struct rms_norm_args norm;
    struct head_norm_args head_norm;
    struct rope_angles_args angles;
    struct rope_store_args store;
    struct kv_cache cache[2]; /* BF16, I8 */
    struct gated_args gated;
    struct softcap_args softcap;
    struct copy_blocks_args copy;
    struct log_sum_exp_args lse;
    struct pick_args pick;
};

static struct kv_cache make_cache(const struct sizes &s, enum dtype dtype)
{
    struct kv_cache c;
    const size_t places = (size_t)s.blocks * (size_t)s.kv_heads * BLOCK_TOKENS;
    const size_t bytes = places * (size_t)s.head_dim * (dtype == DTYPE_I8 ? 1 : 2);
    c.k = allocate(bytes);
    c.v = allocate(bytes);
    c.k_scale = static_cast<float *>(allocate(places * sizeof(float)));
    c.v_scale = static_cast<float *>(allocate(places * sizeof(float)));
    c.dtype = dtype;
    c.n_kv_heads = s.kv_heads;
    c.head_dim = s.head_dim;
    c.block_tokens = BLOCK_TOKENS;
    return c;
}

static struct operand make_operand(int rows, const struct leaves *leaves)
{
    return operand_make(allocate(operand_bytes(DTYPE_BF16, rows, leaves)), DTYPE_BF16, rows,
                        leaves);
}

static void make_layer(struct work *w)
{
    const struct sizes &s = w->s;
    const size_t rows = (size_t)s.rows, hidden = (size_t)s.hidden;
    memset(&w->norm, 0, sizeof w->norm);
    w->norm.out = make_operand(s.rows, &w->hidden_leaves);
    w->norm.residual = floats(1, rows * hidden, 3);
    w->norm.delta = floats(2, rows * hidden, 1e-3f);
    w->norm.weight = weights(3, 1, s.hidden);
    w->norm.n_tokens = s.rows;
    w->norm.hidden = s.hidden;
    w->norm.eps = 1e-5f;
    w->embed = {w->norm.residual,
                integers(4, rows, 1000),
                NULL,
                weights(5, 1000, s.hidden),
                0,
                1000,
                s.rows,
                s.hidden,
                1};
    w->gated = {make_operand(s.rows, &w->ffn_leaves),
                &w->ffn_leaves,
                floats(6, rows * 2 * (size_t)s.ffn, 8),
                NULL,
                2 * (int64_t)s.ffn,
                ACTIVATION_SILU,
                s.rows,
                s.ffn};
    w->gated.up = w->gated.gate + s.ffn;
}

static void make_attention(struct work *w)
{
    const struct sizes &s = w->s;
    const size_t rows = (size_t)s.rows;
    const int half = s.head_dim / 2, n_q = s.heads * s.head_dim, n_kv = s.kv_heads * s.head_dim;
    const int64_t stride = n_q + 2 * n_kv;
    std::vector<int32_t> slots(rows);
    for (size_t t = 0; t < rows; t++) /* each its own, in no order */
        slots[t] = (int32_t)((t * 37 + 5) % (size_t)(s.blocks * BLOCK_TOKENS));
    float *qkv = floats(7, rows * (size_t)stride, 2);
    w->angles = {static_cast<float *>(allocate(rows * (size_t)s.head_dim * sizeof(float))),
                 integers(8, rows, 131072),
                 floats(9, (size_t)half, 1),
                 s.rows,
                 half,
                 1};
    w->head_norm = {qkv, stride, weights(10, 1, s.head_dim), s.rows, s.heads, s.head_dim, 1e-6f, 0};
    w->cache[0] = make_cache(s, DTYPE_BF16);
    w->cache[1] = make_cache(s, DTYPE_I8);
    w->store = {allocate(rows * (size_t)n_q * 2),
                qkv,
                qkv + n_q,
                qkv + n_q + n_kv,
                stride,
                w->angles.cos_sin,
                to_gpu(slots),
                &w->cache[0],
                s.rows,
                s.heads,
                half};
    w->copy = {&w->cache[1], to_gpu(std::vector<int32_t>{1, 0}), 1};
}

/* What rows want, in turn. */
static struct pick_spec spec_of(int kind, uint32_t row)
{
    struct pick_spec spec;
    memset(&spec, 0, sizeof spec);
    spec.want = PICK_WANT_TOKEN;
    spec.seed = 77 + row;
    spec.position = (int32_t)(100 + row);
    spec.n_best = kind == 4 ? 5 : -1;
    spec.temperature = kind == 0 ? 0 : 0.8f;
    spec.top_k = kind == 3 ? 50 : 0;
    spec.top_p = kind == 2 || kind == 3 ? 0.9f : 1;
    return spec;
}
static const char *const kinds[] = {"pick greedy", "pick sampled", "pick top_p", "pick top_k top_p",
                                    "pick 5 logprobs"};
enum { N_KINDS = 5 };

static void set_specs(struct work *w, int kind)
{
    std::vector<struct pick_spec> specs((size_t)w->s.rows);
    for (size_t i = 0; i < specs.size(); i++)
        specs[i] = spec_of(kind, (uint32_t)i);
    w->pick.spec = to_gpu(specs);
}

static void make_logits(struct work *w)
{
    const struct sizes &s = w->s;
    const size_t rows = (size_t)s.rows, n = rows * (size_t)s.vocab;
    float *logits = floats(11, n, 12);
    struct step_needs needs;
    memset(&needs, 0, sizeof needs);
    needs.n_logits = s.rows;
    needs.vocab = s.vocab;
    workspace_bytes = pick_workspace_bytes(&needs);
    workspace = allocate(workspace_bytes);
    w->softcap = {logits, (int64_t)n, 30};
    w->lse = {static_cast<float *>(allocate(rows * sizeof(float))),
              static_cast<float *>(allocate(rows * sizeof(float))),
              logits,
              s.rows,
              s.vocab,
              s.vocab};
    memset(&w->pick, 0, sizeof w->pick);
    w->pick.out = static_cast<struct pick_result *>(allocate(rows * sizeof(struct pick_result)));
    w->pick.carried = static_cast<int32_t *>(allocate(rows * sizeof(int32_t)));
    w->pick.logits = logits;
    w->pick.row_stride = w->pick.vocab = s.vocab;
    w->pick.n_rows = s.rows;
}

static void make_work(struct work *w, const struct sizes &s)
{
    w->s = s;
    w->hidden_leaves = leaves_one(s.hidden);
    w->ffn_leaves = leaves_one(s.ffn);
    make_layer(w);
    make_attention(w);
    make_logits(w);
}

/* ---- hashes ---- */

static void print_hash(const char *name, const void *array, size_t n_bytes)
{
    std::vector<unsigned char> bytes(n_bytes);
    MUST(cudaMemcpyAsync(bytes.data(), array, n_bytes, cudaMemcpyDeviceToHost, stream));
    MUST(cudaStreamSynchronize(stream));
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const unsigned char byte : bytes)
        hash = (hash ^ byte) * 1099511628211u;
    printf("%-20s %016llx\n", name, (unsigned long long)hash);
}

static void hash_layer(struct work *w)
{
    const struct sizes &s = w->s;
    const size_t rows = (size_t)s.rows;
    cuda_rms_norm(NULL, &w->norm);
    print_hash("rms_norm", w->norm.out.data, rows * (size_t)s.hidden * 2);
    print_hash("residual", w->norm.residual, rows * (size_t)s.hidden * 4);
    cuda_embed(NULL, &w->embed);
    print_hash("embed", w->embed.out, rows * (size_t)s.hidden * 4);
    for (int a = 0; a < 2; a++) {
        w->gated.activation = a == 0 ? ACTIVATION_SILU : ACTIVATION_GELU_TANH;
        cuda_gated(NULL, &w->gated);
        print_hash(a == 0 ? "silu" : "gelu_tanh", w->gated.out.data, rows * (size_t)s.ffn * 2);
    }
}

static void hash_attention(struct work *w)
{
    const struct sizes &s = w->s;
    const size_t rows = (size_t)s.rows, n_q = (size_t)(s.heads * s.head_dim);
    const size_t places = (size_t)(s.blocks * s.kv_heads) * BLOCK_TOKENS;
    cuda_rope_angles(NULL, &w->angles);
    print_hash("rope_angles", w->angles.cos_sin, rows * (size_t)s.head_dim * 4);
    cuda_head_norm(NULL, &w->head_norm);
    print_hash("head_norm", w->head_norm.x, rows * (size_t)w->head_norm.row_stride * 4);
    for (int c = 0; c < 2; c++) {
        w->store.cache = &w->cache[c];
        cuda_rope_store(NULL, &w->store);
        const size_t bytes = places * (size_t)s.head_dim * (c == 0 ? 2 : 1);
        print_hash(c == 0 ? "k bf16" : "k i8", w->cache[c].k, bytes);
        print_hash(c == 0 ? "v bf16" : "v i8", w->cache[c].v, bytes);
    }
    print_hash("q", w->store.q_out, rows * n_q * 2);
    print_hash("k scales", w->cache[1].k_scale, places * 4);
    cuda_copy_blocks(NULL, &w->copy);
    print_hash("copied", w->cache[1].v, places * (size_t)s.head_dim);
}

static void hash_picks(struct work *w)
{
    const size_t rows = (size_t)w->s.rows;
    cuda_softcap(NULL, &w->softcap);
    print_hash("softcap", w->softcap.x, (size_t)w->softcap.n * 4);
    cuda_log_sum_exp(NULL, &w->lse);
    print_hash("log_sum_exp", w->lse.lse, rows * 4);
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int processed = 0; processed < (kind == N_KINDS - 1 ? 2 : 1); processed++) {
            set_specs(w, kind);
            w->pick.processed_logprobs = processed != 0;
            MUST(cudaMemsetAsync(w->pick.out, 0, rows * sizeof(struct pick_result), stream));
            cuda_pick(NULL, &w->pick);
            print_hash(processed ? "processed logprobs" : kinds[kind], w->pick.out,
                       rows * sizeof(struct pick_result));
        }
}

/* ---- times ---- */

#ifdef __CUDACC__
enum { RUNS = 20 };

/* Microseconds of one of RUNS in a graph, as steps are run. */
template <class Run> static void print_time(const char *name, Run run)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t begin, end;
    float ms = 0;
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < RUNS; i++)
        run();
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&exec, graph, 0));
    MUST(cudaEventCreate(&begin));
    MUST(cudaEventCreate(&end));
    MUST(cudaGraphLaunch(exec, stream)); /* warm */
    MUST(cudaEventRecord(begin, stream));
    MUST(cudaGraphLaunch(exec, stream));
    MUST(cudaEventRecord(end, stream));
    MUST(cudaEventSynchronize(end));
    MUST(cudaEventElapsedTime(&ms, begin, end));
    printf("%-20s %8.2f us\n", name, (double)ms * 1000 / RUNS);
    MUST(cudaGraphExecDestroy(exec));
    MUST(cudaGraphDestroy(graph));
    MUST(cudaEventDestroy(begin));
    MUST(cudaEventDestroy(end));
}

static void print_times(int rows)
{
    struct work w;
    make_work(&w, {rows, 4096, 14336, 32, 8, 128, 128256, 128});
    printf("%d rows, hidden 4096, ffn 14336, vocab 128256\n", rows);
    print_time("embed", [&] { cuda_embed(NULL, &w.embed); });
    print_time("rms_norm", [&] { cuda_rms_norm(NULL, &w.norm); });
    print_time("head_norm", [&] { cuda_head_norm(NULL, &w.head_norm); });
    print_time("rope_angles", [&] { cuda_rope_angles(NULL, &w.angles); });
    print_time("rope_store bf16", [&] { cuda_rope_store(NULL, &w.store); });
    w.store.cache = &w.cache[1];
    print_time("rope_store i8", [&] { cuda_rope_store(NULL, &w.store); });
    print_time("gated", [&] { cuda_gated(NULL, &w.gated); });
    print_time("softcap", [&] { cuda_softcap(NULL, &w.softcap); });
    print_time("log_sum_exp", [&] { cuda_log_sum_exp(NULL, &w.lse); });
    for (int kind = 0; kind < N_KINDS; kind++) {
        set_specs(&w, kind);
        print_time(kinds[kind], [&] { cuda_pick(NULL, &w.pick); });
    }
}
#else
static void print_times(int rows) { printf("%d rows: the emulator has no time\n", rows); }
#endif

int main(int argc, char **argv)
{
    struct cudaDeviceProp properties;
    MUST(cudaGetDeviceProperties(&properties, 0));
    n_multiprocessors = properties.multiProcessorCount;
    MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    if (argc > 1 && strcmp(argv[1], "--time") == 0) {
        for (const int rows : {1, 256, 4096})
            print_times(rows);
        return 0;
    }
    struct work w;
    make_work(&w, {5, 4096, 14336, 8, 2, 128, 9001, 2});
    hash_layer(&w);
    hash_attention(&w);
    hash_picks(&w);
    return 0;
}

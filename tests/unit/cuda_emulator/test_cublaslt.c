/* The cuBLASLt of tests against plain loops. */
#include <cublasLt.h>

#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/death.h"
#include "tests/unit/cuda_emulator/gpu_array.h"

#include <stdlib.h>
#include <string.h>

enum { M = 5, N = 7, K = 19, LD = 24 };

/* A product D [M, N] = X W^T as this project has them: X [M, K] and W [N, K] row by row. */
struct bench {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t w, x, d;
    cublasLtMatmulPreference_t preference;
    unsigned char *w_at, *x_at;
    float *d_at;
    unsigned char *workspace;
};

enum { WORKSPACE = 2 << 20 };

/* Seen column by column, D^T [N, M] = (W^T)^T X^T. */
static struct bench open_bench(cudaDataType type)
{
    struct bench bench;
    const int32_t transpose = CUBLAS_OP_T;
    const uint64_t workspace = WORKSPACE;
    cublasLtCreate(&bench.handle);
    cublasLtMatmulDescCreate(&bench.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(bench.desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                   sizeof transpose);
    cublasLtMatrixLayoutCreate(&bench.w, type, K, N, LD);
    cublasLtMatrixLayoutCreate(&bench.x, type, K, M, LD);
    cublasLtMatrixLayoutCreate(&bench.d, CUDA_R_32F, N, M, N);
    cublasLtMatmulPreferenceCreate(&bench.preference);
    cublasLtMatmulPreferenceSetAttribute(bench.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &workspace, sizeof workspace);
    bench.w_at = gpu_bytes(N * LD * 4);
    bench.x_at = gpu_bytes(M * LD * 4);
    bench.d_at = gpu_bytes(M * N * 4);
    bench.workspace = gpu_bytes(WORKSPACE);
    return bench;
}

static void close_bench(struct bench *bench)
{
    cudaFree(bench->w_at);
    cudaFree(bench->x_at);
    cudaFree(bench->d_at);
    cudaFree(bench->workspace);
    cublasLtMatmulPreferenceDestroy(bench->preference);
    cublasLtMatrixLayoutDestroy(bench->w);
    cublasLtMatrixLayoutDestroy(bench->x);
    cublasLtMatrixLayoutDestroy(bench->d);
    cublasLtMatmulDescDestroy(bench->desc);
    cublasLtDestroy(bench->handle);
}

static int small(int line, int k, int factor) { return (line * 37 + k * factor) % 19 - 9; }

static void store(unsigned char *at, cudaDataType type, int i, int value)
{
    const float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint16_t half = type == CUDA_R_16F ? emulated_f32_f16(f) : (uint16_t)(bits >> 16);
    if (type == CUDA_R_32F)
        memcpy(at + 4 * i, &f, 4);
    else
        memcpy(at + 2 * i, &half, 2);
}

static void fill(struct bench *bench, cudaDataType type)
{
    unsigned char w[N * LD * 4] = {0}, x[M * LD * 4] = {0};
    for (int k = 0; k < K; k++) {
        for (int n = 0; n < N; n++)
            store(w, type, n * LD + k, small(n, k, 5));
        for (int m = 0; m < M; m++)
            store(x, type, m * LD + k, small(m, k, 7));
    }
    cudaMemcpy(bench->w_at, w, sizeof w, cudaMemcpyHostToDevice);
    cudaMemcpy(bench->x_at, x, sizeof x, cudaMemcpyHostToDevice);
}

static cublasStatus_t multiply(struct bench *bench, const cublasLtMatmulAlgo_t *algo, float beta,
                               size_t workspace_bytes)
{
    const float one = 1.0f;
    return cublasLtMatmul(bench->handle, bench->desc, &one, bench->w_at, bench->w, bench->x_at,
                          bench->x, &beta, bench->d_at, bench->d, bench->d_at, bench->d, algo,
                          bench->workspace, workspace_bytes, NULL);
}

static void check_result(const struct bench *bench, int times)
{
    float d[M * N];
    gpu_read(d, bench->d_at, sizeof d);
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) {
            int sum = 0;
            for (int k = 0; k < K; k++)
                sum += small(n, k, 5) * small(m, k, 7);
            CHECK_EQ((int)d[m * N + n], sum * times);
        }
    }
}

static int find(struct bench *bench, cublasLtMatmulHeuristicResult_t results[8])
{
    int n;
    CHECK_EQ(cublasLtMatmulAlgoGetHeuristic(bench->handle, bench->desc, bench->w, bench->x,
                                            bench->d, bench->d, bench->preference, 8, results, &n),
             CUBLAS_STATUS_SUCCESS);
    return n;
}

TEST(every_algorithm_gives_the_product_in_every_format)
{
    const cudaDataType types[] = {CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F};
    for (int i = 0; i < 3; i++) {
        struct bench bench = open_bench(types[i]);
        cublasLtMatmulHeuristicResult_t found[8];
        fill(&bench, types[i]);
        CHECK_EQ(find(&bench, found), 3);
        for (int j = 0; j < 3; j++) {
            CHECK_EQ(multiply(&bench, &found[j].algo, 0.0f, found[j].workspaceSize),
                     CUBLAS_STATUS_SUCCESS);
            check_result(&bench, 1);
        }
        close_bench(&bench);
    }
}

TEST(beta_adds_what_was_there)
{
    struct bench bench = open_bench(CUDA_R_16BF);
    fill(&bench, CUDA_R_16BF);
    CHECK_EQ(multiply(&bench, NULL, 0.0f, 0), CUBLAS_STATUS_SUCCESS);
    CHECK_EQ(multiply(&bench, NULL, 1.0f, 0), CUBLAS_STATUS_SUCCESS);
    check_result(&bench, 2);
    close_bench(&bench);
}

TEST(algorithms_are_those_that_the_preference_allows)
{
    struct bench bench = open_bench(CUDA_R_16BF);
    cublasLtMatmulHeuristicResult_t found[8];
    const uint64_t workspace = 1 << 20;
    cublasLtMatmulPreferenceSetAttribute(bench.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &workspace, sizeof workspace);
    CHECK_EQ(find(&bench, found), 2);
    const uint32_t alignment = 4;
    cublasLtMatmulPreferenceSetAttribute(
        bench.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment, sizeof alignment);
    CHECK_EQ(find(&bench, found), 1);
    close_bench(&bench);
}

TEST(a_workspace_that_is_too_small_is_an_error)
{
    struct bench bench = open_bench(CUDA_R_16BF);
    cublasLtMatmulHeuristicResult_t found[8];
    fill(&bench, CUDA_R_16BF);
    find(&bench, found);
    CHECK_EQ(multiply(&bench, &found[0].algo, 0.0f, found[0].workspaceSize - 1),
             CUBLAS_STATUS_INVALID_VALUE);
    close_bench(&bench);
}

TEST(an_algorithm_that_is_none_is_an_error)
{
    struct bench bench = open_bench(CUDA_R_16BF);
    const cublasLtMatmulAlgo_t none = {{1, 2, 3}};
    CHECK_EQ(multiply(&bench, &none, 0.0f, WORKSPACE), CUBLAS_STATUS_INVALID_VALUE);
    close_bench(&bench);
}

TEST(shapes_that_do_not_fit_are_an_error)
{
    struct bench bench = open_bench(CUDA_R_16BF);
    cublasLtMatrixLayoutDestroy(bench.x);
    cublasLtMatrixLayoutCreate(&bench.x, CUDA_R_16BF, K + 1, M, LD);
    CHECK_EQ(multiply(&bench, NULL, 0.0f, 0), CUBLAS_STATUS_INVALID_VALUE);
    cublasLtMatrixLayoutDestroy(bench.x);
    cublasLtMatrixLayoutCreate(&bench.x, CUDA_R_16BF, K, M, K - 1);
    CHECK_EQ(multiply(&bench, NULL, 0.0f, 0), CUBLAS_STATUS_INVALID_VALUE);
    close_bench(&bench);
}

static void multiply_too_much(void *context)
{
    (void)context;
    struct bench bench = open_bench(CUDA_R_32F);
    cublasLtMatrixLayoutDestroy(bench.x);
    cublasLtMatrixLayoutCreate(&bench.x, CUDA_R_32F, K, M, LD + 8);
    multiply(&bench, NULL, 0.0f, 0);
}

TEST(a_matrix_that_leaves_its_memory_aborts)
{
    CHECK_DIES(multiply_too_much, NULL, "cublasLtMatmul: ");
}

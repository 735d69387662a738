/* cuBLASLt for tests: contract in include/cublasLt.h. */
#include <cublasLt.h>

#include <stdlib.h>
#include <string.h>

#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/cuda_emulator.h"

enum { N_ALGORITHMS = 3, VERSION = 130000, ALIGNMENT = 16, LANES = 8 };
static const uint64_t algorithm_mark = 0x6c61677261746975u; /* an algorithm of ours */

struct cublasLtContext {
    int unused;
};
struct cublasLtMatmulDescOpaque {
    int32_t transpose_a, transpose_b;
};
struct cublasLtMatrixLayoutOpaque {
    cudaDataType_t type;
    int32_t order;
    uint64_t n_rows, n_columns;
    int64_t ld;
};
struct cublasLtMatmulPreferenceOpaque {
    uint64_t max_workspace_bytes;
    uint32_t alignment[4]; /* of A, B, C, D */
};

size_t cublasLtGetVersion(void) { return VERSION; }

#define STATUSES(X)                                                                          \
    X(CUBLAS_STATUS_SUCCESS, "success")                                                      \
    X(CUBLAS_STATUS_NOT_INITIALIZED, "the library was not initialized")                      \
    X(CUBLAS_STATUS_ALLOC_FAILED, "the resource allocation failed")                          \
    X(CUBLAS_STATUS_INVALID_VALUE, "an unsupported value or parameter was passed")           \
    X(CUBLAS_STATUS_ARCH_MISMATCH, "the function requires a feature absent from the device") \
    X(CUBLAS_STATUS_EXECUTION_FAILED, "the GPU program failed to execute")                   \
    X(CUBLAS_STATUS_INTERNAL_ERROR, "an internal operation failed")                          \
    X(CUBLAS_STATUS_NOT_SUPPORTED, "the functionality requested is not supported")

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
#define X(id, text) \
    case id:        \
        return text;
        STATUSES(X)
#undef X
    }
    return "unknown";
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
#define X(id, text) \
    case id:        \
        return #id;
        STATUSES(X)
#undef X
    }
    return "unknown";
}

/* ---- descriptions ---- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    if (emulated_fails("cublasLtCreate"))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return CUBLAS_STATUS_SUCCESS;
}

/* A real one waits for all that the device has to do. */
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    if (emulated_fails("cublasLtDestroy") || cudaDeviceSynchronize() != cudaSuccess)
        return CUBLAS_STATUS_INTERNAL_ERROR;
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (emulated_fails("cublasLtMatmulDescCreate"))
        return CUBLAS_STATUS_ALLOC_FAILED;
    if ((compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC) ||
        scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *out = calloc(1, sizeof **out);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *field, size_t field_bytes, const void *value, size_t n_bytes)
{
    if (value == NULL || n_bytes != field_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, n_bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t n_bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&desc->transpose_a, sizeof desc->transpose_a, value, n_bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&desc->transpose_b, sizeof desc->transpose_b, value, n_bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    if (emulated_fails("cublasLtMatrixLayoutCreate"))
        return CUBLAS_STATUS_ALLOC_FAILED;
    *out = calloc(1, sizeof **out);
    **out = (struct cublasLtMatrixLayoutOpaque){type, CUBLASLT_ORDER_COL, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t n_bytes)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return set(&layout->order, sizeof layout->order, value, n_bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    if (emulated_fails("cublasLtMatmulPreferenceCreate"))
        return CUBLAS_STATUS_ALLOC_FAILED;
    *out = calloc(1, sizeof **out);
    **out = (struct cublasLtMatmulPreferenceOpaque){0, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t n_bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->max_workspace_bytes, sizeof preference->max_workspace_bytes, value,
                   n_bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
                   sizeof preference->alignment[0], value, n_bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- one product ---- */

struct matrix {
    unsigned char *at;
    struct cublasLtMatrixLayoutOpaque layout;
};

struct product {
    struct matrix a, b, c, d; /* c.at NULL: beta is 0 */
    bool transpose_a, transpose_b;
    float alpha, beta;
    void *workspace;
    size_t workspace_bytes; /* that the algorithm uses */
};

static size_t element_bytes(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

static bool is_layout_right(const struct cublasLtMatrixLayoutOpaque *layout)
{
    const uint64_t along = layout->order == CUBLASLT_ORDER_COL ? layout->n_rows : layout->n_columns;
    return layout->n_rows > 0 && layout->n_columns > 0 && layout->ld >= (int64_t)along &&
           (layout->order == CUBLASLT_ORDER_COL || layout->order == CUBLASLT_ORDER_ROW);
}

static uint64_t rows_of(cublasLtMatrixLayout_t layout, int32_t transpose)
{
    return transpose == CUBLAS_OP_T ? layout->n_columns : layout->n_rows;
}

static uint64_t columns_of(cublasLtMatrixLayout_t layout, int32_t transpose)
{
    return transpose == CUBLAS_OP_T ? layout->n_rows : layout->n_columns;
}

static cublasStatus_t check_shapes(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                   cublasLtMatrixLayout_t d)
{
    if (!is_layout_right(a) || !is_layout_right(b) || !is_layout_right(c) || !is_layout_right(d))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (columns_of(a, desc->transpose_a) != rows_of(b, desc->transpose_b) ||
        rows_of(a, desc->transpose_a) != d->n_rows ||
        columns_of(b, desc->transpose_b) != d->n_columns || c->n_rows != d->n_rows ||
        c->n_columns != d->n_columns)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (a->type != b->type || c->type != CUDA_R_32F || d->type != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

static size_t needed_workspace(uint64_t algorithm) { return (size_t)algorithm << 20; }

static cublasLtMatmulHeuristicResult_t describe(uint64_t algorithm)
{
    return (cublasLtMatmulHeuristicResult_t){
        .algo = {{algorithm_mark, algorithm}},
        .workspaceSize = needed_workspace(algorithm),
        .state = CUBLAS_STATUS_SUCCESS,
        .wavesCount = 1.0f,
    };
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *n_results)
{
    *n_results = 0;
    if (emulated_fails("cublasLtMatmulAlgoGetHeuristic"))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    const cublasStatus_t status = check_shapes(desc, a, b, c, d);
    if (handle == NULL || n_wanted < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    bool is_aligned = true;
    for (int i = 0; i < 4; i++)
        is_aligned = is_aligned && preference->alignment[i] >= ALIGNMENT;
    for (int algorithm = N_ALGORITHMS - 1; algorithm >= 0; algorithm--) {
        if (*n_results < n_wanted && (algorithm == 0 || is_aligned) &&
            needed_workspace((uint64_t)algorithm) <= preference->max_workspace_bytes)
            results[(*n_results)++] = describe((uint64_t)algorithm);
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    if (emulated_fails("cublasLtMatmulAlgoCheck"))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    if (handle == NULL || algo->data[0] != algorithm_mark || algo->data[1] >= N_ALGORITHMS)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = check_shapes(desc, a, b, c, d);
    if (status == CUBLAS_STATUS_SUCCESS)
        *result = describe(algo->data[1]);
    return status;
}

static float widen(const unsigned char *at, cudaDataType_t type)
{
    uint16_t half;
    float f;
    if (type == CUDA_R_32F) {
        memcpy(&f, at, sizeof f);
        return f;
    }
    memcpy(&half, at, sizeof half);
    if (type == CUDA_R_16F)
        return emulated_f16_f32(half);
    const uint32_t bits = (uint32_t)half << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static unsigned char *element(const struct matrix *matrix, uint64_t row, uint64_t column)
{
    const uint64_t ld = (uint64_t)matrix->layout.ld;
    const uint64_t i =
        matrix->layout.order == CUBLASLT_ORDER_COL ? row + column * ld : row * ld + column;
    return matrix->at + i * element_bytes(matrix->layout.type);
}

/* [n_lines, k_padded]: the rows of op(A), or the columns of op(B); zero in the padding. */
static float *lines_of(const struct matrix *matrix, bool by_row, uint64_t n_lines, uint64_t k,
                       uint64_t k_padded)
{
    float *lines = calloc(n_lines * k_padded, sizeof *lines);
    for (uint64_t line = 0; line < n_lines; line++) {
        for (uint64_t i = 0; i < k; i++)
            lines[line * k_padded + i] = widen(
                by_row ? element(matrix, line, i) : element(matrix, i, line), matrix->layout.type);
    }
    return lines;
}

static double dot(const float *a, const float *b, uint64_t k_padded)
{
    double sums[LANES] = {0}, sum = 0;
    for (uint64_t i = 0; i < k_padded; i += LANES) {
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += (double)a[i + (uint64_t)lane] * (double)b[i + (uint64_t)lane];
    }
    for (int lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

static void inspect(const struct matrix *matrix)
{
    const struct cublasLtMatrixLayoutOpaque *layout = &matrix->layout;
    const unsigned char *last = element(matrix, layout->n_rows - 1, layout->n_columns - 1);
    emulated_check_device("cublasLtMatmul", matrix->at,
                          (size_t)(last - matrix->at) + element_bytes(layout->type));
}

static void inspect_all(const struct product *product)
{
    inspect(&product->a);
    inspect(&product->b);
    inspect(&product->d);
    if (product->c.at)
        inspect(&product->c);
    emulated_check_device("cublasLtMatmul", product->workspace, product->workspace_bytes);
}

static enum emulated_progress multiply(void *context)
{
    const struct product *product = context;
    const uint64_t n_rows = product->d.layout.n_rows, n_columns = product->d.layout.n_columns;
    const uint64_t k =
        product->transpose_a ? product->a.layout.n_rows : product->a.layout.n_columns;
    const uint64_t k_padded = (k + LANES - 1) / LANES * LANES;
    inspect_all(product);
    float *a = lines_of(&product->a, !product->transpose_a, n_rows, k, k_padded);
    float *b = lines_of(&product->b, product->transpose_b, n_columns, k, k_padded);
    memset(product->workspace, 0xff, product->workspace_bytes);
    for (uint64_t row = 0; row < n_rows; row++) {
        for (uint64_t column = 0; column < n_columns; column++) {
            double sum =
                (double)product->alpha * dot(a + row * k_padded, b + column * k_padded, k_padded);
            if (product->c.at)
                sum += (double)product->beta *
                       (double)widen(element(&product->c, row, column), CUDA_R_32F);
            const float rounded = (float)sum;
            memcpy(element(&product->d, row, column), &rounded, sizeof rounded);
        }
    }
    free(a);
    free(b);
    return EMULATED_DONE;
}

static bool is_aligned(const void *p) { return (uintptr_t)p % ALIGNMENT == 0; }

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const cublasLtMatmulAlgo_t plain = describe(0).algo;
    cublasLtMatmulHeuristicResult_t chosen;
    if (emulated_fails("cublasLtMatmul"))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(
        handle, desc, a_layout, b_layout, c_layout, d_layout, algo ? algo : &plain, &chosen);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (chosen.workspaceSize > workspace_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (chosen.workspaceSize > 0 && !(is_aligned(a) && is_aligned(b) && is_aligned(c) &&
                                      is_aligned(d) && is_aligned(workspace)))
        return CUBLAS_STATUS_INVALID_VALUE;
    const float factor = *(const float *)beta;
    const struct product product = {
        .a = {(unsigned char *)(uintptr_t)a, *a_layout},
        .b = {(unsigned char *)(uintptr_t)b, *b_layout},
        .c = {factor == 0.0f ? NULL : (unsigned char *)(uintptr_t)c, *c_layout},
        .d = {d, *d_layout},
        .transpose_a = desc->transpose_a == CUBLAS_OP_T,
        .transpose_b = desc->transpose_b == CUBLAS_OP_T,
        .alpha = *(const float *)alpha,
        .beta = factor,
        .workspace = workspace,
        .workspace_bytes = chosen.workspaceSize,
    };
    inspect_all(&product);
    return emulated_stream_enqueue(stream, "cublasLtMatmul", multiply, &product, sizeof product) ==
                   cudaSuccess
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_EXECUTION_FAILED;
}

/* gpu_floors: what this GPU can do, measured: bytes copied in a second, and operations of a large
 * bf16 matmul. Everything else is quoted as a share of these. Prints one JSON object.
 *
 * Random numbers, because zeros run faster; medians of single runs between events. */
#include <algorithm>
#include <cublasLt.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#define MUST(call)                                                   \
    do {                                                             \
        const int status_ = (int)(call);                             \
        if (status_ != 0) {                                          \
            fprintf(stderr, "gpu_floors: %s: %d\n", #call, status_); \
            exit(1);                                                 \
        }                                                            \
    } while (0)

enum { RUNS = 15, N = 8192 };
static const size_t copy_bytes = (size_t)2 << 30;

/* Any bits but those of infinities and NaN: bf16 between 2^-7 and 2 in size. */
__global__ void fill(uint32_t *out, size_t n)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        uint32_t x = (uint32_t)i * 2654435761u;
        x ^= x >> 15;
        x *= 2246822519u;
        x ^= x >> 13;
        out[i] = (x & 0x83ff83ffu) | 0x3c003c00u;
    }
}

template <class Work> static double median_seconds(cudaStream_t stream, Work work)
{
    cudaEvent_t begin, end;
    std::vector<float> ms;
    MUST(cudaEventCreate(&begin));
    MUST(cudaEventCreate(&end));
    for (int i = 0; i < RUNS; i++) {
        float took = 0;
        MUST(cudaEventRecord(begin, stream));
        work();
        MUST(cudaEventRecord(end, stream));
        MUST(cudaEventSynchronize(end));
        MUST(cudaEventElapsedTime(&took, begin, end));
        if (i >= 3)
            ms.push_back(took);
    }
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2] / 1e3;
}

static double copy_rate(cudaStream_t stream, char *memory)
{
    const double s = median_seconds(stream, [&] {
        MUST(cudaMemcpyAsync(memory + copy_bytes, memory, copy_bytes, cudaMemcpyDeviceToDevice,
                             stream));
    });
    return 2.0 * (double)copy_bytes / s; /* read and written */
}

static double matmul_rate(cudaStream_t stream, char *memory)
{
    const size_t matrix = (size_t)N * N * 2, workspace_bytes = (size_t)64 << 20;
    char *const a = memory, *const b = a + matrix, *const c = b + matrix, *const w = c + matrix;
    cublasLtHandle_t lt;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t layout;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    int n_found = 0;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const float one = 1, zero = 0;
    MUST(cublasLtCreate(&lt));
    MUST(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    MUST(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                        sizeof transposed));
    MUST(cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, N, N, N));
    MUST(cublasLtMatmulPreferenceCreate(&preference));
    MUST(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &workspace_bytes, sizeof workspace_bytes));
    MUST(cublasLtMatmulAlgoGetHeuristic(lt, desc, layout, layout, layout, layout, preference, 1,
                                        &found, &n_found));
    const double s = median_seconds(stream, [&] {
        MUST(cublasLtMatmul(lt, desc, &one, a, layout, b, layout, &zero, c, layout, c, layout,
                            &found.algo, w, workspace_bytes, stream));
    });
    return 2.0 * N * N * (double)N / s;
}

int main()
{
    cudaStream_t stream;
    cudaDeviceProp properties;
    char *memory;
    MUST(cudaGetDeviceProperties(&properties, 0));
    MUST(cudaStreamCreate(&stream));
    MUST(cudaMalloc(&memory, 2 * copy_bytes));
    fill<<<1024, 256, 0, stream>>>((uint32_t *)memory, copy_bytes / 2);
    const double copied = copy_rate(stream, memory), multiplied = matmul_rate(stream, memory);
    printf("{\"gpu\": \"%s\", \"multiprocessors\": %d, \"copy_bytes_per_second\": %.4g, "
           "\"bf16_operations_per_second\": %.4g}\n",
           properties.name, properties.multiProcessorCount, copied, multiplied);
    return 0;
}

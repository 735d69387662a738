/* Many rows by cuBLASLt.
 *
 * The library thinks in columns: a row-major [rows, columns] is its [columns, rows] with the row's
 * stride for leading dimension. So out = x weight^T is its D = A^T B with A = weight [k, n_out],
 * B = x [k, n_tokens] and D = out [n_out, n_tokens].
 *
 * At the first matmul of a shape that is not being recorded, the algorithms that the library thinks
 * best are timed, each on the very job, and the fastest is kept (lt_choices.h). Where nothing was
 * chosen yet, in a record, the library's first is used. */
#include "base/memory.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/lt_choices.h"
#include "kernels/cuda/matmul.h"

#include <cublasLt.h>
#include <string.h>

enum {
    CANDIDATES = 6,
    TIMED_RUNS = 3,
};
_Static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(struct lt_algorithm), "kept as it is");

struct lt {
    struct device *device;
    cublasLtHandle_t handle;
    struct lt_choices *choices;
};

struct problem {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t weight, x, out;
};

/* ---- failures ---- */

static bool keep(struct device *device, const char *what, cublasStatus_t status)
{
    const cudaError_t error = status == CUBLAS_STATUS_SUCCESS         ? cudaSuccess
                              : status == CUBLAS_STATUS_ALLOC_FAILED  ? cudaErrorMemoryAllocation
                              : status == CUBLAS_STATUS_NOT_SUPPORTED ? cudaErrorNotSupported
                                                                      : cudaErrorUnknown;
    return cuda_keep(device, what, error);
}

/* ---- what the device keeps ---- */

static void lt_close(void *data)
{
    struct lt *lt = data;
    lt_choices_close(lt->choices);
    if (lt->handle != NULL && !cuda_failed(lt->device)) /* it would wait for the device */
        cublasLtDestroy(lt->handle);
    memory_free(lt);
}

static struct lt *lt_of(struct device *device)
{
    struct cuda_state *state = cuda_matmul_state(device);
    if (state->data == NULL) {
        struct lt *lt = memory_alloc(1, sizeof *lt);
        lt->device = device;
        *state = (struct cuda_state){lt, lt_close};
        keep(device, "opening cuBLASLt", cublasLtCreate(&lt->handle));
        lt->choices =
            lt_choices_open(cuda_algorithms(device), cuda_name(device), cublasLtGetVersion());
    }
    return state->data;
}

/* ---- a job in the words of the library ---- */

static bool problem_make(struct problem *problem, const struct matmul_job *job)
{
    const cudaDataType_t type = job->dtype == DTYPE_F16 ? CUDA_R_16F : CUDA_R_16BF;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const uint64_t k = (uint64_t)job->order.leaf_begin[1], n_out = (uint64_t)job->n_out,
                   n_tokens = (uint64_t)job->n_tokens;
    memset(problem, 0, sizeof *problem);
    return cublasLtMatmulDescCreate(&problem->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F) ==
               CUBLAS_STATUS_SUCCESS &&
           cublasLtMatmulDescSetAttribute(problem->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                          &transposed,
                                          sizeof transposed) == CUBLAS_STATUS_SUCCESS &&
           cublasLtMatrixLayoutCreate(&problem->weight, type, k, n_out, job->weight_stride) ==
               CUBLAS_STATUS_SUCCESS &&
           cublasLtMatrixLayoutCreate(&problem->x, type, k, n_tokens, job->x_stride) ==
               CUBLAS_STATUS_SUCCESS &&
           cublasLtMatrixLayoutCreate(&problem->out, CUDA_R_32F, n_out, n_tokens,
                                      job->out_stride) == CUBLAS_STATUS_SUCCESS;
}

static void problem_free(struct problem *problem)
{
    if (problem->out != NULL)
        cublasLtMatrixLayoutDestroy(problem->out);
    if (problem->x != NULL)
        cublasLtMatrixLayoutDestroy(problem->x);
    if (problem->weight != NULL)
        cublasLtMatrixLayoutDestroy(problem->weight);
    if (problem->operation != NULL)
        cublasLtMatmulDescDestroy(problem->operation);
}

static size_t workspace_bytes(const struct device *device)
{
    const size_t n_bytes = cuda_workspace_bytes_reserved(device);
    return n_bytes < LT_WORKSPACE_BYTES ? n_bytes : LT_WORKSPACE_BYTES;
}

static cublasStatus_t queue(struct device *device, const struct lt *lt,
                            const struct problem *problem, const struct matmul_job *job,
                            const struct lt_algorithm *algorithm)
{
    const float one = 1, zero = 0;
    cublasLtMatmulAlgo_t algo;
    memcpy(&algo, algorithm, sizeof algo);
    return cublasLtMatmul(lt->handle, problem->operation, &one, job->weight, problem->weight,
                          job->x, problem->x, &zero, job->out, problem->out, job->out, problem->out,
                          &algo, cuda_workspace(device), workspace_bytes(device),
                          cuda_stream(device));
}

/* ---- algorithms ---- */

static int alignment_of(const struct matmul_job *job)
{
    const uintptr_t both = (uintptr_t)job->out | (uintptr_t)job->out_stride * sizeof(float) | 16;
    return (int)(both & -both);
}

/* What the library thinks best, best first; 0: it failed, which is kept. */
static int candidates(struct device *device, const struct lt *lt, const struct problem *problem,
                      const struct matmul_job *job, int n_most,
                      cublasLtMatmulHeuristicResult_t *result)
{
    const size_t n_bytes = workspace_bytes(device);
    const uint32_t in_alignment = 16, out_alignment = (uint32_t)alignment_of(job);
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t n_bytes;
    } wish[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &n_bytes, sizeof n_bytes},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &in_alignment, sizeof in_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &in_alignment, sizeof in_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out_alignment, sizeof out_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out_alignment, sizeof out_alignment},
    };
    cublasLtMatmulPreference_t preference;
    int n = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS) {
        keep(device, "cuBLASLt matmul", status);
        return 0;
    }
    for (size_t i = 0; i < sizeof wish / sizeof *wish && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, wish[i].attribute, wish[i].value,
                                                      wish[i].n_bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(lt->handle, problem->operation, problem->weight,
                                                problem->x, problem->out, problem->out, preference,
                                                n_most, result, &n);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && n == 0)
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    return keep(device, "cuBLASLt matmul", status) ? n : 0;
}

struct timer {
    cudaEvent_t begin, end;
};

/* Milliseconds of TIMED_RUNS runs behind one that warms up; negative where it cannot run. */
static float time_of(struct device *device, const struct lt *lt, const struct problem *problem,
                     const struct matmul_job *job, const struct lt_algorithm *algorithm,
                     const struct timer *timer)
{
    float milliseconds = -1;
    if (queue(device, lt, problem, job, algorithm) != CUBLAS_STATUS_SUCCESS)
        return -1;
    bool ran = cudaEventRecord(timer->begin, cuda_stream(device)) == cudaSuccess;
    for (int run = 0; run < TIMED_RUNS; run++)
        ran = queue(device, lt, problem, job, algorithm) == CUBLAS_STATUS_SUCCESS && ran;
    ran = ran && cudaEventRecord(timer->end, cuda_stream(device)) == cudaSuccess &&
          cudaEventSynchronize(timer->end) == cudaSuccess &&
          cudaEventElapsedTime(&milliseconds, timer->begin, timer->end) == cudaSuccess;
    return ran ? milliseconds : -1;
}

/* The fastest of n, at least one; the first where none could be timed. */
static int fastest(struct device *device, const struct lt *lt, const struct problem *problem,
                   const struct matmul_job *job, const cublasLtMatmulHeuristicResult_t *result,
                   int n)
{
    struct timer timer = {0};
    int best = 0;
    float least = -1;
    if (cuda_keep(device, "timing cuBLASLt", cudaEventCreate(&timer.begin)) &&
        cuda_keep(device, "timing cuBLASLt", cudaEventCreate(&timer.end)))
        for (int i = 0; i < n; i++) {
            struct lt_algorithm algorithm;
            memcpy(&algorithm, &result[i].algo, sizeof algorithm);
            const float time = time_of(device, lt, problem, job, &algorithm, &timer);
            if (time >= 0 && (least < 0 || time < least)) {
                least = time;
                best = i;
            }
        }
    if (timer.begin != NULL)
        cudaEventDestroy(timer.begin);
    if (timer.end != NULL)
        cudaEventDestroy(timer.end);
    return best;
}

static bool is_recording(struct device *device)
{
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    cuda_keep(device, "state of the stream", cudaStreamIsCapturing(cuda_stream(device), &capture));
    return capture != cudaStreamCaptureStatusNone;
}

/* Chooses an algorithm for the shape and keeps it, unless the stream is being recorded. */
static bool choose(struct device *device, struct lt *lt, const struct problem *problem,
                   const struct matmul_job *job, const struct lt_shape *shape,
                   struct lt_algorithm *algorithm)
{
    cublasLtMatmulHeuristicResult_t result[CANDIDATES];
    const bool is_timed = !is_recording(device);
    const int n = candidates(device, lt, problem, job, is_timed ? CANDIDATES : 1, result);
    if (n == 0)
        return false;
    const int best = is_timed && n > 1 ? fastest(device, lt, problem, job, result, n) : 0;
    memcpy(algorithm, &result[best].algo, sizeof *algorithm);
    if (is_timed)
        lt_choices_set(lt->choices, shape, algorithm);
    return true;
}

void lt_matmul(struct device *device, const struct matmul_job *job)
{
    struct lt *lt = lt_of(device);
    if (cuda_failed(device))
        return;
    const struct lt_shape shape = {.dtype = job->dtype,
                                   .n_out = job->n_out,
                                   .k = job->order.leaf_begin[1],
                                   .n_tokens = lt_bucket(job->n_tokens),
                                   .out_alignment = alignment_of(job)};
    struct problem problem;
    struct lt_algorithm algorithm;
    const struct lt_algorithm *known = lt_choices_find(lt->choices, &shape);
    if (!problem_make(&problem, job))
        keep(device, "cuBLASLt matmul", CUBLAS_STATUS_ALLOC_FAILED);
    /* A choice can be of other rows of the bucket, or of a file, so the library may refuse it. */
    else if (known == NULL || queue(device, lt, &problem, job, known) != CUBLAS_STATUS_SUCCESS)
        if (choose(device, lt, &problem, job, &shape, &algorithm))
            keep(device, "cuBLASLt matmul", queue(device, lt, &problem, job, &algorithm));
    problem_free(&problem);
}

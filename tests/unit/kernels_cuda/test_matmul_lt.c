/* Matmuls by cuBLASLt: whatever algorithm, eager or recorded, and where it fails. */
#include "base/error.h"
#include "kernels/cuda/lt_choices.h"
#include "kernels/device.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/files.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/gpu_matmul.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 70, OUTPUTS = 48, K = 96, N = TOKENS * OUTPUTS };

static struct gpu_matmul make(struct device *device)
{
    return gpu_matmul_make(device, &(struct gpu_matmul_shape){.dtype = DTYPE_BF16,
                                                              .weight_dtype = DTYPE_BF16,
                                                              .n_tokens = TOKENS,
                                                              .n_out = OUTPUTS,
                                                              .leaves = leaves_one(K),
                                                              .x_number = number_at,
                                                              .w_number = number_at,
                                                              .bias = true});
}

TEST(a_recorded_matmul_gives_what_an_eager_one_gives)
{
    float eager[N], before[N], after[N];
    struct device *device = gpu_open(false);
    struct gpu_matmul m = make(device);
    gpu_matmul_run_recorded(&m, before); /* nothing is chosen yet */
    gpu_matmul_run(&m, eager);
    gpu_matmul_run_recorded(&m, after);
    check_bits("recorded before", before, eager, N);
    check_bits("recorded after", after, eager, N);
    gpu_matmul_free(&m);
    device_close(device);
}

TEST(an_algorithm_that_the_library_refuses_is_chosen_again)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "algorithms");
    const struct lt_algorithm nonsense = {{1, 2, 3, 4, 5, 6, 7, 8}};
    const struct lt_shape shape = {DTYPE_BF16, OUTPUTS, K, lt_bucket(TOKENS), 4};
    float want[N], got[N];
    struct device *device = gpu_open_with_file(path.text);
    struct gpu_matmul m = make(device);
    gpu_matmul_run(&m, want);
    gpu_matmul_free(&m);
    device_close(device);

    struct lt_choices *choices = lt_choices_open(path.text, "Emulated GPU", cublasLtGetVersion());
    CHECK(lt_choices_find(choices, &shape) != NULL); /* the device kept it */
    lt_choices_set(choices, &shape, &nonsense);
    lt_choices_close(choices);

    device = gpu_open_with_file(path.text);
    m = make(device);
    gpu_matmul_run(&m, got);
    check_bits("after nonsense", got, want, N);
    gpu_matmul_free(&m);
    device_close(device);
    choices = lt_choices_open(path.text, "Emulated GPU", cublasLtGetVersion());
    CHECK(memcmp(lt_choices_find(choices, &shape), &nonsense, sizeof nonsense) != 0);
    lt_choices_close(choices);
    folder_remove(&folder);
}

static void multiply_failing(const char *call, const char *text)
{
    struct error err = {0};
    struct device *device = gpu_open(false);
    struct gpu_matmul m = make(device);
    void *out;
    CHECK(device_alloc(device, &out, N * sizeof(float), &err));
    emulated_fail(call, 1);
    op_matmul(device,
              &(struct matmul_args){.out = out,
                                    .out_stride = OUTPUTS,
                                    .x = operand_make(m.x_gpu, DTYPE_BF16, TOKENS, &m.shape.leaves),
                                    .weight = {m.weight_gpu, DTYPE_BF16, m.weight_stride},
                                    .leaves = &m.shape.leaves,
                                    .n_tokens = TOKENS,
                                    .n_out = OUTPUTS});
    CHECK(!device_sync(device, &err));
    if (strstr(err.text, text) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, text);
    gpu_matmul_free(&m);
    device_close(device);
}

TEST(a_failure_of_the_library_says_what_was_asked_of_it)
{
    multiply_failing("cublasLtCreate", "opening cuBLASLt");
    multiply_failing("cublasLtMatmulAlgoGetHeuristic", "cuBLASLt matmul");
    multiply_failing("cublasLtMatmulDescCreate", "cuBLASLt matmul");
}

/* What lanes of a warp do together, and copies on their way. */
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/death.h"
#include "tests/unit/cuda_emulator/gpu_array.h"
#include "tests/unit/cuda_emulator/kernels.h"

#include <math.h>

TEST(shuffles_and_votes_are_those_of_cuda)
{
    int64_t xor_5[32], up_3[32], down_3[32], from_7[32], within_8[32];
    uint32_t odd[32];
    float sum[32];
    int any[32], all[32];
    const struct shuffles_args args = {
        gpu_bytes(sizeof xor_5),  gpu_bytes(sizeof up_3),     gpu_bytes(sizeof down_3),
        gpu_bytes(sizeof from_7), gpu_bytes(sizeof within_8), gpu_bytes(sizeof odd),
        gpu_bytes(sizeof sum),    gpu_bytes(sizeof any),      gpu_bytes(sizeof all)};
    CHECK_EQ(start_shuffles(&args), cudaSuccess);
    gpu_take_home(xor_5, args.xor_5, sizeof xor_5);
    gpu_take_home(up_3, args.up_3, sizeof up_3);
    gpu_take_home(down_3, args.down_3, sizeof down_3);
    gpu_take_home(from_7, args.from_7, sizeof from_7);
    gpu_take_home(within_8, args.within_8, sizeof within_8);
    gpu_take_home(odd, args.odd, sizeof odd);
    gpu_take_home(sum, args.sum, sizeof sum);
    gpu_take_home(any, args.any, sizeof any);
    gpu_take_home(all, args.all, sizeof all);
    for (int lane = 0; lane < 32; lane++) {
        CHECK_EQ(xor_5[lane], 1000 + (lane ^ 5));
        CHECK_EQ(up_3[lane], 1000 + (lane < 3 ? lane : lane - 3));
        CHECK_EQ(down_3[lane], 1000 + (lane + 3 > 31 ? lane : lane + 3));
        CHECK_EQ(from_7[lane], 1007);
        CHECK_EQ(within_8[lane], 1000 + lane / 8 * 8 + 2);
        CHECK_EQ(odd[lane], 0xaaaaaaaau);
        CHECK(sum[lane] == 528.0f);
        CHECK_EQ(any[lane], 1);
        CHECK_EQ(all[lane], 1);
    }
}

static uint16_t to_bits(float f, bool is_f16)
{
    union {
        float f;
        uint32_t bits;
    } v = {f};
    return is_f16 ? emulated_f32_f16(f) : (uint16_t)(v.bits >> 16);
}

/* Small whole numbers: every format holds them, and no sum rounds. */
static void check_mma(bool is_f16, bool through_shared)
{
    uint16_t a[16 * 16], b[16 * 8];
    float out[16 * 8];
    for (int i = 0; i < 16 * 16; i++)
        a[i] = to_bits((float)(i * 7 % 31 - 15), is_f16);
    for (int i = 0; i < 16 * 8; i++)
        b[i] = to_bits((float)(i * 5 % 23 - 11), is_f16);
    uint16_t *a_gpu = gpu_copy_of(a, sizeof a), *b_gpu = gpu_copy_of(b, sizeof b);
    const struct mma_args args = {gpu_bytes(sizeof out), a_gpu, b_gpu, is_f16, through_shared};
    CHECK_EQ(start_mma(&args), cudaSuccess);
    gpu_take_home(out, args.out, sizeof out);
    cudaFree(a_gpu);
    cudaFree(b_gpu);
    for (int m = 0; m < 16; m++) {
        for (int n = 0; n < 8; n++) {
            int sum = 0;
            for (int k = 0; k < 16; k++)
                sum += ((m * 16 + k) * 7 % 31 - 15) * ((k * 8 + n) * 5 % 23 - 11);
            CHECK_EQ((int)out[m * 8 + n], sum);
        }
    }
}

TEST(mma_is_the_product_of_matrices)
{
    check_mma(false, false);
    check_mma(true, false);
}

TEST(matrices_load_as_the_fragments_of_mma)
{
    check_mma(false, true);
    check_mma(true, true);
}

enum { N_THREADS = 96, N_STEPS = 5 };

static int wrong_sums(enum fault fault, int n_valid)
{
    static uint32_t from[N_STEPS * N_THREADS * 4];
    uint32_t out[N_THREADS];
    for (int i = 0; i < N_STEPS * N_THREADS; i++)
        from[4 * i] = (uint32_t)i;
    uint32_t *from_gpu = gpu_copy_of(from, sizeof from);
    const struct stream_args args = {gpu_bytes(sizeof out), from_gpu, N_STEPS, n_valid, fault};
    CHECK_EQ(start_stream(&args, N_THREADS), cudaSuccess);
    gpu_take_home(out, args.out, sizeof out);
    cudaFree(from_gpu);
    int n_wrong = 0;
    for (int t = 0; t < N_THREADS; t++) {
        const int sum = t < n_valid ? N_STEPS * t + N_THREADS * (N_STEPS - 1) * N_STEPS / 2 : 0;
        n_wrong += out[t] != (uint32_t)sum;
    }
    return n_wrong;
}

TEST(copies_are_there_after_the_wait) { CHECK_EQ(wrong_sums(NO_FAULT, N_THREADS), 0); }

TEST(copies_that_are_not_valid_are_zeros) { CHECK_EQ(wrong_sums(NO_FAULT, 50), 0); }

TEST(a_missing_wait_for_copies_always_shows)
{
    CHECK_EQ(wrong_sums(NO_WAIT, N_THREADS), N_THREADS);
}

static void stream_with(void *context) { wrong_sums(*(const enum fault *)context, N_THREADS); }

TEST(a_copy_that_does_not_go_to_shared_memory_aborts)
{
    enum fault fault = COPY_TO_GLOBAL;
    CHECK_DIES(stream_with, &fault, "not 16 aligned bytes of shared memory");
}

TEST(a_copy_from_a_misaligned_address_aborts)
{
    enum fault fault = COPY_MISALIGNED;
    CHECK_DIES(stream_with, &fault, "not aligned to 16 bytes");
}

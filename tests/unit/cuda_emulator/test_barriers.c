#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/kernels.h"
#include <stdio.h>
#include <time.h>

TEST(threads_see_through_a_barrier_what_others_wrote)
{
    int out[1024];
    start_reverse(&(struct reverse_args){out, true}, 4, 256);
    for (int i = 0; i < 1024; i++)
        CHECK_EQ(out[i], 255 - i % 256 + i / 256);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
TEST(speed)
{
    static int out[1024 * 128];
    double t = now();
    start_reverse(&(struct reverse_args){out, true}, 1024, 128);
    printf("reverse %g ns a thread\n", (now() - t) / (1024 * 128) * 1e9);
    float f[128];
    t = now();
    start_mma(&(struct mma_args){f, 1000}, 10, 128);
    printf("mma %g ns a warp\n", (now() - t) / (10 * 1000 * 4) * 1e9);
}

#include "base/error.h"
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "kernels/device.h"
#include "tests/test.h"

#include <string.h>

TEST(every_table_is_complete)
{
    for (int level = 0; level < n_cpu_levels; level++) {
        const struct ops *ops = &cpu_levels[level].ops;
        CHECK(ops->name);
        CHECK(ops->embed && ops->rms_norm && ops->head_norm && ops->matmul && ops->rope_angles);
        CHECK(ops->rope_store && ops->attention && ops->gated && ops->softcap);
        CHECK(ops->copy_blocks && ops->log_sum_exp);
    }
}

TEST(without_a_name_the_best_kernels_run)
{
    const char *best = "";
    for (int level = 0; level < n_cpu_levels; level++)
        if (!(cpu_levels[level].needs & ~cpu_features()))
            best = cpu_levels[level].ops.name;
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cpu(&device, NULL, 1, 0, &err));
    CHECK_STR(device->ops->name, best);
    device_close(device);
    CHECK(device_open_cpu(&device, "auto", 1, 0, &err));
    CHECK_STR(device->ops->name, best);
    device_close(device);
}

TEST(kernels_can_be_capped_by_name)
{
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cpu(&device, "scalar", 2, 0, &err));
    CHECK_STR(device->ops->name, "scalar");
    CHECK_EQ(team_size(device->team), 2);
    device_close(device);
}

TEST(kernels_that_the_machine_lacks_are_refused_by_name)
{
    const struct cpu_level *missing = NULL;
    for (int level = 0; level < n_cpu_levels; level++)
        if (cpu_levels[level].needs & ~cpu_features())
            missing = &cpu_levels[level];
    if (missing == NULL)
        SKIP("this machine runs every level");
    struct device *device;
    struct error err = {0};
    CHECK(!device_open_cpu(&device, missing->ops.name, 1, 0, &err));
    CHECK_EQ(err.kind, ERROR_UNSUPPORTED);
    CHECK(strstr(err.text, missing->ops.name) && strstr(err.text, "best"));
}

TEST(unknown_kernels_are_refused)
{
    struct device *device;
    struct error err = {0};
    CHECK(!device_open_cpu(&device, "avx1024", 1, 0, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, "unknown kernels 'avx1024': auto, scalar, avx2, avx512 or amx");
}

/* Half the smallest normal number must become 0, and a denormal must count as 0. */
static void flush_both(void *context, int item, int thread)
{
    (void)thread;
    volatile float smallest = 0x1p-126f, denormal = 0x1p-140f;
    const float result = smallest * 0.5f, operand = denormal * 0x1p100f;
    ((bool *)context)[item] = result == 0 && operand == 0;
}

TEST(every_thread_flushes_denormals)
{
    bool flushed[16];
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cpu(&device, NULL, 3, 0, &err));
    team_run(device->team, flush_both, flushed, 16);
    device_close(device);
    for (int i = 0; i < 16; i++)
        CHECK(flushed[i]);
}

TEST(memory_of_a_device_is_zeroed_and_aligned)
{
    struct device *device;
    struct error err = {0};
    void *p;
    CHECK(device_open_cpu(&device, NULL, 1, 0, &err));
    CHECK(device_alloc(device, &p, 100000, &err));
    CHECK_EQ((uintptr_t)p % 64, 0);
    for (int i = 0; i < 100000; i++)
        CHECK_EQ(((char *)p)[i], 0);
    device_free(device, p, 100000);
    device_close(device);
}

/* What is counted while weights are loaded: what is moved, and all of it. */
#include "runtime/model/loading_watch.h"

#include "base/error.h"
#include "base/team.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/late_device.h"
#include "tests/unit/runtime_model/small_model.h"

struct heard {
    struct loading_watch watch;
    uint64_t done, all;
    int n;
};

static void hear(void *context, uint64_t done, uint64_t all)
{
    struct heard *heard = context;
    CHECK(done >= heard->done && done <= all);
    heard->done = done;
    heard->all = all;
    heard->n++;
}

static struct model *open_heard(const struct small_model *small, const char *dtype, bool on_gpu,
                                struct heard *heard)
{
    struct model *model = NULL;
    struct error err = {0};
    *heard = (struct heard){.watch = {.tell = hear, .context = heard}};
    const struct model_place place = {
        .tp_size = 1, .pp_stages = 1, .on_gpu = on_gpu, .watch = &heard->watch};
    if (!model_open(&model, small->folder.path, dtype, &place, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

TEST(weights_that_are_used_in_place_are_not_loaded_but_may_be_looked_at)
{
    const struct small_model small = small_make("BF16");
    struct heard heard;
    struct error err = {0};
    small_write(&small);
    struct model *model = open_heard(&small, "auto", false, &heard);
    CHECK_EQ(heard.watch.all, 0);
    CHECK(model_check_weights(model, &err));
    CHECK_EQ(heard.done, model->weight_bytes);
    CHECK_EQ(heard.all, model->weight_bytes);
    model_close(model);
    small_remove(&small);
}

TEST(weights_that_are_copied_are_counted_as_they_come)
{
    const struct small_model small = small_make("F32");
    struct heard heard;
    struct error err = {0};
    small_write(&small);
    struct model *model = open_heard(&small, "bfloat16", false, &heard);
    CHECK(model->copied_bytes > 0 && heard.n > 100);
    CHECK_EQ(heard.done, model->copied_bytes);
    CHECK_EQ(heard.all, model->copied_bytes);
    model_sleep(model);
    CHECK(model_wake(model, NULL, &err));
    CHECK_EQ(heard.done, 2 * model->copied_bytes);
    model_close(model);
    small_remove(&small);
}

TEST(weights_for_a_gpu_are_counted_as_they_leave)
{
    const struct small_model small = small_make("BF16");
    struct heard heard;
    struct late_device device;
    struct team *team;
    struct error err = {0};
    small_write(&small);
    struct model *model = open_heard(&small, "auto", true, &heard);
    late_device_init(&device);
    CHECK(team_create(&team, 2, 0, NULL, &err));
    const struct device_loading loading = {
        .device = &device.device, .readers = team, .buffer_bytes = 20000};
    CHECK(model_to_device(model, &loading, &err));
    CHECK(heard.n > 1);
    CHECK_EQ(heard.done, model->device_bytes);
    CHECK_EQ(heard.all, model->device_bytes);
    team_destroy(team);
    model_close(model);
    small_remove(&small);
}

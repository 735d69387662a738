/* Weights that are made up: there without a file, and the same wherever a rank stands. */
#include "runtime/model/dummy.h"

#include "base/error.h"
#include "base/team.h"
#include "kernels/dtype.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/late_device.h"
#include "tests/unit/runtime_model/small_model.h"

#include <math.h>
#include <string.h>

enum { HIDDEN = 64, HEADS = 4, HEAD_DIM = 16 };

static struct small_model make_config(void)
{
    const struct small_model small = small_make("BF16");
    small_write_config(&small, NULL); /* and no weights */
    return small;
}

static struct model *open_at(const struct small_model *small, const char *dtype, int tp_rank,
                             int tp_size, bool on_gpu)
{
    struct model *model = NULL;
    struct error err = {0};
    const struct model_place place = {
        .tp_rank = tp_rank, .tp_size = tp_size, .pp_stages = 1, .on_gpu = on_gpu, .dummy = true};
    if (!model_open(&model, small->folder.path, dtype, &place, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

static float number_at(const struct weight *weight, int64_t row, int64_t column)
{
    const int64_t i = row * weight->row_stride + column;
    return weight->dtype == DTYPE_F32 ? ((const float *)weight->data)[i]
                                      : bf16_to_f32(((const bf16 *)weight->data)[i]);
}

TEST(every_rank_has_its_part_of_the_one_made_up_model)
{
    const struct small_model small = make_config();
    struct model *whole = open_at(&small, "auto", 0, 1, false);
    for (int rank = 0; rank < 2; rank++) {
        struct model *half = open_at(&small, "auto", rank, 2, false);
        const int first = rank * HEADS / 2 * HEAD_DIM;
        for (int i = 0; i < HEADS / 2 * HEAD_DIM; i++)
            for (int k = 0; k < HIDDEN; k++) {
                CHECK(number_at(&half->layer[0].q_proj, i, k) ==
                      number_at(&whole->layer[0].q_proj, first + i, k));
                CHECK(number_at(&half->layer[0].o_proj, k, i) ==
                      number_at(&whole->layer[0].o_proj, k, first + i));
            }
        model_close(half);
    }
    model_close(whole);
    small_remove(&small);
}

TEST(made_up_matrices_keep_sizes_and_norms_are_near_one)
{
    const struct small_model small = make_config();
    struct model *model = open_at(&small, "auto", 0, 1, false);
    struct error err = {0};
    double sum = 0, squares = 0;
    const int n_rows = model->config.vocab;
    for (int i = 0; i < n_rows; i++)
        for (int k = 0; k < HIDDEN; k++) {
            const double number = (double)number_at(&model->embed_tokens, i, k);
            sum += number;
            squares += number * number;
        }
    CHECK(fabs(sum / n_rows) < 1);
    CHECK(fabs(squares / n_rows - 1) < 0.02); /* of a row: the square of its length */
    for (int k = 0; k < HIDDEN; k++)
        CHECK(fabs((double)number_at(&model->norm, 0, k) - 1) <= 0.125);
    CHECK(memcmp(model->embed_tokens.data, model->lm_head.data, HIDDEN * sizeof(bf16)) != 0);
    CHECK(model_check_weights(model, &err));
    model_close(model);
    small_remove(&small);
}

TEST(made_up_weights_are_the_same_after_sleep_and_as_wider_numbers)
{
    const struct small_model small = make_config();
    struct model *model = open_at(&small, "auto", 0, 1, false);
    struct model *wide = open_at(&small, "float32", 0, 1, false);
    struct error err = {0};
    const float before = number_at(&model->layer[0].down_proj, 3, 5);
    CHECK(before != 0 && number_at(&wide->layer[0].down_proj, 3, 5) == before);
    model_sleep(model);
    CHECK(model_wake(model, NULL, &err));
    CHECK(number_at(&model->layer[0].down_proj, 3, 5) == before);
    model_close(wide);
    model_close(model);
    small_remove(&small);
}

TEST(a_gpu_gets_the_same_made_up_weights)
{
    const struct small_model small = make_config();
    struct model *here = open_at(&small, "auto", 0, 1, false);
    struct model *there = open_at(&small, "auto", 0, 1, true);
    struct error err = {0};
    struct late_device device;
    struct team *team;
    late_device_init(&device);
    CHECK(team_create(&team, 2, 0, NULL, &err));
    const struct device_loading loading = {.device = &device.device, .readers = team};
    if (!model_to_device(there, &loading, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    for (int k = 0; k < HIDDEN; k++) {
        CHECK(number_at(&there->layer[0].up_proj, 7, k) ==
              number_at(&here->layer[0].up_proj, 7, k));
        CHECK(number_at(&there->norm, 0, k) == number_at(&here->norm, 0, k));
    }
    team_destroy(team);
    model_close(there);
    model_close(here);
    small_remove(&small);
}

/* What is counted from the headers is what an opened model has. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/model/model.h"
#include "runtime/model/weights.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <stdio.h>
#include <string.h>

static const char *const dtypes[] = {"auto", "bfloat16", "float32"};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static void check_same_bytes(const struct model *measured, const struct model *opened)
{
    CHECK_EQ(measured->weight_bytes, opened->weight_bytes);
    CHECK_EQ(measured->mapped_bytes, opened->mapped_bytes);
    CHECK_EQ(measured->copied_bytes, opened->copied_bytes);
    CHECK_EQ(measured->compute, opened->compute);
    uint64_t total = 0;
    for (int kind = 0; kind < WEIGHT_KINDS; kind++) {
        CHECK_EQ(measured->kind_bytes[kind], opened->kind_bytes[kind]);
        total += measured->kind_bytes[kind];
    }
    CHECK_EQ(total, measured->weight_bytes);
}

/* Every rank of `tp_size`, the measured model going from one to the next. */
static void check_ranks(const char *folder, const char *dtype, int tp_size)
{
    struct error err = {0};
    struct model_place place = {.tp_size = tp_size, .pp_stages = 1};
    struct model *measured, *opened;
    CHECK(model_measure(&measured, folder, dtype, &place, &err));
    for (place.tp_rank = 0; place.tp_rank < tp_size; place.tp_rank++) {
        if (place.tp_rank > 0)
            model_measure_as(measured, &place);
        CHECK(model_open(&opened, folder, dtype, &place, &err));
        check_same_bytes(measured, opened);
        CHECK_EQ(measured->share.heads.lo, opened->share.heads.lo);
        CHECK(measured->embed_tokens.data == NULL && measured->files->copies == NULL);
        model_close(opened);
    }
    model_close(measured);
}

TEST(the_bytes_of_every_family_are_known_from_its_headers)
{
    static const char *const names[] = {"llama-16",        "llama-f16",    "phi3-window",
                                        "qwen2-uneven",    "qwen3-biased", "gemma2-bf16",
                                        "gemma3-pattern",  "llama-scores", "mistral-value",
                                        "qwen3-embedding", "llama-bias"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct model_config config;
        struct error err = {0};
        char folder[512];
        snprintf(folder, sizeof folder, "%s/tests/golden/%s", SOURCE_DIR, names[i]);
        CHECK(model_config_read(&config, folder, &err));
        for (int d = 0; d < N_DTYPES; d++)
            for (int tp_size = 1; tp_size <= model_max_tp(&config); tp_size++)
                check_ranks(folder, dtypes[d], tp_size);
    }
}

/* A byte before the data puts every tensor where it cannot be read in place. */
TEST(weights_that_must_be_copied_are_counted_as_copies)
{
    for (int pad = 0; pad < 2; pad++) {
        struct small_model small = small_make("BF16");
        struct model *model;
        struct error err = {0};
        small.header_pad = pad;
        small_write(&small);
        CHECK(model_measure(&model, small.folder.path, "auto", &model_place_alone, &err));
        CHECK_EQ(model->mapped_bytes == 0, model->copied_bytes > 0);
        CHECK(model->mapped_bytes + model->copied_bytes >= model->weight_bytes);
        check_ranks(small.folder.path, "auto", 2);
        model_close(model);
        small_remove(&small);
    }
}

TEST(every_kind_of_weight_has_its_bytes)
{
    struct small_model small = small_make("BF16");
    struct model *model;
    struct error err = {0};
    small_write(&small);
    CHECK(model_measure(&model, small.folder.path, "auto", &model_place_alone, &err));
    CHECK_EQ(model->kind_bytes[WEIGHT_EMBEDDING], 600 * 64 * 2);
    CHECK_EQ(model->kind_bytes[WEIGHT_HEAD], 600 * 64 * 2);
    CHECK_EQ(model->kind_bytes[WEIGHT_ATTENTION], 2 * (64 * 64 + 32 * 64) * 2);
    CHECK_EQ(model->kind_bytes[WEIGHT_MLP], 3 * 96 * 64 * 2);
    CHECK_EQ(model->kind_bytes[WEIGHT_NORM], 3 * 64 * 2);
    model_close(model);
    small_remove(&small);
}

TEST(a_checkpoint_is_checked_when_it_is_measured)
{
    struct small_model small = small_make("BF16");
    struct model *model;
    struct error err = {0};
    small_drop(&small, "model.norm.weight");
    small_write(&small);
    CHECK(!model_measure(&model, small.folder.path, "auto", &model_place_alone, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "model.norm.weight is missing"));
    small_remove(&small);
}
